/*
 * serve.c - `gatehouse serve`: options, start, the loop and its signals, an orderly end.
 *
 * The start, in order, because each step needs those before it:
 *
 *   options > instance file (a compiler child reads it) > identity > directories, lock > inheritance (adopt.c) > board,
 *   state > privileges > loop, signals, children > watch > first load > READY
 *
 * The end: SIGTERM, SIGINT or the order DRAIN make workers finish (at most timeouts.drain); then scout and admin go, who
 * were there to the last for those who ask; then the files in the run directory, then the process, with status 0.
 */
#include "config.h"
#include "master/master.h"
#include "master/rundir.h"
#include "master/sink.h"
#include "master/store/load.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_CONFIG GH_SYSCONFDIR "/gatehouse.yaml"
#define READY_ANYWAY_MS 10000 /* READY does not wait longer than this for scout and admin */
#define NOBODY 65534

/* ---- settings ---- */

static void overlay(char *to, const char *option)
{
    if (option)
        snprintf(to, SETTING_TEXT_MAX, "%s", option);
}

/* Options of the command line win over the file. */
static void overlay_options(struct settings *s, const struct options *o)
{
    overlay(s->conf_dir, o->conf_dir);
    overlay(s->state_dir, o->state_dir);
    overlay(s->run_dir, o->run_dir);
}

static void open_log_sink(struct master *m)
{
    int fd = sink_open(m->settings.access_log_path);
    if (fd < 0) {
        log_error(&m->log, "access log %s: %s%s", m->settings.access_log_path, strerror(errno),
                  m->log_fd >= 0 ? "; the one before stays" : "");
        return;
    }
    if (m->log_fd >= 0)
        close(m->log_fd);
    m->log_fd = fd;
    LIST_EACH(it, &m->supervisor.children)
        tell_log(CHILD_OF(it));
}

/* "127.0.0.1:9901", "[::1]:9901", ":9901" to the form of listen_want. */
static bool split_address(const char *text, char address[LISTEN_ADDRESS_MAX], uint64_t *port)
{
    struct str all = str_c(text);
    ptrdiff_t colon = str_rchr(all, ':');
    if (colon < 0 || !str_u64(str_skip(all, (size_t)colon + 1), port))
        return false;
    struct str host = str_trim(str_head(all, (size_t)colon), "[]");
    if (host.n >= LISTEN_ADDRESS_MAX)
        return false;
    memcpy(address, host.p, host.n);
    address[host.n] = '\0';
    return true;
}

/* A socket at the admin address, by the same code as every listener. errno in *error. */
static int open_admin_tcp(struct master *m, int *error)
{
    char address[LISTEN_ADDRESS_MAX];
    uint64_t port;
    struct listen_set one;
    if (!split_address(m->settings.admin_address, address, &port) || port > 65535) {
        *error = EINVAL;
        return -1;
    }
    listen_init(&one);
    if (m->admin.tcp >= 0) /* inherited: taken if it is the right one, else closed */
        listen_give(&one, m->admin.tcp, false);
    m->admin.tcp = -1;
    *error = listen_want(&one, IPC_BIND_ADMIN_TCP, address, (uint32_t)port, false);
    int fd = *error ? -1 : one.v[0].fd;
    if (fd >= 0)
        one.v[0].fd = -1;
    listen_fini(&one);
    return fd;
}

static void open_admin(struct master *m)
{
    struct admin_sockets *a = &m->admin;
    int error = 0;
    if (strcmp(a->address, m->settings.admin_address) != 0) {
        LIST_EACH(it, &m->supervisor.children)
            tell_listener_gone(CHILD_OF(it), IPC_BIND_ADMIN_TCP);
        if (a->address[0] && a->tcp >= 0) {
            close(a->tcp);
            a->tcp = -1;
            if (a->stored)
                notify_unstore(&m->notify, "admin-tcp");
            a->stored = false;
        }
        a->complained = false;
        snprintf(a->address, sizeof(a->address), "%s", m->settings.admin_address);
        if (a->address[0])
            a->tcp = open_admin_tcp(m, &error);
    } else if (a->tcp < 0 && a->address[0]) {
        a->tcp = open_admin_tcp(m, &error);
    }
    if (error && !a->complained)
        log_error(&m->log, "admin address %s: %s; it is tried again every %d s", a->address, strerror(error),
                  LISTEN_RETRY_MS / 1000);
    a->complained = error != 0;
    if (a->tcp >= 0 && !a->stored)
        notify_store(&m->notify, "admin-tcp", a->tcp);
    else if (a->tcp < 0 && a->stored)
        notify_unstore(&m->notify, "admin-tcp");
    a->stored = a->tcp >= 0;
    if (a->un < 0) {
        struct buf path = {0};
        buf_addf(&path, "%s/" RUN_ADMIN_SOCKET, m->settings.run_dir);
        gid_t group = m->identity.group == ID_STAY ? (gid_t)-1 : m->identity.group;
        a->un = listen_unix(buf_cstr(&path), 0660, group);
        if (a->un < 0)
            log_error(&m->log, "%s: %s; commands will not find this process", buf_cstr(&path), strerror(errno));
        buf_fini(&path);
    }
    LIST_EACH(it, &m->supervisor.children)
        if (CHILD_OF(it)->role->operators)
            tell_listeners(CHILD_OF(it));
}

/* Takes `fresh` over what is in force, as far as that is possible while serving. */
static void apply_settings(struct master *m, const struct settings *fresh)
{
    struct settings *s = &m->settings;
    struct buf names = {0};
    settings_not_live(s, fresh, &names);
    if (names.n && !str_eqc(buf_str(&names), m->not_live_said)) {
        log_warn(&m->log, "%s: a change takes effect at the next start", buf_cstr(&names));
        snprintf(m->not_live_said, sizeof(m->not_live_said), "%s", buf_cstr(&names));
    }
    buf_fini(&names);
    bool sink = strcmp(s->access_log_path, fresh->access_log_path) != 0;
    bool admin = strcmp(s->admin_address, fresh->admin_address) != 0;
    s->workers = fresh->workers;
    s->log_level = fresh->log_level;
    s->drain_timeout_ms = fresh->drain_timeout_ms;
    s->ticket_lifetime_s = fresh->ticket_lifetime_s;
    m->tickets_ms = 0;
    memcpy(s->access_log_path, fresh->access_log_path, sizeof(s->access_log_path));
    memcpy(s->admin_address, fresh->admin_address, sizeof(s->admin_address));
    m->log.level = (enum log_level)s->log_level;
    if (sink)
        open_log_sink(m);
    if (admin)
        open_admin(m);
    supervise_reconcile(m);
}

void master_settings(struct master *m, const char *text)
{
    struct settings *fresh = malloc(sizeof(*fresh));
    if (!fresh)
        return;
    settings_defaults(fresh);
    if (settings_parse(fresh, str_c(text)) == 0) {
        overlay_options(fresh, &m->options);
        char *real = realpath(fresh->run_dir, NULL); /* as take_directories has it */
        if (real && strlen(real) < SETTING_TEXT_MAX)
            strcpy(fresh->run_dir, real);
        free(real);
        apply_settings(m, fresh);
    } else {
        log_error(&m->log, "the compiler's settings make no sense; those before stay");
    }
    free(fresh);
}

/* ---- readiness ---- */

static bool role_serves(const struct master *m, enum board_role role)
{
    uint32_t wanted = role == ROLE_WORKER ? settings_workers(&m->settings) : 1, n = 0;
    LIST_EACH(it, &m->supervisor.children) {
        const struct child *c = CHILD_OF(it);
        n += c->role->role == role && c->state == CHILD_ACTIVE && c->active == m->reload.current.generation;
    }
    return n >= wanted;
}

static void say_ready(struct master *m)
{
    const struct reload *r = &m->reload;
    char text[320];
    if (r->failed)
        snprintf(text, sizeof(text), "generation %llu; the last change is not served: %.200s",
                 (unsigned long long)r->current.generation, r->note);
    else
        snprintf(text, sizeof(text), "generation %llu, %u objects, %u errors", (unsigned long long)r->current.generation,
                 r->current.objects, r->current.errors);
    notify_ready(&m->notify, text);
}

static void check_ready(struct master *m)
{
    bool patient = clock_ms() - m->began_ms < READY_ANYWAY_MS;
    if (m->was_ready || m->phase != MASTER_RUNNING || !m->reload.tried || m->reload.phase != RELOAD_IDLE ||
        !role_serves(m, ROLE_WORKER))
        return;
    if (patient && (!role_serves(m, ROLE_ADMIN) || !role_serves(m, ROLE_SCOUT)))
        return;
    m->was_ready = true;
    adopt_drain(m); /* before READY: nobody is to see two masters' workers afterwards */
    log_info(&m->log, "ready: generation %llu, %u workers, pid %d", (unsigned long long)m->reload.current.generation,
             settings_workers(&m->settings), (int)getpid());
    say_ready(m);
}

void master_reloaded(struct master *m)
{
    if (m->was_ready)
        say_ready(m);
    else
        check_ready(m);
}

/* ---- the end ---- */

static void leave_if_empty(struct master *m)
{
    if (m->phase == MASTER_LEAVING && supervise_none_left(m, ROLE_NONE) && adopt_none_left(m) &&
        compiler_none_left(m) && !m->saver)
        uv_stop(&m->loop);
}

static void answer_drain_order(struct master *m)
{
    if (!m->order_waits)
        return;
    LIST_EACH(it, &m->supervisor.children) {
        const struct child *c = CHILD_OF(it);
        if (c->role->traffic && c->state != CHILD_GONE && c->said != PROC_DRAINING && !c->link_closed)
            return;
    }
    m->order_waits = false;
    master_answer(m, m->order, 0, "{\"draining\":true}");
}

void master_children_changed(struct master *m)
{
    if (m->phase == MASTER_RUNNING) {
        check_ready(m);
        return;
    }
    answer_drain_order(m);
    if (m->phase == MASTER_DRAINING && supervise_none_left(m, ROLE_WORKER) && adopt_none_left(m)) {
        m->phase = MASTER_LEAVING;
        supervise_drain(m, ROLE_NONE, clock_ms());
    }
    leave_if_empty(m);
}

static void begin_end(struct master *m, const char *status)
{
    atomic_store(&board_head(m->board)->draining, 1);
    notify_stopping(&m->notify, status);
    m->supervisor.stopping = true;
    reload_abort(m);
    listen_fini(&m->listeners); /* the workers hold them until they have taken what waits there */
}

void master_drain(struct master *m)
{
    if (m->phase != MASTER_RUNNING)
        return;
    log_info(&m->log, "draining: requests that run have %llu ms to end", (unsigned long long)m->settings.drain_timeout_ms);
    m->phase = MASTER_DRAINING;
    begin_end(m, "draining");
    adopt_drain(m);
    supervise_drain(m, ROLE_WORKER, clock_ms() + m->settings.drain_timeout_ms);
    master_children_changed(m);
}

void master_stop_now(struct master *m)
{
    if (m->phase == MASTER_LEAVING)
        return;
    log_info(&m->log, "stopping at once");
    bool began = m->phase == MASTER_DRAINING;
    m->phase = MASTER_LEAVING;
    if (!began)
        begin_end(m, "stopping");
    m->settings.drain_timeout_ms = 0;
    adopt_drain(m);
    supervise_drain(m, ROLE_NONE, clock_ms());
    master_children_changed(m);
}

/* ---- orders ---- */

void master_answer(struct master *m, uint64_t id, int result, const char *text)
{
    LIST_EACH(it, &m->supervisor.children) {
        struct child *c = CHILD_OF(it);
        if (!c->role->operators || c->state == CHILD_GONE)
            continue;
        struct ipc_msg msg = {.type = IPC_REPLY, .u.as_REPLY = {.id = id, .result = result}};
        msg.text_n = GH_MIN(strlen(text), (size_t)IPC_MAX_TEXT);
        memcpy(msg.text, text, msg.text_n);
        link_send(&c->link, &msg);
    }
}

void master_ordered(struct master *m, struct child *c, const struct ipc_msg *msg)
{
    (void)c;
    uint64_t id = msg->u.as_REQUEST.id;
    switch (msg->u.as_REQUEST.verb) {
    case IPC_VERB_RELOAD:
        reload_order(m, id);
        break;
    case IPC_VERB_DRAIN:
        m->order = id;
        m->order_waits = true;
        master_drain(m);
        answer_drain_order(m);
        break;
    default:
        master_answer(m, id, GH_E_NOT_FOUND, "{\"error\":\"no such order\"}");
    }
}

/* ---- state ---- */

void master_save_state(struct master *m)
{
    struct buf text = {0};
    if (m->saver) {
        m->save_again = true;
        return;
    }
    m->save_again = false;
    settings_write(&m->settings, &text);
    m->saver = state_save(m->settings.state_dir, m->reload.generation, buf_str(&text), m->reload.current.state, &m->log);
    if (m->saver < 0) {
        log_error(&m->log, "no process could be made to save the state: %s", strerror(errno));
        m->saver = 0;
    }
    buf_fini(&text);
}

/* ---- signals ---- */

static void on_child_signal(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == m->saver) {
            m->saver = 0;
            if (m->save_again)
                master_save_state(m);
        } else if (!supervise_reaped(m, pid, status) && !compiler_reaped(m, pid, status)) {
            upgrade_reaped(m, pid, status); /* or a child of the program before this one */
        }
    }
    master_children_changed(m);
}

static void on_hup(struct master *m)
{
    reload_want(m, "SIGHUP");
}

static void on_interrupt(struct master *m)
{
    if (m->phase == MASTER_RUNNING)
        master_drain(m);
    else
        master_stop_now(m); /* Ctrl-C a second time */
}

static const struct {
    int number;
    void (*act)(struct master *m);
} SIGNALS[SIGNAL_COUNT] = {
    [SIGNAL_HUP] = {SIGHUP, on_hup},          [SIGNAL_TERM] = {SIGTERM, master_drain},
    [SIGNAL_INT] = {SIGINT, on_interrupt},    [SIGNAL_QUIT] = {SIGQUIT, master_stop_now},
    [SIGNAL_USR1] = {SIGUSR1, open_log_sink}, [SIGNAL_USR2] = {SIGUSR2, upgrade},
    [SIGNAL_CHLD] = {SIGCHLD, on_child_signal},
};

static void on_signal(uv_signal_t *h, int number)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        if (SIGNALS[i].number == number)
            SIGNALS[i].act(h->data);
}

/* ---- time and the watch ---- */

static void on_watch_timer(uv_timer_t *t);

static void on_watch_closed(uv_handle_t *h)
{
    free(h);
}

static void on_watch_poll(uv_poll_t *p, int status, int events);

/* inotify comes and goes with its limits. */
static void on_watch_closing(void *ctx)
{
    struct master *m = ctx;
    if (m->watch_poll)
        uv_close((uv_handle_t *)m->watch_poll, on_watch_closed);
    m->watch_poll = NULL;
}

static void rearm_watch(struct master *m)
{
    if (!m->watch_poll && m->watch.fd >= 0) {
        uv_poll_t *p = calloc(1, sizeof(*p));
        if (p && uv_poll_init(&m->loop, p, m->watch.fd) == 0) {
            p->data = m;
            uv_poll_start(p, UV_READABLE, on_watch_poll);
            m->watch_poll = p;
        } else {
            free(p);
        }
    }
    uint64_t now = clock_ms(), due = watch_deadline(&m->watch);
    uv_timer_start(&m->watch_timer, on_watch_timer, due > now ? due - now : 0, 0);
}

static void on_watch_poll(uv_poll_t *p, int status, int events)
{
    struct master *m = p->data;
    (void)status, (void)events;
    watch_read(&m->watch, clock_ms());
    rearm_watch(m);
}

static void on_watch_timer(uv_timer_t *t)
{
    struct master *m = t->data;
    if (watch_tick(&m->watch, clock_ms()))
        reload_want(m, "changed files");
    rearm_watch(m);
}

/* Every worker reads them from the board; nobody else is told. */
static void turn_tickets(struct master *m, uint64_t now_ms)
{
    if (now_ms < m->tickets_ms)
        return;
    m->tickets_ms = now_ms + TICKETS_LOOK_MS;
    if (board_tickets_rotate(board_tickets(m->board), clock_wall_us() / 1000000, m->settings.ticket_lifetime_s))
        log_debug(&m->log, "the key of session tickets was changed");
}

static void on_tick(uv_timer_t *t)
{
    struct master *m = t->data;
    uint64_t now = clock_ms();
    supervise_tick(m, now);
    reload_tick(m, now);
    adopt_tick(m, now);
    upgrade_tick(m, now);
    turn_tickets(m, now);
    notify_flush(&m->notify);
    check_ready(m);
    if (m->phase == MASTER_RUNNING && now >= m->listen_retry_ms) {
        m->listen_retry_ms = now + LISTEN_RETRY_MS;
        open_admin(m);
        if (m->reload.phase == RELOAD_IDLE && listen_retry(&m->listeners))
            reload_want(m, "an address became free");
    }
    rearm_watch(m);
}

static void on_watchdog(uv_timer_t *t)
{
    notify_watchdog(&((struct master *)t->data)->notify);
}

/* ---- the start ---- */

static const char HELP[] =
    "usage: gatehouse serve [--config FILE] [--conf-dir DIR] [--state-dir DIR] [--run-dir DIR]\n"
    "\n"
    "Runs the gateway in the foreground: the master, its workers, scout and admin.\n"
    "\n"
    "  --config FILE     process settings (default " DEFAULT_CONFIG ", if it exists)\n"
    "  --conf-dir DIR    where the objects are (default from the settings: " GH_SYSCONFDIR "/conf.d)\n"
    "  --state-dir DIR   where the last good state is kept (/var/lib/gatehouse)\n"
    "  --run-dir DIR     sockets and the pid file (/run/gatehouse)\n"
    "  --worker FILE     the worker program (for development)\n"
    "\n"
    "Signals: HUP reload now; TERM, INT finish what runs, then stop; QUIT stop at once; USR1 reopen the\n"
    "access log; USR2 replace this program in place, with the same sockets.\n";

static const struct option OPTIONS[] = {
    {"config", required_argument, NULL, 'c'},    {"conf-dir", required_argument, NULL, 'd'},
    {"state-dir", required_argument, NULL, 's'}, {"run-dir", required_argument, NULL, 'r'},
    {"worker", required_argument, NULL, 'w'},    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit status. */
static int parse_options(struct options *o, int argc, char **argv)
{
    int c;
    optind = 1;
    while ((c = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        switch (c) {
        case 'c': o->config = optarg; break;
        case 'd': o->conf_dir = optarg; break;
        case 's': o->state_dir = optarg; break;
        case 'r': o->run_dir = optarg; break;
        case 'w': o->worker = optarg; break;
        case 'h':
            fputs(HELP, stdout);
            return 0;
        default:
            fputs(HELP, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "gatehouse serve: '%s' is not understood\n%s", argv[optind], HELP);
        return 2;
    }
    return -1;
}

/* This program's path. After it was replaced by another file of that name the kernel says " (deleted)". */
static char *find_self(void)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return NULL;
    struct str path = str_of(self, (size_t)n);
    if (str_ends(path, STR(" (deleted)")))
        path.n -= strlen(" (deleted)");
    return strndup(path.p, path.n);
}

/* The worker program: named, beside this program (a build tree), or where it is installed. */
static char *find_worker(const char *option, const char *self)
{
    struct buf beside = {0};
    const char *slash = self ? strrchr(self, '/') : NULL;
    char *found = NULL;
    if (option)
        return realpath(option, NULL);
    if (slash)
        buf_addf(&beside, "%.*s/gatehouse-worker", (int)(slash - self), self);
    if (slash && access(buf_cstr(&beside), X_OK) == 0)
        found = strdup(buf_cstr(&beside));
    buf_fini(&beside);
    if (found)
        return found;
    return access(GH_LIBEXECDIR "/gatehouse-worker", X_OK) == 0 ? strdup(GH_LIBEXECDIR "/gatehouse-worker") : NULL;
}

/* The instance file, by a compiler child; when it has errors, the settings of the last good start, if there are any. */
static void read_settings(struct master *m)
{
    struct buf text = {0};
    struct identity nobody = {geteuid() == 0 ? NOBODY : ID_STAY, geteuid() == 0 ? NOBODY : ID_STAY};
    struct compiler_job job = {
        .config = m->config, .state_fd = -1, .only_settings = true, .identity = &nobody, .log = &m->log};
    int rc = compiler_read_settings(&job, &text);
    settings_defaults(&m->settings);
    if (rc == GH_E_FORMAT) {
        struct state_file f;
        buf_clear(&text);
        const char *dir = m->options.state_dir ? m->options.state_dir : m->settings.state_dir;
        if (state_read_file(&f, dir) == 0 && f.settings.n) {
            buf_adds(&text, buf_str(&f.settings));
            log_warn(&m->log, "%s has errors; the settings of the last good start are used", m->config);
            rc = 0;
        }
        state_file_fini(&f);
    }
    if (rc != 0)
        die("%s: %s", m->config ? m->config : "settings", rc == GH_E_FORMAT ? "has errors (above)" : err_text(rc));
    if (settings_parse(&m->settings, buf_str(&text)) != 0)
        die("the settings make no sense");
    overlay_options(&m->settings, &m->options);
    buf_fini(&text);
}

static void take_directories(struct master *m)
{
    struct settings *s = &m->settings;
    pid_t holder = 0;
    char *real = dir_make(s->run_dir, 0755) == 0 ? realpath(s->run_dir, NULL) : NULL;
    if (!real || strlen(real) >= SETTING_TEXT_MAX)
        die("run directory %s: %s", s->run_dir, strerror(errno));
    strcpy(s->run_dir, real); /* one spelling, however it is started: sockets are found by it */
    free(real);
    if (dir_make(s->state_dir, 0750) != 0)
        log_error(&m->log, "state directory %s: %s; a start after a bad edit would know no last good objects", s->state_dir,
                  strerror(errno));
    m->lock_fd = upgrade_lock_fd();
    if (m->lock_fd < 0)
        m->lock_fd = rundir_lock(s->run_dir, &holder);
    if (m->lock_fd == GH_E_EXISTS)
        die("another master (pid %d) serves with %s already; `gatehouse reload --run-dir %s` talks to it", (int)holder,
            s->run_dir, s->run_dir);
    if (m->lock_fd < 0)
        die("%s/" RUN_PID_FILE ": %s", s->run_dir, strerror(errno));
}

/* What was before: descriptors, orphans, the state on disk. The newest wins. */
static void inherit(struct master *m)
{
    struct images images;
    struct state_file f;
    images_init(&images);
    listen_init(&m->listeners);
    adopt_begin(m, &images);
    adopt_generation(m, &images);
    if (!m->board && board_make(&m->board, &m->board_fd) != 0)
        die("the board could not be made: %s", strerror(errno));
    struct board_head *h = board_head(m->board);
    turn_tickets(m, clock_ms()); /* before there is a worker */
    m->reload.generation = GH_MAX(images.generation, atomic_load(&h->generation));
    int rc = state_read_file(&f, m->settings.state_dir);
    if (rc != 0 && rc != GH_E_NOT_FOUND)
        log_warn(&m->log, "%s/" STATE_FILE ": %s; identities and last good objects begin anew", m->settings.state_dir,
                 rc == GH_E_SYSTEM ? strerror(errno) : err_text(rc));
    m->reload.generation = GH_MAX(m->reload.generation, f.generation);
    if (images.generation) {
        m->reload.current = images;
        m->stored_generation = images.generation;
    } else {
        m->reload.current.state = f.image_fd;
        f.image_fd = -1;
    }
    state_file_fini(&f);
    atomic_store(&h->draining, 0);
    if (!atomic_load(&h->started_wall_us))
        atomic_store(&h->started_wall_us, clock_wall_us());
}

static void start_loop(struct master *m)
{
    must(uv_loop_init(&m->loop) == 0);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        uv_signal_init(&m->loop, &m->signals[i]);
        m->signals[i].data = m;
        uv_signal_start(&m->signals[i], on_signal, SIGNALS[i].number);
    }
    uv_timer_init(&m->loop, &m->tick);
    uv_timer_init(&m->loop, &m->watch_timer);
    uv_timer_init(&m->loop, &m->watchdog);
    m->tick.data = m->watch_timer.data = m->watchdog.data = m;
    uv_timer_start(&m->tick, on_tick, TICK_MS, TICK_MS);
    if (m->notify.watchdog_ms)
        uv_timer_start(&m->watchdog, on_watchdog, 0, m->notify.watchdog_ms);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL); /* an exec in place blocks them until here */
}

static void start(struct master *m)
{
    log_init(&m->log, STDERR_FILENO, "master");
    m->config = m->options.config ? m->options.config : access(DEFAULT_CONFIG, F_OK) == 0 ? DEFAULT_CONFIG : NULL;
    if (m->options.config && access(m->options.config, R_OK) != 0)
        die("%s: %s", m->options.config, strerror(errno));
    m->program = find_self();
    m->worker_program = find_worker(m->options.worker, m->program);
    if (!m->worker_program || !m->program)
        die("the worker program was not found beside this one, nor at " GH_LIBEXECDIR "/gatehouse-worker");
    m->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (m->null_fd < 0)
        die("/dev/null: %s", strerror(errno));
    privilege_raise_nofile();
    read_settings(m);
    m->log.level = (enum log_level)m->settings.log_level;
    if (identity_of(&m->identity, m->settings.user, &m->log) != 0)
        die("there is no user '%s' (setting `user`)", m->settings.user);
    take_directories(m);
    notify_open(&m->notify);
    inherit(m);
    const char *log_path = m->settings.access_log_path, *slash = strrchr(log_path, '/');
    char log_dir[SETTING_TEXT_MAX] = "";
    if (slash)
        snprintf(log_dir, sizeof(log_dir), "%.*s", (int)(slash - log_path), log_path);
    privilege_limit((const char *const[]){m->settings.state_dir, m->settings.run_dir, log_dir, NULL}, &m->log);
    start_loop(m);
    adopt_watch(m);
    open_log_sink(m);
    open_admin(m);
    m->listen_retry_ms = clock_ms() + LISTEN_RETRY_MS;
    if (watch_init(&m->watch, m->settings.conf_dir, m->config, load_name_is_config, &m->log, clock_ms()) != 0)
        die("out of memory");
    m->watch.closing = on_watch_closing;
    m->watch.closing_ctx = m;
    on_child_signal(m); /* children of the program before this one may have ended meanwhile */
    supervise_reconcile(m);
    reload_want(m, "start");
    rearm_watch(m);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void finish(struct master *m)
{
    struct buf path = {0};
    watch_fini(&m->watch);
    adopt_fini(m);
    uv_walk(&m->loop, close_handle, NULL);
    uv_run(&m->loop, UV_RUN_DEFAULT);
    uv_loop_close(&m->loop);
    buf_addf(&path, "%s/" RUN_ADMIN_SOCKET, m->settings.run_dir);
    unlink(buf_cstr(&path));
    buf_fini(&path);
    listen_fini(&m->listeners);
    reload_fini(&m->reload);
    notify_close(&m->notify);
    board_close(m->board);
    rundir_unlock(m->settings.run_dir, m->lock_fd);
    int fds[] = {m->board_fd, m->null_fd, m->log_fd, m->admin.tcp, m->admin.un};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(m->worker_program);
    free(m->program);
    log_info(&m->log, "stopped");
}

int cmd_serve(int argc, char **argv)
{
    struct master *m = calloc(1, sizeof(*m)); /* too large for a stack */
    if (!m)
        die("out of memory");
    int status = parse_options(&m->options, argc, argv);
    if (status < 0) {
        m->argv = argv;
        m->board_fd = m->lock_fd = m->null_fd = m->log_fd = m->admin.tcp = m->admin.un = -1;
        m->began_ms = clock_ms();
        list_init(&m->orphans);
        supervise_init(&m->supervisor);
        reload_init(&m->reload);
        start(m);
        uv_run(&m->loop, UV_RUN_DEFAULT);
        finish(m);
        status = 0;
    }
    free(m);
    return status;
}
