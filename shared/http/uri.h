/*
 * uri.h - request targets (RFC 9112 section 3.2), THE canonical form of a path, and query parameters.
 *
 * One canonical path is used for matching, for authorisation and for what is sent upstream, so that
 * nobody can see another path than the one that was judged. Canonical means:
 *
 *   1. it begins with '/' and has no "." or ".." segments; one that climbs above the root is refused;
 *   2. unreserved characters are not percent-encoded; bytes outside pchar are; hex digits are capitals;
 *   3. no empty segments but the last (PATH_MERGE_SLASHES);
 *   4. refused: control bytes, encoded or not; raw '\', '#', space and bytes above 0x7e; an escape that
 *      is not two hex digits; escapes that are an over-long form of UTF-8;
 *   5. refused unless a flag keeps them: %2F, %5C and ';' (parameters of a segment: servers differ about
 *      what belongs to the name). Even then, and for %3B always, no part of a segment between them may be
 *      "." or "..": servers that decode first would climb.
 *
 * The function is idempotent: canonical(canonical(x)) == canonical(x). Escapes are decoded once:
 * %252e stays %252e. The query is kept byte for byte.
 */
#ifndef GH_HTTP_URI_H
#define GH_HTTP_URI_H

#include "shared/base/str.h"
#include "shared/http/method.h"

enum uri_fault {
    URI_OK,
#define X(id, text) URI_##id,
#include "shared/tbl/uri_fault.def"
#undef X
};
const char *uri_fault_text(enum uri_fault f);

enum http_target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };

/* Slices of the raw target. */
struct http_target {
    enum http_target_form form;
    bool https;           /* absolute form with scheme https */
    struct str authority; /* absolute and authority form; else p is NULL */
    struct str path;      /* raw; "*" for the asterisk form, empty for the authority form */
    struct str query;     /* behind the '?'; p is NULL when there is none */
};

/* `m` decides which forms are possible: authority only and always with CONNECT, asterisk with OPTIONS. */
enum uri_fault http_target_parse(enum http_method m, struct str raw, struct http_target *t);
/* The same for a target of which every byte is known to be of TOKEN_TARGET. */
enum uri_fault http_target_split(enum http_method m, struct str raw, struct http_target *t);

enum {
    PATH_MERGE_SLASHES = 1 << 0,
    PATH_KEEP_ENCODED_SLASH = 1 << 1,     /* %2F stays %2F, as part of the segment */
    PATH_KEEP_ENCODED_BACKSLASH = 1 << 2, /* %5C stays %5C */
    PATH_KEEP_PARAMETERS = 1 << 3,        /* ';' stays; segments ".;x" and "..;x" are still refused */
    PATH_DEFAULT = PATH_MERGE_SLASHES,
};

/* Bytes that `out` must have for a raw path of `n` bytes. */
#define HTTP_PATH_ROOM(n) (3 * (n) + 1)

/*
 * `raw` is the path of a target in origin or absolute form. When it is canonical already, *path is
 * `raw` itself, so path->p tells whether anything was changed; else *path lies in `out`. Without escapes
 * in a canonical path (the common case) `out` is not even touched.
 */
enum uri_fault http_path_canonical(struct str raw, unsigned flags, char *out, struct str *path);

/* VCHAR without '#'. */
bool http_query_valid(struct str query);
/* Next `name=value` of *rest, raw; a piece without '=' has an empty value. False at the end. Empty
 * pieces ("a=1&&b=2") are skipped. */
bool http_query_next(struct str *rest, struct str *name, struct str *value);
/* Is the text, once '+' and escapes are decoded, equal to `plain`? A broken escape stands for itself. */
bool http_query_equal(struct str raw, struct str plain);
/* The raw value of the first parameter with that name. */
bool http_query_get(struct str query, struct str name, struct str *value);
/* Decodes into `out` (raw.n bytes of room); returns the length. */
size_t http_query_decode(struct str raw, char *out);

#endif
