#include "master/ctl/client.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX 65536

/* One conversation; `in` is everything that came. */
struct client {
    int fd;
    const char *run_dir;
    uint64_t deadline_ms;
    struct buf in;
    struct buf *why;
};

static int fail(struct client *c, int code, const char *what)
{
    if (c->why)
        buf_addf(c->why, "%s (run directory %s)", what, c->run_dir);
    return code;
}

static int fail_errno(struct client *c, int e)
{
    if (e == ENOENT || e == ECONNREFUSED)
        return fail(c, GH_E_NOT_FOUND, "no gatehouse is running");
    if (e == EACCES || e == EPERM)
        return fail(c, GH_E_REFUSED, "not allowed to ask the running gatehouse");
    return fail(c, GH_E_SYSTEM, strerror(e));
}

/* Waits for the socket; 0, or GH_E_TIMEOUT. */
static int wait_for(struct client *c, short events)
{
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd p = {.fd = c->fd, .events = events};
        if (now >= c->deadline_ms)
            return fail(c, GH_E_TIMEOUT, "the running gatehouse does not answer");
        int n = poll(&p, 1, (int)GH_MIN(c->deadline_ms - now, 1000000u));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return fail_errno(c, errno);
    }
}

static int connect_to(struct client *c)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct buf path = {0};
    buf_addf(&path, "%s/%s", c->run_dir, RUN_ADMIN_SOCKET);
    bool fits = path.n < sizeof(sa.sun_path);
    if (fits)
        memcpy(sa.sun_path, buf_cstr(&path), path.n + 1);
    buf_fini(&path);
    if (!fits)
        return fail(c, GH_E_LIMIT, "the path of the run directory is too long");
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return fail_errno(c, errno);
    /* A full backlog of a unix socket is no event for poll: connecting blocks, with a limit. */
    uint64_t left = c->deadline_ms - GH_MIN(c->deadline_ms, clock_ms()) + 1;
    struct timeval limit = {.tv_sec = (time_t)(left / 1000), .tv_usec = (suseconds_t)(left % 1000 * 1000)};
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    while (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        if (errno == EAGAIN)
            return fail(c, GH_E_TIMEOUT, "the running gatehouse takes no connection");
        if (errno != EINTR)
            return fail_errno(c, errno);
    }
    return fcntl(c->fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : fail_errno(c, errno);
}

static int send_all(struct client *c, struct str s)
{
    while (s.n) {
        ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            int rc = wait_for(c, POLLOUT);
            if (rc)
                return rc;
        } else if (n < 0 && errno != EINTR) {
            return fail_errno(c, errno);
        } else if (n > 0) {
            s = str_skip(s, (size_t)n);
        }
    }
    return 0;
}

/* Reads more; 1, 0 at the end, or negative. */
static int receive(struct client *c)
{
    for (;;) {
        if (!buf_reserve(&c->in, 65536))
            return fail(c, GH_E_NOMEM, "out of memory");
        ssize_t n = recv(c->fd, c->in.p + c->in.n, 65536, 0);
        if (n >= 0) {
            c->in.n += (size_t)n;
            return n > 0;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return fail_errno(c, errno);
        int rc = wait_for(c, POLLIN);
        if (rc)
            return rc;
    }
}

/* "HTTP/1.1 200 OK" and the length; false when it is no answer that we understand. */
static bool read_head(struct str head, unsigned *status, uint64_t *length)
{
    struct str line, code;
    uint64_t n = 0;
    *length = UINT64_MAX;
    if (!str_split(&head, '\n', &line) || !str_starts(line, STR("HTTP/1.")) || line.n < 12)
        return false;
    code = str_of(line.p + 9, 3);
    if (!str_u64(code, &n) || n < 100)
        return false;
    *status = (unsigned)n;
    while (str_split(&head, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon < 0)
            continue;
        struct str value = str_trim(str_skip(line, (size_t)colon + 1), " \t\r");
        if (str_ieq(str_head(line, (size_t)colon), STR("content-length")) && !str_u64(value, length))
            return false;
        if (str_ieq(str_head(line, (size_t)colon), STR("transfer-encoding")))
            return false;
    }
    return true;
}

static int read_reply(struct client *c, struct client_reply *r)
{
    ptrdiff_t end;
    uint64_t length = 0;
    int rc;
    while ((end = str_find(buf_str(&c->in), STR("\r\n\r\n"))) < 0) {
        if (c->in.n > HEAD_MAX)
            return fail(c, GH_E_FORMAT, "the running gatehouse answers what is not understood");
        rc = receive(c);
        if (rc <= 0)
            return rc < 0 ? rc : fail(c, GH_E_CLOSED, "the running gatehouse closed without an answer");
    }
    if (!read_head(str_head(buf_str(&c->in), (size_t)end), &r->status, &length))
        return fail(c, GH_E_FORMAT, "the running gatehouse answers what is not understood");
    size_t head = (size_t)end + 4;
    while (c->in.n - head < length) {
        if (c->in.n - head > CLIENT_BODY_MAX)
            return fail(c, GH_E_LIMIT, "the answer of the running gatehouse is too large");
        rc = receive(c);
        if (rc < 0)
            return rc;
        if (rc == 0)
            break;
    }
    if (length != UINT64_MAX && c->in.n - head < length)
        return fail(c, GH_E_TRUNCATED, "the answer of the running gatehouse is not complete");
    buf_add(&r->body, c->in.p + head, (size_t)GH_MIN(length, c->in.n - head));
    return r->body.oom ? fail(c, GH_E_NOMEM, "out of memory") : 0;
}

int client_request(const char *run_dir, const char *method, const char *target, uint64_t timeout_ms,
                   struct client_reply *reply, struct buf *why)
{
    struct client c = {.fd = -1, .run_dir = run_dir, .deadline_ms = clock_ms() + timeout_ms, .why = why};
    struct buf head = {0};
    *reply = (struct client_reply){0};
    buf_addf(&head, "%s %s HTTP/1.1\r\nHost: gatehouse\r\nConnection: close\r\n%s\r\n", method, target,
             strcmp(method, "GET") == 0 ? "" : "Content-Length: 0\r\n");
    int rc = head.oom ? fail(&c, GH_E_NOMEM, "out of memory") : connect_to(&c);
    if (rc == 0)
        rc = send_all(&c, buf_str(&head));
    if (rc == 0)
        rc = read_reply(&c, reply);
    if (c.fd >= 0)
        close(c.fd);
    buf_fini(&head);
    buf_fini(&c.in);
    return rc;
}

int client_get(const char *run_dir, const char *target, struct buf *body, struct buf *why)
{
    struct client_reply r;
    int rc = client_request(run_dir, "GET", target, CLIENT_TIMEOUT_MS, &r, why);
    if (rc == 0 && r.status != 200) {
        rc = GH_E_REFUSED;
        if (why)
            buf_addf(why, "%s is answered with %u: " STR_FMT, target, r.status,
                     STR_ARG(str_trim(str_head(buf_str(&r.body), 400), " \r\n")));
    }
    if (rc == 0)
        *body = r.body;
    else
        buf_fini(&r.body);
    return rc;
}
