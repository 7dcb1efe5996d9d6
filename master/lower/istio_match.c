/*
 * istio_match.c - one match block of an http rule to a model_match (ISTIO-RULES 3.4).
 */
#include "master/lower/istio.h"

bool istio_in_context(const struct lower *l, const struct istio_context *c, struct str own_ns, const struct istio_server_state *s)
{
    if (c->port.set && c->port.v != s->port)
        return false;
    for (size_t i = 0; i < c->gateways->n; i++) {
        struct istio_gateway_ref ref = istio_gateway_ref_parse(c->gateways->v[i], own_ns);
        if (!ref.mesh && str_eq(ref.ns, s->gw->object->ns) && str_eq(ref.name, s->gw->object->name))
            return true;
    }
    if (c->gateways->n)
        return false;
    for (size_t i = 0; i < c->source_labels->n; i++)
        if (!istio_has_label(&l->instance->labels, &c->source_labels->v[i]))
            return false;
    return c->source_namespace.n == 0 || str_eq(c->source_namespace, l->instance->ns);
}

bool istio_match_in_context(const struct lower *l, const struct istio_http_match *m, struct str own_ns,
                            const struct istio_server_state *s)
{
    if (!m)
        return true;
    struct istio_context c = {m->port, &m->gateways, &m->source_labels, m->source_namespace};
    return istio_in_context(l, &c, own_ns, s);
}

static struct model_strmatch strmatch(const struct istio_string_match *m)
{
    static const enum strmatch_type TYPES[] = {
        [ISTIO_MATCH_NONE] = STRMATCH_PRESENT,
        [ISTIO_MATCH_EXACT] = STRMATCH_EXACT,
        [ISTIO_MATCH_PREFIX] = STRMATCH_PREFIX,
        [ISTIO_MATCH_REGEX] = STRMATCH_REGEX,
    };
    struct model_strmatch out = {.type = TYPES[m->type]};
    if (m->type != ISTIO_MATCH_NONE)
        out.value = istio_match_value(m);
    return out;
}

static void path(struct model_match *out, const struct istio_http_match *m)
{
    const struct istio_string_match *u = m->uri;
    if (!u || u->type == ISTIO_MATCH_NONE)
        return; /* PATH_ANY; to a rewrite its prefix is "/" (3.6) */
    static const enum path_match TYPES[] = {
        [ISTIO_MATCH_EXACT] = PATH_EXACT,
        [ISTIO_MATCH_PREFIX] = PATH_PREFIX_STRING,
        [ISTIO_MATCH_REGEX] = PATH_REGEX,
    };
    out->path = TYPES[u->type];
    out->path_value = istio_match_value(u);
    out->path_ignore_case = u->type != ISTIO_MATCH_REGEX && m->ignore_uri_case.v;
}

/* The part of a match that a pseudo header stands for; NULL for a name that can't be matched. */
static struct model_strmatch *pseudo(struct model_match *out, struct str name)
{
    return str_eqc(name, ":method")      ? &out->method
           : str_eqc(name, ":authority") ? &out->authority
           : str_eqc(name, ":scheme")    ? &out->scheme
                                         : NULL;
}

/* False: the condition can't be evaluated, so the block must not match. */
static bool header(struct lower *l, struct model_match *out, const struct istio_string_match *m, bool invert)
{
    struct str name = node_key(m->node);
    struct model_strmatch cond = strmatch(m);
    cond.invert = invert;
    if (istio_is_claim(name))
        return false;
    if (name.n && name.p[0] == ':') {
        struct model_strmatch *part = pseudo(out, name);
        if (!part || part->type != STRMATCH_ANY) {
            if (part)
                diag_at(l->diags, DIAG_NotServed, m->node, "the block never matches",
                        "a second condition on " STR_FMT " is not served yet", STR_ARG(name));
            return false;
        }
        *part = cond;
        return true;
    }
    *ARENA_PUSH(l->arena, &out->headers) = (struct model_kv_match){.name = istio_lower(l->arena, name), .m = cond};
    return true;
}

struct model_match *istio_match(struct lower *l, const struct istio_rule_ref *r, const struct istio_http_match *m)
{
    struct model_match *out = arena_new(l->arena, struct model_match);
    if (!m)
        return out;
    path(out, m);
    bool own = node_document(m->node) == node_document(r->owner->root); /* not of the object that delegates */
    out->origin = lower_origin(l, r->owner, m->node,
                               own ? arena_strf(l->arena, STR_FMT ".match[%u]", STR_ARG(r->section), m->node->index) : STR_NONE);
    out->name = m->name;
    out->index = (uint16_t)m->node->index;
    out->query_raw = true;
    if (m->scheme)
        out->scheme = strmatch(m->scheme);
    if (m->method)
        out->method = strmatch(m->method);
    if (m->authority)
        out->authority = strmatch(m->authority);
    for (size_t i = 0; i < m->headers.n; i++)
        if (!header(l, out, &m->headers.v[i], false))
            return NULL;
    for (size_t i = 0; i < m->without_headers.n; i++)
        if (!header(l, out, &m->without_headers.v[i], true))
            return NULL;
    for (size_t i = 0; i < m->query_params.n; i++)
        *ARENA_PUSH(l->arena, &out->query) =
            (struct model_kv_match){.name = node_key(m->query_params.v[i].node), .m = strmatch(&m->query_params.v[i])};
    return out;
}
