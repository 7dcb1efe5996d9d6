#include "worker/codec/h2_frames.h"

enum phase {
    HEAD,     /* of the next frame, into `fixed` */
    SIMPLE,   /* the head is there: nothing but content follows, or nobody wants it */
    BEGIN,    /* ... fixed fields, or what follows */
    FIXED,    /* fixed fields, into `fixed` */
    CONTENT,  /* pieces */
    SETTING,  /* six bytes at a time, into `fixed` */
    SKIP,     /* what nobody wants; then the padding */
    OVER,     /* END is due */
    FAILED,
};

const char *h2_code_name(uint32_t code)
{
    static const char *const NAMES[H2_N_CODES] = {
        "NO_ERROR",         "PROTOCOL_ERROR",    "INTERNAL_ERROR",      "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",    "FRAME_SIZE_ERROR",  "REFUSED_STREAM",      "CANCEL",             "COMPRESSION_ERROR",
        "CONNECT_ERROR",    "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    };
    return code < H2_N_CODES ? NAMES[code] : "UNKNOWN";
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum h2_step fail(struct h2_reader *r, enum h2_code code, const char *text)
{
    r->phase = FAILED;
    r->error = (uint8_t)code;
    r->text = text;
    return H2_STEP_ERROR;
}

/* --- the head of a frame --------------------------------------------------------------------------- */

enum on { ON_ANY, ON_STREAM, ON_CONNECTION };

/* What is true of each type: where it may stand, how long its payload is, what of it is fixed. */
static const struct {
    uint8_t on;
    uint8_t fixed;   /* bytes in front of content */
    bool exact;      /* ... and there is nothing else */
} TYPES[] = {
    [H2_DATA] = {ON_STREAM, 0, false},
    [H2_HEADERS] = {ON_STREAM, 0, false},
    [H2_PRIORITY] = {ON_STREAM, 5, true},
    [H2_RST_STREAM] = {ON_STREAM, 4, true},
    [H2_SETTINGS] = {ON_CONNECTION, 0, false},
    [H2_PUSH_PROMISE] = {ON_STREAM, 0, false},
    [H2_PING] = {ON_CONNECTION, 8, true},
    [H2_GOAWAY] = {ON_CONNECTION, 8, false},
    [H2_WINDOW_UPDATE] = {ON_ANY, 4, true},
    [H2_CONTINUATION] = {ON_STREAM, 0, false},
    [H2_PRIORITY_UPDATE] = {ON_CONNECTION, 4, false},
};

static bool is_known(uint8_t type)
{
    return type <= H2_CONTINUATION || type == H2_PRIORITY_UPDATE;
}

/* Header blocks: nothing comes between their frames, and they end. */
static const char *judge_block(struct h2_reader *r, enum h2_code *code)
{
    const struct h2_frame *f = &r->f;
    *code = H2_PROTOCOL_ERROR;
    if (r->block_stream ? f->type != H2_CONTINUATION || f->stream != r->block_stream : f->type == H2_CONTINUATION)
        return r->block_stream ? "a header block is interrupted" : "CONTINUATION without a header block";
    if (f->type == H2_HEADERS) {
        r->block_bytes = r->block_frames = 0;
    } else if (f->type == H2_CONTINUATION) {
        *code = H2_ENHANCE_YOUR_CALM;
        if (++r->block_frames > H2_MAX_CONTINUATION)
            return "a header block of too many frames";
    } else {
        return NULL;
    }
    *code = H2_ENHANCE_YOUR_CALM;
    r->block_bytes += f->len;
    return r->block_bytes > r->max_block ? "a header block that is too long" : NULL;
}

static const char *judge_size(const struct h2_frame *f)
{
    if (f->len > H2_MAX_FRAME)
        return "a frame that is too long";
    if (!is_known(f->type))
        return NULL;
    /* A PRIORITY of another length is an error of its stream only (6.3). */
    if (TYPES[f->type].exact && f->len != TYPES[f->type].fixed && f->type != H2_PRIORITY)
        return "a frame of wrong length";
    if (f->len < TYPES[f->type].fixed && f->type != H2_PRIORITY)
        return "a frame that is too short";
    if (f->type == H2_SETTINGS && (f->flags & H2_F_ACK ? f->len != 0 : f->len % 6 != 0))
        return "SETTINGS of wrong length";
    size_t before = (f->flags & H2_F_PADDED) != 0;
    before += f->type == H2_HEADERS && (f->flags & H2_F_PRIORITY) ? 5 : 0;
    if ((f->type == H2_DATA || f->type == H2_HEADERS) && f->len < before)
        return "a frame that is too short";
    return NULL;
}

/* DATA, or a header block in one frame, and only that: what nearly all frames are. judge() would find nothing. */
static inline bool is_simple(const struct h2_reader *r)
{
    const struct h2_frame *f = &r->f;
    return f->type <= H2_HEADERS && f->stream && f->len <= GH_MIN(H2_MAX_FRAME, r->max_block) && !r->block_stream &&
           !(f->flags & (H2_F_PADDED | H2_F_PRIORITY));
}

static GH_NOINLINE enum h2_step judge(struct h2_reader *r)
{
    const struct h2_frame *f = &r->f;
    enum h2_code code;
    const char *wrong = judge_size(f);
    if (wrong)
        return fail(r, H2_FRAME_SIZE_ERROR, wrong);
    wrong = judge_block(r, &code);
    if (wrong)
        return fail(r, code, wrong);
    if (is_known(f->type) && TYPES[f->type].on != ON_ANY && (TYPES[f->type].on == ON_STREAM) != (f->stream != 0))
        return fail(r, H2_PROTOCOL_ERROR, f->stream ? "a frame of the connection on a stream"
                                                    : "a frame of a stream on stream 0");
    if (f->type == H2_PUSH_PROMISE)
        return fail(r, H2_PROTOCOL_ERROR, "PUSH_PROMISE where nobody may push");
    if (f->type == H2_HEADERS || f->type == H2_CONTINUATION)
        r->block_stream = f->stream;
    return H2_STEP_FRAME;
}

static inline enum h2_step begin(struct h2_reader *r, const uint8_t *p)
{
    uint32_t len_type = get32(p);
    r->f = (struct h2_frame){
        .len = len_type >> 8,
        .type = (uint8_t)len_type,
        .flags = p[4],
        .stream = get32(p + 5) & H2_MAX_STREAM,
    };
    r->left = r->f.len;
    r->pad = 0;
    r->skip = false;
    r->n_fixed = 0;
    r->phase = SIMPLE;
    if (likely(is_simple(r))) {
        if (r->f.type == H2_HEADERS) {
            r->block_stream = r->f.stream;
            r->block_bytes = r->f.len;
            r->block_frames = 0;
        }
        return H2_STEP_FRAME;
    }
    r->phase = BEGIN;
    return judge(r);
}

/* --- its payload ------------------------------------------------------------------------------------ */

static bool has_content(const struct h2_frame *f)
{
    return f->type == H2_DATA || f->type == H2_HEADERS || f->type == H2_CONTINUATION;
}

static void after_fixed(struct h2_reader *r)
{
    r->n_fixed = 0;
    if (has_content(&r->f) && !r->skip)
        r->phase = CONTENT;
    else if (r->f.type == H2_SETTINGS && !r->skip)
        r->phase = SETTING;
    else
        r->phase = SKIP;
}

/* The owner has seen the frame: what comes first? */
static void choose(struct h2_reader *r)
{
    const struct h2_frame *f = &r->f;
    r->n_fixed = r->want_fixed = 0;
    if (f->type == H2_DATA || f->type == H2_HEADERS) {
        r->want_fixed = (f->flags & H2_F_PADDED) != 0;
        if (f->type == H2_HEADERS && (f->flags & H2_F_PRIORITY))
            r->want_fixed += 5;
    } else if (is_known(f->type) && f->len >= TYPES[f->type].fixed && !(f->type == H2_PRIORITY && f->len != 5)) {
        r->want_fixed = TYPES[f->type].fixed;
    }
    if (r->want_fixed && !(r->skip && !has_content(f)))
        r->phase = FIXED;
    else
        after_fixed(r);
}

static enum h2_step take_fixed(struct h2_reader *r)
{
    struct h2_frame *f = &r->f;
    const uint8_t *p = r->fixed;
    r->left -= r->want_fixed;
    if (has_content(f)) {
        if (f->flags & H2_F_PADDED) {
            r->pad = *p++;
            if (r->pad > r->left)
                return fail(r, H2_PROTOCOL_ERROR, "padding as long as the frame or longer");
            r->left -= r->pad;
        }
        if (f->type == H2_HEADERS && (f->flags & H2_F_PRIORITY))
            f->word = get32(p) & H2_MAX_STREAM;
    } else if (f->type == H2_PING) {
        memcpy(f->opaque, p, 8);
    } else {
        f->word = get32(p) & (f->type == H2_RST_STREAM ? UINT32_MAX : H2_MAX_STREAM);
        if (f->type == H2_GOAWAY)
            f->code = get32(p + 4);
    }
    after_fixed(r);
    return H2_STEP_MORE;
}

static enum h2_step content(struct h2_reader *r, const char *data, size_t n, size_t *used)
{
    size_t k = GH_MIN((size_t)r->left, n);
    if (!r->left) {
        r->phase = r->pad ? SKIP : OVER;
        return H2_STEP_MORE;
    }
    if (!k)
        return H2_STEP_MORE;
    r->left -= (uint32_t)k;
    if (!r->left && !r->pad)
        r->phase = OVER;
    *used += k;
    r->piece = str_of(data, k);
    return H2_STEP_PIECE;
}

static enum h2_step setting(struct h2_reader *r)
{
    uint32_t value = get32(r->fixed + 2);
    r->setting = (uint16_t)(r->fixed[0] << 8 | r->fixed[1]);
    r->value = value;
    r->left -= 6;
    r->n_fixed = 0;
    switch (r->setting) {
    case H2_SET_ENABLE_PUSH:
    case H2_SET_ENABLE_CONNECT_PROTOCOL:
    case H2_SET_NO_RFC7540_PRIORITIES:
        if (value > 1)
            return fail(r, H2_PROTOCOL_ERROR, "a setting that is neither 0 nor 1");
        break;
    case H2_SET_INITIAL_WINDOW_SIZE:
        if (value > H2_MAX_WINDOW)
            return fail(r, H2_FLOW_CONTROL_ERROR, "an initial window that is too large");
        break;
    case H2_SET_MAX_FRAME_SIZE:
        if (value < H2_MAX_FRAME || value > 0xffffff)
            return fail(r, H2_PROTOCOL_ERROR, "a maximum frame size out of range");
        break;
    default:
        break;
    }
    return H2_STEP_SETTING;
}

/* Collects bytes in `fixed`; true when there are `want`. */
static bool collect(struct h2_reader *r, uint8_t want, const char *data, size_t n, size_t *used)
{
    size_t k = GH_MIN((size_t)(want - r->n_fixed), n);
    memcpy(r->fixed + r->n_fixed, data, k);
    r->n_fixed += (uint8_t)k;
    *used += k;
    return r->n_fixed == want;
}

static enum h2_step over(struct h2_reader *r)
{
    const struct h2_frame *f = &r->f;
    if ((f->type == H2_HEADERS || f->type == H2_CONTINUATION) && (f->flags & H2_F_END_HEADERS))
        r->block_stream = 0;
    r->phase = HEAD;
    r->n_fixed = 0;
    return H2_STEP_END;
}

static bool skip(struct h2_reader *r, size_t n, size_t *used)
{
    size_t left = (size_t)r->left + r->pad, k = GH_MIN(left, n), of_pad = GH_MIN(k, (size_t)r->pad);
    /* What is left of the content comes first, but that makes no difference to who counts. */
    r->pad -= (uint8_t)of_pad;
    r->left -= (uint32_t)(k - of_pad);
    *used += k;
    return k == left;
}

/* Wherever the bytes were cut. */
static GH_NOINLINE enum h2_step read_on(struct h2_reader *r, const char *data, size_t n, size_t *used)
{
    *used = 0;
    for (;;) {
        const char *at = data + *used;
        size_t rest = n - *used;
        enum h2_step s = H2_STEP_MORE;
        switch ((enum phase)r->phase) {
        case HEAD:
            if (!collect(r, H2_HEAD, at, rest, used))
                return H2_STEP_MORE;
            return begin(r, r->fixed);
        case SIMPLE:
            r->phase = r->skip ? SKIP : CONTENT;
            break;
        case BEGIN:
            choose(r);
            break;
        case FIXED:
            if (!collect(r, r->want_fixed, at, rest, used))
                return H2_STEP_MORE;
            s = take_fixed(r);
            break;
        case CONTENT:
            s = content(r, at, rest, used);
            if (s == H2_STEP_MORE && r->phase == CONTENT)
                return s;
            break;
        case SETTING:
            if (!r->left)
                r->phase = OVER;
            else if (!collect(r, 6, at, rest, used))
                return H2_STEP_MORE;
            else
                s = setting(r);
            break;
        case SKIP:
            if (!skip(r, rest, used))
                return H2_STEP_MORE;
            r->phase = OVER;
            break;
        case OVER:
            return over(r);
        case FAILED:
            return H2_STEP_ERROR;
        }
        if (s != H2_STEP_MORE)
            return s;
    }
}

/* A frame that is simple and here takes three short steps. */
enum h2_step h2_read(struct h2_reader *r, const char *data, size_t n, size_t *used)
{
    size_t k;
    switch ((enum phase)r->phase) {
    case HEAD:
        if (r->n_fixed || n < H2_HEAD)
            break;
        *used = H2_HEAD;
        return begin(r, (const uint8_t *)data);
    case SIMPLE:
        if (r->skip)
            break;
        r->phase = CONTENT;
        /* fall through */
    case CONTENT:
        k = GH_MIN((size_t)r->left, n);
        if (!k)
            break;
        *used = k;
        r->piece = str_of(data, k);
        r->left -= (uint32_t)k;
        if (!r->left && !r->pad)
            r->phase = OVER;
        return H2_STEP_PIECE;
    case OVER:
        *used = 0;
        return over(r);
    default:
        break;
    }
    return read_on(r, data, n, used);
}

/* --- out --------------------------------------------------------------------------------------------- */

static char *put32(char *out, uint32_t v)
{
    out[0] = (char)(v >> 24);
    out[1] = (char)(v >> 16);
    out[2] = (char)(v >> 8);
    out[3] = (char)v;
    return out + 4;
}

size_t h2_put_head(char *out, uint32_t len, enum h2_type type, uint8_t flags, uint32_t stream)
{
    put32(out, len << 8 | (uint32_t)type);
    out[4] = (char)flags;
    put32(out + 5, stream);
    return H2_HEAD;
}

size_t h2_put_rst(char *out, uint32_t stream, enum h2_code code)
{
    put32(out + h2_put_head(out, 4, H2_RST_STREAM, 0, stream), code);
    return H2_RST_SIZE;
}

size_t h2_put_window(char *out, uint32_t stream, uint32_t increment)
{
    put32(out + h2_put_head(out, 4, H2_WINDOW_UPDATE, 0, stream), increment);
    return H2_WINDOW_SIZE;
}

size_t h2_put_ping(char *out, const uint8_t opaque[8], bool ack)
{
    memcpy(out + h2_put_head(out, 8, H2_PING, ack ? H2_F_ACK : 0, 0), opaque, 8);
    return H2_PING_SIZE;
}

size_t h2_put_goaway(char *out, uint32_t last, enum h2_code code, struct str text)
{
    char *at = out + h2_put_head(out, 8 + (uint32_t)text.n, H2_GOAWAY, 0, 0);
    at = put32(put32(at, last), code);
    if (text.n)
        memcpy(at, text.p, text.n);
    return H2_GOAWAY_SIZE(text);
}

size_t h2_put_settings_ack(char *out)
{
    return h2_put_head(out, 0, H2_SETTINGS, H2_F_ACK, 0);
}

size_t h2_put_settings(char *out, const struct h2_set *v, size_t n)
{
    char *at = out + h2_put_head(out, 6 * (uint32_t)n, H2_SETTINGS, 0, 0);
    for (size_t i = 0; i < n; i++) {
        *at++ = (char)(v[i].id >> 8);
        *at++ = (char)v[i].id;
        at = put32(at, v[i].value);
    }
    return H2_SETTINGS_SIZE(n);
}
