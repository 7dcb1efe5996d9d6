/* admin_http_test.c - the operators' server under clients that are slow, many, or wrong. */
#include "worker/admin_http.h"
#include "shared/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#define WAIT_MS 10000

struct fixture {
    uv_loop_t loop;
    struct log log;
    struct board_proc me;
    struct admin_http *http;
    struct list parked;
    uint16_t port;
    char *big;        /* what /big answers: 8 MiB */
    unsigned released;
};
#define BIG (8u << 20)

static void release(void *owner)
{
    ((struct fixture *)owner)->released++;
}

static void handle(void *arg, struct admin_conn *c, const struct admin_request *r)
{
    struct fixture *f = arg;
    if (str_eqc(r->path, "/park")) {
        admin_park(c, &f->parked, 7, 50);
    } else if (str_eqc(r->path, "/forever")) {
        admin_park(c, &f->parked, 8, 1000000);
    } else if (str_eqc(r->path, "/big")) {
        struct admin_answer a = {.status = 200, .type = "text/plain", .release = release, .owner = f, .n_pieces = 1};
        a.pieces[0] = str_of(f->big, BIG);
        admin_answer(c, &a);
    } else {
        struct admin_answer a = {.status = 200, .type = "text/plain"};
        buf_addf(&a.body, STR_FMT " " STR_FMT "?" STR_FMT, STR_ARG(r->method), STR_ARG(r->path), STR_ARG(r->query));
        admin_answer(c, &a);
    }
}

static void expired(void *arg, struct admin_conn *c)
{
    (void)arg;
    admin_answer_text(c, 200, admin_parked_data(c) == 7 ? "expired" : "?");
}

static void begin(struct fixture *f, const struct admin_limits *limits)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(in);
    memset(f, 0, sizeof(*f));
    uv_loop_init(&f->loop);
    log_init(&f->log, -1, "test");
    list_init(&f->parked);
    f->big = calloc(1, BIG);
    struct admin_http_config c = {.loop = &f->loop, .me = &f->me, .log = &f->log, .limits = *limits,
                                  .handle = handle, .expired = expired, .arg = f};
    f->http = admin_http_new(&c);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    f->port = ntohs(in.sin_port);
    assert_int_equal(admin_http_listen(f->http, 1, fd, false), 0);
}

static void end(struct fixture *f)
{
    admin_http_free(f->http);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f->big);
}

static int dial(struct fixture *f)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* A turn of the loop that waits for an event or a little. */
static void turn(struct fixture *f)
{
    struct pollfd p = {.fd = uv_backend_fd(&f->loop), .events = POLLIN};
    int wait = uv_backend_timeout(&f->loop);
    poll(&p, 1, wait < 0 || wait > 20 ? 20 : wait);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* Reads until `text` came; with NULL until the end of the connection. *ended: it has ended. */
static struct buf hear(struct fixture *f, int fd, const char *text)
{
    struct buf b = {0};
    uint64_t until = clock_ms() + WAIT_MS;
    char chunk[65536];
    while (!text || !strstr(buf_cstr(&b), text)) {
        ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
        if (n > 0)
            buf_add(&b, chunk, (size_t)n);
        else if (n == 0 || errno == ECONNRESET)
            break;
        else
            turn(f);
        if (clock_ms() > until)
            fail_msg("waited for %s; came: %s", text ? text : "the end", buf_cstr(&b));
    }
    return b;
}

static void expect(struct fixture *f, int fd, const char *text)
{
    struct buf b = hear(f, fd, text);
    if (!strstr(buf_cstr(&b), text))
        fail_msg("\"%s\" did not come, but \"%s\"", text, buf_cstr(&b));
    buf_fini(&b);
}

static void expect_end(struct fixture *f, int fd)
{
    struct buf b = hear(f, fd, NULL);
    buf_fini(&b);
    close(fd);
}

static void requests_follow_each_other_on_a_connection(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, &ADMIN_LIMITS_DEFAULT);
    int fd = dial(&f);
    say(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcHEAD /3 HTTP/1.1\r\n"
            "Host: x\r\n\r\nGET /park HTTP/1.1\r\nHost: x\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nrest");
    struct buf b = hear(&f, fd, NULL);
    char *at = buf_cstr(&b) ? b.p : NULL;
    static const char *const order[] = {"GET /1?", "POST /2?a=b", "Content-Length: 8\r\n", "\r\n\r\nHTTP/1.1 200", "expired",
                                        "Connection: close", "GET /4?"};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        at = strstr(at, order[i]);
        if (!at)
            fail_msg("no %s in order in: %s", order[i], buf_cstr(&b));
    }
    buf_fini(&b);
    close(fd);
    fd = dial(&f); /* byte by byte */
    static const char slow[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    for (size_t i = 0; i < sizeof(slow) - 1; i++) {
        assert_int_equal(send(fd, slow + i, 1, 0), 1);
        turn(&f);
    }
    expect(&f, fd, "GET /slow?");
    close(fd);
    fd = dial(&f); /* HTTP/1.0 closes */
    say(fd, "GET /old HTTP/1.0\r\n\r\n");
    expect_end(&f, fd);
    assert_int_equal(f.me.counters.admin_requests, 7);
    end(&f);
}

static void what_is_wrong_is_answered_and_closed(void **state)
{
    (void)state;
    static const struct { const char *request, *answer; } cases[] = {
        {"GET / HTTP/1.1\n\n", " 400 "},
        {"\x16\x03\x01\x02hello\r\n\r\n", " 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", " 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", " 411 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", " 413 "},
        {"GET / HTTP/9.9\r\nHost: a\r\n\r\n", " 505 "},
    };
    struct fixture f;
    begin(&f, &ADMIN_LIMITS_DEFAULT);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = dial(&f);
        say(fd, cases[i].request);
        expect(&f, fd, cases[i].answer);
        expect_end(&f, fd);
    }
    int fd = dial(&f); /* a head that never ends */
    struct buf b = {0};
    buf_addc(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    while (b.n < 12000)
        buf_addc(&b, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
    say(fd, buf_cstr(&b));
    buf_fini(&b);
    expect(&f, fd, " 431 ");
    expect_end(&f, fd);
    assert_true(f.me.counters.admin_refused >= ARRAY_LEN(cases));
    end(&f);
}

static void slow_clients_are_ended(void **state)
{
    (void)state;
    struct admin_limits l = ADMIN_LIMITS_DEFAULT;
    struct fixture f;
    l.head_ms = 60;
    l.idle_ms = 120;
    l.send_ms = 60;
    begin(&f, &l);
    int idle = dial(&f), head = dial(&f), body = dial(&f), reader = dial(&f);
    say(head, "GET / HT");
    say(body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    say(reader, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(&f, head, " 408 ");
    expect_end(&f, head);
    expect_end(&f, body);
    expect_end(&f, idle);
    uint64_t until = clock_ms() + WAIT_MS;
    while (f.released == 0 && clock_ms() < until) /* it reads nothing */
        turn(&f);
    assert_int_equal(f.released, 1);
    close(reader);
    while (admin_http_connections(f.http) && clock_ms() < until)
        turn(&f);
    assert_int_equal(admin_http_connections(f.http), 0);
    end(&f);
}

static void a_big_answer_arrives_whole(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, &ADMIN_LIMITS_DEFAULT);
    int fd = dial(&f);
    say(fd, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    struct buf b = hear(&f, fd, NULL);
    assert_true(b.n > BIG && b.n < BIG + 1000);
    assert_int_equal(f.released, 1);
    buf_fini(&b);
    close(fd);
    end(&f);
}

static void too_many_connections_do_not_lock_out(void **state)
{
    (void)state;
    struct admin_limits l = ADMIN_LIMITS_DEFAULT;
    struct fixture f;
    l.max_tcp = 4;
    begin(&f, &l);
    int idle[8], busy[4];
    for (int i = 0; i < 8; i++) {
        idle[i] = dial(&f);
        turn(&f);
        assert_true(admin_http_connections(f.http) <= 4);
    }
    expect_end(&f, idle[0]); /* the longest idle ones made room */
    say(idle[7], "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(&f, idle[7], "GET /x?");
    for (int i = 0; i < 4; i++) {
        busy[i] = dial(&f);
        say(busy[i], "GET /forever HTTP/1.1\r\nHost: a\r\n\r\n");
        turn(&f);
        turn(&f);
    }
    expect_end(&f, dial(&f)); /* nobody is idle: the new one is closed */
    for (int i = 0; i < 4; i++)
        close(busy[i]);
    uint64_t until = clock_ms() + WAIT_MS;
    while (!list_empty(&f.parked) && clock_ms() < until) /* clients that left are no longer waited for */
        turn(&f);
    assert_true(list_empty(&f.parked));
    for (int i = 1; i < 8; i++)
        close(idle[i]);
    end(&f);
}

static void held_answers_have_a_budget(void **state)
{
    (void)state;
    struct admin_limits l = ADMIN_LIMITS_DEFAULT;
    struct fixture f;
    l.max_held = BIG + BIG / 2;
    begin(&f, &l);
    int one = dial(&f), two = dial(&f);
    say(one, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(&f, one, "HTTP/1.1 200");
    say(two, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(&f, two, "HTTP/1.1 503");
    close(one);
    close(two);
    end(&f);
}

static void draining_answers_what_is_there_and_takes_nothing_new(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, &ADMIN_LIMITS_DEFAULT);
    int idle = dial(&f), parked = dial(&f);
    say(parked, "GET /park HTTP/1.1\r\nHost: a\r\n\r\n");
    while (list_empty(&f.parked))
        turn(&f);
    admin_http_drain(f.http);
    expect_end(&f, idle);
    expect(&f, parked, "Connection: close");
    expect_end(&f, parked);
    uint64_t until = clock_ms() + WAIT_MS;
    while (admin_http_connections(f.http) && clock_ms() < until)
        turn(&f);
    assert_int_equal(admin_http_connections(f.http), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_follow_each_other_on_a_connection),
        cmocka_unit_test(what_is_wrong_is_answered_and_closed),
        cmocka_unit_test(slow_clients_are_ended),
        cmocka_unit_test(a_big_answer_arrives_whole),
        cmocka_unit_test(too_many_connections_do_not_lock_out),
        cmocka_unit_test(held_answers_have_a_budget),
        cmocka_unit_test(draining_answers_what_is_there_and_takes_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
