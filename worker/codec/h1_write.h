/*
 * h1_write.h - HTTP/1.1 heads and chunk framing into a buffer.
 *
 * A writer appends to memory of the caller and never beyond it: what does not fit sets `full` and
 * leaves the buffer as it was before that piece; the caller asks once at the end and begins again with
 * a larger buffer. A name, value or target that would break the framing sets `bad`, so that no filter
 * can put a line break on the wire: the message must not be sent.
 */
#ifndef GH_H1_WRITE_H
#define GH_H1_WRITE_H

#include "shared/http/field.h"

struct h1_writer {
    char *start, *at, *end;
    bool full; /* something did not fit */
    bool bad;  /* something may not stand in a head */
};

static inline struct h1_writer h1_writer_on(char *p, size_t cap)
{
    return (struct h1_writer){p, p, p + cap, false, false};
}
static inline size_t h1_writer_len(const struct h1_writer *w)
{
    return (size_t)(w->at - w->start);
}
static inline bool h1_writer_ok(const struct h1_writer *w)
{
    return !w->full && !w->bad;
}

/* `METHOD path?query HTTP/1.1`; query.p NULL for none. */
void h1_write_request_line(struct h1_writer *w, struct str method, struct str path, struct str query);
/* `HTTP/1.1 404 Not Found`; with an empty reason, that of the table. */
void h1_write_status_line(struct h1_writer *w, unsigned status, struct str reason);
void h1_write_field(struct h1_writer *w, struct str name, struct str value);
void h1_write_length(struct h1_writer *w, uint64_t value); /* Content-Length */
/*
 * Those of `fields` that have none of the flags `skip` (FIELD_F_NEVER and what the configuration says),
 * as h1_write_field would write them. Lines that still stand one behind the other in the buffer they
 * were parsed from are copied as one piece.
 */
void h1_write_parsed(struct h1_writer *w, const struct http_field *fields, uint16_t n, unsigned skip);
void h1_write_end(struct h1_writer *w); /* the empty line */
/* Bytes that are correct already, such as a prepared line. */
void h1_write_raw(struct h1_writer *w, struct str text);

#define H1_CHUNK_HEAD_MAX 18
/* `1a2b\r\n` for a chunk of n > 0 bytes; returns its length. Behind the data goes "\r\n". */
size_t h1_chunk_head(char out[H1_CHUNK_HEAD_MAX], uint64_t n);
/* The last chunk without trailers is "0\r\n\r\n"; with trailers "0\r\n", their lines, "\r\n". */

#endif
