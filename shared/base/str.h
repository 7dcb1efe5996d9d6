/*
 * str.h - borrowed slices and one growable buffer.
 *
 * A `struct str` never owns: it points into somebody's memory (an arena, a snapshot, a connection
 * buffer) and is valid as long as that. It is not NUL-terminated and may hold any byte. Copying is an
 * explicit verb (arena_str, buf_add).
 *
 * A `struct buf` owns heap memory, grows, and remembers a failed allocation: writers need no checks,
 * the owner asks `buf.oom` once at the end.
 */
#ifndef GH_STR_H
#define GH_STR_H

#include "shared/base/base.h"
#include <stdarg.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(lit)       ((struct str){"" lit, sizeof(lit) - 1})
#define STR_NONE       ((struct str){NULL, 0})
#define STR_FMT        "%.*s"
#define STR_ARG(s)     (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* The text of a C string; NULL gives the empty slice. */
static inline struct str str_c(const char *c)
{
    return (struct str){c, c ? strlen(c) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_eqc(struct str a, const char *c)
{
    return str_eq(a, str_c(c));
}

static inline bool str_starts(struct str a, struct str prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str a, struct str suffix)
{
    return a.n >= suffix.n &&
           (suffix.n == 0 || memcmp(a.p + a.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* ASCII only: bytes above 127 compare as they are (field names, host names, schemes). */
bool str_ieq(struct str a, struct str b);
/* memcmp order, shorter first; for qsort and sorted output. */
int str_cmp(struct str a, struct str b);
/* Index of the first `c`, or -1. */
ptrdiff_t str_chr(struct str s, char c);
/* Index of the last `c`, or -1. */
ptrdiff_t str_rchr(struct str s, char c);
/* Index of the first occurrence of `needle`, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);
/* Drops `n` bytes from the front (n <= s.n). */
static inline struct str str_skip(struct str s, size_t n)
{
    return (struct str){n ? s.p + n : s.p, s.n - n}; /* NULL + 0 is no pointer */
}
static inline struct str str_head(struct str s, size_t n)
{
    return (struct str){s.p, n < s.n ? n : s.n};
}
/* Without leading and trailing bytes of `set` (a C string). */
struct str str_trim(struct str s, const char *set);
/* Next piece up to `sep`; shortens *rest. False when *rest is used up (rest->p becomes NULL). */
bool str_split(struct str *rest, char sep, struct str *piece);
/* Decimal, all of it, no sign, no spaces, no overflow; false otherwise. */
bool str_u64(struct str s, uint64_t *out);
/* As str_u64 with an optional leading '-'. */
bool str_i64(struct str s, int64_t *out);
/* Writes the decimal digits; returns how many, at most STR_U64_MAX. */
#define STR_U64_MAX 20
size_t str_put_long(char *to, uint64_t v); /* private to str_put_u64 */
static inline size_t str_put_u64(char *to, uint64_t v)
{
    if (v >= 10)
        return str_put_long(to, v);
    to[0] = (char)('0' + v);
    return 1;
}
/* Edit distance, capped at `limit` (returns limit + 1 beyond); for "did you mean". ASCII. */
unsigned str_distance(struct str a, struct str b, unsigned limit);

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/* Value of a hex digit, or -1. */
static inline int ascii_hex(char c)
{
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Owns `p`. Zero-initialise to begin, buf_fini to end. */
struct buf {
    char *p;
    size_t n, cap;
    bool oom; /* an allocation failed; the text is cut at that point */
};

void buf_fini(struct buf *b);
static inline void buf_clear(struct buf *b)
{
    b->n = 0;
}
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}
/* Room for `extra` more bytes; false and b->oom on failure. */
bool buf_reserve(struct buf *b, size_t extra);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, struct str s);
void buf_addc(struct buf *b, const char *c);
void buf_addch(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) GH_PRINTF(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) GH_PRINTF(2, 0);
void buf_addu(struct buf *b, uint64_t v);
/* NUL-terminated view of the text (the NUL is not counted in n); never NULL. */
const char *buf_cstr(struct buf *b);

/* A JSON string with its quotes, RFC 8259; invalid UTF-8 bytes become U+FFFD. */
void buf_json(struct buf *b, struct str s);

#endif
