#include "worker/net/timer.h"

/*
 * A timer with deadline d is filed on the lowest level whose 64 slots reach from now to d: level k has
 * slots of 2^(6k) ms and the slot number is (d >> 6k) & 63. When the wheel's time passes the beginning
 * of a slot of level k > 0, its timers are filed anew, lower down; a slot of level 0 is due.
 *
 * Invariants
 *  1. A timer in a slot of level k was filed with filed_ms = beginning of that slot > now_ms, and the
 *     beginnings of all slots in use of a level lie within one turn of it.
 *  2. A slot with timers has its bit in `used`; a bit without timers is harmless (timers leave by
 *     list_del, which can't clear it) and goes when the slot comes up.
 */

void timers_init(struct timers *w, uint64_t now_ms, void (*wake)(void *ctx, uint64_t at_ms), void *ctx)
{
    w->now_ms = now_ms;
    w->next_ms = UINT64_MAX;
    w->wake = wake;
    w->ctx = ctx;
    for (unsigned k = 0; k < TIMER_LEVELS; k++) {
        w->used[k] = 0;
        for (unsigned i = 0; i < TIMER_SLOTS; i++)
            list_init(&w->slots[k][i]);
    }
}

static void file(struct timers *w, struct timer *t)
{
    uint64_t at = t->deadline_ms > w->now_ms ? t->deadline_ms : w->now_ms + 1;
    unsigned k = 0;
    /* Level k serves as long as the slot's number is less than a whole turn ahead. */
    while (k < TIMER_LEVELS - 1 && (at >> (k * TIMER_BITS)) - (w->now_ms >> (k * TIMER_BITS)) >= TIMER_SLOTS)
        k++;
    uint64_t slot = at >> (k * TIMER_BITS);
    uint64_t last = (w->now_ms >> (k * TIMER_BITS)) + TIMER_SLOTS - 1;
    if (slot > last)
        slot = last; /* beyond the wheel: looked at again when that comes up */
    t->filed_ms = slot << (k * TIMER_BITS);
    list_del(&t->node);
    list_push(&w->slots[k][slot & (TIMER_SLOTS - 1)], &t->node);
    w->used[k] |= UINT64_C(1) << (slot & (TIMER_SLOTS - 1));
}

static void ask(struct timers *w, uint64_t at_ms)
{
    if (at_ms >= w->next_ms)
        return;
    w->next_ms = at_ms;
    w->wake(w->ctx, at_ms);
}

void timer_file(struct timers *w, struct timer *t)
{
    file(w, t);
    ask(w, t->filed_ms);
}

/* Beginning of the first slot in use of level k after now. */
static uint64_t level_next(const struct timers *w, unsigned k)
{
    if (!w->used[k])
        return UINT64_MAX;
    uint64_t now = w->now_ms >> (k * TIMER_BITS);
    unsigned first = (unsigned)(now + 1) & (TIMER_SLOTS - 1);
    uint64_t turned = first ? w->used[k] >> first | w->used[k] << (TIMER_SLOTS - first) : w->used[k];
    return (now + 1 + (unsigned)__builtin_ctzll(turned)) << (k * TIMER_BITS);
}

static uint64_t find_next(const struct timers *w)
{
    uint64_t next = UINT64_MAX;
    for (unsigned k = 0; k < TIMER_LEVELS; k++)
        next = GH_MIN(next, level_next(w, k));
    return next;
}

/* Moves the timers of all slots that begin at now_ms: due ones to `due`, the others further down. */
static void turn(struct timers *w, struct list *due)
{
    for (unsigned k = TIMER_LEVELS; k-- > 0;) {
        if (w->now_ms & ((UINT64_C(1) << (k * TIMER_BITS)) - 1))
            continue; /* no slot of this level begins now */
        unsigned i = (unsigned)(w->now_ms >> (k * TIMER_BITS)) & (TIMER_SLOTS - 1);
        w->used[k] &= ~(UINT64_C(1) << i);
        struct list *slot = &w->slots[k][i];
        while (!list_empty(slot)) {
            struct timer *t = LIST_ITEM(slot->next, struct timer, node);
            list_del(&t->node);
            if (!t->deadline_ms)
                continue; /* stopped meanwhile */
            if (t->deadline_ms <= w->now_ms)
                list_push(due, &t->node);
            else
                file(w, t);
        }
    }
}

unsigned timers_run(struct timers *w, uint64_t now_ms)
{
    struct list due;
    unsigned fired = 0;
    list_init(&due);
    for (uint64_t at; (at = find_next(w)) <= now_ms;) {
        w->now_ms = at;
        turn(w, &due);
    }
    w->now_ms = GH_MAX(w->now_ms, now_ms);
    while (!list_empty(&due)) {
        struct timer *t = LIST_ITEM(due.next, struct timer, node);
        list_del(&t->node);
        /* A callback before this one may have stopped it or moved it later. */
        if (!t->deadline_ms)
            continue;
        if (t->deadline_ms > w->now_ms) {
            file(w, t);
            continue;
        }
        t->deadline_ms = 0;
        t->fn(t);
        fired++;
    }
    w->next_ms = UINT64_MAX;
    uint64_t next = find_next(w);
    if (next != UINT64_MAX)
        ask(w, next);
    return fired;
}
