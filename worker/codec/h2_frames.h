/*
 * h2_frames.h - HTTP/2 frames from bytes and into bytes (RFC 9113 sections 4 and 6). Pure: no allocation, no
 * clock, no I/O.
 *
 * The reader cuts what was read into frames and pieces of payload, wherever the bytes were split, and copies none
 * but the few of fixed fields. It judges what a frame says by itself: its length, stream 0 or not, padding, values
 * of settings, and header blocks, which nothing may interrupt and which have an end (at most H2_MAX_CONTINUATION
 * frames and `max_block` bytes). What a frame means to a stream is the session's business.
 *
 *     while ((step = h2_read(&r, data + at, n - at, &used)) != H2_STEP_MORE) {
 *         at += used;
 *         H2_STEP_FRAME    r.f is the frame that begins; set r.skip to hear of its end only (never of a header block)
 *         H2_STEP_PIECE    r.piece: content of DATA, or a fragment of a header block
 *         H2_STEP_SETTING  r.setting, r.value
 *         H2_STEP_END      the frame is over; the fixed fields are in r.f. With H2_F_END_HEADERS the block is, too
 *         H2_STEP_ERROR    r.error, r.text: the connection is to end; nothing more can be read
 *     }
 *
 * With the last piece of DATA, r.left is 0 (r.pad bytes of padding may follow).
 *
 * The steps do not depend on how the bytes were cut, but that one PIECE may come as several.
 */
#ifndef GH_CODEC_H2_FRAMES_H
#define GH_CODEC_H2_FRAMES_H

#include "shared/base/str.h"

#define H2_HEAD            9u     /* bytes of a frame's head */
#define H2_MAX_FRAME       16384u /* largest payload that we accept; everybody must */
#define H2_MAX_CONTINUATION 8u    /* CONTINUATION frames of one block */
#define H2_MAX_WINDOW      0x7fffffff
#define H2_MAX_STREAM      0x7fffffffu
#define H2_DEFAULT_WINDOW  65535

#define H2_PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN 24u

enum h2_type {
    H2_DATA = 0,
    H2_HEADERS = 1,
    H2_PRIORITY = 2,
    H2_RST_STREAM = 3,
    H2_SETTINGS = 4,
    H2_PUSH_PROMISE = 5,
    H2_PING = 6,
    H2_GOAWAY = 7,
    H2_WINDOW_UPDATE = 8,
    H2_CONTINUATION = 9,
    H2_PRIORITY_UPDATE = 16, /* RFC 9218 */
};

enum {
    H2_F_END_STREAM = 0x1,  /* DATA, HEADERS */
    H2_F_ACK = 0x1,         /* SETTINGS, PING */
    H2_F_END_HEADERS = 0x4, /* HEADERS, CONTINUATION */
    H2_F_PADDED = 0x8,      /* DATA, HEADERS */
    H2_F_PRIORITY = 0x20,   /* HEADERS */
};

/* Codes of RST_STREAM and GOAWAY: RFC 9113 section 7. */
enum h2_code {
    H2_NO_ERROR,
    H2_PROTOCOL_ERROR,
    H2_INTERNAL_ERROR,
    H2_FLOW_CONTROL_ERROR,
    H2_SETTINGS_TIMEOUT,
    H2_STREAM_CLOSED,
    H2_FRAME_SIZE_ERROR,
    H2_REFUSED_STREAM,
    H2_CANCEL,
    H2_COMPRESSION_ERROR,
    H2_CONNECT_ERROR,
    H2_ENHANCE_YOUR_CALM,
    H2_INADEQUATE_SECURITY,
    H2_HTTP_1_1_REQUIRED,
    H2_N_CODES
};
const char *h2_code_name(uint32_t code); /* "PROTOCOL_ERROR"; "UNKNOWN" */

enum h2_setting {
    H2_SET_HEADER_TABLE_SIZE = 1,
    H2_SET_ENABLE_PUSH = 2,
    H2_SET_MAX_CONCURRENT_STREAMS = 3,
    H2_SET_INITIAL_WINDOW_SIZE = 4,
    H2_SET_MAX_FRAME_SIZE = 5,
    H2_SET_MAX_HEADER_LIST_SIZE = 6,
    H2_SET_ENABLE_CONNECT_PROTOCOL = 8,  /* RFC 8441 */
    H2_SET_NO_RFC7540_PRIORITIES = 9,    /* RFC 9218 */
};

struct h2_frame {
    uint32_t len;       /* bytes of payload, padding and all */
    uint32_t stream;
    uint8_t type, flags;
    /* At END; in HEADERS with H2_F_PRIORITY from the first PIECE on. */
    uint32_t word;      /* code of RST_STREAM; increment; the stream that is depended on; last stream of GOAWAY */
    uint32_t code;      /* of GOAWAY */
    uint8_t opaque[8];  /* of PING */
};

/* Zero it, and set max_block. Private but for what the steps above name. */
struct h2_reader {
    struct h2_frame f;
    struct str piece;
    uint32_t value;
    uint16_t setting;
    bool skip;
    uint8_t error;          /* enum h2_code */
    const char *text;
    uint32_t max_block;     /* bytes of a header block with its frames' padding */
    uint32_t block_stream;  /* of the header block under way; 0 = none */
    uint32_t block_bytes;
    uint8_t block_frames;
    uint8_t phase;
    uint8_t n_fixed, want_fixed; /* bytes collected in `fixed`, and wanted */
    uint8_t pad;
    uint32_t left;          /* of the payload, padding not counted once it is known */
    uint8_t fixed[9];
};

enum h2_step { H2_STEP_MORE, H2_STEP_FRAME, H2_STEP_PIECE, H2_STEP_SETTING, H2_STEP_END, H2_STEP_ERROR };

/* Uses some of [data, data + n) and says how many in *used; MORE: all. Other steps may use none, so call until MORE. */
enum h2_step h2_read(struct h2_reader *r, const char *data, size_t n, size_t *used);
/* Is a header block under way, which only CONTINUATION may follow? */
static inline bool h2_in_block(const struct h2_reader *r)
{
    return r->block_stream != 0;
}

/* --- out: each writes one frame (its head with DATA and HEADERS) and returns its length --------------- */

size_t h2_put_head(char *out, uint32_t len, enum h2_type type, uint8_t flags, uint32_t stream);
#define H2_RST_SIZE (H2_HEAD + 4)
size_t h2_put_rst(char *out, uint32_t stream, enum h2_code code);
#define H2_WINDOW_SIZE (H2_HEAD + 4)
size_t h2_put_window(char *out, uint32_t stream, uint32_t increment);
#define H2_PING_SIZE (H2_HEAD + 8)
size_t h2_put_ping(char *out, const uint8_t opaque[8], bool ack);
#define H2_GOAWAY_SIZE(text) (H2_HEAD + 8 + (text).n)
size_t h2_put_goaway(char *out, uint32_t last, enum h2_code code, struct str text);
#define H2_SETTINGS_ACK_SIZE H2_HEAD
size_t h2_put_settings_ack(char *out);
struct h2_set {
    uint16_t id;
    uint32_t value;
};
#define H2_SETTINGS_SIZE(n) (H2_HEAD + 6 * (size_t)(n))
size_t h2_put_settings(char *out, const struct h2_set *v, size_t n);

#endif
