/*
 * copy.h - inside this room: reading and writing what somebody else may write or read at this moment.
 */
#ifndef GH_BOARD_COPY_H
#define GH_BOARD_COPY_H

#include "shared/board/board.h"

/* Word by word with relaxed atomics: a reader may see a copy that is being overwritten, and finds that out by
 * `turn`; it must only not be undefined. */
static inline void board_copy_words(void *to, const void *from, size_t n)
{
    uint32_t *t = to;
    const uint32_t *f = from;
    for (size_t i = 0; i < n / sizeof(uint32_t); i++)
        __atomic_store_n(t + i, __atomic_load_n(f + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

#endif
