/*
 * claims.c - who reads a datagram socket: a small table of words, `key << 8 | row + 1`, 0 = free.
 *
 * A key lies within WINDOW words of its hash, and the first word with that key is the one that counts. Two processes
 * may put the same key at two places at the same moment; both look again from the beginning afterwards, and the one
 * that is not first takes its word back.
 */
#include "shared/board/board.h"
#include "shared/base/hash.h"

#define WINDOW 64u

_Static_assert(BOARD_MAX_PROC < 255, "a row and one fit eight bits");
_Static_assert((BOARD_CLAIMS & (BOARD_CLAIMS - 1)) == 0, "a power of two");

static uint64_t word_of(uint64_t key, uint32_t row)
{
    return row == BOARD_NOBODY ? 0 : key << 8 | (row + 1);
}

static _Atomic uint64_t *at(struct board *b, uint64_t key, uint32_t i)
{
    return board_claims(b) + ((hash_mix(0, key) + i) & (BOARD_CLAIMS - 1));
}

/* The word of the key that counts, or NULL. */
static _Atomic uint64_t *find(struct board *b, uint64_t key, uint64_t *word)
{
    for (uint32_t i = 0; i < WINDOW; i++) {
        _Atomic uint64_t *p = at(b, key, i);
        *word = atomic_load(p);
        if (*word >> 8 == key)
            return p;
    }
    return NULL;
}

uint32_t board_claimed(struct board *b, uint64_t key)
{
    uint64_t word;
    uint32_t row = find(b, key, &word) ? (uint32_t)(word & 0xff) - 1 : BOARD_NOBODY;
    return row < BOARD_MAX_PROC ? row : BOARD_NOBODY;
}

static bool put(struct board *b, uint32_t row, uint64_t key)
{
    for (uint32_t i = 0; i < WINDOW; i++) {
        _Atomic uint64_t *p = at(b, key, i);
        uint64_t was = 0;
        if (!atomic_compare_exchange_strong(p, &was, word_of(key, row)))
            continue;
        uint64_t first;
        if (find(b, key, &first) == p)
            return true;
        was = word_of(key, row);
        atomic_compare_exchange_strong(p, &was, 0);
        return false;
    }
    return false;
}

bool board_claim(struct board *b, uint32_t row, uint64_t key, uint32_t from)
{
    uint64_t word, was = word_of(key, from);
    _Atomic uint64_t *p = find(b, key, &word);
    if (!p)
        return from == BOARD_NOBODY && put(b, row, key);
    return from != BOARD_NOBODY && word == was && atomic_compare_exchange_strong(p, &was, word_of(key, row));
}

void board_unclaim(struct board *b, uint32_t row, uint64_t key)
{
    uint64_t word, was = word_of(key, row);
    _Atomic uint64_t *p = find(b, key, &word);
    if (p && word == was)
        atomic_compare_exchange_strong(p, &was, 0);
}

void board_unclaim_all(struct board *b, uint32_t row)
{
    _Atomic uint64_t *all = board_claims(b);
    for (uint32_t i = 0; i < BOARD_CLAIMS; i++) {
        uint64_t word = atomic_load_explicit(&all[i], memory_order_relaxed);
        if (word && (word & 0xff) == row + 1)
            atomic_compare_exchange_strong(&all[i], &word, 0);
    }
}
