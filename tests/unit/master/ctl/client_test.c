/* What the command line makes of the answers of a running gateway, good and bad. */
#include "master/ctl/client.h"
#include "shared/base/err.h"
#include "shared/ipc/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct gateway {
    char dir[64], path[96];
    int listener;
    pid_t pid;
};

static void begin(struct gateway *g)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    *g = (struct gateway){.dir = "/tmp/gatehouse-client-XXXXXX"};
    assert_non_null(mkdtemp(g->dir));
    snprintf(g->path, sizeof(g->path), "%s/%s", g->dir, RUN_ADMIN_SOCKET);
    memcpy(sa.sun_path, g->path, strlen(g->path) + 1);
    g->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(g->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(g->listener, 8), 0);
}

/* A process that takes one connection, reads the head, answers in two pieces and closes; `hold`: does not close. */
static void answers(struct gateway *g, const char *text, size_t cut, bool hold)
{
    g->pid = fork();
    assert_true(g->pid >= 0);
    if (g->pid > 0)
        return;
    char head[4096];
    size_t n = 0;
    int fd = accept(g->listener, NULL, NULL);
    while (fd >= 0 && n < sizeof(head) && !memmem(head, n, "\r\n\r\n", 4)) {
        ssize_t got = read(fd, head + n, sizeof(head) - n);
        if (got <= 0)
            _exit(1);
        n += (size_t)got;
    }
    if (write(fd, text, cut) != (ssize_t)cut || write(fd, text + cut, strlen(text) - cut) != (ssize_t)(strlen(text) - cut))
        _exit(1);
    if (hold)
        (void)!read(fd, head, 1); /* until the other side gives up */
    _exit(memmem(head, n, "GET /x?a=1 HTTP/1.1\r\nHost: ", 27) ? 0 : 2);
}

static void end(struct gateway *g)
{
    int status = 0;
    if (g->pid > 0) {
        waitpid(g->pid, &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    close(g->listener);
    unlink(g->path);
    rmdir(g->dir);
}

/* Asks a gateway that answers `text`; the body or sentence is in `out`. */
static int ask(const char *text, size_t cut, struct buf *out)
{
    struct gateway g;
    struct buf body = {0};
    begin(&g);
    answers(&g, text, cut, false);
    buf_clear(out);
    int rc = client_get(g.dir, "/x?a=1", &body, out);
    if (rc == 0) {
        assert_int_equal(out->n, 0);
        buf_adds(out, buf_str(&body));
    } else if (str_find(buf_str(out), str_c(g.dir)) < 0 && rc != GH_E_REFUSED) {
        fail_msg("the run directory is not named: %s", buf_cstr(out));
    }
    buf_fini(&body);
    end(&g);
    return rc;
}

static void answers_are_read_whole_however_they_are_cut(void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-LENGTH: 5\r\n\r\nhello";
    struct buf out = {0};
    (void)state;
    for (size_t cut = 0; cut < sizeof(text); cut += 7) {
        assert_int_equal(ask(text, cut, &out), 0);
        assert_string_equal(buf_cstr(&out), "hello");
    }
    assert_int_equal(ask("HTTP/1.1 200 OK\r\n\r\nuntil the end", 3, &out), 0);
    assert_string_equal(buf_cstr(&out), "until the end");
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 3, &out), 0);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

static void what_is_no_answer_is_said(void **state)
{
    struct buf out = {0};
    (void)state;
    assert_int_equal(ask("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nno!\n", 0, &out), GH_E_REFUSED);
    assert_true(str_find(buf_str(&out), STR("answered with 404: no!")) >= 0);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", 0, &out), GH_E_TRUNCATED);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Le", 0, &out), GH_E_CLOSED);
    assert_int_equal(ask("SSH-2.0-x\r\n\r\n", 0, &out), GH_E_FORMAT);
    assert_int_equal(ask("HTTP/1.1 2x0 OK\r\n\r\n", 0, &out), GH_E_FORMAT);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, &out), GH_E_FORMAT);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, &out), GH_E_FORMAT);
    buf_fini(&out);
}

static void a_silent_gateway_is_given_up(void **state)
{
    struct gateway g;
    struct client_reply r;
    struct buf why = {0};
    (void)state;
    begin(&g);
    answers(&g, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 0, true);
    assert_int_equal(client_request(g.dir, "GET", "/x?a=1", 100, &r, &why), GH_E_TIMEOUT);
    assert_true(why.n > 0);
    buf_fini(&r.body);
    buf_fini(&why);
    end(&g);
}

static void nobody_there_is_said(void **state)
{
    struct gateway g;
    struct buf body = {0}, why = {0};
    (void)state;
    assert_int_equal(client_get("/tmp/no-such-run-directory", "/x", &body, &why), GH_E_NOT_FOUND);
    assert_true(str_find(buf_str(&why), STR("no gatehouse is running")) == 0);
    begin(&g);
    close(g.listener); /* the socket's file stays: a gateway that was killed */
    assert_int_equal(client_get(g.dir, "/x", &body, &why), GH_E_NOT_FOUND);
    struct buf path = {0};
    for (int i = 0; i < 200; i++)
        buf_addch(&path, 'x');
    assert_int_equal(client_get(buf_cstr(&path), "/x", &body, &why), GH_E_LIMIT);
    buf_fini(&path);
    buf_fini(&why);
    unlink(g.path);
    rmdir(g.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_whole_however_they_are_cut),
        cmocka_unit_test(what_is_no_answer_is_said),
        cmocka_unit_test(a_silent_gateway_is_given_up),
        cmocka_unit_test(nobody_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
