#include "master/notify.h"
#include "shared/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static bool store_is_there(void)
{
    uint64_t v;
    const char *max = getenv("FDSTORE"), *pid = getenv("SYSTEMD_EXEC_PID");
    if (max)
        return str_u64(str_c(max), &v) && v > 0;
    return pid && str_u64(str_c(pid), &v) && v == (uint64_t)getpid();
}

void notify_open(struct notify *n)
{
    *n = (struct notify){.fd = -1};
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(a.sun_path, path, len);
    if (path[0] == '@')
        a.sun_path[0] = '\0'; /* abstract */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, size) != 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
    n->fd = fd;
    n->has_store = store_is_there();
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) > 0)
        n->watchdog_ms = GH_MAX(usec / 2000, 1u); /* half the time, as sd_watchdog_enabled(3) advises */
}

static void item_free(struct notify_item *i)
{
    free(i->text);
    if (i->fd >= 0)
        close(i->fd);
}

static void queue_remove(struct notify *n, size_t i)
{
    item_free(&n->queue[i]);
    memmove(n->queue + i, n->queue + i + 1, (--n->n_queue - i) * sizeof(*n->queue));
}

void notify_close(struct notify *n)
{
    notify_flush(n);
    while (n->n_queue)
        queue_remove(n, n->n_queue - 1);
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

/* 1 sent, 0 not now, -1 never (the socket is gone). */
static int send_now(int to, struct str text, int fd)
{
    struct iovec iov = {(void *)text.p, text.n};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ssize_t rc;
    do
        rc = sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc >= 0)
        return 1;
    return errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? 0 : -1;
}

bool notify_flush(struct notify *n)
{
    while (n->n_queue) {
        struct notify_item *i = &n->queue[0];
        if (send_now(n->fd, str_of(i->text, i->n), i->fd) == 0)
            return true;
        queue_remove(n, 0);
    }
    return false;
}

/* Keeps it for later; `text` is taken over. A word gives way before a descriptor does. */
static void enqueue(struct notify *n, struct buf *text, int fd)
{
    if (n->n_queue == NOTIFY_QUEUE) {
        size_t i = 0;
        while (i + 1 < n->n_queue && n->queue[i].fd >= 0)
            i++;
        queue_remove(n, i);
        n->dropped++;
    }
    int own = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd >= 0 && own < 0) {
        n->dropped++;
        buf_fini(text);
        return;
    }
    n->queue[n->n_queue++] = (struct notify_item){text->p, text->n, own};
    *text = (struct buf){0};
}

/* `text` is used up. */
static void send_text(struct notify *n, struct buf *text, int fd)
{
    if (n->fd < 0 || text->oom || !text->n)
        buf_fini(text);
    else if (notify_flush(n) || send_now(n->fd, buf_str(text), fd) == 0)
        enqueue(n, text, fd);
    else
        buf_fini(text);
}

static void add_status(struct buf *text, const char *status)
{
    if (!status)
        return;
    buf_addc(text, "STATUS=");
    for (; *status; status++)
        buf_addch(text, *status == '\n' ? ' ' : *status);
    buf_addch(text, '\n');
}

void notify_ready(struct notify *n, const char *status)
{
    struct buf text = {0};
    buf_addf(&text, "READY=1\nMAINPID=%d\n", (int)getpid());
    add_status(&text, status);
    send_text(n, &text, -1);
}

void notify_reloading(struct notify *n, const char *status)
{
    struct buf text = {0};
    buf_addf(&text, "RELOADING=1\nMONOTONIC_USEC=%llu\n", (unsigned long long)(clock_ns() / 1000));
    add_status(&text, status);
    send_text(n, &text, -1);
}

void notify_stopping(struct notify *n, const char *status)
{
    struct buf text = {0};
    buf_addc(&text, "STOPPING=1\n");
    add_status(&text, status);
    send_text(n, &text, -1);
}

void notify_status(struct notify *n, const char *status)
{
    struct buf text = {0};
    add_status(&text, status);
    send_text(n, &text, -1);
}

void notify_watchdog(struct notify *n)
{
    struct buf text = {0};
    buf_addc(&text, "WATCHDOG=1\n");
    send_text(n, &text, -1);
}

void notify_store(struct notify *n, const char *name, int fd)
{
    struct buf text = {0};
    if (!n->has_store)
        return;
    buf_addf(&text, "FDSTORE=1\nFDNAME=%s\n", name);
    send_text(n, &text, fd);
}

void notify_unstore(struct notify *n, const char *name)
{
    struct buf text = {0};
    if (!n->has_store)
        return;
    buf_addf(&text, "FDSTORE=1\nFDNAME=%s\n", name);
    for (size_t i = 0; i < n->n_queue; i++) {
        if (n->queue[i].fd >= 0 && str_eq(str_of(n->queue[i].text, n->queue[i].n), buf_str(&text))) {
            queue_remove(n, i); /* it never got there */
            buf_fini(&text);
            return;
        }
    }
    buf_clear(&text);
    buf_addf(&text, "FDSTOREREMOVE=1\nFDNAME=%s\n", name);
    send_text(n, &text, -1);
}
