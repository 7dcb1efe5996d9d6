/*
 * supervise.h - the children: how many there should be, what each is doing, what to do when that changes.
 *
 *                 spawn             STATE(SPARE)            a place is free
 *      (nothing) ───────► STARTING ──────────────► READY ───────────────────► ACTIVE
 *                            │                       │                           │
 *                            │ says nothing in time, │  drain (stop, too many)   │
 *                            │ stuck, or talks       ▼                           │
 *                            │ rubbish            DRAINING ◄─────────────────────┘
 *                            ▼                       │ stuck, too late
 *                          ENDING ◄──────────────────┘          exit (from anywhere): GONE, row reset, counted
 *                    SIGABRT, then SIGKILL
 *
 * The table of states and events (child_step), the back-off and the arithmetic of places (role_plan) are pure functions,
 * tested without processes.
 *
 * Rules
 *  1. A child that was ready and is ENDING does not count any more: its place is filled at once, by the warm spare if
 *     there is one.
 *  2. A process that dies before it is ready, or within a second, is a failure of its role: the next start waits, 0.1 s
 *     doubling to 5 s, for ever. Several deaths of processes that were started together are one failure. A process
 *     that lived longer is replaced without delay.
 *  3. A child is stuck when the board shows no heartbeat for 2 s; while it owes an answer, for its `patience_ms`. If this
 *     process itself did not run for a while (a stopped machine), everybody gets 2 s more.
 *  4. A child's words are input: wrong words end its link, and the child.
 */
#ifndef GH_MASTER_SUPERVISE_H
#define GH_MASTER_SUPERVISE_H

#include "master/link.h"
#include "shared/board/board.h"

#define CHILD_START_MS     20000 /* from exec to ready */
#define CHILD_STUCK_MS     2000
#define CHILD_ANSWER_MS    10000 /* to an offer (then the offer is taken back), to a commit */
#define CHILD_SILENT_MS    12000 /* heartbeat, while it starts; the most that patience can be */
#define CHILD_ABORT_MS     300   /* from SIGABRT to SIGKILL */
#define CHILD_LATE_MS      2000  /* past its drain deadline */
#define CHILD_QUICK_MS     1000
#define BACKOFF_FIRST_MS   100
#define BACKOFF_LAST_MS    5000

enum child_state {
    CHILD_STARTING,
    CHILD_READY,
    CHILD_ACTIVE,
    CHILD_DRAINING,
    CHILD_ENDING,
    CHILD_GONE,
    CHILD_STATE_COUNT
};
enum child_event {
    EV_READY,   /* it said STATE(PROC_SPARE) */
    EV_PROMOTE, /* there is a place for it */
    EV_DRAIN,   /* it is to finish */
    EV_STUCK,   /* no heartbeat, or no answer */
    EV_BROKEN,  /* its link ended, or it talked rubbish */
    EV_TIMEOUT, /* the deadline of the state passed */
    EV_EXIT,    /* waitpid says so */
    EV_COUNT
};
enum child_act { ACT_NONE, ACT_PROMOTE, ACT_DRAIN, ACT_ABORT, ACT_KILL, ACT_BURY };

struct child_step {
    enum child_state next;
    enum child_act act;
};
struct child_step child_step(enum child_state state, enum child_event event);

/* Rule 2. Zero-initialise. */
struct backoff {
    uint32_t failures;
    uint64_t since_ms;      /* of the last failure that counted */
    uint64_t not_before_ms;
};
/* A process of the role died by itself; ready_ms = 0: it never was. */
void backoff_died(struct backoff *b, uint64_t spawned_ms, uint64_t ready_ms, uint64_t now_ms);

struct role_counts {
    uint32_t wanted, spares;          /* of active ones; of ready ones beside them */
    uint32_t active, ready, starting;
};
struct role_plan {
    uint32_t promote, start, drain_active, drain_waiting; /* waiting: ready or starting */
};
struct role_plan role_plan(const struct role_counts *c);

/* ---- processes ---- */

struct master;

/* What a role is and may be told. */
struct role {
    enum board_role role;
    const char *word;
    uint32_t spares;
    bool traffic;  /* gets the listening sockets and the access log */
    bool operators; /* gets the admin sockets, STATUS, NOTE; may order */
};

/* Owned by the supervisor's list; freed when it is reaped and its link closed. */
struct child {
    struct list node;
    struct master *m;
    const struct role *role;
    enum child_state state;
    pid_t pid;
    uint32_t row;
    struct link link;
    bool link_closed, reaped, told_to_end; /* told: its end is no crash */
    bool hung;             /* and is ended for it */
    bool counted;          /* as a failure of its role (rule 2) */
    enum board_state said; /* what it last said of itself */
    uint64_t spawned_ms, ready_ms, deadline_ms; /* deadline of the state; UINT64_MAX = none */
    uint64_t answer_ms;    /* an answer is due then; 0 = none is */
    uint64_t patience_ms;  /* without a heartbeat, until that answer */
    uint64_t told;         /* generation it was told to commit */
    uint64_t active;       /* generation it says it serves */
    uint64_t offered;      /* generation offered and not decided yet; 0 = none */
    bool acked;
    uint64_t told_status;  /* operators: reload.status_serial of the status it has */
    struct told_listener { uint64_t bind_id; uint16_t number; } *listeners; /* that it has */
    size_t n_listeners, cap_listeners;
    uint64_t drain_ms;     /* told to be done by then */
};

struct supervisor {
    struct list children;
    struct backoff backoff[ROLE_ADMIN + 1];
    uint64_t tick_ms, grace_ms; /* rule 3 */
    bool stopping;         /* nobody is started or promoted any more */
    bool reconciling;
};

void supervise_init(struct supervisor *s);
/* Starts, promotes and drains until everything is as it should be (role_plan). */
void supervise_reconcile(struct master *m);
/* Deadlines and heartbeats; called every 100 ms. */
void supervise_tick(struct master *m, uint64_t now_ms);
/* waitpid found `pid`; false when it is no child of the supervisor. */
bool supervise_reaped(struct master *m, pid_t pid, int status);
void supervise_event(struct child *c, enum child_event e);

/* A child's answers came: supervise tells the transaction. */
uint32_t supervise_count(const struct master *m, enum board_role role, enum child_state state);
struct child *supervise_spare(struct master *m); /* a worker that is ready, not active, has what it began with; NULL */
bool supervise_any_worker(const struct master *m); /* lives, or may soon */
bool supervise_none_left(const struct master *m, enum board_role role); /* ROLE_NONE: of any role */

/* Everyone of a role (ROLE_NONE: all): drain by `deadline_ms`. */
void supervise_drain(struct master *m, enum board_role role, uint64_t deadline_ms);
void supervise_kill_all(struct master *m);

#define CHILD_OF(n) LIST_ITEM(n, struct child, node)

/* ---- spawn.c ---- */

/* fork and exec of the worker program with its end of the link and the board at their numbers (ipc.h) and nothing
 * else but stderr. The pid and the master's end of the link, or -1 and errno. */
pid_t spawn_worker(const struct master *m, const struct role *role, int *link_fd);

/* ---- tell.c: messages to a child ---- */

void tell_hello(struct child *c);
/* Every listening socket of `c`'s role that it does not have yet. Returns how many it has then. */
uint32_t tell_listeners(struct child *c);
void tell_listener_gone(struct child *c, uint64_t bind_id);
void tell_log(struct child *c);
void tell_note(struct child *c, uint64_t generation, uint64_t wall_us, int result, const char *why);

#endif
