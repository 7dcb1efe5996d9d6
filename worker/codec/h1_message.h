/*
 * h1_message.h - messages going out: heads and bodies as HTTP/1.1 onto a connection; for both sides.
 *
 * Framing and connection fields are made here from the members of the head, whatever fields it has.
 */
#ifndef GH_CODEC_H1_MESSAGE_H
#define GH_CODEC_H1_MESSAGE_H

#include "worker/codec/h1_parse.h"
#include "worker/http/head.h"
#include "worker/net/conn.h"

enum h1_out_kind {
    H1_OUT_NONE,    /* no content: what is given is dropped */
    H1_OUT_LENGTH,
    H1_OUT_CHUNKED,
    H1_OUT_RAW,     /* until the connection ends; tunnels */
};

/* The content of a message being sent. */
struct h1_out {
    uint8_t kind;
    uint64_t left; /* H1_OUT_LENGTH */
};

struct h1_answer {
    const struct http_head *head;
    bool to_head;  /* of a HEAD request */
    bool end;      /* no content follows */
    uint8_t minor; /* of the request */
    bool keep;     /* in: the connection may live on; out: it will */
};

/* False: a value would break the framing, or the head is too large; nothing was written. */
bool h1_write_answer(struct conn *c, struct h1_answer *a, struct h1_out *out);
bool h1_write_request(struct conn *c, const struct http_head *h, struct h1_out *out);
/* `data` as in conn_write. */
void h1_write_body(struct conn *c, struct h1_out *out, const char *data, size_t n, bool end);
/* After a piece of an answer: when is the connection full? One that fits into the queue goes there, so that the endpoint is free
 * soon. Of a longer one only what the client did not take in time: to read ahead costs memory for each slow client, and
 * the bytes have left the processor's cache when they are sent. Flushes when it may be full. */
void h1_limit_queue(struct conn *c, const struct h1_out *out);
/* The end, with trailers where the framing has a place for them. Slices are used up. */
void h1_write_trailers(struct conn *c, struct h1_out *out, const struct http_field *f, size_t n);

/* The reason for a request that the parser refused. */
enum reason h1_reason(enum h1_error e);

#endif
