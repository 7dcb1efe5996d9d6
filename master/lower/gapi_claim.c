/*
 * gapi_claim.c - a host name of a listener is served to HTTPRoutes or to GRPCRoutes, never to both (section 4).
 *
 * Routes come in the API's order, older ones first, so whoever has a host already is the one that stays. Two patterns
 * meet if one covers the other: a host looks for itself and for everything wider among what is claimed, and for itself
 * among the wider forms of it. So a question costs as many look-ups as a name has labels.
 */
#include "master/lower/gapi.h"

struct claimed {
    struct map hosts; /* pattern -> the route that has it first */
    struct map above; /* every pattern wider than one of these -> the same */
};
struct gapi_claims {
    struct claimed (*v)[2]; /* by number of the listener group, and kind */
};

void gapi_claims_init(struct lower *l)
{
    if (l->store->n_by_kind[KIND_HTTP_ROUTE] == 0 || l->store->n_by_kind[KIND_GRPC_ROUTE] == 0)
        return;
    l->gapi->claims = arena_new(l->arena, struct gapi_claims);
    l->gapi->claims->v = arena_array(l->arena, l->gapi->n_groups, sizeof(*l->gapi->claims->v));
    for (size_t i = 0; i < l->gapi->n_groups; i++)
        for (size_t j = 0; j < 2; j++) {
            map_init(&l->gapi->claims->v[i][j].hosts, l->arena);
            map_init(&l->gapi->claims->v[i][j].above, l->arena);
        }
}

/* Which of the two an object is; -1 = neither. */
static int side_of(const struct object *route)
{
    return route->kind->id == KIND_HTTP_ROUTE ? 0 : route->kind->id == KIND_GRPC_ROUTE ? 1 : -1;
}

const struct object *gapi_claimed(const struct lower *l, const struct model_listener *leader, const struct object *route,
                                  struct str host)
{
    char buf[LOWER_WIDER_ROOM];
    int side = side_of(route);
    if (!l->gapi->claims || side < 0)
        return NULL;
    const struct claimed *c = &l->gapi->claims->v[leader->index][!side];
    const struct object *narrower = map_get(&c->above, host);
    for (struct str at = host; at.n && !narrower; at = lower_wider(at, buf)) {
        const struct object *o = map_get(&c->hosts, at);
        if (o)
            return o;
    }
    return narrower;
}

void gapi_claim(struct lower *l, const struct model_listener *leader, const struct object *route, struct str host)
{
    char buf[LOWER_WIDER_ROOM];
    int side = side_of(route);
    if (!l->gapi->claims || side < 0)
        return;
    struct claimed *c = &l->gapi->claims->v[leader->index][side];
    void *who = (void *)(uintptr_t)route;
    if (map_get(&c->hosts, host))
        return;
    map_put(&c->hosts, host, who);
    for (struct str at = lower_wider(host, buf); at.n && !map_get(&c->above, at); at = lower_wider(at, buf))
        map_put(&c->above, arena_str(l->arena, at), who);
}
