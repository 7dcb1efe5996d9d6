/*
 * grpc.h - what the pipeline has to know of gRPC (PROTOCOL-HTTP2.md of grpc/grpc): which requests are calls, their
 * deadline, and how a failure is said in a way that clients of gRPC understand. Pure.
 *
 * A failed call is an answer of status 200 without content whose head holds grpc-status and grpc-message ("trailers only").
 */
#ifndef GH_PROXY_GRPC_H
#define GH_PROXY_GRPC_H

#include "shared/base/str.h"
#include "shared/tbl/enums.h"

enum grpc_kind {
    GRPC_NO,
    GRPC_CALL,     /* application/grpc, application/grpc+proto ... */
    GRPC_WEB,      /* application/grpc-web: the same messages, trailers as the last of them */
    GRPC_WEB_TEXT, /* application/grpc-web-text: that in base64 */
};
/* What a content type says. *suffix is "+proto" and the like, or empty; it points into `type`. */
enum grpc_kind grpc_kind_of(struct str type, struct str *suffix);

/* The number for a failure with this HTTP status; by the reason where that says more than the status. */
enum grpc_status grpc_status_of_http(uint16_t http_status);
enum grpc_status grpc_status_of(enum reason why, uint16_t http_status);
/* A number on the wire; false when it is none. Numbers beyond those known are kept, up to 65535. */
bool grpc_status_read(struct str value, uint16_t *status);
/* "UNAVAILABLE", "Unavailable"; empty for numbers that are not known. */
struct str grpc_status_word(uint16_t status);
struct str grpc_status_camel(uint16_t status);

/* The value of grpc-timeout in milliseconds, rounded up, at least 1. False: not valid. */
bool grpc_timeout_read(struct str value, uint64_t *ms);

/* `text` as the value of grpc-message: what is not printable ASCII, and '%', as %XX. Returns the length; `out` has
 * room for 3 * text.n. */
size_t grpc_message_write(struct str text, char *out);

#endif
