/*
 * h2_send.c - what goes out: heads at once, content as windows and room allow, streams in turn.
 *
 * A stream with something to send is either in h->ready, or in h->starved (the connection's window is used up),
 * or in neither because its own window is. h2_pump serves h->ready, one frame for each in turn, until the
 * connection is full; conn_full then sees to it that h2_session_writable comes.
 */
#include "worker/codec/h2_internal.h"

#define TINY     256u          /* bytes: a smaller frame, with more behind it, is not worth sending */
#define COPY_MAX (4u * 1024)   /* a copy costs less than a system call */
#define LATE_MAX (16u * 1024)
#define HEAD_LEAST 512u        /* for less it is not worth trying */

/* --- bytes ------------------------------------------------------------------------------------------------- */

static void no_memory(struct h2_session *h)
{
    h->doom = H2_GLITCH_COUNT + 1;
    conn_kick(&h->c);
}

char *h2_room(struct h2_session *h, size_t n)
{
    char *p = h->dead ? NULL : conn_room(&h->c, n);
    if (!p && !h->dead)
        no_memory(h);
    return p;
}

static void give_late(struct h2_session *h)
{
    for (const struct chunk *c = h->late.first; c; c = c->next)
        conn_write(&h->c, c->data + c->from, c->to - c->from);
    chunkq_move(&h->given, &h->late);
}

void h2_session_flush(struct h2_session *h)
{
    give_late(h);
    if (!h->given.n)
        return;
    net_flush(h->all->net);
    chunkq_clear(&h->given, &h->all->net->chunks);
}

/* In front of what follows. The memory stays until the next kick; by then all is with the kernel, or copied. */
static void give_early(struct h2_session *h)
{
    if (!h->late.n)
        return;
    give_late(h);
    conn_kick(&h->c);
}

/* n bytes in one run behind those that wait for the end of the turn, where there is room; NULL: where there is none. */
static inline char *late_room(const struct h2_session *h, size_t n)
{
    struct chunk *c = h->late.last;
    bool fits = c && c->cap - c->to >= n && h->late.n + n <= LATE_MAX && !h->dead;
    return likely(fits) ? c->data + c->to : NULL;
}

/* The first n of them are written. Whoever began `late` has asked for the kick. */
static inline void late_used(struct h2_session *h, size_t n)
{
    h->late.last->to += (uint32_t)n;
    h->late.n += n;
}

bool h2_put(struct h2_session *h, const char *data, size_t n)
{
    char *p = late_room(h, n);
    if (p) {
        memcpy(p, data, n);
        late_used(h, n);
        return true;
    }
    if (h->dead)
        return false;
    if (h->late.n + n > LATE_MAX)
        give_early(h);
    if (!chunkq_add(&h->late, &h->all->net->chunks, data, n)) {
        no_memory(h);
        return false;
    }
    conn_kick(&h->c);
    return true;
}

bool h2_pass(struct h2_session *h, const char *data, size_t n)
{
    if (n <= COPY_MAX)
        return h2_put(h, data, n);
    if (h->dead)
        return false;
    give_early(h);
    conn_write(&h->c, data, n);
    return true;
}

void h2_write_rst(struct h2_session *h, uint32_t id, enum h2_code code)
{
    char frame[H2_RST_SIZE];
    if (!h2_put(h, frame, h2_put_rst(frame, id, code)))
        return;
    board_add(&h->all->net->count->h2_resets_sent, 1);
}

/* --- heads ------------------------------------------------------------------------------------------------- */

/* A block as frames; [p - H2_HEAD, p) is free for the first head. */
static bool write_block(struct h2_session *h, uint32_t id, char *p, size_t n, bool end)
{
    size_t k = GH_MIN(n, (size_t)H2_MAX_FRAME);
    uint8_t flags = (uint8_t)((end ? H2_F_END_STREAM : 0) | (k == n ? H2_F_END_HEADERS : 0));
    h2_put_head(p - H2_HEAD, (uint32_t)k, H2_HEADERS, flags, id);
    bool ok = h2_pass(h, p - H2_HEAD, H2_HEAD + k);
    while (ok && k < n) {
        size_t more = GH_MIN(n - k, (size_t)H2_MAX_FRAME);
        char head[H2_HEAD];
        h2_put_head(head, (uint32_t)more, H2_CONTINUATION, k + more == n ? H2_F_END_HEADERS : 0, id);
        ok = h2_put(h, head, H2_HEAD) && h2_pass(h, p + k, more);
        k += more;
    }
    return ok;
}

static void fill(struct h2_session *h, struct h2_block *b, const struct http_head *head, bool trailers)
{
    b->memo = h->all->memo;
    if (h->table_said) /* the peer wants a smaller table than the first one: ours is empty (RFC 7541 4.2) */
        *b->at++ = 0x20;
    if (trailers)
        h2_write_trailers(b, head->fields, head->n_fields, h->role->server);
    else if (h->role->server)
        h2_write_answer(b, head);
    else
        h2_write_request(b, head, h->https);
}

/* The frame of a block where it is to go out from. False: not there; it may go elsewhere. */
static bool fill_late(struct h2_stream *st, const struct http_head *head, bool trailers, bool end)
{
    struct h2_session *h = st->h;
    char *p = late_room(h, HEAD_LEAST);
    if (!p)
        return false;
    size_t size = GH_MIN(h->late.last->cap - h->late.last->to, LATE_MAX - h->late.n);
    struct h2_block b = h2_block_on(p + H2_HEAD, size - H2_HEAD);
    fill(h, &b, head, trailers);
    size_t n = (size_t)(b.at - b.start);
    if (!h2_block_ok(&b) || !n || n > H2_MAX_FRAME)
        return false;
    h2_put_head(p, (uint32_t)n, H2_HEADERS, (uint8_t)(H2_F_END_HEADERS | (end ? H2_F_END_STREAM : 0)), st->id);
    late_used(h, H2_HEAD + n);
    return true;
}

/* The block of a head, behind room for the head of its frame. NULL: it can't be made. */
static char *make_block(struct h2_session *h, const struct http_head *head, size_t *n)
{
    size_t size = H2_HEAD + 1 + h2_head_bound(head);
    char *p = h2_room(h, size);
    if (!p)
        return NULL;
    struct h2_block b = h2_block_on(p + H2_HEAD, size - H2_HEAD);
    fill(h, &b, head, false);
    bool ok = h2_block_ok(&b);
    *n = (size_t)(b.at - b.start);
    conn_room_back(&h->c, ok ? size - H2_HEAD - *n : size);
    return ok ? p + H2_HEAD : NULL;
}

bool h2_stream_head(struct h2_stream *st, const struct http_head *head, bool end)
{
    struct h2_session *h = st->h;
    size_t n;
    if (!fill_late(st, head, false, end)) {
        char *block = make_block(h, head, &n);
        if (!block || !write_block(h, st->id, block, n, end))
            return false;
    }
    h->table_said = false;
    h->all->net->gather.moved += h->role->server;
    h->budget.ping_free = true;
    return true;
}

bool h2_stream_keep_head(struct h2_stream *st, const struct http_head *head)
{
    size_t n;
    char *block = make_block(st->h, head, &n);
    if (!block)
        return false;
    conn_room_back(&st->h->c, H2_HEAD + n);
    return chunkq_add(&st->tail, &st->h->all->net->chunks, block, n);
}

/* `tail` as frames. */
static bool write_tail(struct h2_stream *st, bool end)
{
    struct h2_session *h = st->h;
    size_t n = st->tail.n;
    char *p = h2_room(h, H2_HEAD + n), *at = p ? p + H2_HEAD : NULL;
    if (!p)
        return false;
    for (struct str s; (s = chunkq_front(&st->tail)).n; chunkq_drop(&st->tail, &h->all->net->chunks, s.n)) {
        memcpy(at, s.p, s.n);
        at += s.n;
    }
    return write_block(h, st->id, p + H2_HEAD, n, end);
}

bool h2_stream_kept_head(struct h2_stream *st)
{
    return write_tail(st, false);
}

/* --- content --------------------------------------------------------------------------------------------- */

/* Bytes that may go in one frame now: 0 when a window is used up. */
static size_t frame_size(struct h2_stream *st, size_t n)
{
    struct h2_session *h = st->h;
    int32_t window = GH_MIN(st->send_window, h->send_window);
    if (window <= 0)
        return 0;
    size_t k = GH_MIN(n, (size_t)GH_MIN((uint32_t)window, H2_MAX_FRAME));
    if (k < n && k < TINY && !h2_budget_spend(&h->budget, H2_GLITCH_dribble, 1, h->all->net->now_ms)) {
        h->doom = H2_GLITCH_dribble + 1; /* not here: an exchange is calling */
        conn_kick(&h->c);
        return 0;
    }
    return k;
}

static void count_data(struct h2_stream *st, size_t n)
{
    struct h2_session *h = st->h;
    st->send_window -= (int32_t)n;
    h->send_window -= (int32_t)n;
    st->took += (uint32_t)n;
    h->all->net->gather.moved += h->role->server;
    h2_budget_sent(&h->budget, 1);
}

static bool write_data_head(struct h2_stream *st, size_t n, bool end)
{
    char head[H2_HEAD];
    if (!h2_put(st->h, head, h2_put_head(head, (uint32_t)n, H2_DATA, end ? H2_F_END_STREAM : 0, st->id)))
        return false;
    count_data(st, n);
    return true;
}

static bool write_data(struct h2_stream *st, const char *data, size_t n, bool end)
{
    char *p = n <= COPY_MAX ? late_room(st->h, H2_HEAD + n) : NULL;
    if (!p)
        return write_data_head(st, n, end) && h2_pass(st->h, data, n);
    memcpy(p + h2_put_head(p, (uint32_t)n, H2_DATA, end ? H2_F_END_STREAM : 0, st->id), data, n);
    late_used(st->h, H2_HEAD + n);
    count_data(st, n);
    return true;
}

/* Straight from the exchange's slice; how much of it went. `end` with the last of it. */
static size_t send_now(struct h2_stream *st, const char *data, size_t n, bool end)
{
    size_t done = 0;
    while (done < n && !conn_full(&st->h->c)) {
        size_t k = frame_size(st, n - done);
        if (!k || !write_data(st, data + done, k, end && done + k == n))
            break;
        done += k;
    }
    return done;
}

/* Behind all content: trailers, or an empty frame. */
static void send_end(struct h2_stream *st)
{
    if (st->tail.n ? write_tail(st, true) : write_data_head(st, 0, true))
        h2_stream_sent(st);
}

void h2_stream_ready(struct h2_stream *st)
{
    struct h2_session *h = st->h;
    size_t waits = st->queue.n - st->written;
    if (st->closed || !st->id || (!waits && st->tx != H2_TX_END))
        return;
    if (!list_empty(&st->turn))
        return;
    if (waits && st->send_window <= 0)
        return;
    list_push(waits && h->send_window <= 0 ? &h->starved : &h->ready, &st->turn);
}

void h2_unstarve(struct h2_session *h)
{
    while (!list_empty(&h->starved) && h->send_window > 0) {
        struct h2_stream *st = LIST_ITEM(h->starved.next, struct h2_stream, turn);
        list_del(&st->turn);
        list_push(&h->ready, &st->turn);
    }
    h2_pump(h);
}

/* --- the exchange's ops ------------------------------------------------------------------------------------ */

/* Keeps what can't go now. */
static void keep(struct h2_stream *st, const char *data, size_t n)
{
    if (chunkq_add(&st->queue, &st->h->all->net->chunks, data, n))
        return;
    st->fault = H2_INTERNAL_ERROR;
    h2_do_later(st);
}

static bool is_full(struct h2_stream *st)
{
    st->full = st->queue.n >= H2_STREAM_HIGH;
    return st->full;
}

bool h2_op_body(struct stream *s, const char *data, size_t n, bool end)
{
    struct h2_stream *st = CONTAINER_OF(s, struct h2_stream, s);
    struct h2_session *h = st->h;
    size_t done = 0;
    if (st->closed || st->tx != H2_TX_BODY || h->dead)
        return false;
    if (n && !st->queue.n && list_empty(&h->ready))
        done = send_now(st, data, n, end);
    if (end)
        st->tx = H2_TX_END;
    if (end && n && done == n) {
        h2_stream_sent(st);
        return false;
    }
    if (done < n)
        keep(st, data + done, n - done);
    if (end && !st->queue.n && !st->fault)
        send_end(st);
    else
        h2_stream_ready(st);
    return is_full(st);
}

void h2_op_trailers(struct stream *s, const struct http_field *f, size_t n)
{
    struct h2_stream *st = CONTAINER_OF(s, struct h2_stream, s);
    struct h2_session *h = st->h;
    struct http_head head = {.fields = (struct http_field *)(uintptr_t)f, .n_fields = (uint16_t)n};
    if (st->closed || st->tx != H2_TX_BODY || h->dead)
        return;
    if (!st->queue.n && fill_late(st, &head, true, true)) {
        h2_stream_sent(st);
        return;
    }
    size_t size = 1 + h2_head_bound(&head);
    char *p = h2_room(h, size);
    if (!p)
        return;
    struct h2_block b = h2_block_on(p, size);
    fill(h, &b, &head, true);
    /* What can't be written is left out; the content was complete without it. */
    if (h2_block_ok(&b) && b.at > p && !chunkq_add(&st->tail, &h->all->net->chunks, p, (size_t)(b.at - p)))
        st->fault = H2_INTERNAL_ERROR;
    conn_room_back(&h->c, size);
    st->tx = H2_TX_END;
    if (st->fault)
        h2_do_later(st);
    else if (!st->queue.n)
        send_end(st);
    else
        h2_stream_ready(st);
}

/* --- in turn ------------------------------------------------------------------------------------------------- */

/* One frame of queued content, or the end. Where the stream waits next is known afterwards. */
static void send_turn(struct h2_stream *st)
{
    size_t waits = st->queue.n - st->written, skip = st->written;
    size_t k = waits ? frame_size(st, waits) : 0;
    if (!waits) {
        send_end(st);
        return;
    }
    bool end = k == waits && st->tx == H2_TX_END && !st->tail.n;
    if (!k || !write_data_head(st, k, end))
        return;
    st->written += k;
    for (struct chunk *c = st->queue.first; c && k; c = c->next) {
        size_t n = c->to - c->from;
        if (skip >= n) {
            skip -= n;
            continue;
        }
        size_t some = GH_MIN(n - skip, k);
        h2_pass(st->h, c->data + c->from + skip, some);
        k -= some;
        skip = 0;
    }
    if (end)
        st->tx = H2_TX_SENT;
}

/* What was written goes; who waited for room hears of it. */
static void settle(struct h2_session *h, struct list *touched)
{
    net_flush(h->all->net);
    while (!list_empty(touched)) {
        struct h2_stream *st = LIST_ITEM(touched->next, struct h2_stream, touched);
        list_del(&st->touched);
        chunkq_drop(&st->queue, &h->all->net->chunks, st->written);
        st->written = 0;
        if (st->tx == H2_TX_SENT) {
            h2_stream_sent(st);
        } else if (st->full && st->queue.n < H2_STREAM_LOW) {
            st->full = false;
            if (st->s.user)
                st->s.ev->on_writable(&st->s);
        }
    }
}

void h2_pump(struct h2_session *h)
{
    struct list touched;
    list_init(&touched);
    while (!h->dead && !h->doom && !list_empty(&h->ready) && !conn_full(&h->c)) {
        struct h2_stream *st = LIST_ITEM(h->ready.next, struct h2_stream, turn);
        list_del(&st->turn);
        if (st->queue.n && list_empty(&st->touched))
            list_push(&touched, &st->touched);
        bool last = !(st->queue.n - st->written);
        send_turn(st);
        if (!last && st->tx != H2_TX_SENT)
            h2_stream_ready(st);
    }
    settle(h, &touched);
}
