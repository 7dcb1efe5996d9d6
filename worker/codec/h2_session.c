/*
 * h2_session.c - what frames mean to the connection: settings, windows, the life of streams, blocks of header
 * fields, glitches. Content is in h2_stream.c, what goes out in h2_send.c.
 */
#include "worker/codec/h2_internal.h"

#include <stdlib.h>

#define GOAWAY_TEXT   64
#define SETTINGS_FREE 32 /* settings in one frame that cost nothing */

/* --- what all share -------------------------------------------------------------------------------- */

void h2_shared_init(struct h2_shared *all, struct net *n)
{
    memset(all, 0, sizeof(*all));
    all->net = n;
    all->limits = (struct h2_limits){64 * 1024, 16 * 1024, 100};
    all->max_streams = 128;
    slab_init(&all->streams, sizeof(struct h2_stream), 256);
    slab_init(&all->slots, H2_SLOTS * sizeof(struct h2_stream *), 64);
    slab_init(&all->blocks, sizeof(struct h2_incoming), 16);
    all->memo = calloc(1, sizeof(*all->memo));
}

void h2_shared_fini(struct h2_shared *all)
{
    slab_fini(&all->streams);
    slab_fini(&all->slots);
    slab_fini(&all->blocks);
    free(all->memo);
}

void h2_shared_settle(struct h2_shared *all)
{
    slab_settle(&all->streams);
}

void h2_shared_trim(struct h2_shared *all)
{
    slab_trim(&all->streams, 32);
    slab_trim(&all->slots, 8);
}

/* --- life --------------------------------------------------------------------------------------------- */

void h2_session_init(struct h2_session *h, struct h2_shared *all, const struct h2_role *role)
{
    memset((char *)h + sizeof(h->c), 0, sizeof(*h) - sizeof(h->c));
    h->all = all;
    h->role = role;
    h->in.max_block = all->limits.max_bytes;
    h->go_last = h->peer_last = H2_MAX_STREAM;
    h->send_window = h->recv_window = h->peer_window = H2_DEFAULT_WINDOW;
    h->peer_streams = 100; /* until it says (6.5.2) */
    list_init(&h->streams);
    list_init(&h->ready);
    list_init(&h->starved);
    list_init(&h->later);
    hpack_init(&h->decoder);
    h2_budget_init(&h->budget, role->patience, all->net->now_ms);
}

void h2_session_start(struct h2_session *h)
{
    const struct h2_set server[] = {
        {H2_SET_MAX_CONCURRENT_STREAMS, h->all->max_streams},
        {H2_SET_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {H2_SET_MAX_HEADER_LIST_SIZE, h->all->limits.max_bytes},
        {H2_SET_ENABLE_CONNECT_PROTOCOL, 1},
        {H2_SET_NO_RFC7540_PRIORITIES, 1},
    };
    const struct h2_set client[] = {
        {H2_SET_ENABLE_PUSH, 0},
        {H2_SET_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {H2_SET_MAX_HEADER_LIST_SIZE, h->all->limits.max_bytes},
    };
    char preface[H2_PREFACE_LEN + H2_SETTINGS_SIZE(ARRAY_LEN(server)) + H2_WINDOW_SIZE], *at = preface;
    if (h->role->server) {
        at += h2_put_settings(at, server, ARRAY_LEN(server));
    } else {
        memcpy(at, H2_PREFACE, H2_PREFACE_LEN);
        at += H2_PREFACE_LEN;
        at += h2_put_settings(at, client, ARRAY_LEN(client));
    }
    at += h2_put_window(at, 0, H2_CONN_WINDOW - H2_DEFAULT_WINDOW);
    h->recv_window = H2_CONN_WINDOW;
    h2_put(h, preface, (size_t)(at - preface));
}

static void drop_block(struct h2_session *h)
{
    if (h->block)
        slab_put(&h->all->blocks, h->block);
    h->block = NULL;
}

void h2_session_fini(struct h2_session *h)
{
    must(list_empty(&h->streams));
    chunkq_clear(&h->late, &h->all->net->chunks);
    chunkq_clear(&h->given, &h->all->net->chunks);
    drop_block(h);
    hpack_fini(&h->decoder);
    hpack_init(&h->decoder);
    if (h->slots)
        slab_put(&h->all->slots, h->slots);
    h->slots = NULL;
}

void h2_session_cut(struct h2_session *h, enum reason why)
{
    h->dead = true;
    while (!list_empty(&h->streams)) {
        struct h2_stream *st = LIST_ITEM(h->streams.next, struct h2_stream, node);
        struct stream *s = st->s.user ? &st->s : NULL;
        h2_stream_leave(st, H2_PAST_RESET);
        if (s) /* else its memory has gone */
            s->ev->on_abort(s, why);
    }
    drop_block(h);
}

static void write_goaway(struct h2_session *h, uint32_t last, enum h2_code code, const char *text)
{
    struct str debug = str_head(str_c(text), GOAWAY_TEXT);
    char frame[H2_HEAD + 8 + GOAWAY_TEXT];
    h2_put(h, frame, h2_put_goaway(frame, last, code, debug));
}

void h2_session_error(struct h2_session *h, enum h2_code code, const char *text)
{
    if (h->dead || conn_is_closed(&h->c))
        return;
    write_goaway(h, h->role->server ? h->last_id : 0, code, text);
    log_debug(h->all->net->log, "h2: connection ended with %s: %s", h2_code_name(code), text ? text : "");
    h->dead = true;
    h->text = text;
    h->role->failed(h, code == H2_ENHANCE_YOUR_CALM ? REASON_CLIENT_FLOOD : REASON_BAD_REQUEST);
}

void h2_session_goaway(struct h2_session *h, int going)
{
    if (going <= h->going)
        return;
    h->going = (uint8_t)going;
    if (going == H2_GOING_FINAL)
        h->go_last = h->role->server ? h->last_id : 0;
    write_goaway(h, h->go_last, H2_NO_ERROR, NULL);
}

void h2_session_ping(struct h2_session *h)
{
    static const uint8_t OURS[8] = {'g', 'a', 't', 'e', 'h', 'o', 'u', 's'};
    char frame[H2_PING_SIZE];
    h2_put(h, frame, h2_put_ping(frame, OURS, false));
}

/* --- glitches -------------------------------------------------------------------------------------------- */

static void count_exhausted(struct h2_session *h, enum h2_glitch g)
{
    struct board_counters *c = h->all->net->count;
    switch (g) {
#define X(id, cost, text)                                                                          \
    case H2_GLITCH_##id:                                                                           \
        board_add(&c->h2_budget_##id, 1);                                                          \
        break;
#include "worker/codec/h2_glitch.def"
#undef X
    case H2_GLITCH_COUNT:
        break;
    }
}

static void exhausted(struct h2_session *h, enum h2_glitch g)
{
    count_exhausted(h, g);
    h2_session_error(h, H2_ENHANCE_YOUR_CALM, h2_glitch_text[g]);
}

bool h2_glitch(struct h2_session *h, enum h2_glitch g, uint32_t times)
{
    if (h2_budget_spend(&h->budget, g, times, h->all->net->now_ms))
        return true;
    exhausted(h, g);
    return false;
}

/* --- streams that are gone -------------------------------------------------------------------------------- */

static uint32_t index_of(uint32_t id)
{
    return (id - 1) / 2;
}

bool h2_is_idle(const struct h2_session *h, uint32_t id)
{
    return id % 2 == 0 || id > h->last_id;
}

enum h2_past h2_past_of(const struct h2_session *h, uint32_t id)
{
    uint32_t i = index_of(id);
    if (index_of(h->last_id) - i >= H2_PAST)
        return H2_PAST_FORGOTTEN;
    return (enum h2_past)(h->past[i % H2_PAST / 32] >> (i % 32 * 2) & 3);
}

void h2_past_set(struct h2_session *h, uint32_t id, enum h2_past what)
{
    uint32_t i = index_of(id);
    if (index_of(h->last_id) - i >= H2_PAST)
        return;
    uint64_t *word = &h->past[i % H2_PAST / 32];
    *word = (*word & ~(UINT64_C(3) << (i % 32 * 2))) | (uint64_t)what << (i % 32 * 2);
}

/* Those between it and the last one will never be used. */
void h2_past_open(struct h2_session *h, uint32_t id)
{
    uint32_t first = h->last_id ? index_of(h->last_id) + 1 : 0, n = index_of(id) - first + 1;
    h->last_id = id;
    for (uint32_t i = 0; i < GH_MIN(n, H2_PAST); i++)
        h2_past_set(h, id - 2 * i, H2_PAST_UNUSED);
}

/* A frame of a stream that both sides had done with (5.1). */
static void on_gone(struct h2_session *h, const struct h2_frame *f)
{
    if (h->role->server && h->going == H2_GOING_FINAL && f->stream > h->go_last)
        return; /* it may not know yet that nobody serves it */
    if (h2_is_idle(h, f->stream)) {
        h2_session_error(h, H2_PROTOCOL_ERROR, "a frame of a stream that was never opened");
        return;
    }
    switch (h2_past_of(h, f->stream)) {
    case H2_PAST_RESET: /* it was on its way when we did that */
        break;
    case H2_PAST_ENDED:
        h2_session_error(h, H2_STREAM_CLOSED, "a frame behind the end of its stream");
        break;
    case H2_PAST_UNUSED:
        if (f->type == H2_HEADERS) {
            h2_session_error(h, H2_PROTOCOL_ERROR, "a stream number lower than one before it");
            break;
        }
        /* fall through */
    case H2_PAST_PEER_RESET:
    case H2_PAST_FORGOTTEN:
        if (!h2_glitch(h, H2_GLITCH_fault, 1))
            break;
        if (h->block && h->block->id == f->stream)
            h->block->reset = H2_STREAM_CLOSED; /* behind the block */
        else
            h2_write_rst(h, f->stream, H2_STREAM_CLOSED);
        break;
    }
}

/* --- windows that we give ----------------------------------------------------------------------------------- */

static void renew(struct h2_session *h, uint32_t id, int32_t *window, uint32_t *credit, uint32_t whole)
{
    if (*credit < whole / 2)
        return;
    char frame[H2_WINDOW_SIZE];
    if (!h2_put(h, frame, h2_put_window(frame, id, *credit)))
        return;
    *window += (int32_t)*credit;
    *credit = 0;
}

void h2_give_back(struct h2_session *h, uint32_t n)
{
    h->credit += n;
    renew(h, 0, &h->recv_window, &h->credit, H2_CONN_WINDOW);
}

void h2_stream_give_back(struct h2_stream *st, uint32_t n)
{
    st->credit += n;
    if (st->rx == H2_RX_BODY && !st->closed)
        renew(st->h, st->id, &st->recv_window, &st->credit, H2_STREAM_WINDOW);
}

/* --- DATA --------------------------------------------------------------------------------------------------- */

static void begin_data(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    struct h2_stream *st = h2_find(h, f->stream);
    h->frame_content = 0;
    if ((int64_t)f->len > h->recv_window) {
        h2_session_error(h, H2_FLOW_CONTROL_ERROR, "more content than the connection's window");
        return;
    }
    h->recv_window -= (int32_t)f->len;
    bool fits = st && st->rx == H2_RX_BODY && (int64_t)f->len <= st->recv_window;
    if (fits) {
        st->recv_window -= (int32_t)f->len;
        return;
    }
    h->in.skip = true;
    h->frame_content = f->len;
    h2_give_back(h, f->len);
    if (!st)
        on_gone(h, f);
    else if (st->rx == H2_RX_END)
        h2_stream_error(st, H2_STREAM_CLOSED, "content behind its end");
    else if (st->rx == H2_RX_HEAD)
        h2_stream_error(st, H2_PROTOCOL_ERROR, "content before a head");
    else
        h2_stream_error(st, H2_FLOW_CONTROL_ERROR, "more content than the stream's window");
}

static void data_piece(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    struct str piece = h->in.piece;
    struct h2_stream *st = h2_find(h, f->stream);
    h->frame_content += (uint32_t)piece.n;
    h->all->net->gather.moved += h->role->server;
    if (st && st->rx == H2_RX_BODY)
        h2_stream_take(st, piece.p, piece.n, (f->flags & H2_F_END_STREAM) && !h->in.left);
    else
        h2_give_back(h, (uint32_t)piece.n);
}

static void end_data(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    struct h2_stream *st = h2_find(h, f->stream);
    uint32_t padding = f->len - h->frame_content;
    if (h->in.skip)
        return;
    if (padding) {
        h2_give_back(h, padding);
        if (st)
            h2_stream_give_back(st, padding);
    }
    if (f->flags & H2_F_END_STREAM) {
        if (st && st->rx == H2_RX_BODY)
            h2_stream_take_end(st);
    } else if (!h->frame_content) {
        h2_glitch(h, H2_GLITCH_empty, 1);
    }
}

/* --- blocks of header fields --------------------------------------------------------------------------------- */

/* Which stream a block is for, and what it is there. NULL: nobody wants it. */
static struct h2_stream *block_stream(struct h2_session *h, struct h2_incoming *b, enum h2_head_kind *kind)
{
    const struct h2_frame *f = &h->in.f;
    struct h2_stream *st = h2_find(h, f->stream);
    *kind = H2_TRAILERS;
    if (st && st->rx == H2_RX_BODY)
        return st;
    *kind = h->role->server ? H2_REQUEST : H2_RESPONSE;
    if (st && st->rx == H2_RX_HEAD)
        return st;
    if (st) {
        b->reset = H2_STREAM_CLOSED;
        return st;
    }
    bool fresh = h->role->server && f->stream % 2 && f->stream > h->last_id;
    if (!fresh || (h->going == H2_GOING_FINAL && f->stream > h->go_last)) {
        on_gone(h, f);
        return NULL;
    }
    enum h2_code why = H2_REFUSED_STREAM;
    h2_past_open(h, f->stream);
    h2_budget_opened(&h->budget);
    st = h->role->open(h, f->stream, &why);
    if (!st) {
        h2_past_set(h, f->stream, H2_PAST_RESET);
        b->reset = why;
        h2_glitch(h, H2_GLITCH_refused, 1);
    }
    return st;
}

static void begin_block(struct h2_session *h)
{
    struct h2_incoming *b = slab_get(&h->all->blocks);
    enum h2_head_kind kind;
    if (!b) {
        h2_session_error(h, H2_INTERNAL_ERROR, "out of memory");
        return;
    }
    h->block = b;
    b->id = h->in.f.stream;
    b->since_ms = h->all->net->now_ms;
    b->reset = H2_NO_ERROR;
    b->end_stream = h->in.f.flags & H2_F_END_STREAM;
    b->begun = false;
    b->st = NULL;
    struct h2_stream *st = block_stream(h, b, &kind);
    if (h->dead)
        return;
    b->st = st;
    h2_head_begin(&b->d, kind, st && !b->reset ? st->s.arena : NULL, &h->all->limits);
    b->d.method = st ? st->method : 0;
}

static bool take_field(void *ctx, struct hpack_field *f)
{
    return h2_head_field(&((struct h2_incoming *)ctx)->d, f);
}

static void decode(struct h2_session *h, struct str fragment, bool last)
{
    enum h2_code code = hpack_decode(&h->decoder, fragment, last, take_field, h->block);
    if (code == H2_ENHANCE_YOUR_CALM)
        exhausted(h, H2_GLITCH_head);
    else if (code)
        h2_session_error(h, code, code == H2_COMPRESSION_ERROR ? "a header block that can't be decoded" : "out of memory");
}

static void block_piece(struct h2_session *h)
{
    struct h2_incoming *b = h->block;
    uint32_t changes = b->begun ? 0 : hpack_table_changes(h->in.piece);
    b->begun = true;
    if (!changes || h2_glitch(h, H2_GLITCH_table, GH_MIN(changes, 1000u)))
        decode(h, h->in.piece, false);
}

static void block_done(struct h2_session *h)
{
    struct h2_incoming *b = h->block;
    struct h2_stream *st = b->st;
    decode(h, STR(""), true);
    if (h->dead)
        return;
    h->block = NULL; /* freed behind the events */
    h2_head_end(&b->d, b->end_stream);
    bool large = b->d.why == REASON_HEADERS_TOO_LARGE;
    if (large && !h2_glitch(h, H2_GLITCH_head, 1)) {
        ;
    } else if (b->reset && st) {
        h2_stream_error(st, b->reset, "a header block that may not be there");
    } else if (b->reset) {
        h2_write_rst(h, b->id, b->reset);
    } else if (st && b->d.kind == H2_TRAILERS) {
        h2_stream_take_trailers(st, &b->d);
    } else if (st) {
        st->head_bytes += b->d.bytes;
        h->head_bytes += b->d.bytes;
        h->all->net->gather.moved += h->role->server;
        h->role->head(st, &b->d, b->end_stream);
    }
    slab_put(&h->all->blocks, b);
}

/* HEADERS and CONTINUATION alike. */
static void end_block(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    if (f->type == H2_HEADERS && (f->flags & H2_F_PRIORITY) && f->word == f->stream && !h->block->reset)
        h->block->reset = H2_PROTOCOL_ERROR; /* depends on itself */
    if (f->flags & H2_F_END_HEADERS)
        block_done(h);
    else if (!f->len)
        h2_glitch(h, H2_GLITCH_empty, 1);
}

/* --- the small ones ---------------------------------------------------------------------------------------- */

/* A fault in a frame of a stream, in whatever state that is. */
static void fault(struct h2_session *h, uint32_t id, enum h2_code code, const char *text)
{
    struct h2_stream *st = h2_find(h, id);
    if (st)
        h2_stream_error(st, code, text);
    else if (h2_is_idle(h, id))
        h2_session_error(h, code, text);
    else if (h2_glitch(h, H2_GLITCH_fault, 1))
        h2_write_rst(h, id, code);
}

static void end_priority(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    if (!h2_glitch(h, H2_GLITCH_priority, 1))
        return;
    if (f->len != 5)
        fault(h, f->stream, H2_FRAME_SIZE_ERROR, "PRIORITY of wrong length");
    else if (f->word == f->stream)
        fault(h, f->stream, H2_PROTOCOL_ERROR, "a stream that depends on itself");
}

static void end_priority_update(struct h2_session *h)
{
    if (!h->role->server || !h->in.f.word)
        h2_session_error(h, H2_PROTOCOL_ERROR, "PRIORITY_UPDATE for nothing");
    else
        h2_glitch(h, H2_GLITCH_priority, 1);
}

static void end_rst(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    struct h2_stream *st = h2_find(h, f->stream);
    if (!st && h->role->server && h->going == H2_GOING_FINAL && f->stream > h->go_last)
        return;
    if (h2_is_idle(h, f->stream)) {
        h2_session_error(h, H2_PROTOCOL_ERROR, "RST_STREAM of a stream that was never opened");
        return;
    }
    board_add(&h->all->net->count->h2_resets_received, 1);
    bool at_once = !st || (uint32_t)h->all->net->now_ms - st->born_ms < H2_CANCEL_MS;
    if (!h2_glitch(h, H2_GLITCH_reset, at_once ? H2_RESET_AT_ONCE : 1))
        return;
    if (st)
        h2_stream_was_reset(st, (enum h2_code)GH_MIN(f->word, (uint32_t)H2_N_CODES));
}

/* Windows of all streams change with it; they may become negative (6.9.2). */
static bool set_peer_window(struct h2_session *h, int32_t window)
{
    int64_t by = (int64_t)window - h->peer_window;
    h->peer_window = window;
    LIST_EACH(it, &h->streams)
    {
        struct h2_stream *st = LIST_ITEM(it, struct h2_stream, node);
        int64_t now = st->send_window + by;
        if (!st->id)
            continue;
        if (now > H2_MAX_WINDOW) {
            h2_session_error(h, H2_FLOW_CONTROL_ERROR, "an initial window that makes one too large");
            return false;
        }
        st->send_window = (int32_t)now;
        if (by > 0)
            h2_stream_ready(st);
    }
    return true;
}

static void on_setting(struct h2_session *h)
{
    switch (h->in.setting) {
    case H2_SET_ENABLE_PUSH:
        if (!h->role->server && h->in.value)
            h2_session_error(h, H2_PROTOCOL_ERROR, "a server that wants to be pushed to");
        break;
    case H2_SET_MAX_CONCURRENT_STREAMS:
        h->peer_streams = h->in.value;
        break;
    case H2_SET_INITIAL_WINDOW_SIZE:
        set_peer_window(h, (int32_t)h->in.value);
        break;
    case H2_SET_HEADER_TABLE_SIZE:
        h->table_said = h->table_said || h->in.value < 4096;
        break;
    case H2_SET_ENABLE_CONNECT_PROTOCOL:
        h->peer_connect = h->peer_connect || h->in.value;
        break;
    default: /* sizes that we stay below, and what we do not know */
        break;
    }
}

static void end_settings(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    uint32_t n = f->len / 6;
    if (f->flags & H2_F_ACK) {
        if (h->settings_acked)
            h2_glitch(h, H2_GLITCH_settings, 1);
        h->settings_acked = true;
        return;
    }
    bool first = !h->settings_seen;
    h->settings_seen = true;
    if (!first && !h2_glitch(h, H2_GLITCH_settings, 1 + n / SETTINGS_FREE))
        return;
    char ack[H2_SETTINGS_ACK_SIZE];
    if (!h2_put(h, ack, h2_put_settings_ack(ack)))
        return;
    h->role->news(h, H2_SETTINGS);
    h2_pump(h);
}

static void end_ping(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    if (f->flags & H2_F_ACK) {
        h->role->news(h, H2_PING);
        h2_glitch(h, H2_GLITCH_ping, 1);
        return;
    }
    if (!h2_glitch(h, H2_GLITCH_ping, 1))
        return;
    char ack[H2_PING_SIZE];
    h2_put(h, ack, h2_put_ping(ack, f->opaque, true));
}

static void end_goaway(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    if (h->peer_going && !h2_glitch(h, H2_GLITCH_settings, 1))
        return;
    h->peer_going = true;
    h->peer_last = GH_MIN(h->peer_last, f->word);
    h->role->news(h, H2_GOAWAY);
}

static void end_window(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    struct h2_stream *st = f->stream ? h2_find(h, f->stream) : NULL;
    if (!h2_glitch(h, H2_GLITCH_window, 1))
        return;
    if (!f->stream) {
        if (!f->word)
            h2_session_error(h, H2_PROTOCOL_ERROR, "WINDOW_UPDATE by nothing");
        else if ((int64_t)h->send_window + f->word > H2_MAX_WINDOW)
            h2_session_error(h, H2_FLOW_CONTROL_ERROR, "a window that is too large");
        else {
            h->send_window += (int32_t)f->word;
            h2_unstarve(h);
        }
        return;
    }
    if (!st && !(h->role->server && h->going == H2_GOING_FINAL && f->stream > h->go_last) && h2_is_idle(h, f->stream))
        h2_session_error(h, H2_PROTOCOL_ERROR, "WINDOW_UPDATE of a stream that was never opened");
    else if (!f->word)
        fault(h, f->stream, H2_PROTOCOL_ERROR, "WINDOW_UPDATE by nothing");
    else if (st && (int64_t)st->send_window + f->word > H2_MAX_WINDOW)
        h2_stream_error(st, H2_FLOW_CONTROL_ERROR, "a window that is too large");
    else if (st) {
        st->send_window += (int32_t)f->word;
        h2_stream_ready(st);
        h2_pump(h);
    }
}

/* --- frames ---------------------------------------------------------------------------------------------------- */

static void begin_frame(struct h2_session *h)
{
    const struct h2_frame *f = &h->in.f;
    if (!h->settings_seen && (f->type != H2_SETTINGS || (f->flags & H2_F_ACK)))
        h2_session_error(h, H2_PROTOCOL_ERROR, "the first frame is not SETTINGS");
    else if (f->type == H2_DATA)
        begin_data(h);
    else if (f->type == H2_HEADERS)
        begin_block(h);
}

static void end_frame(struct h2_session *h)
{
    switch (h->in.f.type) {
    case H2_DATA:
        end_data(h);
        break;
    case H2_HEADERS:
    case H2_CONTINUATION:
        end_block(h);
        break;
    case H2_PRIORITY:
        end_priority(h);
        break;
    case H2_RST_STREAM:
        end_rst(h);
        break;
    case H2_SETTINGS:
        end_settings(h);
        break;
    case H2_PING:
        end_ping(h);
        break;
    case H2_GOAWAY:
        end_goaway(h);
        break;
    case H2_WINDOW_UPDATE:
        end_window(h);
        break;
    case H2_PRIORITY_UPDATE:
        end_priority_update(h);
        break;
    default:
        h2_glitch(h, H2_GLITCH_unknown, 1);
    }
}

/* The client's magic, however it was cut. How many bytes of data were it. */
static size_t take_preface(struct h2_session *h, const char *data, size_t n)
{
    size_t k = GH_MIN(n, (size_t)(H2_PREFACE_LEN - h->preface));
    if (memcmp(data, &H2_PREFACE[h->preface], k) != 0) {
        h2_session_error(h, H2_PROTOCOL_ERROR, "no HTTP/2 connection preface");
        return n;
    }
    h->preface += (uint8_t)k;
    return k;
}

/* What was found where an exchange was calling. */
static void meet_doom(struct h2_session *h)
{
    if (h->doom > H2_GLITCH_COUNT)
        h2_session_error(h, H2_INTERNAL_ERROR, "out of memory");
    else
        exhausted(h, (enum h2_glitch)(h->doom - 1));
}

void h2_session_read(struct h2_session *h, const char *data, size_t n)
{
    size_t at = 0, used;
    if (!h->dead && h->role->server && h->preface < H2_PREFACE_LEN)
        at = take_preface(h, data, n);
    while (!h->dead) {
        enum h2_step step = h2_read(&h->in, data + at, n - at, &used);
        at += used;
        if (h->doom) {
            meet_doom(h);
            return;
        }
        switch (step) {
        case H2_STEP_MORE:
            return;
        case H2_STEP_FRAME:
            begin_frame(h);
            break;
        case H2_STEP_PIECE:
            if (h->in.f.type == H2_DATA)
                data_piece(h);
            else
                block_piece(h);
            break;
        case H2_STEP_SETTING:
            on_setting(h);
            break;
        case H2_STEP_END:
            end_frame(h);
            break;
        case H2_STEP_ERROR:
            if (h->in.error == H2_ENHANCE_YOUR_CALM)
                count_exhausted(h, H2_GLITCH_head);
            h2_session_error(h, (enum h2_code)h->in.error, h->in.text);
            break;
        }
    }
}

void h2_session_kick(struct h2_session *h)
{
    chunkq_clear(&h->given, &h->all->net->chunks);
    if (h->doom && !h->dead)
        meet_doom(h);
    while (!h->dead && !list_empty(&h->later)) {
        struct h2_stream *st = LIST_ITEM(h->later.next, struct h2_stream, later);
        list_del(&st->later);
        h2_stream_later(st);
    }
    h2_session_flush(h);
}

void h2_session_writable(struct h2_session *h)
{
    if (!h->dead)
        h2_pump(h);
}
