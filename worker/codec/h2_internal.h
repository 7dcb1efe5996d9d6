/*
 * h2_internal.h - between h2_session.c (what frames mean to the connection), h2_stream.c (the life of a stream, and
 * what comes in on it) and h2_send.c (what goes out). Nobody else includes it.
 */
#ifndef GH_CODEC_H2_INTERNAL_H
#define GH_CODEC_H2_INTERNAL_H

#include "worker/codec/h2_session.h"

/* --- h2_session.c --- */

enum h2_past h2_past_of(const struct h2_session *h, uint32_t id);
void h2_past_set(struct h2_session *h, uint32_t id, enum h2_past what);
bool h2_is_idle(const struct h2_session *h, uint32_t id);
/* n bytes of content have gone: the peer may send as many again. */
void h2_give_back(struct h2_session *h, uint32_t n);
void h2_stream_give_back(struct h2_stream *st, uint32_t n);

/* --- h2_stream.c --- */

/* The peer's RST_STREAM. */
void h2_stream_was_reset(struct h2_stream *st, enum h2_code code);
/* Content, trailers, the end of what the peer says. */
void h2_stream_take(struct h2_stream *st, const char *data, size_t n, bool last);
void h2_stream_take_trailers(struct h2_stream *st, struct h2_head *d);
void h2_stream_take_end(struct h2_stream *st);
/* What waited for a kick. */
void h2_stream_later(struct h2_stream *st);

/* --- h2_send.c --- */

char *h2_room(struct h2_session *h, size_t n); /* as conn_room; NULL: the connection has ended */
/* Bytes go out: copied, at the end of the turn; or, with h2_pass, as they are (valid until net_leave) if they are many.
 * False: the connection has ended, or there is no memory. */
bool h2_put(struct h2_session *h, const char *data, size_t n);
bool h2_pass(struct h2_session *h, const char *data, size_t n);
void h2_write_rst(struct h2_session *h, uint32_t id, enum h2_code code);
/* It has something to send, or a window: its turn comes. */
void h2_stream_ready(struct h2_stream *st);
/* Streams take their turns, as far as there is room. */
void h2_pump(struct h2_session *h);
/* The connection's window has opened. */
void h2_unstarve(struct h2_session *h);

#endif
