/*
 * gather.h - when a turn of the loop should begin a little later, or write a turn later, so that more leaves at a time. Pure.
 *
 * A turn that finds ten messages costs little more than one that finds one: one epoll_wait, one sleep and waking, and on
 * connections that carry many requests (HTTP/2) one write. But a loop that is not at its limit wakes up for each of them. So,
 * while many requests, tunnels or relays are under way, turns begin at least GATHER_NS apart, as network cards
 * do it with interrupts. Nobody waits behind a lull, nor when there is so much to do that turns take as long by
 * themselves. A wait that brought next to nothing (a dialogue beside many that rest) is followed by turns
 * without one, twice as many each time. Where turns are long by themselves, every second one writes for both: it begins at
 * once, so what waits waits for others' work, never for nothing.
 */
#ifndef GH_NET_GATHER_H
#define GH_NET_GATHER_H

#include "shared/base/base.h"

#define GATHER_NS       100000u /* between the beginnings of two turns (and what the kernel's timers add: 50 us) */
#define GATHER_HOLD_MIN 50000u  /* turns that took less are kept apart instead */
#define GATHER_HOLD_MAX 500000u /* ... and more: what they brought is not to wait */
#define GATHER_OPEN     32u     /* requests, tunnels and relays under way, from which on */
#define GATHER_LEAST    4u      /* pieces that a wait must bring, not to be in vain */
#define GATHER_VAIN_MAX 7u

/* Zeroed at first. `open` is kept by the codecs and the relay, `moved` by the loop and, where one event is several, by HTTP/2. */
struct gather {
    uint32_t open;  /* requests under way, and relays of bytes */
    uint32_t moved; /* descriptors that were ready; heads and pieces of content of HTTP/2 that came or went */
    uint8_t vain;   /* waits in a row that were in vain */
    uint8_t spare;  /* turns to come that don't wait: 1, 2, 4 ... 64 behind a wait in vain */
    bool waited;    /* before this turn */
    bool held;      /* this turn writes for the one before, too */
};

/* Between two turns, while there are many; the one before began at `began_ns`: nanoseconds to wait. */
uint32_t gather_wait(struct gather *g, uint64_t began_ns, uint64_t now_ns);
/* At the end of a turn: should the next one write for it? */
bool gather_hold(struct gather *g, uint64_t began_ns, uint64_t now_ns);

static inline bool gather_many(const struct gather *g)
{
    return g->open >= GATHER_OPEN;
}

#endif
