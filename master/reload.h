/*
 * reload.h - a change of configuration as a transaction.
 *
 *           wanted                 MADE              all said yes       all serve it, RESULT     the admin too
 *   IDLE ──────────► COMPILING ──────────► OFFERED ──────────────► COMMITTED ───────────► PUBLISHING ─────► IDLE
 *     ▲                  │ no result,         │ one refused, or
 *     │                  │ nothing new        │ was silent: WITHDRAW
 *     └──────────────────┴────────────────────┘
 *
 * Rules
 *  1. Wishes are coalesced: one that comes while a transaction runs starts the next one. Who ordered a reload gets its
 *     answer from a transaction that began after the order.
 *  2. Until COMMIT everything can be taken back, and is: offered snapshots, sockets opened for it. After COMMIT nothing can:
 *     who does not follow is killed, and its replacement begins with the new generation.
 *  3. A child that dies does not hold a transaction up. One that starts meanwhile begins with the committed generation
 *     and joins the offer when it is ready.
 *  4. The admin hears of a generation last, so that a status never says "programmed" too early. Workers don't wait for
 *     its records (status and state, half of a load's work): those of the generation before stand in until they are
 *     there. A compiler that dies over them after COMMIT costs another load.
 *  5. When nothing would change for the workers (equal content hash) there is no new generation; the status is renewed.
 *  6. A lost configuration directory is no reload: what is served stays (watch.h, rule 3).
 *  7. The warm spare is offered a generation before the others: a snapshot that kills its reader kills nobody who
 *     serves. Who dies unanswered beside others that said yes is taken for chance, two or all are not. Who hangs is
 *     ended, sooner the quicker the compiler was with the same objects, and counts as dead.
 *  8. Nothing is committed that no worker has looked at; at a start the first one is waited for. Only a child that
 *     serves what it began with is asked, so that no offer is blamed for what the generation before did. When that one
 *     lets no worker live, the new one is committed unseen: it may be the remedy, and there is nobody to harm.
 */
#ifndef GH_MASTER_RELOAD_H
#define GH_MASTER_RELOAD_H

#include "master/compiler.h"
#include "master/supervise.h"

#define RELOAD_RETRY_FIRST_MS 1000  /* after an attempt that crashed */
#define RELOAD_RETRY_LAST_MS  60000

enum reload_phase { RELOAD_IDLE, RELOAD_COMPILING, RELOAD_OFFERED, RELOAD_COMMITTED, RELOAD_PUBLISHING };

/* Orders that wait for the next transaction, or for this one. */
struct reload_order {
    uint64_t id;
    bool begun;
};
#define RELOAD_ORDERS_MAX 64

struct reload {
    enum reload_phase phase;
    bool wanted;
    char why[64];                  /* the first wish that is not begun */
    struct images current;         /* committed; generation 0 = none */
    struct images next;
    struct compiler *compiler;     /* of this transaction; from OFFERED on: its records are still being written */
    struct list compilers;         /* all whose process or link is still there (compiler.c) */
    struct child *canary;          /* rule 7: its answer is waited for before the others are asked; NULL = asked */
    uint32_t died;                 /* since the offer, without an answer */
    uint32_t unsettled_died;       /* workers, since the offer, before they served what they began with (rule 8) */
    bool looked;                   /* a worker said yes */
    uint64_t look_ms;              /* who looks at `next` may be without a heartbeat for so long (rule 7) */
    uint64_t status_serial;        /* of current.status */
    bool status_only;              /* rule 5 */
    bool unrecorded;               /* rule 4: it was committed, its records never came */
    uint64_t generation;           /* highest number ever given */
    uint64_t began_ms;
    bool tried;                    /* a first attempt has ended, however */
    uint32_t crashes;              /* attempts in a row without a result */
    uint64_t retry_ms;             /* when to try again after them; 0 = not */
    bool failed;                   /* the last change is not served */
    int note_result;
    uint64_t note_wall_us;
    char note[512];                /* why; "" = it is */
    struct reload_order orders[RELOAD_ORDERS_MAX];
    size_t n_orders;
};

void reload_init(struct reload *r);
void reload_fini(struct reload *r);
/* Load, as soon as no other transaction runs. */
void reload_want(struct master *m, const char *why);
/* As reload_want, and answer IPC_REQUEST `id` when it is done. */
void reload_order(struct master *m, uint64_t id);
void reload_tick(struct master *m, uint64_t now_ms);
/* Stops a transaction that has not committed; for the end of the process. */
void reload_abort(struct master *m);

/* ---- for compiler.c and supervise.c ---- */
/* A generation without its records, which follow with reload_compiled. Takes the descriptors. */
void reload_made(struct master *m, struct images *made);
void reload_compiled(struct master *m, struct compiled *c);
/* What a child begins with: the committed generation, if there is one. */
void reload_tell_new_child(struct child *c);
/* It became ready: what it missed meanwhile. */
void reload_child_ready(struct child *c);
void reload_child_gone(struct child *c);
/* It was offered a generation, lives, and says nothing for CHILD_ANSWER_MS: the change is refused. */
void reload_silent(struct child *c);
void reload_ack(struct child *c, uint64_t generation, int result, const char *why);
void reload_active(struct child *c, uint64_t generation);

#endif
