/*
 * status_image.c - see status_image.h.
 */
#include "master/status_image.h"
#include "master/kinds/core_config.h"
#include "shared/base/clock.h"
#include "shared/snap/snap.h"

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
    member(out, "kind", o->kind_name);
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

/* What kubectl keeps in this annotation is a copy of the object, with the values of a Secret. */
static bool holds_a_copy(const struct object *o, struct str annotation)
{
    return o->kind->id == KIND_SECRET && str_eqc(annotation, "kubectl.kubernetes.io/last-applied-configuration");
}

static void write_map(const struct object *o, const char *name, const struct str_map *m, struct buf *out)
{
    const char *comma = "";
    if (m->n == 0)
        return;
    buf_addf(out, ",\"%s\":{", name);
    for (size_t i = 0; i < m->n; i++) {
        if (holds_a_copy(o, m->v[i].key))
            continue;
        buf_addc(out, comma);
        buf_json(out, m->v[i].key);
        buf_addc(out, ":");
        buf_json(out, m->v[i].val);
        comma = ",";
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
    write_map(o, "labels", &o->labels, out);
    write_map(o, "annotations", &o->annotations, out);
    buf_addc(out, "}");
}

/* Values of a Secret are left out, in whatever form they were written; keys and sizes say what there is, as in
 * `kubectl describe`. */
static void write_secret_keys(const struct object *o, const struct node *n, struct buf *out)
{
    const struct core_secret *s = o->spec;
    const struct str_map *values = s && str_eqc(node_key(n), "data")         ? &s->data
                                   : s && str_eqc(node_key(n), "stringData") ? &s->string_data
                                                                         : NULL;
    buf_addc(out, "{");
    for (size_t i = 0; n->type == NODE_MAP && i < n->n_kids; i++) {
        buf_addc(out, i ? "," : "");
        buf_json(out, node_key(n->kids[i]));
        buf_addc(out, ":\"(hidden");
        if (values && i < values->n && str_eq(values->v[i].key, node_key(n->kids[i]))) /* decoded in the order written */
            buf_addf(out, ", %zu bytes", values->v[i].val.n);
        buf_addc(out, ")\"");
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
    member(out, "kind", o->kind_name);
    write_metadata(o, out);
    for (size_t i = 0; o->root && i < o->root->n_kids; i++) {
        const struct node *n = o->root->kids[i];
        if (is_bookkeeping(node_key(n)))
            continue;
        buf_addc(out, ",");
        buf_json(out, node_key(n));
        buf_addc(out, ":");
        if (o->kind->id == KIND_SECRET && !str_eqc(node_key(n), "type") && !str_eqc(node_key(n), "immutable"))
            write_secret_keys(o, n, out);
        else
            node_json(n, out, NULL);
    }
    buf_addc(out, ",\"status\":");
    write_status(o, out);
    buf_addc(out, "}");
}

static void write_listeners(const struct model_bind *b, struct buf *out)
{
    static const char *const PROTOCOL[] = {"HTTP", "HTTPS", "TLS", "TCP", "UDP"};
    for (size_t i = 0; i < b->listeners.n; i++) {
        const struct model_listener *l = b->listeners.v[i];
        buf_addf(out, "%s{\"protocol\":\"%s\"", i ? "," : "", PROTOCOL[l->protocol]);
        member(out, "key", l->key);
        member(out, "name", l->name);
        member(out, "hostname", l->hostname);
        buf_addc(out, "}");
    }
}

static void write_binds(const struct model *m, struct buf *out)
{
    for (size_t i = 0; i < m->binds.n; i++) {
        const struct model_bind *b = m->binds.v[i];
        buf_addf(out, "%s{\"id\":\"%016llx\"", i ? "," : "", (unsigned long long)snap_bind_id(b->address, b->port, b->datagram));
        member(out, "address", b->address);
        buf_addf(out, ",\"port\":%u,\"error\":", b->port);
        buf_json(out, b->bind_error ? str_c(strerror(b->bind_error)) : STR(""));
        buf_addc(out, ",\"listeners\":[");
        write_listeners(b, out);
        buf_addc(out, "]}");
    }
}

static void write_series(const struct snap *s, struct buf *out)
{
    static const char *const WHAT[] = {"listener", "rule", "cluster"};
    for (uint32_t i = 0; i < s->n[SNAP_SERIES]; i++) {
        const struct snap_series *v = &s->SERIES[i];
        struct snap_str key = v->what == SERIES_LISTENER ? s->LISTENERS[v->index].key
                              : v->what == SERIES_RULE   ? s->RULES[v->index].key
                                                         : s->CLUSTERS[v->index].key;
        buf_addf(out, "%s{\"slot\":%u,\"what\":\"%s\"", i ? "," : "", v->slot, WHAT[v->what]);
        member(out, "key", snap_text(s, key));
        member(out, "name", snap_series_name(s, v));
        buf_addc(out, "}");
    }
}

void status_image_write(const struct snap *s, const struct store *st, const struct model *m, const struct diags *ds,
                        const struct load_stats *stats, struct buf *out)
{
    buf_addf(out, "{\"generation\":%llu,\"objects\":[", (unsigned long long)s->head->generation);
    for (size_t i = 0; i < st->n_all; i++) {
        buf_addc(out, i ? ",\n" : "");
        write_object(st->all[i], out);
    }
    buf_addc(out, "],\n\"diagnostics\":[");
    for (size_t i = 0; i < ds->n; i++) {
        buf_addc(out, i ? ",\n" : "");
        diag_json(&ds->v[i], out);
    }
    buf_addf(out, "],\n\"summary\":{\"files\":%zu,\"objects\":%zu,\"errors\":%zu,\"warnings\":%zu},\n\"binds\":[",
             stats->files, st->n_all, ds->n_errors, ds->n_warnings);
    write_binds(m, out);
    buf_addc(out, "],\n\"series\":[");
    write_series(s, out);
    buf_addc(out, "],\n\"resources\":[");
    for (size_t i = 0, n = 0; i < st->n_all; i++) {
        if (st->all[i]->verdict == VERDICT_REJECTED)
            continue;
        buf_addc(out, n++ ? ",\n" : "");
        write_resource(st->all[i], out);
    }
    buf_addc(out, "]}\n");
}
