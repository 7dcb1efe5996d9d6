/*
 * access_log.c - the ring, and the sinks it is written to. How a line looks: access_line.c.
 *
 * The ring is one block in which every line is contiguous: a line that does not fit before the end goes
 * to the beginning, and `wrap` remembers where the data before it ended.
 *
 *     tail <= head:   |......tail#######head......|             wrap unused
 *     tail >  head:   |####head.....tail#######wrap.|
 */
#include "worker/proxy/access_log.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "worker/proxy/access_line.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#define RING_SIZE   (1u << 20)
#define BATCH       (32u << 10) /* bytes that are written at once rather than waited for */
#define FILE_BATCH  (128u << 10) /* of a file, whose price falls with the size: large folios, fewer reservations */
#define FILE_MOST   (256u << 10)
#define DELAY_MS    20
#define TRY_AGAIN_MS 1000

enum sink { SINK_OFF, SINK_FILE, SINK_PIPE, SINK_TTY, SINK_STREAM, SINK_DGRAM };

struct access_log {
    struct access_log_config c;
    struct access_line line;
    uv_timer_t *timer;
    uv_poll_t *poll; /* of fd; NULL until it was full once */
    enum sink sink;
    int fd;
    bool waiting;  /* for writability or for the time to try again: writes do not flush */
    bool failing;  /* the last write failed; said once */
    bool partial;  /* a part of the oldest line is written */
    char *ring;
    size_t head, tail, wrap;
};

/* ---- ring ---- */

bool access_log_shows_local(const struct access_log *l)
{
    return l && l->line.shows_local;
}

size_t access_log_wanted(const struct access_log *l, const struct str **names)
{
    *names = l->line.wanted;
    return l->line.n_wanted;
}

size_t access_log_pending(const struct access_log *l)
{
    return l->tail <= l->head ? l->head - l->tail : l->wrap - l->tail + l->head;
}

/* The contiguous data that is next. */
static struct str ring_front(const struct access_log *l)
{
    return str_of(l->ring + l->tail, (l->tail <= l->head ? l->head : l->wrap) - l->tail);
}

static void ring_take(struct access_log *l, size_t n)
{
    bool wrapped = l->tail > l->head;
    l->tail += n;
    if (wrapped && l->tail == l->wrap)
        l->tail = 0;
    if (l->tail == l->head)
        l->tail = l->head = 0;
}

/* Where a line of `n` bytes may go, or NULL. */
static char *ring_room(struct access_log *l, size_t n)
{
    if (l->tail > l->head)
        return l->tail - l->head > n ? l->ring + l->head : NULL;
    if (RING_SIZE - l->head >= n)
        return l->ring + l->head;
    if (l->tail <= n)
        return NULL;
    l->wrap = l->head;
    l->head = 0;
    return l->ring;
}

static size_t first_line(struct str s)
{
    const char *end = memchr(s.p, '\n', s.n);
    return end ? (size_t)(end - s.p) + 1 : s.n;
}

static bool ring_drop_line(struct access_log *l)
{
    struct str front = ring_front(l);
    if (l->partial || front.n == 0)
        return false;
    ring_take(l, first_line(front));
    board_add(&l->c.me->counters.log_dropped, 1);
    return true;
}

static bool ring_put(struct access_log *l, struct str line)
{
    char *to;
    while (!(to = ring_room(l, line.n)))
        if (!ring_drop_line(l))
            return false;
    memcpy(to, line.p, line.n);
    l->head += line.n;
    return true;
}

/* ---- sinks ---- */

/* Whole lines of `s`, at most `max` bytes; a single longer line whole. */
static size_t whole_lines(struct str s, size_t max)
{
    if (s.n <= max)
        return s.n;
    const char *end = memrchr(s.p, '\n', max);
    return end ? (size_t)(end - s.p) + 1 : first_line(s);
}

static ssize_t send_entry(int fd, struct str line)
{
    static const char head[] = "SYSLOG_IDENTIFIER=gatehouse-access\nPRIORITY=6\nMESSAGE=";
    struct iovec v[2] = {{(void *)(uintptr_t)head, sizeof(head) - 1}, {(void *)(uintptr_t)line.p, line.n}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    ssize_t n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? n : (ssize_t)line.n;
}

static ssize_t write_tty(int fd, struct str line)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))
        return write(fd, line.p, line.n);
    errno = EAGAIN;
    return -1;
}

/* One write of whole lines (rule 1); the number of bytes taken, or -1. *asked: how many were offered. */
static ssize_t sink_write(struct access_log *l, struct str s, size_t *asked)
{
    switch (l->sink) {
    case SINK_FILE:
        *asked = GH_MIN(s.n, FILE_MOST);
        *asked = whole_lines(s, *asked);
        return write(l->fd, s.p, *asked);
    case SINK_PIPE:
        *asked = whole_lines(s, PIPE_BUF);
        return write(l->fd, s.p, *asked);
    case SINK_STREAM:
        *asked = whole_lines(s, BATCH);
        return send(l->fd, s.p, *asked, MSG_DONTWAIT | MSG_NOSIGNAL);
    case SINK_DGRAM:
        *asked = first_line(s);
        return send_entry(l->fd, str_of(s.p, *asked));
    case SINK_TTY:
        *asked = first_line(s);
        return write_tty(l->fd, str_of(s.p, *asked));
    case SINK_OFF:
        break;
    }
    *asked = s.n;
    return (ssize_t)s.n;
}

static void on_timer(uv_timer_t *t);
static void on_writable(uv_poll_t *p, int status, int events);

static uv_poll_t *poll_new(struct access_log *l)
{
    uv_poll_t *p = malloc(sizeof(*p));
    if (!p || uv_poll_init(l->c.loop, p, l->fd) != 0) {
        free(p);
        return NULL;
    }
    p->data = l;
    uv_unref((uv_handle_t *)p);
    return p;
}

static void wait_for_sink(struct access_log *l, int error)
{
    l->waiting = true;
    if (error == EAGAIN && (l->sink == SINK_PIPE || l->sink == SINK_STREAM || l->sink == SINK_DGRAM)) {
        if (!l->poll)
            l->poll = poll_new(l);
        if (l->poll && uv_poll_start(l->poll, UV_WRITABLE, on_writable) == 0)
            return;
    }
    uv_timer_start(l->timer, on_timer, error == EAGAIN ? DELAY_MS : TRY_AGAIN_MS, 0);
}

static void count_lines(struct access_log *l, struct str taken)
{
    uint64_t n = 0;
    const char *at = taken.p, *end = taken.p + taken.n;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        n++;
        at++;
    }
    board_add(&l->c.me->counters.log_lines, n);
}

void access_log_flush(struct access_log *l)
{
    uv_timer_stop(l->timer);
    if (l->poll)
        uv_poll_stop(l->poll);
    l->waiting = false;
    while (access_log_pending(l) > 0) {
        struct str s = ring_front(l);
        size_t asked = 0;
        ssize_t n = sink_write(l, s, &asked);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EMSGSIZE) { /* journald takes no entry of that size */
            l->partial = false;
            ring_drop_line(l);
            continue;
        }
        if (n < 0) {
            int error = errno;
            if (error != EAGAIN && !l->failing) {
                log_warn(l->c.log, "access log: %s; lines are kept while there is room", strerror(error));
                l->failing = true;
            }
            wait_for_sink(l, error);
            return;
        }
        if (l->failing) {
            l->failing = false;
            log_info(l->c.log, "access log: written again");
        }
        count_lines(l, str_head(s, (size_t)n));
        if (n > 0)
            l->partial = s.p[n - 1] != '\n';
        ring_take(l, (size_t)n);
        if ((size_t)n < asked && l->sink != SINK_FILE) {
            wait_for_sink(l, EAGAIN);
            return;
        }
        if (n == 0) { /* a file that takes nothing and says no error */
            wait_for_sink(l, EIO);
            return;
        }
    }
}

static void on_timer(uv_timer_t *t)
{
    access_log_flush(t->data);
}

static void on_writable(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    access_log_flush(p->data);
}

/* ---- life ---- */

static enum sink sink_of(int fd)
{
    struct stat st;
    int type = 0;
    socklen_t n = sizeof(type);
    if (fd < 0 || fstat(fd, &st) != 0)
        return SINK_OFF;
    if (S_ISFIFO(st.st_mode)) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && !(flags & O_NONBLOCK))
            fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        return SINK_PIPE;
    }
    if (S_ISSOCK(st.st_mode)) {
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type != SOCK_STREAM)
            return SINK_DGRAM;
        return SINK_STREAM;
    }
    if (!S_ISCHR(st.st_mode))
        return SINK_FILE;
    if (st.st_rdev == makedev(1, 3)) /* /dev/null: why make the lines? */
        return SINK_OFF;
    return isatty(fd) ? SINK_TTY : SINK_FILE;
}

static void on_closed(uv_handle_t *h)
{
    free(h);
}

static void poll_close(struct access_log *l)
{
    if (l->poll)
        uv_close((uv_handle_t *)l->poll, on_closed);
    l->poll = NULL;
}

struct access_log *access_log_new(const struct access_log_config *c)
{
    struct access_log *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->c = *c;
    l->fd = -1;
    l->ring = malloc(RING_SIZE);
    l->timer = malloc(sizeof(*l->timer));
    if (!l->ring || !l->timer || !access_line_init(&l->line, c->json ? STR_NONE : c->format)) {
        access_line_fini(&l->line);
        free(l->timer);
        free(l->ring);
        free(l);
        return NULL;
    }
    uv_timer_init(c->loop, l->timer);
    uv_unref((uv_handle_t *)l->timer);
    l->timer->data = l;
    return l;
}

void access_log_set_fd(struct access_log *l, int fd)
{
    if (l->sink != SINK_OFF) {
        access_log_flush(l);
        if (l->partial) { /* its end would be a broken first line of the new sink */
            l->partial = false;
            ring_drop_line(l);
        }
    }
    poll_close(l);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = fd;
    l->sink = sink_of(fd);
    l->failing = false;
    access_log_flush(l);
}

void access_log_write(struct access_log *l, const struct access_record *r)
{
    if (l->sink == SINK_OFF)
        return;
    struct str line = access_line_make(&l->line, r);
    if (!ring_put(l, line)) {
        board_add(&l->c.me->counters.log_dropped, 1);
        return;
    }
    if (l->waiting)
        return;
    if (access_log_pending(l) >= (l->sink == SINK_FILE ? FILE_BATCH : BATCH))
        access_log_flush(l);
    else if (!uv_is_active((uv_handle_t *)l->timer))
        uv_timer_start(l->timer, on_timer, DELAY_MS, 0);
}

void access_log_free(struct access_log *l)
{
    if (!l)
        return;
    access_log_flush(l);
    l->partial = false;
    while (ring_drop_line(l))
        ;
    poll_close(l);
    uv_close((uv_handle_t *)l->timer, on_closed);
    if (l->fd >= 0)
        close(l->fd);
    access_line_fini(&l->line);
    free(l->ring);
    free(l);
}
