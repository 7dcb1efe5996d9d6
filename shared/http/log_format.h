/*
 * log_format.h - the format string of an access log, in Envoy's style, as a list of steps.
 *
 *   [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ORIGINAL-PATH?:PATH):120% %PROTOCOL%" %RESPONSE_CODE%
 *
 * `%NAME%`, `%NAME(argument)%`, `%NAME(argument):LENGTH%` (at most LENGTH bytes of the value), `%%`. The
 * operators are the rows of tbl/log_op.def. A text without any '%' is the name of a preset
 * (tbl/log_preset.def). A line break is added where the format does not end with one.
 *
 * Pure; used by the worker to write and by the loader to check.
 */
#ifndef GH_HTTP_LOG_FORMAT_H
#define GH_HTTP_LOG_FORMAT_H

#include "shared/base/str.h"

#define LOG_FORMAT_MAX     3072 /* bytes of a format string */
#define LOG_FORMAT_MAX_OPS 96

enum log_op_id {
    LOG_OP_TEXT, /* as it stands */
#define X(id, name, argument, text) LOG_OP_##id,
#include "shared/tbl/log_op.def"
#undef X
    LOG_OP_COUNT
};

struct log_op {
    uint8_t id;      /* enum log_op_id */
    uint16_t max;    /* bytes of the value; 0 = no limit of its own */
    struct str text; /* TEXT: it; REQ, RESP: header name in lower case; START_TIME, GRPC_STATUS: its form */
    struct str alt;  /* REQ, RESP: the second name; may be empty */
};

/* The slices of `ops` point into `raw` and `lower`: a format must not be copied. */
struct log_format {
    struct log_op ops[LOG_FORMAT_MAX_OPS];
    size_t n;
    char raw[LOG_FORMAT_MAX + 2], lower[LOG_FORMAT_MAX + 2];
};

/* 0; GH_E_FORMAT or GH_E_LIMIT with a sentence in `why` (may be NULL). */
int log_format_parse(struct str format, struct log_format *f, struct buf *why);
/* The time `wall_us` in the form of START_TIME's argument (empty: RFC 3339 with milliseconds). Returns
 * the bytes written, at most `room`. */
size_t log_format_time(struct str form, uint64_t wall_us, char *out, size_t room);

#endif
