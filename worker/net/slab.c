#include "worker/net/slab.h"
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

void slab_init(struct slab *s, size_t size, uint32_t keep)
{
    *s = (struct slab){.size = (uint32_t)GH_MAX(size, sizeof(void *)), .keep = KEEPS ? keep : 0};
}

void slab_fini(struct slab *s)
{
    must(s->n_used == 0);
    slab_trim(s, 0);
}

void *slab_get(struct slab *s)
{
    void *p = s->free;
    if (p) {
        memcpy(&s->free, p, sizeof(void *));
        s->n_free--;
    } else {
        p = malloc(s->size);
        if (!p)
            return NULL;
    }
    if (++s->n_used > s->most)
        s->most = s->n_used;
    return p;
}

void slab_put(struct slab *s, void *p)
{
    s->n_used--;
    if (s->n_free >= s->keep && s->n_free >= s->peak) {
        free(p);
        return;
    }
    memcpy(p, &s->free, sizeof(void *));
    s->free = p;
    s->n_free++;
}

void slab_trim(struct slab *s, uint32_t keep)
{
    while (s->n_free > keep) {
        void *p = s->free;
        memcpy(&s->free, p, sizeof(void *));
        free(p);
        s->n_free--;
    }
}

void slab_settle(struct slab *s)
{
    if (!KEEPS)
        return;
    s->peak = s->most;
    s->most = s->n_used;
    slab_trim(s, GH_MAX(s->keep, s->peak - s->n_used));
}
