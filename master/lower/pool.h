/*
 * pool.h - addresses of the instance's addressPool, dealt out to Gateways that ask for none.
 */
#ifndef GH_LOWER_POOL_H
#define GH_LOWER_POOL_H

#include "master/model/model.h"

struct pool {
    struct arena *arena;
    struct map taken; /* text -> anything */
    int family;       /* AF_INET, AF_INET6; 0 = no pool */
    unsigned char base[16];
    unsigned bits;    /* of the prefix */
    uint64_t n, next; /* hosts in it; the next one to try, from 1 */
};

/* `cidr` empty: a pool that is none. False when it is no CIDR. */
bool pool_init(struct pool *p, struct arena *a, struct str cidr);
static inline bool pool_is(const struct pool *p)
{
    return p->family != 0;
}
/* Takes this address if it lies in the pool and nobody has it. */
bool pool_take(struct pool *p, struct str address);
/* The lowest free address; empty when all are taken. */
struct str pool_next(struct pool *p);

/* "10.0.0.0/8", or an address alone; host bits are cut. False when it is neither. */
bool cidr_parse(struct str text, struct model_cidr *out);

/* The canonical text of an IP address ("::1" for "0:0::1"), or the empty slice. */
struct str ip_canonical(struct arena *a, struct str text);

#endif
