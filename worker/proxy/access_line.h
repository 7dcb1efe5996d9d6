/*
 * access_line.h - one exchange as one line of text: JSON, or the steps of a format string. Private to the
 * access log.
 *
 * Lines are made in one scratch block that is large enough for the longest possible line (every value is
 * bounded), so no step checks for room.
 */
#ifndef GH_PROXY_ACCESS_LINE_H
#define GH_PROXY_ACCESS_LINE_H

#include "shared/http/log_format.h"
#include "worker/proxy/access_log.h"

struct access_line {
    struct log_format *format; /* NULL = JSON */
    int16_t known[LOG_FORMAT_MAX_OPS][2]; /* offsets of headers that the record has, or -1 */
    struct str wanted[ACCESS_WANTED_MAX]; /* names of response headers that the format has */
    size_t n_wanted;
    bool shows_local;          /* the format has the address that the client connected to */
    char *scratch;
    uint64_t second;           /* of which `stamp` is the text */
    char stamp[24];            /* "2026-11-23T10:35:00." */
    char hostname[65];
};

/* format.p NULL = JSON. False: memory, or the format is not valid. */
bool access_line_init(struct access_line *l, struct str format);
void access_line_fini(struct access_line *l); /* NULL-safe members */
/* The line with its '\n'; valid until the next call. */
struct str access_line_make(struct access_line *l, const struct access_record *r);
/* Envoy's response flag for a reason, "-" for none. */
struct str access_flag_of(enum reason r);

#endif
