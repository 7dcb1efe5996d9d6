/*
 * head.h - the head of a message as everyone above the codecs sees it, whatever the HTTP version.
 *
 * A codec fills it; filters and the pipeline edit it; a codec serialises it. Slices point into the
 * arena of the exchange (request) or into a buffer that lives during on_head (response). Framing and
 * connection matters (Content-Length, Transfer-Encoding, Connection, TE, Upgrade ...) are members, never
 * fields: the codec that writes makes them anew, and skips fields flagged FIELD_F_NEVER.
 */
#ifndef GH_HTTP_HEAD_H
#define GH_HTTP_HEAD_H

#include "shared/base/arena.h"
#include "shared/http/field.h"
#include "shared/http/host.h"
#include "shared/http/method.h"

/* Further flags of http_field.flags, ours. */
enum {
    HEAD_F_REMOVED = 1 << 8, /* by a filter or replaced: not sent */
    HEAD_F_ADDED = 1 << 9,   /* not in the message as received */
    HEAD_F_SECRET = 1 << 10, /* must never be put into a compression table (RFC 7541 6.2.3) */
};
#define HEAD_F_SKIP (FIELD_F_NEVER | HEAD_F_REMOVED)

enum body_kind {
    BODY_NONE,   /* the message ends with the head */
    BODY_LENGTH, /* `length` bytes follow */
    BODY_STREAM, /* bytes follow until the end comes */
};

struct http_head {
    /* Request. */
    struct str method;
    struct str authority;      /* what is sent as Host or :authority; with port as written */
    struct http_host host;     /* of it */
    struct str path;           /* raw as received until the pipeline makes it canonical; "*" possible */
    struct str query;          /* p is NULL when there is none */
    enum http_method method_id;
    bool https;                /* scheme */
    /* Response. */
    uint16_t status;           /* 1xx: interim (101: the connection becomes a tunnel) */
    struct str reason;         /* may be empty */
    /* Both. */
    uint8_t major, minor;      /* version it was received with */
    uint8_t body;              /* enum body_kind */
    bool has_length;           /* with BODY_NONE: `length` is what an answer to HEAD or a 304 said */
    bool upgrade;              /* asks for, or (101) agrees to another protocol */
    bool expect_continue;
    bool te_trailers;          /* the sender of this request takes trailers */
    bool close;                /* response: the connection to the client is to end after it */
    uint64_t length;
    struct str upgrade_to;     /* "websocket" */
    struct http_field *fields;
    uint16_t n_fields, cap_fields;
    /* What a codec may know of the lines, so that nobody has to look through them for what is not there; zero: nothing. */
    struct field_set absent;   /* no line has these ids */
    bool no_underscores;       /* no line was received that has FIELD_F_UNDERSCORE */
};

static inline bool head_lacks(const struct http_head *h, enum http_field_id id)
{
    return field_set_has(&h->absent, id);
}

struct http_field *head_find_line(const struct http_head *h, enum http_field_id id);
/* The first field that will be sent with that id, name (any case); NULL if none. */
static inline struct http_field *head_find(const struct http_head *h, enum http_field_id id)
{
    return head_lacks(h, id) ? NULL : head_find_line(h, id);
}
struct http_field *head_find_name(const struct http_head *h, struct str name);
/* Value of a name for matching: several lines joined with ',' in the arena. False when absent. */
bool head_value(const struct http_head *h, struct arena *a, struct str name, struct str *value);

/* Edits. Names and values are borrowed. False when memory has run out. */
bool head_add(struct http_head *h, struct arena *a, struct str name, struct str value); /* a new line */
bool head_set(struct http_head *h, struct arena *a, struct str name, struct str value);
void head_remove(struct http_head *h, struct str name);
bool head_add_id(struct http_head *h, struct arena *a, enum http_field_id id, struct str value);
bool head_set_id(struct http_head *h, struct arena *a, enum http_field_id id, struct str value);
void head_remove_id(struct http_head *h, enum http_field_id id);

#endif
