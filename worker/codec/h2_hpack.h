/*
 * h2_hpack.h - heads into header blocks (RFC 7541, RFC 9113 section 8). Pure but for what the memo learns.
 *
 * Nothing is ever put into the peer's table: there is no state, so a block may be made before it is known
 * when (and whether) it will be sent, idle connections hold nothing, and no secret can be guessed from sizes. The
 * price are some bytes for names and values that repeat. Answers use the Huffman code where it is shorter; requests
 * do not: the way to an endpoint is short, and both ends save the work.
 */
#ifndef GH_CODEC_H2_HPACK_H
#define GH_CODEC_H2_HPACK_H

#include "worker/codec/h2_memo.h"
#include "worker/codec/hpack.h"
#include "worker/http/head.h"

/*
 * Header blocks into memory of the caller: `full` and `bad` as in h1_write.h. A size that certainly suffices:
 * h2_head_bound.
 */
size_t h2_head_bound(const struct http_head *h);
struct h2_block {
    char *start, *at, *end;
    bool full, bad;
    bool huffman;
    struct h2_memo *memo; /* NULL, or that of blocks with the same `huffman` */
};
static inline struct h2_block h2_block_on(char *p, size_t cap)
{
    return (struct h2_block){p, p, p + cap, false, false, false, NULL};
}
static inline bool h2_block_ok(const struct h2_block *b)
{
    return !b->full && !b->bad;
}

/* 101 is sent as 200 (RFC 8441). */
void h2_write_answer(struct h2_block *b, const struct http_head *h);
/* `upgrade` becomes an extended CONNECT. */
void h2_write_request(struct h2_block *b, const struct http_head *h, bool https);
void h2_write_trailers(struct h2_block *b, const struct http_field *f, size_t n, bool huffman);

#endif
