/*
 * explain_text.c - the answer for people:
 *
 *   GET http://a.example.com:8080/api/users?id=7
 *   => routed to default/users:80
 *
 *   listener   default/edge/http, HTTP on *:8080             conf.d/gateway.yaml:10
 *   host       a.example.com                                 exact name
 *   rule       HTTPRoute default/shop rules[1].matches[0]    conf.d/shop.yaml:24
 *                path is below /api
 *   filters    rewrite: the matched prefix of the path becomes /
 *   backends   90 %  default/users:80                        conf.d/shop.yaml:40
 *                      10.0.0.1:8080
 *
 *   not taken
 *     0  HTTPRoute default/shop rules[0]                     conf.d/shop.yaml:12
 *          the path is not /old
 */
#include "master/ctl/explain.h"

#define LABEL  11 /* columns of the first word */
#define PLACES 64 /* column where file and line stand */

struct page {
    const struct explain *x;
    const struct snap *s;
    struct buf *out;
    bool color;
};

static void bold(const struct page *p, const char *text)
{
    buf_addf(p->out, "%s%s%s", p->color ? "\033[1m" : "", text, p->color ? "\033[0m" : "");
}

static void label(const struct page *p, const char *text)
{
    bold(p, text);
    buf_addf(p->out, "%*s", LABEL - (int)strlen(text), "");
}

/* Columns of a line so far: escapes count nothing, bytes that continue a character neither. */
static size_t columns(const char *p, size_t n)
{
    size_t c = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\033') {
            while (i < n && p[i] != 'm')
                i++;
            continue;
        }
        c += ((unsigned char)p[i] & 0xc0) != 0x80;
    }
    return c;
}

/* Ends the line that began at byte `from` with the place of an origin. */
static void end_with_origin(const struct page *p, size_t from, const struct snap_origin *o)
{
    struct str file = snap_name(p->s, p->s->OBJECTS[o->object].file);
    size_t c = columns(p->out->p + from, p->out->n - from);
    if (file.n)
        buf_addf(p->out, "%*s  %s" STR_FMT ":%u%s", c < PLACES ? (int)(PLACES - c) : 0, "", p->color ? "\033[2m" : "",
                 STR_ARG(file), o->line, p->color ? "\033[0m" : "");
    buf_addch(p->out, '\n');
}

static void end_with_place(const struct page *p, size_t from, uint32_t origin)
{
    end_with_origin(p, from, &p->s->ORIGINS[origin]);
}

static void add_object(const struct page *p, uint32_t origin)
{
    const struct snap_object *o = &p->s->OBJECTS[p->s->ORIGINS[origin].object];
    struct str ns = snap_name(p->s, o->ns);
    buf_adds(p->out, snap_name(p->s, o->kind));
    buf_addf(p->out, " " STR_FMT "%s" STR_FMT, STR_ARG(ns), ns.n ? "/" : "", STR_ARG(snap_name(p->s, o->name)));
}

/* "HTTPRoute default/shop rules[1].matches[0]" */
static void add_rule(const struct page *p, const struct snap_entry *e)
{
    const struct snap_rule *r = &p->s->RULES[e->rule];
    struct str section = snap_name(p->s, e->section);
    if (section.n == 0)
        section = snap_name(p->s, p->s->ORIGINS[r->origin].section);
    add_object(p, r->origin);
    buf_addf(p->out, "%s" STR_FMT, section.n ? " " : "", STR_ARG(section));
}

/* Ends the line with the match's own place, else the rule's. */
static void end_with_match(const struct page *p, size_t from, const struct snap_entry *e)
{
    const struct snap_rule *r = &p->s->RULES[e->rule];
    struct snap_origin at = snap_place(p->s, r, e->place);
    bool own = snap_name(p->s, p->s->OBJECTS[at.object].file).n > 0;
    end_with_origin(p, from, own ? &at : &p->s->ORIGINS[r->origin]);
}

/* --- parts --------------------------------------------------------------------------------------- */

static void headline(const struct page *p)
{
    const struct explain *x = p->x;
    buf_addf(p->out, STR_FMT " " STR_FMT "\n=> ", STR_ARG(x->method), STR_ARG(x->url));
    if (x->https_redirect) {
        bold(p, "redirected");
        buf_addc(p->out, " with 301 to https, as every request to this host\n");
        return;
    }
    if (!strcmp(x->outcome, "route")) {
        const struct snap_rule *r = x->hit.rule;
        bold(p, "routed");
        if (r->splits.n == 1)
            buf_addf(p->out, " to " STR_FMT, STR_ARG(snap_text(p->s, p->s->SPLITS[r->splits.first].name)));
        else
            buf_addf(p->out, " to one of %u backends", r->splits.n);
    } else if (!strcmp(x->outcome, "redirect")) {
        bold(p, "redirected");
        buf_addf(p->out, " with %u", x->status);
    } else if (!strcmp(x->outcome, "direct")) {
        bold(p, "answered by the gateway");
        buf_addf(p->out, " with %u", x->status);
    } else if (!strcmp(x->outcome, "no_listener")) {
        bold(p, "not heard");
    } else if (!strcmp(x->outcome, "closed")) {
        bold(p, "the connection is closed");
        buf_addf(p->out, " (%s)", explain_reason_word(x->reason));
    } else {
        bold(p, "answered with ");
        bold(p, x->outcome);
        buf_addf(p->out, " (%s): ", explain_reason_word(x->reason));
        explain_add_reason(x, p->out);
    }
    if (x->fault.n)
        buf_addf(p->out, ": " STR_FMT, STR_ARG(x->fault));
    buf_addch(p->out, '\n');
}

static void request(const struct page *p)
{
    const struct explain *x = p->x;
    bool other_path = x->path.p && !str_eq(x->path, x->target.path);
    if (x->note.n)
        buf_addf(p->out, "   (" STR_FMT ")\n", STR_ARG(x->note));
    if (other_path || x->from.n)
        buf_addch(p->out, '\n');
    if (other_path) {
        label(p, "path");
        buf_addf(p->out, STR_FMT ", in canonical form: so it is matched and sent\n", STR_ARG(x->path));
    }
    if (x->from.n) {
        label(p, "from");
        buf_addf(p->out, STR_FMT "\n", STR_ARG(x->from));
    }
}

static void listener(const struct page *p)
{
    static const char *const PROTOCOL[] = {"HTTP", "HTTPS", "TLS", "TCP", "UDP"};
    const struct snap_listener *l = p->x->hit.listener;
    const struct snap_bind *b = p->x->bind;
    if (!b)
        return;
    struct str address = snap_text(p->s, b->address);
    size_t from = p->out->n;
    label(p, "listener");
    if (l)
        buf_addf(p->out, STR_FMT ", %s on ", STR_ARG(snap_text(p->s, l->name)), PROTOCOL[l->protocol]);
    buf_addf(p->out, STR_FMT ":%u", STR_ARG(address.n ? address : STR("*")), b->port);
    if (l)
        end_with_place(p, from, l->origin);
    else
        buf_addch(p->out, '\n');
}

/* The names that exist, when none of them fits. */
static void names(const struct page *p)
{
    const struct snap_bind *b = p->x->bind;
    label(p, "hosts");
    uint32_t shown = 0;
    SNAP_EACH(i, b->hosts) {
        if (shown == 10) {
            buf_addf(p->out, " and %u more", b->hosts.n - shown);
            break;
        }
        buf_addf(p->out, "%s" STR_FMT, shown++ ? ", " : "", STR_ARG(snap_text(p->s, p->s->HOSTS[i].name)));
    }
    buf_addc(p->out, shown ? "\n" : "none\n");
}

/* The server name of a TLS connection, and what it led to. */
static void server_name(const struct page *p)
{
    const struct explain *x = p->x;
    if (!x->bind || x->bind->chains.n == 0)
        return;
    size_t from = p->out->n;
    label(p, "TLS");
    buf_addf(p->out, STR_FMT, STR_ARG(x->server_name.n ? x->server_name : STR("no server name")));
    if (!x->chain) {
        buf_addch(p->out, '\n');
        return;
    }
    struct str name = snap_text(p->s, x->chain->name);
    if (!str_eq(name, x->server_name))
        buf_addf(p->out, " by " STR_FMT, STR_ARG(name));
    buf_addc(p->out, ": ");
    explain_add_chain(p->s, x->chain, p->out);
    end_with_place(p, from, x->chain->origin);
    struct snap_range certs = x->chain->tls == SNAP_NONE ? (struct snap_range){0, 0} : p->s->TLS_SERVERS[x->chain->tls].certs;
    SNAP_EACH(i, certs) {
        const struct snap_cert *c = &p->s->CERTS[p->s->INDEXES[i]];
        from = p->out->n;
        buf_addf(p->out, "%*scertificate " STR_FMT, LABEL + 2, "", STR_ARG(snap_name(p->s, c->subject)));
        end_with_place(p, from, c->origin);
    }
}

static void host(const struct page *p)
{
    const struct explain *x = p->x;
    if (!x->bind || x->stream || (x->bind->chains.n && (!x->chain || x->chain->mode != CHAIN_HTTP)))
        return;
    if (!x->hit.host) {
        names(p);
        return;
    }
    struct str name = snap_text(p->s, x->hit.host->name);
    size_t from = p->out->n;
    label(p, "host");
    buf_addf(p->out, STR_FMT, STR_ARG(name));
    size_t c = columns(p->out->p + from, p->out->n - from);
    buf_addf(p->out, "%*s  ", c < PLACES ? (int)(PLACES - c) : 0, "");
    buf_addc(p->out, str_eqc(name, "*") ? "every name that has no host of its own"
                     : name.p[0] == '*' ? "the longest wildcard that fits"
                                        : "exact name");
    if (x->n_hosts > 1)
        buf_addf(p->out, ", after %zu more specific", x->n_hosts - 1);
    buf_addch(p->out, '\n');
}

static void rule(const struct page *p)
{
    const struct snap_entry *e = p->x->hit.entry;
    const struct snap_rule *r = p->x->hit.rule;
    size_t from = p->out->n;
    if (!e && !r)
        return;
    label(p, "rule");
    if (!e) {
        add_object(p, r->origin);
        end_with_place(p, from, r->origin);
        return;
    }
    add_rule(p, e);
    end_with_match(p, from, e);
    buf_addf(p->out, "%*s", LABEL + 2, "");
    explain_add_path(p->s, e, p->out);
    SNAP_EACH(i, e->conds) {
        buf_addf(p->out, "\n%*s", LABEL + 2, "");
        explain_add_cond(p->s, &p->s->CONDS[i], p->out);
    }
    buf_addch(p->out, '\n');
}

static void filter_lines(const struct page *p, const char *word, struct snap_range filters, int indent)
{
    bool first = true;
    SNAP_EACH(i, filters) {
        const struct snap_filter *f = &p->s->FILTERS[i];
        for (uint32_t k = 0;; k++) {
            struct buf phrase = {0};
            bool more = explain_add_filter(p->s, f, k, &phrase);
            size_t from = p->out->n;
            if (more) {
                if (first && word)
                    label(p, word);
                else
                    buf_addf(p->out, "%*s", indent, "");
                first = false;
                buf_adds(p->out, buf_str(&phrase));
                end_with_place(p, from, f->origin);
            }
            buf_fini(&phrase);
            if (!more)
                break;
        }
    }
}

static void limits(const struct page *p)
{
    const struct snap_rule *r = p->x->hit.rule;
    const struct snap_settings *v = p->s->SETTINGS;
    bool own_request = r->request_timeout_ms != SNAP_NONE, own_backend = r->backend_timeout_ms != SNAP_NONE;
    uint32_t request_ms = own_request ? r->request_timeout_ms : v->request_timeout_ms;
    uint32_t backend_ms = own_backend ? r->backend_timeout_ms : v->backend_timeout_ms;
    label(p, "timeouts");
    if (request_ms)
        buf_addf(p->out, "request %u ms%s, ", request_ms, own_request ? "" : " (instance)");
    else
        buf_addc(p->out, "request none, ");
    if (backend_ms)
        buf_addf(p->out, "backend %u ms%s", backend_ms, own_backend ? "" : " (instance)");
    else
        buf_addc(p->out, "backend none");
    buf_addch(p->out, '\n');
    if (r->retry != SNAP_NONE) {
        label(p, "retries");
        explain_add_retry(p->s, &p->s->RETRIES[r->retry], p->out);
        buf_addch(p->out, '\n');
    }
}

static void endpoints(const struct page *p, const struct snap_cluster *c)
{
    uint32_t shown = 0;
    SNAP_EACH(i, c->endpoints) {
        const struct snap_endpoint *e = &p->s->ENDPOINTS[i];
        struct str a = snap_text(p->s, e->address);
        buf_addf(p->out, "%*s", LABEL + 8, "");
        if (shown++ == 16) {
            buf_addf(p->out, "and %u more\n", c->endpoints.n - 16);
            return;
        }
        buf_addf(p->out, e->family == 6 ? "[" STR_FMT "]" : STR_FMT, STR_ARG(a));
        if (e->port)
            buf_addf(p->out, ":%u", e->port);
        buf_addc(p->out, e->dns_slot != SNAP_NONE ? ", resolved by DNS\n" : "\n");
    }
}

static void backends(const struct page *p)
{
    const struct snap_rule *r = p->x->hit.rule;
    bool first = true;
    SNAP_EACH(i, r->splits) {
        const struct snap_split *v = &p->s->SPLITS[i];
        const struct snap_cluster *c = SNAP_AT(p->s, CLUSTERS, v->cluster);
        size_t from = p->out->n;
        label(p, first ? "backends" : "");
        first = false;
        buf_addf(p->out, "%3.0f %%  " STR_FMT, explain_share(r, v), STR_ARG(snap_text(p->s, v->name)));
        if (!c && p->x->stream)
            buf_addf(p->out, ": closed (%s)", explain_reason_word((enum reason)v->reason));
        else if (!c)
            buf_addf(p->out, ": answers %u (%s)", v->status, explain_reason_word((enum reason)v->reason));
        else if (c->endpoints.n == 0)
            buf_addc(p->out, p->x->stream ? ": no endpoints, closed" : ": no endpoints, answers 503");
        if (c && c->tls != SNAP_NONE)
            buf_addc(p->out, ", over TLS");
        struct snap_origin at = snap_place(p->s, r, v->place);
        end_with_origin(p, from, &at);
        if (c)
            endpoints(p, c);
        filter_lines(p, NULL, v->filters, LABEL + 8);
    }
    if (r->splits.n == 0) {
        label(p, "backends");
        buf_addf(p->out, "none: answers %u\n", p->x->status);
    }
}

static void action(const struct page *p)
{
    const struct snap_rule *r = p->x->hit.rule;
    if (!r)
        return;
    filter_lines(p, "filters", r->filters, LABEL);
    if (r->action == ACTION_REDIRECT) {
        label(p, "redirect");
        explain_add_redirect(p->s, &p->s->REDIRECTS[r->redirect], p->out);
        buf_addch(p->out, '\n');
    } else if (r->action == ACTION_DIRECT) {
        label(p, "answer");
        buf_addf(p->out, "%u, %u bytes\n", p->s->DIRECTS[r->direct].status, p->s->DIRECTS[r->direct].body.len);
    } else {
        if (!p->x->stream)
            limits(p);
        backends(p);
    }
}

static void candidate(const struct page *p, const struct explain_candidate *c)
{
    size_t from = p->out->n;
    buf_addf(p->out, "%5u  ", c->entry->rank);
    add_rule(p, c->entry);
    if (c->host != p->x->hit.host)
        buf_addf(p->out, " of host " STR_FMT, STR_ARG(snap_text(p->s, c->host->name)));
    end_with_match(p, from, c->entry);
    buf_addf(p->out, "%*s", 9, "");
    explain_add_lost(p->x, c, p->out);
    buf_addch(p->out, '\n');
}

static void not_taken(const struct page *p)
{
    const struct explain *x = p->x;
    size_t shown = x->n_near + x->n_far, lost = x->n_candidates - (x->hit.entry ? 1 : 0);
    if (shown == 0)
        return;
    buf_addch(p->out, '\n');
    bold(p, "not taken");
    buf_addch(p->out, '\n');
    for (size_t i = 0; i < x->n_near; i++)
        candidate(p, &x->near[i]);
    for (size_t i = 0; i < x->n_far; i++)
        candidate(p, &x->far[i]);
    if (lost > shown)
        buf_addf(p->out, "       and %zu more\n", lost - shown);
}

void explain_text(const struct explain *x, bool color, struct buf *out)
{
    struct page p = {x, x->snap, out, color};
    headline(&p);
    request(&p);
    if (x->bind)
        buf_addch(out, '\n');
    listener(&p);
    server_name(&p);
    host(&p);
    if (!x->https_redirect) {
        rule(&p);
        action(&p);
        not_taken(&p);
    }
}
