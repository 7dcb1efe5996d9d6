/*
 * h1_server_internal.h - between h1_server.c (the connection: phases, time, answers) and h1_request.c (what
 * the bytes of a request mean). Nobody else includes it.
 */
#ifndef GH_CODEC_H1_SERVER_INTERNAL_H
#define GH_CODEC_H1_SERVER_INTERNAL_H

#include "worker/codec/h1_message.h"
#include "worker/codec/h1_server.h"

enum rx {
    RX_IDLE,     /* between requests */
    RX_HEAD,
    RX_LENGTH,   /* work->left bytes of content to come */
    RX_CHUNKED,
    RX_TRAILERS,
    RX_DONE,     /* the request is complete; what comes is for later */
    RX_DISCARD,  /* answered; the rest of the upload (work->left) is thrown away */
    RX_TUNNEL,
    RX_LINGER,   /* our side is closed: input is thrown away until the end, or for a moment */
    RX_CLOSING,  /* closes when all is written */
};

enum tx {
    TX_NONE,     /* no final head sent */
    TX_BODY,     /* see work->out */
    TX_TUNNEL,
    TX_DONE,
};

/* What a request needs while it runs. */
struct h1_work {
    struct h1_parser parser;
    struct h1_head h1;
    struct http_head head;
    struct h1_chunked chunked;
    struct h1_out out;
    struct str buf;      /* the head, or the trailers, so far; in the arena */
    size_t cap;
    uint64_t left;       /* RX_LENGTH, RX_DISCARD */
    uint64_t got;        /* bytes of content */
    uint8_t minor;       /* of the request; 1 before it is known */
    bool continued;      /* 100 was passed on */
    bool begun;          /* the parser has seen bytes of these trailers */
    bool own_fields;     /* h1.fields is in the arena, not all->fields */
};

/* h1_request.c. Each uses some of the bytes and says how many; the phase changes as they say. */
void h1_request_begin(struct h1_server *s);
size_t h1_take_head(struct h1_server *s, const char *data, size_t n);
size_t h1_take_length(struct h1_server *s, const char *data, size_t n);
size_t h1_take_chunked(struct h1_server *s, const char *data, size_t n);
size_t h1_take_trailers(struct h1_server *s, const char *data, size_t n);
/* The exchange answers a request that is no valid message; the answer ends the connection. */
void h1_refuse(struct h1_server *s, enum reason why, const char *text);
/* The message is broken in its body: an answer may still be possible. */
void h1_bad_body(struct h1_server *s, enum reason why);

/* Time costs credit, bytes earn it back. False: used up. */
static inline bool h1_pay(int32_t *credit_ms, uint64_t dt_ms, uint64_t bytes, uint32_t rate, uint32_t grace_ms)
{
    if (!rate)
        return true;
    uint64_t earned = bytes > UINT64_C(1) << 40 ? UINT32_MAX : bytes * 1000 / rate;
    int64_t left = *credit_ms + (int64_t)GH_MIN(earned, (uint64_t)INT32_MAX) - (int64_t)dt_ms;
    *credit_ms = (int32_t)GH_MIN(left, (int64_t)grace_ms);
    return left > 0;
}

#endif
