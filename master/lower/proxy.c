#include "master/lower/proxy.h"
#include "master/lower/pool.h"
#include "master/yaml/parse.h"

#include <string.h>

#define RANGES "gatehouse.dev/proxy-protocol-from"
#define HOPS   "gatehouse.dev/trusted-hops"
#define CONFIG "proxy.istio.io/config"

/* Where the annotation is written, for findings. */
static const struct node *annotation(const struct object *o, const char *key)
{
    const struct node *map = node_walk(o->root, "metadata.annotations"), *at = map ? node_get(map, key) : NULL;
    return at ? at : o->root;
}

static void read_ranges(struct lower *l, const struct object *o, struct proxy_front *out)
{
    struct str rest = object_annotation(o, RANGES), word;
    while (rest.n && str_split(&rest, ',', &word)) {
        struct model_cidr range;
        word = str_trim(word, " \t\r\n");
        if (word.n == 0)
            continue;
        if (cidr_parse(word, &range))
            *ARENA_PUSH(l->arena, out) = range;
        else
            diag_at(l->diags, DIAG_BadValue, annotation(o, RANGES),
                    "write addresses and ranges with commas between them: 10.0.0.0/8, 192.0.2.7",
                    "%s is no address range; it is not trusted", diag_quote(l->arena, word));
    }
}

/* ---- proxy.istio.io/config: YAML in a string -------------------------------------------------------- */

/* NULL: none, or none that can be read. Positions in it mean nothing: findings stand at the annotation. */
static const struct node *read_config(struct lower *l, const struct object *o, struct str text)
{
    struct source *src = arena_new(l->arena, struct source);
    struct diags unheard;
    *src = (struct source){.path = STR(CONFIG), .text = text};
    diags_init(&unheard, l->arena);
    const struct node *root = yaml_parse_document(l->arena, src, text, 1, &YAML_LIMITS_DEFAULT, &unheard);
    if (root && root->type == NODE_MAP)
        return root;
    diag_at(l->diags, DIAG_BadValue, annotation(o, CONFIG), "as in: gatewayTopology: {proxyProtocol: {}}",
            "is not a map in YAML; it has no effect");
    return NULL;
}

/* All keys but those in `served`, with what to do instead where there is something. */
static void tell_unserved(struct lower *l, const struct node *map, const struct node *at, const char *prefix, const char *const *served)
{
    for (size_t i = 0; map && map->type == NODE_MAP && i < map->n_kids; i++) {
        struct str key = map->kids[i]->key;
        bool known = false;
        for (const char *const *s = served; *s && !known; s++)
            known = str_eqc(key, *s);
        if (!known)
            diag_at(l->diags, DIAG_NotServed, at, str_eqc(key, "concurrency") ? "set workers in gatehouse.yaml" : NULL,
                    "%s" STR_FMT " has no effect%s", prefix, STR_ARG(key), str_eqc(key, "concurrency") ? " here" : " yet");
    }
}

/* ---- how many of them there are --------------------------------------------------------------------- */

static void set_hops(struct lower *l, struct proxy_front *out, const struct node *at, bool good, uint64_t n)
{
    if (good && n <= PROXY_HOPS_MAX) {
        out->has_hops = true;
        out->hops = (uint32_t)n;
        return;
    }
    diag_at(l->diags, DIAG_BadValue, at, arena_strf(l->arena, "http.trustedHops of gatehouse.yaml holds: %u",
                                                    l->instance ? l->instance->settings.trusted_hops : 0).p,
            "the number of trusted proxies must be from 0 to %d; it has no effect", PROXY_HOPS_MAX);
}

static void read_hops(struct lower *l, const struct object *o, struct proxy_front *out)
{
    struct str text = str_trim(object_annotation(o, HOPS), " \t\r\n");
    uint64_t n = 0;
    bool good = str_u64(text, &n);
    if (text.n)
        set_hops(l, out, annotation(o, HOPS), good, n);
}

static void topology_hops(struct lower *l, const struct node *topology, const struct node *at, struct proxy_front *out)
{
    const struct node *n = node_get(topology, "numTrustedProxies");
    if (n && !out->has_hops)
        set_hops(l, out, at, n->type == NODE_INT && n->i >= 0, n->type == NODE_INT ? (uint64_t)n->i : 0);
}

/* ---- both ------------------------------------------------------------------------------------------- */

static void read_topology(struct lower *l, const struct object *o, struct proxy_front *out)
{
    static const char *const IN_CONFIG[] = {"gatewayTopology", NULL};
    static const char *const IN_TOPOLOGY[] = {"proxyProtocol", "numTrustedProxies", NULL};
    struct str text = object_annotation(o, CONFIG);
    const struct node *at = annotation(o, CONFIG), *root = text.n ? read_config(l, o, text) : NULL;
    const struct node *topology = root ? node_get(root, "gatewayTopology") : NULL;
    tell_unserved(l, root, at, "", IN_CONFIG);
    if (!topology || topology->type != NODE_MAP)
        return;
    tell_unserved(l, topology, at, "gatewayTopology.", IN_TOPOLOGY);
    topology_hops(l, topology, at, out);
    if (!node_get(topology, "proxyProtocol") || out->n)
        return;
    *ARENA_PUSH(l->arena, out) = (struct model_cidr){.family = 4};
    *ARENA_PUSH(l->arena, out) = (struct model_cidr){.family = 6};
    diag_at(l->diags, DIAG_Suspicious, at, "name the proxies in annotation " RANGES,
            "everybody who can connect may claim any client address");
}

void proxy_front_read(struct lower *l, const struct object *o, struct proxy_front *out)
{
    out->gateway = o;
    read_ranges(l, o, out);
    read_hops(l, o, out);
    read_topology(l, o, out);
}

static void apply_hops(struct lower *l, struct proxy_front *r, struct model_bind *b)
{
    bool clash = b->has_trusted_hops && b->trusted_hops != r->hops;
    if (!b->has_trusted_hops || r->hops < b->trusted_hops)
        b->trusted_hops = r->hops;
    b->has_trusted_hops = true;
    if (!clash || r->told)
        return;
    r->told = true;
    diag_at(l->diags, DIAG_Conflict, annotation(r->gateway, object_annotation(r->gateway, HOPS).n ? HOPS : CONFIG),
            "Gateways of one address and port have the same proxies in front",
            "a Gateway that shares port %u says another number of trusted proxies; the smaller one holds: %u", b->port,
            b->trusted_hops);
}

void proxy_front_apply(struct lower *l, struct proxy_front *r, struct model_bind *b)
{
    if (b->datagram)
        return;
    for (size_t i = 0; i < r->n; i++) {
        bool known = false;
        for (size_t k = 0; k < b->proxy_trusted.n && !known; k++)
            known = memcmp(&b->proxy_trusted.v[k], &r->v[i], sizeof(r->v[i])) == 0;
        if (!known)
            *ARENA_PUSH(l->arena, &b->proxy_trusted) = r->v[i];
    }
    if (r->has_hops)
        apply_hops(l, r, b);
}
