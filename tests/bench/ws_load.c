/*
 * ws_load.c - WebSocket messages: a backend that echoes them, clients that send them, and clients that only stay.
 *
 *   ws_load serve                        prints "port N", echoes every message until it is killed
 *   ws_load run PORT SECONDS CONNS SIZE  one message at a time on each connection; prints messages, errors, p50 and p99 in us
 *   ws_load hold PORT COUNT              opens so many, says "open"; each further line on stdin opens one more ("open"), and
 *                                        at its end each one sends a message: prints "alive N"
 *
 * The handshake is the one of RFC 6455 section 1.3 with the key of its example, so that no SHA-1 is needed here. A
 * client's mask is zero: it is a mask for the proxy and the backend, and costs the client nothing.
 */
#include <signal.h>
#include <sys/epoll.h>

#include "tests/bench/load.h"

#define BUFFER 65536
#define EVENTS 256

static const char ASK[] = "GET /ws HTTP/1.1\r\nHost: bench.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
static const char YES[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: s3pPLMBiTbaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct conn {
    int fd;
    int talking; /* the handshake is over */
    size_t n;    /* bytes that wait for the rest of their head or message */
    uint64_t since;
    unsigned char bytes[BUFFER];
};

/* The message at p: how long head and payload are; 0: it is not complete. */
static size_t message(const unsigned char *p, size_t n, size_t *head)
{
    if (n < 2)
        return 0;
    size_t len = p[1] & 127, mask = p[1] & 128 ? 4 : 0;
    *head = 2 + mask;
    if (len == 126) {
        if (n < 4)
            return 0;
        len = (size_t)p[2] << 8 | p[3];
        *head += 2;
    }
    return n >= *head + len ? *head + len : 0;
}

static size_t put_head(unsigned char *out, size_t len, int masked)
{
    size_t n = 2;
    out[0] = 0x82;
    out[1] = (unsigned char)(len < 126 ? len : 126);
    if (len >= 126) {
        out[2] = (unsigned char)(len >> 8);
        out[3] = (unsigned char)len;
        n = 4;
    }
    if (masked) {
        out[1] |= 128;
        memset(out + n, 0, 4);
        n += 4;
    }
    return n;
}

static void watch(int ep, int fd, void *ptr)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = ptr};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
        fail("epoll_ctl");
}

/* Reads what is there; false: the other side has gone. */
static int take(struct conn *c)
{
    ssize_t k = recv(c->fd, c->bytes + c->n, sizeof(c->bytes) - c->n, MSG_DONTWAIT);
    if (k < 0 && errno == EAGAIN)
        return 1;
    c->n += k > 0 ? (size_t)k : 0;
    return k > 0;
}

/* The head of a request or answer ends within what was read: what it was is no matter here. */
static int pass_head(struct conn *c)
{
    unsigned char *end = memmem(c->bytes, c->n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    c->n -= (size_t)(end + 4 - c->bytes);
    memmove(c->bytes, end + 4, c->n);
    c->talking = 1;
    return 1;
}

/* ---- the backend ---- */

static void echo(struct conn *c)
{
    static unsigned char out[BUFFER + 16];
    size_t at = 0, head, whole, n = 0;
    while ((whole = message(c->bytes + at, c->n - at, &head))) {
        const unsigned char *mask = c->bytes + at + head - 4, *in = c->bytes + at + head;
        size_t len = whole - head;
        if (n + len + 4 > sizeof(out))
            break;
        n += put_head(out + n, len, 0);
        for (size_t i = 0; i < len; i++)
            out[n + i] = in[i] ^ mask[i & 3];
        n += len;
        at += whole;
    }
    if (n && send(c->fd, out, n, MSG_NOSIGNAL) != (ssize_t)n)
        fail("echo");
    c->n -= at;
    memmove(c->bytes, c->bytes + at, c->n);
}

static void serve(void)
{
    struct epoll_event v[EVENTS];
    int port, listener = tcp_listen(&port), ep = epoll_create1(EPOLL_CLOEXEC);
    watch(ep, listener, NULL);
    printf("port %d\n", port);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, v, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = v[i].data.ptr;
            if (!c) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0)
                    continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
                c = calloc(1, sizeof(*c));
                c->fd = fd;
                watch(ep, fd, c);
            } else if (!take(c)) {
                close(c->fd);
                free(c);
            } else if (c->talking) {
                echo(c);
            } else if (pass_head(c) && send(c->fd, YES, sizeof(YES) - 1, MSG_NOSIGNAL) < 0) {
                fail("upgrade");
            }
        }
    }
}

/* ---- clients ---- */

static struct conn *upgrade(int port)
{
    struct sockaddr_in a = loopback(port);
    struct conn *c = calloc(1, sizeof(*c));
    c->fd = tcp_socket(0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){10, 0}, sizeof(struct timeval));
    if (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) || send(c->fd, ASK, sizeof(ASK) - 1, MSG_NOSIGNAL) < 0)
        fail("connect");
    while (!c->talking) {
        ssize_t k = recv(c->fd, c->bytes + c->n, sizeof(c->bytes) - c->n, 0);
        if (k <= 0)
            fail("no answer to the upgrade");
        c->n += (size_t)k;
        if (c->n > 12 && memcmp(c->bytes, "HTTP/1.1 101", 12) != 0)
            return fprintf(stderr, "not upgraded: %.60s\n", c->bytes), exit(1), NULL;
        pass_head(c);
    }
    return c;
}

static int say(struct conn *c, size_t size)
{
    static unsigned char out[BUFFER + 16];
    size_t n = put_head(out, size, 1);
    c->since = now_ns();
    return send(c->fd, out, n + size, MSG_NOSIGNAL) == (ssize_t)(n + size);
}

static void run(int port, double seconds, int conns, size_t size)
{
    static struct latencies l;
    struct epoll_event v[EVENTS];
    int ep = epoll_create1(EPOLL_CLOEXEC), errors = 0, open = conns;
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < conns; i++) {
        struct conn *c = upgrade(port);
        watch(ep, c->fd, c);
        errors += !say(c, size);
    }
    while (now_ns() < end && open > 0) {
        int n = epoll_wait(ep, v, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = v[i].data.ptr;
            size_t head, whole;
            if (!take(c)) {
                errors++;
                open--;
                close(c->fd);
                continue;
            }
            if (!(whole = message(c->bytes, c->n, &head)))
                continue;
            latency_add(&l, now_ns() - c->since);
            errors += whole - head != size || c->n != whole;
            c->n = 0;
            errors += !say(c, size);
        }
    }
    printf("%llu %d %.1f %.1f\n", (unsigned long long)l.n, errors, latency_us(&l, 0.5), latency_us(&l, 0.99));
}

static int alive(struct conn *c)
{
    size_t head;
    if (!say(c, 16))
        return 0;
    while (!message(c->bytes, c->n, &head)) {
        ssize_t k = recv(c->fd, c->bytes + c->n, sizeof(c->bytes) - c->n, 0);
        if (k <= 0)
            return 0;
        c->n += (size_t)k;
    }
    return 1;
}

static void hold(int port, int count)
{
    struct conn *held[1024];
    char line[16];
    int n = 0, living = 0;
    while (n < count && n < 1024)
        held[n++] = upgrade(port);
    printf("open\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) && n < 1024) {
        held[n++] = upgrade(port);
        printf("open\n");
        fflush(stdout);
    }
    for (int i = 0; i < n; i++)
        living += alive(held[i]);
    printf("alive %d\n", living);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && !strcmp(argv[1], "serve"))
        serve();
    else if (argc == 6 && !strcmp(argv[1], "run"))
        run(atoi(argv[2]), atof(argv[3]), atoi(argv[4]), (size_t)atoi(argv[5]));
    else if (argc == 4 && !strcmp(argv[1], "hold"))
        hold(atoi(argv[2]), atoi(argv[3]));
    else
        return fprintf(stderr, "usage: see the head of ws_load.c\n"), 2;
    return 0;
}
