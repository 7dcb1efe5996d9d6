#include "worker/codec/h2_budget.h"

const char *const h2_glitch_text[H2_GLITCH_COUNT] = {
#define X(id, cost, text) text,
#include "worker/codec/h2_glitch.def"
#undef X
};

static const uint8_t COST[H2_GLITCH_COUNT] = {
#define X(id, cost, text) (cost),
#include "worker/codec/h2_glitch.def"
#undef X
};

static uint32_t most(const struct h2_budget *b)
{
    return 1000 * H2_BUDGET_POINTS * b->scale;
}

void h2_budget_init(struct h2_budget *b, uint16_t scale, uint64_t now_ms)
{
    *b = (struct h2_budget){.scale = scale, .window_free = 64, .ping_free = true, .mark_ms = now_ms};
    b->milli = most(b);
}

static void add(struct h2_budget *b, uint64_t milli)
{
    b->milli = (uint32_t)GH_MIN(b->milli + milli, (uint64_t)most(b));
}

/* What time has given back. */
static void refill(struct h2_budget *b, uint64_t now_ms)
{
    uint64_t dt = GH_MIN(now_ms - b->mark_ms, UINT64_C(3600000));
    b->mark_ms = now_ms;
    add(b, dt * H2_BUDGET_PER_SECOND * b->scale);
}

bool h2_budget_spend(struct h2_budget *b, enum h2_glitch g, uint32_t times, uint64_t now_ms)
{
    uint32_t cost = 1000u * COST[g] * times;
    if (g == H2_GLITCH_ping && b->ping_free) {
        b->ping_free = false;
        return true;
    }
    if ((g == H2_GLITCH_window || g == H2_GLITCH_priority) && b->window_free) {
        b->window_free--;
        return true;
    }
    refill(b, now_ms);
    if (b->milli < cost) {
        b->milli = 0;
        return false;
    }
    b->milli -= cost;
    return true;
}

void h2_budget_done(struct h2_budget *b)
{
    add(b, 1000 * H2_BUDGET_DONE);
}
