#include "master/lower/proxy.h"
#include "master/lower/pool.h"
#include "master/yaml/parse.h"

#include <string.h>

#define RANGES "gatehouse.dev/proxy-protocol-from"
#define CONFIG "proxy.istio.io/config"

/* Where the annotation is written, for findings. */
static const struct node *annotation(const struct object *o, const char *key)
{
    const struct node *map = node_walk(o->root, "metadata.annotations"), *at = map ? node_get(map, key) : NULL;
    return at ? at : o->root;
}

static void read_ranges(struct lower *l, const struct object *o, struct proxy_ranges *out)
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

/* How many proxies are in front is a setting of the whole instance. */
static void check_hops(struct lower *l, const struct node *topology, const struct node *at)
{
    const struct node *hops = node_get(topology, "numTrustedProxies");
    uint32_t have = l->instance->settings.trusted_hops;
    if (!hops || (hops->type == NODE_INT && hops->i == (int64_t)have))
        return;
    diag_at(l->diags, DIAG_NotServed, at, "set http.trustedHops in gatehouse.yaml, which holds for all Gateways",
            "gatewayTopology.numTrustedProxies has no effect here: this instance trusts %u", have);
}

static void read_topology(struct lower *l, const struct object *o, struct proxy_ranges *out)
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
    check_hops(l, topology, at);
    if (!node_get(topology, "proxyProtocol") || out->n)
        return;
    *ARENA_PUSH(l->arena, out) = (struct model_cidr){.family = 4};
    *ARENA_PUSH(l->arena, out) = (struct model_cidr){.family = 6};
    diag_at(l->diags, DIAG_Suspicious, at, "name the proxies in annotation " RANGES,
            "everybody who can connect may claim any client address");
}

void proxy_ranges_read(struct lower *l, const struct object *o, struct proxy_ranges *out)
{
    read_ranges(l, o, out);
    read_topology(l, o, out);
}

void proxy_ranges_trust(struct lower *l, const struct proxy_ranges *r, struct model_bind *b)
{
    for (size_t i = 0; i < r->n && !b->datagram; i++) {
        bool known = false;
        for (size_t k = 0; k < b->proxy_trusted.n && !known; k++)
            known = memcmp(&b->proxy_trusted.v[k], &r->v[i], sizeof(r->v[i])) == 0;
        if (!known)
            *ARENA_PUSH(l->arena, &b->proxy_trusted) = r->v[i];
    }
}
