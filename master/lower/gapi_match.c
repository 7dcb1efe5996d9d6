/* gapi_match.c - matches of HTTPRoutes and GRPCRoutes as parts of the model; GATEWAY-API-RULES sections 6 and 11. */
#include "master/lower/gapi.h"
#include "shared/http/uri.h"

/* ---- names ----------------------------------------------------------------------------------- */

/* A hundred thousand routes share a few of these words. */
struct str gapi_rule_word(struct lower *l, size_t i)
{
    struct str *w = i < GAPI_RULES_MAX ? &l->gapi->rule_words[i] : NULL;
    if (!w)
        return arena_strf(l->arena, "rules[%zu]", i);
    if (!w->n)
        *w = arena_strf(l->arena, "rules[%zu]", i);
    return *w;
}

struct str gapi_match_word(struct lower *l, size_t i, size_t j)
{
    struct str *w = i < GAPI_RULES_MAX && j < GAPI_MATCHES_MAX ? &l->gapi->match_words[i][j] : NULL;
    if (!w)
        return arena_strf(l->arena, "rules[%zu].matches[%zu]", i, j);
    if (!w->n)
        *w = arena_strf(l->arena, "rules[%zu].matches[%zu]", i, j);
    return *w;
}

/* ---- HTTP (6) -------------------------------------------------------------------------------- */

/* Requests are matched in canonical form (shared/http/uri.h), so values are brought to it, too. */
static struct str canonical(struct lower *l, struct str path)
{
    struct str out;
    if (!memchr(path.p, '%', path.n))
        return path;
    char *room = arena_alloc(l->arena, HTTP_PATH_ROOM(path.n));
    unsigned keep = PATH_KEEP_ENCODED_SLASH | PATH_KEEP_ENCODED_BACKSLASH | PATH_KEEP_PARAMETERS;
    return http_path_canonical(path, keep, room, &out) == URI_OK ? out : path;
}

static void make_path(struct lower *l, const struct gapi_path_match *p, struct model_match *m)
{
    m->path = PATH_PREFIX_ELEMENT;
    m->path_value = STR("");
    if (!p)
        return;
    if (p->type == GAPI_PATH_REGEX) {
        m->path = PATH_REGEX;
        m->path_value = p->value;
        return;
    }
    m->path = p->type == GAPI_PATH_EXACT ? PATH_EXACT : PATH_PREFIX_ELEMENT;
    m->path_value = canonical(l, p->value);
    while (m->path == PATH_PREFIX_ELEMENT && m->path_value.n &&
           m->path_value.p[m->path_value.n - 1] == '/')
        m->path_value.n--;
}

static struct str lower_case(struct arena *a, struct str s)
{
    char *p = NULL;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (c == s.p[i])
            continue;
        if (!p)
            p = (char *)arena_str(a, s).p; /* ours: just made */
        p[i] = c;
    }
    return p ? str_of(p, s.n) : s;
}

/* Of equal names only the first counts. */
static bool named_before(const struct model_kv_match *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, name))
            return true;
    return false;
}

static size_t make_kv(struct lower *l, const struct gapi_kv_match *from, size_t n, bool headers,
                      struct model_kv_match *v)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        struct str name = headers ? lower_case(l->arena, from[i].name) : from[i].name;
        if (named_before(v, out, name))
            continue;
        v[out].name = name;
        v[out].m.type = from[i].type == GAPI_VALUE_REGEX ? STRMATCH_REGEX : STRMATCH_EXACT;
        v[out++].m.value = from[i].value;
    }
    return out;
}

static void make_http(struct lower *l, const struct gapi_http_match *from, struct model_match *m)
{
    make_path(l, from->path, m);
    if (from->method.n)
        m->method = (struct model_strmatch){.type = STRMATCH_EXACT, .value = from->method};
    if (from->query.n) {
        m->query.v = arena_new_n(l->arena, struct model_kv_match, from->query.n);
        m->query.n = make_kv(l, from->query.v, from->query.n, false, m->query.v);
        m->query.cap = from->query.n;
    }
}

/* ---- gRPC (11) ------------------------------------------------------------------------------- */

/* "/service/method". Names that are compared as they stand need no escapes in an expression: letters, digits, '_' and
 * the dots of a service, which match themselves and what no name has. */
static void make_grpc(struct lower *l, const struct gapi_grpc_method *from, struct model_match *m)
{
    bool exact = from && from->type == GAPI_VALUE_EXACT;
    m->path = PATH_PREFIX_ELEMENT;
    m->path_value = STR("");
    if (!from)
        return;
    if (exact && from->service.n) {
        m->path = from->method.n ? PATH_EXACT : PATH_PREFIX_ELEMENT;
        m->path_value = from->method.n ? arena_strf(l->arena, "/" STR_FMT "/" STR_FMT, STR_ARG(from->service), STR_ARG(from->method))
                                       : arena_strf(l->arena, "/" STR_FMT, STR_ARG(from->service));
        return;
    }
    m->path = PATH_REGEX;
    m->path_value = arena_strf(l->arena, "/(?:" STR_FMT ")/(?:" STR_FMT ")",
                               STR_ARG(from->service.n ? from->service : STR("[^/]+")),
                               STR_ARG(from->method.n ? from->method : STR("[^/]+")));
}

void gapi_grpc_lengths(const struct gapi_rule *r, size_t j, uint16_t *service, uint16_t *method)
{
    const struct gapi_grpc_method *m = r->grpc && j < r->grpc->matches.n ? r->grpc->matches.v[j].method : NULL;
    *service = m ? (uint16_t)m->service.n : 0;
    *method = m ? (uint16_t)m->method.n : 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* The match as it is written: where, its headers; NULL = the rule has none and takes everything. */
static const struct node *written(const struct gapi_rule *r, size_t j, const struct gapi_kv_match **headers, size_t *n)
{
    *n = 0;
    if (r->http && j < r->http->matches.n) {
        *headers = r->http->matches.v[j].headers.v;
        *n = r->http->matches.v[j].headers.n;
        return r->http->matches.v[j].node;
    }
    if (r->grpc && j < r->grpc->matches.n) {
        *headers = r->grpc->matches.v[j].headers.v;
        *n = r->grpc->matches.v[j].headers.n;
        return r->grpc->matches.v[j].node;
    }
    return NULL;
}

struct model_match *gapi_make_match(struct lower *l, const struct object *o,
                                    const struct gapi_rule *r, size_t i, size_t j)
{
    struct model_match *m = arena_new(l->arena, struct model_match);
    const struct gapi_kv_match *headers = NULL;
    size_t n;
    const struct node *at = written(r, j, &headers, &n);
    m->index = (uint16_t)j;
    m->origin = lower_origin(l, o, at ? at : r->node, at ? gapi_match_word(l, i, j) : gapi_rule_word(l, i));
    m->path = PATH_PREFIX_ELEMENT;
    m->path_value = STR("");
    if (!at)
        return m;
    if (r->http)
        make_http(l, &r->http->matches.v[j], m);
    else
        make_grpc(l, r->grpc->matches.v[j].method, m);
    if (n) {
        m->headers.v = arena_new_n(l->arena, struct model_kv_match, n);
        m->headers.n = make_kv(l, headers, n, true, m->headers.v);
        m->headers.cap = n;
    }
    return m;
}
