/*
 * l4_load.c - load for layer 4: an upstream and clients, for l4_bench.py.
 *
 *   l4_load serve                        prints "tcp PORT udp PORT"; TCP: eight bytes (a number, big-endian) are answered
 *                                        with as many bytes, any number of times; UDP: echoes
 *   l4_load bulk PORT MIB CONNS          so many MiB over each connection
 *   l4_load talk PORT COUNT CONNS SIZE   COUNT questions in all, one at a time on each connection
 *   l4_load new PORT COUNT               COUNT connections one after the other, a question on each
 *   l4_load udp PORT COUNT SOCKS SIZE    COUNT datagrams in all, one at a time on each socket
 *   l4_load udpburst PORT COUNT SIZE     COUNT datagrams, 32 at a time, from one socket
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 512
static char buffer[1 << 18];

static void fail(const char *what)
{
    fprintf(stderr, "l4_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_at(int type, int port, int listening, int *bound)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, type == SOCK_DGRAM ? &(int){4 << 20} : &(int){1 << 20}, type == SOCK_DGRAM ? sizeof(int) : 0);
    if (listening ? bind(fd, (struct sockaddr *)&a, n) || (type == SOCK_STREAM && listen(fd, 1024))
                  : connect(fd, (struct sockaddr *)&a, n))
        fail("socket");
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (bound && getsockname(fd, (struct sockaddr *)&a, &n) == 0)
        *bound = ntohs(a.sin_port);
    return fd;
}

/* --- the upstream --- */

struct answer { int fd; uint64_t left; };

static void answer(int ep, struct answer *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP) && !c->left) {
        uint64_t n;
        if (recv(c->fd, &n, 8, MSG_WAITALL) != 8) {
            close(c->fd);
            free(c);
            return;
        }
        c->left = be64toh(n);
    }
    while (c->left) {
        ssize_t k = send(c->fd, buffer, c->left < sizeof(buffer) ? c->left : sizeof(buffer), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k <= 0)
            break;
        c->left -= (uint64_t)k;
    }
    struct epoll_event e = {.events = c->left ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void serve(void)
{
    int tcp, udp, ep = epoll_create1(EPOLL_CLOEXEC);
    struct answer l = {.fd = open_at(SOCK_STREAM, 0, 1, &tcp)}, u = {.fd = open_at(SOCK_DGRAM, 0, 1, &udp)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &l}, v[64];
    epoll_ctl(ep, EPOLL_CTL_ADD, l.fd, &e);
    e.data.ptr = &u;
    epoll_ctl(ep, EPOLL_CTL_ADD, u.fd, &e);
    printf("tcp %d udp %d\n", tcp, udp);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, v, 64, -1);
        for (int i = 0; i < n; i++) {
            struct answer *c = v[i].data.ptr;
            if (c == &u) {
                struct sockaddr_in from;
                socklen_t len = sizeof(from);
                ssize_t k;
                while ((k = recvfrom(u.fd, buffer, sizeof(buffer), MSG_DONTWAIT, (struct sockaddr *)&from, &len)) >= 0)
                    sendto(u.fd, buffer, (size_t)k, MSG_DONTWAIT, (struct sockaddr *)&from, len);
            } else if (c == &l) {
                struct answer *fresh = calloc(1, sizeof(*fresh));
                fresh->fd = accept4(l.fd, NULL, NULL, SOCK_CLOEXEC);
                setsockopt(fresh->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
                e = (struct epoll_event){.events = EPOLLIN, .data.ptr = fresh};
                epoll_ctl(ep, EPOLL_CTL_ADD, fresh->fd, &e);
            } else {
                answer(ep, c, v[i].events);
            }
        }
    }
}

/* --- clients --- */

static void ask(int fd, uint64_t n)
{
    n = htobe64(n);
    if (send(fd, &n, 8, MSG_NOSIGNAL) != 8)
        fail("send");
}

static void bulk(int port, uint64_t bytes, int conns)
{
    struct pollfd p[MANY];
    uint64_t left = bytes * (uint64_t)conns;
    for (int i = 0; i < conns; i++) {
        p[i] = (struct pollfd){.fd = open_at(SOCK_STREAM, port, 0, NULL), .events = POLLIN};
        ask(p[i].fd, bytes);
    }
    while (left) {
        poll(p, (nfds_t)conns, -1);
        for (int i = 0; i < conns; i++)
            if (p[i].revents) {
                ssize_t k = recv(p[i].fd, buffer, sizeof(buffer), 0);
                if (k <= 0)
                    fail("recv");
                left -= (uint64_t)k;
            }
    }
}

/* One question at a time on each; how long an answer is. */
static void talk(int port, int count, int conns, uint64_t size, int type)
{
    struct pollfd p[MANY];
    uint64_t left[MANY];
    int asked = 0, done = 0;
    for (int i = 0; i < conns && i < MANY; i++, asked++) {
        p[i] = (struct pollfd){.fd = open_at(type, port, 0, NULL), .events = POLLIN};
        left[i] = size;
        if (type == SOCK_STREAM)
            ask(p[i].fd, size);
        else if (send(p[i].fd, buffer, size, 0) < 0)
            fail("send");
    }
    while (done < count) {
        if (poll(p, (nfds_t)conns, 5000) == 0)
            fail("no answer");
        for (int i = 0; i < conns; i++) {
            if (!p[i].revents)
                continue;
            ssize_t k = recv(p[i].fd, buffer, left[i] < sizeof(buffer) ? left[i] : sizeof(buffer), 0);
            if (k <= 0)
                fail("recv");
            left[i] -= (uint64_t)k;
            if (left[i])
                continue;
            done++;
            left[i] = size;
            if (asked++ < count) {
                if (type == SOCK_STREAM)
                    ask(p[i].fd, size);
                else if (send(p[i].fd, buffer, size, 0) < 0)
                    fail("send");
            }
        }
    }
}

static void fresh(int port, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = open_at(SOCK_STREAM, port, 0, NULL);
        ask(fd, 64);
        for (ssize_t n = 0, k; n < 64; n += k)
            if ((k = recv(fd, buffer, 64, 0)) <= 0)
                fail("recv");
        struct linger l = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)); /* no TIME_WAIT here: ports are few */
        shutdown(fd, SHUT_WR);
        if (recv(fd, buffer, 1, 0) != 0)
            fail("end");
        close(fd);
    }
}

static void burst(int port, int count, size_t size)
{
    int fd = open_at(SOCK_DGRAM, port, 0, NULL);
    struct mmsghdr m[32];
    struct iovec iov = {buffer, size};
    int lost = 0;
    for (int i = 0; i < 32; i++)
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
    for (int done = 0; done < count; done += 32) {
        if (sendmmsg(fd, m, 32, 0) != 32)
            fail("sendmmsg");
        for (int got = 0; got < 32;) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            if (poll(&p, 1, 200) == 0) {
                lost += 32 - got;
                break;
            }
            while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0)
                got++;
        }
    }
    printf("lost %d\n", lost);
}

int main(int argc, char **argv)
{
    int a[4] = {0};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 2; i < argc && i < 6; i++)
        a[i - 2] = atoi(argv[i]);
    if (argc > 1 && !strcmp(argv[1], "serve"))
        serve();
    else if (argc > 4 && !strcmp(argv[1], "bulk"))
        bulk(a[0], (uint64_t)a[1] << 20, a[2]);
    else if (argc > 5 && !strcmp(argv[1], "talk"))
        talk(a[0], a[1], a[2], (uint64_t)a[3], SOCK_STREAM);
    else if (argc > 3 && !strcmp(argv[1], "new"))
        fresh(a[0], a[1]);
    else if (argc > 5 && !strcmp(argv[1], "udp"))
        talk(a[0], a[1], a[2], (uint64_t)a[3], SOCK_DGRAM);
    else if (argc > 4 && !strcmp(argv[1], "udpburst"))
        burst(a[0], a[1], (size_t)a[2]);
    else
        return fprintf(stderr, "usage: see the head of l4_load.c\n"), 2;
    return 0;
}
