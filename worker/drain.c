/*
 * drain.c - how a process ends in good order: told by the master, or by a signal when there is none.
 */
#include "shared/base/clock.h"
#include "worker/worker.h"

#include <signal.h>

void worker_drain(struct worker *w, uint64_t deadline_ms)
{
    if (w->state == PROC_DRAINING)
        return;
    bool spare = w->state != PROC_ACTIVE;
    worker_set_state(w, PROC_DRAINING);
    if (spare) { /* it never served anybody */
        worker_exit(w, 0);
        return;
    }
    w->role->drain(w, deadline_ms);
    link_listeners_forget(w); /* no new master will ask for them; until they are closed, clients would wait there in vain */
}

static void on_signal(uv_signal_t *s, int number)
{
    struct worker *w = s->data;
    if (number == SIGTERM)
        worker_drain(w, clock_ms() + w->hello.drain_ms);
    else
        worker_exit(w, 0);
}

int worker_signals(struct worker *w)
{
    /* A terminal sends these to the whole group; what they mean is the master's business. */
    static const int ignored[] = {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    uv_signal_init(&w->loop, &w->sigterm);
    uv_signal_init(&w->loop, &w->sigquit);
    w->sigterm.data = w->sigquit.data = w;
    int rc = uv_signal_start(&w->sigterm, on_signal, SIGTERM);
    return rc ? rc : uv_signal_start(&w->sigquit, on_signal, SIGQUIT);
}

void worker_signals_stop(struct worker *w)
{
    uv_close((uv_handle_t *)&w->sigterm, NULL);
    uv_close((uv_handle_t *)&w->sigquit, NULL);
}
