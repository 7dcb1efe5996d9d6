/*
 * sandbox_check.c - `gatehouse-worker --check-sandbox`: does the sandbox hold on this kernel?
 *
 * Every trial runs in a child of its own that enters the sandbox of one role first. How the child ends is
 * compared with what is designed: it goes on, it is refused with an error, or the kernel ends it.
 */
#include "config.h"
#include "worker/sandbox.h"
#include "shared/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum outcome { WORKS, REFUSED, KILLED, FAULTS, ABORTS, OTHER };
static const char *const OUTCOMES[] = {"works", "refused", "ends the process", "faults", "aborts", "?"};

/* Made before the sandbox is entered. */
struct trial_env {
    int image;        /* a sealed memfd */
    char *map;        /* its read-only mapping */
    pid_t parent;
    uv_loop_t loop;
};

/* 0: it worked; else errno. */
typedef int trial_fn(struct trial_env *e);

static int done(long rc)
{
    return rc < 0 ? errno : 0;
}

static int try_open(struct trial_env *e)
{
    (void)e;
    return done(open("/etc/hostname", O_RDONLY | O_CLOEXEC));
}
static int try_exec(struct trial_env *e)
{
    (void)e;
    return done(execl("/bin/true", "true", (char *)NULL));
}
static int try_fork(struct trial_env *e)
{
    (void)e;
    return done(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}
static int try_ptrace(struct trial_env *e)
{
    return done(ptrace(PTRACE_ATTACH, e->parent, 0, 0));
}
static int try_bpf(struct trial_env *e)
{
    (void)e;
    return done(syscall(SYS_bpf, 0, NULL, 0));
}
static int try_mount(struct trial_env *e)
{
    (void)e;
    return done(mount("none", "/tmp", "tmpfs", 0, NULL));
}
static int try_io_uring(struct trial_env *e)
{
    (void)e;
    return done(syscall(SYS_io_uring_setup, 1, NULL));
}
static int try_packet(struct trial_env *e)
{
    (void)e;
    return done(socket(AF_PACKET, SOCK_RAW, 0));
}
static int try_inet(struct trial_env *e)
{
    (void)e;
    return done(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int try_unix(struct trial_env *e)
{
    (void)e;
    return done(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int try_kill(struct trial_env *e)
{
    return done(kill(e->parent, 0));
}
static int try_tgkill(struct trial_env *e)
{
    return done(syscall(SYS_tgkill, e->parent, e->parent, 0));
}
static int try_root(struct trial_env *e)
{
    (void)e;
    return done(setuid(0));
}
static int try_code(struct trial_env *e)
{
    (void)e;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? errno : 0;
}
static int try_map_writable(struct trial_env *e)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, e->image, 0);
    return p == MAP_FAILED ? errno : 0;
}
static int try_write_image(struct trial_env *e)
{
    *(volatile char *)e->map = 1;
    return 0;
}
static int try_memory(struct trial_env *e)
{
    (void)e;
    for (size_t n = 16; n < 64u << 20; n *= 2) {
        char *volatile p = malloc(n);
        if (!p)
            return ENOMEM;
        p[n - 1] = 1;
        free(p);
    }
    return 0;
}
static int try_loop(struct trial_env *e)
{
    return -uv_run(&e->loop, UV_RUN_NOWAIT);
}
static int try_abort(struct trial_env *e)
{
    (void)e;
    abort();
}

#define W SANDBOX_WORKER
#define S SANDBOX_SCOUT
#define A SANDBOX_ADMIN
static const struct {
    const char *what;
    trial_fn *fn;
    enum outcome designed;
    uint8_t works_for; /* roles for which it is allowed although `designed` says no */
} TRIALS[] = {
    {"use memory", try_memory, WORKS, 0},
    {"turn the event loop", try_loop, WORKS, 0},
    {"abort on its own bug", try_abort, ABORTS, 0},
    {"open a file", try_open, REFUSED, 0},
    {"make memory executable", try_code, REFUSED, 0},
    {"map a snapshot writable", try_map_writable, REFUSED, 0},
    {"write to a snapshot", try_write_image, FAULTS, 0},
    {"TCP socket", try_inet, KILLED, W | S},
    {"unix socket", try_unix, KILLED, W},
    {"packet socket", try_packet, KILLED, 0},
    {"execute a program", try_exec, KILLED, 0},
    {"start a process", try_fork, KILLED, 0},
    {"signal a process", try_kill, KILLED, 0},
    {"signal a thread", try_tgkill, KILLED, 0},
    {"trace a process", try_ptrace, KILLED, 0},
    {"become root", try_root, KILLED, 0},
    {"load a BPF program", try_bpf, KILLED, 0},
    {"io_uring", try_io_uring, KILLED, 0},
    {"mount", try_mount, KILLED, 0},
};
#undef W
#undef S
#undef A

static bool make_env(struct trial_env *e)
{
    e->parent = getppid();
    e->image = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (e->image < 0 || ftruncate(e->image, 4096) != 0 ||
        fcntl(e->image, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return false;
    e->map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, e->image, 0);
    return e->map != MAP_FAILED && uv_loop_init(&e->loop) == 0;
}

enum { CHILD_WORKED = 0, CHILD_REFUSED = 10, CHILD_NO_SANDBOX = 20 };

GH_NORETURN static void run_child(enum sandbox_role role, trial_fn *fn)
{
    struct trial_env e;
    struct sandbox_result r;
    struct buf why = {0};
    bool root = geteuid() == 0;
    struct sandbox s = {role, root ? 65534 : SANDBOX_STAY, root ? 65534 : SANDBOX_STAY};
    if (!make_env(&e) || sandbox_enter(&s, &r, &why) != 0) {
        fprintf(stderr, "gatehouse-worker: %s\n", buf_cstr(&why));
        _exit(CHILD_NO_SANDBOX);
    }
    _exit(fn(&e) == 0 ? CHILD_WORKED : CHILD_REFUSED);
}

static enum outcome outcome_of(int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS    ? KILLED
               : WTERMSIG(status) == SIGABRT ? ABORTS
               : WTERMSIG(status) == SIGSEGV ? FAULTS
                                             : OTHER;
    return WEXITSTATUS(status) == CHILD_WORKED ? WORKS : WEXITSTATUS(status) == CHILD_REFUSED ? REFUSED : OTHER;
}

static enum outcome try_in_child(enum sandbox_role role, trial_fn *fn)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_child(role, fn);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return OTHER;
    return outcome_of(status);
}

int sandbox_check(void)
{
#ifdef GH_SANITIZED
    const bool built = false;
#else
    const bool built = true;
#endif
    static const struct {
        enum sandbox_role role;
        const char *name;
    } roles[] = {{SANDBOX_WORKER, "worker"}, {SANDBOX_SCOUT, "scout"}, {SANDBOX_ADMIN, "admin"}};
    int bad = 0;
    if (!built) {
        puts("built with sanitizers: there is no sandbox to check");
        return 77;
    }
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        for (size_t t = 0; t < ARRAY_LEN(TRIALS); t++) {
            enum outcome got = try_in_child(roles[i].role, TRIALS[t].fn);
            enum outcome designed = TRIALS[t].works_for & roles[i].role ? WORKS : TRIALS[t].designed;
            printf("%-8s %-26s %s%s%s\n", roles[i].name, TRIALS[t].what, OUTCOMES[got],
                   got == designed ? "" : "; designed: ", got == designed ? "" : OUTCOMES[designed]);
            bad += got != designed;
        }
    return bad ? 1 : 0;
}
