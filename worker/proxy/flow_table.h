/*
 * flow_table.h - which flow a datagram belongs to, and which flow goes when there are too many. Pure: no sockets, no
 * clock.
 *
 * A flow is a client's address and port, the socket's bind and the local address it was sent to (of a socket that is
 * bound to all addresses). The hash is seeded at random, so that nobody can choose addresses that collide.
 *
 * Whoever can invent source addresses can make any number of flows. So there are two lists, each the longest idle one
 * first: young flows, and proven ones, in which the client spoke after it had been answered, which an invented address
 * can't. Young ones go first, unless they are less than a part of the table: somebody new must have a chance, too.
 */
#ifndef GH_PROXY_FLOW_TABLE_H
#define GH_PROXY_FLOW_TABLE_H

#include "shared/base/hash.h"
#include "shared/base/list.h"

#define FLOW_YOUNG_PART 8 /* one in so many may be young before a young one has to go */

/* Compared and hashed as bytes: zero it first. */
struct flow_key {
    uint64_t bind_id;
    uint8_t peer[16], local[16];
    uint32_t scope;             /* of a link-local peer */
    uint16_t port;
    uint8_t family, local_family;
};
_Static_assert(sizeof(struct flow_key) == 48, "no padding: it is hashed as bytes");

/* Embedded in the flow. */
struct flow_node {
    struct flow_node *next;     /* in its slot */
    struct list lru;
    uint64_t hash;
    struct flow_key key;
    bool proven;
};

struct flow_table {
    struct flow_node **slots;   /* 2^log2 */
    uint32_t log2, n, n_young;
    uint64_t seed;
    struct list young, proven;  /* the longest idle one first */
};

bool flow_table_init(struct flow_table *t, uint64_t seed); /* false: no memory */
void flow_table_fini(struct flow_table *t);                /* it must be empty */
struct flow_node *flow_table_find(const struct flow_table *t, const struct flow_key *k);
/* node->key is set; none of that key is there. */
void flow_table_add(struct flow_table *t, struct flow_node *node);
void flow_table_del(struct flow_table *t, struct flow_node *node);
/* Something moved: it is the last to go of its kind. */
void flow_table_touch(struct flow_table *t, struct flow_node *node);
void flow_table_prove(struct flow_table *t, struct flow_node *node);
/* Who goes when one more is to come into a table of `max`: anybody but `but` (NULL allowed); NULL when there is nobody. */
struct flow_node *flow_table_victim(const struct flow_table *t, uint32_t max, const struct flow_node *but);

#endif
