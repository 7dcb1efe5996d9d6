/*
 * gapi_overlap.c - condition OverlappingTLSConfig (GATEWAY-API-RULES 3.1, 15): on one port, whichever Gateways it is shared
 * by, two listeners whose host names meet, or whose certificates are good for one name. A browser may use the connection
 * that it has to one of them for the other, and gets 421 then (5.2).
 *
 * Every name on a bind has an entry that knows who has it and who has a narrower one. Two of each are remembered, of
 * different groups: whoever asks, one of them is another. So the cost is that of the names, not of the pairs.
 */
#include "master/lower/gapi.h"
#include "shared/http/host.h"

struct side {
    struct gapi_gw_listener *gl; /* NULL: a server of Istio's */
    const struct model_listener *ml;
    const struct model_listener *group; /* who leads: connections for them are the same */
    struct str name;                    /* host name */
    const struct model_certs *certs;
};
struct sides { struct side *v; size_t n, cap; };

struct two { const struct side *a, *b; };
struct entry { struct two here, below; };

static void two_add(struct two *t, const struct side *s)
{
    if (!t->a)
        t->a = s;
    else if (!t->b && t->a->group != s->group)
        t->b = s;
}

static const struct side *two_other(const struct two *t, const struct side *s)
{
    return t->a && t->a->group != s->group ? t->a : t->b;
}

/* Host names are covered by wildcards of every depth, those of certificates by a wildcard for their first label. */
enum depth { ONE_LABEL, ALL_LABELS };

static struct str wider(enum depth depth, struct str name, char *buf)
{
    if (depth == ONE_LABEL && (name.p[0] == '*' || str_chr(name, '.') < 0))
        return STR_NONE;
    return lower_wider(name, buf);
}

static struct entry *entry_of(struct lower *l, struct map *names, struct str name)
{
    struct entry *e = map_get(names, name);
    if (e)
        return e;
    e = arena_new(l->arena, struct entry);
    map_put(names, arena_str(l->arena, name), e);
    return e;
}

static void enter(struct lower *l, struct map *names, enum depth depth, const struct side *s, struct str name)
{
    char buf[LOWER_WIDER_ROOM];
    two_add(&entry_of(l, names, name)->here, s);
    for (struct str at = wider(depth, name, buf); at.n; at = depth == ALL_LABELS ? lower_wider(at, buf) : STR_NONE)
        two_add(&entry_of(l, names, at)->below, s);
}

/* Somebody of another group who has the name, a wider or a narrower one; NULL: nobody. */
static const struct side *meets(struct map *names, enum depth depth, const struct side *s, struct str name)
{
    char buf[LOWER_WIDER_ROOM];
    const struct entry *e = map_get(names, name);
    const struct side *other = e ? two_other(&e->here, s) : NULL;
    if (!other && e)
        other = two_other(&e->below, s);
    for (struct str at = wider(depth, name, buf); at.n && !other; at = depth == ALL_LABELS ? lower_wider(at, buf) : STR_NONE)
        if ((e = map_get(names, at)))
            other = two_other(&e->here, s);
    return other;
}

static void judge_hosts(struct lower *l, const struct sides *all)
{
    struct map names;
    map_init(&names, l->arena);
    for (size_t i = 0; i < all->n; i++)
        enter(l, &names, ALL_LABELS, &all->v[i], all->v[i].name);
    for (size_t i = 0; i < all->n; i++) {
        const struct side *s = &all->v[i], *other = s->gl ? meets(&names, ALL_LABELS, s, s->name) : NULL;
        if (other && !s->gl->overlaps.with)
            s->gl->overlaps = (struct gapi_overlap){"OverlappingHostnames", other->ml};
    }
}

static void judge_certs(struct lower *l, const struct sides *all)
{
    struct map names;
    map_init(&names, l->arena);
    for (size_t i = 0; i < all->n; i++)
        for (size_t j = 0; all->v[i].certs && j < all->v[i].certs->n; j++) {
            const struct cert_info *info = all->v[i].certs->v[j]->info;
            for (size_t k = 0; k < info->n_names; k++)
                if (http_host_pattern_valid(info->names[k])) /* and no address of SPIFFE */
                    enter(l, &names, ONE_LABEL, &all->v[i], info->names[k]);
        }
    for (size_t i = 0; i < all->n; i++)
        for (size_t j = 0; all->v[i].gl && all->v[i].certs && j < all->v[i].certs->n; j++) {
            const struct cert_info *info = all->v[i].certs->v[j]->info;
            for (size_t k = 0; k < info->n_names && !all->v[i].gl->overlaps.with; k++) {
                bool valid = http_host_pattern_valid(info->names[k]);
                const struct side *other = valid ? meets(&names, ONE_LABEL, &all->v[i], info->names[k]) : NULL;
                if (other)
                    all->v[i].gl->overlaps = (struct gapi_overlap){"OverlappingCertificates", other->ml};
            }
        }
}

/* Of every bind, by its number: its listeners that begin with a ClientHello, and the servers of Istio's beside them. */
static struct sides *gather(struct lower *l)
{
    size_t n = l->model->binds.n;
    struct sides *all = arena_new_n(l->arena, struct sides, n);
    for (size_t i = 0; i < l->gapi->list.n; i++)
        for (size_t j = 0; j < l->gapi->list.v[i]->spec->listeners.n; j++) {
            struct gapi_gw_listener *gl = &l->gapi->list.v[i]->listeners[j];
            bool tls = gl->protocol == GAPI_PROTO_HTTPS || gl->protocol == GAPI_PROTO_TLS;
            for (size_t k = 0; tls && k < gl->bound.n; k++) {
                const struct gapi_bound *b = &gl->bound.v[k];
                *ARENA_PUSH(l->arena, &all[b->own->bind->index]) = (struct side){
                    .gl = gl, .ml = b->own, .group = b->leader, .name = b->own->hostname, .certs = &gl->tls.certs};
            }
        }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; all[i].n && j < l->model->binds.v[i]->chains.n; j++) {
            const struct model_chain *c = l->model->binds.v[i]->chains.v[j];
            if (!gapi_listener_of(l, c->listener))
                *ARENA_PUSH(l->arena, &all[i]) = (struct side){.ml = c->listener, .group = c->listener, .name = c->name,
                                                              .certs = c->tls ? &c->tls->certs : NULL};
        }
    return all;
}

void gapi_overlaps_judge(struct lower *l)
{
    const struct sides *all = gather(l);
    for (size_t i = 0; i < l->model->binds.n; i++)
        if (all[i].n > 1)
            judge_hosts(l, &all[i]);
    for (size_t i = 0; i < l->model->binds.n; i++)
        if (all[i].n > 1)
            judge_certs(l, &all[i]);
}
