#include "master/listen.h"
#include "shared/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static int setup(void **state)
{
    struct listen_set *s = calloc(1, sizeof(*s));
    listen_init(s);
    *state = s;
    return s ? 0 : -1;
}

static int teardown(void **state)
{
    listen_fini(*state);
    free(*state);
    return 0;
}

/* A listening socket of somebody else on a port that the kernel chose. */
static int stranger(const char *address, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    inet_pton(AF_INET, address, &a.sin_addr);
    if (bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 8) != 0) {
        close(fd);
        return -1;
    }
    getsockname(fd, (struct sockaddr *)&a, &n);
    *port = ntohs(a.sin_port);
    return fd;
}

static uint16_t free_port(void)
{
    uint16_t port = 0;
    close(stranger("127.0.0.1", &port));
    return port;
}

static bool connects(const char *address, uint16_t port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    bool is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    inet_pton(AF_INET, address, &v4.sin_addr);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = is_v6 ? connect(fd, (struct sockaddr *)&v6, sizeof(v6)) : connect(fd, (struct sockaddr *)&v4, sizeof(v4));
    close(fd);
    return rc == 0;
}

static void count_closed(void *ctx, const struct listener *l)
{
    (void)l;
    ++*(int *)ctx;
}

static void what_is_wanted_listens_at_once_and_stays(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_port();
    int closed = 0;
    for (int load = 0; load < 3; load++) {
        listen_begin(s);
        assert_int_equal(listen_want(s, 1, "127.0.0.1", port, false), 0);
        assert_true(connects("127.0.0.1", port));
        listen_commit(s, count_closed, &closed);
    }
    assert_int_equal(s->n, 1);
    assert_true(fcntl(s->v[0].fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(s->v[0].fd, F_GETFL) & O_NONBLOCK);
    assert_int_equal(closed, 0);
    listen_begin(s);
    listen_commit(s, count_closed, &closed);
    assert_int_equal(closed, 1);
    assert_false(connects("127.0.0.1", port));
}

static void a_withdrawn_attempt_leaves_everything_as_it_was(void **state)
{
    struct listen_set *s = *state;
    uint16_t old = free_port(), fresh = free_port();
    int closed = 0;
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", old, false), 0);
    listen_commit(s, NULL, NULL);
    listen_begin(s);
    assert_int_equal(listen_want(s, 2, "127.0.0.1", fresh, false), 0);
    listen_withdraw(s, count_closed, &closed);
    assert_int_equal(closed, 1);
    assert_true(connects("127.0.0.1", old));
    assert_false(connects("127.0.0.1", fresh));
    assert_int_equal(s->n, 1);
}

static void the_wildcard_takes_both_families(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_port();
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", port, false), 0);
    assert_true(connects("127.0.0.1", port));
    if (s->v[0].family == AF_INET6)
        assert_true(connects("::1", port));
}

static void an_explicit_address_takes_only_its_family(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_port();
    listen_begin(s);
    if (listen_want(s, 1, "::", port, false) != 0)
        skip(); /* no IPv6 here */
    assert_false(connects("127.0.0.1", port));
    assert_int_equal(listen_want(s, 2, "0.0.0.0", port, false), 0);
    assert_true(connects("127.0.0.1", port));
    assert_true(connects("::1", port));
}

static void wildcard_and_address_share_a_port_and_nobody_else_gets_in(void **state)
{
    struct listen_set *s = *state;
    for (int round = 0; round < 2; round++) { /* in both orders */
        uint16_t port = free_port();
        listen_begin(s);
        assert_int_equal(listen_want(s, 1, round ? "" : "127.0.0.1", port, false), 0);
        assert_int_equal(listen_want(s, 2, round ? "127.0.0.1" : "", port, false), 0);
        assert_int_equal(listen_want(s, 3, "127.0.0.2", port, false), 0);
        assert_true(connects("127.0.0.1", port));
        assert_true(connects("127.0.0.3", port));

        const struct listener *exact = &s->v[round ? 1 : 0]; /* the exact one gets its connections */
        int c = accept(exact->fd, NULL, NULL);
        assert_true(c >= 0);
        close(c);
        assert_int_equal(accept(exact->fd, NULL, NULL), -1);

        struct listen_set other;
        listen_init(&other);
        listen_begin(&other);
        assert_int_equal(listen_want(&other, 1, "127.0.0.1", port, false), EADDRINUSE);
        assert_int_equal(listen_want(&other, 2, "", port, false), EADDRINUSE);
        listen_fini(&other);
        listen_withdraw(s, NULL, NULL);
    }
}

static void a_port_in_use_is_reported_and_had_when_it_is_free(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = 0;
    int fd = stranger("127.0.0.1", &port);
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, false), EADDRINUSE);
    listen_commit(s, NULL, NULL);
    assert_int_equal(listen_unbound(s), 1);
    assert_false(listen_retry(s));
    close(fd);
    assert_true(listen_retry(s));
    assert_int_equal(listen_unbound(s), 1); /* the next attempt takes it */
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, false), 0);
    listen_withdraw(s, NULL, NULL);
    assert_int_equal(listen_unbound(s), 1);
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, false), 0);
    listen_commit(s, NULL, NULL);
    assert_int_equal(listen_unbound(s), 0);
}

static void what_is_no_address_is_invalid(void **state)
{
    struct listen_set *s = *state;
    static const char *const bad[] = {"localhost", "1.2.3", "1.2.3.4.5", "::1%", "::1%nosuchif", "::g", " ", "*",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    listen_begin(s);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(listen_want(s, i, bad[i], 80, false), EINVAL);
    assert_int_equal(listen_want(s, 100, "127.0.0.1", 0, false), EINVAL);
    assert_int_equal(listen_want(s, 100, "127.0.0.1", 65536, false), EINVAL);
    uint16_t port = free_port();
    assert_int_equal(listen_want(s, 100, "127.0.0.1", port, false), 0);
    assert_int_equal(listen_want(s, 100, "127.0.0.2", port, false), EINVAL);
    assert_int_equal(listen_want(s, 101, "192.0.2.77", port, false), EADDRNOTAVAIL);
}

static void a_given_socket_is_taken_with_its_backlog(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = 0;
    int fd = stranger("127.0.0.1", &port);
    assert_true(connects("127.0.0.1", port)); /* waits in the backlog */
    assert_int_equal(listen_give(s, dup(fd), false), 0);
    assert_int_equal(listen_give(s, dup(fd), false), GH_E_EXISTS);
    close(fd);
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, false), 0);
    int c = accept(s->v[0].fd, NULL, NULL);
    assert_true(c >= 0);
    close(c);
    listen_commit(s, NULL, NULL);
    listen_drop_given(s);
    assert_true(connects("127.0.0.1", port));
}

static void a_unit_s_socket_is_kept_when_nobody_wants_it(void **state)
{
    struct listen_set *s = *state;
    uint16_t kept = 0, other = 0;
    assert_int_equal(listen_give(s, stranger("0.0.0.0", &kept), true), 0);
    assert_int_equal(listen_give(s, stranger("127.0.0.1", &other), false), 0);
    listen_drop_given(s);
    assert_true(connects("127.0.0.1", kept));
    assert_false(connects("127.0.0.1", other));
    for (int i = 0; i < 2; i++) {
        listen_begin(s);
        assert_int_equal(listen_want(s, 1, "", kept, false), 0); /* IPv4 wildcard fits "" */
        listen_commit(s, NULL, NULL);
        listen_begin(s);
        listen_commit(s, NULL, NULL);
        assert_true(connects("127.0.0.1", kept));
    }
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", kept, false), 0);
    listen_withdraw(s, NULL, NULL);
    assert_true(connects("127.0.0.1", kept));
}

static void what_is_no_listening_tcp_socket_is_not_taken(void **state)
{
    struct listen_set *s = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(listen_give(s, p[0], false), GH_E_FORMAT);
    close(p[1]);
    assert_int_equal(listen_give(s, socket(AF_INET, SOCK_STREAM, 0), false), GH_E_FORMAT);
    assert_int_equal(listen_give(s, socket(AF_INET, SOCK_DGRAM, 0), false), GH_E_FORMAT);
    assert_int_equal(listen_give(s, -1, false), GH_E_FORMAT);
}

/* ---- UDP ---- */

union any {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t udp_address(union any *a, const char *address, uint16_t port)
{
    memset(a, 0, sizeof(*a));
    if (inet_pton(AF_INET6, address, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        return sizeof(a->v6);
    }
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons(port);
    assert_int_equal(inet_pton(AF_INET, address, &a->v4.sin_addr), 1);
    return sizeof(a->v4);
}

/* A UDP socket of somebody else, bound; -1 when that can't be. */
static int udp_stranger(const char *address, uint16_t *port)
{
    union any a;
    socklen_t n = udp_address(&a, address, *port);
    int fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(fd, &a.any, n) != 0) {
        close(fd);
        return -1;
    }
    getsockname(fd, &a.any, &n);
    *port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    return fd;
}

static uint16_t free_udp_port(void)
{
    uint16_t port = 0;
    close(udp_stranger("127.0.0.1", &port));
    return port;
}

/* Sends to `address`; the address it came to as `fd` is told it, "" when it did not come. */
static const char *came_to(int fd, const char *address, uint16_t port, char text[INET6_ADDRSTRLEN])
{
    union any a;
    char byte = 'x', control[256];
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    socklen_t n = udp_address(&a, address, port);
    int c = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    text[0] = '\0';
    assert_int_equal(sendto(c, "x", 1, 0, &a.any, n), 1);
    close(c);
    if (recvmsg(fd, &m, MSG_DONTWAIT) != 1) /* over the loopback it is there at once */
        return text;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO)
            inet_ntop(AF_INET, &((struct in_pktinfo *)(void *)CMSG_DATA(h))->ipi_addr, text, INET6_ADDRSTRLEN);
        if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO)
            inet_ntop(AF_INET6, &((struct in6_pktinfo *)(void *)CMSG_DATA(h))->ipi6_addr, text, INET6_ADDRSTRLEN);
    }
    return text;
}

static void tcp_and_udp_of_one_port_are_two(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_port();
    char text[INET6_ADDRSTRLEN];
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, false), 0);
    assert_int_equal(listen_want(s, 2, "127.0.0.1", port, true), 0);
    assert_int_equal(listen_want(s, 2, "127.0.0.1", port, false), EINVAL); /* an id is of one of them */
    listen_commit(s, NULL, NULL);
    assert_true(connects("127.0.0.1", port));
    assert_true(s->v[1].datagram);
    assert_string_equal(came_to(s->v[1].fd, "127.0.0.1", port, text), "127.0.0.1");
    assert_true(fcntl(s->v[1].fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(s->v[1].fd, F_GETFL) & O_NONBLOCK);
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, false), 0);
    int closed = 0;
    listen_commit(s, count_closed, &closed);
    assert_int_equal(closed, 1);
    int again = udp_stranger("127.0.0.1", &port); /* it is free */
    assert_true(again >= 0);
    close(again);
}

static void a_datagram_says_to_which_address_it_came(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_udp_port();
    char text[INET6_ADDRSTRLEN];
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", port, true), 0);
    int fd = s->v[0].fd;
    came_to(fd, "127.0.0.2", port, text);
    assert_string_equal(text, s->v[0].family == AF_INET6 ? "::ffff:127.0.0.2" : "127.0.0.2");
    if (s->v[0].family == AF_INET6)
        assert_string_equal(came_to(fd, "::1", port, text), "::1");
}

static void nobody_shares_the_datagrams(void **state)
{
    struct listen_set *s = *state, other;
    uint16_t port = free_udp_port();
    char text[INET6_ADDRSTRLEN];
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", port, true), 0);
    assert_int_equal(listen_want(s, 2, "127.0.0.3", port, true), 0);
    assert_string_equal(came_to(s->v[1].fd, "127.0.0.3", port, text), "127.0.0.3");
    listen_init(&other);
    listen_begin(&other);
    assert_int_equal(listen_want(&other, 1, "", port, true), EADDRINUSE);
    assert_int_equal(listen_want(&other, 2, "127.0.0.3", port, true), EADDRINUSE);
    listen_fini(&other);
    assert_int_equal(udp_stranger("127.0.0.3", &port), -1);
}

static void a_given_udp_socket_is_taken_with_what_waits_there(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = 0, unit = 0;
    char text[INET6_ADDRSTRLEN];
    int fd = udp_stranger("127.0.0.1", &port);
    assert_int_equal(listen_give(s, fd, false), 0);
    assert_int_equal(listen_give(s, udp_stranger("0.0.0.0", &unit), true), 0);
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, true), 0);
    assert_int_equal(s->v[0].fd, fd);
    assert_string_equal(came_to(s->v[0].fd, "127.0.0.1", port, text), "127.0.0.1");
    assert_int_equal(listen_want(s, 2, "", unit, true), 0);
    assert_true(s->v[1].keep);
    listen_commit(s, NULL, NULL);
    listen_begin(s);
    listen_commit(s, NULL, NULL);
    listen_drop_given(s);
    assert_int_equal(udp_stranger("0.0.0.0", &unit), -1); /* the unit's is kept */
    int free_again = udp_stranger("127.0.0.1", &port);
    assert_true(free_again >= 0);
    close(free_again);
}

static void a_udp_socket_with_a_peer_or_without_a_port_is_not_taken(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = 0;
    union any a;
    int fd = udp_stranger("127.0.0.1", &port);
    socklen_t n = udp_address(&a, "127.0.0.1", port);
    assert_int_equal(connect(fd, &a.any, n), 0);
    assert_int_equal(listen_give(s, fd, false), GH_E_FORMAT);
    assert_int_equal(listen_give(s, socket(AF_INET6, SOCK_DGRAM, 0), false), GH_E_FORMAT);
    assert_int_equal(listen_give(s, socket(AF_UNIX, SOCK_DGRAM, 0), false), GH_E_FORMAT);
}

/* How many of the sockets hear something when many clients speak. */
static unsigned hear(struct listen_set *s, const char *address, uint16_t port)
{
    unsigned n = 0;
    char byte;
    union any a;
    socklen_t len = udp_address(&a, address, port);
    for (int i = 0; i < 200; i++) {
        int fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(sendto(fd, "x", 1, 0, &a.any, len), 1);
        close(fd);
    }
    for (size_t i = 0; i < s->n; i++) {
        n += recv(s->v[i].fd, &byte, 1, MSG_DONTWAIT) == 1;
        while (recv(s->v[i].fd, &byte, 1, MSG_DONTWAIT) >= 0) {
        }
    }
    return n;
}

static void a_udp_address_has_a_socket_for_each_worker(void **state)
{
    struct listen_set *s = *state, other;
    uint16_t port = free_udp_port();
    int closed = 0;
    s->spread = 3;
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, true), 0);
    assert_int_equal(listen_want(s, 2, "127.0.0.2", port, true), 0);
    listen_commit(s, NULL, NULL);
    assert_int_equal(s->n, 6);
    assert_int_equal(listen_bound(s), 2);
    assert_int_equal(hear(s, "127.0.0.1", port), 3);
    assert_int_equal(hear(s, "127.0.0.2", port), 3);
    listen_init(&other);
    listen_begin(&other);
    assert_int_equal(listen_want(&other, 1, "127.0.0.1", port, true), EADDRINUSE);
    listen_fini(&other);
    assert_int_equal(udp_stranger("127.0.0.1", &port), -1);
    listen_begin(s);
    assert_int_equal(listen_want(s, 2, "127.0.0.2", port, true), 0);
    listen_commit(s, count_closed, &closed);
    assert_int_equal(closed, 3);
    assert_int_equal(s->n, 3);
    assert_int_equal(hear(s, "127.0.0.2", port), 3);
}

static void more_workers_make_more_sockets_whatever_becomes_of_the_attempt(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_udp_port();
    int closed = 0;
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", port, true), 0);
    listen_commit(s, NULL, NULL);
    assert_int_equal(s->n, 1);
    s->spread = 4;
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", port, true), 0);
    listen_withdraw(s, count_closed, &closed);
    assert_int_equal(closed, 0);
    assert_int_equal(s->n, 4);
    assert_int_equal(hear(s, "127.0.0.1", port), 4);
    s->spread = 2; /* fewer do not send clients to other workers */
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", port, true), 0);
    listen_commit(s, count_closed, &closed);
    assert_int_equal(s->n, 4);
    assert_int_equal(closed, 0);
}

static void a_withdrawn_udp_address_leaves_none_of_its_sockets(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_udp_port();
    int closed = 0;
    s->spread = 3;
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, true), 0);
    listen_withdraw(s, count_closed, &closed);
    assert_int_equal(closed, 3);
    assert_int_equal(s->n, 0);
    int again = udp_stranger("127.0.0.1", &port);
    assert_true(again >= 0);
    close(again);
}

static void all_given_udp_sockets_of_an_address_are_taken(void **state)
{
    struct listen_set *s = *state, before;
    uint16_t port = free_udp_port();
    int fds[3];
    listen_init(&before);
    before.spread = 3;
    listen_begin(&before);
    assert_int_equal(listen_want(&before, 1, "127.0.0.1", port, true), 0);
    for (int i = 0; i < 3; i++)
        fds[i] = fcntl(before.v[i].fd, F_DUPFD_CLOEXEC, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(listen_give(s, fcntl(fds[i], F_DUPFD_CLOEXEC, 0), false), 0);
        assert_int_equal(listen_give(s, fds[i], false), GH_E_EXISTS); /* the store has it, and so has an orphan */
    }
    listen_fini(&before);
    s->spread = 2;
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port, true), 0);
    listen_commit(s, NULL, NULL);
    assert_int_equal(s->n, 3);
    assert_int_equal(s->n_given, 0);
    assert_int_equal(hear(s, "127.0.0.1", port), 3);
}

static void a_unix_socket_replaces_the_one_that_was_there(void **state)
{
    (void)state;
    char dir[] = "/tmp/gh-listen-XXXXXX", path[64];
    struct stat st;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/s.sock", dir);
    int a = listen_unix(path, 0600, (gid_t)-1), b = listen_unix(path, 0660, getgid());
    assert_true(a >= 0 && b >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(c, (struct sockaddr *)&at, sizeof(at)), 0);
    int got = accept(b, NULL, NULL);
    assert_true(got >= 0);
    close(got);
    close(c);
    close(a);
    close(b);

    int r = listen_rescue(path); /* exists, belongs to the owner, refuses until somebody listens */
    assert_true(r >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    c = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_int_equal(connect(c, (struct sockaddr *)&at, sizeof(at)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(listen(r, 1), 0);
    assert_int_equal(connect(c, (struct sockaddr *)&at, sizeof(at)), 0);
    close(c);
    close(r);
    unlink(path);
    rmdir(dir);
    char deep[300];
    memset(deep, 'a', sizeof(deep) - 1);
    deep[299] = '\0';
    assert_int_equal(listen_unix(deep, 0600, (gid_t)-1), -1);
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_wanted_listens_at_once_and_stays),
        TEST(a_withdrawn_attempt_leaves_everything_as_it_was),
        TEST(the_wildcard_takes_both_families),
        TEST(an_explicit_address_takes_only_its_family),
        TEST(wildcard_and_address_share_a_port_and_nobody_else_gets_in),
        TEST(a_port_in_use_is_reported_and_had_when_it_is_free),
        TEST(what_is_no_address_is_invalid),
        TEST(a_given_socket_is_taken_with_its_backlog),
        TEST(a_unit_s_socket_is_kept_when_nobody_wants_it),
        TEST(what_is_no_listening_tcp_socket_is_not_taken),
        TEST(tcp_and_udp_of_one_port_are_two),
        TEST(a_datagram_says_to_which_address_it_came),
        TEST(nobody_shares_the_datagrams),
        TEST(a_given_udp_socket_is_taken_with_what_waits_there),
        TEST(a_udp_socket_with_a_peer_or_without_a_port_is_not_taken),
        TEST(a_udp_address_has_a_socket_for_each_worker),
        TEST(more_workers_make_more_sockets_whatever_becomes_of_the_attempt),
        TEST(a_withdrawn_udp_address_leaves_none_of_its_sockets),
        TEST(all_given_udp_sockets_of_an_address_are_taken),
        TEST(a_unix_socket_replaces_the_one_that_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
