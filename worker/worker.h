/*
 * worker.h - one child process of the master: its loop, its place on the board, its link, its role.
 *
 * The struct is made in main, lives as long as the process, and is passed to everything in this folder. Who may
 * write: `link` by link.c, `role_state` by the role's file, the rest by main.c.
 *
 * The life of the process (ipc.h draws it as messages):
 *
 *   main        HELLO is read (with a deadline), descriptors but 0-4 closed, the board mapped
 *   start       the role opens what it will not be able to open later
 *   sandbox     another user, no files, few system calls; what fails here ends the process with a sentence
 *   loop        link.c takes messages; SPARE, then ACTIVE; the heartbeat comes from this loop and no thread
 *   orphan      the master is gone: the process goes on serving until SIGTERM or until a new master takes over
 *   draining    DRAIN or SIGTERM: the role finishes what it has and calls worker_exit
 */
#ifndef GH_WORKER_WORKER_H
#define GH_WORKER_WORKER_H

#include "shared/base/log.h"
#include "shared/board/board.h"
#include "shared/ipc/ipc.h"
#include "worker/role.h"

#include <uv.h>

/* A listening socket as the master told it; the descriptor here is a duplicate of the role's, kept for a new
 * master. */
struct worker_listener {
    uint64_t bind_id;
    uint16_t port, datagram;
    uint32_t family;
    char *address;
    int fd;
};

struct link_message;

/* The master's end of the world. Private to link.c. */
struct link {
    int fd;                    /* -1 while orphaned */
    uv_poll_t *poll;           /* of fd */
    uv_poll_t *rescue_poll;    /* of rescue_fd, while orphaned */
    int rescue_fd;             /* -1: none was given */
    uint32_t master_uid;       /* of the process that made the link */
    bool rescued;              /* fd leads to a new master: only DRAIN comes, nothing is answered */
    struct link_message *out_first, **out_last; /* not yet taken by the socket */
    size_t n_out;
    struct worker_listener *listeners;
    size_t n_listeners, cap_listeners;
};

struct heart {
    uv_timer_t timer;
    uv_prepare_t turn;
    int statm;                 /* /proc/self/statm, or -1 */
    uint64_t cpu_us;           /* reported so far */
    unsigned beats;
};

struct worker {
    uv_loop_t loop;
    struct log log;
    const struct role *role;
    void *role_state;          /* of the role's file */
    struct board *board;
    struct board_proc *me;
    struct ipc_hello hello;
    struct buf settings;       /* text of HELLO (shared/ipc/text.h) */
    struct link link;
    struct heart heart;
    uv_signal_t sigterm, sigquit;
    enum board_state state;
    bool orphan;
    int exit_code;
};

/* --- main.c --- */

/* Ends the loop; main returns `code`. For the role when it has drained, and for what cannot go on. */
void worker_exit(struct worker *w, int code);
/* Appends a setting of HELLO to `value`; false when the master said nothing. */
bool worker_setting(const struct worker *w, const char *key, struct buf *value);
void worker_set_state(struct worker *w, enum board_state state);
/* Which generation this process serves, on the board. */
void worker_set_generation(struct worker *w, uint64_t generation);

/* --- heart.c --- */
void heart_start(struct worker *w); /* before the sandbox */
void heart_stop(struct worker *w);

/* --- drain.c --- */

/* Begins to finish; once. `deadline_ms` is monotonic. */
void worker_drain(struct worker *w, uint64_t deadline_ms);
/* SIGTERM drains with the time of HELLO, SIGQUIT ends at once; the other signals of a terminal are the master's. */
int worker_signals(struct worker *w);
void worker_signals_stop(struct worker *w);

/* --- link.c --- */
int link_start(struct worker *w);   /* takes over IPC_FD_LINK */
void link_stop(struct worker *w);
/* Sends m (descriptors stay the caller's), or keeps a copy until the socket takes it; nothing while orphaned. */
void link_send(struct worker *w, const struct ipc_msg *m);
void link_send_state(struct worker *w, enum board_state state);
void link_send_ack(struct worker *w, uint64_t generation, int result, struct str why);
void link_send_active(struct worker *w, uint64_t generation);
/* Remembers a duplicate for a new master; false: memory or descriptors. */
bool link_listener_keep(struct worker *w, const struct ipc_msg *m);
void link_listener_forget(struct worker *w, uint64_t bind_id);
void link_listeners_forget(struct worker *w); /* all */

/* The i-th descriptor of a message, which is the caller's from then on; -1 when there is none. */
static inline int link_take_fd(struct ipc_msg *m, size_t i)
{
    int fd = i < m->n_fds ? m->fds[i] : -1;
    if (i < m->n_fds)
        m->fds[i] = -1;
    return fd;
}

#endif
