#include "master/master.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/snap/snap.h"
#include "shared/tls/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* A process of the master before; owned by m->orphans. */
struct orphan {
    struct list node;
    struct master *m;
    struct link link;
    int fd;               /* before the loop has it; then -1 */
    int pidfd;
    pid_t pid;
    uint32_t row;         /* on our board, by the name of its socket; UINT32_MAX = on another board */
    uint64_t generation;
    uint32_t n_listeners, n_got;
    bool linked, introduced, told;
    uint64_t reach_ms;    /* not linked: when to try again */
    uint64_t kill_ms;
    char name[32];        /* of its socket in the run directory */
};
#define ORPHAN_OF(it) LIST_ITEM(it, struct orphan, node)

/* ---- the store ---- */

static void listener_name(char name[LISTEN_NAME_MAX], const struct listener *l)
{
    snprintf(name, LISTEN_NAME_MAX, "bind-%016llx", (unsigned long long)l->bind_id);
}

static void image_name(char name[LISTEN_NAME_MAX], const char *what, uint64_t generation)
{
    snprintf(name, LISTEN_NAME_MAX, "%s-%llu", what, (unsigned long long)generation);
}

static void store_images(struct master *m)
{
    const struct images *im = &m->reload.current;
    const struct { const char *word; int fd; } parts[] = {
        {"snapshot", im->snapshot}, {"status", im->status}, {"state", im->state}, {"keys", im->keys}};
    char name[LISTEN_NAME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        image_name(name, parts[i].word, im->generation);
        notify_store(&m->notify, name, parts[i].fd);
    }
    for (size_t i = 0; m->stored_generation && i < ARRAY_LEN(parts); i++) {
        image_name(name, parts[i].word, m->stored_generation);
        notify_unstore(&m->notify, name);
    }
    m->stored_generation = im->generation;
}

void adopt_store(struct master *m)
{
    char name[LISTEN_NAME_MAX];
    if (!m->notify.has_store)
        return;
    if (!m->board_stored)
        notify_store(&m->notify, "board", m->board_fd);
    m->board_stored = true;
    for (size_t i = 0; i < m->listeners.n; i++) {
        struct listener *l = &m->listeners.v[i];
        if (l->fd < 0 || l->stored || l->keep) /* a unit's sockets are systemd's already */
            continue;
        listener_name(name, l);
        notify_store(&m->notify, name, l->fd);
        l->stored = true;
    }
    if (m->reload.current.snapshot >= 0 && m->stored_generation != m->reload.current.generation)
        store_images(m);
}

void adopt_unstore_listener(struct master *m, const struct listener *l)
{
    char name[LISTEN_NAME_MAX];
    if (!l->stored)
        return;
    listener_name(name, l);
    notify_unstore(&m->notify, name);
}

/* ---- LISTEN_FDS ---- */

static void take_board(struct master *m, int fd)
{
    struct board *b;
    if (!m->board && board_open(&b, fd) == 0) {
        m->board = b;
        m->board_fd = fd;
        return;
    }
    close(fd);
}

/* "state-12": which image, of which generation. */
static int *image_place(struct images *im, struct str name, uint64_t *generation)
{
    ptrdiff_t dash = str_chr(name, '-');
    if (dash < 0 || !str_u64(str_skip(name, (size_t)dash + 1), generation) || !*generation)
        return NULL;
    struct str word = str_head(name, (size_t)dash);
    return str_eqc(word, "snapshot") ? &im->snapshot
           : str_eqc(word, "status") ? &im->status
           : str_eqc(word, "state")  ? &im->state
           : str_eqc(word, "keys")   ? &im->keys
                                     : NULL;
}

/* The newest generation wins; the store may hold two when the master died between storing and removing. */
static bool take_image(struct images *im, struct str name, int fd)
{
    uint64_t generation = 0;
    int *place = image_place(im, name, &generation);
    if (!place)
        return false;
    if (generation > im->generation) {
        images_close(im);
        im->generation = generation;
    }
    if (generation == im->generation && *place < 0 && sealed_size(fd, SNAPSHOT_MAX))
        *place = fd;
    else
        close(fd);
    return true;
}

static void take_given(struct master *m, struct images *im, struct str name, int fd)
{
    if (str_eqc(name, "board"))
        take_board(m, fd);
    else if (str_eqc(name, "admin-tcp") && m->admin.tcp < 0)
        m->admin.tcp = fd;
    else if (take_image(im, name, fd))
        return;
    else if (listen_give(&m->listeners, fd, !str_starts(name, STR("bind"))) == GH_E_FORMAT)
        log_warn(&m->log, "descriptor '" STR_FMT "' is no listening TCP socket and no bound UDP one; it was closed", STR_ARG(name));
}

/* The sockets of an inherited generation, so that new workers have them before the first load. */
static void want_binds(struct master *m, const struct snap *s)
{
    char address[LISTEN_ADDRESS_MAX];
    listen_begin(&m->listeners);
    m->listeners.spread = settings_workers(&m->settings);
    for (uint32_t i = 0; i < s->n[SNAP_BINDS]; i++) {
        const struct snap_bind *b = &s->BINDS[i];
        struct str text = snap_text(s, b->address);
        if (text.n >= sizeof(address))
            continue;
        memcpy(address, text.p, text.n);
        address[text.n] = '\0';
        int err = listen_want(&m->listeners, b->id, address, b->port, b->flags & SNAP_BIND_DATAGRAM);
        if (err)
            log_warn(&m->log, "%s:%u: %s", address[0] ? address : "*", b->port, strerror(err));
    }
    listen_commit(&m->listeners, NULL, NULL);
}

/* All four images, or nothing: of our format, and of the generation that their names say. Without its keys a
 * generation can't be served, so that a new one has to be made before workers begin. */
static bool judge_images(const struct images *im, struct snap **s)
{
    uint64_t keys = 0;
    if (im->snapshot < 0 || im->status < 0 || im->state < 0 || im->keys < 0 || keys_peek(im->keys, &keys) != 0 ||
        keys != im->generation || snap_open(s, im->snapshot, NULL) != 0)
        return false;
    if ((*s)->head->generation == im->generation)
        return true;
    snap_drop(*s);
    return false;
}

void adopt_generation(struct master *m, struct images *im)
{
    struct snap *s;
    if (!im->generation)
        return;
    if (!judge_images(im, &s)) {
        log_warn(&m->log, "the generation that was left for us is not complete, or of another format");
        images_close(im);
        return;
    }
    im->content_hash = s->head->content_hash;
    want_binds(m, s);
    snap_drop(s);
}

struct given {
    struct master *m;
    struct images *images;
    int n;
};

static void take_one(void *ctx, struct str name, int fd)
{
    struct given *g = ctx;
    g->n++;
    take_given(g->m, g->images, name, fd);
}

static void take_descriptors(struct master *m, struct images *im)
{
    struct given g = {m, im, 0};
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < n; i++) {
        take_one(&g, names ? str_c(names[i]) : STR("unknown"), SD_LISTEN_FDS_START + i);
        free(names ? names[i] : NULL);
    }
    free(names);
    upgrade_inherited(take_one, &g);
    if (g.n > 0)
        log_info(&m->log, "%d descriptors were given: %zu listening sockets%s%s", g.n, m->listeners.n_given,
                 m->board ? ", the board" : "", im->generation ? ", a generation" : "");
}

/* ---- orphans at the start ---- */

/* Is a socket bound at `path` still open in some process? A file whose process is gone is not in this list. */
static bool is_alive(const char *path)
{
    char line[512];
    size_t n = strlen(path);
    bool found = false;
    FILE *f = fopen("/proc/self/net/unix", "re");
    while (f && !found && fgets(line, sizeof(line), f)) {
        size_t len = strcspn(line, "\n");
        found = len > n && line[len - n - 1] == ' ' && memcmp(line + len - n, path, n) == 0;
    }
    if (f)
        fclose(f);
    return found || !f;
}

static bool socket_path(const struct orphan *o, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    return (size_t)snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", o->m->settings.run_dir, o->name) <
           sizeof(a->sun_path);
}

static bool is_ours(const struct master *m, int fd, pid_t *pid)
{
    struct ucred u;
    socklen_t n = sizeof(u);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) != 0)
        return false;
    *pid = u.pid;
    return u.uid == (m->identity.user == ID_STAY ? geteuid() : m->identity.user);
}

enum reach { REACHED, NOT_YET, NOBODY_THERE };

/* A process listens only once it has seen its master's end, which may take it a moment. */
static enum reach reach(struct orphan *o)
{
    struct sockaddr_un a;
    int fd = socket_path(o, &a) ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd < 0)
        return NOBODY_THERE;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        bool may_come = errno == ECONNREFUSED && is_alive(a.sun_path);
        close(fd);
        if (!may_come)
            unlink(a.sun_path);
        return may_come ? NOT_YET : NOBODY_THERE;
    }
    if (!is_ours(o->m, fd, &o->pid)) {
        log_warn(&o->m->log, "%s: not a process of ours; passed over", a.sun_path);
        close(fd);
        return NOBODY_THERE;
    }
    o->fd = fd;
    o->pidfd = (int)syscall(SYS_pidfd_open, o->pid, 0);
    return REACHED;
}

static void orphan_free(struct orphan *o);

static void find_orphans(struct master *m)
{
    DIR *d = opendir(m->settings.run_dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        struct str row = str_c(e->d_name);
        uint64_t n;
        if (!str_starts(row, STR("worker-")) || !str_ends(row, STR(".sock")) || row.n >= sizeof(((struct orphan *)0)->name))
            continue;
        row = str_head(str_skip(row, strlen("worker-")), row.n - strlen("worker-.sock"));
        struct orphan *o = str_u64(row, &n) && n < BOARD_MAX_PROC ? calloc(1, sizeof(*o)) : NULL;
        if (!o)
            continue;
        o->m = m;
        o->fd = o->pidfd = -1;
        o->row = (uint32_t)n;
        o->kill_ms = UINT64_MAX;
        memcpy(o->name, e->d_name, strlen(e->d_name) + 1); /* it fits: see above */
        list_push(&m->orphans, &o->node);
    }
    if (d)
        closedir(d);
}

/* Connects to all that can be had. True while some may still come. */
static bool reach_orphans(struct master *m)
{
    bool more = false;
    LIST_EACH(it, &m->orphans) {
        struct orphan *o = ORPHAN_OF(it);
        enum reach r = o->fd >= 0 ? REACHED : reach(o);
        more |= r == NOT_YET;
        if (r == NOT_YET && m->board) /* nobody serves there now; it will say so itself when it can */
            atomic_store(&board_proc(m->board, o->row)->state, PROC_DRAINING);
        if (r == NOBODY_THERE)
            orphan_free(o);
    }
    return more;
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void take_orphan(struct orphan *o, struct ipc_msg *msg)
{
    struct master *m = o->m;
    const struct ipc_orphan *w = &msg->u.as_ORPHAN;
    int fd = msg->fds[0];
    msg->fds[0] = -1;
    o->introduced = true;
    o->generation = w->generation;
    o->n_listeners = GH_MIN(w->n_listeners, (uint32_t)LISTEN_MAX);
    if (m->board && same_file(fd, m->board_fd)) {
        close(fd);
    } else {
        bool first = !m->board;
        take_board(m, fd);
        if (!first || !m->board)
            o->row = UINT32_MAX; /* of a board that is not ours */
    }
}

static void take_listener(struct orphan *o, struct ipc_msg *msg)
{
    struct master *m = o->m;
    int fd = msg->fds[0];
    msg->fds[0] = -1;
    o->n_got++;
    uint64_t id = msg->u.as_LISTENER.bind_id;
    if (id == IPC_BIND_ADMIN_UNIX) {
        close(fd); /* it is replaced by name */
    } else if (id == IPC_BIND_ADMIN_TCP) {
        if (m->admin.tcp < 0)
            m->admin.tcp = fd;
        else
            close(fd);
    } else {
        listen_give(&m->listeners, fd, false);
    }
}

/* One message of an orphan; false: it talks rubbish. */
static bool orphan_says(struct orphan *o, struct ipc_msg *msg)
{
    if (msg->type == IPC_ORPHAN && !o->introduced)
        take_orphan(o, msg);
    else if (msg->type == IPC_LISTENER && o->introduced && o->n_got < o->n_listeners)
        take_listener(o, msg);
    else if (msg->type != IPC_STATE)
        return false;
    return true;
}

static void orphan_free(struct orphan *o)
{
    list_del(&o->node);
    if (o->fd >= 0)
        close(o->fd);
    if (o->pidfd >= 0)
        close(o->pidfd);
    free(o);
}

/* Everything that is there to be read now. False when it is of no use any more. */
static bool orphan_read(struct orphan *o)
{
    struct ipc_msg msg;
    int rc;
    while ((rc = ipc_recv(o->fd, &msg)) > 0) {
        bool good = orphan_says(o, &msg);
        for (size_t i = 0; i < msg.n_fds; i++)
            if (msg.fds[i] >= 0)
                close(msg.fds[i]);
        if (!good)
            return false;
    }
    return rc == 0;
}

static bool is_complete(const struct orphan *o)
{
    return o->introduced && o->n_got == o->n_listeners;
}

#define REACH_MS 10 /* between attempts to reach those who do not listen yet */

/* The sockets are needed before the first load binds; so this waits, for a moment. */
static void hear_orphans(struct master *m)
{
    uint64_t until = clock_ms() + ADOPT_WAIT_MS;
    for (;;) {
        bool more = reach_orphans(m);
        struct pollfd p[BOARD_MAX_PROC];
        struct orphan *who[BOARD_MAX_PROC];
        nfds_t n = 0;
        uint64_t now = clock_ms();
        LIST_EACH(it, &m->orphans) {
            if (n < BOARD_MAX_PROC && ORPHAN_OF(it)->fd >= 0 && !is_complete(ORPHAN_OF(it))) {
                who[n] = ORPHAN_OF(it);
                p[n++] = (struct pollfd){.fd = ORPHAN_OF(it)->fd, .events = POLLIN};
            }
        }
        if ((!n && !more) || now >= until)
            return;
        if (poll(p, n, more ? REACH_MS : (int)(until - now)) < 0)
            return;
        for (nfds_t i = 0; i < n; i++)
            if (p[i].revents && !orphan_read(who[i]))
                orphan_free(who[i]);
    }
}

static size_t count(const struct master *m)
{
    size_t n = 0;
    LIST_EACH(it, &m->orphans)
        n++;
    return n;
}

void adopt_begin(struct master *m, struct images *images)
{
    list_init(&m->orphans);
    take_descriptors(m, images);
    find_orphans(m);
    hear_orphans(m);
    if (!list_empty(&m->orphans))
        log_info(&m->log, "%zu processes of the master before are still there; %zu listening sockets taken over",
                 count(m), m->listeners.n_given);
}

/* ---- orphans on the loop ---- */

static void on_link_closed(struct link *l)
{
    struct orphan *o = l->owner;
    struct master *m = o->m;
    if (o->row < BOARD_MAX_PROC)
        board_row_reset(m->board, o->row);
    if (o->told) {
        struct buf path = {0};
        buf_addf(&path, "%s/%s", m->settings.run_dir, o->name);
        if (o->row < BOARD_MAX_PROC) /* else a child of ours may have taken the name */
            unlink(buf_cstr(&path));
        buf_fini(&path);
    }
    orphan_free(o);
    master_children_changed(m);
}

static void on_link_end(struct link *l, int why)
{
    struct orphan *o = l->owner;
    if (why != GH_E_CLOSED)
        log_warn(&o->m->log, "process %d of the master before: its link: %s", (int)o->pid, err_text(why));
    else
        log_debug(&o->m->log, "process %d of the master before is gone", (int)o->pid);
    link_close(l);
}

static void on_message(struct link *l, struct ipc_msg *msg)
{
    struct orphan *o = l->owner;
    if (orphan_says(o, msg))
        return;
    log_warn(&o->m->log, "process %d of the master before talks rubbish", (int)o->pid);
    link_close(l);
}

static void watch_orphan(struct orphan *o)
{
    int fd = o->fd;
    o->fd = -1;
    o->linked = true;
    o->link = (struct link){.owner = o, .on_message = on_message, .on_end = on_link_end, .on_closed = on_link_closed};
    if (link_open(&o->link, &o->m->loop, fd) != 0)
        orphan_free(o);
}

void adopt_watch(struct master *m)
{
    LIST_EACH(it, &m->orphans)
        if (ORPHAN_OF(it)->fd >= 0)
            watch_orphan(ORPHAN_OF(it));
}

static void tell_drain(struct orphan *o, uint64_t deadline_ms)
{
    struct ipc_msg msg = {.type = IPC_DRAIN, .u.as_DRAIN = {.deadline_ms = deadline_ms}};
    if (!o->linked || o->told)
        return;
    o->told = true;
    o->kill_ms = deadline_ms + CHILD_LATE_MS;
    if (o->row < BOARD_MAX_PROC) /* it will say so itself in a moment; nobody is to count it until then */
        atomic_store(&board_proc(o->m->board, o->row)->state, PROC_DRAINING);
    link_send(&o->link, &msg);
}

void adopt_drain(struct master *m)
{
    uint64_t deadline = clock_ms() + m->settings.drain_timeout_ms;
    LIST_EACH(it, &m->orphans)
        tell_drain(ORPHAN_OF(it), deadline);
    listen_drop_given(&m->listeners);
}

/* It was stopped or busy when we came: perhaps it listens by now. */
static void reach_again(struct orphan *o, uint64_t now_ms)
{
    if (now_ms < o->reach_ms)
        return;
    o->reach_ms = now_ms + ADOPT_AGAIN_MS;
    enum reach r = reach(o);
    if (r == NOBODY_THERE)
        orphan_free(o);
    else if (r == REACHED)
        watch_orphan(o);
}

static void end_late(struct orphan *o)
{
    log_warn(&o->m->log, "process %d of the master before did not end in time", (int)o->pid);
    if (o->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, o->pidfd, SIGKILL, NULL, 0);
    o->kill_ms = UINT64_MAX;
    link_close(&o->link);
}

void adopt_tick(struct master *m, uint64_t now_ms)
{
    LIST_EACH(it, &m->orphans) {
        struct orphan *o = ORPHAN_OF(it);
        if (!o->linked)
            reach_again(o, now_ms);
        else if (now_ms >= o->kill_ms)
            end_late(o);
        else if (!o->told && o->introduced && m->was_ready)
            tell_drain(o, now_ms + m->settings.drain_timeout_ms); /* one that came late */
    }
}

bool adopt_none_left(const struct master *m)
{
    LIST_EACH(it, &m->orphans)
        if (ORPHAN_OF(it)->linked)
            return false;
    return true;
}

void adopt_fini(struct master *m)
{
    LIST_EACH(it, &m->orphans) {
        struct orphan *o = ORPHAN_OF(it);
        if (o->linked)
            link_close(&o->link); /* what was not told to drain waits for the next master */
        else
            orphan_free(o);
    }
}

bool adopt_has_row(const struct master *m, uint32_t row)
{
    LIST_EACH(it, &m->orphans)
        if (ORPHAN_OF(it)->row == row)
            return true;
    return false;
}
