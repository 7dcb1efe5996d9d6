/*
 * dataplane.h - the face of the traffic machinery towards the worker's root (link, drain).
 *
 * Below it: net < http < codec < {filter, balance} < upstream < proxy. Above it: messages of the master.
 * Single-threaded, on the loop given. Ownership: the dataplane owns the descriptors given to it, its
 * generations, connections and pools.
 */
#ifndef GH_PROXY_DATAPLANE_H
#define GH_PROXY_DATAPLANE_H

#include "shared/base/log.h"
#include "shared/board/board.h"
#include "shared/snap/snap.h"

struct uv_loop_s;
struct access_log;
struct dataplane;

struct dataplane_config {
    struct uv_loop_s *loop;
    struct board *board;
    uint32_t row;                 /* of this process on the board */
    struct log *log;
    struct access_log *access;    /* NULL = no access log */
    size_t fd_limit;              /* RLIMIT_NOFILE: the reserve and max_connections come from it */
    size_t memory_limit;          /* bytes for queues of bodies; 0 = no limit */
    int system_ca_fd;             /* PEM bundle of the system's CA certificates, taken over; -1 = there is none */
};

struct dataplane *dataplane_new(const struct dataplane_config *c); /* NULL: out of memory */
void dataplane_free(struct dataplane *d);                          /* closes everything at once */

/*
 * Runs the traffic and the libuv loop until dataplane_quit. TAKES THE PLACE OF uv_run: the sockets of the
 * traffic are in an epoll instance of their own (worker/net/net.h says why), of which libuv's descriptor is
 * one member. uv handles work as always; uv_prepare and uv_check do not run at each turn (use a timer for
 * a heartbeat), and uv_stop has no effect.
 */
void dataplane_run(struct dataplane *d);
void dataplane_turn(struct dataplane *d, int max_wait_ms); /* one turn of it, for tests; -1 = no limit */
void dataplane_quit(struct dataplane *d);

/* Takes over the listening socket `fd` of bind `bind_id`, or a bound UDP one (`datagram`). Accepts, or reads, only while
 * active. Of a UDP bind there may be several (net/udp.h); of any other one, a later takes the place of an earlier. */
int dataplane_listener_add(struct dataplane *d, uint64_t bind_id, int fd, bool datagram);
void dataplane_listener_remove(struct dataplane *d, uint64_t bind_id);
void dataplane_set_active(struct dataplane *d, bool active); /* a spare does not accept */

/* Verifies and prepares an offered generation (regexes, clusters, keys); 0 or negative gh_err and a sentence. The
 * descriptors stay the caller's. keys_fd -1: a generation that needs no private keys. */
int dataplane_offer(struct dataplane *d, int snap_fd, int keys_fd, struct buf *why);
/* New requests use it from now on; older ones end on theirs. False when it was never offered. */
bool dataplane_commit(struct dataplane *d, uint64_t generation);
void dataplane_withdraw(struct dataplane *d, uint64_t generation);
uint64_t dataplane_generation(const struct dataplane *d);

/* Stop accepting (after the backlog was taken), `Connection: close` on answers, close idle ones, cut
 * what is left at `deadline_ms` (monotonic); then calls done(arg) once. */
void dataplane_drain(struct dataplane *d, uint64_t deadline_ms, void (*done)(void *arg), void *arg);

#endif
