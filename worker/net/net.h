/*
 * net.h - what all sockets of one worker share: the loop, the clock, timers, the read buffer and the
 * memory of the write queues.
 *
 * The loop. libuv runs what a worker has of control: messages from the master, signals, its own timers.
 * The sockets of the traffic are in an epoll instance of this room, edge-triggered, and libuv's own
 * descriptor is one member of it; net_run waits there and calls uv_run when libuv has something to do.
 * Why not uv_poll_t for the traffic: libuv 1.44 spends five system calls (epoll_ctl ADD, DEL, DEL, ADD,
 * FIONBIO) where one is needed when a connection begins, one more (DEL) when it ends, two for each change
 * of interest, and 160 bytes; it has no edge triggering (so pausing and resuming would cost two more) and
 * no EPOLLEXCLUSIVE for shared listening sockets.
 *
 * Output. Everything a callback writes is gathered and goes to the kernel when the outermost callback
 * returns (net_leave), one system call per connection; so a head and the body behind it, or the answers
 * of many streams, cost one, and slices of the read buffer may be written without copying.
 *
 * One per process, in main's root struct; single-threaded.
 */
#ifndef GH_NET_NET_H
#define GH_NET_NET_H

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/board/board.h"
#include "worker/net/chunk.h"
#include "worker/net/gather.h"
#include "worker/net/timer.h"

#define NET_PIECE   (64u * 1024) /* bytes of one read while turns are short */
#define NET_SCRATCH (128u * 1024)/* bytes of one read else: 64 KiB and a head fit; twice as many were no cheaper */
#define NET_BATCH   256u
#define NET_SMALL_NS (10u * 1000 * 1000) /* so long after a small request turns are short */

struct uv_loop_s;

/* A descriptor in the epoll instance; embedded in what handles it. */
struct watch {
    void (*fn)(struct watch *w, uint32_t events); /* EPOLL* */
    uint32_t pending; /* events of this turn that `fn` has not heard of yet */
    bool asks;        /* it begins work, where others end it: they go first */
};

struct net {
    struct uv_loop_s *loop;
    struct log *log;
    struct board_counters *count;    /* of this process; never NULL */
    uint64_t now_ns, now_ms;         /* monotonic, of this turn of the loop */
    struct timers timers;
    int epoll;
    bool quit;
    bool crowded;                    /* more is ready than one turn should begin */
    struct watch uv_watch;
    bool uv_ready;
    struct gather gather;            /* a turn may begin a little later, to bring more */
    struct tls_room *tls_room;       /* of all TLS connections; NULL until there was one */
    char *scratch;                   /* what a read fills; valid during one on_read */
    char *out;                       /* heads are serialised here; valid until net_leave */
    size_t out_n, out_cap;
    unsigned depth;                  /* callbacks under way */
    struct list dirty;               /* struct outq: connections with gathered output */
    struct list notify;              /* struct outq: connections whose owner must be told something */
    struct list again;               /* struct conn: kicked, or readable, but read no further in this turn */
    struct list asks;                /* struct conn: clients who wait while there is too much to do (turn.c) */
    struct list bulk;                /* struct conn: those whose turn comes after all others' (turn.c) */
    uint64_t small_until_ns;         /* turns are short until then, for the clients who want little */
    uint64_t newest_until_ms;        /* clients who wait in `asks` lose their patience: the newest first */
    uint32_t batch;                  /* events of one call, at most NET_BATCH; as many: crowded */
    uint32_t asks_most;              /* clients of `asks` that are served in a turn */
    uint64_t bulk_until_ns;          /* there was bulk lately */
    uint64_t bulk_ns;                /* how long bulk may go on while they are about; 0: one piece */
    struct list closed;              /* struct conn: on_closed is due */
    uint8_t luck, unlucky;           /* what reading at once brought of late, connections that did not try (conn_accept) */
    struct slab outqs;
    struct chunk_pool chunks;
    size_t high_water;               /* bytes queued on a connection from which on it is "full" */
    size_t memory_limit;             /* for all queues together; 0 = none */
    struct rng rng;
    uint64_t wall_offset_us;         /* wall clock minus monotonic clock; renewed each second */
    uint64_t wall_renewed_ms;
};

/* Negative gh_err. */
int net_init(struct net *n, struct uv_loop_s *loop, struct board_counters *count, struct log *log);
void net_fini(struct net *n);

/* Runs traffic and libuv until net_quit. Takes the place of uv_run. */
void net_run(struct net *n);
/* One turn that waits at most `max_wait_ms` (-1 = as long as it takes); for tests. */
void net_turn(struct net *n, int max_wait_ms);
static inline void net_quit(struct net *n)
{
    n->quit = true;
}

/* Around everything that may touch a connection and is not called by the loop of this room. */
static inline void net_enter(struct net *n)
{
    n->depth++;
}
void net_leave(struct net *n);
/* Writes what has been gathered, now. Slices given to conn_write are free again. */
void net_flush(struct net *n);

/* Negative errno. */
int net_watch(struct net *n, int fd, struct watch *w, uint32_t events);
int net_rewatch(struct net *n, int fd, struct watch *w, uint32_t events);
void net_unwatch(struct net *n, int fd); /* not needed before close() */

/* Clients who want little are about: work in small pieces (turn.c). */
static inline bool net_turn_short(const struct net *n)
{
    return n->now_ns < n->small_until_ns;
}

/* Gives free pieces back to the heap. */
void net_trim(struct net *n);
/* Every few seconds: those that were not needed lately. */
void net_settle(struct net *n);
/* Wall clock of a monotonic time, microseconds. */
uint64_t net_wall_us(struct net *n, uint64_t mono_ns);
/* More than half, all of the memory for queues is in use. */
static inline bool net_memory_tight(const struct net *n)
{
    return n->memory_limit && n->chunks.bytes > n->memory_limit / 2;
}
static inline bool net_memory_out(const struct net *n)
{
    return n->memory_limit && n->chunks.bytes > n->memory_limit;
}

#endif
