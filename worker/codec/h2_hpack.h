/*
 * h2_hpack.h - header compression (RFC 7541), by libnghttp2.
 *
 * Decoding has a table for each connection, made with the first block. Encoding keeps none: nothing is ever put
 * into the peer's table, so one encoder serves all connections of a worker, a block may be made before it is known
 * when (and whether) it will be sent, idle connections hold nothing, and no secret can be guessed from sizes. The
 * price are some bytes for names and values that repeat; static table and Huffman code make most of it good.
 */
#ifndef GH_CODEC_H2_HPACK_H
#define GH_CODEC_H2_HPACK_H

#include "worker/codec/h2_frames.h"
#include "worker/http/head.h"

struct nghttp2_hd_inflater;
struct nghttp2_hd_deflater;

/* --- in ---------------------------------------------------------------------------------------------- */

/* A field; slices are valid for the call. False stops: the block can't be read any further. */
typedef bool h2_field_fn(void *ctx, struct str name, struct str value, bool secret);

/* A fragment of a block; `last`: the block ends with it. *d is NULL before the first. The code of the error that the
 * connection must end with (COMPRESSION_ERROR, INTERNAL_ERROR: memory, ENHANCE_YOUR_CALM: fn said stop), or 0. */
enum h2_code h2_decode(struct nghttp2_hd_inflater **d, struct str fragment, bool last, h2_field_fn *fn, void *ctx);
void h2_decoder_free(struct nghttp2_hd_inflater *d); /* NULL-safe */
/* Changes of the table's size that a block begins with. */
uint32_t h2_table_changes(struct str first_fragment);

/* --- out --------------------------------------------------------------------------------------------- */

/* One per worker. */
struct h2_encoder {
    struct nghttp2_hd_deflater *d;
};
bool h2_encoder_init(struct h2_encoder *e); /* false: no memory */
void h2_encoder_fini(struct h2_encoder *e);

/*
 * Header blocks into memory of the caller: `full` and `bad` as in h1_write.h. A size that certainly suffices:
 * h2_head_bound.
 */
size_t h2_head_bound(const struct http_head *h);
struct h2_block {
    char *start, *at, *end;
    bool full, bad;
};
static inline struct h2_block h2_block_on(char *p, size_t cap)
{
    return (struct h2_block){p, p, p + cap, false, false};
}
static inline bool h2_block_ok(const struct h2_block *b)
{
    return !b->full && !b->bad;
}

/* 101 is sent as 200 (RFC 8441). */
void h2_write_answer(struct h2_encoder *e, struct h2_block *b, const struct http_head *h);
/* `upgrade` becomes an extended CONNECT. */
void h2_write_request(struct h2_encoder *e, struct h2_block *b, const struct http_head *h, bool https);
void h2_write_trailers(struct h2_encoder *e, struct h2_block *b, const struct http_field *f, size_t n);

#endif
