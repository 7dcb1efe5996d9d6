/*
 * field.h - header and trailer fields (RFC 9110 section 5): which names we know and what is true of
 * them, what may stand in a name and a value, and lists (#rule).
 *
 * The rows of shared/tbl/http_field.def are the only place that says what a field is. A name that is
 * not there is FIELD_OTHER and end-to-end.
 */
#ifndef GH_HTTP_FIELD_H
#define GH_HTTP_FIELD_H

#include "shared/base/str.h"

/* What is true of a known name (column 3 of the table). */
enum {
    FIELD_P_HOP = 1 << 0,        /* of one connection only: never forwarded (RFC 9110 7.6.1) */
    FIELD_P_FRAMING = 1 << 1,    /* says where the message ends: whoever writes the message makes it */
    FIELD_P_SINGLE = 1 << 2,     /* not a list: a second line of it makes no sense */
    FIELD_P_NO_TRAILER = 1 << 3, /* dropped from trailers (RFC 9110 6.5.1) */
    FIELD_P_KEEP = 1 << 4,       /* "Connection: name" does not remove it: others rely on it */
};

enum http_field_id {
    FIELD_OTHER,
#define X(id, name, properties, slot) FIELD_##id,
#include "shared/tbl/http_field.def"
#undef X
    FIELD_COUNT
};

/* Ids as bits. */
struct field_set {
    uint64_t of[2];
};
_Static_assert(FIELD_COUNT <= 128, "a set has two words");
static inline void field_set_add(struct field_set *s, unsigned id)
{
    s->of[id / 64] |= UINT64_C(1) << id % 64;
}
static inline void field_set_remove(struct field_set *s, unsigned id)
{
    s->of[id / 64] &= ~(UINT64_C(1) << id % 64);
}
static inline bool field_set_has(const struct field_set *s, unsigned id)
{
    return s->of[id / 64] >> id % 64 & 1;
}
static inline struct field_set field_set_others(const struct field_set *s)
{
    return (struct field_set){{~s->of[0], ~s->of[1]}};
}

/* What is true of one field line of one message. */
enum {
    FIELD_F_HOP = 1 << 0,        /* hop-by-hop by the table or named by Connection: not forwarded */
    FIELD_F_FRAMING = 1 << 1,    /* Content-Length, Transfer-Encoding: not forwarded, made anew */
    FIELD_F_ALIAS = 1 << 2,      /* a known name spelt with '_' for '-': never forwarded */
    FIELD_F_UNDERSCORE = 1 << 3, /* a name with '_': not forwarded unless configured */
    FIELD_F_NO_TRAILER = 1 << 4, /* stands in a trailer and may not: not forwarded */
    FIELD_F_LINE = 1 << 5,       /* in its buffer it reads `name: value CRLF`, without more white space:
                                    a hint for copying (h1_write_parsed), harmless when outdated */
    FIELD_F_NEVER = FIELD_F_HOP | FIELD_F_FRAMING | FIELD_F_ALIAS | FIELD_F_NO_TRAILER,
};

/* One line. The slices point into the buffer of the message; the value has no white space around it. */
struct http_field {
    struct str name;
    struct str value;
    uint16_t id;    /* enum http_field_id */
    uint16_t flags; /* FIELD_F_ */
};

/* Any case; FIELD_OTHER when it is none of ours. */
enum http_field_id http_field_of(struct str name);
/* The known field that `name` would be if each '_' were '-'; FIELD_OTHER if none or without '_'. */
enum http_field_id http_field_alias_of(struct str name);
struct str http_field_name(enum http_field_id id);    /* "content-length" */
extern const uint8_t http_field_table[FIELD_COUNT]; /* FIELD_P_ of each */
static inline unsigned http_field_properties(enum http_field_id id)
{
    return http_field_table[id];
}

/* A token, at most HTTP_FIELD_NAME_MAX bytes. */
bool http_field_name_valid(struct str name);
/* No control bytes but HTAB, no white space at either end; may be empty. */
bool http_field_value_valid(struct str value);
#define HTTP_FIELD_NAME_MAX 256

/* The value without OWS (SP, HTAB) at both ends. */
static inline struct str http_trim_ows(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_skip(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/*
 * Walks `a, b, "c, d"` (RFC 9110 5.6.1): the next element without white space around it. Empty
 * elements are skipped, commas inside quoted strings do not separate. Begin with *rest = the value;
 * false at the end.
 */
bool http_list_next(struct str *rest, struct str *item);
/* Is `token` (any case) an element of the list? */
bool http_list_has(struct str list, struct str token);

#endif
