#include "master/master.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/ipc/text.h"
#include "shared/tls/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct compiler {
    struct list node; /* in reload.compilers, until it is freed */
    struct master *m;
    pid_t pid;
    struct link link;
    uint64_t deadline_ms;
    uint32_t n_binds;
    struct compiled out;
    char text[1024];
    struct watch_file outside[WATCH_FILES_MAX];
    size_t n_outside;
    bool made;         /* MADE has come */
    bool answered;     /* RESULT has come */
    bool cancelled;    /* nobody wants to hear of it */
    bool reported;
    bool reaped, link_closed;
    bool late;
};

void images_init(struct images *im)
{
    *im = (struct images){.snapshot = -1, .status = -1, .state = -1, .keys = -1};
}

void images_close(struct images *im)
{
    int fds[] = {im->snapshot, im->status, im->state, im->keys};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    images_init(im);
}

/* ---- the process ---- */

static pid_t fork_child(const struct compiler_job *job, int *link_fd)
{
    int pair[2];
    sigset_t all, old;
    if (ipc_pair(pair) != 0)
        return -1;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old); /* the child gives up our handlers before it lets signals in */
    pid_t pid = fork();
    if (pid == 0)
        compiler_child(pair[1], job);
    int err = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = err;
        return -1;
    }
    *link_fd = pair[0];
    return pid;
}

static void kill_group(pid_t pid)
{
    kill(-pid, SIGKILL); /* its own group, if it came that far */
    kill(pid, SIGKILL);
}

static void free_if_done(struct compiler *c)
{
    if (!c->reaped || !c->link_closed)
        return;
    images_close(&c->out.images);
    list_del(&c->node);
    while (c->n_outside)
        free(c->outside[--c->n_outside].path);
    free(c);
}

/* Tells reload.c how it ended, once. */
static void report(struct compiler *c)
{
    if (c->reported || c->cancelled)
        return;
    c->reported = true;
    c->out.text = c->text;
    c->out.outside = c->outside;
    c->out.n_outside = c->n_outside;
    struct compiled out = c->out;
    images_init(&c->out.images); /* they are the receiver's now */
    reload_compiled(c->m, &out);
}

static void fail(struct compiler *c, int result, const char *text)
{
    if (c->answered)
        return;
    c->out.result = result;
    snprintf(c->text, sizeof(c->text), "%s", text);
    images_close(&c->out.images);
    if (!c->reaped)
        kill_group(c->pid);
    report(c);
}

/* ---- its words ---- */

static bool take_bind(struct compiler *c, const struct ipc_msg *msg)
{
    if (++c->n_binds > LISTEN_MAX)
        return false;
    const struct ipc_bind *b = &msg->u.as_BIND;
    int err = c->cancelled ? ECANCELED : listen_want(&c->m->listeners, b->bind_id, msg->text, b->port, b->datagram != 0);
    struct ipc_msg answer = {.type = IPC_BOUND, .u.as_BOUND = {.bind_id = b->bind_id, .error = err}};
    link_send(&c->link, &answer);
    return true;
}

static bool take_settings(struct compiler *c, const struct ipc_msg *msg)
{
    if (!c->cancelled && msg->u.as_SETTINGS.n_errors == 0)
        master_settings(c->m, msg->text);
    return true;
}

static bool take_watch(struct compiler *c, const struct ipc_msg *msg)
{
    const struct ipc_watch *f = &msg->u.as_WATCH;
    if (c->answered || c->n_outside == WATCH_FILES_MAX || msg->text[0] != '/' || strlen(msg->text) != msg->text_n ||
        msg->text_n >= PATH_MAX)
        return false;
    char *path = strdup(msg->text);
    if (path)
        c->outside[c->n_outside++] = (struct watch_file){path, f->dev, f->ino, f->size, f->mtime_ns, f->ctime_ns};
    return true;
}

/* Rule 2. The snapshot is what workers verify; here it is only measured. */
static bool take_images(struct ipc_msg *msg, int *const *places, const size_t *max, size_t n)
{
    if (msg->n_fds != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!sealed_size(msg->fds[i], max[i]))
            return false;
    for (size_t i = 0; i < n; i++) {
        *places[i] = msg->fds[i];
        msg->fds[i] = -1;
    }
    return true;
}

static void take_numbers(struct images *im, const struct ipc_result *r)
{
    im->generation = r->generation;
    im->content_hash = r->content_hash;
    im->findings_hash = r->findings_hash;
    im->errors = r->errors;
    im->warnings = r->warnings;
    im->objects = r->objects;
}

static bool take_made(struct compiler *c, struct ipc_msg *msg)
{
    struct images *im = &c->out.images;
    int *const places[] = {&im->snapshot, &im->keys};
    static const size_t max[] = {SNAPSHOT_MAX, KEYS_IMAGE_MAX};
    if (c->made || c->answered || c->cancelled || !take_images(msg, places, max, ARRAY_LEN(places)))
        return c->cancelled;
    c->made = true;
    take_numbers(im, &msg->u.as_MADE);
    struct images made = *im;
    im->snapshot = im->keys = -1; /* they are the receiver's now */
    reload_made(c->m, &made);
    return true;
}

static bool take_rest(struct compiler *c, struct ipc_msg *msg)
{
    struct images *im = &c->out.images;
    int *const all[] = {&im->snapshot, &im->status, &im->state, &im->keys}, *const rest[] = {&im->status, &im->state};
    static const size_t max[] = {SNAPSHOT_MAX, SNAPSHOT_MAX, STATE_IMAGE_MAX, KEYS_IMAGE_MAX};
    if (c->made)
        return msg->u.as_RESULT.generation == im->generation && take_images(msg, rest, max + 1, ARRAY_LEN(rest));
    return take_images(msg, all, max, ARRAY_LEN(all));
}

static bool take_result(struct compiler *c, struct ipc_msg *msg)
{
    const struct ipc_result *r = &msg->u.as_RESULT;
    bool has_images = r->result == 0 || r->result == GH_E_EXISTS;
    if (c->answered || (has_images && !take_rest(c, msg)))
        return false;
    c->out.result = r->result;
    take_numbers(&c->out.images, r);
    snprintf(c->text, sizeof(c->text), "%.*s", (int)sizeof(c->text) - 1, msg->text);
    c->answered = true;
    link_close(&c->link);
    report(c);
    return true;
}

static void on_message(struct link *l, struct ipc_msg *msg)
{
    struct compiler *c = l->owner;
    bool good = msg->type == IPC_BIND       ? take_bind(c, msg)
                : msg->type == IPC_SETTINGS ? take_settings(c, msg)
                : msg->type == IPC_WATCH    ? take_watch(c, msg)
                : msg->type == IPC_MADE     ? take_made(c, msg)
                : msg->type == IPC_RESULT   ? take_result(c, msg)
                                            : false;
    if (good)
        return;
    link_close(l);
    fail(c, GH_E_FORMAT, "the compiler talks rubbish");
}

static void on_link_end(struct link *l, int why)
{
    struct compiler *c = l->owner;
    link_close(l);
    if (why != GH_E_CLOSED)
        fail(c, why, "the compiler talks rubbish");
    /* CLOSED: it dies; how, waitpid will say */
}

static void on_link_closed(struct link *l)
{
    struct compiler *c = l->owner;
    c->link_closed = true;
    free_if_done(c);
}

/* ---- life ---- */

struct compiler *compiler_start(struct master *m, const struct compiler_job *job)
{
    struct compiler *c = calloc(1, sizeof(*c));
    int fd;
    if (!c)
        return NULL;
    c->m = m;
    images_init(&c->out.images);
    c->pid = fork_child(job, &fd);
    if (c->pid < 0) {
        free(c);
        return NULL;
    }
    c->deadline_ms = clock_ms() + COMPILER_MS;
    c->link = (struct link){.owner = c, .on_message = on_message, .on_end = on_link_end, .on_closed = on_link_closed};
    if (link_open(&c->link, &m->loop, fd) != 0) {
        kill_group(c->pid); /* its exit is found by waitpid and is nobody's */
        free(c);
        errno = ENOMEM;
        return NULL;
    }
    list_push(&m->reload.compilers, &c->node);
    return c;
}

void compiler_cancel(struct compiler *c)
{
    c->cancelled = true;
    link_close(&c->link);
    if (!c->reaped && !c->answered)
        kill_group(c->pid);
}

void compiler_tick(struct compiler *c, uint64_t now_ms)
{
    if (now_ms < c->deadline_ms || c->reaped || c->late)
        return;
    char text[96];
    c->late = true;
    snprintf(text, sizeof(text), "the compiler was not done after %d s and was ended", COMPILER_MS / 1000);
    link_close(&c->link);
    fail(c, GH_E_TIMEOUT, text);
    kill_group(c->pid);
}

/* Its last words may still be in the socket when waitpid has it already. */
static void read_rest(struct compiler *c)
{
    struct ipc_msg msg;
    while (c->link.open && c->link.fd >= 0 && !c->answered && ipc_recv(c->link.fd, &msg) > 0) {
        on_message(&c->link, &msg);
        for (size_t i = 0; i < msg.n_fds; i++)
            if (msg.fds[i] >= 0)
                close(msg.fds[i]);
    }
}

bool compiler_reaped(struct master *m, pid_t pid, int status)
{
    struct compiler *c = NULL;
    char text[128];
    LIST_EACH(it, &m->reload.compilers)
        if (LIST_ITEM(it, struct compiler, node)->pid == pid && !LIST_ITEM(it, struct compiler, node)->reaped)
            c = LIST_ITEM(it, struct compiler, node);
    if (!c)
        return false;
    c->reaped = true;
    if (WIFSIGNALED(status))
        snprintf(text, sizeof(text), "the compiler (pid %d) was killed by signal %d (%s)", (int)pid, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof(text), "the compiler (pid %d) exited with status %d and no result", (int)pid,
                 WEXITSTATUS(status));
    read_rest(c);
    fail(c, GH_E_SYSTEM, text);
    link_close(&c->link);
    free_if_done(c);
    return true;
}

bool compiler_none_left(const struct master *m)
{
    return list_empty(&m->reload.compilers);
}

/* ---- at the start ---- */

int compiler_read_settings(const struct compiler_job *job, struct buf *text)
{
    int fd, status = 0, rc = GH_E_SYSTEM;
    pid_t pid = fork_child(job, &fd);
    if (pid < 0)
        return GH_E_SYSTEM;
    uint64_t until = clock_ms() + COMPILER_MS;
    for (bool done = false; !done;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_ms();
        struct ipc_msg msg;
        int got = 0;
        if (now >= until) {
            rc = GH_E_TIMEOUT;
            kill_group(pid);
            break;
        }
        if (poll(&p, 1, (int)(until - now)) > 0)
            got = ipc_recv(fd, &msg);
        if (got > 0 && msg.type == IPC_SETTINGS) {
            buf_add(text, msg.text, msg.text_n);
            rc = msg.u.as_SETTINGS.n_errors ? GH_E_FORMAT : 0;
        }
        if (got > 0)
            ipc_msg_close_fds(&msg);
        done = got < 0 || (got > 0 && msg.type == IPC_SETTINGS);
    }
    close(fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return rc;
}
