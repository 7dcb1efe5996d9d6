/*
 * h2_memo.h - how fields were encoded before. Most of an answer's fields are the same in the next one; what the Huffman code made of
 * them need not be made again. One per worker and direction; blocks come out the same with it or without it.
 *
 * A row is found by a hash of the whole line, `name: value`, and holds it. A new line takes the place of one that was not asked
 * for lately. What must never be put into a compression table (cookies, credentials) is not remembered here either.
 */
#ifndef GH_CODEC_H2_MEMO_H
#define GH_CODEC_H2_MEMO_H

#include "shared/http/field.h"

#define H2_MEMO_ROWS  128u
#define H2_MEMO_LEAST 8u  /* bytes of a line */
#define H2_MEMO_LINE  88u
#define H2_MEMO_CODE  80u /* a multiple of 16 */
#define H2_MEMO_WORTH 3u

struct h2_memo_row {
    uint8_t line_n, code_n; /* 0: none */
    uint8_t worth;          /* misses it survives */
    char line[H2_MEMO_LINE];
    char code[H2_MEMO_CODE];
};

struct h2_memo {
    struct h2_memo_row rows[H2_MEMO_ROWS]; /* zeroed at first */
};

/* The row for a line of at least H2_MEMO_LEAST bytes. */
static inline struct h2_memo_row *h2_memo_row(struct h2_memo *m, struct str line)
{
    uint64_t a, b;
    memcpy(&a, line.p, sizeof(a));
    memcpy(&b, line.p + line.n - sizeof(b), sizeof(b));
    uint64_t h = (a ^ (b << 7 | b >> 57) ^ line.n) * UINT64_C(0x9e3779b97f4a7c15);
    return &m->rows[h >> 57];
}
_Static_assert(H2_MEMO_ROWS == 1u << (64 - 57), "the highest bits of the hash are a row");

static inline bool h2_memo_is(const struct h2_memo_row *r, struct str line)
{
    return r->line_n == line.n && memcmp(r->line, line.p, line.n) == 0;
}

/* What a line that the row did not have became. */
static inline void h2_memo_learn(struct h2_memo_row *r, struct str line, struct str code)
{
    if (r->worth) {
        r->worth--;
    } else if (line.n <= H2_MEMO_LINE && code.n <= H2_MEMO_CODE) {
        r->line_n = (uint8_t)line.n;
        r->code_n = (uint8_t)code.n;
        memcpy(r->line, line.p, line.n);
        memcpy(r->code, code.p, code.n);
    }
}

#endif
