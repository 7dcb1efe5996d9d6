/*
 * heart.c - the heartbeat, and what a process reports about itself. All of it comes from the loop: a loop that
 * is stuck stops beating, and the master replaces the process.
 */
#include "shared/base/clock.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BEAT_MS      250
#define REPORT_BEATS 4 /* processor time and memory: once a second */

static void report(struct worker *w)
{
    struct rusage u;
    char text[128];
    if (getrusage(RUSAGE_SELF, &u) == 0) {
        uint64_t us = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
                      (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
        board_add(&w->me->counters.cpu_us, us - w->heart.cpu_us);
        w->heart.cpu_us = us;
    }
    ssize_t n = w->heart.statm < 0 ? -1 : pread(w->heart.statm, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return;
    text[n] = '\0'; /* "size resident shared ...", in pages */
    char *resident = strchr(text, ' ');
    if (resident)
        atomic_store_explicit(&w->me->counters.memory_bytes, strtoull(resident, NULL, 10) * 4096u,
                              memory_order_relaxed);
}

static void on_beat(uv_timer_t *t)
{
    struct worker *w = t->data;
    atomic_store(&w->me->heartbeat_ns, clock_ns());
    if (w->heart.beats++ % REPORT_BEATS == 0)
        report(w);
}

static void on_turn(uv_prepare_t *p)
{
    struct worker *w = p->data;
    board_add(&w->me->counters.loop_turns, 1);
}

void heart_start(struct worker *w)
{
    w->heart.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    uv_timer_init(&w->loop, &w->heart.timer);
    uv_prepare_init(&w->loop, &w->heart.turn);
    w->heart.timer.data = w->heart.turn.data = w;
    uv_prepare_start(&w->heart.turn, on_turn);
    uv_timer_start(&w->heart.timer, on_beat, 0, BEAT_MS);
    atomic_store(&w->me->heartbeat_ns, clock_ns());
}

void heart_stop(struct worker *w)
{
    uv_close((uv_handle_t *)&w->heart.timer, NULL);
    uv_close((uv_handle_t *)&w->heart.turn, NULL);
    if (w->heart.statm >= 0)
        close(w->heart.statm);
    w->heart.statm = -1;
}
