/*
 * h2_budget.h - how much nonsense one HTTP/2 connection may make. Pure.
 *
 * Nearly every attack on HTTP/2 is something allowed, done without end: resets, PING, SETTINGS, empty frames, tiny
 * windows. Each such thing (h2_glitch.def) costs points. A connection begins with all of them, gets them back with
 * time and with each request that was completed, and ends (GOAWAY, ENHANCE_YOUR_CALM) when it has none.
 *
 * Resets come from attackers and from browsers: a page full of images is left, a map with slow tiles is zoomed. A flood
 * resets what it has just asked for; a person's cancel comes after the request could be looked at. So a reset at once
 * (within H2_CANCEL_MS of the request, or of no stream) costs four times a later one: 250 in a burst and 33 in each
 * second for ever, and 1,000 and 132 of the others, whose number the limit of streams at a time bounds as well.
 *
 * Some frames are an answer to what we do, in honest numbers. These are free as far as we gave reason: a PING after
 * we sent content (clients measure the path so), window updates for the frames of content that we sent, and for
 * new streams.
 */
#ifndef GH_CODEC_H2_BUDGET_H
#define GH_CODEC_H2_BUDGET_H

#include "shared/base/base.h"

#define H2_BUDGET_POINTS     1000u
#define H2_BUDGET_PER_SECOND 132u
#define H2_BUDGET_DONE       4u    /* back for a completed request */
#define H2_BUDGET_FREE_MAX   4096u
#define H2_CANCEL_MS         10u
#define H2_RESET_AT_ONCE     4u

enum h2_glitch {
#define X(id, cost, text) H2_GLITCH_##id,
#include "worker/codec/h2_glitch.def"
#undef X
    H2_GLITCH_COUNT
};
extern const char *const h2_glitch_text[H2_GLITCH_COUNT];

struct h2_budget {
    uint32_t milli;         /* thousandths of points that are left, as of mark_ms */
    uint16_t scale;         /* times as many points, time and all: peers that we chose ourselves */
    uint16_t window_free;   /* WINDOW_UPDATE and PRIORITY that cost nothing */
    bool ping_free;
    uint64_t mark_ms;
};

void h2_budget_init(struct h2_budget *b, uint16_t scale, uint64_t now_ms);
/* `times` glitches of one kind, at most 1000. False: no points are left; the connection must end. */
bool h2_budget_spend(struct h2_budget *b, enum h2_glitch g, uint32_t times, uint64_t now_ms);
/* A request was answered in full. */
void h2_budget_done(struct h2_budget *b);
/* `frames` of content were sent. */
static inline void h2_budget_sent(struct h2_budget *b, uint32_t frames)
{
    uint32_t n = b->window_free + 4 * GH_MIN(frames, H2_BUDGET_FREE_MAX);
    b->window_free = (uint16_t)GH_MIN(n, H2_BUDGET_FREE_MAX);
    b->ping_free = true;
}
/* A stream was opened: its window is often made larger at once, or its priority said. */
static inline void h2_budget_opened(struct h2_budget *b)
{
    b->window_free = (uint16_t)GH_MIN(b->window_free + 4u, H2_BUDGET_FREE_MAX);
}

#endif
