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

void h2_budget_init(struct h2_budget *b, uint16_t scale, uint64_t now_ms)
{
    *b = (struct h2_budget){
        .points = H2_BUDGET_POINTS * scale,
        .scale = scale,
        .window_free = 64,
        .ping_free = true,
        .mark_ms = now_ms,
    };
}

static void add(struct h2_budget *b, uint64_t points)
{
    uint64_t n = b->points + points, max = (uint64_t)H2_BUDGET_POINTS * b->scale;
    b->points = (uint32_t)GH_MIN(n, max);
}

/* What time has given back. What is less than a point stays for the next time. */
static void refill(struct h2_budget *b, uint64_t now_ms)
{
    const uint64_t rate = (uint64_t)H2_BUDGET_PER_SECOND * b->scale, full = 1000 * H2_BUDGET_POINTS / H2_BUDGET_PER_SECOND + 1;
    uint64_t dt = now_ms - b->mark_ms, earned;
    if (dt >= full) {
        b->mark_ms = now_ms;
        add(b, (uint64_t)H2_BUDGET_POINTS * b->scale);
        return;
    }
    earned = dt * rate / 1000;
    b->mark_ms += earned * 1000 / rate;
    add(b, earned);
}

bool h2_budget_spend(struct h2_budget *b, enum h2_glitch g, uint32_t times, uint64_t now_ms)
{
    uint32_t cost = COST[g] * times;
    if (g == H2_GLITCH_ping && b->ping_free) {
        b->ping_free = false;
        return true;
    }
    if ((g == H2_GLITCH_window || g == H2_GLITCH_priority) && b->window_free) {
        b->window_free--;
        return true;
    }
    refill(b, now_ms);
    if (b->points < cost) {
        b->points = 0;
        return false;
    }
    b->points -= cost;
    return true;
}

void h2_budget_done(struct h2_budget *b)
{
    add(b, H2_BUDGET_DONE);
}
