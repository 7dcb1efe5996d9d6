/*
 * load.h - what the load generators of this folder share: time, loopback sockets, latencies.
 *
 * The generators are written for one thing: to cost less than what they load. They know nothing that the rows do not
 * need, and end at the first thing that should not happen.
 */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Python's time.monotonic_ns() reads the same clock, so times of both can be compared. */
static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
}

static inline int tcp_socket(int more)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | more, 0);
    if (fd < 0)
        fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

/* A listener on a port that the kernel chose. */
static inline int tcp_listen(int *port)
{
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof(a);
    int fd = tcp_socket(SOCK_NONBLOCK);
    if (bind(fd, (struct sockaddr *)&a, n) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&a, &n))
        fail("listen");
    *port = ntohs(a.sin_port);
    return fd;
}

/* Latencies in steps of 1.6 % or less: 64 steps for each power of two nanoseconds. */
struct latencies {
    uint32_t count[64 * 64];
    uint64_t n, max_ns;
};

static inline void latency_add(struct latencies *l, uint64_t ns)
{
    int top = 63 - __builtin_clzll(ns | 64), shift = top - 6;
    l->count[(size_t)(top - 6) * 64 + ((ns >> shift) & 63)]++;
    l->n++;
    if (ns > l->max_ns)
        l->max_ns = ns;
}

/* Microseconds that `part` of all stayed below. */
static inline double latency_us(const struct latencies *l, double part)
{
    uint64_t left = (uint64_t)((double)l->n * part);
    for (size_t i = 0; i < sizeof(l->count) / sizeof(*l->count); i++) {
        if (left < l->count[i] || (left == 0 && l->count[i]))
            return (double)((64 + (uint64_t)i % 64) << (i / 64)) / 1e3;
        left -= l->count[i];
    }
    return (double)l->max_ns / 1e3;
}

#endif
