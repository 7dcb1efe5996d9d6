/*
 * world.h - a worker's data plane, and everything around it, made the same in every run.
 *
 * One process, one thread: the data plane of a worker (worker/proxy/dataplane.h) over a snapshot that is compiled from
 * YAML, real sockets of the loopback device, and both peers, clients and backends, played by the program itself. What
 * a run could find different from the run before is taken from the kernel's hands, by defining in the program what
 * libc would else provide (world.c):
 *
 *   the clock     stands still while the gateway works, and moves by what world_tick says: the same timers fire, the
 *                 same batches of log lines are written, durations have the same number of digits
 *   randomness    a generator with a fixed seed, so hashes, balancing, keys and signatures are the same
 *   addresses     ports of sockets are ephemeral; what connect, accept4 and getsockname tell the gateway is not
 *
 * Callgrind counts only inside world_run, and only when `counting` is set: peers cost nothing.
 */
#ifndef GH_BENCH_INSTR_WORLD_H
#define GH_BENCH_INSTR_WORLD_H

#include "master/build.h"
#include "worker/proxy/access_log.h"
#include "worker/proxy/dataplane.h"

#include <uv.h>

struct world {
    struct build build;        /* of the configuration; the same for all rows */
    struct { uint64_t id; int fd; } binds[16];
    size_t n_binds;
    /* Of one row. */
    uv_loop_t loop;
    struct board *board;
    struct log log;
    struct access_log *access;
    int access_fd;             /* memory of the kernel */
    struct dataplane *dp;
    bool counting;
    void (*play)(void *peers); /* lets the peers do what they can do now */
    void *peers;
};

/* Loads the configuration; its listeners get sockets. Ends the program when there is any finding. */
void world_load(struct world *w, const char *const *paths, size_t n);
void world_unload(struct world *w);

/* A data plane with nothing in it, which serves that configuration. */
void world_begin(struct world *w);
void world_end(struct world *w);

/* Turns of the gateway and of the peers, by turns, until `done`; ends the program when that takes seconds. */
void world_run(struct world *w, bool (*done)(void *arg), void *arg);
/* One turn of both; for what nobody waits for, such as the news that a connection has ended. */
void world_turn(struct world *w);
void world_tick(uint64_t us);

/* The counts since the last call, under a name, to callgrind's file. */
void world_report(const char *name);
bool world_is_counted(void); /* valgrind runs this */

/* A connected socket to what the configuration calls 127.0.0.1:`port`, non-blocking. */
int world_connect(uint16_t port);
/* A listening socket that the gateway finds when it connects to 127.0.0.1:`port`. */
int world_listen(uint16_t port);

#endif
