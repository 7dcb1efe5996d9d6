/*
 * stream.h - TCP as it comes, TLS that is passed through, and what is left of TLS that was terminated (CHAIN_TCP): bytes
 * from a client to an endpoint and back.
 *
 *   accept, take ─► DIALLING ──connected──► OPEN ──both have ended──► FINISHING ─► gone
 *                     │ fails: the next endpoint (at most STREAM_TRIES), then a reset
 *
 * The endpoint is dialled at once, before the client says anything, because servers may speak first. While that lasts
 * the client is not read; what was read of it before (a ClientHello) is kept and sent first.
 *
 * What one side does, the other sees: data in order; an end (FIN) as an end, with the other direction open as long as it
 * likes, and an end that TLS had not announced as such where the other side is TLS, too; a reset as a reset, after the bytes that came before it. A connection that can't be served is reset: never an
 * alert, never a byte of ours.
 *
 * A stream belongs to the generation with which it was dialled only until it is connected; reloads don't touch it, its
 * listener may even go. It ends when its sides end, when nothing moved for the idle time-out, or at the end of a drain.
 *
 * Back-pressure: what the kernel does not take of one read (64 KiB) is queued, and the other side is not read until
 * that is gone; so a stream with a slow reader holds less than two reads, an idle one no buffer at all. Bulk is spliced
 * (net/splice.h) and then not even that.
 */
#ifndef GH_PROXY_STREAM_H
#define GH_PROXY_STREAM_H

#include "worker/net/splice.h"
#include "worker/proxy/generation.h"
#include "worker/proxy/tally.h"

#define STREAM_TRIES     3     /* endpoints dialled, at most */
#define STREAM_FINISH_MS 30000 /* both sides have ended, and the last bytes do not move: reset */

/* All of a worker; part of the dataplane. */
struct streams {
    struct net *net;
    struct upstream *upstream;
    struct tally_book book;
    struct kpipes pipes;
    struct slab slab;
    struct list all;            /* struct relay */
    uint32_t n;
    _Atomic uint32_t *shown;    /* where others see how many connections there are, ours added to it; NULL = nowhere */
};

void streams_init(struct streams *all, struct net *n, struct upstream *u, const struct tally_book *b, uint32_t max_pipes);
void streams_fini(struct streams *all);  /* all are gone */
/* Resets every stream; they are gone at the end of the turn. */
void streams_cut(struct streams *all, enum reason why);
void streams_trim(struct streams *all);

/* Where a connection comes from and what becomes of it. Borrowed for the call; `snap` gets a hold of its own. */
struct stream_origin {
    const struct stream_link *link;
    struct snap *snap;
    const struct snap_listener *listener; /* which it counts for; NULL = none */
    const struct snap_rule *rule;         /* its action is a split; NULL = no route: it is reset */
    struct str server_name;               /* of the ClientHello; empty = none */
};
/* Takes over a connected, non-blocking descriptor. Negative gh_err: it is closed. */
int stream_accept(struct streams *all, int fd, const struct stream_origin *o);
/* Adopts an open connection (conn_move), of which `n` bytes were read that are for the endpoint. May be called from
 * a callback of `from`, which hears nothing more but on_closed. */
void stream_take(struct streams *all, struct conn *from, const struct stream_origin *o, const char *data, size_t n);

#endif
