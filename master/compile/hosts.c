#include "master/compile/layout.h"
#include "shared/base/err.h"
#include "shared/snap/slot.h"

#include <stdlib.h>

static bool is_wildcard(struct str name)
{
    return str_starts(name, STR("*."));
}

static uint32_t labels_of(struct str name)
{
    uint32_t n = 1;
    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == '.';
    return n;
}

/* Exact names, wildcards with many labels, with few, "*": a fallback, being less specific, lies behind
 * (invariant 6). Among equals the model's order. */
static uint32_t breadth(const struct model_host *h)
{
    if (str_eqc(h->name, "*"))
        return UINT32_MAX;
    return is_wildcard(h->name) ? UINT32_MAX - 1 - labels_of(h->name) : 0;
}

static int by_breadth(const void *a, const void *b)
{
    const struct model_host *x = *(struct model_host *const *)a, *y = *(struct model_host *const *)b;
    uint32_t bx = breadth(x), by = breadth(y);
    return bx != by ? (bx > by) - (bx < by) : (x->index > y->index) - (x->index < y->index);
}

static const struct model_host **ordered(struct layout *l, const struct model_bind *b)
{
    struct model_host **v = arena_new_n(&l->arena, struct model_host *, b->hosts.n + 1);
    if (!v) {
        layout_fail(l, GH_E_NOMEM);
        return NULL;
    }
    for (size_t i = 0; i < b->hosts.n; i++) {
        v[i] = b->hosts.v[i];
        v[i]->index = (uint32_t)i;
    }
    qsort(v, b->hosts.n, sizeof(struct model_host *), by_breadth);
    for (size_t i = 0; i < b->hosts.n; i++)
        v[i]->index = l->n[SNAP_HOSTS] + (uint32_t)i;
    return (const struct model_host **)v;
}

static void put_listener(struct layout *l, struct model_listener *v, uint32_t bind)
{
    struct snap_listener row = {.id = hash_str(v->key, 0), .bind = bind, .port = v->bind->port,
                                .protocol = (uint8_t)v->protocol};
    v->index = l->n[SNAP_LISTENERS];
    row.key = intern_str(l, v->key);
    row.name = intern_tail(l, v->name, v->key, row.key);
    row.hostname = intern_str(l, v->hostname);
    row.origin = intern_origin(l, &v->origin);
    *PUSH(l, LISTENERS, struct snap_listener) = row;
}

static void put_host(struct layout *l, uint32_t bind, const struct model_host *h)
{
    struct snap_host row = {.listener = h->listener->index, .fallback = h->fallback ? h->fallback->index : SNAP_NONE,
                            .flags = h->https_redirect ? SNAP_HOST_HTTPS_REDIRECT : 0,
                            .any = SNAP_NONE, .tree = SNAP_NONE, .tree_fold = SNAP_NONE};
    bool wildcard = is_wildcard(h->name);
    row.name = intern_str(l, h->name);
    *PUSH(l, HOSTS, struct snap_host) = row;
    if (!str_eqc(h->name, "*"))
        layout_key_add(l, &l->hosts, slot_host(bind, wildcard ? str_skip(h->name, 2) : h->name, wildcard), h->index);
}

static void put_bind(struct layout *l, struct model_bind *b)
{
    uint32_t bind = l->n[SNAP_BINDS];
    struct snap_bind row = {.id = snap_bind_id(b->address, b->port, b->datagram), .port = b->port,
                            .default_host = SNAP_NONE, .default_chain = SNAP_NONE, .stream_rule = SNAP_NONE};
    const struct model_host **hosts = ordered(l, b);
    if (!hosts)
        return;
    row.address = intern_str(l, b->address);
    row.protocol = b->listeners.n ? (uint8_t)b->listeners.v[0]->protocol : LISTENER_HTTP;
    row.listeners = (struct snap_range){l->n[SNAP_LISTENERS], (uint32_t)b->listeners.n};
    row.hosts = (struct snap_range){l->n[SNAP_HOSTS], (uint32_t)b->hosts.n};
    for (size_t i = 0; i < b->listeners.n; i++)
        put_listener(l, b->listeners.v[i], bind);
    for (size_t i = 0; i < b->hosts.n; i++) {
        put_host(l, bind, hosts[i]);
        if (str_eqc(hosts[i]->name, "*"))
            row.default_host = hosts[i]->index;
        else if (is_wildcard(hosts[i]->name))
            row.wildcards |= slot_labels_bit(labels_of(str_skip(hosts[i]->name, 2)));
    }
    for (size_t i = 0; i < b->hosts.n; i++)
        layout_routes(l, hosts[i]->index, hosts[i]);
    *PUSH(l, BINDS, struct snap_bind) = row;
}

/* A bind that the master could not bind is left out: nobody can reach it. */
void layout_binds(struct layout *l)
{
    const struct model *m = l->in->model;
    for (size_t i = 0; i < m->binds.n; i++)
        if (m->binds.v[i]->bind_error == 0)
            put_bind(l, m->binds.v[i]);
    layout_table(l, SNAP_HOST_SLOTS, &l->hosts);
    layout_table(l, SNAP_EXACT_SLOTS, &l->exact);
}
