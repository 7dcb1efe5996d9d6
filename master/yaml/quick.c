/*
 * quick.c - the plain style of YAML, read line by line.
 *
 * Nearly all configuration is written in a small part of YAML: block maps and lists, plain or simply quoted
 * values of one line, comments, flow lists of simple values. This file reads that part twenty times as fast
 * as libyaml. It decides nothing of its own:
 *
 *  1. It gives a tree only where libyaml gives the very same one, places included. The fuzz target yaml_quick and
 *     the unit tests compare them.
 *  2. At anything else - anchors, block texts, escapes, values over several lines, tabs, and every error - it
 *     gives up, and the document is read by events.c from its beginning. So a finding never comes from here.
 *
 * The method: a stack of open collections, each with its column. A line's first character closes what stands
 * deeper, and must then stand exactly in the column of the innermost one, unless a value is awaited ("key:" or
 * "-" at the end of the line before): then it may open a collection further in.
 */
#include "master/yaml/front.h"
#include "shared/base/arena.h"
#include "shared/base/utf8.h"

#define LONGEST_KEY 1000 /* libyaml refuses keys from 1024 characters on */

enum {
    LINE_HIGH = 1, /* bytes above 127: columns are to be counted */
    LINE_TAB = 2,
    LINE_BAD = 4,
};

struct quick {
    struct build *b;
    uint32_t line_n;
    const char *line;    /* start and end (without CR and LF) of the line */
    const char *end;
    unsigned odd;        /* LINE_x of it */
    int columns[BUILD_DEPTH_MAX + 1]; /* of the open collections; [0] is -1: around the root */
    bool awaiting;       /* a value of the innermost collection */
    struct place awaited_at; /* where it would stand if it is empty */
};

/* ---- bytes ---- */

/* First characters of a plain value that mean nothing special in YAML. Non-ASCII is one of them. */
static bool plain_first(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || (unsigned char)c >= 0x80 || (c != '\0' && strchr("_./$(+\\^~=;)", c));
}

/* Characters inside a plain value of a flow list. */
static bool flow_plain(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '_' || c == '-' || c == '.' || c == '/';
}

/* Characters that libyaml reads as text. Not the line ends U+0085, U+2028, U+2029, nor what it refuses. */
static bool high_is_text(const char *p, const char *end, size_t *n)
{
    struct str s = str_of(p, (size_t)(end - p));
    const unsigned char *u = (const unsigned char *)p;
    *n = utf8_len(s);
    if (*n == 0 || (*n == 2 && u[0] == 0xc2 && u[1] < 0xa0))
        return false;
    if (*n != 3)
        return true;
    bool separator = u[0] == 0xe2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9);
    bool mark = u[0] == 0xef && ((u[1] == 0xbb && u[2] == 0xbf) || (u[1] == 0xbf && u[2] >= 0xbe));
    return !separator && !mark;
}

static unsigned look_closer(const char *p, const char *end)
{
    unsigned odd = 0;
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        size_t n = 1;
        if (c >= 0x80) {
            odd |= LINE_HIGH;
            if (!high_is_text(p, end, &n))
                return LINE_BAD;
        } else if (c == '\t') {
            odd |= LINE_TAB;
        } else if (c < 0x20 || c == 0x7f) {
            return LINE_BAD;
        }
        p += n;
    }
    return odd;
}

/* What is in a line beside printable ASCII. */
static unsigned oddities(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
    const char *from = p;
    uint64_t w, bad = 0;
    for (; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        uint64_t del = w ^ (0x7f * ones);
        bad |= w | (w - 0x20 * ones) | (del - ones); /* the top bit of a byte that is none of 0x20..0x7e */
    }
    if ((bad & tops) == 0) {
        for (; p < end; p++)
            if ((unsigned char)(*p - 0x20) > 0x7e - 0x20)
                return look_closer(from, end);
        return 0;
    }
    return look_closer(from, end);
}

static struct place place_at(const struct quick *q, const char *p)
{
    uint32_t column = (uint32_t)(p - q->line) + 1;
    if (q->odd & LINE_HIGH)
        for (const char *c = q->line; c < p; c++)
            column -= ((unsigned char)*c & 0xc0) == 0x80;
    return (struct place){q->line_n, column};
}

static const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && *p == ' ')
        p++;
    return p;
}

/* Nothing more in the line: its end, or a comment behind a space. */
static bool ends(const struct quick *q, const char *p)
{
    const char *s = skip_spaces(p, q->end);
    return s == q->end || (*s == '#' && s > p);
}

/* ---- the stack ---- */

static int *column_of(struct quick *q)
{
    return &q->columns[q->b->depth];
}

static enum node_type innermost(const struct quick *q)
{
    return q->b->frames[q->b->depth - 1].node->type;
}

static bool open(struct quick *q, enum node_type type, const char *p)
{
    if (!build_open(q->b, type, place_at(q, p), STR_NONE))
        return false;
    *column_of(q) = (int)(p - q->line);
    q->awaiting = false;
    return true;
}

static bool empty_value(struct quick *q)
{
    q->awaiting = false;
    return build_scalar(q->b, STR(""), q->awaited_at, BUILD_PLAIN, STR_NONE);
}

static void await(struct quick *q, const char *p)
{
    q->awaiting = true;
    q->awaited_at = place_at(q, p);
}

/* ---- values of one line; `p` is their first character ---- */

static bool scalar(struct quick *q, const char *from, const char *to, const char *at, enum build_style style)
{
    struct str text = arena_str(q->b->arena, str_of(from, (size_t)(to - from)));
    q->awaiting = false;
    return build_scalar(q->b, text, place_at(q, at), style, STR_NONE);
}

/* The end of a quoted text without escapes: its closing quote, or NULL. */
static const char *quoted_end(const char *p, const char *end)
{
    char quote = *p;
    const char *close = memchr(p + 1, quote, (size_t)(end - p) - 1);
    if (!close)
        return NULL;
    if (quote == '\'')
        return close + 1 < end && close[1] == '\'' ? NULL : close;
    return memchr(p, '\\', (size_t)(close - p)) ? NULL : close;
}

static bool quoted(struct quick *q, const char *p)
{
    const char *close = quoted_end(p, q->end);
    return close && ends(q, close + 1) && scalar(q, p + 1, close, p, BUILD_QUOTED);
}

/* Up to the end of the line or " #"; no ": " inside. */
static bool plain(struct quick *q, const char *p)
{
    const char *to = p;
    for (const char *c = p; c < q->end; c++) {
        if (*c == ' ')
            continue;
        if (*c == '#' && c[-1] == ' ')
            break;
        if (*c == ':' && (c + 1 == q->end || c[1] == ' '))
            return false;
        to = c + 1;
    }
    return scalar(q, p, to, p, BUILD_PLAIN);
}

/* [a, "b"] or []. */
static bool flow_list(struct quick *q, const char *p)
{
    const char *end = q->end, *to;
    if (!open(q, NODE_LIST, p))
        return false;
    p = skip_spaces(p + 1, end);
    while (p < end && *p != ']') {
        if (*p == '"' || *p == '\'') {
            if ((to = quoted_end(p, end)) == NULL || !scalar(q, p + 1, to, p, BUILD_QUOTED))
                return false;
            to++;
        } else {
            if (*p == '-' || !flow_plain(*p))
                return false;
            for (to = p; to < end && flow_plain(*to);)
                to++;
            if (!scalar(q, p, to, p, BUILD_PLAIN))
                return false;
        }
        p = skip_spaces(to, end);
        if (p == end || (*p != ',' && *p != ']'))
            return false;
        if (*p == ',' && (p = skip_spaces(p + 1, end), p == end || *p == ']'))
            return false;
    }
    return p < end && ends(q, p + 1) && build_close(q->b);
}

static bool empty_map(struct quick *q, const char *p)
{
    return p + 1 < q->end && p[1] == '}' && ends(q, p + 2) && open(q, NODE_MAP, p) && build_close(q->b);
}

static bool value(struct quick *q, const char *p)
{
    switch (*p) {
    case '"':
    case '\'': return quoted(q, p);
    case '[': return flow_list(q, p);
    case '{': return empty_map(q, p);
    case '-': return p + 1 < q->end && ascii_is_digit(p[1]) && plain(q, p);
    default: return plain_first(*p) && plain(q, p);
    }
}

/* ---- lines ---- */

/* The ':' behind the plain key that begins at `p`, or NULL. */
static const char *key_end(const struct quick *q, const char *p)
{
    const char *end = q->end - p > LONGEST_KEY ? p + LONGEST_KEY : q->end;
    if (!plain_first(*p))
        return NULL;
    for (const char *c = p; c < end && *c != ' '; c++)
        if (*c == ':' && (c + 1 == q->end || c[1] == ' '))
            return c;
    return NULL;
}

/* Closes what stands deeper than `column`, and a list in the column of its key when no '-' follows. */
static bool settle(struct quick *q, int column, bool dash)
{
    if (q->awaiting) {
        int around = *column_of(q);
        bool below_key = dash && column == around && q->b->depth > 0 && innermost(q) == NODE_MAP;
        if (column > around || below_key)
            return true;
        if (!empty_value(q))
            return false;
    }
    while (q->b->depth > 0 && *column_of(q) > column)
        if (!build_close(q->b))
            return false;
    if (q->b->depth > 1 && !dash && *column_of(q) == column && innermost(q) == NODE_LIST) {
        if (q->columns[q->b->depth - 1] != column || !build_close(q->b))
            return false;
    }
    return q->b->depth > 0 && *column_of(q) == column;
}

/* "key: value" at `p`. */
static bool key_line(struct quick *q, const char *p, const char *colon)
{
    if (q->awaiting && !open(q, NODE_MAP, p))
        return false;
    if (innermost(q) != NODE_MAP || !build_key(q->b, str_of(p, (size_t)(colon - p)), place_at(q, p), true))
        return false;
    await(q, colon + 1);
    if (ends(q, colon + 1))
        return true;
    return value(q, skip_spaces(colon + 1, q->end));
}

/* A line that says something, from its first character on. One turn for every "- " in front. */
static bool content(struct quick *q, const char *p)
{
    for (;;) {
        bool dash = *p == '-' && (p + 1 == q->end || p[1] == ' ');
        const char *colon = dash ? NULL : key_end(q, p);
        bool inside = p > q->line && q->awaiting && *column_of(q) < (int)(p - q->line); /* behind a "- " */
        if (!inside && !settle(q, (int)(p - q->line), dash))
            return false;
        if (colon)
            return key_line(q, p, colon);
        if (!dash) /* a value of its own: only behind "- ", a line of its own may go on in the next */
            return inside && skip_spaces(q->line, q->end) != p && value(q, p);
        if (q->awaiting && !open(q, NODE_LIST, p))
            return false;
        if (innermost(q) != NODE_LIST)
            return false;
        await(q, p + 1);
        if (ends(q, p + 1))
            return true;
        p = skip_spaces(p + 1, q->end);
    }
}

static bool is_marker(const struct quick *q)
{
    return q->end - q->line >= 3 && (memcmp(q->line, "---", 3) == 0 || memcmp(q->line, "...", 3) == 0);
}

static bool line(struct quick *q)
{
    const char *p = skip_spaces(q->line, q->end);
    if (q->odd & LINE_BAD)
        return false;
    if (p == q->end || *p == '#')
        return !(q->odd & LINE_TAB) || p < q->end;
    if ((q->odd & LINE_TAB) || *q->line == '%' || is_marker(q))
        return false;
    return content(q, p);
}

bool quick_read(struct build *b, struct front_text t)
{
    struct quick q = {.b = b, .line_n = t.first_line, .columns = {-1}, .awaiting = true};
    const char *p = t.text.p, *end = p + t.text.n;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl && end[-1] == '\r')
            return false;
        q.line = p;
        q.end = nl ? nl : end;
        if (nl && nl > p && nl[-1] == '\r')
            q.end--;
        q.odd = oddities(q.line, q.end);
        if (!line(&q))
            return false;
        q.line_n++;
        p = nl ? nl + 1 : end;
    }
    if (b->depth == 0)
        return !b->doc; /* nothing but comments */
    if (q.awaiting && !empty_value(&q))
        return false;
    while (b->depth > 0)
        if (!build_close(b))
            return false;
    return true;
}
