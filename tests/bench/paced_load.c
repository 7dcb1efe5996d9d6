/*
 * paced_load.c - HTTP/1.1 requests at a given rate, whatever the answers do.
 *
 *   paced_load PORT RATE SECONDS CONNS HOST PATH TIMEOUT_MS queue|drop [LOG]
 *
 * Requests are due at fixed times. One that finds no free connection waits, and its waiting counts: latency runs from
 * the time a request was due. (With `drop` it is given up at once: under overload the queue must not be here.) One that is not answered TIMEOUT_MS after it was due is given up, as a client would, and its
 * connection with it. Connections that end are opened again. SIGTERM ends the run early.
 *
 * Prints one line of JSON. LOG gets a line for each answer: when it was due and when it was there (monotonic
 * nanoseconds), the connection and how often it had been opened, the status, the number in its x-gen field (or 0).
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "tests/bench/load.h"

#define EVENTS 256
#define BUFFER 16384

enum state { CLOSED, IDLE, BUSY };

struct conn {
    int fd, opened;
    enum state state;
    int last; /* the answer that is coming says that the connection ends */
    uint64_t due;
    size_t n;
    long body; /* bytes of the body that are still to come; -1: the head is not complete */
    int status, gen;
    char head[BUFFER];
};

struct run {
    int ep, port, conns, next;
    struct conn *v;
    char ask[1024];
    size_t ask_len;
    uint64_t timeout, *waiting; /* times at which the requests without a connection were due: a ring */
    size_t first, n_waiting, size;
    int drop; /* no queue */
    FILE *log;
    struct latencies l;
    struct { uint64_t sent, ok, other, failed, late, gave_up, closed_idle, closed_announced, refused; } n;
};

static volatile sig_atomic_t ended;

static void end(int sig)
{
    (void)sig;
    ended = 1;
}

static void conn_close(struct run *r, struct conn *c)
{
    (void)r;
    close(c->fd);
    c->state = CLOSED;
}

static int conn_open(struct run *r, struct conn *c)
{
    struct sockaddr_in a = loopback(r->port);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    c->fd = tcp_socket(SOCK_NONBLOCK);
    if (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) && errno != EINPROGRESS) {
        r->n.refused++;
        close(c->fd);
        return 0;
    }
    epoll_ctl(r->ep, EPOLL_CTL_ADD, c->fd, &e);
    c->opened++;
    c->state = IDLE;
    return 1;
}

static void conn_ask(struct run *r, struct conn *c, uint64_t due)
{
    if (c->state == CLOSED && !conn_open(r, c)) {
        r->n.failed++;
        return;
    }
    c->due = due;
    c->n = 0;
    c->body = -1;
    c->last = c->gen = 0;
    r->n.sent++;
    if (send(c->fd, r->ask, r->ask_len, MSG_NOSIGNAL) != (ssize_t)r->ask_len) {
        r->n.failed++;
        conn_close(r, c);
        return;
    }
    c->state = BUSY;
}

/* A field of the head as a number; `none` when it is not there. */
static long field(const char *head, const char *name, long none)
{
    const char *p = strcasestr(head, name);
    return p ? atol(p + strlen(name)) : none;
}

static void parse(struct conn *c)
{
    char *finish;
    c->head[c->n] = 0;
    if (!(finish = strstr(c->head, "\r\n\r\n")))
        return;
    size_t behind = c->n - (size_t)(finish + 4 - c->head);
    finish[2] = 0;
    c->status = c->n > 12 ? atoi(c->head + 9) : 0;
    c->gen = (int)field(c->head, "\r\nx-gen: ", 0);
    c->last = strcasestr(c->head, "\r\nconnection: close") != NULL;
    c->body = field(c->head, "\r\ncontent-length: ", 0) - (long)behind;
    c->n = 0;
}

static void answered(struct run *r, struct conn *c)
{
    uint64_t t = now_ns();
    if (t > c->due + r->timeout) {
        r->n.gave_up++;
    } else {
        latency_add(&r->l, t - c->due);
        *(c->status == 200 ? &r->n.ok : &r->n.other) += 1;
    }
    if (r->log)
        fprintf(r->log, "%llu %llu %d %d %d %d\n", (unsigned long long)c->due, (unsigned long long)t, (int)(c - r->v),
                c->opened, c->status, c->gen);
    c->state = IDLE;
    if (c->last) {
        r->n.closed_announced++;
        conn_close(r, c);
    }
}

static void conn_read(struct run *r, struct conn *c)
{
    static char sink[1 << 17];
    int in_head = c->state == BUSY && c->body < 0;
    ssize_t k = in_head ? recv(c->fd, c->head + c->n, sizeof(c->head) - 1 - c->n, 0) : recv(c->fd, sink, sizeof(sink), 0);
    if (k < 0 && errno == EAGAIN)
        return;
    if (k <= 0 || c->state != BUSY) {
        *(c->state == BUSY ? &r->n.failed : &r->n.closed_idle) += 1;
        conn_close(r, c);
        return;
    }
    if (in_head) {
        c->n += (size_t)k;
        parse(c);
    } else {
        c->body -= k;
    }
    if (c->body == 0)
        answered(r, c);
}

static struct conn *free_conn(struct run *r)
{
    for (int i = 0; i < r->conns; i++) {
        struct conn *c = &r->v[(r->next + i) % r->conns];
        if (c->state != BUSY) {
            r->next = (int)(c - r->v) + 1;
            return c;
        }
    }
    return NULL;
}

static void enqueue(struct run *r, uint64_t due)
{
    r->n.late++;
    if (r->drop || r->n_waiting == r->size)
        r->n.gave_up++;
    else
        r->waiting[(r->first + r->n_waiting++) % r->size] = due;
}

/* Requests that waited, oldest first; those that waited too long are given up. */
static void drain(struct run *r, uint64_t now)
{
    while (r->n_waiting) {
        uint64_t due = r->waiting[r->first];
        bool late = now >= due + r->timeout;
        struct conn *c = late ? NULL : free_conn(r);
        if (!late && !c)
            return;
        r->first = (r->first + 1) % r->size;
        r->n_waiting--;
        if (late)
            r->n.gave_up++;
        else
            conn_ask(r, c, due);
    }
}

static void expire(struct run *r, uint64_t now)
{
    for (int i = 0; i < r->conns; i++)
        if (r->v[i].state == BUSY && now >= r->v[i].due + r->timeout) {
            r->n.gave_up++;
            conn_close(r, &r->v[i]);
        }
}

static void pace(struct run *r, double rate, double seconds)
{
    struct epoll_event v[EVENTS];
    uint64_t start = now_ns(), until = start + (uint64_t)(seconds * 1e9), swept = start, i = 0, wake;
    while (!ended) {
        uint64_t now = now_ns(), due;
        if (now >= until)
            break;
        drain(r, now);
        for (; (due = start + (uint64_t)((double)i * 1e9 / rate)) <= now; i++) {
            struct conn *c = r->n_waiting ? NULL : free_conn(r);
            if (c)
                conn_ask(r, c, due);
            else
                enqueue(r, due);
        }
        if (now - swept > 20000000u) {
            expire(r, now);
            swept = now;
        }
        wake = due < now ? now : due < now + 20000000u ? due : now + 20000000u; /* also to expire, and to end */
        struct timespec t = {(time_t)((wake - now) / 1000000000u), (long)((wake - now) % 1000000000u)};
        int n = epoll_pwait2(r->ep, v, EVENTS, &t, NULL);
        for (int k = 0; k < n; k++)
            conn_read(r, v[k].data.ptr);
    }
}

static void print(const struct run *r, double seconds)
{
#define N(member) (unsigned long long)r->n.member
    printf("{\"seconds\": %.3f, \"sent\": %llu, \"ok\": %llu, \"other\": %llu, \"failed\": %llu, \"late\": %llu, "
           "\"gave_up\": %llu, \"closed_idle\": %llu, \"closed_announced\": %llu, \"refused\": %llu, "
           "\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n", seconds, N(sent), N(ok), N(other), N(failed), N(late),
           N(gave_up), N(closed_idle), N(closed_announced), N(refused), latency_us(&r->l, 0.5), latency_us(&r->l, 0.99),
           (double)r->l.max_ns / 1e3);
#undef N
}

int main(int argc, char **argv)
{
    static struct run r;
    if (argc < 9 || atof(argv[2]) <= 0)
        return fprintf(stderr, "usage: see the head of paced_load.c\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, end);
    r.ep = epoll_create1(EPOLL_CLOEXEC);
    r.port = atoi(argv[1]);
    r.conns = atoi(argv[4]);
    r.v = calloc((size_t)r.conns, sizeof(*r.v));
    r.ask_len = (size_t)snprintf(r.ask, sizeof(r.ask), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[6], argv[5]);
    r.timeout = (uint64_t)(atof(argv[7]) * 1e6);
    r.size = 1 << 20;
    r.waiting = calloc(r.size, sizeof(*r.waiting));
    r.drop = !strcmp(argv[8], "drop");
    r.log = argc > 9 ? fopen(argv[9], "w") : NULL;
    for (int i = 0; i < r.conns; i++)
        if (!conn_open(&r, &r.v[i]))
            fail("connect");
    uint64_t t = now_ns();
    pace(&r, atof(argv[2]), atof(argv[3]));
    print(&r, (double)(now_ns() - t) / 1e9);
    if (r.log)
        fclose(r.log);
    return 0;
}
