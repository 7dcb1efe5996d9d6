/*
 * timer.h - deadlines in milliseconds: a hierarchical wheel driven by one uv_timer.
 *
 * Made for timers that nearly always move later and hardly ever fire (idle, header, body, answer).
 * Moving a deadline later, or stopping it, only writes the deadline: the timer stays filed where it is
 * and is filed anew when that slot comes up. Only moving it earlier touches the wheel.
 *
 *   level 0   64 slots of 1 ms      level 2   64 slots of 4.096 s
 *   level 1   64 slots of 64 ms     level 3   64 slots of 262 s (4.6 h; what is later waits in its last slot)
 *
 * A timer fires not before its deadline and, in an idle loop, about a millisecond after it. Deadlines
 * are monotonic (clock_ms); a jump of the wall clock does nothing. Due timers are moved to a list of
 * their own first, so a callback may set, stop or free any timer, its own included.
 */
#ifndef GH_NET_TIMER_H
#define GH_NET_TIMER_H

#include "shared/base/list.h"

#define TIMER_LEVELS 4
#define TIMER_BITS   6
#define TIMER_SLOTS  (1u << TIMER_BITS)

struct timer;
typedef void timer_fn(struct timer *t);

/* 40 bytes; embedded in what it belongs to. timer_init before anything else, timer_close before the
 * memory goes. */
struct timer {
    struct list node;     /* in a slot of the wheel, or alone */
    uint64_t deadline_ms; /* 0 = off */
    uint64_t filed_ms;    /* when the slot it is filed in comes up; valid while it is in one */
    timer_fn *fn;
};

/* Owned by struct net. `now_ms` advances only in timers_run. */
struct timers {
    uint64_t now_ms;      /* everything before this has fired */
    uint64_t used[TIMER_LEVELS]; /* bit per slot that may hold timers */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    uint64_t next_ms;     /* when the next slot comes up, which `wake` was asked for; UINT64_MAX = the wheel is empty */
    /* Asks for a call of timers_run at `at_ms`; an earlier wish replaces a later one. */
    void (*wake)(void *ctx, uint64_t at_ms);
    void *ctx;
};

void timers_init(struct timers *w, uint64_t now_ms, void (*wake)(void *ctx, uint64_t at_ms), void *ctx);
/* Fires what is due at `now_ms` and asks for the next call. Returns how many fired. */
unsigned timers_run(struct timers *w, uint64_t now_ms);
/* When the next slot comes up; UINT64_MAX when the wheel is empty. Not from within a timer's function. */
static inline uint64_t timers_next(const struct timers *w)
{
    return w->next_ms;
}

static inline void timer_init(struct timer *t, timer_fn *fn)
{
    list_init(&t->node);
    t->deadline_ms = t->filed_ms = 0;
    t->fn = fn;
}
void timer_file(struct timers *w, struct timer *t); /* private to timer_set */
/* Absolute; a deadline in the past fires at the next turn. 0 stops it. */
static inline void timer_set(struct timers *w, struct timer *t, uint64_t deadline_ms)
{
    t->deadline_ms = deadline_ms;
    if (deadline_ms && (list_empty(&t->node) || deadline_ms < t->filed_ms))
        timer_file(w, t);
}
static inline void timer_stop(struct timer *t)
{
    t->deadline_ms = 0;
}
static inline bool timer_is_set(const struct timer *t)
{
    return t->deadline_ms != 0;
}
/* Out of the wheel for good. */
static inline void timer_close(struct timer *t)
{
    t->deadline_ms = 0;
    list_del(&t->node);
}

#endif
