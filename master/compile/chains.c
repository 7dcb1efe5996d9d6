#include "master/compile/layout.h"
#include "shared/base/err.h"

#include <stdlib.h>

static int by_breadth(const void *a, const void *b)
{
    const struct model_chain *x = *(struct model_chain *const *)a, *y = *(struct model_chain *const *)b;
    uint32_t bx = layout_breadth(x->name), by = layout_breadth(y->name);
    return bx != by ? (bx > by) - (bx < by) : (x->index > y->index) - (x->index < y->index);
}

static struct model_chain **ordered(struct layout *l, const struct model_bind *b)
{
    struct model_chain **v = arena_new_n(&l->arena, struct model_chain *, b->chains.n + 1);
    if (!v) {
        layout_fail(l, GH_E_NOMEM);
        return NULL;
    }
    for (size_t i = 0; i < b->chains.n; i++) {
        v[i] = b->chains.v[i];
        v[i]->index = (uint32_t)i;
    }
    qsort(v, b->chains.n, sizeof(struct model_chain *), by_breadth);
    return v;
}

static void put_chain(struct layout *l, struct model_chain *c)
{
    struct snap_chain row = {.listener = c->listener->index, .mode = (uint8_t)c->mode,
                             .flags = c->istio_alpn ? SNAP_CHAIN_ISTIO_ALPN : 0,
                             .tls = c->tls ? c->tls->index : SNAP_NONE, .rule = c->rule ? c->rule->index : SNAP_NONE};
    c->index = l->n[SNAP_CHAINS];
    row.name = intern_str(l, c->name);
    row.why = intern_name(l, c->why);
    row.origin = intern_origin(l, &c->origin);
    *PUSH(l, CHAINS, struct snap_chain) = row;
}

static struct snap_range put_cidrs(struct layout *l, const struct model_bind *b)
{
    size_t n = b->proxy_trusted.n;
    struct snap_cidr *v = arena_new_n(&l->arena, struct snap_cidr, n + 1);
    if (!v) {
        layout_fail(l, GH_E_NOMEM);
        return (struct snap_range){0, 0};
    }
    for (size_t i = 0; i < n; i++) {
        const struct model_cidr *c = &b->proxy_trusted.v[i];
        v[i] = (struct snap_cidr){.family = c->family, .bits = c->bits};
        memcpy(v[i].ip, c->ip, c->family == 4 ? 4 : sizeof(v[i].ip));
    }
    return intern_rows(l, SNAP_CIDRS, v, n, sizeof(*v));
}

void layout_chains(struct layout *l, uint32_t bind, const struct model_bind *b, struct snap_bind *row)
{
    struct model_chain **v = ordered(l, b);
    if (!v)
        return;
    row->chains = (struct snap_range){l->n[SNAP_CHAINS], (uint32_t)b->chains.n};
    for (size_t i = 0; i < b->chains.n; i++) {
        put_chain(l, v[i]);
        layout_name(l, &l->chains, bind, v[i]->name, v[i]->index, &row->chain_wildcards, &row->default_chain);
    }
    row->proxy_trusted = put_cidrs(l, b);
    row->trusted_hops = b->has_trusted_hops ? b->trusted_hops : l->in->model->settings.trusted_hops;
}
