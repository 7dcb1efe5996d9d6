/* access_log_test.c - lines are right, sinks never block, drops are counted. */
#include "worker/proxy/access_log.h"
#include "worker/proxy/access_line.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct log log;
    struct board_proc me;
    struct access_log *access;
    uv_timer_t keep; /* the handles of the log do not keep a loop alive */
};

static struct access_record record(void)
{
    return (struct access_record){
        .start_wall_us = 1795430100123456, /* 2026-11-23T10:35:00.123456Z */
        .duration_us = 12345, .upstream_us = 11000,
        .method = STR("GET"), .path = STR("/a?b=c"), .protocol = STR("HTTP/1.1"),
        .host = STR("a.example"), .user_agent = STR("curl/7.88"), .request_id = STR("id-1"),
        .client_address = STR("192.0.2.1"), .client_port = 5555, .peer_address = STR("127.0.0.1"),
        .status = 200, .reason = REASON_OK, .bytes_in = 0, .bytes_out = 17,
        .listener = STR("default/edge/http"), .route = STR("default/shop/0"),
        .cluster = STR("default/shop:80"), .endpoint = STR("10.0.0.1:8080"), .tries = 1, .generation = 7,
    };
}

static void nothing(uv_timer_t *t)
{
    (void)t;
}

static void begin(struct fixture *f, const char *format)
{
    memset(f, 0, sizeof(*f));
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->keep);
    uv_timer_start(&f->keep, nothing, 1000, 1000);
    log_init(&f->log, -1, "test");
    struct access_log_config c = {.loop = &f->loop, .me = &f->me, .log = &f->log,
                                  .json = !format, .format = str_c(format)};
    f->access = access_log_new(&c);
    assert_non_null(f->access);
}

static void end(struct fixture *f)
{
    access_log_free(f->access);
    uv_close((uv_handle_t *)&f->keep, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void assert_line(const char *format, const struct access_record *r, const char *wanted)
{
    struct access_line l;
    assert_true(access_line_init(&l, format ? str_c(format) : STR_NONE));
    struct str got = access_line_make(&l, r);
    if (!str_eqc(got, wanted))
        fail_msg("got:    " STR_FMT "wanted: %s", STR_ARG(got), wanted);
    access_line_fini(&l);
}

static void json_holds_everything_and_null_for_what_is_absent(void **state)
{
    (void)state;
    struct access_record r = record();
    assert_line(NULL, &r,
        "{\"time\":\"2026-11-23T10:35:00.123Z\",\"client\":\"192.0.2.1\",\"client_port\":5555,\"peer\":\"127.0.0.1\","
        "\"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"status\":200,"
        "\"reason\":null,\"grpc_status\":null,\"detail\":null,\"bytes_in\":0,\"bytes_out\":17,\"duration_ms\":12.345,\"upstream_ms\":11.000,"
        "\"listener\":\"default/edge/http\",\"route\":\"default/shop/0\",\"cluster\":\"default/shop:80\","
        "\"endpoint\":\"10.0.0.1:8080\",\"tries\":1,\"sni\":null,\"tls_version\":null,\"tls_cipher\":null,\"client_cert\":null,"
        "\"request_id\":\"id-1\",\"user_agent\":\"curl/7.88\","
        "\"referer\":null,\"x_forwarded_for\":null,\"generation\":7}\n");
    r = (struct access_record){.reason = REASON_BAD_REQUEST, .status = 400};
    struct access_line l;
    assert_true(access_line_init(&l, STR_NONE));
    struct str got = access_line_make(&l, &r);
    assert_true(str_find(got, STR("\"reason\":\"bad_request\"")) > 0);
    assert_true(str_find(got, STR("\"upstream_ms\":null")) > 0);
    access_line_fini(&l);
}

static void a_call_of_grpc_shows_its_status(void **state)
{
    (void)state;
    struct access_record r = record();
    assert_line("%GRPC_STATUS% %GRPC_STATUS_NUMBER%", &r, "- -\n");
    r.has_grpc_status = true;
    r.grpc_status = 5;
    assert_line("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", &r,
                "NotFound NOT_FOUND NotFound 5 5\n");
    r.grpc_status = 99;
    assert_line("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)%", &r, "99 99\n");
    struct access_line l;
    assert_true(access_line_init(&l, STR_NONE));
    assert_true(str_find(access_line_make(&l, &r), STR("\"grpc_status\":99,")) > 0);
    access_line_fini(&l);
    assert_false(access_line_init(&l, STR("%GRPC_STATUS(snake)%")));
    access_line_fini(&l);
}

static void a_client_cannot_break_a_line(void **state)
{
    (void)state;
    struct access_record r = record();
    r.user_agent = STR("a\"b\\c\nd\x01\x7f" "\xff" "é\xc3");
    struct access_line l;
    assert_true(access_line_init(&l, STR_NONE));
    struct str got = access_line_make(&l, &r);
    assert_true(str_find(got, STR("\"user_agent\":\"a\\\"b\\\\c\\nd\\u0001\x7f\xef\xbf\xbdé\xef\xbf\xbd\",")) > 0);
    assert_int_equal(str_chr(got, '\n'), (ptrdiff_t)got.n - 1);
    access_line_fini(&l);
    assert_line("\"%REQ(USER-AGENT)%\"", &r, "\"a\\\"b\\\\c\\x0ad\\x01\x7f\xff" "é\xc3\"\n");
}

/* Whatever its length, and wherever in it the byte is. */
static void values_of_every_length_are_escaped(void **state)
{
    (void)state;
    struct access_record r = record();
    struct access_line l;
    assert_true(access_line_init(&l, STR("%REQ(USER-AGENT)%")));
    for (size_t n = 1; n < 50; n++) {
        char *value = malloc(n), wanted[64];
        assert_non_null(value);
        memset(value, 'v', n);
        r.user_agent = str_of(value, n);
        for (size_t at = 0; at <= n; at++) { /* n: nothing to escape */
            memset(wanted, 'v', sizeof(wanted));
            if (at < n) {
                value[at] = '"';
                memcpy(wanted + at, "\\\"", 2);
            }
            wanted[n + (at < n)] = '\n';
            struct str got = access_line_make(&l, &r);
            assert_true(str_eq(got, str_of(wanted, n + (at < n) + 1)));
            if (at < n)
                value[at] = 'v';
        }
        free(value);
    }
    access_line_fini(&l);
}

static void a_huge_value_is_cut(void **state)
{
    (void)state;
    struct access_record r = record();
    struct buf big = {0};
    for (int i = 0; i < 5000; i++)
        buf_addc(&big, "\x01\"");
    r.path = r.user_agent = r.referer = r.host = r.x_forwarded_for = r.request_id = r.route = r.cluster =
        r.method = r.protocol = r.listener = r.endpoint = r.client_address = r.peer_address = buf_str(&big);
    struct access_line l;
    assert_true(access_line_init(&l, STR_NONE));
    struct str got = access_line_make(&l, &r);
    assert_in_range(got.n, 14 * ACCESS_VALUE_MAX, 14 * 6 * ACCESS_VALUE_MAX + 2000);
    access_line_fini(&l);
    buf_fini(&big);
}

static bool some_header(const void *ctx, bool response, struct str name, struct str *value)
{
    (void)ctx;
    if (response && str_eqc(name, "x-envoy-upstream-service-time"))
        *value = STR("11");
    else if (!response && str_eqc(name, "x-tenant"))
        *value = STR("blue tenant");
    else
        return false;
    return true;
}

static void format_strings_are_envoys(void **state)
{
    (void)state;
    struct access_record r = record();
    r.header = some_header;
    assert_line("istio", &r,
        "[2026-11-23T10:35:00.123Z] \"GET /a?b=c HTTP/1.1\" 200 - - - \"-\" 0 17 12 11 \"-\" \"curl/7.88\" \"id-1\" "
        "\"a.example\" \"10.0.0.1:8080\" default/shop:80 - - 192.0.2.1:5555 - default/shop/0\n");
    assert_line("combined", &r, "192.0.2.1 - - [23/Nov/2026:10:35:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 17 \"-\" "
                "\"curl/7.88\"\n");
    assert_line("%REQ(X-Tenant):4% %REQ(x-none?x-tenant)% %RESP(x-none)% 100%% %START_TIME(%s.%6f)%", &r,
                "blue blue tenant - 100% 1795430100.123456\n");
    r.client_address = STR("2001:db8::1");
    r.reason = REASON_NO_ENDPOINTS;
    assert_line("%DOWNSTREAM_REMOTE_ADDRESS% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%", &r,
                "[2001:db8::1]:5555 UH no_endpoints\n");
}

static void assert_refused(const char *format, const char *sentence)
{
    struct log_format f;
    struct buf why = {0};
    assert_true(log_format_parse(str_c(format), &f, &why) < 0);
    if (!strstr(buf_cstr(&why), sentence))
        fail_msg("%s: got \"%s\"", format, buf_cstr(&why));
    buf_fini(&why);
}

static void a_wrong_format_string_is_explained(void **state)
{
    (void)state;
    assert_refused("%RESPONSE_COD%", "did you mean %RESPONSE_CODE%?");
    assert_refused("%FOO%", "unknown operator %FOO%");
    assert_refused("%REQ%", "needs an argument");
    assert_refused("%REQ()%", "needs an argument");
    assert_refused("%REQ(a?)%", "header name is missing");
    assert_refused("%REQ(a", "closing parenthesis");
    assert_refused("%REQ(a):0%", "1 to 65535");
    assert_refused("%REQ(a):99999%", "1 to 65535");
    assert_refused("%METHOD(x)%", "takes no argument");
    assert_refused("100% %METHOD%", "begins no operator");
    assert_refused("%METHOD", "begins no operator");
    assert_refused("fancy", "neither a format string");
    assert_refused("", "neither a format string");
    assert_refused("%START_TIME(%Q)%", "no time form");
    assert_refused("%START_TIME(%)%", "no time form");
    struct buf many = {0};
    for (int i = 0; i < 200; i++)
        buf_addc(&many, "%METHOD%");
    assert_refused(buf_cstr(&many), "more than 96 parts");
    while (many.n < 4000)
        buf_addc(&many, "aaaaaaaaaaaa");
    assert_refused(buf_cstr(&many), "longer than 3072");
    buf_fini(&many);
}

static size_t count_lines(const char *p, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void lines_reach_a_file_after_the_delay(void **state)
{
    (void)state;
    struct fixture f;
    char out[8192];
    begin(&f, NULL);
    int fd = memfd_create("log", MFD_CLOEXEC);
    access_log_set_fd(f.access, dup(fd));
    struct access_record r = record();
    for (int i = 0; i < 3; i++)
        access_log_write(f.access, &r);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    while (access_log_pending(f.access))
        uv_run(&f.loop, UV_RUN_ONCE);
    ssize_t n = pread(fd, out, sizeof(out), 0);
    assert_int_equal(count_lines(out, (size_t)n), 3);
    assert_int_equal(f.me.counters.log_lines, 3);
    close(fd);
    end(&f);
}

static void a_reader_that_stops_costs_the_oldest_lines_only(void **state)
{
    (void)state;
    struct fixture f;
    int p[2];
    begin(&f, "%GENERATION% %REQ(USER-AGENT)%");
    assert_int_equal(pipe(p), 0);
    access_log_set_fd(f.access, p[1]);
    struct access_record r = record();
    char agent[400];
    memset(agent, 'x', sizeof(agent));
    r.user_agent = str_of(agent, sizeof(agent));
    const uint64_t total = 10000; /* about 4 MB */
    for (uint64_t i = 1; i <= total; i++) {
        r.generation = i;
        access_log_write(f.access, &r);
    }
    uint64_t dropped = f.me.counters.log_dropped;
    assert_in_range(dropped, 1000, total - 1000);

    /* The reader goes on: what it gets are whole lines, in order, and the last one. */
    char *got = NULL;
    size_t n = 0, room = 0;
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    for (int quiet = 0; quiet < 2;) {
        if (room - n < 65536)
            assert_non_null(got = realloc(got, room += 1 << 20));
        ssize_t k = read(p[0], got + n, room - n - 1);
        if (k > 0) {
            n += (size_t)k;
            quiet = 0;
        } else {
            quiet += access_log_pending(f.access) == 0;
            uv_run(&f.loop, UV_RUN_NOWAIT);
        }
    }
    got[n] = '\0';
    uint64_t lines = 0, last = 0;
    for (char *at = got; *at; at = strchr(at, '\n') + 1) {
        uint64_t number = strtoull(at, NULL, 10);
        assert_true(number > last);
        last = number;
        lines++;
    }
    assert_int_equal(last, total);
    assert_int_equal(lines + dropped, total);
    assert_int_equal(f.me.counters.log_lines, lines);
    free(got);
    close(p[0]);
    end(&f);
}

static void a_full_disk_is_survived_and_recovered_from(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    access_log_set_fd(f.access, open("/dev/full", O_WRONLY));
    struct access_record r = record();
    for (int i = 0; i < 10000; i++)
        access_log_write(f.access, &r);
    uint64_t dropped = f.me.counters.log_dropped;
    assert_true(dropped > 1000);
    assert_int_equal(f.me.counters.log_lines, 0);
    access_log_set_fd(f.access, memfd_create("log", MFD_CLOEXEC));
    assert_int_equal(access_log_pending(f.access), 0);
    assert_int_equal(f.me.counters.log_lines, 10000 - dropped);
    end(&f);
}

static void journald_gets_one_entry_per_line(void **state)
{
    (void)state;
    struct fixture f;
    int s[2];
    char out[8192];
    begin(&f, "%METHOD% %PATH%");
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s), 0);
    access_log_set_fd(f.access, s[1]);
    struct access_record r = record();
    access_log_write(f.access, &r);
    access_log_write(f.access, &r);
    access_log_flush(f.access);
    for (int i = 0; i < 2; i++) {
        ssize_t n = recv(s[0], out, sizeof(out), 0);
        assert_true(n > 0);
        assert_true(str_ends(str_of(out, (size_t)n), STR("\nMESSAGE=GET /a?b=c\n")));
    }
    assert_true(recv(s[0], out, sizeof(out), 0) < 0);
    close(s[0]);
    access_log_write(f.access, &r); /* nobody there any more */
    access_log_flush(f.access);
    assert_true(access_log_pending(f.access) > 0);
    end(&f);
    assert_int_equal(f.me.counters.log_dropped, 1);
}

static void off_means_off(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    struct access_record r = record();
    access_log_write(f.access, &r);
    assert_int_equal(access_log_pending(f.access), 0);
    access_log_set_fd(f.access, open("/dev/null", O_WRONLY));
    access_log_write(f.access, &r);
    access_log_set_fd(f.access, -1);
    access_log_write(f.access, &r);
    assert_int_equal(access_log_pending(f.access), 0);
    end(&f);
    assert_int_equal(f.me.counters.log_lines + f.me.counters.log_dropped, 0);
}

/* `access_log_test speed`: nanoseconds per line, for people (no test depends on time). */
static int speed(void)
{
    static const char *const forms[] = {NULL, "istio"};
    for (size_t k = 0; k < ARRAY_LEN(forms); k++) {
        struct fixture f;
        begin(&f, forms[k]);
        access_log_set_fd(f.access, open("/dev/zero", O_WRONLY));
        struct access_record r = record();
        r.user_agent = STR("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36");
        r.request_id = STR("4fce9b3e-3a35-4be4-8b3f-0d7b8d2d1c11");
        const int n = 2000000;
        uint64_t start = uv_hrtime();
        for (int i = 0; i < n; i++) {
            r.start_wall_us += 20;
            access_log_write(f.access, &r);
        }
        printf("%s: %.0f ns per line\n", forms[k] ? forms[k] : "json", (double)(uv_hrtime() - start) / n);
        end(&f);
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return speed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_holds_everything_and_null_for_what_is_absent),
        cmocka_unit_test(a_call_of_grpc_shows_its_status),
        cmocka_unit_test(a_client_cannot_break_a_line),
        cmocka_unit_test(values_of_every_length_are_escaped),
        cmocka_unit_test(a_huge_value_is_cut),
        cmocka_unit_test(format_strings_are_envoys),
        cmocka_unit_test(a_wrong_format_string_is_explained),
        cmocka_unit_test(lines_reach_a_file_after_the_delay),
        cmocka_unit_test(a_reader_that_stops_costs_the_oldest_lines_only),
        cmocka_unit_test(a_full_disk_is_survived_and_recovered_from),
        cmocka_unit_test(journald_gets_one_entry_per_line),
        cmocka_unit_test(off_means_off),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
