/*
 * listener.h - listening sockets, shared by all workers of the machine, and who takes the next connection.
 *
 * The master opened them; every worker polls the same ones with EPOLLEXCLUSIVE, so one of those that
 * sleep is woken, not all. A worker that has clearly more connections than the least busy live one stops
 * polling, and looks again a little later. It decides so *after* it took a connection, never instead: a
 * wake-up that nobody follows would leave a connection waiting. A worker that is stopped, stuck or dead
 * (its heartbeat is old) counts for nothing, so it holds nobody back. A worker may be stopped, or get stuck, between its
 * wake-up and its accept; the kernel then wakes nobody else for that connection. So where there are several workers, each
 * looks at the backlogs by itself now and then.
 *
 * Who says nothing: where clients speak first, a connection is accepted with its first bytes (TCP_DEFER_ACCEPT), or a second or
 * so later without. Then it costs one event where it cost two, its request is read at once, and one that ends with its answer
 * is never registered (conn_accept): a seventh of what such a connection costs. Until then the kernel has it and no process
 * does; who only looks whether the port is open finds it so. The price: who has connected within that second and not spoken
 * when the last worker closes the socket (a stop, not a reload, nor an update, which pass it on) is reset instead of served.
 *
 * Descriptors: when the worker is full, or the kernel has no more, the owner closes idle connections; when
 * there are none, accepting pauses for LISTENER_PAUSE_MS, and the backlog waits for this or another worker.
 */
#ifndef GH_NET_LISTENER_H
#define GH_NET_LISTENER_H

#include "worker/net/net.h"

#define LISTENER_PAUSE_MS 100
#define LISTENER_YIELD_MS 5
#define LISTENER_LIVE_MS  100 /* age of a heartbeat that still counts */
#define LISTENER_BEAT_MS  40  /* how often an idle worker shows that it lives */
#define LISTENER_LOOK_MS  250 /* how often it looks at the backlogs without having been woken */

struct listeners;

/* Where a connection comes from, in network order. */
struct accepted {
    int fd;
    uint64_t bind_id;
    uint16_t peer_port;
    uint16_t local_port;
    uint8_t peer_family;  /* 4, 6, 1 = unix */
    uint8_t local_family; /* 0: the socket listens on all addresses, see accepted_local */
    uint8_t peer[16], local[16];
};

/* The address that the client connected to: one more system call, for those who want to know. The family; 0 = unknown. */
uint8_t accepted_local(int fd, uint8_t out[16], uint16_t *port);

struct listeners_owner {
    /* Takes over a.fd. */
    void (*accepted)(struct listeners *l, const struct accepted *a);
    /* May one more come? May make room by closing others. */
    bool (*room)(struct listeners *l, bool kernel_is_out);
    /* Is this socket to be served (yet)? */
    bool (*wanted)(struct listeners *l, uint64_t bind_id);
    /* Its clients speak first: for how many seconds those who don't are not accepted. 0: they are, at once. */
    uint32_t (*silent_s)(struct listeners *l, uint64_t bind_id);
};

struct listeners {
    struct net *net;
    struct board *board;
    uint32_t row;               /* of this process */
    const struct listeners_owner *owner;
    struct list all;            /* struct listener */
    struct timer timer;         /* end of a pause or of yielding; heartbeat */
    bool active;                /* this process is to serve */
    bool armed;                 /* the sockets are polled */
    uint64_t rest_until_ms;     /* not polled until then; 0 = no rest */
    uint32_t rows[16];          /* of the board: other workers, for the balance */
    uint32_t n_rows;
    uint64_t rows_at_ms;        /* when `rows` was found */
    uint64_t look_ms;           /* when to look at the backlogs */
};

void listeners_init(struct listeners *l, struct net *n, struct board *b, uint32_t row,
                    const struct listeners_owner *owner);
void listeners_fini(struct listeners *l); /* closes all */
/* Takes over `fd` (listening). An older one with that id is closed. Negative gh_err: fd was closed. */
int listeners_add(struct listeners *l, uint64_t bind_id, int fd);
/* False when there is none. */
bool listeners_remove(struct listeners *l, uint64_t bind_id);
bool listeners_has(const struct listeners *l, uint64_t bind_id);
void listeners_set_active(struct listeners *l, bool active);
void listeners_refresh(struct listeners *l); /* owner->wanted has other answers now */
/* Takes what waits in the backlogs, then closes all. */
void listeners_drain(struct listeners *l);

/*
 * The rule of the balance, pure: may a worker with `mine` connections go on when the least busy live other
 * one has `least`? The slack keeps workers from yielding to each other all the time: 4 connections or 5 %.
 */
static inline bool accept_goes_on(uint32_t mine, uint32_t least)
{
    return mine <= (uint64_t)least + 4 + least / 20;
}
/* `least` from the board: UINT32_MAX when there is no other live worker. */
uint32_t accept_least(struct board *b, const uint32_t *rows, uint32_t n, uint64_t now_ns);

#endif
