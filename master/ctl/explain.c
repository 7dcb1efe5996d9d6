#include "master/ctl/explain.h"
#include "shared/http/field.h"

/* --- the request, as the worker reads it --------------------------------------------------------- */

static void answer(struct explain *x, const char *outcome, unsigned status, enum reason why)
{
    x->outcome = outcome;
    x->status = status;
    x->reason = why;
}

static const struct explain_header *host_field(const struct explain *x)
{
    for (size_t i = 0; i < x->headers.n; i++)
        if (str_ieq(x->headers.v[i].name, STR("host")))
            return &x->headers.v[i];
    return NULL;
}

/* "example.com/x" is what people type; a path alone needs a Host header. */
static struct str as_target(struct explain *x)
{
    ptrdiff_t hash = str_chr(x->url, '#');
    struct str url = hash < 0 ? x->url : str_head(x->url, (size_t)hash);
    if (str_starts(url, STR("/")) || str_eqc(url, "*") || str_find(url, STR("://")) >= 0)
        return url;
    return arena_strf(&x->arena, "http://" STR_FMT, STR_ARG(url));
}

static bool read_target(struct explain *x)
{
    enum http_method m = http_method_of(x->method);
    if (m == METHOD_CONNECT) {
        answer(x, "405", 405, REASON_CONNECT_REFUSED);
        return false;
    }
    enum uri_fault f = http_target_parse(m, as_target(x), &x->target);
    if (f != URI_OK) {
        answer(x, "400", 400, REASON_BAD_REQUEST);
        x->fault = str_c(uri_fault_text(f));
        return false;
    }
    x->scheme = x->target.https ? STR("https") : STR("http");
    return true;
}

/* The URL's port is where the client connects; the Host header may say another name, and port. */
static bool read_host(struct explain *x)
{
    const struct explain_header *f = host_field(x);
    struct http_host connect = {0};
    x->authority = f ? f->value : x->target.authority.p ? x->target.authority : STR("");
    if (!http_host_parse(x->authority, &x->host) ||
        (x->target.authority.p && !http_host_parse(x->target.authority, &connect))) {
        answer(x, "400", 400, REASON_BAD_HOST);
        x->fault = arena_strf(&x->arena, "\"" STR_FMT "\" is no host", STR_ARG(x->authority));
        return false;
    }
    char *room = arena_alloc(&x->arena, HTTP_HOST_MAX);
    x->host_name = http_host_canonical(&x->host, room);
    x->asked_port = connect.port ? connect.port : x->target.https ? 443 : 80;
    return true;
}

static bool read_path(struct explain *x)
{
    struct str raw = x->target.path;
    char *room = arena_alloc(&x->arena, HTTP_PATH_ROOM(raw.n));
    enum uri_fault f = route_path(x->snap, raw.n ? raw : STR("/"), room, &x->path);
    if (f == URI_OK)
        return true;
    answer(x, "400", 400, REASON_BAD_PATH);
    x->fault = str_c(uri_fault_text(f));
    return false;
}

/* Known names spelt with '_' never pass; other names with '_' only if the instance says so. */
static bool is_dropped(const struct explain *x, struct str name)
{
    return http_field_alias_of(name) != FIELD_OTHER ||
           (str_chr(name, '_') >= 0 && !x->snap->SETTINGS->underscore_headers);
}

bool explain_header(const void *ctx, struct str name, struct str *value)
{
    struct explain *x = (struct explain *)(uintptr_t)ctx;
    struct buf joined = {0};
    size_t n = 0;
    if (str_eqc(name, "host") && x->authority.n) {
        *value = x->authority;
        return true;
    }
    for (size_t i = 0; i < x->headers.n; i++) {
        const struct explain_header *h = &x->headers.v[i];
        if (!str_ieq(h->name, name) || is_dropped(x, h->name))
            continue;
        buf_addc(&joined, n++ ? "," : "");
        buf_adds(&joined, h->value);
    }
    *value = n ? arena_str(&x->arena, buf_str(&joined)) : STR("");
    buf_fini(&joined);
    return n > 0;
}

/* --- the listening socket ------------------------------------------------------------------------ */

static struct str list_of_binds(struct explain *x, uint16_t port)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < x->snap->n[SNAP_BINDS]; i++) {
        const struct snap_bind *v = &x->snap->BINDS[i];
        struct str a = snap_text(x->snap, v->address);
        if (!port || v->port == port)
            buf_addf(&b, "%s" STR_FMT ":%u", b.n ? ", " : "", STR_ARG(a.n ? a : STR("*")), v->port);
    }
    struct str s = arena_str(&x->arena, buf_str(&b));
    buf_fini(&b);
    return s;
}

static bool choose_bind(struct explain *x)
{
    const struct snap *s = x->snap;
    uint16_t port = x->port ? x->port : x->asked_port;
    uint32_t fits = 0;
    for (uint32_t i = 0; i < s->n[SNAP_BINDS]; i++) {
        const struct snap_bind *b = &s->BINDS[i];
        struct str address = snap_text(s, b->address);
        if (b->flags & SNAP_BIND_DATAGRAM || b->port != port || (x->address.n && !str_eq(address, x->address)))
            continue;
        if (!x->bind || (address.n == 0 && !x->address.n))
            x->bind = b;
        fits++;
    }
    if (fits > 1 && x->bind && snap_text(s, x->bind->address).n)
        x->note = arena_strf(&x->arena, "several addresses have port %u (" STR_FMT "); --address says which is meant", port,
                             STR_ARG(list_of_binds(x, port)));
    if (!x->bind && !x->port && !x->address.n && s->n[SNAP_BINDS] == 1) {
        x->bind = &s->BINDS[0];
        x->note = arena_strf(&x->arena, "nothing listens on port %u; port %u, the only one, is assumed", port, x->bind->port);
    }
    if (x->bind)
        return true;
    answer(x, "no_listener", 0, REASON_NO_LISTENER_HOST);
    x->fault = s->n[SNAP_BINDS] ? arena_strf(&x->arena, "nothing listens on port %u, only on " STR_FMT, port,
                                             STR_ARG(list_of_binds(x, 0)))
                                : STR("the configuration has no listener");
    return false;
}

/* --- candidates ---------------------------------------------------------------------------------- */

static size_t common_bytes(struct str a, struct str b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* Keeps the EXPLAIN_FAR whose paths are nearest, nearest first. */
static void keep_far(struct explain *x, struct explain_candidate c)
{
    size_t at = x->n_far;
    c.common = common_bytes(snap_text(x->snap, c.entry->path_value), x->path);
    while (at > 0 && x->far[at - 1].common < c.common)
        at--;
    if (at == EXPLAIN_FAR)
        return;
    size_t last = GH_MIN(x->n_far, (size_t)EXPLAIN_FAR - 1);
    memmove(&x->far[at + 1], &x->far[at], (last - at) * sizeof(c));
    x->far[at] = c;
    x->n_far = last + 1;
}

static void on_candidate(void *ctx, const struct snap_host *h, const struct snap_entry *e, enum route_lost why,
                         const struct snap_cond *cond)
{
    struct explain *x = ctx;
    struct explain_candidate c = {e, h, why, cond, 0};
    x->n_hosts += h != x->last_host;
    x->last_host = h;
    x->n_candidates++;
    if (why == LOST_NOT)
        return;
    if (why == LOST_PATH)
        keep_far(x, c);
    else if (x->n_near < EXPLAIN_NEAR)
        x->near[x->n_near++] = c;
}

/* --- the answer ---------------------------------------------------------------------------------- */

static const char *status_word(struct explain *x, unsigned status)
{
    return arena_strf(&x->arena, "%u", status).p;
}

/* A split of which every share fails is no route. */
static void judge_split(struct explain *x, const struct snap_rule *r)
{
    const struct snap *s = x->snap;
    unsigned status = 0;
    enum reason why = REASON_OK;
    if (r->total_weight == 0) {
        unsigned none = r->no_backend_status ? r->no_backend_status : 500;
        answer(x, status_word(x, none), none, REASON_NO_BACKEND);
        return;
    }
    SNAP_EACH(i, r->splits) {
        const struct snap_split *p = &s->SPLITS[i];
        if (p->weight == 0)
            continue;
        if (p->cluster != SNAP_NONE && s->CLUSTERS[p->cluster].endpoints.n > 0) {
            answer(x, "route", 0, REASON_OK);
            return;
        }
        if (why == REASON_OK) {
            status = p->cluster == SNAP_NONE ? p->status : 503;
            why = p->cluster == SNAP_NONE ? (enum reason)p->reason : REASON_NO_ENDPOINTS;
        }
    }
    answer(x, status_word(x, status), status, why);
}

static void judge(struct explain *x, enum reason why)
{
    const struct snap_rule *r = x->hit.rule;
    if (route_is_misdirected(x->chain, &x->hit)) {
        x->fault = arena_strf(&x->arena, "the TLS connection is listener " STR_FMT "'s",
                              STR_ARG(snap_text(x->snap, x->snap->LISTENERS[x->chain->listener].name)));
        answer(x, "421", 421, REASON_MISDIRECTED);
        x->hit.rule = NULL;
        x->hit.entry = NULL;
    } else if (x->hit.host && x->hit.host->flags & SNAP_HOST_HTTPS_REDIRECT && !str_eqc(x->scheme, "https")) {
        x->https_redirect = true;
        answer(x, "redirect", 301, REASON_REDIRECT);
    } else if (!r) {
        answer(x, "404", 404, why);
    } else if (r->action == ACTION_REDIRECT) {
        answer(x, "redirect", x->snap->REDIRECTS[r->redirect].status, REASON_REDIRECT);
    } else if (r->action == ACTION_DIRECT) {
        answer(x, "direct", x->snap->DIRECTS[r->direct].status, REASON_DIRECT);
    } else {
        judge_split(x, r);
    }
}

/* --- connections: TLS and bytes -------------------------------------------------------------------- */

static void closed(struct explain *x, enum reason why, struct str sentence)
{
    answer(x, "closed", 0, why);
    x->fault = sentence;
}

/* A rule of layer 4: no host, no path; what would be a status closes the connection. */
static void judge_stream(struct explain *x, const struct snap_listener *l, const struct snap_rule *r)
{
    x->stream = true;
    x->hit.listener = l;
    x->hit.rule = r;
    if (r)
        judge_split(x, r);
    else
        closed(x, REASON_NO_ROUTE, STR("no route is attached to this listener"));
    if (r && strcmp(x->outcome, "route") != 0)
        closed(x, x->reason, STR_NONE);
}

/* What the ClientHello decides. False: it decides all. */
static bool read_chain(struct explain *x)
{
    const struct snap *s = x->snap;
    const struct snap_bind *b = x->bind;
    bool named = x->has_sni || (x->host.kind == HOST_NAME && x->host_name.n);
    x->server_name = x->has_sni ? x->sni : named ? x->host_name : STR("");
    x->chain = route_chain(s, b, x->server_name);
    if (!x->chain) {
        closed(x, REASON_NO_LISTENER_HOST,
               x->server_name.n ? arena_strf(&x->arena, "no listener of port %u has the server name " STR_FMT, b->port,
                                             STR_ARG(x->server_name))
                                : arena_strf(&x->arena, "no listener of port %u serves clients that send no server name",
                                             b->port));
        return false;
    }
    const struct snap_listener *l = &s->LISTENERS[x->chain->listener];
    x->hit.listener = l;
    if (x->chain->mode == CHAIN_REFUSE)
        closed(x, REASON_NO_LISTENER_HOST, snap_name(s, x->chain->why));
    else if (x->chain->mode != CHAIN_HTTP)
        judge_stream(x, l, SNAP_AT(s, RULES, x->chain->rule));
    else
        x->scheme = STR("https");
    return x->chain->mode == CHAIN_HTTP;
}

/* Is the request read at all, or is the connection only bytes to the gateway? */
static bool is_http(struct explain *x)
{
    const struct snap_bind *b = x->bind;
    if (b->chains.n)
        return read_chain(x);
    if (b->stream_rule == SNAP_NONE && b->protocol != LISTENER_TCP)
        return true;
    judge_stream(x, SNAP_AT(x->snap, LISTENERS, b->listeners.n ? b->listeners.first : SNAP_NONE),
                 SNAP_AT(x->snap, RULES, b->stream_rule));
    return false;
}

void explain_run(struct explain *x)
{
    if (!read_target(x) || !read_host(x) || !read_path(x) || !choose_bind(x) || !is_http(x))
        return;
    struct str proto;
    if (x->bind->trusted_hops && explain_header(x, STR("x-forwarded-proto"), &proto))
        x->scheme = str_ieq(proto, STR("https")) ? STR("https") : STR("http");
    struct route_request q = {.host = x->host_name, .path = x->path, .query = x->target.query, .method = x->method,
                              .scheme = x->scheme, .authority = x->authority, .header = explain_header, .header_ctx = x,
                              .regex = snap_regexes_match, .regex_ctx = x->regexes};
    enum reason why = route_find(x->snap, x->bind, &q, &x->hit);
    judge(x, why);
    route_trace(x->snap, x->bind, &q, on_candidate, x);
}

bool explain_is_served(const struct explain *x)
{
    return !strcmp(x->outcome, "route") || !strcmp(x->outcome, "redirect") || !strcmp(x->outcome, "direct");
}

double explain_share(const struct snap_rule *r, const struct snap_split *p)
{
    return r->total_weight ? 100.0 * p->weight / r->total_weight : 0;
}
