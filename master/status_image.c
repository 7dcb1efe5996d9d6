/*
 * status_image.c - see status_image.h.
 */
#include "master/status_image.h"
#include "shared/base/clock.h"

static const char *verdict_word(enum verdict v)
{
    return v == VERDICT_ACCEPTED ? "accepted" : v == VERDICT_REJECTED ? "rejected" : "unserved";
}

static void member(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_json(out, value);
}

static void write_status(const struct object *o, struct buf *out)
{
    if (o->status_json.n)
        buf_adds(out, o->status_json);
    else
        buf_addc(out, "{}");
}

static void write_object(const struct object *o, struct buf *out)
{
    buf_addc(out, "{\"apiVersion\":");
    buf_json(out, o->api_version);
    member(out, "kind", str_c(o->kind->kind));
    member(out, "namespace", o->ns);
    member(out, "name", o->name);
    member(out, "uid", o->uid);
    buf_addf(out, ",\"generation\":%llu", (unsigned long long)o->generation);
    member(out, "file", o->source->path);
    buf_addf(out, ",\"line\":%u,\"verdict\":\"%s\",\"stale\":%s,\"status\":", o->line, verdict_word(o->verdict),
             o->stale ? "true" : "false");
    write_status(o, out);
    buf_addc(out, "}");
}

static void write_map(const char *name, const struct str_map *m, struct buf *out)
{
    if (m->n == 0)
        return;
    buf_addf(out, ",\"%s\":{", name);
    for (size_t i = 0; i < m->n; i++) {
        buf_addc(out, i ? "," : "");
        buf_json(out, m->v[i].key);
        buf_addc(out, ":");
        buf_json(out, m->v[i].val);
    }
    buf_addc(out, "}");
}

static void write_metadata(const struct object *o, struct buf *out)
{
    char time[32];
    buf_addc(out, ",\"metadata\":{\"name\":");
    buf_json(out, o->name);
    if (o->ns.n)
        member(out, "namespace", o->ns);
    if (o->uid.n)
        member(out, "uid", o->uid);
    if (o->generation)
        buf_addf(out, ",\"generation\":%llu", (unsigned long long)o->generation);
    if (o->created_us)
        member(out, "creationTimestamp", str_of(time, clock_format(o->created_us, 0, time)));
    write_map("labels", &o->labels, out);
    write_map("annotations", &o->annotations, out);
    buf_addc(out, "}");
}

/* Values of a Secret's maps are left out; the keys say what there is. */
static void write_secret_keys(const struct node *map, struct buf *out)
{
    buf_addc(out, "{");
    for (size_t i = 0; i < map->n_kids; i++) {
        buf_addc(out, i ? "," : "");
        buf_json(out, map->kids[i]->key);
        buf_addc(out, ":\"(hidden)\"");
    }
    buf_addc(out, "}");
}

static bool is_bookkeeping(struct str key)
{
    return str_eqc(key, "apiVersion") || str_eqc(key, "kind") || str_eqc(key, "metadata") || str_eqc(key, "status");
}

static void write_resource(const struct object *o, struct buf *out)
{
    buf_addc(out, "{\"apiVersion\":");
    buf_json(out, o->api_version);
    member(out, "kind", str_c(o->kind->kind));
    write_metadata(o, out);
    for (size_t i = 0; o->root && i < o->root->n_kids; i++) {
        const struct node *n = o->root->kids[i];
        if (is_bookkeeping(n->key))
            continue;
        buf_addc(out, ",");
        buf_json(out, n->key);
        buf_addc(out, ":");
        if (o->kind->id == KIND_SECRET && n->type == NODE_MAP)
            write_secret_keys(n, out);
        else
            node_json(n, out, NULL);
    }
    buf_addc(out, ",\"status\":");
    write_status(o, out);
    buf_addc(out, "}");
}

static void write_binds(const struct model *m, struct buf *out)
{
    for (size_t i = 0; i < m->binds.n; i++) {
        const struct model_bind *b = m->binds.v[i];
        buf_addf(out, "%s{\"address\":", i ? "," : "");
        buf_json(out, b->address);
        buf_addf(out, ",\"port\":%u,\"error\":", b->port);
        buf_json(out, b->bind_error ? str_c(strerror(b->bind_error)) : STR(""));
        buf_addc(out, "}");
    }
}

void status_image_write(uint64_t generation, const struct store *st, const struct model *m, const struct diags *ds,
                        struct buf *out)
{
    buf_addf(out, "{\"generation\":%llu,\"objects\":[", (unsigned long long)generation);
    for (size_t i = 0; i < st->n_all; i++) {
        buf_addc(out, i ? ",\n" : "");
        write_object(st->all[i], out);
    }
    buf_addc(out, "],\n\"diagnostics\":[");
    for (size_t i = 0; i < ds->n; i++) {
        buf_addc(out, i ? ",\n" : "");
        diag_json(&ds->v[i], out);
    }
    buf_addc(out, "],\n\"binds\":[");
    write_binds(m, out);
    buf_addc(out, "],\n\"resources\":[");
    for (size_t i = 0, n = 0; i < st->n_all; i++) {
        if (st->all[i]->verdict == VERDICT_REJECTED)
            continue;
        buf_addc(out, n++ ? ",\n" : "");
        write_resource(st->all[i], out);
    }
    buf_addc(out, "]}\n");
}
