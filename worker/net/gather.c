#include "worker/net/gather.h"

/* Did the last wait bring what was hoped for? */
static void judge(struct gather *g)
{
    if (g->moved >= GATHER_LEAST)
        g->vain = 0;
    else if (g->vain < GATHER_VAIN_MAX)
        g->vain++;
    g->spare = g->vain ? (uint8_t)(1u << (g->vain - 1)) : 0;
}

uint32_t gather_wait(struct gather *g, uint64_t began_ns, uint64_t now_ns)
{
    uint64_t gone = now_ns - began_ns;
    if (g->waited)
        judge(g);
    g->moved = 0;
    g->waited = !g->spare && gone < GATHER_NS;
    if (g->spare)
        g->spare--;
    return g->waited ? (uint32_t)(GATHER_NS - gone) : 0;
}

bool gather_hold(struct gather *g, uint64_t began_ns, uint64_t now_ns)
{
    uint64_t took = now_ns - began_ns;
    g->held = !g->held && took >= GATHER_HOLD_MIN && took <= GATHER_HOLD_MAX;
    return g->held;
}
