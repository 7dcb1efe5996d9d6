/* explain_json.c - the contract of DESIGN section 3; members may be added. */
#include "master/ctl/explain.h"

struct page {
    const struct explain *x;
    const struct snap *s;
    struct buf *out;
};

static void text(const struct page *p, const char *name, struct str value)
{
    buf_addf(p->out, "\"%s\":", name);
    buf_json(p->out, value);
}

static void place_at(const struct page *p, const struct snap_origin *o)
{
    text(p, "file", snap_name(p->s, p->s->OBJECTS[o->object].file));
    buf_addf(p->out, ",\"line\":%u", o->line);
}

static void place(const struct page *p, uint32_t origin)
{
    place_at(p, &p->s->ORIGINS[origin]);
}

/* `e` NULL: a rule of layer 4. */
static void rule(const struct page *p, const struct snap_rule *r, const struct snap_entry *e)
{
    const struct snap_origin *o = &p->s->ORIGINS[r->origin];
    const struct snap_object *object = &p->s->OBJECTS[o->object];
    struct snap_origin at = e ? snap_place(p->s, r, e->place) : *o;
    buf_addch(p->out, '{');
    text(p, "apiVersion", snap_name(p->s, object->api_version));
    buf_addch(p->out, ',');
    text(p, "kind", snap_name(p->s, object->kind));
    buf_addch(p->out, ',');
    text(p, "namespace", snap_name(p->s, object->ns));
    buf_addch(p->out, ',');
    text(p, "name", snap_name(p->s, object->name));
    buf_addch(p->out, ',');
    text(p, "rule", snap_name(p->s, o->section));
    buf_addf(p->out, ",\"match\":%u,", e ? e->match_index : 0);
    text(p, "key", snap_text(p->s, r->key));
    buf_addf(p->out, ",\"rank\":%u,", e ? e->rank : 0);
    place_at(p, snap_name(p->s, p->s->OBJECTS[at.object].file).n > 0 ? &at : o);
    buf_addch(p->out, '}');
}

static void filters(const struct page *p, const char *name, struct snap_range range)
{
    static const char *const TYPE[] = {
#define X(id, doc) #id,
#include "shared/tbl/filter.def"
#undef X
    };
    bool first = true;
    buf_addf(p->out, "\"%s\":[", name);
    SNAP_EACH(i, range) {
        const struct snap_filter *f = &p->s->FILTERS[i];
        for (uint32_t k = 0;; k++) {
            struct buf phrase = {0};
            bool more = explain_add_filter(p->s, f, k, &phrase);
            if (more) {
                buf_addf(p->out, "%s{", first ? "" : ",");
                first = false;
                text(p, "type", str_c(TYPE[f->type]));
                buf_addch(p->out, ',');
                text(p, "text", buf_str(&phrase));
                buf_addch(p->out, ',');
                place(p, f->origin);
                buf_addch(p->out, '}');
            }
            buf_fini(&phrase);
            if (!more)
                break;
        }
    }
    buf_addch(p->out, ']');
}

/* One row: a split, with one of its endpoints or none. */
static void backend(const struct page *p, const struct snap_split *v, const struct snap_endpoint *e, const char *state)
{
    struct buf address = {0};
    buf_addch(p->out, '{');
    text(p, "cluster", snap_text(p->s, v->name));
    buf_addc(p->out, ",\"endpoint\":");
    if (e) {
        struct str a = snap_text(p->s, e->address);
        buf_addf(&address, e->family == 6 ? "[" STR_FMT "]" : STR_FMT, STR_ARG(a));
        if (e->port)
            buf_addf(&address, ":%u", e->port);
        buf_json(p->out, buf_str(&address));
    } else {
        buf_addc(p->out, "null");
    }
    buf_addf(p->out, ",\"weight\":%u,\"share\":%.2f,\"state\":\"%s\",", v->weight, explain_share(p->x->hit.rule, v), state);
    if (v->cluster == SNAP_NONE || p->s->CLUSTERS[v->cluster].endpoints.n == 0)
        buf_addf(p->out, "\"status\":%u,", v->cluster == SNAP_NONE ? v->status : 503);
    struct snap_origin at = snap_place(p->s, p->x->hit.rule, v->place);
    place_at(p, &at);
    buf_addch(p->out, ',');
    filters(p, "filters", v->filters);
    buf_addch(p->out, '}');
    buf_fini(&address);
}

static void backends(const struct page *p)
{
    const struct snap_rule *r = p->x->hit.rule;
    const char *comma = "";
    buf_addc(p->out, ",\"backends\":[");
    if (r && r->action == ACTION_SPLIT && !p->x->https_redirect) {
        SNAP_EACH(i, r->splits) {
            const struct snap_split *v = &p->s->SPLITS[i];
            const struct snap_cluster *c = SNAP_AT(p->s, CLUSTERS, v->cluster);
            struct snap_range range = c ? c->endpoints : (struct snap_range){0, 0};
            if (range.n == 0) {
                buf_addc(p->out, comma);
                backend(p, v, NULL, c ? "no_endpoints" : explain_reason_word((enum reason)v->reason));
                comma = ",";
            }
            SNAP_EACH(k, range) {
                buf_addc(p->out, comma);
                backend(p, v, &p->s->ENDPOINTS[k], p->s->ENDPOINTS[k].dns_slot != SNAP_NONE ? "dns" : "configured");
                comma = ",";
            }
        }
    }
    buf_addch(p->out, ']');
}

static void request(const struct page *p)
{
    const struct explain *x = p->x;
    buf_addc(p->out, ",\"request\":{");
    text(p, "method", x->method);
    buf_addch(p->out, ',');
    text(p, "url", x->url);
    buf_addch(p->out, ',');
    text(p, "scheme", x->scheme);
    buf_addch(p->out, ',');
    text(p, "host", x->host_name);
    buf_addch(p->out, ',');
    text(p, "path", x->path);
    buf_addch(p->out, ',');
    text(p, "query", x->target.query);
    buf_addch(p->out, ',');
    text(p, "from", x->from);
    buf_addch(p->out, '}');
}

static void socket_and_host(const struct page *p)
{
    const struct explain *x = p->x;
    if (x->bind) {
        buf_addc(p->out, ",\"bind\":{");
        text(p, "address", snap_text(p->s, x->bind->address));
        buf_addf(p->out, ",\"port\":%u}", x->bind->port);
    }
    buf_addc(p->out, ",\"listener\":");
    if (x->hit.listener)
        buf_json(p->out, snap_text(p->s, x->hit.listener->name));
    else
        buf_addc(p->out, "null");
    if (x->hit.listener) {
        buf_addc(p->out, ",\"listener_place\":{");
        place(p, x->hit.listener->origin);
        buf_addch(p->out, '}');
    }
    buf_addc(p->out, ",\"host\":");
    if (x->hit.host)
        buf_json(p->out, snap_text(p->s, x->hit.host->name));
    else
        buf_addc(p->out, "null");
}

static void server_name(const struct page *p)
{
    const struct explain *x = p->x;
    struct buf words = {0};
    const char *comma = "";
    if (!x->bind || x->bind->chains.n == 0)
        return;
    buf_addc(p->out, ",\"tls\":{");
    text(p, "serverName", x->server_name);
    if (x->chain) {
        struct snap_range certs = x->chain->tls == SNAP_NONE ? (struct snap_range){0, 0} : p->s->TLS_SERVERS[x->chain->tls].certs;
        explain_add_chain(p->s, x->chain, &words);
        buf_addch(p->out, ',');
        text(p, "name", snap_text(p->s, x->chain->name));
        buf_addch(p->out, ',');
        text(p, "text", buf_str(&words));
        buf_addc(p->out, ",\"certificates\":[");
        SNAP_EACH(i, certs) {
            buf_addc(p->out, comma);
            buf_json(p->out, snap_name(p->s, p->s->CERTS[p->s->INDEXES[i]].subject));
            comma = ",";
        }
        buf_addc(p->out, "],");
        place(p, x->chain->origin);
    }
    buf_addch(p->out, '}');
    buf_fini(&words);
}

static void candidate(const struct page *p, const struct explain_candidate *c)
{
    struct buf why = {0};
    explain_add_lost(p->x, c, &why);
    buf_addc(p->out, "{\"rule\":");
    rule(p, &p->s->RULES[c->entry->rule], c->entry);
    buf_addch(p->out, ',');
    text(p, "host", snap_text(p->s, c->host->name));
    buf_addch(p->out, ',');
    text(p, "lost_because", buf_str(&why));
    buf_addch(p->out, '}');
    buf_fini(&why);
}

static void candidates(const struct page *p)
{
    const struct explain *x = p->x;
    buf_addc(p->out, ",\"candidates\":[");
    for (size_t i = 0; i < x->n_near + x->n_far; i++) {
        buf_addc(p->out, i ? "," : "");
        candidate(p, i < x->n_near ? &x->near[i] : &x->far[i - x->n_near]);
    }
    buf_addf(p->out, "],\"candidates_total\":%zu", x->n_candidates);
}

void explain_json(const struct explain *x, struct buf *out)
{
    struct page p = {x, x->snap, out};
    const struct snap_rule *r = x->https_redirect ? NULL : x->hit.rule;
    buf_addf(out, "{\"outcome\":\"%s\",\"status\":", x->outcome);
    if (x->status)
        buf_addu(out, x->status);
    else
        buf_addc(out, "null");
    buf_addf(out, ",\"reason\":\"%s\"", explain_reason_word(x->reason));
    if (x->fault.n) {
        buf_addch(out, ',');
        text(&p, "message", x->fault);
    }
    if (x->note.n) {
        buf_addch(out, ',');
        text(&p, "note", x->note);
    }
    buf_addf(out, ",\"generation\":%llu", (unsigned long long)x->snap->head->generation);
    request(&p);
    socket_and_host(&p);
    server_name(&p);
    buf_addc(out, ",\"rule\":");
    if (r)
        rule(&p, r, x->hit.entry);
    else
        buf_addc(out, "null");
    buf_addch(out, ',');
    filters(&p, "filters", r ? r->filters : (struct snap_range){0, 0});
    if (r && r->action == ACTION_REDIRECT) {
        struct buf phrase = {0};
        explain_add_redirect(x->snap, &x->snap->REDIRECTS[r->redirect], &phrase);
        buf_addch(out, ',');
        text(&p, "redirect", buf_str(&phrase));
        buf_fini(&phrase);
    }
    backends(&p);
    candidates(&p);
    buf_addc(out, "}\n");
}
