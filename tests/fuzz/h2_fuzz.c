/*
 * h2_fuzz.c - HTTP/2 on either side of the whole data plane (F7, F8): a script of frames for the client, one for
 * the backends, which speak HTTP/1.1 or HTTP/2.
 *
 * A script is bytes that are read as steps (enum step): mostly frames that make sense, some that do not, some raw bytes;
 * so that mutations change what is said, not only whether it can be read. Oracles:
 *   1. what a backend of HTTP/1.1 gets parses strictly, by the slow parser, as requests without anything hostile;
 *      what one of HTTP/2 gets are frames and heads that are valid by rules written down here once more;
 *   2. what the client gets are valid frames: of streams that it opened, nothing behind their end, one final head each,
 *      heads that can be decoded, never more content than its windows allow;
 *   3. the gateway never holds more than HELD_MAX bytes of content, nor more exchanges than streams are allowed;
 *   4. nonsense without end ends the connection: a frame that costs points, BURST times, is answered by GOAWAY;
 *   5. at the end everything is gone: no exchange, no connection, no stream.
 *
 * Input: a byte of flags, one of how to cut, two with the length of the client's script; that; the backends'.
 */
#include "tests/fuzz/h1_slow.h"
#include "tests/fuzz/proxy_rig.h"
#include "worker/codec/h2_budget.h"
#include "worker/codec/h2_hpack.h"

#include <errno.h>
#include <stdio.h>

enum {
    H2_BACKEND = 1 << 0,   /* else HTTP/1.1 that answers each whole request */
    HANGS_UP = 1 << 1,     /* a backend closes when its script is over */
    CLIENT_LEAVES = 1 << 2,
    NO_SETTINGS = 1 << 3,  /* the client's first frame is the script's, not SETTINGS */
    EAGER_READER = 1 << 4, /* windows of the client are opened as content comes */
};

#define MAX_PEERS   16
#define MAX_SIZE    4096
#define MAX_STREAMS 2048
#define HELD_MAX    (16u * 1024 * 1024)
#define BURST       1200u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- scripts ------------------------------------------------------------------------------------------ */

enum step {
    DO_GET, DO_POST, DO_CONNECT, DO_HEAD, DO_DATA, DO_END, DO_RST, DO_SETTING, DO_PING, DO_WINDOW, DO_PRIORITY, DO_GOAWAY,
    DO_CONTINUATION, DO_FRAME, DO_RAW, DO_BURST, DO_TURN, DO_ANSWER, DO_TRAILERS, N_STEPS,
};

/* Words that names and values are made of, beside bytes of the input. */
static const char *const WORDS[] = {
    ":method", "GET", "POST", "HEAD", "CONNECT", ":path", "/", "/a?b", "*", ":scheme", "http", "https", ":authority", "a", "b:80",
    ":status", "200", "204", "101", "103", ":protocol", "websocket", "host", "content-length", "0", "5", "transfer-encoding",
    "chunked", "te", "trailers", "connection", "close", "upgrade", "cookie", "x=y", "expect", "100-continue", "X-Up", "x_y",
    "content_length", "sec-websocket-key", "trailer", "", " x", "x ", "a\r\nb: c", "x\ny", "keep-alive", "accept", "*/*",
};

/* One end of a connection to the gateway. */
struct peer {
    int fd;
    struct str script;
    struct buf out, got;
    size_t judged;              /* of `got`, with HTTP/1.1 */
    bool client, raw;           /* raw: said what is not accounted for */
    bool gone;                  /* GOAWAY or the end was read */
    bool doomed;                /* it must come to that */
    uint32_t top;               /* highest stream opened, or seen */
    int64_t conn_window, initial;
    int64_t window[MAX_STREAMS];
    uint8_t state[MAX_STREAMS]; /* SEEN_ */
    struct h2_reader in;
    struct hpack_decoder decoder;
    struct buf block;
    bool preface;
};
enum { SEEN_OPEN = 1, SEEN_FINAL = 2, SEEN_END = 4, SEEN_RESET = 8 };

struct play {
    struct rig *rig;
    unsigned flags, cut;
    struct str spare;           /* script of backends */
    struct peer client, peers[MAX_PEERS];
    size_t n_peers;
    struct arena arena;
};

static unsigned take(struct str *s)
{
    if (!s->n)
        return 0;
    unsigned v = (unsigned char)s->p[0];
    *s = str_skip(*s, 1);
    return v;
}

static void put_text(struct buf *b, struct str s)
{
    size_t n = s.n;
    if (n < 127) {
        buf_addch(b, (char)n);
    } else {
        buf_addch(b, 127);
        for (n -= 127; n >= 128; n >>= 7)
            buf_addch(b, (char)(n | 128));
        buf_addch(b, (char)n);
    }
    buf_adds(b, s);
}

static void put_field(struct buf *b, struct str name, struct str value)
{
    buf_addch(b, 0);
    put_text(b, name);
    put_text(b, value);
}

static struct str word(struct str *s)
{
    unsigned v = take(s);
    if (v < ARRAY_LEN(WORDS))
        return str_c(WORDS[v]);
    size_t n = GH_MIN((size_t)(v % 24), s->n);
    struct str out = str_head(*s, n);
    *s = str_skip(*s, n);
    return out;
}

static void put_fields(struct buf *b, struct str *s)
{
    for (unsigned n = take(s) % 8; n > 0; n--) {
        struct str name = word(s);
        put_field(b, name, word(s));
    }
}

static void put_frame(struct peer *p, unsigned type, unsigned flags, uint32_t stream, struct str payload)
{
    char head[H2_HEAD];
    h2_put_head(head, (uint32_t)payload.n, (enum h2_type)type, (uint8_t)flags, stream);
    buf_add(&p->out, head, sizeof(head));
    buf_adds(&p->out, payload);
}

static void grant(struct peer *p, uint32_t stream, uint32_t by)
{
    if (!stream)
        p->conn_window += by;
    else if (stream / 2 < MAX_STREAMS)
        p->window[stream / 2] += by;
}

static uint32_t fresh(struct peer *p)
{
    uint32_t id = p->top ? p->top + 2 : 1;
    p->top = id;
    if (id / 2 < MAX_STREAMS)
        p->state[id / 2] |= SEEN_OPEN;
    return id;
}

/* One of those that were opened, mostly. */
static uint32_t some_stream(struct peer *p, struct str *s)
{
    unsigned v = take(s);
    if (v >= 250)
        return v - 250;
    return p->top > 2 * v ? p->top - 2 * v : p->top;
}

static void put_request(struct peer *p, struct str *s, enum step what)
{
    struct buf b = {0};
    unsigned v = take(s);
    put_field(&b, STR(":method"), what == DO_GET ? STR("GET") : what == DO_POST ? STR("POST") : STR("CONNECT"));
    if (what == DO_CONNECT)
        put_field(&b, STR(":protocol"), STR("websocket"));
    put_field(&b, STR(":scheme"), STR("http"));
    put_field(&b, STR(":authority"), STR("a"));
    put_field(&b, STR(":path"), STR("/x"));
    if (v & 1)
        put_fields(&b, s);
    if (p->client)
        put_frame(p, H2_HEADERS, H2_F_END_HEADERS | (what == DO_GET ? H2_F_END_STREAM : 0), fresh(p), buf_str(&b));
    buf_fini(&b);
}

static void put_head(struct peer *p, struct str *s, enum step what)
{
    struct buf b = {0};
    unsigned v = take(s);
    uint32_t id = p->client && (v & 1) ? fresh(p) : some_stream(p, s);
    if (what == DO_ANSWER)
        put_field(&b, STR(":status"), v & 2 ? STR("200") : word(s));
    put_fields(&b, s);
    if (v & 4) {
        size_t half = b.n / 2;
        put_frame(p, H2_HEADERS, v & 8 ? H2_F_END_STREAM : 0, id, str_head(buf_str(&b), half));
        put_frame(p, H2_CONTINUATION, H2_F_END_HEADERS, id, str_skip(buf_str(&b), half));
    } else {
        put_frame(p, H2_HEADERS, H2_F_END_HEADERS | (v & 8 || what == DO_TRAILERS ? H2_F_END_STREAM : 0), id, buf_str(&b));
    }
    buf_fini(&b);
}

static void put_data(struct peer *p, struct str *s, bool end)
{
    static const char bytes[16384];
    uint32_t id = some_stream(p, s);
    unsigned v = take(s);
    size_t n = v < 200 ? v : (v - 200) * 293;
    put_frame(p, H2_DATA, end ? H2_F_END_STREAM : 0, id, str_of(bytes, GH_MIN(n, sizeof(bytes))));
}

static const uint32_t VALUES[] = {0, 1, 2, 10, 100, 4096, 16384, 65535, 100000, 0x7fffffff, 0x80000000, 0xffffffff};

static void put_setting(struct peer *p, struct str *s)
{
    struct h2_set set = {(uint16_t)(take(s) % 12), VALUES[take(s) % ARRAY_LEN(VALUES)]};
    char frame[H2_SETTINGS_SIZE(1)];
    if (set.id == H2_SET_INITIAL_WINDOW_SIZE)
        p->initial = GH_MAX(p->initial, (int64_t)set.value);
    buf_add(&p->out, frame, h2_put_settings(frame, &set, 1));
}

static void put_small(struct peer *p, struct str *s, enum step what)
{
    char f[64];
    uint32_t id = what == DO_PING || what == DO_GOAWAY ? 0 : some_stream(p, s), v = VALUES[take(s) % ARRAY_LEN(VALUES)];
    size_t n = 0;
    if (what == DO_RST) {
        n = h2_put_rst(f, id, (enum h2_code)(v % 14));
    } else if (what == DO_WINDOW) {
        n = h2_put_window(f, id, v & H2_MAX_STREAM);
        grant(p, id, v & H2_MAX_STREAM);
    } else if (what == DO_PING) {
        n = h2_put_ping(f, (const uint8_t *)"fuzzping", v & 1);
    } else if (what == DO_GOAWAY) {
        n = h2_put_goaway(f, v & H2_MAX_STREAM, H2_NO_ERROR, STR("bye"));
    } else {
        n = h2_put_head(f, 5, H2_PRIORITY, 0, id);
        memset(f + n, 0, 5);
        f[n + 3] = (char)(v & 1 ? id : 0);
        n += 5;
    }
    buf_add(&p->out, f, n);
}

static void flush(struct play *y, struct peer *p);

/* Oracle 4: what costs points, so often that none can be left. */
static void burst(struct play *y, struct peer *p, unsigned kind)
{
    char f[64];
    size_t n = 0;
    uint32_t times = p->client ? BURST : 9 * BURST;
    switch (kind % 5) {
    case 0:
        n = h2_put_ping(f, (const uint8_t *)"fuzzping", false);
        break;
    case 1:
        n = h2_put_settings(f, NULL, 0);
        break;
    case 2:
        n = h2_put_head(f, 0, (enum h2_type)77, 0, 0);
        break;
    case 3:
        n = h2_put_window(f, 0, 1);
        times += H2_BUDGET_FREE_MAX + BURST;
        p->conn_window += times;
        break;
    default:
        n = h2_put_head(f, 5, H2_PRIORITY, 0, 1);
        memset(f + n, 0, 5);
        n += 5;
        times += H2_BUDGET_FREE_MAX + BURST;
        break;
    }
    for (uint32_t i = 0; i < times; i++)
        buf_add(&p->out, f, n);
    for (int i = 0; p->client && i < 500 && !p->gone; i++)
        flush(y, p);
    must(!p->client || p->gone || p->raw);
    p->doomed = true;
}

/* Plays one step. */
static void play_step(struct play *y, struct peer *p)
{
    struct str *s = &p->script;
    enum step what = (enum step)(take(s) % N_STEPS);
    switch (what) {
    case DO_GET:
    case DO_POST:
    case DO_CONNECT:
        put_request(p, s, what);
        break;
    case DO_HEAD:
    case DO_ANSWER:
    case DO_TRAILERS:
        put_head(p, s, what);
        break;
    case DO_DATA:
    case DO_END:
        put_data(p, s, what == DO_END);
        break;
    case DO_SETTING:
        put_setting(p, s);
        break;
    case DO_CONTINUATION:
        put_frame(p, H2_CONTINUATION, take(s), some_stream(p, s), str_head(*s, 5));
        break;
    case DO_FRAME: {
        unsigned type = take(s), flags = take(s);
        uint32_t id = some_stream(p, s);
        struct str payload = str_head(*s, take(s) % 40);
        p->raw = p->raw || type == H2_WINDOW_UPDATE || type == H2_SETTINGS || type == H2_HEADERS;
        put_frame(p, type, flags, id, payload);
        *s = str_skip(*s, payload.n < s->n ? payload.n : s->n);
        break;
    }
    case DO_RAW: {
        struct str bytes = str_head(*s, take(s) % 64);
        p->raw = true;
        buf_adds(&p->out, bytes);
        *s = str_skip(*s, bytes.n < s->n ? bytes.n : s->n);
        break;
    }
    case DO_BURST:
        burst(y, p, take(s));
        break;
    case DO_TURN:
        flush(y, p);
        break;
    default:
        put_small(p, s, what);
    }
}

/* --- what the gateway says ---------------------------------------------------------------------------- */

struct head_seen {
    struct peer *p;
    bool regular, status, method;
    unsigned code;
};

/* The rules of names and values once more, one byte after the other. */
static bool judge_field(void *ctx, struct hpack_field *f)
{
    struct head_seen *h = ctx;
    struct str name = f->name, value = f->value;
    must(name.n);
    bool pseudo = name.p[0] == ':';
    must(!pseudo || !h->regular);
    h->regular = h->regular || !pseudo;
    for (size_t i = pseudo; i < name.n; i++)
        must((name.p[i] >= 'a' && name.p[i] <= 'z') || ascii_is_digit(name.p[i]) || strchr("!#$%&'*+-.^_`|~", name.p[i]));
    for (size_t i = 0; i < value.n; i++)
        must((unsigned char)value.p[i] >= ' ' || value.p[i] == '\t');
    must(!value.n || (value.p[0] != ' ' && value.p[value.n - 1] != ' '));
    static const char *const NEVER[] = {"connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"};
    for (size_t i = 0; i < ARRAY_LEN(NEVER); i++)
        must(!str_eqc(name, NEVER[i]));
    must(!str_eqc(name, "te") || str_eqc(value, "trailers"));
    if (str_eqc(name, ":status")) {
        must(h->p->client && !h->status && value.n == 3);
        h->status = true;
        h->code = (unsigned)(value.p[0] - '0') * 100;
    }
    if (str_eqc(name, ":method")) {
        must(!h->p->client && !h->method);
        h->method = true;
    }
    return true;
}

static void judge_block(struct peer *p, uint32_t id, bool end)
{
    struct head_seen h = {.p = p};
    must(hpack_decode(&p->decoder, buf_str(&p->block), true, judge_field, &h) == 0);
    buf_clear(&p->block);
    must(id % 2);
    if (id / 2 >= MAX_STREAMS)
        return;
    uint8_t *state = &p->state[id / 2];
    if (p->client) {
        must((*state & SEEN_OPEN) || p->raw);
        must(!(*state & (SEEN_END | SEEN_RESET)));
        must(h.status != !!(*state & SEEN_FINAL) || p->raw); /* a final head once; behind it trailers, which are the end */
        must(h.status || end);
        if (h.status && h.code >= 200)
            *state |= SEEN_FINAL;
        else
            must(!end || !h.status);
    } else {
        must(h.method != !!(*state & SEEN_OPEN));
        *state |= SEEN_OPEN;
        p->top = GH_MAX(p->top, id);
    }
    if (end)
        *state |= SEEN_END;
}

static void judge_data(struct play *y, struct peer *p)
{
    const struct h2_frame *f = &p->in.f;
    must(f->stream % 2);
    if (f->stream / 2 >= MAX_STREAMS)
        return;
    uint8_t *state = &p->state[f->stream / 2];
    must((*state & SEEN_OPEN) || p->raw);
    must(!(*state & (SEEN_END | SEEN_RESET)));
    must(!p->client || (*state & SEEN_FINAL));
    p->conn_window -= f->len;
    p->window[f->stream / 2] -= f->len;
    must(p->raw || (p->conn_window >= 0 && p->initial + p->window[f->stream / 2] >= 0));
    if (f->flags & H2_F_END_STREAM)
        *state |= SEEN_END;
    if (f->len && ((y->flags & EAGER_READER) || !p->client)) {
        char w[2 * H2_WINDOW_SIZE];
        size_t n = h2_put_window(w, 0, f->len);
        n += h2_put_window(w + n, f->stream, f->len);
        grant(p, 0, f->len);
        grant(p, f->stream, f->len);
        buf_add(&p->out, w, n);
    }
}

static void judge_frame(struct play *y, struct peer *p)
{
    const struct h2_frame *f = &p->in.f;
    if (f->type == H2_DATA) {
        judge_data(y, p);
    } else if (f->type == H2_RST_STREAM) {
        if (f->stream / 2 < MAX_STREAMS)
            p->state[f->stream / 2] |= SEEN_RESET;
    } else if (f->type == H2_GOAWAY) {
        p->gone = p->gone || f->code;
    } else if (f->type == H2_HEADERS || f->type == H2_CONTINUATION) {
        if (f->flags & H2_F_END_HEADERS)
            judge_block(p, f->stream, p->block.n >= 0 && (p->in.setting & H2_F_END_STREAM));
    } else {
        must(f->type == H2_SETTINGS || f->type == H2_PING || f->type == H2_WINDOW_UPDATE);
    }
}

/* Frames of the gateway, strictly. */
static void judge_h2(struct play *y, struct peer *p)
{
    struct str rest = str_skip(buf_str(&p->got), p->judged);
    size_t used;
    if (!rest.n)
        return;
    if (!p->client && !p->preface) {
        if (rest.n < H2_PREFACE_LEN)
            return;
        must(str_starts(rest, STR(H2_PREFACE)));
        rest = str_skip(rest, H2_PREFACE_LEN);
        p->judged += H2_PREFACE_LEN;
        p->preface = true;
    }
    for (enum h2_step step; (step = h2_read(&p->in, rest.p, rest.n, &used)) != H2_STEP_MORE;) {
        must(step != H2_STEP_ERROR);
        rest = str_skip(rest, used);
        p->judged += used;
        if (step == H2_STEP_FRAME && p->in.f.type == H2_HEADERS)
            p->in.setting = p->in.f.flags; /* nobody else uses it between settings */
        if (step == H2_STEP_PIECE && p->in.f.type != H2_DATA)
            buf_adds(&p->block, p->in.piece);
        if (step == H2_STEP_END)
            judge_frame(y, p);
    }
    p->judged += used;
}

/* Oracle 1 of HTTP/1.1. True when a whole request was found. */
static bool judge_h1(struct play *y, struct peer *u)
{
    static struct slow_message m, t;
    static const struct h1_limits wide = {UINT32_MAX, UINT32_MAX, SLOW_MAX_FIELDS};
    struct str rest = str_skip(buf_str(&u->got), u->judged);
    size_t used = 0, n = 0;
    if (!rest.n || u->raw)
        return false;
    enum slow_verdict v = slow_request(rest, &wide, &m);
    must(v != SLOW_BAD);
    if (v == SLOW_CUT)
        return false;
    for (size_t i = 0; i < m.n_fields; i++)
        must(!(m.fields[i].flags & (FIELD_F_ALIAS | FIELD_F_UNDERSCORE)));
    rest = str_skip(rest, m.used);
    if (m.body == H1_BODY_LENGTH) {
        if (rest.n < m.length)
            return false;
        used = (size_t)m.length;
    } else if (m.body == H1_BODY_CHUNKED) {
        char *text = arena_room(&y->arena, rest.n + 1);
        v = slow_chunked(rest, text, &n, &used);
        must(v != SLOW_BAD);
        if (v != SLOW_GOOD)
            return false;
        v = slow_trailers(str_skip(rest, used), &wide, &t);
        must(v != SLOW_BAD);
        if (v != SLOW_GOOD)
            return false;
        used += t.used;
    }
    u->judged += m.used + used;
    u->raw = m.upgrade; /* whatever comes now, if it was agreed to */
    return true;
}

/* --- playing ------------------------------------------------------------------------------------------ */

static void read_all(struct peer *p)
{
    char text[16384];
    ssize_t n = 0;
    while (p->fd >= 0 && (n = recv(p->fd, text, sizeof(text), MSG_DONTWAIT)) > 0)
        buf_add(&p->got, text, (size_t)n);
    if (p->fd >= 0 && (n == 0 || errno != EAGAIN))
        p->gone = true;
}

static void send_all(struct peer *p)
{
    ssize_t k = p->fd >= 0 ? send(p->fd, p->out.p, p->out.n, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
    if (k < 0 && p->fd >= 0 && errno == EAGAIN)
        return;
    if (k < 0)
        buf_clear(&p->out);
    if (k > 0) {
        memmove(p->out.p, p->out.p + k, p->out.n - (size_t)k);
        p->out.n -= (size_t)k;
    }
}

static void peer_init(struct peer *p, int fd, bool client, struct str script)
{
    memset(p, 0, sizeof(*p));
    p->fd = fd;
    p->client = client;
    p->script = script;
    p->in.max_block = 1 << 20;
    hpack_init(&p->decoder);
    p->conn_window = p->initial = H2_DEFAULT_WINDOW;
}

static void hang_up(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

static void peer_fini(struct peer *p)
{
    hang_up(p);
    buf_fini(&p->out);
    buf_fini(&p->got);
    buf_fini(&p->block);
    hpack_fini(&p->decoder);
}

/* Two steps of a backend's script for each thing it hears. */
static void backend(struct play *y, struct peer *u)
{
    size_t before = u->judged;
    read_all(u);
    if (!(y->flags & H2_BACKEND)) {
        while (judge_h1(y, u))
            buf_adds(&u->out, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    } else {
        judge_h2(y, u);
        bool heard = u->judged > before;
        for (int i = 0; i < 4 && heard && u->script.n && !u->gone; i++)
            play_step(y, u);
        if (!u->script.n && (y->flags & HANGS_UP)) {
            send_all(u);
            hang_up(u);
        }
    }
    send_all(u);
}

static void turn(struct play *y)
{
    struct board_counters *c = &board_proc(y->rig->board, 1)->counters;
    int fd;
    dataplane_turn(y->rig->dp, 0);
    while (y->n_peers < MAX_PEERS && (fd = accept4(y->rig->backend, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *u = &y->peers[y->n_peers++];
        peer_init(u, fd, false, y->spare);
        if (y->flags & H2_BACKEND)
            buf_add(&u->out, "\0\0\0\4\0\0\0\0\0", H2_HEAD);
    }
    for (size_t i = 0; i < y->n_peers; i++)
        backend(y, &y->peers[i]);
    read_all(&y->client);
    judge_h2(y, &y->client);
    must(rig_gauge(&c->buffer_bytes) <= HELD_MAX);
    must(rig_gauge(&c->exchanges_active) <= 128 + 1);
}

static void flush(struct play *y, struct peer *p)
{
    static bool inside; /* a backend's burst is played by turns that play backends */
    if (inside) {
        send_all(p);
        return;
    }
    inside = true;
    for (int i = 0; i < 40 && (i < 3 || p->out.n) && p->fd >= 0; i++) {
        send_all(p);
        turn(y);
    }
    inside = false;
}

/* Connections to backends that were one too many. */
static void refuse_more(struct rig *r)
{
    for (int fd; (fd = accept(r->backend, NULL, NULL)) >= 0;)
        close(fd);
}

/* Oracle 5. */
static void end(struct play *y)
{
    struct board_counters *c = &board_proc(y->rig->board, 1)->counters;
    for (size_t k = 0; k < y->n_peers; k++) {
        struct peer *u = &y->peers[k];
        for (int i = 0; i < 500 && u->doomed && !u->gone && u->fd >= 0; i++)
            turn(y);
        must(!u->doomed || u->gone || u->fd < 0 || u->raw);
    }
    for (int i = 0; i < 3000; i++) {
        if (i == 5)
            hang_up(&y->client);
        if (i >= 8)
            for (size_t k = 0; k < y->n_peers; k++)
                hang_up(&y->peers[k]);
        y->spare = STR("");
        if (i > 8)
            refuse_more(y->rig);
        turn(y);
        if (i > 20)
            dataplane_turn(y->rig->dp, 1);
        if (y->client.fd < 0 && !rig_gauge(&c->client_active) && !rig_gauge(&c->exchanges_active) &&
            !rig_gauge(&c->upstream_active) && !rig_gauge(&c->h2_streams_active) && !rig_gauge(&c->buffer_bytes))
            return;
    }
    fprintf(stderr, "left: %lu clients, %lu exchanges, %lu upstream, %lu streams, %lu bytes\n", (unsigned long)rig_gauge(&c->client_active),
            (unsigned long)rig_gauge(&c->exchanges_active), (unsigned long)rig_gauge(&c->upstream_active),
            (unsigned long)rig_gauge(&c->h2_streams_active), (unsigned long)rig_gauge(&c->buffer_bytes));
    must(!"everything is gone at the end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct play play; /* large */
    static uint64_t generation = 1;
    static enum upstream_protocol speaks;
    if (size < 4 || size > MAX_SIZE)
        return 0;
    struct play *y = &play;
    struct rig *r = rig_get();
    enum upstream_protocol want = data[0] & H2_BACKEND ? UPSTREAM_H2 : UPSTREAM_HTTP1;
    if (want != speaks)
        rig_load(r, ++generation, &(struct rig_rule){.protocol = speaks = want});
    size_t n = (size_t)data[2] | (size_t)data[3] << 8;
    struct str rest = str_of((const char *)data + 4, size - 4);
    y->rig = r;
    y->flags = data[0];
    y->cut = data[1];
    y->n_peers = 0;
    arena_init(&y->arena, 64 * 1024, NULL);
    y->spare = str_skip(rest, GH_MIN(n, rest.n));
    refuse_more(r); /* of the input before */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&r->at_listener, r->n_listener) == 0);
    struct peer *c = &y->client;
    peer_init(c, fd, true, str_head(rest, n));
    c->preface = true;
    buf_adds(&c->out, STR(H2_PREFACE));
    if (!(y->flags & NO_SETTINGS))
        buf_add(&c->out, "\0\0\0\4\0\0\0\0\0", H2_HEAD);
    else
        c->raw = true;
    while (c->script.n && !c->gone) {
        play_step(y, c);
        if (y->cut && c->out.n > y->cut)
            flush(y, c);
    }
    flush(y, c);
    if (y->flags & CLIENT_LEAVES)
        hang_up(c);
    end(y);
    peer_fini(c);
    for (size_t i = 0; i < y->n_peers; i++)
        peer_fini(&y->peers[i]);
    arena_fini(&y->arena);
    return 0;
}
