#include "master/listen.h"
#include "shared/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 65535 /* the kernel cuts it to net.core.somaxconn */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

struct listen_given {
    int fd;
    bool keep;
    bool dual; /* IPv6 socket that takes IPv4 as well */
    bool datagram;
    uint64_t cookie; /* the socket, whatever descriptor leads to it */
    union address at;
};

void listen_init(struct listen_set *s)
{
    *s = (struct listen_set){0};
}

void listen_fini(struct listen_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].fd >= 0)
            close(s->v[i].fd);
    for (size_t i = 0; i < s->n_given; i++)
        close(s->given[i].fd);
    free(s->v);
    free(s->given);
    listen_init(s);
}

/* ---- addresses ---- */

static bool parse_v6(const char *text, struct sockaddr_in6 *out)
{
    char host[LISTEN_ADDRESS_MAX];
    const char *percent = strchr(text, '%');
    size_t n = percent ? (size_t)(percent - text) : strlen(text);
    if (n >= sizeof(host))
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    out->sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, host, &out->sin6_addr) != 1)
        return false;
    if (!percent)
        return true;
    uint64_t index;
    if (!str_u64(str_c(percent + 1), &index))
        index = if_nametoindex(percent + 1);
    out->sin6_scope_id = (uint32_t)index;
    return index > 0 && index <= UINT32_MAX;
}

/* Rule 1. For "" the IPv6 form. */
static bool parse_address(const char *text, uint16_t port, union address *out)
{
    memset(out, 0, sizeof(*out));
    if (!text[0]) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return true;
    }
    out->v6.sin6_port = htons(port);
    return parse_v6(text, &out->v6);
}

static uint16_t address_port(const union address *a)
{
    return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

static bool address_equal(const union address *a, const union address *b)
{
    if (a->any.sa_family != b->any.sa_family || address_port(a) != address_port(b))
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0 &&
           a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

static socklen_t address_size(const union address *a)
{
    return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

/* ---- opening ---- */

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Rules 4, 5. */
static bool prepare(int fd, int family, bool datagram)
{
    int flags = fcntl(fd, F_GETFL);
    if (!datagram)
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* connections inherit it: one call less for each */
    else if (family == AF_INET && !set_option(fd, IPPROTO_IP, IP_PKTINFO, 1))
        return false;
    else if (family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1))
        return false;
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void share_port(const struct listen_set *s, uint16_t port, bool datagram, int on)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].fd >= 0 && s->v[i].port == port && s->v[i].datagram == datagram && !s->v[i].shared)
            set_option(s->v[i].fd, SOL_SOCKET, SO_REUSEPORT, on);
    for (size_t i = 0; i < s->n_given; i++)
        if (address_port(&s->given[i].at) == port && s->given[i].datagram == datagram)
            set_option(s->given[i].fd, SOL_SOCKET, SO_REUSEPORT, on);
}

static bool have_port(const struct listen_set *s, uint16_t port, bool datagram)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].fd >= 0 && s->v[i].port == port && s->v[i].datagram == datagram)
            return true;
    for (size_t i = 0; i < s->n_given; i++)
        if (address_port(&s->given[i].at) == port && s->given[i].datagram == datagram)
            return true;
    return false;
}

static bool begin_listening(int fd, bool datagram)
{
    return datagram || listen(fd, BACKLOG) == 0;
}

/* Rules 2, 3. The descriptor, or -1 and errno. */
static int open_at(const struct listen_set *s, const union address *a, bool dual, bool datagram)
{
    uint16_t port = address_port(a);
    int fd = socket(a->any.sa_family, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    bool good = (datagram || set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) && prepare(fd, a->any.sa_family, datagram);
    if (a->any.sa_family == AF_INET6)
        good = good && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual);
    good = good && bind(fd, &a->any, address_size(a)) == 0;
    if (!good && errno == EADDRINUSE && have_port(s, port, datagram)) {
        share_port(s, port, datagram, 1);
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        good = bind(fd, &a->any, address_size(a)) == 0 && begin_listening(fd, datagram);
        int err = errno;
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 0);
        share_port(s, port, datagram, 0);
        errno = err;
    } else {
        good = good && begin_listening(fd, datagram);
    }
    if (!good) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

/* Opens what `address` and `port` say; fills l->fd and l->family, or l->error. */
static void open_listener(const struct listen_set *s, struct listener *l)
{
    union address a;
    bool every = !l->address[0];
    if (!parse_address(l->address, l->port, &a)) {
        l->error = EINVAL;
        return;
    }
    l->fd = open_at(s, &a, every, l->datagram);
    if (l->fd < 0 && every && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        a = (union address){.v4 = {.sin_family = AF_INET, .sin_port = htons(l->port)}};
        l->fd = open_at(s, &a, false, l->datagram);
    }
    l->family = a.any.sa_family;
    l->error = l->fd < 0 ? errno : 0;
}

/* ---- given sockets ---- */

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t n = sizeof(value);
    return getsockopt(fd, level, name, &value, &n) == 0 ? value : -1;
}

/* A TCP socket that listens, or a UDP one that has a port and no peer. */
static bool is_useful(struct listen_given *g)
{
    union address peer;
    socklen_t n = sizeof(g->at), n_peer = sizeof(peer);
    int type = option_of(g->fd, SOL_SOCKET, SO_TYPE);
    g->datagram = type == SOCK_DGRAM;
    if (getsockname(g->fd, &g->at.any, &n) != 0 || (g->at.any.sa_family != AF_INET && g->at.any.sa_family != AF_INET6))
        return false;
    if (g->datagram)
        return option_of(g->fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP && address_port(&g->at) != 0 &&
               getpeername(g->fd, &peer.any, &n_peer) != 0;
    return type == SOCK_STREAM && option_of(g->fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
}

int listen_give(struct listen_set *s, int fd, bool keep)
{
    struct listen_given g = {.fd = fd, .keep = keep};
    if (!is_useful(&g) || !prepare(fd, g.at.any.sa_family, g.datagram)) {
        close(fd);
        return GH_E_FORMAT;
    }
    g.dual = g.at.any.sa_family == AF_INET6 && option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
    socklen_t n = sizeof(g.cookie);
    if (g.datagram) /* several of one address are no duplicates */
        getsockopt(fd, SOL_SOCKET, SO_COOKIE, &g.cookie, &n);
    for (size_t i = 0; i < s->n_given; i++) {
        if (s->given[i].datagram == g.datagram && s->given[i].cookie == g.cookie && address_equal(&s->given[i].at, &g.at)) {
            s->given[i].keep |= keep;
            close(fd);
            return GH_E_EXISTS;
        }
    }
    if (s->n_given == s->cap_given) {
        size_t cap = s->cap_given ? s->cap_given * 2 : 16;
        struct listen_given *given = realloc(s->given, cap * sizeof(*given));
        if (!given) {
            close(fd);
            return GH_E_NOMEM;
        }
        s->given = given;
        s->cap_given = cap;
    }
    if (!g.datagram)
        listen(fd, BACKLOG); /* a unit's backlog may be short */
    s->given[s->n_given++] = g;
    return 0;
}

void listen_drop_given(struct listen_set *s)
{
    for (size_t i = s->n_given; i-- > 0;) {
        if (!s->given[i].keep) {
            close(s->given[i].fd);
            s->given[i] = s->given[--s->n_given];
        }
    }
}

void listen_each_given(const struct listen_set *s, struct buf *ctx, void (*fn)(struct buf *ctx, const char *name, int fd))
{
    for (size_t i = 0; i < s->n_given; i++)
        fn(ctx, s->given[i].keep ? "unit" : "bind", s->given[i].fd);
}

static bool given_fits(const struct listen_given *g, const char *address, const union address *a)
{
    if (address[0])
        return address_equal(&g->at, a);
    if (address_port(&g->at) != address_port(a))
        return false;
    return g->at.any.sa_family == AF_INET ? g->at.v4.sin_addr.s_addr == INADDR_ANY
                                          : IN6_IS_ADDR_UNSPECIFIED(&g->at.v6.sin6_addr);
}

static bool take_given(struct listen_set *s, struct listener *l)
{
    union address a;
    if (!parse_address(l->address, l->port, &a))
        return false;
    struct listen_given *best = NULL;
    for (size_t i = 0; i < s->n_given; i++) /* for "" a socket that takes both families is the better one */
        if (s->given[i].datagram == l->datagram && given_fits(&s->given[i], l->address, &a) &&
            (!best || s->given[i].dual))
            best = &s->given[i];
    if (!best)
        return false;
    l->fd = best->fd;
    l->family = best->at.any.sa_family;
    l->keep = best->keep;
    l->error = 0;
    *best = s->given[--s->n_given];
    return true;
}

/* ---- the attempt ---- */

static struct listener *find(struct listen_set *s, uint64_t bind_id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].bind_id == bind_id && s->v[i].number == 0)
            return &s->v[i];
    return NULL;
}

static struct listener *add(struct listen_set *s)
{
    if (s->n >= LISTEN_MAX)
        return NULL;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct listener *v = realloc(s->v, cap * sizeof(*v));
        if (!v)
            return NULL;
        s->v = v;
        s->cap = cap;
    }
    struct listener *l = &s->v[s->n++];
    *l = (struct listener){.fd = -1};
    return l;
}

void listen_begin(struct listen_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->v[i].wanted_next = false;
}

/* One more socket at the address of `of`, which has one. The descriptor, or -1. */
static int open_beside(const struct listener *of)
{
    union address a;
    socklen_t n = sizeof(a);
    if (getsockname(of->fd, &a.any, &n))
        return -1;
    int fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = fd >= 0 && prepare(fd, a.any.sa_family, true) && set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (a.any.sa_family == AF_INET6)
        good = good && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, option_of(of->fd, IPPROTO_IPV6, IPV6_V6ONLY));
    if (good && set_option(of->fd, SOL_SOCKET, SO_REUSEPORT, 1) && bind(fd, &a.any, n) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Rule 4: the other sockets of a UDP address. What was given is taken, for none may be left unread; what can't be had is
 * done without. */
static void spread_out(struct listen_set *s, uint64_t bind_id)
{
    uint32_t n = 0, want = GH_MIN(s->spread, (uint32_t)LISTEN_SPREAD_MAX);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].bind_id == bind_id) {
            s->v[i].wanted_next = true;
            n++;
        }
    for (;; n++) {
        const struct listener *first = find(s, bind_id);
        struct listener more = *first;
        more.fd = -1;
        more.number = (uint16_t)n;
        more.stored = more.keep = false;
        if (s->n >= LISTEN_MAX / 2 || (!take_given(s, &more) && (n >= want || (more.fd = open_beside(first)) < 0)))
            break;
        set_option(more.fd, SOL_SOCKET, SO_REUSEPORT, 1);
        set_option(first->fd, SOL_SOCKET, SO_REUSEPORT, 1);
        struct listener *l = add(s);
        if (!l) {
            close(more.fd);
            break;
        }
        *l = more;
        l->shared = find(s, bind_id)->shared = true;
    }
}

int listen_want(struct listen_set *s, uint64_t bind_id, const char *address, uint32_t port, bool datagram)
{
    union address a;
    if (port == 0 || port > 65535 || strlen(address) >= LISTEN_ADDRESS_MAX ||
        !parse_address(address, (uint16_t)port, &a))
        return EINVAL;
    struct listener *l = find(s, bind_id);
    if (l && (l->port != port || l->datagram != datagram || strcmp(l->address, address) != 0))
        return EINVAL;
    if (!l) {
        l = add(s);
        if (!l)
            return ENOBUFS;
        l->bind_id = bind_id;
        l->port = (uint16_t)port;
        l->datagram = datagram;
        strcpy(l->address, address);
    }
    l->wanted_next = true;
    if (l->fd < 0) {
        if (!take_given(s, l))
            open_listener(s, l);
        l->tentative = l->fd >= 0;
    }
    int error = l->error;
    if (datagram && !error)
        spread_out(s, bind_id);
    return error;
}

/* Closes what is not `wanted` any more and forgets it. */
static void close_unwanted(struct listen_set *s, void (*closed)(void *ctx, const struct listener *l), void *ctx)
{
    for (size_t i = s->n; i-- > 0;) {
        struct listener l = s->v[i];
        if (l.wanted)
            continue;
        s->v[i] = s->v[--s->n];
        if (l.fd < 0)
            continue;
        if (closed)
            closed(ctx, &l);
        if (l.keep)
            listen_give(s, l.fd, true);
        else
            close(l.fd);
    }
}

void listen_commit(struct listen_set *s, void (*closed)(void *ctx, const struct listener *l), void *ctx)
{
    for (size_t i = 0; i < s->n; i++) {
        s->v[i].wanted = s->v[i].wanted_next;
        s->v[i].wanted_next = s->v[i].tentative = false;
    }
    close_unwanted(s, closed, ctx);
}

void listen_withdraw(struct listen_set *s, void (*closed)(void *ctx, const struct listener *l), void *ctx)
{
    for (size_t i = 0; i < s->n; i++) {
        struct listener *l = &s->v[i];
        if (l->wanted && l->tentative) { /* it was wanted before, without a socket: leave it like that */
            if (closed)
                closed(ctx, l);
            if (l->keep)
                listen_give(s, l->fd, true);
            else
                close(l->fd);
            l->fd = -1;
            l->keep = l->shared = false;
            l->error = EADDRINUSE;
            l->wanted = l->number == 0;
        }
        l->wanted_next = l->tentative = false;
    }
    close_unwanted(s, closed, ctx);
}

bool listen_retry(struct listen_set *s)
{
    bool can = false;
    for (size_t i = 0; i < s->n; i++) {
        if (!s->v[i].wanted || s->v[i].fd >= 0)
            continue;
        struct listener probe = s->v[i];
        open_listener(s, &probe);
        s->v[i].error = probe.error;
        if (probe.fd >= 0) {
            close(probe.fd);
            can = true;
        }
    }
    return can;
}

size_t listen_unbound(const struct listen_set *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].wanted && s->v[i].fd < 0;
    return n;
}

size_t listen_bound(const struct listen_set *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].fd >= 0 && s->v[i].number == 0;
    return n;
}

/* ---- unix sockets ---- */

static bool unix_address(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(out->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(out->sun_path, path);
    return true;
}

/* Bound at `path`, accessible to its owner only. */
static int unix_bound(const char *path, int type)
{
    struct sockaddr_un a;
    if (!unix_address(path, &a))
        return -1;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    unlink(path);
    mode_t old = umask(0177);
    int rc = bind(fd, (struct sockaddr *)&a, sizeof(a)), err = errno;
    umask(old);
    if (rc != 0) {
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

int listen_unix(const char *path, mode_t mode, gid_t group)
{
    char fresh[sizeof(((struct sockaddr_un *)0)->sun_path)];
    if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = unix_bound(fresh, SOCK_STREAM);
    if (fd < 0)
        return -1;
    if (group != (gid_t)-1)
        (void)!chown(fresh, (uid_t)-1, group); /* then only the owner may use it */
    if (chmod(fresh, mode) == 0 && listen(fd, 128) == 0 && rename(fresh, path) == 0)
        return fd;
    int err = errno;
    unlink(fresh);
    close(fd);
    errno = err;
    return -1;
}

int listen_rescue(const char *path)
{
    return unix_bound(path, SOCK_SEQPACKET);
}
