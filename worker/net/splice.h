/*
 * splice.h - bytes from one plain connection to another that never come to user space.
 *
 * A direction of a stream begins with copies (on_read, conn_write). When it turns out to be a bulk transfer (several
 * reads in a row brought NET_PIECE bytes or more) it is spliced: socket to pipe, pipe to socket, the pages only change hands.
 * When it turns out to be a conversation again it goes back: a small message costs two system calls by copy and at
 * least four by splice. Figures: HACKING.md, "Decisions".
 *
 * While a direction is spliced, `from` has read_max 0: conn.c does not read but calls on_readable, whose owner calls
 * splice_move. The end of the input and errors of both sides are left to conn.c: the mode ends, and the next read or
 * write of conn.c finds them.
 *
 * Pipes belong to a pool of the worker and are held only while bytes are in them, so an idle direction has none; when
 * none can be had, bytes are copied.
 *
 * Invariants
 *  1. Bytes in the pipe are older than anything `from` still has, and nothing is queued on `to` while there are some.
 *  2. The pipe is filled only when it is empty: then "nothing" means that the socket has nothing.
 */
#ifndef GH_NET_SPLICE_H
#define GH_NET_SPLICE_H

#include "worker/net/conn.h"

#define SPLICE_PIPE (256u * 1024) /* bytes of one pipe, where the system allows it */
#define SPLICE_STREAK 2           /* large reads in a row before it begins */

struct kpipe { struct list node; int r, w; uint32_t size; };

/* The pool; one per worker. */
struct kpipes {
    struct list idle;
    uint32_t n, n_idle, max;      /* max 0: nothing is spliced */
    struct net *net;
    uint64_t retry_ms;            /* none could be made: not before then */
};

void pipes_init(struct kpipes *p, struct net *n, uint32_t max);
void pipes_fini(struct kpipes *p);          /* all are back */
void pipes_trim(struct kpipes *p);

/* One direction. Zero is: by copy. */
struct splice {
    struct kpipe *pipe;            /* held while there are bytes in it */
    uint32_t n;                   /* of them */
    uint8_t streak;               /* large reads in a row */
    bool on;
};

enum splice_state {
    SPLICE_DRAINED, /* nothing more now; on_readable follows */
    SPLICE_FULL,    /* `to` takes nothing now: pause `from`; on_writable of `to` follows, then call again */
    SPLICE_LATER,   /* enough for this turn: on_readable follows */
    SPLICE_OFF,     /* by copy again */
};

/* `n` bytes were read from `from` and given to `to`, and flushed. Is it time to splice? Then it begins. */
void splice_consider(struct splice *d, struct kpipes *p, struct conn *from, struct conn *to, size_t n);
/* Moves what can be moved. Returns how many bytes the socket of `to` has taken. */
size_t splice_move(struct splice *d, struct kpipes *p, struct conn *from, struct conn *to, enum splice_state *state);
/* The direction is over. What is in the pipe is given to `to` to be queued, or thrown away (to NULL). Returns how
 * many bytes were given. */
size_t splice_end(struct splice *d, struct kpipes *p, struct conn *to);

#endif
