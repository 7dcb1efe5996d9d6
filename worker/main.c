/*
 * main.c - the program `gatehouse-worker`, started by the master and by nobody else.
 *
 * Descriptors at the start: 2 the log, 3 the link, 4 the board (ipc.h). The first message says which role this
 * process has; worker.h tells the rest of its life.
 */
#include "config.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/ipc/text.h"
#include "shared/tls/tls_build.h"
#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO_MS 10000

static int usage(FILE *to, int code)
{
    fputs("gatehouse-worker is started by `gatehouse serve` (see gatehouse(8)).\n\n"
          "By hand it knows only:\n"
          "  --check-sandbox   enter the sandbox of every role in a child and try what must not work\n"
          "  --version\n", to);
    return code;
}

static int version(void)
{
    struct buf tls = {0};
    tls_build_describe(&tls);
    int n = printf("%s\nTLS: %s\n", PACKAGE_STRING, buf_cstr(&tls));
    buf_fini(&tls);
    return n < 0;
}

void worker_exit(struct worker *w, int code)
{
    if (w->exit_code < 0)
        w->exit_code = code;
    if (w->role && w->role->quit)
        w->role->quit(w);
    else
        uv_stop(&w->loop);
}

bool worker_setting(const struct worker *w, const char *key, struct buf *value)
{
    return ipc_text_get(buf_str(&w->settings), key, value);
}

void worker_set_state(struct worker *w, enum board_state state)
{
    w->state = state;
    atomic_store(&w->me->state, state);
    link_send_state(w, state);
}

void worker_set_generation(struct worker *w, uint64_t generation)
{
    atomic_store(&w->me->generation, generation);
}

/* The first message, or the end: nothing can be served without it. */
static void read_hello(struct worker *w)
{
    struct pollfd p = {.fd = IPC_FD_LINK, .events = POLLIN};
    struct ipc_msg m;
    uint64_t until = clock_ms() + HELLO_MS;
    int rc = 0;
    while (rc == 0) {
        uint64_t now = clock_ms();
        int n = now >= until ? 0 : poll(&p, 1, (int)(until - now));
        if (n == 0)
            die("worker: the master said nothing for %d ms", HELLO_MS);
        if (n < 0 && errno != EINTR)
            die("worker: poll: %s", strerror(errno));
        rc = ipc_recv(IPC_FD_LINK, &m);
    }
    if (rc == GH_E_CLOSED)
        exit(0); /* the master went away while we began */
    if (rc < 0 || m.type != IPC_HELLO)
        die("worker: the first message is no HELLO (%s)", rc < 0 ? err_text(rc) : ipc_type_name(m.type));
    w->hello = m.u.as_HELLO;
    buf_add(&w->settings, m.text, m.text_n);
    if (w->settings.oom)
        die("worker: out of memory");
}

static void take_place(struct worker *w)
{
    char ident[sizeof(w->log.ident)];
    w->role = role_of(w->hello.role);
    if (!w->role)
        die("worker: there is no role %u", w->hello.role);
    int rc = board_open(&w->board, IPC_FD_BOARD);
    if (rc < 0)
        die("worker: the board: %s", err_text(rc));
    w->me = board_proc(w->board, w->hello.row);
    if (!w->me)
        die("worker: there is no row %u on the board", w->hello.row);
    if (w->role->id == ROLE_WORKER)
        snprintf(ident, sizeof(ident), "%s/%u", w->role->name, w->hello.row);
    else
        snprintf(ident, sizeof(ident), "%s", w->role->name);
    log_init(&w->log, STDERR_FILENO, ident);
    w->log.level = (enum log_level)w->hello.log_level;

    atomic_store(&w->me->role, (uint32_t)w->role->id);
    atomic_store(&w->me->row, w->hello.row);
    atomic_store(&w->me->pid, (uint32_t)getpid());
    atomic_store(&w->me->started_ns, clock_ns());
    atomic_store(&w->me->state, PROC_STARTING);
    w->state = PROC_STARTING;
}

static int enter(struct worker *w, struct buf *why)
{
    const struct sandbox s = {w->role->sandbox, w->hello.user_id, w->hello.group_id};
    struct sandbox_result r;
    int rc = sandbox_enter(&s, &r, why);
    if (rc == 0)
        log_debug(&w->log, "%u system calls, Landlock %d", r.n_calls, r.landlock_abi);
    return rc;
}

/* Everything between HELLO and the loop. Negative: a sentence is in `why`. */
static int begin(struct worker *w, struct buf *why)
{
    if (uv_loop_init(&w->loop) != 0) {
        buf_addc(why, "cannot make an event loop");
        return GH_E_SYSTEM;
    }
    int rc = worker_signals(w);
    if (rc != 0) {
        buf_addf(why, "signals: %s", uv_strerror(rc));
        return GH_E_SYSTEM;
    }
    heart_start(w);
    rc = w->role->start(w, why);
    rc = rc < 0 ? rc : enter(w, why);
    rc = rc < 0 ? rc : link_start(w);
    if (rc == 0)
        worker_set_state(w, PROC_SPARE);
    return rc;
}

static void end(struct worker *w)
{
    w->role->stop(w);
    link_stop(w);
    heart_stop(w);
    worker_signals_stop(w);
    uv_run(&w->loop, UV_RUN_DEFAULT); /* the closing callbacks */
    if (uv_loop_close(&w->loop) != 0)
        log_error(&w->log, "a handle of the loop was left open");
    board_close(w->board);
    buf_fini(&w->settings);
}

int main(int argc, char **argv)
{
    struct worker w = {.exit_code = -1};
    struct buf why = {0};
    int type = 0;
    socklen_t n = sizeof(type);

    tls_build_start();
    if (argc > 1 && strcmp(argv[1], "--check-sandbox") == 0)
        return sandbox_check();
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return version();
    if (getsockopt(IPC_FD_LINK, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_SEQPACKET)
        return usage(stderr, 2);

    setenv("TZ", "UTC0", 1); /* every time we write is UTC; libc would look for a file otherwise */
    sandbox_close_from(IPC_FD_BOARD + 1);
    if (chdir("/") != 0)
        die("worker: chdir: %s", strerror(errno));
    read_hello(&w);
    take_place(&w);
    if (begin(&w, &why) < 0) {
        log_error(&w.log, "cannot start: %s", buf_cstr(&why));
        buf_fini(&why);
        exit(1);
    }
    if (w.exit_code < 0 && w.role->run)
        w.role->run(&w);
    else if (w.exit_code < 0)
        uv_run(&w.loop, UV_RUN_DEFAULT);
    end(&w);
    buf_fini(&why);
    return w.exit_code < 0 ? 0 : w.exit_code;
}
