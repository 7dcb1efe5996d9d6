/*
 * master.h - the one struct of the process `gatehouse serve`, and who may touch what.
 *
 * It is made in serve.c, lives as long as the process, and is passed to everything in this folder. Each member belongs
 * to the file of its type; others read it.
 *
 *   serve.c      options, start, signals, orderly end          supervise.c  children, by table and arithmetic
 *   reload.c     the transaction of a change                   compiler.c   one attempt: a child that loads and compiles
 *   listen.c     sockets          watch.c     what changed     notify.c     systemd
 *   adopt.c      what is inherited from the master before      state.c      the last good state on disk
 */
#ifndef GH_MASTER_MASTER_H
#define GH_MASTER_MASTER_H

#include "master/adopt.h"
#include "master/compiler.h"
#include "master/listen.h"
#include "master/notify.h"
#include "master/privilege.h"
#include "master/reload.h"
#include "master/settings.h"
#include "master/supervise.h"
#include "master/upgrade.h"
#include "master/watch.h"

#define TICK_MS         100
#define LISTEN_RETRY_MS 5000
#define TICKETS_LOOK_MS 10000 /* is it time for a new key? */

/* What the command line said; NULL = not said. */
struct options {
    const char *config, *conf_dir, *state_dir, *run_dir, *worker;
};

enum master_phase { MASTER_RUNNING, MASTER_DRAINING, MASTER_LEAVING };

/* Sockets of operators. -1 = not open. */
struct admin_sockets {
    int tcp, un;
    char address[SETTING_TEXT_MAX]; /* of tcp, as it was wanted */
    bool complained;
    bool stored;            /* tcp is in the descriptor store */
};

enum { SIGNAL_HUP, SIGNAL_TERM, SIGNAL_INT, SIGNAL_QUIT, SIGNAL_USR1, SIGNAL_USR2, SIGNAL_CHLD, SIGNAL_COUNT };

struct master {
    uv_loop_t loop;
    struct log log;
    struct options options;
    struct settings settings;         /* in force; options laid over the file */
    const char *config;               /* instance file, NULL = none */
    char *worker_program, *program;   /* program: this one, as it was found at the start */
    char **argv;                      /* of the verb; main's begins one word earlier (upgrade.c) */
    struct identity identity;         /* of children */
    struct board *board;
    int board_fd, lock_fd, null_fd, log_fd;
    struct listen_set listeners;
    struct admin_sockets admin;
    struct supervisor supervisor;
    struct reload reload;
    struct watch watch;
    struct notify notify;
    struct list orphans;              /* adopt.c */
    bool board_stored;
    uint64_t stored_generation;
    pid_t saver;                      /* child that writes the state; 0 = none */
    bool save_again;
    struct {
        pid_t probe;                  /* child that is asked for its version; 0 = none */
        bool good;                    /* it answered: exec when nothing else runs */
        uint64_t until_ms;
    } upgrade;
    enum master_phase phase;
    bool was_ready;                   /* READY=1 was said */
    uint64_t listen_retry_ms;
    uint64_t tickets_ms;              /* when to look at the keys of session tickets again */
    uint64_t order;                   /* id of an IPC_REQUEST DRAIN to be answered */
    bool order_waits;
    uv_signal_t signals[SIGNAL_COUNT];
    uv_timer_t tick, watch_timer, watchdog;
    uv_poll_t *watch_poll;            /* of watch.fd; NULL = there is none */
    uint64_t began_ms;
    char not_live_said[256];          /* settings that were warned about */
};

/* ---- serve.c ---- */

int cmd_serve(int argc, char **argv);

/* Takes what the compiler found in the instance file. */
void master_settings(struct master *m, const char *text);
/* A transaction ended, well or not. */
void master_reloaded(struct master *m);
/* The children changed: ready to say READY, drained enough to leave? */
void master_children_changed(struct master *m);
/* Finish what runs, refuse the rest; then leave. Again: nothing. */
void master_drain(struct master *m);
void master_stop_now(struct master *m);
/* Writes what reload.c holds to the disk, now or when the child that writes is done. */
void master_save_state(struct master *m);
/* An order of an operator, from the admin child `c`. */
void master_ordered(struct master *m, struct child *c, const struct ipc_msg *msg);
/* Answers order `id`; `text` is a JSON object. */
void master_answer(struct master *m, uint64_t id, int result, const char *text);

#endif
