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

enum { DEEPEST = 128, PLACES = DEEPEST + 2 }; /* a host name has at most 127 labels */

/* Exact names, then wildcards with many labels first, then "*". */
static size_t breadth(struct str name)
{
    size_t dots = 0;
    for (size_t i = 0; i < name.n && name.p[0] == '*'; i++)
        dots += name.p[i] == '.';
    return name.p[0] != '*' ? 0 : DEEPEST - GH_MIN(dots, (size_t)DEEPEST - 1);
}

/* From how many have each breadth (one place further on) to where the first of each goes. */
static void places(size_t at[PLACES])
{
    for (size_t i = 1; i < PLACES; i++)
        at[i] += at[i - 1];
}

/* By breadth, then in order of arrival; linear. */
static void order_hosts(struct lower *l, struct model_bind *b)
{
    size_t at[PLACES] = {0};
    struct model_host **sorted = arena_new_n(l->arena, struct model_host *, b->hosts.n);
    for (size_t i = 0; i < b->hosts.n; i++)
        at[breadth(b->hosts.v[i]->name) + 1]++;
    places(at);
    for (size_t i = 0; i < b->hosts.n; i++)
        sorted[at[breadth(b->hosts.v[i]->name)]++] = b->hosts.v[i];
    b->hosts.v = sorted;
    b->hosts.cap = b->hosts.n;
}

static void order_chains(struct lower *l, struct model_bind *b)
{
    size_t at[PLACES] = {0};
    struct model_chain **sorted = arena_new_n(l->arena, struct model_chain *, b->chains.n);
    for (size_t i = 0; i < b->chains.n; i++)
        at[breadth(b->chains.v[i]->name) + 1]++;
    places(at);
    for (size_t i = 0; i < b->chains.n; i++)
        sorted[at[breadth(b->chains.v[i]->name)]++] = b->chains.v[i];
    b->chains.v = sorted;
    b->chains.cap = b->chains.n;
}

void lower_merge(struct lower *l)
{
    for (size_t i = 0; i < l->model->binds.n; i++) {
        struct model_bind *b = l->model->binds.v[i];
        for (size_t j = 0; j < b->hosts.n; j++) {
            struct model_host *h = b->hosts.v[j];
            if (lower_group_of(l, b, h->name) == h->listener)
                link_fallback(b, h); /* a Gateway listener's host; Istio's never fall back */
        }
        order_hosts(l, b);
        order_chains(l, b);
    }
}
