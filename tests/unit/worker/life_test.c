/* life_test.c - the life of a child process, with the real program: as a spare, active, an orphan, drained. */
#include "tests/unit/worker/child.h"

static const char STATUS[] =
    "{\"generation\":7,\"objects\":[{\"kind\":\"Gateway\",\"name\":\"edge\"}],\"resources\":[{\"a\":[1,{\"b\":\"]}\"}]}],"
    "\"diagnostics\":[{\"severity\":\"warning\"}]}";

static int dial(struct child *c, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = child_address(c, "admin.sock");
    int fd = socket(port ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval t = {.tv_sec = CHILD_WAIT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    int rc = port ? connect(fd, (struct sockaddr *)&in, sizeof(in)) : connect(fd, (struct sockaddr *)&un, sizeof(un));
    assert_int_equal(rc, 0);
    return fd;
}

/* Sends `text` and reads to the end of the connection. port 0: the unix socket. */
static int say(struct child *c, uint16_t port, const char *text)
{
    int fd = dial(c, port);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    return fd;
}

static struct buf hear(int fd)
{
    struct buf out = {0};
    char chunk[4096];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        buf_add(&out, chunk, (size_t)n);
    close(fd);
    return out;
}

static struct buf ask(struct child *c, uint16_t port, const char *request)
{
    char text[512];
    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", request);
    return hear(say(c, port, text));
}

static void assert_has(struct buf b, const char *text)
{
    if (!strstr(buf_cstr(&b), text))
        fail_msg("\"%s\" is not in \"%s\"", text, buf_cstr(&b));
    buf_fini(&b);
}

/* An admin with a generation, promoted. */
static uint16_t begin_admin(struct child *c, struct sample *s)
{
    sample_init(s);
    struct model_host *any = sample_host(s, "*");
    for (int i = 0; i < 500; i++) { /* as much as makes libc do things it does not do for little */
        char path[32];
        snprintf(path, sizeof(path), "/%d", i);
        sample_entry(s, any, PATH_EXACT, path);
    }
    snap_drop(sample_open(s));
    child_start(c, ROLE_ADMIN, "version=1.2.3\n");
    child_rescue(c);
    uint16_t port = child_listener(c, IPC_BIND_ADMIN_TCP, false);
    child_listener(c, IPC_BIND_ADMIN_UNIX, true);
    child_offer(c, buf_str(&s->image), 7, STATUS, true);
    child_expect_state(c, PROC_SPARE);
    assert_int_equal(child_expect(c, IPC_ACK)->u.as_ACK.result, 0);
    assert_int_equal(child_expect(c, IPC_ACTIVE)->u.as_ACTIVE.generation, 7);
    child_promote(c);
    return port;
}

static void the_admin_answers_what_it_was_given(void **state)
{
    (void)state;
    struct child c;
    struct sample s;
    uint16_t port = begin_admin(&c, &s);
    assert_has(ask(&c, port, "GET /healthz"), "HTTP/1.1 200 OK\r\n");
    assert_has(ask(&c, port, "GET /status"), "{\"generation\":7,\"change\":");
    assert_has(ask(&c, port, "GET /status"), ",\"objects\":[{\"kind\":\"Gateway\",\"name\":\"edge\"}],\"diagnostics\":[{\"severity\":\"warning\"}]}\n");
    assert_has(ask(&c, port, "GET /status"), "{\"role\":\"admin\",\"row\":5,\"pid\":");
    assert_has(ask(&c, port, "GET /objects"), "{\"generation\":7,\"items\":[{\"a\":[1,{\"b\":\"]}\"}]}]}\n");
    assert_has(ask(&c, port, "GET /metrics"), "gatehouse_build_info{version=\"1.2.3\"} 1\n");
    assert_has(ask(&c, port, "GET /"), "<!DOCTYPE html>");
    assert_has(ask(&c, port, "GET /nothing"), "HTTP/1.1 404");
    assert_has(ask(&c, port, "DELETE /status"), "Allow: GET, HEAD\r\n");
    assert_has(ask(&c, port, "GET /snapshot"), "HTTP/1.1 403");
    assert_has(ask(&c, 0, "GET /snapshot"), "THESNAP");
    assert_has(ask(&c, port, "GET /readyz"), "no generation is programmed yet");
    struct board_head *h = board_head(c.board);
    atomic_store(&h->generation, 7);
    atomic_store(&h->workers_wanted, 1);
    assert_has(ask(&c, port, "GET /readyz"), "0 of 1 workers");
    struct board_proc *p = board_proc(c.board, 1);
    atomic_store(&p->role, ROLE_WORKER);
    atomic_store(&p->pid, 1);
    atomic_store(&p->state, PROC_ACTIVE);
    assert_has(ask(&c, port, "GET /readyz"), "HTTP/1.1 200");
    atomic_store(&h->draining, 1);
    assert_has(ask(&c, port, "GET /readyz"), "HTTP/1.1 503");
    child_drain(&c);
    child_expect_state(&c, PROC_DRAINING);
    assert_int_equal(child_status(&c), 0);
    child_end(&c);
    sample_fini(&s);
}

static void orders_go_to_the_master_and_wait_for_it(void **state)
{
    (void)state;
    struct child c;
    struct sample s;
    uint16_t port = begin_admin(&c, &s);
    assert_has(ask(&c, port, "POST /reload"), "HTTP/1.1 403");
    int fd = say(&c, 0, "POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    struct ipc_request r = child_expect(&c, IPC_REQUEST)->u.as_REQUEST;
    assert_int_equal(r.verb, IPC_VERB_RELOAD);
    struct ipc_msg m = {.type = IPC_REPLY, .text = "{\"generation\":8}", .text_n = 16};
    m.u.as_REPLY = (struct ipc_reply){.id = r.id + 99}; /* nobody's */
    child_send(&c, &m);
    m.u.as_REPLY = (struct ipc_reply){.id = r.id, .result = GH_E_REFUSED};
    child_send(&c, &m);
    assert_has(hear(fd), "HTTP/1.1 422");
    child_end(&c);
    sample_fini(&s);
}

static void a_change_wakes_who_waits_for_it(void **state)
{
    (void)state;
    struct child c;
    struct sample s;
    char text[256];
    uint16_t port = begin_admin(&c, &s);
    struct buf now = ask(&c, port, "GET /status");
    unsigned long long change = strtoull(strstr(buf_cstr(&now), "\"change\":") + 9, NULL, 10);
    buf_fini(&now);
    snprintf(text, sizeof(text), "GET /status?after=%llu&wait=600 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", change);
    int fd = say(&c, port, text);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 150), 0); /* nothing to tell yet */
    atomic_store(&board_proc(c.board, 2)->pid, 77);
    atomic_store(&board_proc(c.board, 2)->state, PROC_STARTING);
    assert_has(hear(fd), "\"pid\":77,");
    /* The same generation again: only the STATUS image is new. */
    snprintf(text, sizeof(text), "GET /status?after=%llu&wait=600 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", change + 1);
    fd = say(&c, port, text);
    child_offer(&c, buf_str(&s.image), 7, "{\"objects\":[],\"diagnostics\":[{\"message\":\"new\"}]}", true);
    assert_has(hear(fd), "\"diagnostics\":[{\"message\":\"new\"}]");
    assert_has(ask(&c, port, "GET /status?after=999999999999999999&wait=0"), "HTTP/1.1 200");
    assert_has(ask(&c, port, "GET /status?after=x"), "HTTP/1.1 400");
    child_end(&c);
    sample_fini(&s);
}

static void a_bad_offer_is_refused_and_the_old_one_kept(void **state)
{
    (void)state;
    struct child c;
    struct sample s;
    uint16_t port = begin_admin(&c, &s);
    child_offer(&c, STR("rubbish"), 8, STATUS, false);
    struct ipc_msg *m = child_expect(&c, IPC_ACK);
    assert_true(m->u.as_ACK.result < 0);
    assert_true(m->text_n > 0);
    child_offer(&c, buf_str(&s.image), 7, "{\"objects\":[}", false);
    assert_true(child_expect(&c, IPC_ACK)->u.as_ACK.result < 0);
    child_offer(&c, buf_str(&s.image), 8, STATUS, false); /* says 7 inside */
    assert_true(child_expect(&c, IPC_ACK)->u.as_ACK.result < 0);
    assert_has(ask(&c, port, "GET /status"), "{\"generation\":7,");
    child_send(&c, &(struct ipc_msg){.type = IPC_COMMIT, .u.as_COMMIT = {.generation = 8}}); /* never taken */
    assert_int_equal(child_status(&c), 1);
    child_end(&c);
    sample_fini(&s);
}

static void an_orphan_serves_on_until_a_new_master_comes(void **state)
{
    (void)state;
    struct child c;
    struct sample s;
    uint16_t port = begin_admin(&c, &s);
    close(c.link);
    c.link = -1;
    assert_has(ask(&c, port, "GET /status"), "\"state\":\"orphaned\"");
    assert_has(ask(&c, 0, "POST /reload"), "HTTP/1.1 503");
    for (int i = 0; i < 2; i++) { /* the first new master dies at once */
        struct sockaddr_un a = child_address(&c, "rescue");
        c.link = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        uint64_t until = clock_ms() + CHILD_WAIT_MS;
        while (connect(c.link, (struct sockaddr *)&a, sizeof(a)) != 0 && clock_ms() < until)
            poll(NULL, 0, 5);
        struct ipc_msg *m = child_expect(&c, IPC_ORPHAN);
        assert_int_equal(m->u.as_ORPHAN.role, ROLE_ADMIN);
        assert_int_equal(m->u.as_ORPHAN.row, CHILD_ROW);
        assert_int_equal(m->u.as_ORPHAN.generation, 7);
        assert_int_equal(m->u.as_ORPHAN.n_listeners, 2);
        struct board *b;
        assert_int_equal(board_open(&b, m->fds[0]), 0);
        board_close(b);
        ipc_msg_close_fds(m);
        for (int k = 0; k < 2; k++) {
            m = child_expect(&c, IPC_LISTENER);
            assert_true(str_eqc(str_of(m->text, m->text_n), "127.0.0.1"));
            ipc_msg_close_fds(m);
        }
        if (i == 0) {
            close(c.link);
            c.link = -1;
        }
    }
    assert_has(ask(&c, port, "GET /healthz"), "HTTP/1.1 200");
    child_drain(&c);
    assert_int_equal(child_status(&c), 0);
    child_end(&c);
    sample_fini(&s);
}

static void a_spare_ends_with_its_master(void **state)
{
    (void)state;
    struct child c;
    child_start(&c, ROLE_ADMIN, "");
    child_expect_state(&c, PROC_SPARE);
    close(c.link);
    c.link = -1;
    assert_int_equal(child_status(&c), 0);
    child_end(&c);
}

static void sigterm_drains(void **state)
{
    (void)state;
    struct child c;
    child_start(&c, ROLE_ADMIN, "");
    child_expect_state(&c, PROC_SPARE);
    child_promote(&c);
    kill(c.pid, SIGINT); /* of the terminal: the master's business */
    kill(c.pid, SIGTERM);
    child_expect_state(&c, PROC_DRAINING);
    assert_int_equal(child_status(&c), 0);
    child_end(&c);
}

static void what_the_role_is_not_told_ends_it(void **state)
{
    (void)state;
    struct child c;
    child_start(&c, ROLE_SCOUT, "");
    child_expect_state(&c, PROC_SPARE);
    child_send(&c, &(struct ipc_msg){.type = IPC_REPLY});
    assert_int_equal(child_status(&c), 1);
    child_end(&c);
    child_start(&c, ROLE_ADMIN, "");
    child_expect_state(&c, PROC_SPARE);
    assert_int_equal(send(c.link, "short", 5, 0), 5);
    assert_int_equal(child_status(&c), 1);
    child_end(&c);
    child_start(&c, (enum board_role)77, "");
    assert_int_equal(child_status(&c), 1);
    child_end(&c);
}

static void the_heart_beats_and_reports(void **state)
{
    (void)state;
    struct child c;
    child_start(&c, ROLE_ADMIN, "");
    child_expect_state(&c, PROC_SPARE);
    struct board_proc *p = board_proc(c.board, CHILD_ROW);
    uint64_t first = board_get(&p->heartbeat_ns), until = clock_ms() + CHILD_WAIT_MS;
    assert_true(first > 0);
    while (board_get(&p->heartbeat_ns) == first && clock_ms() < until)
        poll(NULL, 0, 10);
    assert_true(board_get(&p->heartbeat_ns) > first);
    assert_true(board_get(&p->counters.memory_bytes) > 1 << 20);
    assert_int_equal(atomic_load(&p->pid), c.pid);
    child_end(&c);
}

/* A worker whose every request goes to a backend of the test's own. */
static void traffic_flows_in_the_sandbox_and_over_the_death_of_the_master(void **state)
{
    (void)state;
    struct child c;
    struct sample s;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(in);
    int backend = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), log = memfd_create("log", MFD_CLOEXEC);
    assert_int_equal(bind(backend, (struct sockaddr *)&in, n), 0);
    assert_int_equal(listen(backend, 8), 0);
    assert_int_equal(getsockname(backend, (struct sockaddr *)&in, &n), 0);
    sample_init(&s);
    sample_entry(&s, sample_host(&s, "*"), PATH_PREFIX_STRING, "/");
    s.cluster->endpoints.v[0]->address = STR("127.0.0.1");
    s.cluster->endpoints.v[0]->port = ntohs(in.sin_port);
    struct snap *snap = sample_open(&s);
    child_start(&c, ROLE_WORKER, "access_log_format=%METHOD% %PATH% %RESPONSE_CODE%\n");
    child_rescue(&c);
    child_send(&c, &(struct ipc_msg){.type = IPC_LOG, .n_fds = 1, .fds = {log}});
    uint16_t port = child_listener(&c, snap->BINDS[0].id, false);
    child_offer(&c, buf_str(&s.image), 7, NULL, true);
    child_expect_state(&c, PROC_SPARE);
    assert_int_equal(child_expect(&c, IPC_ACK)->u.as_ACK.result, 0);
    child_expect(&c, IPC_ACTIVE);
    child_promote(&c);
    for (int i = 0; i < 3; i++) {
        static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        char got[4096];
        int fd = say(&c, port, "GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        int up = accept4(backend, NULL, NULL, SOCK_CLOEXEC);
        assert_true(up >= 0 && read(up, got, sizeof(got)) > 0);
        assert_int_equal(write(up, answer, sizeof(answer) - 1), sizeof(answer) - 1);
        close(up);
        assert_has(hear(fd), "hello");
        if (i == 1) { /* the master dies */
            close(c.link);
            c.link = -1;
        }
    }
    uint64_t until = clock_ms() + CHILD_WAIT_MS;
    char lines[256] = "";
    while (strcmp(lines, "GET /x 200\nGET /x 200\nGET /x 200\n") != 0 && clock_ms() < until) {
        ssize_t k = pread(log, lines, sizeof(lines) - 1, 0);
        lines[k > 0 ? k : 0] = '\0';
        poll(NULL, 0, 5);
    }
    assert_string_equal(lines, "GET /x 200\nGET /x 200\nGET /x 200\n");
    struct board_proc *p = board_proc(c.board, CHILD_ROW);
    uint64_t beat = board_get(&p->heartbeat_ns);
    while (board_get(&p->heartbeat_ns) == beat && clock_ms() < until)
        poll(NULL, 0, 10);
    assert_true(board_get(&p->heartbeat_ns) > beat);
    kill(c.pid, SIGTERM);
    assert_int_equal(child_status(&c), 0);
    child_end(&c);
    snap_drop(snap);
    sample_fini(&s);
    close(backend);
    close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traffic_flows_in_the_sandbox_and_over_the_death_of_the_master),
        cmocka_unit_test(the_admin_answers_what_it_was_given),
        cmocka_unit_test(orders_go_to_the_master_and_wait_for_it),
        cmocka_unit_test(a_change_wakes_who_waits_for_it),
        cmocka_unit_test(a_bad_offer_is_refused_and_the_old_one_kept),
        cmocka_unit_test(an_orphan_serves_on_until_a_new_master_comes),
        cmocka_unit_test(a_spare_ends_with_its_master),
        cmocka_unit_test(sigterm_drains),
        cmocka_unit_test(what_the_role_is_not_told_ends_it),
        cmocka_unit_test(the_heart_beats_and_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
