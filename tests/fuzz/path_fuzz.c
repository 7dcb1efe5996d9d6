/*
 * path_fuzz.c - the canonical path (F9): idempotent; nothing in it that somebody could still read as
 * another path, also after decoding it once more and resolving it as servers do.
 *
 * Input: one byte of flags, then the raw path. The same bytes are also compared as a query.
 */
#include "shared/http/uri.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t decode(struct str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n) {
            out[n++] = (char)(ascii_hex(s.p[i + 1]) << 4 | ascii_hex(s.p[i + 2]));
            i += 2;
        } else {
            out[n++] = s.p[i];
        }
    }
    return n;
}

static bool is_dots(struct str s)
{
    return str_eqc(s, ".") || str_eqc(s, "..");
}

/* What a server sees that decodes, takes '\' for '/', and cuts parameters off. */
static void check_view(struct str path, unsigned flags, char *room)
{
    struct str rest = str_of(room, decode(path, room)), segment;
    for (size_t i = 0; i < rest.n; i++) {
        must((unsigned char)rest.p[i] >= 0x20 && rest.p[i] != 0x7f);
        must(rest.p[i] != '\\' || (flags & PATH_KEEP_ENCODED_BACKSLASH));
        if (rest.p[i] == '\\')
            room[i] = '/';
    }
    while (str_split(&rest, '/', &segment)) {
        struct str name = segment;
        ptrdiff_t mark = str_chr(segment, ';');
        must(!is_dots(segment));
        if (mark >= 0 && (flags & PATH_KEEP_PARAMETERS)) {
            name = str_head(segment, (size_t)mark);
            must(!is_dots(name));
        }
    }
}

static void check_spelling(struct str path, unsigned flags)
{
    must(path.n && path.p[0] == '/');
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        must(c > 0x20 && c < 0x7f && !strchr("\"#<>?[\\]^`{|}", c));
        must(c != ';' || (flags & PATH_KEEP_PARAMETERS));
        if (c == '/' && i + 1 < path.n && path.p[i + 1] == '/')
            must(!(flags & PATH_MERGE_SLASHES));
        if (c == '%') {
            must(i + 2 < path.n);
            int high = ascii_hex(path.p[i + 1]), low = ascii_hex(path.p[i + 2]), v = high << 4 | low;
            must(high >= 0 && low >= 0);
            must(!strchr("abcdef", path.p[i + 1]) && !strchr("abcdef", path.p[i + 2]));
            must(!(ascii_is_alpha((char)v) || ascii_is_digit((char)v) || strchr("-._~", v)));
        }
    }
}

static void check_query(struct str s)
{
    struct str name, value, first = STR_NONE, rest = s;
    char *out = malloc(s.n + 1);
    must(out != NULL);
    size_t n = http_query_decode(s, out);
    must(n <= s.n && http_query_equal(s, str_of(out, n)));
    while (http_query_next(&rest, &name, &value)) {
        n = http_query_decode(name, out);
        must(http_query_get(s, str_of(out, n), &first));
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096)
        return 0;
    unsigned flags = data[0] & 15;
    struct str path, again;
    size_t n = size - 1;
    /* Buffers of exactly the promised size. */
    char *raw = malloc(n ? n : 1), *out = malloc(HTTP_PATH_ROOM(n)), *room = malloc(HTTP_PATH_ROOM(3 * n));
    must(raw && out && room);
    memcpy(raw, data + 1, n);
    if (http_path_canonical(str_of(raw, n), flags, out, &path) == URI_OK) {
        must(path.p == raw || (path.p == out && !str_eq(path, str_of(raw, n))));
        check_spelling(path, flags);
        must(http_path_canonical(path, flags, room, &again) == URI_OK);
        must(again.p == path.p && again.n == path.n);
        check_view(path, flags, room);
    }
    check_query(str_of(raw, n));
    free(raw);
    free(out);
    free(room);
    return 0;
}
