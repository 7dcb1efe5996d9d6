#include "master/link.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BATCH 64 /* then the others have their turn */

/* A message that waits, no longer than its text. */
struct link_out {
    struct list node;
    enum ipc_type type;
    union ipc_payload u;
    int fds[IPC_MAX_FDS]; /* duplicates */
    size_t n_fds, text_n;
    char text[];
};

static void on_poll(uv_poll_t *p, int status, int events);

/* ---- the queue ---- */

static void out_free(struct link_out *o)
{
    for (size_t i = 0; i < o->n_fds; i++)
        close(o->fds[i]);
    free(o);
}

static void drop_queue(struct link *l)
{
    LIST_EACH(it, &l->queue) {
        list_del(it);
        out_free(LIST_ITEM(it, struct link_out, node));
    }
    l->n_queue = 0;
}

static bool enqueue(struct link *l, const struct ipc_msg *m)
{
    struct link_out *o = l->n_queue < LINK_QUEUE_MAX ? malloc(sizeof(*o) + m->text_n) : NULL;
    if (!o)
        return false;
    o->type = m->type;
    o->u = m->u;
    o->text_n = m->text_n;
    memcpy(o->text, m->text, m->text_n);
    for (o->n_fds = 0; o->n_fds < m->n_fds; o->n_fds++) {
        int fd = fcntl(m->fds[o->n_fds], F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            out_free(o);
            return false;
        }
        o->fds[o->n_fds] = fd;
    }
    list_push(&l->queue, &o->node);
    l->n_queue++;
    return true;
}

/* Sends from the front. 0, GH_E_AGAIN, or what ended it. */
static int flush(struct link *l)
{
    LIST_EACH(it, &l->queue) {
        struct link_out *o = LIST_ITEM(it, struct link_out, node);
        struct ipc_msg m = {.type = o->type, .u = o->u, .text_n = o->text_n, .n_fds = o->n_fds};
        memcpy(m.text, o->text, o->text_n);
        memcpy(m.fds, o->fds, sizeof(m.fds));
        int rc = ipc_send(l->fd, &m);
        if (rc != 0)
            return rc;
        list_del(it);
        out_free(o);
        l->n_queue--;
    }
    return 0;
}

/* ---- the loop ---- */

static void watch_events(struct link *l)
{
    uv_poll_start(&l->poll, UV_READABLE | (l->n_queue ? UV_WRITABLE : 0), on_poll);
}

static void end(struct link *l, int why)
{
    if (!l->open || l->fd < 0)
        return;
    uv_poll_stop(&l->poll);
    close(l->fd);
    l->fd = -1;
    drop_queue(l);
    l->on_end(l, why);
}

static bool too_many(struct link *l)
{
    uint64_t now = clock_ms();
    if (now - l->window_ms >= 1000) {
        l->window_ms = now;
        l->n_window = 0;
    }
    return ++l->n_window > LINK_RATE_MAX;
}

static void receive(struct link *l)
{
    struct ipc_msg m;
    for (int i = 0; i < READ_BATCH && l->open && l->fd >= 0; i++) {
        int rc = ipc_recv(l->fd, &m);
        if (rc == 0)
            return;
        if (rc > 0 && too_many(l)) {
            ipc_msg_close_fds(&m);
            rc = GH_E_LIMIT;
        }
        if (rc < 0) {
            end(l, rc);
            return;
        }
        l->on_message(l, &m);
        for (size_t k = 0; k < m.n_fds; k++)
            if (m.fds[k] >= 0)
                close(m.fds[k]);
    }
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct link *l = p->data;
    if (status < 0)
        events = UV_READABLE; /* recvmsg says what it is */
    if (events & UV_WRITABLE) {
        int rc = flush(l);
        if (rc != 0 && rc != GH_E_AGAIN && rc != GH_E_CLOSED) { /* closed: there may be words left to read */
            end(l, rc);
            return;
        }
        if (rc == GH_E_CLOSED)
            drop_queue(l);
        watch_events(l);
    }
    if (events & UV_READABLE)
        receive(l);
}

/* ---- life ---- */

int link_open(struct link *l, uv_loop_t *loop, int fd)
{
    list_init(&l->queue);
    l->n_queue = 0;
    l->n_window = 0;
    l->window_ms = clock_ms();
    l->fd = fd;
    l->poll.data = l;
    if (uv_poll_init(loop, &l->poll, fd) != 0) {
        close(fd);
        l->fd = -1;
        l->open = false;
        return GH_E_SYSTEM;
    }
    l->open = true;
    watch_events(l);
    return 0;
}

void link_send(struct link *l, const struct ipc_msg *m)
{
    if (!l->open || l->fd < 0)
        return;
    if (!l->n_queue) {
        int rc = ipc_send(l->fd, m);
        if (rc != GH_E_AGAIN)
            return; /* sent; or it has ended, which the loop will find when it reads */
    }
    if (!enqueue(l, m)) { /* a child that reads nothing, or no memory: it can't be told what it must know */
        shutdown(l->fd, SHUT_RD);
        drop_queue(l);
    }
    watch_events(l);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct link *l = h->data;
    if (l->on_closed)
        l->on_closed(l);
}

void link_close(struct link *l)
{
    if (!l->open)
        return;
    l->open = false;
    if (l->fd >= 0) {
        flush(l);
        uv_poll_stop(&l->poll);
        close(l->fd);
        l->fd = -1;
    }
    drop_queue(l);
    uv_close((uv_handle_t *)&l->poll, on_handle_closed);
}
