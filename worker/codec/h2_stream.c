/*
 * h2_stream.c - the life of a stream, and what the peer sends on it.
 */
#include "worker/codec/h2_internal.h"

#define TEXT_LENGTH "content and content-length differ"

/* --- the table ---------------------------------------------------------------------------------------- */

static struct h2_stream **slot_of(const struct h2_session *h, uint32_t id)
{
    return &h->slots[id / 2 % H2_SLOTS];
}

struct h2_stream *h2_find(const struct h2_session *h, uint32_t id)
{
    if (!h->slots)
        return NULL;
    struct h2_stream *st = *slot_of(h, id);
    while (st && st->id != id)
        st = st->next;
    return st;
}

bool h2_stream_enter(struct h2_stream *st, uint32_t id)
{
    struct h2_session *h = st->h;
    if (!h->slots) {
        h->slots = slab_get(&h->all->slots);
        if (!h->slots)
            return false;
        memset(h->slots, 0, h->all->slots.size); /* a size that the compiler does not know: libc's is quicker */
    }
    struct h2_stream **slot = slot_of(h, id);
    st->id = id;
    st->next = *slot;
    *slot = st;
    st->send_window = h->peer_window;
    st->recv_window = H2_STREAM_WINDOW;
    return true;
}

struct h2_stream *h2_stream_new(struct h2_session *h, uint32_t id, const struct stream_ops *ops)
{
    struct h2_stream *st = slab_get(&h->all->streams);
    if (!st)
        return NULL;
    memset(st, 0, h->all->streams.size);
    st->s.ops = ops;
    st->h = h;
    st->length = H2_LENGTH_OPEN;
    st->born_ms = (uint32_t)h->all->net->now_ms;
    list_init(&st->node);
    list_init(&st->turn);
    list_init(&st->later);
    list_init(&st->touched);
    if (id && !h2_stream_enter(st, id)) {
        slab_put(&h->all->streams, st);
        return NULL;
    }
    list_push(&h->streams, &st->node);
    h->n_streams++;
    h->all->net->gather.open += h->role->server;
    board_add(&h->all->net->count->h2_streams, 1);
    board_add(&h->all->net->count->h2_streams_active, 1);
    return st;
}

/* --- leaving --------------------------------------------------------------------------------------------- */

/* n bytes are held no longer. */
static void unhold(struct h2_session *h, uint32_t n)
{
    h->held -= n;
    if (h->owed && h->held <= H2_HELD_MAX) {
        uint32_t owed = h->owed;
        h->owed = 0;
        h2_give_back(h, owed);
    }
}

static void drop_held(struct h2_stream *st)
{
    uint32_t n = (uint32_t)st->held.n;
    if (!n)
        return;
    net_flush(st->h->all->net); /* slices may wait to be written */
    chunkq_clear(&st->held, &st->h->all->net->chunks);
    unhold(st->h, n);
}

static void drop_queue(struct h2_stream *st)
{
    struct chunk_pool *chunks = &st->h->all->net->chunks;
    if (!st->queue.n && !st->tail.n)
        return;
    net_flush(st->h->all->net);
    chunkq_clear(&st->queue, chunks);
    chunkq_clear(&st->tail, chunks);
    st->written = 0;
}

/* A block that is being decoded for it has nowhere to go. */
static void leave_block(struct h2_stream *st)
{
    struct h2_incoming *b = st->h->block;
    if (!b || b->st != st)
        return;
    b->st = NULL;
    b->d.arena = NULL;
}

void h2_stream_leave(struct h2_stream *st, enum h2_past how)
{
    struct h2_session *h = st->h;
    if (st->closed)
        return;
    st->closed = true;
    list_del(&st->node);
    list_del(&st->turn);
    list_del(&st->later);
    list_del(&st->touched);
    drop_held(st);
    drop_queue(st);
    leave_block(st);
    if (st->id) {
        struct h2_stream **at = slot_of(h, st->id);
        while (*at != st)
            at = &(*at)->next;
        *at = st->next;
        h2_past_set(h, st->id, how);
    }
    h->head_bytes -= st->head_bytes;
    h->n_streams--;
    h->all->net->gather.open -= h->role->server;
    board_add(&h->all->net->count->h2_streams_active, (uint64_t)-1);
    if (!h->n_streams && h->slots) {
        slab_put(&h->all->slots, h->slots);
        h->slots = NULL;
    }
    bool done = st->tx == H2_TX_SENT && how != H2_PAST_PEER_RESET;
    if (!st->s.user)
        slab_put(&h->all->streams, st);
    h->role->left(h, done);
}

void h2_stream_reset(struct h2_stream *st, enum h2_code code)
{
    if (st->closed)
        return;
    if (st->id)
        h2_write_rst(st->h, st->id, code);
    h2_stream_leave(st, H2_PAST_RESET);
}

static void reset_and_tell(struct h2_stream *st, enum h2_code code)
{
    struct h2_session *h = st->h;
    bool held = st->s.user;
    h2_stream_reset(st, code);
    if (held)
        h->role->reset(st, code, false);
}

void h2_stream_error(struct h2_stream *st, enum h2_code code, const char *text)
{
    log_debug(st->h->all->net->log, "h2: stream %u: %s", st->id, text ? text : h2_code_name(code));
    if (h2_glitch(st->h, H2_GLITCH_fault, 1))
        reset_and_tell(st, code);
}

void h2_stream_was_reset(struct h2_stream *st, enum h2_code code)
{
    struct h2_session *h = st->h;
    bool held = st->s.user;
    if (!h->role->server && st->rx == H2_RX_END) {
        /* It has said all and wants no more of the request (RFC 9113 8.1). */
        drop_queue(st);
        list_del(&st->turn);
        st->tx = H2_TX_SENT;
        if (!held)
            h2_stream_leave(st, H2_PAST_PEER_RESET);
        return;
    }
    h2_stream_leave(st, H2_PAST_PEER_RESET);
    if (held)
        h->role->reset(st, code, true);
}

void h2_stream_stop(struct h2_stream *st)
{
    if (st->id)
        h2_write_rst(st->h, st->id, (enum h2_code)st->abort_code);
    h2_stream_leave(st, H2_PAST_RESET);
}

/* All of the answer is written and nobody holds it: over, once the peer has said all, too. */
static void finish(struct h2_stream *st)
{
    if (st->closed || st->s.user || st->tx != H2_TX_SENT)
        return;
    if (st->rx == H2_RX_END)
        h2_stream_leave(st, H2_PAST_ENDED);
    else if ((st->s.flags & STREAM_F_TUNNEL) || st->got > H2_DISCARD_MAX)
        h2_stream_stop(st);
}

void h2_stream_sent(struct h2_stream *st)
{
    st->tx = H2_TX_SENT;
    finish(st);
}

void h2_stream_release(struct h2_stream *st, enum h2_code code)
{
    st->s.user = NULL;
    st->s.ev = NULL;
    st->s.arena = NULL;
    if (st->closed) {
        slab_put(&st->h->all->streams, st);
        return;
    }
    leave_block(st);
    list_del(&st->later);
    drop_held(st);
    bool all = st->h->role->server ? st->tx >= H2_TX_END : st->tx == H2_TX_SENT && st->rx == H2_RX_END;
    if (!all || st->abort_code) {
        h2_stream_reset(st, st->abort_code ? (enum h2_code)st->abort_code : code);
        return;
    }
    st->got = 0; /* of what nobody wants any more */
    finish(st);
}

/* --- content ------------------------------------------------------------------------------------------------- */

void h2_do_later(struct h2_stream *st)
{
    if (st->closed || !list_empty(&st->later))
        return;
    list_push(&st->h->later, &st->later);
    conn_kick(&st->h->c);
}

static void out_of_memory(struct h2_stream *st)
{
    reset_and_tell(st, H2_INTERNAL_ERROR);
}

static void hold(struct h2_stream *st, const char *data, size_t n)
{
    struct h2_session *h = st->h;
    if (!chunkq_add(&st->held, &h->all->net->chunks, data, n)) {
        h2_give_back(h, (uint32_t)n);
        out_of_memory(st);
        return;
    }
    h->held += (uint32_t)n;
    if (h->held > H2_HELD_MAX)
        h->owed += (uint32_t)n;
    else
        h2_give_back(h, (uint32_t)n);
}

static bool must_hold(const struct h2_stream *st)
{
    return st->paused || st->held.n || st->tunnel_wait;
}

void h2_stream_take(struct h2_stream *st, const char *data, size_t n, bool last)
{
    struct h2_session *h = st->h;
    st->got += (uint32_t)n;
    if (st->length != H2_LENGTH_OPEN) {
        if (n > st->length || (last && n != st->length)) {
            h2_give_back(h, (uint32_t)n);
            h2_stream_error(st, H2_PROTOCOL_ERROR, TEXT_LENGTH);
            return;
        }
        st->length -= n;
    }
    if (last)
        st->rx = H2_RX_END;
    if (st->s.user && must_hold(st)) {
        hold(st, data, n);
        return;
    }
    h2_give_back(h, (uint32_t)n);
    h2_stream_give_back(st, (uint32_t)n);
    if (!st->s.user) {
        finish(st);
        return;
    }
    st->end_told = last;
    st->s.ev->on_body(&st->s, data, n, last);
}

static void tell_end(struct h2_stream *st)
{
    st->end_told = true;
    if (st->n_trailers)
        st->s.ev->on_trailers(&st->s, st->trailers, st->n_trailers);
    else
        st->s.ev->on_body(&st->s, NULL, 0, true);
}

void h2_stream_take_end(struct h2_stream *st)
{
    if (st->length != H2_LENGTH_OPEN && st->length) {
        h2_stream_error(st, H2_PROTOCOL_ERROR, TEXT_LENGTH);
        return;
    }
    st->rx = H2_RX_END;
    if (!st->s.user)
        finish(st);
    else if (!st->held.n && !st->tunnel_wait)
        tell_end(st);
}

void h2_stream_take_trailers(struct h2_stream *st, struct h2_head *d)
{
    if (d->why == REASON_MEMORY) {
        out_of_memory(st);
    } else if (d->why != REASON_OK || (st->s.flags & STREAM_F_TUNNEL)) {
        h2_stream_error(st, H2_PROTOCOL_ERROR, d->text);
    } else {
        st->trailers = d->head.fields;
        st->n_trailers = d->head.n_fields;
        h2_stream_take_end(st);
    }
}

/* Gives what is held, as far as the exchange takes it. */
static void give_held(struct h2_stream *st)
{
    struct h2_session *h = st->h;
    uint32_t id = st->id;
    while (st->held.n && !st->paused && !st->tunnel_wait) {
        struct str front = chunkq_front(&st->held);
        bool last = st->rx == H2_RX_END && front.n == st->held.n && !st->n_trailers;
        st->end_told = last;
        h2_stream_give_back(st, (uint32_t)front.n);
        st->s.ev->on_body(&st->s, front.p, front.n, last);
        if (h->dead || h2_find(h, id) != st || !st->s.user)
            return;
        net_flush(h->all->net);
        chunkq_drop(&st->held, &h->all->net->chunks, front.n);
        unhold(h, (uint32_t)front.n);
    }
    if (!st->held.n && !st->tunnel_wait && st->rx == H2_RX_END && !st->end_told)
        tell_end(st);
}

void h2_stream_give_all(struct h2_stream *st)
{
    struct h2_session *h = st->h;
    uint32_t id = st->id;
    do {
        st->paused = false;
        give_held(st);
    } while (h2_find(h, id) == st && st->s.user && st->held.n);
}

void h2_stream_later(struct h2_stream *st)
{
    if (st->fault)
        reset_and_tell(st, (enum h2_code)st->fault);
    else if (st->s.user)
        give_held(st);
}

void h2_op_pause(struct stream *s)
{
    CONTAINER_OF(s, struct h2_stream, s)->paused = true;
}

void h2_op_resume(struct stream *s)
{
    struct h2_stream *st = CONTAINER_OF(s, struct h2_stream, s);
    st->paused = false;
    if (st->held.n || (st->rx == H2_RX_END && !st->end_told))
        h2_do_later(st);
}

void h2_op_abort(struct stream *s)
{
    struct h2_stream *st = CONTAINER_OF(s, struct h2_stream, s);
    if (!st->abort_code)
        st->abort_code = st->h->role->server ? H2_INTERNAL_ERROR : H2_CANCEL;
}

bool h2_pay(int32_t *credit_ms, uint64_t dt_ms, uint64_t bytes, uint32_t rate, uint32_t grace_ms)
{
    if (!rate)
        return true;
    uint64_t earned = bytes > UINT64_C(1) << 40 ? UINT32_MAX : bytes * 1000 / rate;
    int64_t left = *credit_ms + (int64_t)GH_MIN(earned, (uint64_t)INT32_MAX) - (int64_t)dt_ms;
    *credit_ms = (int32_t)GH_MIN(left, (int64_t)grace_ms);
    return left > 0;
}
