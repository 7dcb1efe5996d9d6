/*
 * h2_head.h - header fields of HTTP/2, as they come out of the decoder one by one, to a message head (RFC 9113
 * section 8). Pure but for the arena.
 *
 *     h2_head_begin(&d, H2_REQUEST, arena, &limits);
 *     for each field: if (!h2_head_field(&d, &field)) the connection has to end: a bomb
 *     h2_head_end(&d, end_stream);
 *     d.why == REASON_OK: d.head is complete, its slices lie in the arena
 *
 * Fields are counted while they are decoded, 32 bytes on top of each: the first one beyond the limits decides the
 * answer and from there on nothing is stored any more; at H2_BOMB times the limits it is no mistake any longer.
 *
 * What comes out has the form that HTTP/1.1 heads have here: Host is a field (made of :authority), cookie crumbs
 * are one line, WebSocket over HTTP/2 (RFC 8441) is a GET with `upgrade`, fields lie in memory as lines
 * `name: value CRLF` one behind the other, so that h1_write_parsed copies them as one piece.
 *
 * A malformed message (8.1.1) is never repaired: its stream is reset. What is well-formed but not served has an
 * answer.
 */
#ifndef GH_CODEC_H2_HEAD_H
#define GH_CODEC_H2_HEAD_H

#include "shared/tbl/enums.h"
#include "worker/codec/hpack.h"
#include "worker/http/head.h"

#define H2_BOMB 4

enum h2_head_kind { H2_REQUEST, H2_RESPONSE, H2_TRAILERS };

struct h2_limits {
    uint32_t max_bytes;   /* of a head, decoded, with 32 for each field */
    uint32_t max_uri;
    uint16_t max_fields;  /* crumbs of cookies counted each, pseudo-fields not */
};

/* Owned by the caller; big enough not to be kept longer than a block takes. */
struct h2_head {
    struct http_head head;   /* of trailers: fields, n_fields */
    enum reason why;         /* OK, or what is wrong: the first thing that was */
    const char *text;        /* a constant: more about it */
    bool malformed;          /* with BAD_REQUEST: no answer, the stream is reset */
    uint32_t bytes;          /* decoded so far: of limits.max_bytes */

    /* private */
    const struct h2_limits *limits;
    struct arena *arena;     /* NULL: fields are judged and counted, but not kept */
    char *at, *end;          /* room for lines */
    uint32_t n;              /* regular fields so far */
    struct str scheme, path, protocol;
    uint16_t seen, cookies;
    uint8_t kind;            /* enum h2_head_kind */
    uint8_t method;          /* H2_RESPONSE: enum http_method of the request */
    bool regular;            /* a field that is no pseudo-field was seen */
};

void h2_head_begin(struct h2_head *d, enum h2_head_kind kind, struct arena *arena, const struct h2_limits *limits);
/* False: far beyond the limits. Says in f->flags what it has found to be true, which the next one need not look at. */
bool h2_head_field(struct h2_head *d, struct hpack_field *f);
/* `end`: nothing follows this head. */
void h2_head_end(struct h2_head *d, bool end);

#endif
