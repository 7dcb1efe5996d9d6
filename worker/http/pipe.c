#include "worker/http/pipe.h"

void pipe_init(struct pipe *p, struct net *n, struct stream *from, size_t limit, size_t replay_limit)
{
    *p = (struct pipe){.net = n, .from = from, .limit = limit, .replay_limit = replay_limit, .replay = true};
}

static void hold_client(struct pipe *p)
{
    bool hold = p->to_full || p->kept.n - p->given > p->limit;
    if (hold == p->paused || !p->from)
        return;
    p->paused = hold;
    if (hold)
        p->from->ops->pause(p->from);
    else
        p->from->ops->resume(p->from);
}

/* Nothing before `given` is needed any more. */
static void forget(struct pipe *p)
{
    p->replay = false;
    if (!p->given)
        return;
    net_flush(p->net); /* slices of it may wait to be written */
    chunkq_drop(&p->kept, &p->net->chunks, p->given);
    p->given = 0;
}

static void give_end(struct pipe *p)
{
    if (!p->end || p->end_given || !p->to || p->given < p->kept.n)
        return;
    p->end_given = true;
    if (p->n_trailers)
        p->to->ops->send_trailers(p->to, p->trailers, p->n_trailers);
    else
        p->to->ops->send_body(p->to, NULL, 0, true);
}

/* Hands what is kept to the try, piece by piece. */
static void give_kept(struct pipe *p)
{
    size_t skip = p->given;
    for (struct chunk *c = p->kept.first; c && p->to && !p->to_full; c = c->next) {
        size_t n = c->to - c->from;
        if (skip >= n) {
            skip -= n;
            continue;
        }
        p->given += n - skip;
        p->to_full = p->to->ops->send_body(p->to, c->data + c->from + skip, n - skip, false);
        skip = 0;
    }
    if (!p->replay)
        forget(p);
}

static bool keep(struct pipe *p, const char *data, size_t n)
{
    return chunkq_add(&p->kept, &p->net->chunks, data, n);
}

bool pipe_take(struct pipe *p, const char *data, size_t n, bool end)
{
    p->taken += n;
    p->end = p->end || end;
    if (p->replay && p->taken > p->replay_limit && p->to)
        forget(p);
    bool through = p->to && p->given == p->kept.n && !p->end_given;
    if (n && (p->replay || !through) && !keep(p, data, n))
        return false;
    if (through && n) {
        bool last = end && !p->n_trailers;
        p->given += p->replay ? n : 0;
        p->end_given = last;
        p->to_full = p->to->ops->send_body(p->to, data, n, last);
    }
    give_end(p);
    hold_client(p);
    return true;
}

bool pipe_take_trailers(struct pipe *p, struct arena *a, const struct http_field *f, size_t n)
{
    p->trailers = arena_new_n(a, struct http_field, n);
    if (!p->trailers)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (f[i].flags & HEAD_F_SKIP)
            continue;
        struct str name = arena_str(a, f[i].name), value = arena_str(a, f[i].value);
        if (!name.p || !value.p)
            return false;
        p->trailers[p->n_trailers++] = (struct http_field){.name = name, .value = value, .id = f[i].id};
    }
    return pipe_take(p, NULL, 0, true);
}

void pipe_attach(struct pipe *p, struct stream *to)
{
    p->to = to;
    p->given = 0;
    p->to_full = false;
    p->end_given = false;
    if (p->replay && p->taken > p->replay_limit)
        p->replay = false;
    give_kept(p);
    give_end(p);
    hold_client(p);
}

void pipe_detach(struct pipe *p)
{
    p->to = NULL;
    p->to_full = false;
    hold_client(p);
}

void pipe_writable(struct pipe *p)
{
    p->to_full = false;
    give_kept(p);
    give_end(p);
    hold_client(p);
}

void pipe_commit(struct pipe *p)
{
    if (p->replay)
        forget(p);
}

void pipe_fini(struct pipe *p)
{
    if (p->kept.n) {
        net_flush(p->net);
        chunkq_clear(&p->kept, &p->net->chunks);
    }
    p->from = p->to = NULL;
}
