#include "master/compile/layout.h"
#include "shared/base/err.h"
#include "shared/snap/slot.h"

#include <stdlib.h>

bool layout_is_wildcard(struct str name)
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

/* A fallback, being less specific, lies behind (invariant 6). */
uint32_t layout_breadth(struct str name)
{
    if (str_eqc(name, "*"))
        return UINT32_MAX;
    return layout_is_wildcard(name) ? UINT32_MAX - 1 - labels_of(name) : 0;
}

void layout_name(struct layout *l, struct layout_keys *keys, uint32_t bind, struct str name, uint32_t value,
                 uint32_t *wildcards, uint32_t *by_default)
{
    bool wildcard = layout_is_wildcard(name);
    struct str text = wildcard ? str_skip(name, 2) : name;
    if (str_eqc(name, "*")) {
        *by_default = value;
        return;
    }
    if (wildcard)
        *wildcards |= slot_labels_bit(labels_of(text));
    layout_key_add(l, keys, slot_host(bind, text, wildcard), value);
}

/* Among equals the model's order. */
static int by_breadth(const void *a, const void *b)
{
    const struct model_host *x = *(struct model_host *const *)a, *y = *(struct model_host *const *)b;
    uint32_t bx = layout_breadth(x->name), by = layout_breadth(y->name);
    return bx != by ? (bx > by) - (bx < by) : (x->index > y->index) - (x->index < y->index);
}

static bool in_order(struct model_host *const *v, size_t n)
{
    uint32_t last = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t breadth = layout_breadth(v[i]->name);
        if (breadth < last)
            return false;
        last = breadth;
    }
    return true;
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
    if (!in_order(v, b->hosts.n)) /* lowering has them in this order */
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

static void put_host(struct layout *l, const struct model_host *h)
{
    struct snap_host row = {.listener = h->listener->index, .fallback = h->fallback ? h->fallback->index : SNAP_NONE,
                            .flags = h->https_redirect ? SNAP_HOST_HTTPS_REDIRECT : 0,
                            .any = SNAP_NONE, .tree = SNAP_NONE, .tree_fold = SNAP_NONE};
    row.name = intern_str(l, h->name);
    *PUSH(l, HOSTS, struct snap_host) = row;
}

static void put_bind(struct layout *l, struct model_bind *b)
{
    uint32_t bind = l->n[SNAP_BINDS];
    struct snap_bind row = {.id = snap_bind_id(b->address, b->port, b->datagram), .port = b->port,
                            .default_host = SNAP_NONE, .default_chain = SNAP_NONE, .stream_rule = SNAP_NONE};
    const struct model_host **hosts = ordered(l, b);
    if (!hosts)
        return;
    row.flags = b->datagram ? SNAP_BIND_DATAGRAM : 0;
    row.stream_rule = b->stream_rule ? b->stream_rule->index : SNAP_NONE;
    row.address = intern_str(l, b->address);
    row.protocol = b->listeners.n ? (uint8_t)b->listeners.v[0]->protocol : LISTENER_HTTP;
    row.listeners = (struct snap_range){l->n[SNAP_LISTENERS], (uint32_t)b->listeners.n};
    row.hosts = (struct snap_range){l->n[SNAP_HOSTS], (uint32_t)b->hosts.n};
    for (size_t i = 0; i < b->listeners.n; i++)
        put_listener(l, b->listeners.v[i], bind);
    for (size_t i = 0; i < b->hosts.n; i++) {
        put_host(l, hosts[i]);
        layout_name(l, &l->hosts, bind, hosts[i]->name, hosts[i]->index, &row.wildcards, &row.default_host);
    }
    layout_chains(l, bind, b, &row);
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
    layout_table(l, SNAP_CHAIN_SLOTS, &l->chains);
}
