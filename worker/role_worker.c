/*
 * role_worker.c - the process that serves traffic: messages of the master become calls of the dataplane.
 */
#include "shared/base/err.h"
#include "worker/proxy/access_log.h"
#include "worker/proxy/dataplane.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Debian's bundle, as it is when the process starts: afterwards nothing is opened any more. */
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

struct traffic {
    struct dataplane *data;
    struct access_log *access;
};

static int take_listener(struct worker *w, struct ipc_msg *m)
{
    struct traffic *t = w->role_state;
    if (!link_listener_keep(w, m))
        return GH_E_NOMEM;
    return dataplane_listener_add(t->data, m->u.as_LISTENER.bind_id, link_take_fd(m, 0), m->u.as_LISTENER.datagram != 0);
}

static int take_listener_gone(struct worker *w, struct ipc_msg *m)
{
    struct traffic *t = w->role_state;
    link_listener_forget(w, m->u.as_LISTENER_GONE.bind_id);
    dataplane_listener_remove(t->data, m->u.as_LISTENER_GONE.bind_id);
    return 0;
}

static int take_snapshot(struct worker *w, struct ipc_msg *m)
{
    struct traffic *t = w->role_state;
    struct buf why = {0};
    const struct ipc_snapshot *s = &m->u.as_SNAPSHOT;
    int rc = 0;
    if (w->link.n_listeners < s->n_listeners) {
        buf_addf(&why, "%zu of %u listening sockets were passed", w->link.n_listeners, s->n_listeners);
        rc = GH_E_NOT_FOUND;
    }
    rc = rc < 0 ? rc : dataplane_offer(t->data, m->fds[0], m->n_fds > 1 ? m->fds[1] : -1, &why);
    if (rc < 0) {
        board_add(&w->me->counters.snapshots_refused, 1);
        log_error(&w->log, "generation %llu refused: %s", (unsigned long long)s->generation, buf_cstr(&why));
    }
    link_send_ack(w, s->generation, rc, buf_str(&why));
    buf_fini(&why);
    return 0;
}

static int take_commit(struct worker *w, struct ipc_msg *m)
{
    struct traffic *t = w->role_state;
    uint64_t generation = m->u.as_COMMIT.generation;
    if (!dataplane_commit(t->data, generation))
        return GH_E_NOT_FOUND;
    worker_set_generation(w, generation);
    link_send_active(w, generation);
    return 0;
}

static int take_withdraw(struct worker *w, struct ipc_msg *m)
{
    struct traffic *t = w->role_state;
    dataplane_withdraw(t->data, m->u.as_WITHDRAW.generation);
    return 0;
}

static int take_log(struct worker *w, struct ipc_msg *m)
{
    struct traffic *t = w->role_state;
    if (t->access)
        access_log_set_fd(t->access, link_take_fd(m, 0));
    return 0;
}

static int start(struct worker *w, struct buf *why)
{
    struct traffic *t = calloc(1, sizeof(*t));
    struct buf format = {0};
    struct rlimit files = {1024, 1024};
    w->role_state = t;
    if (!t)
        return buf_addc(why, "out of memory"), GH_E_NOMEM;
    bool text = worker_setting(w, "access_log_format", &format);
    struct access_log_config ac = {.loop = &w->loop, .me = w->me, .log = &w->log, .json = !text,
                                   .format = buf_str(&format)};
    t->access = access_log_new(&ac);
    buf_fini(&format);
    if (!t->access)
        return buf_addc(why, "the access log: its format is not valid, or memory is short"), GH_E_FORMAT;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max; /* the soft limit is for programs that use select() */
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            getrlimit(RLIMIT_NOFILE, &files);
    }
    struct dataplane_config dc = {.loop = &w->loop, .board = w->board, .row = w->hello.row, .log = &w->log,
                                  .access = t->access, .fd_limit = (size_t)files.rlim_cur,
                                  .system_ca_fd = open(SYSTEM_CA, O_RDONLY | O_CLOEXEC)};
    t->data = dataplane_new(&dc);
    return t->data ? 0 : (buf_addc(why, "out of memory"), GH_E_NOMEM);
}

/* The traffic has a loop of its own around libuv's (worker/net/net.h). */
static void run(struct worker *w)
{
    struct traffic *t = w->role_state;
    dataplane_run(t->data);
}

static void quit(struct worker *w)
{
    struct traffic *t = w->role_state;
    if (t && t->data)
        dataplane_quit(t->data);
}

static void promoted(struct worker *w)
{
    struct traffic *t = w->role_state;
    dataplane_set_active(t->data, true);
}

static void drained(void *arg)
{
    worker_exit(arg, 0);
}

static void drain(struct worker *w, uint64_t deadline_ms)
{
    struct traffic *t = w->role_state;
    dataplane_drain(t->data, deadline_ms, drained, w);
}

static void stop(struct worker *w)
{
    struct traffic *t = w->role_state;
    if (!t)
        return;
    if (t->data)
        dataplane_free(t->data);
    access_log_free(t->access);
    free(t);
    w->role_state = NULL;
}

static const struct role_message MESSAGES[] = {
    {IPC_LISTENER, take_listener}, {IPC_LISTENER_GONE, take_listener_gone}, {IPC_SNAPSHOT, take_snapshot},
    {IPC_COMMIT, take_commit},     {IPC_WITHDRAW, take_withdraw},           {IPC_LOG, take_log},
};

const struct role ROLE_ROW_WORKER = {
    .id = ROLE_WORKER, .name = "worker", .sandbox = SANDBOX_WORKER,
    .messages = MESSAGES, .n_messages = ARRAY_LEN(MESSAGES),
    .start = start, .run = run, .quit = quit, .promoted = promoted, .drain = drain, .stop = stop,
};
