/*
 * istio_rule.c - one http rule of a VirtualService to a model_rule (ISTIO-RULES 3.5 to 3.10).
 *
 * Header operations (3.10): with one destination its operations are merged into the rule's, removes of both
 * first; with several, each split keeps its own and they run before the rule's (HEADER_MERGE_SPLIT_FIRST).
 */
#include "master/lower/istio.h"

#include <stdlib.h>

#define DEFAULT_RETRIES 2

/* ---- headers ------------------------------------------------------------------------------------------ */

/* The value as the worker takes it: commands stay, a value of literals only is unescaped. */
static struct str header_value(struct lower *l, struct str v, bool *has_subst, bool *served)
{
    *has_subst = istio_value_has_command(v, served);
    if (*has_subst || str_chr(v, '%') < 0)
        return v;
    struct istio_value_piece piece;
    const char *fault;
    char *out = arena_alloc(l->arena, v.n + 1);
    size_t n = 0;
    while (istio_value_next(&v, &piece, &fault)) {
        memcpy(out + n, piece.text.p, piece.text.n);
        n += piece.text.n;
    }
    return str_of(out, n);
}

static int pair_cmp(const void *a, const void *b)
{
    return str_cmp((*(const struct str_pair *const *)a)->key, (*(const struct str_pair *const *)b)->key);
}

/* set or add, in the order of names; Host is the rewrite's business. */
static void add_values(struct lower *l, struct model_filter *f, enum header_op op, const struct str_map *map)
{
    const struct str_pair **order = arena_new_n(l->arena, const struct str_pair *, map->n);
    for (size_t i = 0; i < map->n; i++)
        order[i] = &map->v[i];
    if (map->n > 1)
        qsort(order, map->n, sizeof(*order), pair_cmp);
    for (size_t i = 0; i < map->n; i++) {
        bool subst, served;
        struct str value = header_value(l, order[i]->val, &subst, &served);
        if (!served || istio_is_host_header(order[i]->key))
            continue;
        *ARENA_PUSH(l->arena, &f->u.headers) =
            (struct model_header_op){.op = op, .name = order[i]->key, .value = value, .has_subst = subst};
    }
}

static const struct istio_header_ops *ops_of(const struct istio_headers *h, enum filter_type type)
{
    return !h ? NULL : type == FILTER_REQUEST_HEADERS ? h->request : h->response;
}

/* One filter for the operations of `first` and then `second` (either may be NULL): all removes, then each one's
 * set and add. */
static void header_filter(struct lower *l, struct model_filters *out, const struct object *o, enum filter_type type,
                          const struct istio_headers *first, const struct istio_headers *second)
{
    const struct istio_header_ops *ops[] = {ops_of(first, type), ops_of(second, type)};
    struct model_filter f = {.type = type};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        for (size_t k = 0; ops[i] && k < ops[i]->remove.n; k++)
            *ARENA_PUSH(l->arena, &f.u.headers) =
                (struct model_header_op){.op = HEADER_REMOVE, .name = ops[i]->remove.v[k]};
        if (ops[i] && !f.origin.source)
            f.origin = lower_origin(l, o, ops[i]->node, STR_NONE);
    }
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (!ops[i])
            continue;
        add_values(l, &f, HEADER_SET, &ops[i]->set);
        add_values(l, &f, HEADER_ADD, &ops[i]->add);
    }
    if (f.u.headers.n)
        *ARENA_PUSH(l->arena, out) = f;
}

/* Host as headers.request names it, set before add; empty when it does not. */
static struct str host_of(const struct istio_headers *h)
{
    if (!h || !h->request)
        return STR_NONE;
    const struct str_map *maps[] = {&h->request->set, &h->request->add};
    for (size_t m = 0; m < ARRAY_LEN(maps); m++)
        for (size_t i = 0; i < maps[m]->n; i++)
            if (istio_is_host_header(maps[m]->v[i].key))
                return maps[m]->v[i].val;
    return STR_NONE;
}

/* ---- rewrite --------------------------------------------------------------------------------------------- */

static struct str with_slash(struct lower *l, struct str path)
{
    return path.n && path.p[0] != '/' ? arena_strf(l->arena, "/" STR_FMT, STR_ARG(path)) : path;
}

static struct model_path_rewrite path_rewrite(struct lower *l, const struct istio_rewrite *r)
{
    if (!r)
        return (struct model_path_rewrite){0};
    if (r->regex)
        return (struct model_path_rewrite){.type = REWRITE_REGEX, .value = r->regex->rewrite, .regex = r->regex->match};
    if (r->uri.n == 0)
        return (struct model_path_rewrite){0};
    /* Where the match was of the whole path, so is what is replaced. */
    return (struct model_path_rewrite){.type = REWRITE_PREFIX_STRING, .value = with_slash(l, r->uri)};
}

static void rewrite_filter(struct lower *l, struct model_filters *out, const struct object *o, const struct node *at,
                           struct str host, struct model_path_rewrite path)
{
    if (host.n == 0 && path.type == REWRITE_NONE)
        return;
    struct model_filter *f = ARENA_PUSH(l->arena, out);
    f->type = FILTER_REWRITE;
    f->u.rewrite.host = host;
    f->u.rewrite.path = path;
    f->origin = lower_origin(l, o, at, STR_NONE);
}

/* ---- redirect and direct response ---------------------------------------------------------------------------- */

/* "host:port" in authority counts as if port were set. */
static void redirect_authority(struct model_redirect *out, struct str authority)
{
    ptrdiff_t colon = str_rchr(authority, ':');
    uint64_t port;
    out->host = authority;
    out->port_mode = PORT_NONE;
    if (colon < 0 || (str_rchr(authority, ']') > colon) || !str_u64(str_skip(authority, (size_t)colon + 1), &port))
        return;
    out->host = str_head(authority, (size_t)colon);
    out->port_mode = PORT_FIXED;
    out->port = (uint16_t)port;
}

static void redirect(struct lower *l, struct model_rule *out, const struct istio_redirect *r)
{
    struct model_redirect *d = arena_new(l->arena, struct model_redirect);
    out->action = ACTION_REDIRECT;
    out->redirect = d;
    d->status = (uint16_t)r->code.v;
    d->scheme = r->scheme;
    d->port_mode = PORT_KEEP_HOST;
    if (r->authority.n)
        redirect_authority(d, r->authority);
    if (r->port.set) {
        d->port_mode = PORT_FIXED;
        d->port = (uint16_t)r->port.v;
    } else if (istio_get(r->node, "derivePort")) {
        d->port_mode = r->derive_port == ISTIO_FROM_REQUEST_PORT ? PORT_REQUEST : PORT_NONE;
    }
    if (r->uri.n) {
        d->path = (struct model_path_rewrite){.type = REWRITE_FULL, .value = with_slash(l, r->uri)};
        d->value_has_query = str_chr(r->uri, '?') >= 0;
    } else if (r->prefix_rewrite.n) {
        d->path = (struct model_path_rewrite){.type = REWRITE_PREFIX_STRING, .value = with_slash(l, r->prefix_rewrite)};
    }
}

static void direct(struct lower *l, struct model_rule *out, const struct istio_direct *r)
{
    out->action = ACTION_DIRECT;
    out->direct = arena_new(l->arena, struct model_direct);
    out->direct->status = (uint16_t)r->status.v;
    if (!r->body || r->body->content.n == 0)
        return;
    out->direct->body = r->body->content;
    out->direct->content_type = STR("text/plain");
}

/* ---- route ------------------------------------------------------------------------------------------------------ */

bool istio_rule_needs_port(struct lower *l, const struct istio_rule_ref *r)
{
    for (size_t i = 0; i < r->rule->route.n; i++) {
        const struct istio_destination *t = r->rule->route.v[i].destination;
        if (!t->port && istio_target(l, t->host, 0, 0, r->owner->ns).ambiguous)
            return true;
    }
    return false;
}

/* Shares stay as they are to one part in a million. */
uint32_t istio_scaled_weight(int64_t weight, int64_t most)
{
    if (most <= ISTIO_WEIGHT_MAX || weight == 0)
        return (uint32_t)weight;
    return (uint32_t)GH_MAX(weight * ISTIO_WEIGHT_MAX / most, 1);
}

static uint32_t scaled(const struct istio_http_rule *r, size_t i)
{
    int64_t most = 0;
    for (size_t k = 0; k < r->route.n; k++)
        most = GH_MAX(most, r->route.v[k].weight.v);
    return r->route.n == 1 ? 1 : istio_scaled_weight(r->route.v[i].weight.v, most);
}

static void split(struct lower *l, struct model_rule *out, const struct object *o, const struct istio_http_rule *r,
                  size_t i, uint16_t port, struct str rule_host)
{
    const struct istio_http_destination *d = &r->route.v[i];
    struct model_split *s = ARENA_PUSH(l->arena, &out->splits);
    s->weight = scaled(r, i);
    s->origin = lower_origin(l, o, d->node, STR_NONE);
    istio_split(l, s, o, d->destination, port);
    if (r->route.n == 1)
        return;
    header_filter(l, &s->filters, o, FILTER_REQUEST_HEADERS, d->headers, NULL);
    header_filter(l, &s->filters, o, FILTER_RESPONSE_HEADERS, d->headers, NULL);
    if (rule_host.n == 0)
        rewrite_filter(l, &s->filters, o, d->node, host_of(d->headers), (struct model_path_rewrite){0});
}

static void route(struct lower *l, struct model_rule *out, const struct object *o, const struct istio_http_rule *r,
                  uint16_t port, struct str rule_host)
{
    out->action = ACTION_SPLIT;
    out->no_backend_status = r->route.n ? 0 : 503;
    out->header_merge = r->route.n > 1 ? HEADER_MERGE_SPLIT_FIRST : HEADER_MERGE_RULE_FIRST;
    for (size_t i = 0; i < r->route.n; i++)
        split(l, out, o, r, i, port, rule_host);
}

static void retries(struct model_rule *out, const struct istio_retries *r)
{
    static const uint32_t DEFAULT_ON = RETRY_ON_CONNECT_FAILURE | RETRY_ON_REFUSED_STREAM |
                                       RETRY_ON_GRPC_UNAVAILABLE | RETRY_ON_GRPC_CANCELLED;
    if (!r) {
        out->retry = (struct model_retry){.attempts = DEFAULT_RETRIES, .on = DEFAULT_ON};
        return;
    }
    if (r->attempts.v == 0)
        return;
    out->retry = (struct model_retry){
        .attempts = (uint16_t)GH_MIN(r->attempts.v, UINT16_MAX),
        .on = r->retry_on.n ? r->on : DEFAULT_ON,
        .codes = r->codes,
        .n_codes = r->n_codes,
        .backoff_ms = (uint32_t)GH_MIN(r->backoff.ms, UINT32_MAX),
        .per_try_ms = (uint32_t)GH_MIN(r->per_try_timeout.ms, UINT32_MAX),
    };
}

static void timeouts(struct model_rule *out, const struct istio_http_rule *r)
{
    if (!r->timeout.set)
        return;
    /* The rule's timeout alone decides how long a backend may take. */
    out->has_request_timeout = out->has_backend_timeout = true;
    out->request_timeout_ms = (uint32_t)GH_MIN(r->timeout.ms, UINT32_MAX);
    out->backend_timeout_ms = 0;
}

struct model_rule *istio_rule(struct lower *l, const struct istio_rule_ref *ref, uint16_t port, struct str suffix)
{
    const struct istio_http_rule *r = ref->rule;
    const struct object *o = ref->owner;
    struct str key = arena_strf(l->arena, "VirtualService/" STR_FMT STR_FMT, STR_ARG(ref->id), STR_ARG(suffix));
    struct model_rule *out = model_rule_add(l->model, key);
    out->name = r->name.n ? r->name : ref->id;
    out->origin = lower_origin(l, o, r->node, ref->section);
    const struct istio_headers *only = r->route.n == 1 ? r->route.v[0].headers : NULL;
    struct str host = r->rewrite ? r->rewrite->authority : STR_NONE;
    if (host.n == 0)
        host = host_of(r->headers);
    if (host.n == 0)
        host = host_of(only);
    header_filter(l, &out->filters, o, FILTER_REQUEST_HEADERS, r->headers, only);
    header_filter(l, &out->filters, o, FILTER_RESPONSE_HEADERS, r->headers, only);
    if (r->redirect)
        redirect(l, out, r->redirect);
    else if (r->direct)
        direct(l, out, r->direct);
    else {
        rewrite_filter(l, &out->filters, o, r->rewrite ? r->rewrite->node : r->node, host, path_rewrite(l, r->rewrite));
        route(l, out, o, r, port, host);
        timeouts(out, r);
        retries(out, r->retries);
    }
    return out;
}
