/*
 * merge.c - several listeners on one bind: groups, isolation, fall-backs; see lower.h.
 *
 * A group is all Gateway listeners of a bind with the same hostname. Most binds have one; those of
 * several Gateways meet where Gateways share an address. The first (the oldest Gateway's) leads:
 * hosts belong to the leader, so that a host name has one owner and fall-back chains stay within
 * one listener (invariant 3 of model.h), while the routes of all members are ranked together.
 */
#include "master/lower/lower.h"
#include "shared/http/host.h"

struct lower_names {
    struct map groups; /* hostname -> struct model_listener, the leader */
    struct map snis;   /* hostname -> struct model_listener that has the server name */
};

static struct lower_names *names_of(struct lower *l, const struct model_bind *b)
{
    while (l->names.n <= b->index) {
        struct lower_names *n = ARENA_PUSH(l->arena, &l->names);
        map_init(&n->groups, l->arena);
        map_init(&n->snis, l->arena);
    }
    return &l->names.v[b->index];
}

struct model_listener *lower_group_join(struct lower *l, struct model_listener *ml)
{
    struct lower_names *n = names_of(l, ml->bind);
    struct model_listener *leader = map_get(&n->groups, ml->hostname);
    if (leader)
        return leader;
    map_put(&n->groups, ml->hostname, ml);
    return ml;
}

struct model_listener *lower_sni_join(struct lower *l, struct model_listener *ml)
{
    struct lower_names *n = names_of(l, ml->bind);
    struct model_listener *owner = map_get(&n->snis, ml->hostname);
    if (owner)
        return owner;
    map_put(&n->snis, ml->hostname, ml);
    return ml;
}

_Static_assert(LOWER_WIDER_ROOM >= HTTP_HOST_MAX + 2, "room for a name");
struct str lower_wider(struct str name, char *buf)
{
    struct str rest = str_starts(name, STR("*.")) ? str_skip(name, 2) : name;
    ptrdiff_t dot = str_chr(rest, '.');
    if (str_eqc(name, "*"))
        return STR_NONE;
    if (dot < 0 || rest.n - (size_t)dot > HTTP_HOST_MAX)
        return STR("*");
    rest = str_skip(rest, (size_t)dot);
    memmove(buf + 1, rest.p, rest.n);
    buf[0] = '*';
    return str_of(buf, rest.n + 1);
}

static struct model_listener *most_specific(const struct map *names, struct str host)
{
    char buf[LOWER_WIDER_ROOM];
    if (names->n == 1 && str_eqc(names->v[0].key, "*"))
        return host.n ? names->v[0].val : NULL; /* one listener for all names, as most often */
    for (struct str at = host; at.n; at = lower_wider(at, buf)) {
        struct model_listener *ml = map_get(names, at);
        if (ml)
            return ml;
    }
    return NULL;
}

struct model_listener *lower_group_of(const struct lower *l, const struct model_bind *b,
                                      struct str host)
{
    return l->names.n > b->index ? most_specific(&l->names.v[b->index].groups, host) : NULL;
}

struct model_listener *lower_sni_of(const struct lower *l, const struct model_bind *b,
                                    struct str name)
{
    return l->names.n > b->index ? most_specific(&l->names.v[b->index].snis, name) : NULL;
}

struct model_listener *lower_chain_owner(const struct model_bind *b, struct str host)
{
    char buf[LOWER_WIDER_ROOM];
    for (struct str at = host; at.n; at = lower_wider(at, buf)) {
        const struct model_chain *c = map_get(&b->chains_by_name, at);
        if (c && c->listener->protocol == LISTENER_HTTPS)
            return c->listener;
    }
    return NULL;
}

/*
 * GATEWAY-API-RULES section 6: within one listener, a host whose rules do not match falls back to
 * the next less specific one. Hosts of others on the way are passed over: they can only be Istio's,
 * since a Gateway listener that had a wider pattern would have to be less specific, and then none
 * of ours lies beyond (5.1).
 */
static void link_fallback(const struct model_bind *b, struct model_host *h)
{
    char buf[LOWER_WIDER_ROOM];
    for (struct str at = lower_wider(h->name, buf); at.n && !h->fallback; at = lower_wider(at, buf)) {
        struct model_host *next = map_get(&b->hosts_by_name, at);
        if (next && next->listener == h->listener)
            h->fallback = next;
    }
}

enum { DEEPEST = 128 }; /* a host name has at most 127 labels */

static unsigned breadth_of(struct str name)
{
    unsigned dots = 0;
    if (name.n == 0 || name.p[0] != '*')
        return 0;
    for (size_t j = 0; j < name.n; j++)
        dots += name.p[j] == '.';
    return DEEPEST - GH_MIN(dots, (unsigned)DEEPEST - 1);
}

/* Exact names in order of arrival, then wildcards with many labels first, then "*". Pointers to what begins with its name
 * (model_host, model_chain); NULL: they stand so. Stable, linear. */
static void *in_breadth(struct lower *l, void *const *v, size_t n)
{
    size_t at[DEEPEST + 2] = {0};
    unsigned last = 0;
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        unsigned breadth = breadth_of(*(const struct str *)v[i]);
        sorted &= breadth >= last;
        last = breadth;
        at[breadth + 1]++;
    }
    if (sorted)
        return NULL;
    void **out = arena_new_n(l->arena, void *, n);
    for (size_t i = 1; i <= DEEPEST; i++)
        at[i] += at[i - 1];
    for (size_t i = 0; i < n; i++)
        out[at[breadth_of(*(const struct str *)v[i])]++] = v[i];
    return out;
}

_Static_assert(offsetof(struct model_host, name) == 0 && offsetof(struct model_chain, name) == 0, "in_breadth");
#define ORDER(l, list)                                                                             \
    do {                                                                                           \
        void *sorted_ = in_breadth((l), (void *const *)(list)->v, (list)->n);                      \
        if (sorted_)                                                                               \
            (list)->v = sorted_, (list)->cap = (list)->n;                                          \
    } while (0)

static bool has_suffixes(const struct model_bind *b)
{
    for (size_t i = 0; i < b->hosts.n; i++)
        if (str_starts(b->hosts.v[i]->name, STR("*.")))
            return true;
    return false;
}

static void link_fallbacks(struct lower *l, struct model_bind *b)
{
    bool suffixes = has_suffixes(b); /* without one there is "*" alone to fall back to, if at all */
    struct model_host *any = map_get(&b->hosts_by_name, STR("*"));
    for (size_t j = 0; j < b->hosts.n && (suffixes || any); j++) {
        struct model_host *h = b->hosts.v[j];
        if (lower_group_of(l, b, h->name) != h->listener)
            continue; /* a Gateway listener's hosts do; Istio's never */
        if (suffixes)
            link_fallback(b, h);
        else if (any != h && any->listener == h->listener)
            h->fallback = any;
    }
}

void lower_merge(struct lower *l)
{
    for (size_t i = 0; i < l->model->binds.n; i++) {
        struct model_bind *b = l->model->binds.v[i];
        link_fallbacks(l, b);
        ORDER(l, &b->hosts);
        ORDER(l, &b->chains);
    }
}
