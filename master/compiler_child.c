/*
 * compiler_child.c - the compiler: what the forked child does, from its first instruction to _exit.
 *
 * No loop here and no event: it runs straight through, and waits only for the master's answer to BIND. The memory it
 * began with is a copy of the master's; nothing of it is freed, the process ends.
 */
#include "master/build.h"
#include "master/master.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/hash.h"
#include "shared/snap/snap.h"
#include "shared/tls/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHILD_LINK_FD  3
#define CHILD_STATE_FD 4
#define BOUND_MS       30000
#define SLICE_NS       100000000
#define NICE           2
#define NICE_OLD       10
#define LOGGED_MAX     25 /* findings; `gatehouse status` has all */

struct box {
    const struct compiler_job *job;
    struct log log;
    bool may_bind;
};

GH_NORETURN static void leave(struct box *x, const char *what)
{
    log_error(&x->log, "%s: %s", what, strerror(errno));
    _exit(1);
}

static void say(struct box *x, const struct ipc_msg *msg)
{
    for (;;) {
        int rc = ipc_send(CHILD_LINK_FD, msg);
        if (rc == 0)
            return;
        struct pollfd p = {.fd = CHILD_LINK_FD, .events = POLLOUT};
        if (rc != GH_E_AGAIN || poll(&p, 1, BOUND_MS) == 0)
            leave(x, "the master does not listen");
    }
}

static void set_text(struct ipc_msg *msg, struct str text)
{
    msg->text_n = GH_MIN(text.n, (size_t)IPC_MAX_TEXT);
    if (msg->text_n)
        memcpy(msg->text, text.p, msg->text_n);
}

/* ---- becoming what it is ---- */

static void drop_handlers(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &standard, NULL); /* the loop's handlers would tell the master of our signals */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors 0-2, the link and the state; nothing else. */
static void keep_only(struct box *x, int link_fd, int state_fd)
{
    int link = fcntl(link_fd, F_DUPFD_CLOEXEC, 16), state = state_fd >= 0 ? fcntl(state_fd, F_DUPFD_CLOEXEC, 16) : -1;
    if (link < 0 || dup2(link, CHILD_LINK_FD) < 0 || (state >= 0 && dup2(state, CHILD_STATE_FD) < 0))
        leave(x, "descriptors");
    syscall(SYS_close_range, state >= 0 ? CHILD_STATE_FD + 1 : CHILD_LINK_FD + 1, ~0u, 0);
}

/*
 * Traffic goes first, but a reload beside other work on the machine must not starve either. What makes workers wait is not
 * our share but that they don't preempt us when they wake: kernels since 6.12 let a process ask for long slices, which
 * whoever has short ones may interrupt. Older ones take the wish and forget it; there, being nice is all that helps.
 */
static void step_back(void)
{
    struct { /* struct sched_attr, which libc does not have */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } wish = {.size = sizeof(wish), .policy = SCHED_BATCH, .nice = NICE, .runtime = SLICE_NS}, got = {.size = sizeof(got)};
    bool granted = syscall(SYS_sched_setattr, 0, &wish, 0) == 0 && syscall(SYS_sched_getattr, 0, &got, sizeof(got), 0) == 0 &&
                   got.runtime == SLICE_NS;
    if (!granted)
        setpriority(PRIO_PROCESS, 0, NICE_OLD);
}

/* The kernel ends us before anything that serves when memory is short. */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "500", 3);
    close(fd);
}

static void become_compiler(struct box *x, int link_fd)
{
    const char *what;
    drop_handlers();
    keep_only(x, link_fd, x->job->state_fd);
    setpgid(0, 0);
    step_back();
    offer_to_oom_killer();
    if (!privilege_confine_compiler(x->job->identity, &what))
        leave(x, what);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* after the change of user, which clears it */
    prctl(PR_SET_NAME, "gatehouse-comp", 0, 0, 0);
}

static struct str map_state(struct box *x)
{
    size_t n = x->job->state_fd >= 0 ? sealed_size(CHILD_STATE_FD, STATE_IMAGE_MAX) : 0;
    if (!n)
        return STR_NONE;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, CHILD_STATE_FD, 0);
    if (p == MAP_FAILED)
        leave(x, "the state of the load before");
    return str_of(p, n);
}

/* ---- talking with the master ---- */

static int ask_bind(void *ctx, struct str address, uint16_t port, bool datagram)
{
    struct box *x = ctx;
    uint64_t id = snap_bind_id(address, port, datagram);
    struct ipc_msg msg = {.type = IPC_BIND, .u.as_BIND = {.bind_id = id, .port = port, .datagram = datagram}};
    set_text(&msg, address);
    say(x, &msg);
    uint64_t until = clock_ms() + BOUND_MS;
    for (;;) {
        int rc = ipc_recv(CHILD_LINK_FD, &msg);
        if (rc > 0 && msg.type == IPC_BOUND && msg.u.as_BOUND.bind_id == id)
            return msg.u.as_BOUND.error;
        uint64_t now = clock_ms();
        struct pollfd p = {.fd = CHILD_LINK_FD, .events = POLLIN};
        if (rc != 0 || now >= until || poll(&p, 1, (int)(until - now)) < 0)
            leave(x, "no answer to BIND");
    }
}

static void copy_text(struct settings *s, char *to, struct str text)
{
    (void)s;
    size_t n = GH_MIN(text.n, (size_t)SETTING_TEXT_MAX - 1);
    memcpy(to, text.p ? text.p : "", n);
    to[n] = '\0';
}

static void flatten(const struct instance *in, struct settings *s)
{
    struct buf servers = {0};
    settings_defaults(s);
    for (size_t i = 0; i < in->dns_servers.n; i++) {
        buf_addc(&servers, i ? "," : "");
        buf_adds(&servers, in->dns_servers.v[i]);
    }
    s->workers = in->workers;
    copy_text(s, s->user, in->user);
    copy_text(s, s->conf_dir, in->conf_dir);
    copy_text(s, s->state_dir, in->state_dir);
    copy_text(s, s->run_dir, in->run_dir);
    copy_text(s, s->admin_address, in->admin_address);
    copy_text(s, s->access_log_path, in->access_log.path);
    copy_text(s, s->access_log_format, in->access_log.json ? STR_NONE : in->access_log.format);
    copy_text(s, s->dns_servers, buf_str(&servers));
    s->log_level = (uint64_t)in->log_level;
    s->drain_timeout_ms = in->settings.drain_timeout_ms;
    s->ticket_lifetime_s = in->settings.ticket_lifetime_s;
    s->metrics_max_series = in->metrics_max_series;
    buf_fini(&servers);
}

static void say_settings(struct box *x, const struct instance *in, uint32_t n_errors)
{
    static struct settings s; /* large; this process does this once */
    struct ipc_msg msg = {.type = IPC_SETTINGS, .u.as_SETTINGS = {.n_errors = n_errors}};
    struct buf text = {0};
    flatten(in, &s);
    settings_write(&s, &text);
    if (text.oom || text.n > IPC_MAX_TEXT) {
        errno = E2BIG;
        leave(x, "settings");
    }
    set_text(&msg, buf_str(&text));
    say(x, &msg);
}

static uint32_t errors_of_file(const struct diags *ds, const char *file)
{
    uint32_t n = 0;
    for (size_t i = 0; file && i < ds->n; i++)
        n += ds->v[i].severity == DIAG_ERROR && str_eqc(ds->v[i].file, file);
    return n;
}

/* Errors and warnings to the log, when they are others than last time. Returns what they are now. */
static uint64_t log_findings(struct box *x, const struct diags *ds)
{
    uint64_t hash = 1;
    struct buf line = {0};
    for (int round = 0; round < 2; round++) {
        size_t n = 0;
        for (size_t i = 0; i < ds->n; i++) {
            const struct diag *d = &ds->v[i];
            if (d->severity == DIAG_INFO)
                continue;
            buf_clear(&line);
            diag_text(d, &line);
            if (round == 0)
                hash = hash_str(buf_str(&line), hash);
            else if (n++ < LOGGED_MAX)
                log_line(&x->log, d->severity == DIAG_ERROR ? LOG_LV_ERROR : LOG_LV_WARN, STR_FMT,
                         STR_ARG(str_trim(buf_str(&line), "\n")));
        }
        if (hash == x->job->findings_hash)
            break;
        if (n > LOGGED_MAX)
            log_warn(&x->log, "and %zu findings more: `gatehouse status`", n - LOGGED_MAX);
    }
    buf_fini(&line);
    return hash;
}

/* ---- the work ---- */

static int seal(struct box *x, const char *name, const struct buf *b)
{
    int fd = sealed_memfd(name, buf_str(b));
    if (fd < 0)
        leave(x, name);
    return fd;
}

static void count_findings(struct box *x, const struct build *b, struct ipc_result *r)
{
    r->generation = x->job->generation;
    r->errors = (uint32_t)b->diags.n_errors;
    r->warnings = (uint32_t)b->diags.n_warnings;
    r->objects = (uint32_t)b->store.n_all;
}

/* A new generation is offered while the rest is still being written; false when it would be the one that is served. */
static bool say_made(struct box *x, struct build *b, struct ipc_result *r)
{
    struct ipc_msg msg = {.type = IPC_MADE};
    r->content_hash = build_content_hash(b);
    r->findings_hash = log_findings(x, &b->diags);
    if (x->job->serving && r->content_hash == x->job->content_hash)
        return false;
    msg.u.as_MADE = *r;
    msg.fds[0] = seal(x, "gatehouse-snapshot", &b->snapshot);
    msg.fds[1] = seal(x, "gatehouse-keys", &b->keys);
    msg.n_fds = 2;
    say(x, &msg);
    ipc_msg_close_fds(&msg);
    return true;
}

static void say_result(struct box *x, struct build *b, int rc)
{
    struct ipc_msg msg = {.type = IPC_RESULT};
    struct ipc_result *r = &msg.u.as_RESULT;
    struct buf text = {0};
    count_findings(x, b, r);
    bool made = rc == 0 && say_made(x, b, r);
    if (rc == 0)
        rc = build_records(b);
    r->result = rc == 0 && !made ? GH_E_EXISTS : rc;
    if (rc == 0) {
        if (!made)
            msg.fds[msg.n_fds++] = seal(x, "gatehouse-snapshot", &b->snapshot);
        msg.fds[msg.n_fds++] = seal(x, "gatehouse-status", &b->status);
        msg.fds[msg.n_fds++] = seal(x, "gatehouse-state", &b->state_out);
        if (!made)
            msg.fds[msg.n_fds++] = seal(x, "gatehouse-keys", &b->keys);
        buf_addf(&text, "%zu files, %u objects, %u errors, %u warnings", b->stats.files, r->objects, r->errors, r->warnings);
    } else {
        buf_addf(&text, "%s", b->why.n ? buf_cstr(&b->why) : err_text(rc));
    }
    keys_wipe(&b->keys);
    set_text(&msg, buf_str(&text));
    say(x, &msg);
}

/* So that the master sees them change: they are nowhere in the tree that it watches. */
static void say_outside(struct box *x, const struct outside *o)
{
    for (size_t i = 0; i < o->files.n; i++) {
        const struct outside_file *f = o->files.v[i];
        struct ipc_msg msg = {.type = IPC_WATCH};
        msg.u.as_WATCH = (struct ipc_watch){f->stamp.dev, f->stamp.ino, f->stamp.size, f->stamp.mtime_ns, f->stamp.ctime_ns};
        if (f->path.n == 0 || f->path.p[0] != '/' || f->path.n >= PATH_MAX || memchr(f->path.p, '\0', f->path.n))
            continue; /* it can't be there */
        set_text(&msg, f->path);
        say(x, &msg);
    }
}

static void only_settings(struct box *x)
{
    const char *no_paths[] = {"/nonexistent/gatehouse"}; /* the instance file is read as in every load; objects are not */
    struct build b;
    struct build_input in = {.paths = no_paths, .n_paths = 1, .instance_file = x->job->config, .lenient_paths = true};
    build_run(&b, &in);
    uint32_t n_errors = errors_of_file(&b.diags, x->job->config);
    if (n_errors) {
        struct buf line = {0};
        for (size_t i = 0; i < b.diags.n; i++) {
            buf_clear(&line);
            diag_text(&b.diags.v[i], &line);
            if (str_eqc(b.diags.v[i].file, x->job->config))
                log_error(&x->log, STR_FMT, STR_ARG(str_trim(buf_str(&line), "\n")));
        }
    }
    say_settings(x, &b.instance, n_errors);
}

GH_NORETURN void compiler_child(int link_fd, const struct compiler_job *job)
{
    struct box x = {.job = job, .log = *job->log};
    struct build b;
    snprintf(x.log.ident, sizeof(x.log.ident), "compiler");
    become_compiler(&x, link_fd);
    if (job->only_settings) {
        only_settings(&x);
        _exit(0);
    }
    struct build_input in = {
        .paths = &job->conf_dir,
        .n_paths = 1,
        .instance_file = job->config,
        .prev_state = map_state(&x),
        .generation = job->generation,
        .lenient_paths = true,
        .want_keys = true,
        .bind = ask_bind,
        .bind_ctx = &x,
    };
    int rc = build_images(&b, &in);
    say_settings(&x, &b.instance, errors_of_file(&b.diags, job->config));
    say_outside(&x, &b.outside);
    say_result(&x, &b, rc);
    _exit(0);
}
