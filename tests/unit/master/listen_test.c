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
        assert_int_equal(listen_want(s, 1, "127.0.0.1", port), 0);
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
    assert_int_equal(listen_want(s, 1, "127.0.0.1", old), 0);
    listen_commit(s, NULL, NULL);
    listen_begin(s);
    assert_int_equal(listen_want(s, 2, "127.0.0.1", fresh), 0);
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
    assert_int_equal(listen_want(s, 1, "", port), 0);
    assert_true(connects("127.0.0.1", port));
    if (s->v[0].family == AF_INET6)
        assert_true(connects("::1", port));
}

static void an_explicit_address_takes_only_its_family(void **state)
{
    struct listen_set *s = *state;
    uint16_t port = free_port();
    listen_begin(s);
    if (listen_want(s, 1, "::", port) != 0)
        skip(); /* no IPv6 here */
    assert_false(connects("127.0.0.1", port));
    assert_int_equal(listen_want(s, 2, "0.0.0.0", port), 0);
    assert_true(connects("127.0.0.1", port));
    assert_true(connects("::1", port));
}

static void wildcard_and_address_share_a_port_and_nobody_else_gets_in(void **state)
{
    struct listen_set *s = *state;
    for (int round = 0; round < 2; round++) { /* in both orders */
        uint16_t port = free_port();
        listen_begin(s);
        assert_int_equal(listen_want(s, 1, round ? "" : "127.0.0.1", port), 0);
        assert_int_equal(listen_want(s, 2, round ? "127.0.0.1" : "", port), 0);
        assert_int_equal(listen_want(s, 3, "127.0.0.2", port), 0);
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
        assert_int_equal(listen_want(&other, 1, "127.0.0.1", port), EADDRINUSE);
        assert_int_equal(listen_want(&other, 2, "", port), EADDRINUSE);
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
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port), EADDRINUSE);
    listen_commit(s, NULL, NULL);
    assert_int_equal(listen_unbound(s), 1);
    assert_false(listen_retry(s));
    close(fd);
    assert_true(listen_retry(s));
    assert_int_equal(listen_unbound(s), 1); /* the next attempt takes it */
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port), 0);
    listen_withdraw(s, NULL, NULL);
    assert_int_equal(listen_unbound(s), 1);
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port), 0);
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
        assert_int_equal(listen_want(s, i, bad[i], 80), EINVAL);
    assert_int_equal(listen_want(s, 100, "127.0.0.1", 0), EINVAL);
    assert_int_equal(listen_want(s, 100, "127.0.0.1", 65536), EINVAL);
    uint16_t port = free_port();
    assert_int_equal(listen_want(s, 100, "127.0.0.1", port), 0);
    assert_int_equal(listen_want(s, 100, "127.0.0.2", port), EINVAL);
    assert_int_equal(listen_want(s, 101, "192.0.2.77", port), EADDRNOTAVAIL);
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
    assert_int_equal(listen_want(s, 1, "127.0.0.1", port), 0);
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
        assert_int_equal(listen_want(s, 1, "", kept), 0); /* IPv4 wildcard fits "" */
        listen_commit(s, NULL, NULL);
        listen_begin(s);
        listen_commit(s, NULL, NULL);
        assert_true(connects("127.0.0.1", kept));
    }
    listen_begin(s);
    assert_int_equal(listen_want(s, 1, "", kept), 0);
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
        TEST(a_unix_socket_replaces_the_one_that_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
