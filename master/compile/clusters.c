#include "master/compile/layout.h"

#include <arpa/inet.h>

/* 4, 6, 1 (unix) or 0 (a name), and the address as bytes. */
static uint8_t family_of(struct str address, uint8_t ip[16])
{
    char text[INET6_ADDRSTRLEN + 1];
    if (str_starts(address, STR("unix:")))
        return 1;
    if (address.n == 0 || address.n >= sizeof(text))
        return 0;
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    return inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 6 : 0;
}

static void put_endpoint(struct layout *l, const struct model_cluster *c, const struct model_endpoint *e)
{
    struct snap_endpoint row = {.port = e->port, .weight = e->weight};
    row.id = hash_str(e->key, hash_str(c->key, 0));
    row.address = intern_str(l, e->address);
    row.family = e->dns ? 0 : family_of(e->address, row.ip);
    row.dns_slot = e->dns ? 0 : SNAP_NONE;
    row.origin = intern_origin(l, &e->origin);
    *PUSH(l, ENDPOINTS, struct snap_endpoint) = row;
}

static void put_cluster(struct layout *l, const struct model_cluster *c)
{
    struct snap_cluster row = {
        .id = hash_str(c->key, 0), .lb = (uint8_t)c->lb, .protocol = (uint8_t)c->protocol,
        .connect_timeout_ms = c->connect_timeout_ms, .idle_timeout_ms = c->idle_timeout_ms,
        .max_connections = c->max_connections, .max_pending = c->max_pending, .max_requests = c->max_requests,
        .endpoints = {l->n[SNAP_ENDPOINTS], (uint32_t)c->endpoints.n},
        .tls = c->tls ? c->tls->index : SNAP_NONE, .proxy_header = (uint8_t)c->proxy_header,
    };
    row.key = intern_str(l, c->key);
    row.name = intern_tail(l, c->name, c->key, row.key);
    row.origin = intern_origin(l, &c->origin);
    for (size_t i = 0; i < c->endpoints.n; i++) {
        const struct model_endpoint *e = c->endpoints.v[i];
        put_endpoint(l, c, e);
        row.has_dns |= e->dns;
        row.endpoints_hash = hash_mix(hash_str(e->key, row.endpoints_hash), (uint64_t)e->weight << 1 | e->dns);
    }
    *PUSH(l, CLUSTERS, struct snap_cluster) = row;
}

void layout_clusters(struct layout *l)
{
    const struct model *m = l->in->model;
    for (size_t i = 0; i < m->clusters.n; i++)
        put_cluster(l, m->clusters.v[i]);
}
