/*
 * listen.h - the listening sockets, and bound UDP ones: opened by the master, kept across generations, workers and masters.
 *
 * A load is an attempt: for every address it will need, the compiler asks (listen_want). What is open stays; what is
 * not is taken from the sockets that were given to this process, else bound. When the attempt ends well
 * (listen_commit) sockets that nobody wanted are closed; when it ends badly (listen_withdraw) those that it opened are.
 * Whom to tell is the caller's business.
 *
 * Given sockets come from systemd (socket activation, file descriptor store), from the binary before this one, or
 * from orphaned workers. Those of a socket unit are kept for ever: they can't be had again.
 *
 * Rules
 *  1. An address is text: "" (every address; dual-stack, IPv4 where there is no IPv6), IPv4, or IPv6 (only IPv6, with
 *     %scope for link-local ones). Ports are 1..65535.
 *  2. A socket listens from the moment it is bound: only then is the port really ours. What connects during an
 *     attempt waits in the backlog.
 *  3. "" and 192.0.2.1 may both be wanted with one port. Linux lets them live together only if both say
 *     SO_REUSEPORT while the second is bound. They say so only for that moment: a second master of the same user must
 *     never share a port with us without anybody noticing.
 *  4. UDP sockets say SO_REUSEADDR never: two of them with it would share datagrams. They report the address to which
 *     a datagram came (IP_PKTINFO, IPV6_RECVPKTINFO), so that an answer can come from there. The same port of TCP and
 *     UDP are two listeners. A UDP address has `spread` sockets, one for each worker: the kernel gives every client to one
 *     of them (worker/net/udp.h). The first is bound alone, so the port is ours; then all say SO_REUSEPORT, which
 *     lets nobody in who binds without it, as another master does. Their number may grow while the address is wanted, and
 *     does not shrink: that would send clients to other workers. They come and go together, under one bind_id.
 *  5. Descriptors are close-on-exec and non-blocking (workers share the open socket).
 */
#ifndef GH_MASTER_LISTEN_H
#define GH_MASTER_LISTEN_H

#include "shared/base/str.h"
#include <sys/types.h>

#define LISTEN_MAX          4096
#define LISTEN_ADDRESS_MAX  64
#define LISTEN_NAME_MAX     64
#define LISTEN_SPREAD_MAX   64

struct listener {
    uint64_t bind_id;
    char address[LISTEN_ADDRESS_MAX];
    uint16_t port;
    bool datagram;           /* UDP */
    uint16_t number;         /* of the sockets of one UDP address; the one with 0 is always there */
    bool shared;             /* there is more than one, so they say SO_REUSEPORT for good */
    int family;              /* AF_INET, AF_INET6 */
    int fd;                  /* -1 = could not be bound */
    int error;               /* then: errno */
    bool wanted;             /* by the committed generation */
    bool wanted_next;        /* by the attempt */
    bool tentative;          /* opened by the attempt */
    bool keep;               /* of a socket unit */
    bool stored;             /* in the descriptor store (adopt.c) */
};

struct listen_given;

/* Owned by its user. */
struct listen_set {
    struct listener *v;      /* addresses stay valid until the next call that wants, commits or withdraws */
    size_t n, cap;
    struct listen_given *given;
    size_t n_given, cap_given;
    uint32_t spread;         /* sockets of a UDP address; 0 = 1. Set by the owner */
};

void listen_init(struct listen_set *s);
void listen_fini(struct listen_set *s); /* closes everything */

/* Takes over an inherited socket. What is no listening TCP socket nor a bound UDP one, or is there already, is closed:
 * GH_E_FORMAT, GH_E_EXISTS, GH_E_NOMEM. `keep`: of a socket unit. */
int listen_give(struct listen_set *s, int fd, bool keep);
/* Closes given sockets that nobody wanted, but for those of socket units. */
void listen_drop_given(struct listen_set *s);

/* For the given sockets nobody wanted yet: fn(ctx, "unit" or "bind", fd). */
void listen_each_given(const struct listen_set *s, struct buf *ctx, void (*fn)(struct buf *ctx, const char *name, int fd));

void listen_begin(struct listen_set *s);
/* 0 or errno. EINVAL: no address, or the id of another one. */
int listen_want(struct listen_set *s, uint64_t bind_id, const char *address, uint32_t port, bool datagram);
/* `closed` is called for every listener that is about to be closed. */
void listen_commit(struct listen_set *s, void (*closed)(void *ctx, const struct listener *l), void *ctx);
void listen_withdraw(struct listen_set *s, void (*closed)(void *ctx, const struct listener *l), void *ctx);
/* Between attempts: is there a wanted one without socket that could be bound now? (It is not: that is for the attempt
 * that follows, which has to report it.) */
bool listen_retry(struct listen_set *s);
/* Wanted listeners that have no socket; all that have. */
size_t listen_unbound(const struct listen_set *s);
size_t listen_bound(const struct listen_set *s);

/* A unix stream socket at `path` that listens, in place of whatever socket was there; a connection is never refused in
 * between. The descriptor, or -1 and errno. gid -1: unchanged. */
int listen_unix(const char *path, mode_t mode, gid_t group);
/* A unix SOCK_SEQPACKET socket, bound and not listening (ipc.h: RESCUE), only for its owner. */
int listen_rescue(const char *path);

#endif
