/*
 * hpack.h - header compression (RFC 7541): the tables, the Huffman code, blocks to fields. Pure but for the memory of the
 * decoder. How heads become blocks is h2_hpack.h.
 *
 *     struct hpack_decoder d;                           embedded; needs no memory before a peer fills its table
 *     hpack_init(&d);
 *     hpack_decode(&d, piece, false, fn, ctx) ...       pieces of a block, cut anywhere
 *     hpack_decode(&d, STR(""), true, fn, ctx)          its end
 *     hpack_fini(&d);
 *
 * Why our own: libnghttp2 took half of all instructions of a proxied gRPC call (HACKING.md). The table here
 * remembers with an entry what its reader found out about it, so that a field that comes again is neither
 * looked up nor judged again, and keeps it in the form of a line, so that it is copied once.
 *
 * Invariants of the decoder
 *  1. Entries lie in `text` in the order they came, oldest first, without gaps: [lo, hi), counted in all bytes ever
 *     added; text[0] is byte `base` of these.
 *  2. size = sum of (name + value + 32) <= max <= HPACK_TABLE.
 *  3. A field is read when all of it is there; `carry` holds the beginning of one, never more than HPACK_FIELD_MAX and a
 *     piece. Whether it is complete is seen by its lengths alone, so slices of one byte cost no more than others.
 */
#ifndef GH_CODEC_HPACK_H
#define GH_CODEC_HPACK_H

#include "shared/http/field.h"
#include "worker/codec/h2_frames.h"

#define HPACK_TABLE      4096u          /* bytes: what we allow, SETTINGS_HEADER_TABLE_SIZE's first value */
#define HPACK_STRING_MAX 65536u         /* encoded; a longer one is COMPRESSION_ERROR */
#define HPACK_FIELD_MAX  (2 * HPACK_STRING_MAX + 32)
#define HPACK_STATIC     61u
#define HPACK_PSEUDO     14u            /* entries of the static table up to here are pseudo-fields */

/* What is known of a field; a table remembers it with the entry. */
enum {
    HPACK_F_SECRET = 1 << 0, /* never to be put into a table */
    HPACK_F_LINE = 1 << 1,   /* at name.p it reads `name: value CRLF` */
    HPACK_F_NAME = 1 << 2,   /* set by the reader: `id` is right and there is nothing to say about the name */
    HPACK_F_VALUE = 1 << 3,  /* ... and no byte in the value that may not be there */
    HPACK_F_PLAIN = 1 << 4,  /* ... and in a head it means nothing to the codec */
    HPACK_F_CONST = 1 << 5,  /* name and value are constants */
    HPACK_F_KEPT = HPACK_F_NAME | HPACK_F_VALUE | HPACK_F_PLAIN, /* what a table remembers */
};

/* Slices are valid for the call. */
struct hpack_field {
    struct str name, value;
    uint16_t id;    /* enum http_field_id, with HPACK_F_NAME */
    uint8_t at;     /* of the static table: an entry with this name; 0: the peer did not use one */
    uint8_t flags;  /* HPACK_F_ */
};

/* May set id and flags. False stops: the block can't be read any further. */
typedef bool hpack_field_fn(void *ctx, struct hpack_field *f);

struct hpack_entry {
    uint32_t at;    /* of all bytes ever added */
    uint16_t name, value; /* bytes */
    uint16_t id;
    uint8_t static_at, flags;
};

struct hpack_decoder {
    char *text;
    uint32_t text_cap, base, lo, hi;
    uint32_t size, max;
    struct hpack_entry *v; /* ring */
    uint16_t cap, n, first;
    bool begun;            /* a field of this block was seen: no change of the size may follow */
    char *carry;
    uint32_t carry_n, carry_cap;
};

void hpack_init(struct hpack_decoder *d);
void hpack_fini(struct hpack_decoder *d);
/* The code of the error that the connection must end with (COMPRESSION_ERROR, INTERNAL_ERROR: memory,
 * ENHANCE_YOUR_CALM: fn said stop), or 0. */
enum h2_code hpack_decode(struct hpack_decoder *d, struct str piece, bool last, hpack_field_fn *fn, void *ctx);
/* Changes of the table's size that a block begins with. */
uint32_t hpack_table_changes(struct str first_piece);

/* --- for both directions ------------------------------------------------------------------------------------ */

struct hpack_static {
    struct str name, value;
    uint16_t id;
};
extern const struct hpack_static hpack_static[HPACK_STATIC + 1]; /* from 1 */

/* Bytes that s takes in the Huffman code. */
size_t hpack_huffman_len(struct str s);
/* Its code into [out, end); where it ends, NULL: it would take more. */
char *hpack_huffman_put(char *out, struct str s, const char *end);
/* Room for what n bytes of the code may become. */
#define HPACK_HUFFMAN_ROOM(n) ((n) * 8 / 5 + 1)
/* How many bytes they are; SIZE_MAX: not the code. */
size_t hpack_huffman_get(const char *in, size_t n, char *out);

#endif
