/*
 * pipe.h - the body of a request on its way from the client to an endpoint: passed through when the
 * endpoint is ready, kept (bounded) while it is not, and kept for another try while that is possible.
 *
 *   client --pipe_take--> [kept bytes] --> upstream stream
 *
 * Before a stream is set the bytes wait. With `replay` everything from the first byte stays until the
 * answer is decided (pipe_commit) or the limit is passed; then another try is no longer possible. When
 * more waits than `limit`, the client is paused. Responses need no pipe: they go straight from one
 * stream to the other and wait, if at all, in the queue of the client's connection.
 */
#ifndef GH_HTTP_PIPE_H
#define GH_HTTP_PIPE_H

#include "worker/http/codec.h"
#include "worker/net/net.h"

struct pipe {
    struct net *net;
    struct stream *from;  /* the client; NULL when it was released */
    struct stream *to;    /* the try; NULL while there is none */
    struct chunkq kept;
    size_t given;         /* of `kept`, to the present try */
    uint64_t taken;       /* bytes in all */
    size_t limit;         /* kept bytes from which on the client is paused */
    size_t replay_limit;
    struct http_field *trailers; /* in the arena of the exchange */
    size_t n_trailers;
    bool replay;          /* the kept bytes begin with the first one */
    bool end;             /* all of the body was taken */
    bool end_given;       /* ... and the present try knows */
    bool paused;          /* the client is */
    bool to_full;         /* the try is */
};

void pipe_init(struct pipe *p, struct net *n, struct stream *from, size_t limit, size_t replay_limit);
/* Bytes from the client. False: no memory, the exchange must fail. */
bool pipe_take(struct pipe *p, const char *data, size_t n, bool end);
/* The client's trailers; fields are copied to the arena. */
bool pipe_take_trailers(struct pipe *p, struct arena *a, const struct http_field *f, size_t n);
/* A new try begins: gives it what is kept from the first byte on (its head was sent). */
void pipe_attach(struct pipe *p, struct stream *to);
/* The try is over; what was kept stays for the next one. */
void pipe_detach(struct pipe *p);
/* The try has room again. */
void pipe_writable(struct pipe *p);
/* No other try will come: kept bytes that were given may go. */
void pipe_commit(struct pipe *p);
/* Could all of it be sent once more? */
static inline bool pipe_replayable(const struct pipe *p)
{
    return p->replay;
}
void pipe_fini(struct pipe *p);

#endif
