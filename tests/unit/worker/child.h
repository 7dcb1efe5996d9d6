/*
 * child.h - a gatehouse-worker as its master sees it: started over a link and a board of the test's own.
 * Everything that waits has a deadline; what goes wrong ends the test with a sentence.
 */
#ifndef GH_TESTS_CHILD_H
#define GH_TESTS_CHILD_H

#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/board/board.h"
#include "shared/ipc/ipc.h"
#include "shared/ipc/text.h"
#include "tests/unit/master/compile/sample.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define CHILD_ROW     5
#define CHILD_WAIT_MS 20000

struct child {
    pid_t pid;
    int link, board_fd;
    struct board *board;
    char dir[64];          /* for sockets */
    struct ipc_msg last;
};

static inline GH_UNUSED void child_exec(int link, int board)
{
    link = fcntl(link, F_DUPFD, 10);
    board = fcntl(board, F_DUPFD, 10);
    dup2(link, IPC_FD_LINK);
    dup2(board, IPC_FD_BOARD);
    execl("./gatehouse-worker", "gatehouse-worker", (char *)NULL);
    _exit(127);
}

static inline GH_UNUSED void child_send(struct child *c, struct ipc_msg *m)
{
    assert_int_equal(ipc_send(c->link, m), 0);
}

/* Starts another process on the same board. */
static inline GH_UNUSED void child_fork(struct child *c, enum board_role role, const char *settings)
{
    int pair[2];
    assert_int_equal(ipc_pair(pair), 0);
    fflush(NULL);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0)
        child_exec(pair[1], c->board_fd);
    close(pair[1]);
    c->link = pair[0];
    struct ipc_msg m = {.type = IPC_HELLO};
    m.u.as_HELLO = (struct ipc_hello){.role = (uint32_t)role, .row = CHILD_ROW, .user_id = UINT32_MAX,
                                      .group_id = UINT32_MAX, .n_workers = 1, .log_level = 4, .drain_ms = 1000};
    m.text_n = strlen(settings);
    memcpy(m.text, settings, m.text_n);
    child_send(c, &m);
}

static inline GH_UNUSED void child_start(struct child *c, enum board_role role, const char *settings)
{
    memset(c, 0, sizeof(*c));
    snprintf(c->dir, sizeof(c->dir), "/tmp/gh-child-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    assert_int_equal(board_make(&c->board, &c->board_fd), 0);
    child_fork(c, role, settings);
}

/* The next message, which must be of that type. */
static inline GH_UNUSED struct ipc_msg *child_expect(struct child *c, enum ipc_type type)
{
    uint64_t until = clock_ms() + CHILD_WAIT_MS;
    int rc = 0;
    while (rc == 0) {
        struct pollfd p = {.fd = c->link, .events = POLLIN};
        uint64_t now = clock_ms();
        if (now >= until || poll(&p, 1, (int)(until - now)) == 0)
            fail_msg("no %s within %d ms", ipc_type_name(type), CHILD_WAIT_MS);
        rc = ipc_recv(c->link, &c->last);
    }
    if (rc != 1 || c->last.type != type)
        fail_msg("%s was expected, not %s", ipc_type_name(type), rc == 1 ? ipc_type_name(c->last.type) : err_text(rc));
    return &c->last;
}

static inline GH_UNUSED void child_expect_state(struct child *c, enum board_state state)
{
    assert_int_equal(child_expect(c, IPC_STATE)->u.as_STATE.state, state);
    assert_int_equal(atomic_load(&board_proc(c->board, CHILD_ROW)->state), state);
}

/* Its exit status; -signal when a signal ended it. */
static inline GH_UNUSED int child_status(struct child *c)
{
    uint64_t until = clock_ms() + CHILD_WAIT_MS;
    int status = 0;
    while (waitpid(c->pid, &status, WNOHANG) == 0) {
        if (clock_ms() >= until) {
            kill(c->pid, SIGKILL);
            waitpid(c->pid, &status, 0);
            fail_msg("the child did not end within %d ms", CHILD_WAIT_MS);
        }
        poll(NULL, 0, 2);
    }
    c->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline GH_UNUSED void child_end(struct child *c)
{
    char path[128];
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
    }
    if (c->link >= 0)
        close(c->link);
    board_close(c->board);
    close(c->board_fd);
    static const char *const names[] = {"/rescue", "/admin.sock"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s%s", c->dir, names[i]);
        unlink(path);
    }
    rmdir(c->dir);
}

static inline GH_UNUSED struct sockaddr_un child_address(struct child *c, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", c->dir, name);
    return a;
}

/* RESCUE with a bound socket that does not listen. */
static inline GH_UNUSED void child_rescue(struct child *c)
{
    struct sockaddr_un a = child_address(c, "rescue");
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    child_send(c, &(struct ipc_msg){.type = IPC_RESCUE, .n_fds = 1, .fds = {fd}});
    close(fd);
}

/* LISTENER; returns the port for TCP. */
static inline GH_UNUSED uint16_t child_listener(struct child *c, uint64_t id, bool local)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = child_address(c, "admin.sock");
    socklen_t n = sizeof(in);
    int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(local ? bind(fd, (struct sockaddr *)&un, sizeof(un)) : bind(fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(listen(fd, 64), 0);
    if (!local)
        assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    struct ipc_msg m = {.type = IPC_LISTENER, .n_fds = 1, .fds = {fd}, .text = "127.0.0.1", .text_n = 9};
    m.u.as_LISTENER = (struct ipc_listener){.bind_id = id, .port = ntohs(in.sin_port), .family = local ? AF_UNIX : AF_INET};
    child_send(c, &m);
    close(fd);
    return ntohs(in.sin_port);
}

/* SNAPSHOT of the sample's image (after sample_open) with a STATUS image; commits it when `commit`. */
static inline GH_UNUSED void child_offer(struct child *c, struct str image, uint64_t generation, const char *status,
                                         bool commit)
{
    struct ipc_msg m = {.type = IPC_SNAPSHOT, .n_fds = 1};
    m.u.as_SNAPSHOT = (struct ipc_snapshot){.generation = generation};
    m.fds[0] = image_seal("test-snapshot", image);
    assert_true(m.fds[0] >= 0);
    if (status) {
        m.fds[m.n_fds++] = image_seal("test-status", str_c(status));
        assert_true(m.fds[1] >= 0);
    }
    child_send(c, &m);
    ipc_msg_close_fds(&m);
    if (commit)
        child_send(c, &(struct ipc_msg){.type = IPC_COMMIT, .u.as_COMMIT = {.generation = generation}});
}

static inline GH_UNUSED void child_promote(struct child *c)
{
    child_send(c, &(struct ipc_msg){.type = IPC_PROMOTE, .u.as_PROMOTE = {.row = CHILD_ROW}});
    child_expect_state(c, PROC_ACTIVE);
}

static inline GH_UNUSED void child_drain(struct child *c)
{
    child_send(c, &(struct ipc_msg){.type = IPC_DRAIN, .u.as_DRAIN = {.deadline_ms = clock_ms() + 5000}});
}

#endif
