/*
 * udp.h - UDP sockets that listen: opened by the master, had by every worker, each read by one.
 *
 * The trouble with datagrams is that a client has no connection: whoever reads the socket gets what is there, and two
 * workers that read one socket tear a client's datagrams apart. So each socket has one reader at a time, the worker
 * that holds its claim on the board (shared/board, claims). To use all processors the master opens several sockets for
 * one address (SO_REUSEPORT): the kernel gives every datagram of one client to the same of them.
 *
 *   client ── kernel: hash of the four numbers ──► socket 0 ── worker 1 reads
 *                                                  socket 1 ── worker 2 reads
 *
 * All workers have all sockets, so when a reader dies, drains or is stopped, another one claims its sockets and reads
 * what waits in them: no datagram is lost, and no hash changes. Workers claim their fair share at once and more when
 * nobody else takes it; one that has too many gives those back that have no flows.
 *
 * What else was considered, and figures: HACKING.md, "Decisions".
 *
 * Receiving and sending is done in batches; a datagram may have 64 KiB. Replies leave from the address that the client
 * had sent to, also when the socket is bound to all addresses.
 */
#ifndef GH_NET_UDP_H
#define GH_NET_UDP_H

#include "worker/net/net.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define UDP_BATCH      32
#define UDP_MAX        65535 /* bytes of a datagram */
#define UDP_LOOK_MS    40    /* between looks at the claims */
#define UDP_WAIT_MS    250   /* a socket that nobody reads waits for who has less than its share */
#define UDP_DEAD_MS    1000  /* age of a heartbeat at which a reader counts as gone */

union udp_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct udp_packet {
    char *data;
    uint32_t n;
    uint8_t local_family;       /* 4, 6: `local` is where it was sent to; 0: where the socket is bound */
    uint8_t local[16];
    union udp_address peer;     /* as the socket says it: an IPv4 client of an IPv6 socket is mapped */
};

struct udp_socket;
struct udp_owner {
    /* Datagrams that came; theirs for the call. */
    void (*received)(struct udp_socket *s, struct udp_packet *v, unsigned n);
    /* Is this socket to be served (yet)? */
    bool (*wanted)(struct udp_socket *s);
    /* It will be gone when this returns. */
    void (*gone)(struct udp_socket *s);
};

struct udp_socket {
    struct watch watch;
    struct list node;           /* in udp_sockets->all */
    struct udp_sockets *all;
    int fd;
    uint64_t bind_id;
    uint64_t key;               /* of the claim */
    uint32_t users;             /* of the owner: flows that answer by it; only a socket without any is given back */
    uint16_t port;
    uint8_t family;             /* 4 or 6, of the socket */
    uint8_t bound_family, bound[16]; /* where it is bound: an IPv6 socket may be bound to an IPv4 address */
    bool wildcard, mine, armed;
    uint64_t free_ms;           /* since when nobody reads it; 0 = somebody does */
};

/* All of a worker. */
struct udp_sockets {
    struct net *net;
    struct board *board;
    uint32_t row;               /* of this process */
    const struct udp_owner *owner;
    struct list all;
    uint32_t n;
    struct timer timer;
    bool active, draining;
    struct udp_batch *batch;    /* made for the first socket */
};

void udp_sockets_init(struct udp_sockets *u, struct net *n, struct board *b, uint32_t row, const struct udp_owner *o);
void udp_sockets_fini(struct udp_sockets *u); /* closes all */
/* Takes over a bound descriptor; one more of `bind_id`, unless it is the same socket. Negative gh_err: it is closed. */
int udp_sockets_add(struct udp_sockets *u, uint64_t bind_id, int fd);
bool udp_sockets_remove(struct udp_sockets *u, uint64_t bind_id); /* all of that id; false when there is none */
void udp_sockets_set_active(struct udp_sockets *u, bool active);
void udp_sockets_refresh(struct udp_sockets *u); /* owner->wanted has other answers now */
/* Sockets go to other workers as soon as there are some; until then they are read on. */
void udp_sockets_drain(struct udp_sockets *u);

/* Sends each to its peer, from its local address. Returns how many the kernel took. */
unsigned udp_reply(struct udp_socket *s, const struct udp_packet *v, unsigned n);

/* --- connected sockets, towards endpoints --- */

/* A socket that sends to `to` and hears from there only. Negative errno. */
int udp_connect(const struct sockaddr *to, socklen_t to_len);
/* Up to UDP_BATCH datagrams into *v, whose memory stands until the next call here. Negative errno: ECONNREFUSED and the
 * like are news of the peer; -EAGAIN: nothing. */
int udp_recv(struct udp_sockets *u, int fd, struct udp_packet **v);
/* Returns how many the kernel took; *err is the errno value of the next one (0 when all were). */
unsigned udp_send(int fd, const struct udp_packet *v, unsigned n, int *err);

/*
 * The rule of the claims, pure. `mine` of a bind's `total` sockets are read by this worker, of `workers`; the one in
 * question is free since `free_ms`.
 */
static inline bool udp_may_claim(uint32_t total, uint32_t mine, uint32_t workers, uint64_t free_ms)
{
    uint32_t fair = (total + GH_MAX(workers, 1u) - 1) / GH_MAX(workers, 1u);
    return mine < fair || free_ms >= UDP_WAIT_MS;
}
/* ... and: may one be given back, when another worker reads `least`? */
static inline bool udp_may_give(uint32_t total, uint32_t mine, uint32_t workers, uint32_t least)
{
    uint32_t w = GH_MAX(workers, 1u);
    return mine > (total + w - 1) / w && least < total / w;
}

#endif
