/*
 * link.c - messages from and to the master, and what happens when it is gone.
 *
 *            link ends                    a new master connects
 *   LINKED ─────────────► ORPHAN ────────────────────────────► RESCUED
 *                           ▲  serves on; listens on the          │ tells it what it has; takes DRAIN only
 *                           │  rescue socket                      │
 *                           └─────────────────────────────────────┘ link ends before DRAIN
 *
 * Rules
 *  1. A message that is broken, or that the role is not told, ends the process while LINKED: master and child
 *     do not agree about who it is. While RESCUED it ends only the connection: this process has clients.
 *  2. Sending never waits. What the socket does not take is kept, with duplicates of its descriptors, up to
 *     OUT_MAX messages; a master that does not read at all would kill us for silence anyway.
 *  3. A process that drains, and a spare, do not become orphans: the one goes on draining, the other ends. When the
 *     master died while it was stopping (the board says so), nobody becomes one: all drain.
 */
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX  (BOARD_MAX_SLOTS + 64)
#define IN_BURST 64 /* messages per turn of the loop */

struct link_message {
    struct link_message *next;
    struct ipc_msg m;
};

static void link_lost(struct worker *w);
static void on_link(uv_poll_t *p, int status, int events);

static void on_closed(uv_handle_t *h)
{
    free(h);
}

/* A poll handle of its own: closing it takes a turn of the loop, and a link may be replaced before that. */
static uv_poll_t *poll_new(struct worker *w, int fd)
{
    uv_poll_t *p = malloc(sizeof(*p));
    if (!p || uv_poll_init(&w->loop, p, fd) != 0) {
        free(p);
        return NULL;
    }
    p->data = w;
    return p;
}

static void poll_close(uv_poll_t **p)
{
    if (*p)
        uv_close((uv_handle_t *)*p, on_closed);
    *p = NULL;
}

/* ---- sending ---- */

static void drop_first(struct link *l)
{
    struct link_message *first = l->out_first;
    l->out_first = first->next;
    if (!l->out_first)
        l->out_last = &l->out_first;
    l->n_out--;
    ipc_msg_close_fds(&first->m);
    free(first);
}

static bool keep(struct link *l, const struct ipc_msg *m)
{
    struct link_message *k = l->n_out < OUT_MAX ? malloc(sizeof(*k)) : NULL;
    if (!k)
        return false;
    k->m = *m;
    k->m.n_fds = 0;
    k->next = NULL;
    for (size_t i = 0; i < m->n_fds; i++) {
        int fd = fcntl(m->fds[i], F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            ipc_msg_close_fds(&k->m);
            free(k);
            return false;
        }
        k->m.fds[k->m.n_fds++] = fd;
    }
    *l->out_last = k;
    l->out_last = &k->next;
    l->n_out++;
    return true;
}

static void watch(struct worker *w)
{
    int events = UV_READABLE | (w->link.out_first ? UV_WRITABLE : 0);
    if (w->link.poll)
        uv_poll_start(w->link.poll, events, on_link);
}

void link_send(struct worker *w, const struct ipc_msg *m)
{
    struct link *l = &w->link;
    if (l->fd < 0)
        return;
    int rc = l->out_first ? GH_E_AGAIN : ipc_send(l->fd, m);
    if (rc == GH_E_AGAIN && !keep(l, m)) {
        log_error(&w->log, "cannot tell the master %s: it does not read, or memory is short", ipc_type_name(m->type));
        worker_exit(w, 1);
    } else if (rc == GH_E_AGAIN) {
        watch(w);
    } else if (rc < 0 && rc != GH_E_CLOSED) { /* CLOSED: reading says so too */
        log_error(&w->log, "cannot tell the master %s: %s", ipc_type_name(m->type), strerror(errno));
        worker_exit(w, 1);
    }
}

static void flush_out(struct worker *w)
{
    struct link *l = &w->link;
    while (l->out_first) {
        if (ipc_send(l->fd, &l->out_first->m) == GH_E_AGAIN)
            break;
        drop_first(l);
    }
    watch(w);
}

void link_send_state(struct worker *w, enum board_state state)
{
    struct ipc_msg m = {.type = IPC_STATE, .u.as_STATE = {.state = (uint32_t)state}};
    if (!w->link.rescued)
        link_send(w, &m);
}

void link_send_ack(struct worker *w, uint64_t generation, int result, struct str why)
{
    struct ipc_msg m = {.type = IPC_ACK, .u.as_ACK = {.generation = generation, .result = result}};
    why = str_head(why, IPC_MAX_TEXT);
    if (why.n)
        memcpy(m.text, why.p, why.n);
    m.text_n = why.n;
    link_send(w, &m);
}

void link_send_active(struct worker *w, uint64_t generation)
{
    struct ipc_msg m = {.type = IPC_ACTIVE, .u.as_ACTIVE = {.generation = generation}};
    link_send(w, &m);
}

/* ---- listening sockets, for a new master ---- */

static void forget_one(struct link *l, size_t i)
{
    free(l->listeners[i].address);
    close(l->listeners[i].fd);
    l->listeners[i] = l->listeners[--l->n_listeners];
}

bool link_listener_keep(struct worker *w, const struct ipc_msg *m)
{
    struct link *l = &w->link;
    if (l->n_listeners == l->cap_listeners) {
        size_t cap = l->cap_listeners ? 2 * l->cap_listeners : 8;
        struct worker_listener *v = realloc(l->listeners, cap * sizeof(*v));
        if (!v)
            return false;
        l->listeners = v;
        l->cap_listeners = cap;
    }
    struct worker_listener n = {
        .bind_id = m->u.as_LISTENER.bind_id, .port = m->u.as_LISTENER.port,
        .datagram = m->u.as_LISTENER.datagram, .family = m->u.as_LISTENER.family,
        .address = strndup(m->text, m->text_n), .fd = fcntl(m->fds[0], F_DUPFD_CLOEXEC, 0),
    };
    if (!n.address || n.fd < 0) {
        free(n.address);
        if (n.fd >= 0)
            close(n.fd);
        return false;
    }
    for (size_t i = l->n_listeners; i-- > 0;) /* of UDP there may be several */
        if (l->listeners[i].bind_id == n.bind_id && l->listeners[i].datagram == n.datagram)
            forget_one(l, i);
    l->listeners[l->n_listeners++] = n;
    return true;
}

void link_listener_forget(struct worker *w, uint64_t bind_id)
{
    for (size_t i = w->link.n_listeners; i-- > 0;)
        if (w->link.listeners[i].bind_id == bind_id)
            forget_one(&w->link, i);
}

void link_listeners_forget(struct worker *w)
{
    while (w->link.n_listeners)
        forget_one(&w->link, 0);
}

/* ---- receiving ---- */

static int take_rescue(struct worker *w, struct ipc_msg *m)
{
    if (w->link.rescue_fd >= 0)
        close(w->link.rescue_fd);
    w->link.rescue_fd = link_take_fd(m, 0);
    return 0;
}

static int take_promote(struct worker *w, struct ipc_msg *m)
{
    if (m->u.as_PROMOTE.row != w->hello.row)
        return GH_E_FORMAT;
    if (w->state != PROC_SPARE)
        return 0;
    worker_set_state(w, PROC_ACTIVE);
    w->role->promoted(w);
    return 0;
}

static int take_drain(struct worker *w, struct ipc_msg *m)
{
    worker_drain(w, m->u.as_DRAIN.deadline_ms);
    return 0;
}

static const struct role_message COMMON[] = {
    {IPC_RESCUE, take_rescue}, {IPC_PROMOTE, take_promote}, {IPC_DRAIN, take_drain},
};

static role_message_fn *handler_of(const struct worker *w, enum ipc_type type)
{
    if (w->link.rescued) /* rule 1 */
        return type == IPC_DRAIN ? take_drain : NULL;
    for (size_t i = 0; i < ARRAY_LEN(COMMON); i++)
        if (COMMON[i].type == type)
            return COMMON[i].fn;
    return role_handler(w->role, type);
}

/* Takes what has come. 0, or negative: the link is of no use any more. */
static int receive(struct worker *w)
{
    for (int i = 0; i < IN_BURST && w->link.fd >= 0; i++) {
        struct ipc_msg m;
        int rc = ipc_recv(w->link.fd, &m);
        if (rc <= 0)
            return rc;
        role_message_fn *fn = handler_of(w, m.type);
        rc = fn ? fn(w, &m) : GH_E_FORMAT;
        ipc_msg_close_fds(&m);
        if (rc < 0) {
            log_error(&w->log, "the master says %s, which makes no sense to the %s (%s)", ipc_type_name(m.type),
                      w->role->name, err_text(rc));
            return rc;
        }
    }
    return 0;
}

static void on_link(uv_poll_t *p, int status, int events)
{
    struct worker *w = p->data;
    if (events & UV_WRITABLE)
        flush_out(w);
    int rc = status < 0 ? GH_E_CLOSED : receive(w);
    if (rc == 0)
        return;
    if (rc == GH_E_CLOSED || rc == GH_E_SYSTEM || w->link.rescued)
        link_lost(w);
    else
        worker_exit(w, 1);
}

/* ---- orphans ---- */

static void link_open(struct worker *w, int fd)
{
    w->link.fd = fd;
    w->link.poll = poll_new(w, fd);
    if (!w->link.poll) {
        log_error(&w->log, "cannot watch the link to the master");
        worker_exit(w, 1);
        return;
    }
    watch(w);
}

static void tell_new_master(struct worker *w)
{
    struct link *l = &w->link;
    struct ipc_msg m = {.type = IPC_ORPHAN, .n_fds = 1, .fds = {IPC_FD_BOARD}};
    m.u.as_ORPHAN = (struct ipc_orphan){.role = w->hello.role, .row = w->hello.row,
                                        .n_listeners = (uint32_t)l->n_listeners,
                                        .generation = atomic_load(&w->me->generation)};
    link_send(w, &m);
    for (size_t i = 0; i < l->n_listeners; i++) {
        const struct worker_listener *k = &l->listeners[i];
        m = (struct ipc_msg){.type = IPC_LISTENER, .n_fds = 1, .fds = {k->fd}};
        m.u.as_LISTENER = (struct ipc_listener){.bind_id = k->bind_id, .port = k->port, .datagram = k->datagram,
                                                  .family = k->family};
        m.text_n = GH_MIN(strlen(k->address), (size_t)IPC_MAX_TEXT);
        memcpy(m.text, k->address, m.text_n);
        link_send(w, &m);
    }
}

static bool may_be_master(const struct worker *w, int fd)
{
    struct ucred u;
    socklen_t n = sizeof(u);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0 && (u.uid == 0 || u.uid == w->link.master_uid);
}

static void on_rescue(uv_poll_t *p, int status, int events)
{
    struct worker *w = p->data;
    (void)events;
    int fd = status < 0 ? -1 : accept4(w->link.rescue_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (!may_be_master(w, fd)) {
        log_warn(&w->log, "somebody else than a master connected to the rescue socket; refused");
        close(fd);
        return;
    }
    log_info(&w->log, "a new master takes over");
    uv_poll_stop(w->link.rescue_poll);
    w->link.rescued = true;
    w->orphan = false;
    link_open(w, fd);
    tell_new_master(w);
}

static void wait_for_rescue(struct worker *w)
{
    struct link *l = &w->link;
    if (l->rescue_fd < 0)
        return;
    if (!l->rescue_poll && (listen(l->rescue_fd, 4) != 0 || !(l->rescue_poll = poll_new(w, l->rescue_fd)))) {
        log_error(&w->log, "cannot wait for a new master: %s", strerror(errno));
        return;
    }
    uv_poll_start(l->rescue_poll, UV_READABLE, on_rescue);
}

static void link_lost(struct worker *w)
{
    struct link *l = &w->link;
    poll_close(&l->poll);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    while (l->out_first)
        drop_first(l);
    if (w->state == PROC_DRAINING) /* rule 3 */
        return;
    if (w->state != PROC_ACTIVE) {
        worker_exit(w, 0);
        return;
    }
    if (atomic_load(&board_head(w->board)->draining)) {
        worker_drain(w, clock_ms() + w->hello.drain_ms);
        return;
    }
    w->orphan = true;
    log_warn(&w->log, "the master is gone; generation %llu is served on until a new master or SIGTERM comes",
             (unsigned long long)atomic_load(&w->me->generation));
    wait_for_rescue(w);
}

/* ---- life ---- */

int link_start(struct worker *w)
{
    struct ucred u = {.uid = 0};
    socklen_t n = sizeof(u);
    getsockopt(IPC_FD_LINK, SOL_SOCKET, SO_PEERCRED, &u, &n);
    w->link.master_uid = u.uid;
    w->link.rescue_fd = -1;
    w->link.out_last = &w->link.out_first;
    link_open(w, IPC_FD_LINK);
    return w->link.poll ? 0 : GH_E_NOMEM;
}

void link_stop(struct worker *w)
{
    struct link *l = &w->link;
    poll_close(&l->poll);
    poll_close(&l->rescue_poll);
    while (l->out_first)
        drop_first(l);
    link_listeners_forget(w);
    free(l->listeners);
    if (l->fd >= 0)
        close(l->fd);
    if (l->rescue_fd >= 0)
        close(l->rescue_fd);
    l->fd = l->rescue_fd = -1;
}
