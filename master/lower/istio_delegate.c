/*
 * istio_delegate.c - the http rules of a VirtualService with its delegates put in (ISTIO-RULES 3.11).
 *
 * A rule that delegates is replaced by the rules of the delegate: matches are combined pairwise (root AND
 * delegate), what the delegate leaves open comes from the root. A delegate rule with a block that fits no root block is
 * dropped, a root rule whose delegate can't be used is left out; both are reported.
 */
#include "master/lower/istio.h"

/* ---- can two blocks hold together? ---------------------------------------------------------------------- */

static bool is_set(const struct istio_string_match *m)
{
    return m && m->type != ISTIO_MATCH_NONE && istio_match_value(m).n > 0;
}

static bool strings_conflict(const struct istio_string_match *root, const struct istio_string_match *leaf)
{
    if (!root || !leaf)
        return false;
    if (!is_set(root) && !is_set(leaf))
        return false;
    if (root->type == ISTIO_MATCH_REGEX || leaf->type == ISTIO_MATCH_REGEX)
        return is_set(root) && is_set(leaf);
    if (!is_set(root) || !is_set(leaf))
        return is_set(root); /* the delegate says less than the root */
    if (root->type == ISTIO_MATCH_EXACT)
        return leaf->type != ISTIO_MATCH_EXACT || !str_eq(root->exact, leaf->exact);
    return !str_starts(istio_match_value(leaf), root->prefix);
}

/* The maps of a block have one type each; this is what they share. */
struct matches {
    struct istio_string_match *v;
    size_t n;
};
#define MATCHES(list) ((struct matches){(list).v, (list).n})

static const struct istio_string_match *named(struct matches m, struct str name)
{
    for (size_t i = 0; i < m.n; i++)
        if (str_ieq(node_key(m.v[i].node), name))
            return &m.v[i];
    return NULL;
}

static bool maps_conflict(struct matches root, struct matches leaf)
{
    for (size_t i = 0; i < leaf.n; i++)
        if (strings_conflict(named(root, node_key(leaf.v[i].node)), &leaf.v[i]))
            return true;
    return false;
}

static bool labels_conflict(const struct str_map *root, const struct str_map *leaf)
{
    for (size_t i = 0; i < root->n; i++)
        for (size_t k = 0; k < leaf->n; k++)
            if (str_eq(root->v[i].key, leaf->v[k].key) && !str_eq(root->v[i].val, leaf->v[k].val))
                return true;
    return false;
}

static bool names_gateway(const struct str_list *list, struct str ns, struct istio_gateway_ref want)
{
    for (size_t i = 0; i < list->n; i++) {
        struct istio_gateway_ref r = istio_gateway_ref_parse(list->v[i], ns);
        if (r.mesh == want.mesh && (r.mesh || (str_eq(r.ns, want.ns) && str_eq(r.name, want.name))))
            return true;
    }
    return false;
}

struct join {
    struct lower *l;
    const struct object *root, *leaf; /* whose namespaces names are read in */
};

static bool blocks_conflict(const struct join *j, const struct istio_http_match *root, const struct istio_http_match *leaf)
{
    if (strings_conflict(root->uri, leaf->uri) || strings_conflict(root->scheme, leaf->scheme) ||
        strings_conflict(root->method, leaf->method) || strings_conflict(root->authority, leaf->authority))
        return true;
    if (maps_conflict(MATCHES(root->headers), MATCHES(leaf->headers)) ||
        maps_conflict(MATCHES(root->without_headers), MATCHES(leaf->without_headers)) ||
        maps_conflict(MATCHES(root->query_params), MATCHES(leaf->query_params)))
        return true;
    if (root->ignore_uri_case.v != leaf->ignore_uri_case.v || (root->port.set && leaf->port.set && root->port.v != leaf->port.v))
        return true;
    if (root->source_namespace.n && !str_eq(root->source_namespace, leaf->source_namespace))
        return true;
    if (labels_conflict(&root->source_labels, &leaf->source_labels))
        return true;
    for (size_t i = 0; root->gateways.n && i < leaf->gateways.n; i++)
        if (!names_gateway(&root->gateways, j->root->ns, istio_gateway_ref_parse(leaf->gateways.v[i], j->leaf->ns)))
            return true;
    return false;
}

/* ---- joining ------------------------------------------------------------------------------------------------ */

static struct matches joined_maps(const struct join *j, struct matches root, struct matches leaf)
{
    struct matches out = {arena_new_n(j->l->arena, struct istio_string_match, root.n + leaf.n), 0};
    for (size_t i = 0; i < leaf.n; i++)
        out.v[out.n++] = leaf.v[i];
    for (size_t i = 0; i < root.n; i++)
        if (!named(leaf, node_key(root.v[i].node)))
            out.v[out.n++] = root.v[i];
    return out;
}
#define JOIN(field)                                                                                \
    do {                                                                                           \
        struct matches both = joined_maps(j, MATCHES(root->field), MATCHES(leaf->field));          \
        out.field.v = both.v;                                                                      \
        out.field.n = both.n;                                                                      \
    } while (0)

static struct str_map joined_labels(const struct join *j, const struct str_map *root, const struct str_map *leaf)
{
    struct str_map out = {arena_new_n(j->l->arena, struct str_pair, root->n + leaf->n), 0};
    for (size_t i = 0; i < leaf->n; i++)
        out.v[out.n++] = leaf->v[i];
    for (size_t i = 0; i < root->n; i++) /* a label of both has one value */
        out.v[out.n++] = root->v[i];
    return out;
}

/* "ns/name": the joined rule is read in the namespace of the root. */
static struct str_list qualified(const struct join *j, const struct str_list *list, struct str ns)
{
    struct str_list out = {arena_new_n(j->l->arena, struct str, list->n), list->n};
    for (size_t i = 0; i < list->n; i++) {
        struct istio_gateway_ref r = istio_gateway_ref_parse(list->v[i], ns);
        out.v[i] = r.mesh ? list->v[i] : arena_strf(j->l->arena, STR_FMT "/" STR_FMT, STR_ARG(r.ns), STR_ARG(r.name));
    }
    return out;
}

static struct str joined_names(const struct join *j, struct str root, struct str leaf)
{
    if (root.n == 0 || leaf.n == 0)
        return root.n ? root : leaf;
    return arena_strf(j->l->arena, STR_FMT "-" STR_FMT, STR_ARG(root), STR_ARG(leaf));
}

static struct istio_http_match joined_blocks(const struct join *j, const struct istio_http_match *root,
                                             const struct istio_http_match *leaf)
{
    struct istio_http_match out = *leaf;
    out.name = joined_names(j, root->name, leaf->name);
    out.uri = leaf->uri ? leaf->uri : root->uri;
    out.scheme = leaf->scheme ? leaf->scheme : root->scheme;
    out.method = leaf->method ? leaf->method : root->method;
    out.authority = leaf->authority ? leaf->authority : root->authority;
    JOIN(headers);
    JOIN(without_headers);
    JOIN(query_params);
    if (!leaf->port.set)
        out.port = root->port;
    out.source_labels = joined_labels(j, &root->source_labels, &leaf->source_labels);
    if (leaf->source_namespace.n == 0)
        out.source_namespace = root->source_namespace;
    out.gateways = leaf->gateways.n ? qualified(j, &leaf->gateways, j->leaf->ns) : root->gateways;
    return out;
}

/* All pairs that fit, in the order of the delegate's blocks. False: one of these fits none of the root's. */
static bool join_matches(const struct join *j, const struct istio_http_rule *root, struct istio_http_rule *leaf)
{
    static const struct istio_http_match EVERYTHING;
    size_t n_root = GH_MAX(root->match.n, 1), n_leaf = GH_MAX(leaf->match.n, 1), n = 0;
    if (leaf->match.n == 0) {
        leaf->match.v = root->match.v;
        leaf->match.n = root->match.n;
        return true;
    }
    struct istio_http_match *out = arena_new_n(j->l->arena, struct istio_http_match, n_root * n_leaf);
    for (size_t i = 0; i < n_leaf; i++) {
        const struct istio_http_match *b = &leaf->match.v[i];
        size_t before = n;
        for (size_t k = 0; k < n_root; k++) {
            const struct istio_http_match *a = root->match.n ? &root->match.v[k] : &EVERYTHING;
            if (root->match.n == 0 || !blocks_conflict(j, a, b))
                out[n++] = joined_blocks(j, a, b);
        }
        if (n > before)
            continue;
        diag_at(j->l->diags, DIAG_Conflict, b->node, "the rule is left out",
                "the block fits no match of the rule in VirtualService " STR_FMT "/" STR_FMT " that delegates here",
                STR_ARG(j->root->ns), STR_ARG(j->root->name));
        return false;
    }
    leaf->match.v = out;
    leaf->match.n = n;
    return true;
}

static void fill_from_root(struct istio_http_rule *leaf, const struct istio_http_rule *root)
{
    if (!leaf->rewrite)
        leaf->rewrite = root->rewrite;
    if (!leaf->direct && leaf->route.n == 0 && !leaf->redirect)
        leaf->direct = root->direct;
    if (!leaf->timeout.set)
        leaf->timeout = root->timeout;
    if (!leaf->retries)
        leaf->retries = root->retries;
    if (!leaf->headers)
        leaf->headers = root->headers;
    /* fault, mirror and corsPolicy likewise, once they are served */
}

/* ---- all rules of an object ------------------------------------------------------------------------------------ */

/* The object a rule delegates to, or NULL with a finding. */
static const struct object *delegate_of(struct lower *l, const struct object *o, const struct istio_http_rule *r)
{
    struct str ns = r->delegate->ns.n ? r->delegate->ns : o->ns;
    const struct object *to = store_get(l->store, KIND_VIRTUAL_SERVICE, ns, r->delegate->name);
    const struct node *at = r->delegate->node;
    if (!to) {
        diag_at(l->diags, DIAG_MissingReference, at, "the rule is left out",
                "VirtualService " STR_FMT "/" STR_FMT " does not exist", STR_ARG(ns), STR_ARG(r->delegate->name))->analyzer = "IST0101";
        return NULL;
    }
    const struct istio_vs_spec *spec = ((const struct istio_virtual_service *)to->spec)->spec;
    if (spec->hosts.n) {
        diag_at(l->diags, DIAG_MissingReference, at, "a delegate has no hosts; the rule is left out",
                "VirtualService " STR_FMT "/" STR_FMT " has hosts of its own", STR_ARG(ns), STR_ARG(to->name));
        return NULL;
    }
    if (!istio_exported_to(&spec->export_to, to->ns, o->ns)) {
        diag_at(l->diags, DIAG_RefNotPermitted, at, "add the namespace to its exportTo; the rule is left out",
                "VirtualService " STR_FMT "/" STR_FMT " is not exported to namespace " STR_FMT, STR_ARG(ns), STR_ARG(to->name),
                STR_ARG(o->ns));
        return NULL;
    }
    return to;
}

static void add_delegated(struct lower *l, const struct object *o, const struct istio_http_rule *root, size_t index,
                          struct istio_rules *out)
{
    const struct object *to = delegate_of(l, o, root);
    if (!to)
        return;
    struct join j = {l, o, to};
    const struct istio_vs_spec *spec = ((const struct istio_virtual_service *)to->spec)->spec;
    struct str id = arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(to->ns), STR_ARG(to->name));
    map_put(&istio_work(l)->delegates, id, out);
    for (size_t i = 0; i < spec->http.n; i++) {
        if (spec->http.v[i].delegate)
            continue; /* refused when it was read */
        struct istio_http_rule *r = arena_new(l->arena, struct istio_http_rule);
        *r = spec->http.v[i];
        if (!join_matches(&j, root, r))
            continue;
        r->name = joined_names(&j, root->name, r->name);
        fill_from_root(r, root);
        *ARENA_PUSH(l->arena, out) = (struct istio_rule_ref){
            .rule = r, .owner = to, .index = index,
            .id = arena_strf(l->arena, STR_FMT "/" STR_FMT "/%zu/" STR_FMT "/%zu", STR_ARG(o->ns), STR_ARG(o->name), index, STR_ARG(id), i),
            .section = arena_strf(l->arena, "http[%zu]", i)};
    }
}

void istio_rules(struct lower *l, const struct object *o, const struct istio_vs_spec *spec, struct istio_rules *out)
{
    for (size_t i = 0; i < spec->http.n; i++) {
        const struct istio_http_rule *r = &spec->http.v[i];
        if (r->delegate)
            add_delegated(l, o, r, i, out);
        else
            *ARENA_PUSH(l->arena, out) = (struct istio_rule_ref){
                .rule = r, .owner = o, .index = i,
                .id = arena_strf(l->arena, STR_FMT "/" STR_FMT "/%zu", STR_ARG(o->ns), STR_ARG(o->name), i),
                .section = arena_strf(l->arena, "http[%zu]", i)};
    }
}
