/*
 * slab.h - free lists of equal pieces of memory: connections, exchanges, chunks.
 *
 * Pieces come from the heap one by one and go to a free list; at most `keep` of them stay there, what
 * is beyond goes back to the heap at once, and slab_trim gives back the rest. Where slab_settle is called now and then,
 * as many stay as were in use at a time between the last two calls, so that a load that lasts finds its pieces
 * again. Under AddressSanitizer nothing is kept, so that use after free is found.
 */
#ifndef GH_NET_SLAB_H
#define GH_NET_SLAB_H

#include "shared/base/base.h"

/* Owned by whoever embeds it; private but for the counts. */
struct slab {
    void *free;      /* linked through the first word */
    uint32_t size;   /* of a piece, bytes */
    uint32_t keep;   /* free pieces to keep */
    uint32_t n_free;
    uint32_t n_used;
    uint32_t most;   /* pieces in use at a time since slab_settle */
    uint32_t peak;   /* ... and before it */
};

void slab_init(struct slab *s, size_t size, uint32_t keep);
void slab_fini(struct slab *s);  /* all pieces must be back */
void *slab_get(struct slab *s);  /* uninitialised; NULL when memory has run out */
void slab_put(struct slab *s, void *p);
/* Gives all but `keep` free pieces back to the heap. */
void slab_trim(struct slab *s, uint32_t keep);
/* Every few seconds: what was not needed since the last time goes. */
void slab_settle(struct slab *s);

#endif
