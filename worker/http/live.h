/*
 * live.h - the generations of this process: the one that new requests use, and those on offer.
 *
 *   offer(fd) -> [offered] --commit--> current --next commit--> held only by the exchanges that began with it
 *                    `--withdraw--> dropped
 *
 * A generation is unmapped when its last holder drops it. Single-threaded.
 */
#ifndef GH_HTTP_LIVE_H
#define GH_HTTP_LIVE_H

#include "shared/snap/snap.h"

#define LIVE_OFFERS 4 /* on offer at a time; an older one makes room */

struct live {
    struct snap *current;               /* held; NULL before the first commit */
    struct snap *offered[LIVE_OFFERS];  /* held; oldest first */
    uint32_t n_offered;
};

/* Takes over the caller's hold. */
void live_offer(struct live *l, struct snap *s);
/* False when that generation is not on offer (and is not the current one). */
bool live_commit(struct live *l, uint64_t generation);
void live_withdraw(struct live *l, uint64_t generation);
void live_fini(struct live *l);
static inline uint64_t live_generation(const struct live *l)
{
    return l->current ? l->current->head->generation : 0;
}

#endif
