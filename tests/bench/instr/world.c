#include "tests/bench/instr/world.h"
#include "shared/tls/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include) && __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* compiles without, and then counts nothing */
#define CALLGRIND_TOGGLE_COLLECT     (void)0
#define CALLGRIND_DUMP_STATS_AT(pos) (void)(pos)
#define CALLGRIND_ZERO_STATS         (void)0
#define RUNNING_ON_VALGRIND          0
#endif

#define EPOCH_S  UINT64_C(1798761600) /* 2027-01-01 */
#define SEED     UINT64_C(0x9e3779b97f4a7c15)
#define PATIENCE 2000 /* turns without an end */

/* What stands in for the kernel's; functions of libc know no argument, so it is the program's, not a struct's. */
static struct {
    uint64_t us, random;
    struct { uint16_t said, real; } ports[32]; /* network byte order */
    size_t n_ports;
    uint16_t clients;                          /* accepted in this row: their ports */
} sim = {.us = 1000000, .random = SEED};

/* --- in the place of libc's --------------------------------------------------------------------------- */

int clock_gettime(clockid_t id, struct timespec *t)
{
    t->tv_sec = (time_t)((id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? EPOCH_S : 0) + sim.us / 1000000);
    t->tv_nsec = (long)(sim.us % 1000000 * 1000);
    return 0;
}

ssize_t getrandom(void *p, size_t n, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < n; i++) {
        sim.random = sim.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)p)[i] = (uint8_t)(sim.random >> 56);
    }
    return (ssize_t)n;
}

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
    struct sockaddr_in a;
    if (to->sa_family == AF_INET) {
        memcpy(&a, to, sizeof(a));
        for (size_t i = 0; i < sim.n_ports; i++)
            if (sim.ports[i].said == a.sin_port) {
                a.sin_port = sim.ports[i].real;
                return (int)syscall(SYS_connect, fd, &a, sizeof(a));
            }
    }
    return (int)syscall(SYS_connect, fd, to, n);
}

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    int got = (int)syscall(SYS_accept4, fd, NULL, NULL, flags);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(40000 + sim.clients % 20000))};
    a.sin_addr.s_addr = htonl(0xc6336407); /* 198.51.100.7 */
    if (got < 0 || !from)
        return got;
    sim.clients++;
    memcpy(from, &a, GH_MIN((size_t)*n, sizeof(a)));
    *n = sizeof(a);
    return got;
}

int getsockname(int fd, struct sockaddr *to, socklen_t *n)
{
    int rc = (int)syscall(SYS_getsockname, fd, to, n);
    struct sockaddr_in *a = (struct sockaddr_in *)to;
    for (size_t i = 0; rc == 0 && to->sa_family == AF_INET && i < sim.n_ports; i++)
        if (sim.ports[i].real == a->sin_port) {
            a->sin_port = sim.ports[i].said;
            break;
        }
    return rc;
}

void world_tick(uint64_t us)
{
    sim.us += us;
}

/* --- sockets ------------------------------------------------------------------------------------------ */

int world_listen(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(sim.n_ports < ARRAY_LEN(sim.ports));
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 4096) ||
        syscall(SYS_getsockname, fd, &a, &n) != 0)
        die("no socket: %s", strerror(errno));
    sim.ports[sim.n_ports].said = htons(port);
    sim.ports[sim.n_ports++].real = a.sin_port;
    return fd;
}

int world_connect(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, (struct sockaddr *)&a, sizeof(a)) && errno != EINPROGRESS))
        die("cannot connect: %s", strerror(errno));
    return fd;
}

/* --- the gateway -------------------------------------------------------------------------------------- */

static int on_bind(void *ctx, struct str address, uint16_t port, bool datagram)
{
    struct world *w = ctx;
    must(w->n_binds < ARRAY_LEN(w->binds) && !datagram);
    w->binds[w->n_binds].id = snap_bind_id(address, port, false);
    w->binds[w->n_binds++].fd = world_listen(port);
    return 0;
}

void world_load(struct world *w, const char *const *paths, size_t n)
{
    struct build_input in = {.paths = paths, .n_paths = n, .generation = 1, .want_keys = true, .bind = on_bind,
                             .bind_ctx = w};
    int rc = build_run(&w->build, &in);
    if (rc != 0 || w->build.diags.n_errors) {
        struct buf text = {0};
        for (size_t i = 0; i < w->build.diags.n; i++)
            diag_text(&w->build.diags.v[i], &text);
        die("%s\n" STR_FMT, buf_cstr(&w->build.why), STR_ARG(buf_str(&text)));
    }
}

void world_unload(struct world *w)
{
    for (size_t i = 0; i < w->n_binds; i++)
        close(w->binds[i].fd);
    build_free(&w->build);
}

static void offer(struct world *w)
{
    struct buf why = {0};
    int fd = image_seal("snapshot", buf_str(&w->build.snapshot)), keys = image_seal("keys", buf_str(&w->build.keys));
    if (fd < 0 || keys < 0 || dataplane_offer(w->dp, fd, keys, &why) || !dataplane_commit(w->dp, 1))
        die("snapshot: " STR_FMT, STR_ARG(buf_str(&why)));
    close(fd);
    close(keys);
    buf_fini(&why);
}

void world_begin(struct world *w)
{
    int board_fd;
    sim.us = 1000000;
    sim.random = SEED;
    sim.clients = 0;
    uv_loop_init(&w->loop);
    log_init(&w->log, 2, "instr");
    if (board_make(&w->board, &board_fd))
        die("no board");
    close(board_fd);
    board_tickets_rotate(board_tickets(w->board), EPOCH_S, 86400);
    struct board_proc *me = board_proc(w->board, 1);
    me->role = ROLE_WORKER;
    me->state = PROC_ACTIVE;
    w->access = access_log_new(&(struct access_log_config){.loop = &w->loop, .me = me, .log = &w->log, .json = true});
    w->access_fd = memfd_create("access", MFD_CLOEXEC);
    w->dp = dataplane_new(&(struct dataplane_config){.loop = &w->loop, .board = w->board, .row = 1, .log = &w->log,
                                                     .access = w->access, .fd_limit = 4096, .system_ca_fd = -1});
    if (!w->access || w->access_fd < 0 || !w->dp)
        die("no data plane");
    access_log_set_fd(w->access, dup(w->access_fd));
    for (size_t i = 0; i < w->n_binds; i++)
        dataplane_listener_add(w->dp, w->binds[i].id, dup(w->binds[i].fd), false);
    offer(w);
    dataplane_set_active(w->dp, true);
}

void world_end(struct world *w)
{
    dataplane_free(w->dp);
    access_log_free(w->access);
    close(w->access_fd);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    uv_loop_close(&w->loop);
    board_close(w->board);
}

static void turn(struct world *w, int wait_ms)
{
    world_tick(20);
    if (w->counting)
        CALLGRIND_TOGGLE_COLLECT;
    dataplane_turn(w->dp, wait_ms);
    if (w->counting)
        CALLGRIND_TOGGLE_COLLECT;
    w->play(w->peers);
}

void world_turn(struct world *w)
{
    turn(w, 0);
}

void world_run(struct world *w, bool (*done)(void *arg), void *arg)
{
    w->play(w->peers);
    for (int turns = 0; !done(arg); turns++) {
        if (turns > PATIENCE)
            die("no answer: " STR_FMT, STR_ARG(STR("the gateway and its peers wait for each other")));
        turn(w, 5);
    }
}

void world_report(const char *name)
{
    CALLGRIND_DUMP_STATS_AT(name);
}

bool world_is_counted(void)
{
    return RUNNING_ON_VALGRIND != 0;
}
