#include "master/master.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/snap/snap.h"

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
    uint32_t row;         /* on our board; UINT32_MAX = on another one, or not said yet */
    uint32_t role;
    uint64_t generation;
    uint32_t n_listeners, n_got;
    bool introduced, told, gone;
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
        {"snapshot", im->snapshot}, {"status", im->status}, {"state", im->state}};
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
    else if (listen_give(&m->listeners, fd, !str_starts(name, STR("bind-"))) == GH_E_FORMAT)
        log_warn(&m->log, "descriptor '" STR_FMT "' is no listening TCP socket; it was closed", STR_ARG(name));
}

/* All three, or nothing: the snapshot's own head says what it is. */
static void judge_images(struct images *im)
{
    struct snap_header h;
    if (im->snapshot >= 0 && im->status >= 0 && im->state >= 0 &&
        pread(im->snapshot, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && h.magic == SNAP_MAGIC &&
        h.version == SNAP_VERSION && h.generation == im->generation) {
        im->content_hash = h.content_hash;
        return;
    }
    images_close(im);
}

static void take_listen_fds(struct master *m, struct images *im)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < n; i++) {
        take_given(m, im, names ? str_c(names[i]) : STR("unknown"), SD_LISTEN_FDS_START + i);
        free(names ? names[i] : NULL);
    }
    free(names);
    judge_images(im);
    if (n > 0)
        log_info(&m->log, "%d descriptors were given: %zu listening sockets%s%s", n, m->listeners.n_given,
                 m->board ? ", the board" : "", im->generation ? ", a generation" : "");
}

/* ---- orphans at the start ---- */

static int connect_to(const char *dir, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if ((size_t)snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name) >= sizeof(a.sun_path))
        return -1;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        close(fd);
        unlink(a.sun_path); /* nobody is behind it */
        return -1;
    }
    return fd;
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

static void find_orphan(struct master *m, const char *name)
{
    pid_t pid;
    int fd = connect_to(m->settings.run_dir, name);
    if (fd < 0)
        return;
    struct orphan *o = is_ours(m, fd, &pid) ? calloc(1, sizeof(*o)) : NULL;
    if (!o) {
        log_warn(&m->log, "%s/%s: not a worker of ours; passed over", m->settings.run_dir, name);
        close(fd);
        return;
    }
    o->m = m;
    o->fd = fd;
    o->pid = pid;
    o->row = UINT32_MAX;
    o->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    o->kill_ms = UINT64_MAX;
    snprintf(o->name, sizeof(o->name), "%.31s", name);
    list_push(&m->orphans, &o->node);
}

static void find_orphans(struct master *m)
{
    DIR *d = opendir(m->settings.run_dir);
    struct dirent *e;
    while (d && (e = readdir(d)))
        if (str_starts(str_c(e->d_name), STR("worker-")) && str_ends(str_c(e->d_name), STR(".sock")))
            find_orphan(m, e->d_name);
    if (d)
        closedir(d);
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
    o->role = w->role;
    o->generation = w->generation;
    o->n_listeners = GH_MIN(w->n_listeners, (uint32_t)LISTEN_MAX);
    if (m->board && same_file(fd, m->board_fd)) {
        close(fd);
        o->row = w->row;
    } else {
        bool first = !m->board;
        take_board(m, fd);
        o->row = first && m->board ? w->row : UINT32_MAX;
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

/* The sockets are needed before the first load binds; so this waits, for a moment. */
static void hear_orphans(struct master *m)
{
    uint64_t until = clock_ms() + ADOPT_WAIT_MS;
    for (;;) {
        struct pollfd p[BOARD_MAX_PROC];
        struct orphan *who[BOARD_MAX_PROC];
        nfds_t n = 0;
        uint64_t now = clock_ms();
        LIST_EACH(it, &m->orphans) {
            if (n < BOARD_MAX_PROC && !is_complete(ORPHAN_OF(it))) {
                who[n] = ORPHAN_OF(it);
                p[n++] = (struct pollfd){.fd = ORPHAN_OF(it)->fd, .events = POLLIN};
            }
        }
        if (!n || now >= until || poll(p, n, (int)(until - now)) <= 0)
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
    take_listen_fds(m, images);
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

void adopt_watch(struct master *m)
{
    LIST_EACH(it, &m->orphans) {
        struct orphan *o = ORPHAN_OF(it);
        int fd = o->fd;
        o->fd = -1;
        o->link = (struct link){.owner = o, .on_message = on_message, .on_end = on_link_end, .on_closed = on_link_closed};
        if (link_open(&o->link, &m->loop, fd) != 0)
            orphan_free(o);
    }
}

void adopt_drain(struct master *m)
{
    uint64_t now = clock_ms(), deadline = now + m->settings.drain_timeout_ms;
    LIST_EACH(it, &m->orphans) {
        struct orphan *o = ORPHAN_OF(it);
        if (o->told)
            continue;
        o->told = true;
        o->kill_ms = deadline + CHILD_LATE_MS;
        struct ipc_msg msg = {.type = IPC_DRAIN, .u.as_DRAIN = {.deadline_ms = deadline}};
        link_send(&o->link, &msg);
    }
    listen_drop_given(&m->listeners);
}

void adopt_tick(struct master *m, uint64_t now_ms)
{
    LIST_EACH(it, &m->orphans) {
        struct orphan *o = ORPHAN_OF(it);
        if (now_ms < o->kill_ms)
            continue;
        log_warn(&m->log, "process %d of the master before did not end in time", (int)o->pid);
        if (o->pidfd >= 0)
            syscall(SYS_pidfd_send_signal, o->pidfd, SIGKILL, NULL, 0);
        o->kill_ms = UINT64_MAX;
        link_close(&o->link);
    }
}

bool adopt_none_left(const struct master *m)
{
    return list_empty(&m->orphans);
}

void adopt_fini(struct master *m)
{
    LIST_EACH(it, &m->orphans)
        link_close(&ORPHAN_OF(it)->link); /* what was not told to drain waits for the next master */
}

bool adopt_has_row(const struct master *m, uint32_t row)
{
    LIST_EACH(it, &m->orphans)
        if (ORPHAN_OF(it)->row == row)
            return true;
    return false;
}
