/*
 * quick.c - the plain style of YAML, read line by line.
 *
 * Nearly all configuration is written in a small part of YAML: block maps and lists, plain or simply quoted
 * values of one line, comments, flow maps and lists ({a: b}, [a, "b"], JSON) of such values. This file reads that
 * part twenty times as fast as libyaml. It decides nothing of its own:
 *
 *  1. It gives a tree only where libyaml gives the very same one, places included. The fuzz target yaml_quick and
 *     the unit tests compare them.
 *  2. At anything else - anchors, block texts, escapes, values over several lines, tabs, and every error - it
 *     gives up, and the document is read by events.c from its beginning. So a finding never comes from here.
 *
 * The method: a stack of open collections, each with its column. A line's first character closes what stands
 * deeper, and must then stand exactly in the column of the innermost one, unless a value is awaited ("key:" or
 * "-" at the end of the line before): then it may open a collection further in. A flow collection is read to its
 * end at once; it may go over lines, where columns mean nothing, but none of its values may.
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
    const char *rest, *stop; /* behind the line, and of the text */
    uint32_t line_n;
    const char *line;    /* start and end (without CR and LF) of the line */
    const char *end;
    unsigned odd;        /* LINE_x of it */
    int columns[BUILD_DEPTH_MAX + 1]; /* of the open collections; [0] is -1: around the root */
    bool awaiting;       /* a value of the innermost collection */
    struct place awaited_at; /* where it would stand if it is empty */
};

/* ---- bytes ---- */

enum {
    PLAIN_FIRST = 1, /* begins a plain value and means nothing special in YAML. Non-ASCII is one of them. */
    PLAIN_FLOW = 2,  /* may follow in a plain value or key of a flow collection */
    KEY_STOP = 4,
};

static const unsigned char CLASSES[256] = {
    [' '] = KEY_STOP, [':'] = KEY_STOP, ['!'] = PLAIN_FLOW, ['"'] = PLAIN_FLOW, ['$'] = 3, ['%' ... '\''] = PLAIN_FLOW, ['('] = 3, [')'] = 3, ['*'] = PLAIN_FLOW,
    ['+'] = 3, ['-'] = PLAIN_FLOW, ['.'] = 3, ['/'] = 3, ['0' ... '9'] = 3, [';'] = 3, ['<'] = PLAIN_FLOW, ['='] = 3,
    ['>'] = PLAIN_FLOW, ['@'] = PLAIN_FLOW, ['A' ... 'Z'] = 3, ['\\'] = 3, ['^'] = 3, ['_'] = 3, ['`'] = PLAIN_FLOW,
    ['a' ... 'z'] = 3, ['|'] = PLAIN_FLOW, ['~'] = 3, [0x80 ... 0xff] = 3,
};

static bool plain_first(char c)
{
    return CLASSES[(unsigned char)c] & PLAIN_FIRST;
}

static bool plain_flow(char c)
{
    return CLASSES[(unsigned char)c] & PLAIN_FLOW;
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

/* The next line; false at the end of the text. */
static bool next_line(struct quick *q)
{
    if (q->rest == q->stop)
        return false;
    const char *nl = memchr(q->rest, '\n', (size_t)(q->stop - q->rest));
    q->line = q->rest;
    q->end = nl ? nl : q->stop;
    q->rest = nl ? nl + 1 : q->stop;
    q->line_n++;
    if (nl && nl > q->line && nl[-1] == '\r') /* a CR that nothing follows is no end of a line: LINE_BAD */
        q->end--;
    q->odd = oddities(q->line, q->end);
    return true;
}

static bool is_marker(const struct quick *q)
{
    return q->end - q->line >= 3 && (memcmp(q->line, "---", 3) == 0 || memcmp(q->line, "...", 3) == 0);
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

/* ---- flow collections: {a: b, c: [d, "e"]} ---- */

/* The next character that says something, over comments and the ends of lines; NULL: there is none, or the line has
 * something that is not ours. */
static const char *flow_next(struct quick *q, const char *p)
{
    for (;;) {
        p = skip_spaces(p, q->end);
        if (p < q->end && (*p != '#' || (p > q->line && p[-1] != ' ')))
            return p;
        if (!next_line(q) || (q->odd & (LINE_BAD | LINE_TAB)) || is_marker(q))
            return NULL;
        p = q->line;
    }
}

/* "key:" at `p`; where its value begins, or NULL. */
static const char *flow_key(struct quick *q, const char *p)
{
    const char *end = q->end, *to = p;
    bool plain = *p != '"' && *p != '\'', ok;
    if (plain) {
        for (ok = plain_first(*p); to < end && plain_flow(*to);)
            to++;
    } else if ((ok = (to = quoted_end(p, end)) != NULL)) {
        to++;
    }
    if (!ok || to == end || *to != ':' || to - p > LONGEST_KEY || (plain && to + 1 < end && to[1] != ' '))
        return NULL;
    struct str key = plain ? str_of(p, (size_t)(to - p)) : str_of(p + 1, (size_t)(to - p) - 2);
    return build_key(q->b, key, place_at(q, p), plain) ? flow_next(q, to + 1) : NULL;
}

/* The end of the plain value at `p`: words of one line, without ": ". */
static const char *flow_plain_end(const char *p, const char *end)
{
    const char *to = p + 1;
    for (const char *c = to; c < end; c++) {
        if (*c == ' ')
            continue;
        if (!plain_flow(*c) && !(*c == ':' && c + 1 < end && plain_flow(c[1])))
            break;
        to = c + 1;
    }
    return to;
}

/* What stands behind the quoted or plain value at `p`, or NULL. */
static const char *flow_scalar(struct quick *q, const char *p)
{
    const char *end = q->end, *to;
    bool ok;
    if (*p == '"' || *p == '\'') {
        to = quoted_end(p, end);
        ok = to && scalar(q, p + 1, to++, p, BUILD_QUOTED);
    } else {
        bool negative = *p == '-' && p + 1 < end && ascii_is_digit(p[1]);
        to = flow_plain_end(p, end);
        ok = (negative || plain_first(*p)) && scalar(q, p, to, p, BUILD_PLAIN);
    }
    return ok ? flow_next(q, to) : NULL;
}

/* From its '[' or '{' on. One turn for every value in it. */
static bool flow(struct quick *q, const char *p)
{
    unsigned outside = q->b->depth;
    char closer = '\0'; /* of the innermost */
    for (;;) {
        if (*p == '[' || *p == '{') {
            closer = *p == '[' ? ']' : '}';
            if (!open(q, *p == '[' ? NODE_LIST : NODE_MAP, p) || (p = flow_next(q, p + 1)) == NULL)
                return false;
            if (*p != closer) {
                if (closer == '}' && (p = flow_key(q, p)) == NULL)
                    return false;
                continue;
            }
        } else if ((p = flow_scalar(q, p)) == NULL) {
            return false;
        }
        while (*p == closer) {
            if (!build_close(q->b))
                return false;
            if (q->b->depth == outside)
                return ends(q, p + 1);
            closer = innermost(q) == NODE_MAP ? '}' : ']';
            if ((p = flow_next(q, p + 1)) == NULL)
                return false;
        }
        if (*p != ',' || (p = flow_next(q, p + 1)) == NULL || (closer == '}' && (p = flow_key(q, p)) == NULL))
            return false;
    }
}

static bool value(struct quick *q, const char *p)
{
    switch (*p) {
    case '"':
    case '\'': return quoted(q, p);
    case '[':
    case '{': return flow(q, p);
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
    for (const char *c = p; c < end; c++) {
        if (!(CLASSES[(unsigned char)*c] & KEY_STOP))
            continue;
        if (*c == ' ')
            return NULL;
        if (c + 1 == q->end || c[1] == ' ')
            return c;
    }
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
        if (!dash) {
            /* A value of its own: only behind "- ", a line of its own may go on in the next; or the whole document. */
            bool alone = skip_spaces(q->line, q->end) == p, root = q->b->depth == 0 && (*p == '{' || *p == '[');
            return (alone ? root : inside) && value(q, p);
        }
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
    struct quick q = {.b = b, .rest = t.text.p, .stop = t.text.p + t.text.n, .line_n = t.first_line - 1, .columns = {-1},
                      .awaiting = true};
    while (next_line(&q))
        if (!line(&q))
            return false;
    if (b->depth == 0)
        return true; /* nothing but comments, or one flow collection */
    if (q.awaiting && !empty_value(&q))
        return false;
    while (b->depth > 0)
        if (!build_close(b))
            return false;
    return true;
}
