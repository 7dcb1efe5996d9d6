#include "shared/regex/re2.h"
#include "shared/base/utf8.h"

/* One walk over the pattern. `at` is the byte that is read next. */
struct re2 {
    struct str in;
    size_t at;
    struct buf *out;
    struct buf *why;
    size_t *offset;
    bool atom;            /* something stands before `at` that a repetition may apply to */
    uint32_t atom_repeat; /* how often that repeats what is inside it, at most */
    unsigned depth;
    uint32_t repeat[RE2_DEPTH_MAX + 1]; /* largest atom_repeat per open group */
};

static bool fail(struct re2 *s, size_t at, const char *text)
{
    if (s->why)
        buf_addc(s->why, text);
    *s->offset = at;
    return false;
}

static bool left(const struct re2 *s, size_t n)
{
    return s->in.n - s->at >= n;
}

static char peek(const struct re2 *s, size_t ahead)
{
    return left(s, ahead + 1) ? s->in.p[s->at + ahead] : '\0';
}

static bool next_is(const struct re2 *s, const char *text)
{
    return str_starts(str_skip(s->in, s->at), str_c(text));
}

static void copy(struct re2 *s, size_t n)
{
    buf_add(s->out, s->in.p + s->at, n);
    s->at += n;
}

static void literal_byte(struct buf *out, unsigned char c)
{
    if (c < 0x20 || c == 0x7f)
        buf_addf(out, "\\x%02x", c);
    else if (c < 0x80 && !ascii_is_alpha((char)c) && !ascii_is_digit((char)c))
        buf_addf(out, "\\%c", c);
    else
        buf_addch(out, (char)c);
}

static void set_atom(struct re2 *s, uint32_t repeat)
{
    s->atom = true;
    s->atom_repeat = repeat;
}

/* --- escapes ------------------------------------------------------------------------------------- */

/* \x7F and \x{10FFFF}; `at` is behind the x. */
static bool escape_hex(struct re2 *s, size_t start)
{
    uint32_t v = 0;
    size_t n = 0;
    bool braces = peek(s, 0) == '{';
    s->at += braces;
    while (left(s, 1) && ascii_hex(peek(s, 0)) >= 0 && n < (braces ? 8u : 2u)) {
        v = v << 4 | (uint32_t)ascii_hex(peek(s, 0));
        s->at++;
        n++;
    }
    if (n == 0 || (!braces && n != 2) || (braces && peek(s, 0) != '}') || v > 0x10ffff ||
        (v >= 0xd800 && v <= 0xdfff))
        return fail(s, start, "\\x needs two hex digits, or a code point in braces");
    s->at += braces;
    buf_addf(s->out, "\\x{%x}", v);
    return true;
}

/* \0, \012, \123: RE2 reads \1 to \7 as octal only before another octal digit. */
static bool escape_octal(struct re2 *s, size_t start, char first)
{
    uint32_t v = (uint32_t)(first - '0');
    if (first != '0' && !(first < '8' && peek(s, 0) >= '0' && peek(s, 0) <= '7'))
        return fail(s, start, "back-references are not part of RE2");
    for (int n = 1; n < 3 && peek(s, 0) >= '0' && peek(s, 0) <= '7' && left(s, 1); n++)
        v = v << 3 | (uint32_t)(s->in.p[s->at++] - '0');
    buf_addf(s->out, "\\x{%x}", v);
    return true;
}

/* \pN, \p{Greek}, \p{^Greek}; PCRE2 has names of its own, which begin with X. `at` is behind the p. */
static bool escape_property(struct re2 *s, size_t start, char p)
{
    size_t n = 1, name = 0;
    if (peek(s, 0) == '{') {
        ptrdiff_t end = str_chr(str_skip(s->in, s->at), '}');
        if (end < 0)
            return fail(s, start, "the name of the Unicode class has no closing brace");
        name = peek(s, 1) == '^' ? 2 : 1;
        n = (size_t)end + 1;
        for (size_t i = name; i + 1 < n; i++)
            if (!ascii_is_alpha(peek(s, i)) && peek(s, i) != '_')
                return fail(s, start, "no such Unicode class");
        if (name + 1 >= n)
            return fail(s, start, "no such Unicode class");
    }
    if (!ascii_is_alpha(peek(s, name)) || (peek(s, name) == 'X' && n == name + 4))
        return fail(s, start, "no such Unicode class");
    buf_addf(s->out, "\\%c", p);
    copy(s, n);
    return true;
}

/* An escape that stands for one character or a class of them; the same inside and outside of []. */
static bool escape_common(struct re2 *s, bool in_class)
{
    size_t start = s->at;
    if (!left(s, 2))
        return fail(s, start, "the pattern ends in a backslash");
    char c = peek(s, 1);
    if ((unsigned char)c >= 0x80)
        return fail(s, start, "no such escape");
    s->at += 2;
    if (ascii_is_digit(c))
        return escape_octal(s, start, c);
    if (!ascii_is_alpha(c)) {
        literal_byte(s->out, (unsigned char)c);
        return true;
    }
    switch (c) {
    case 'x': return escape_hex(s, start);
    case 'p':
    case 'P': return escape_property(s, start, c);
    case 'v': buf_addc(s->out, "\\x0b"); return true; /* PCRE2: a class */
    case 'a': case 'f': case 't': case 'n': case 'r':
    case 'd': case 'D': case 's': case 'S': case 'w': case 'W':
        buf_addf(s->out, "\\%c", c);
        return true;
    case 'k': case 'g': return fail(s, start, "back-references are not part of RE2");
    case 'C': return fail(s, start, "\\C is not supported");
    default: return fail(s, start, in_class ? "no such escape in a class" : "no such escape");
    }
}

/* \Q...\E: everything between is literal; a missing \E means up to the end. */
static void quoted(struct re2 *s)
{
    s->at += 2;
    while (left(s, 1) && !next_is(s, "\\E")) {
        literal_byte(s->out, (unsigned char)peek(s, 0));
        s->at++;
        set_atom(s, 1);
    }
    s->at += left(s, 2) ? 2 : 0;
}

static size_t counted(const struct re2 *s, size_t from, uint32_t *min, uint32_t *max);

/* An assertion of `n` bytes. RE2 lets it be repeated, PCRE2 only inside a group. */
static bool assertion(struct re2 *s, size_t n)
{
    uint32_t min, max;
    char c = peek(s, n);
    bool repeated = c == '*' || c == '+' || c == '?' || counted(s, n, &min, &max) > 0;
    buf_addc(s->out, repeated ? "(?:" : "");
    copy(s, n);
    buf_addc(s->out, repeated ? ")" : "");
    set_atom(s, 1);
    return true;
}

static bool escape(struct re2 *s)
{
    char c = peek(s, 1);
    if (c == 'Q') {
        quoted(s);
        return true;
    }
    if (c == 'A' || c == 'z' || c == 'b' || c == 'B')
        return assertion(s, 2);
    set_atom(s, 1);
    return escape_common(s, false);
}

/* --- classes ------------------------------------------------------------------------------------- */

size_t re2_named_class(struct str s)
{
    ptrdiff_t end = str_starts(s, STR("[:")) ? str_find(str_skip(s, 2), STR(":]")) : -1;
    return end < 0 ? 0 : (size_t)end + 4;
}

/* "[:alpha:]" at `at`: 1 copied, 0 it is no such thing, -1 refused. */
static int named_class(struct re2 *s)
{
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
                                        "lower", "print", "punct", "space", "upper", "word", "xdigit"};
    struct str rest = str_skip(s->in, s->at);
    size_t n = re2_named_class(rest);
    if (n == 0)
        return 0;
    struct str name = str_of(rest.p + 2, n - 4);
    if (name.n && name.p[0] == '^')
        name = str_skip(name, 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eqc(name, names[i])) {
            copy(s, n);
            return 1;
        }
    }
    fail(s, s->at, "no such class between [: and :]");
    return -1;
}

/* `[...]`; copies it, with what PCRE2 would read otherwise escaped. */
static bool class(struct re2 *s)
{
    size_t start = s->at;
    copy(s, peek(s, 1) == '^' ? 2 : 1);
    for (bool first = true;; first = false) {
        if (!left(s, 1))
            return fail(s, start, "the class has no closing bracket");
        char c = peek(s, 0);
        if (c == ']' && !first) {
            copy(s, 1);
            set_atom(s, 1);
            return true;
        }
        int named = c == '[' ? named_class(s) : 0;
        if (named < 0)
            return false;
        if (named)
            continue;
        if (c == '\\') {
            if (!escape_common(s, true))
                return false;
        } else if (c == '[' || c == ']') {
            buf_addf(s->out, "\\%c", c);
            s->at++;
        } else {
            copy(s, 1);
        }
    }
}

/* --- groups -------------------------------------------------------------------------------------- */

/* `(?P<name>` or `(?<name>`; `at` is at the '<'. */
static bool group_name(struct re2 *s, size_t start)
{
    size_t n = 1;
    while (peek(s, n) == '_' || ascii_is_alpha(peek(s, n)) || ascii_is_digit(peek(s, n)))
        n++;
    if (n == 1 || n > 32 || peek(s, n) != '>' || ascii_is_digit(peek(s, 1)))
        return fail(s, start, "the name of the group is not valid");
    buf_addc(s->out, "(?");
    copy(s, n + 1);
    return true;
}

/* `(?i)`, `(?im-sU:`; `at` is behind the '?'. *opens: a group follows. */
static bool group_flags(struct re2 *s, size_t start, bool *opens)
{
    size_t n = 0, letters = 0;
    bool minus = false;
    for (;; n++) {
        char c = peek(s, n);
        if (c == '-' && !minus) {
            minus = true;
            letters = 0;
        } else if (c == 'i' || c == 'm' || c == 's' || c == 'U') {
            letters++;
        } else if ((c == ':' || c == ')') && (letters || !minus)) {
            *opens = c == ':';
            buf_addc(s->out, "(?");
            copy(s, n + 1);
            return true;
        } else {
            return fail(s, start, "no such group in RE2 (look-around, atomic groups, conditions, "
                                  "recursion and comments are not part of it)");
        }
    }
}

static bool group_open(struct re2 *s)
{
    size_t start = s->at;
    bool opens = true;
    if (peek(s, 1) == '*')
        return fail(s, start + 1, "nothing stands before the repetition");
    if (peek(s, 1) != '?') {
        copy(s, 1);
    } else {
        bool p = peek(s, 2) == 'P' && peek(s, 3) == '<';
        bool name = p || (peek(s, 2) == '<' && peek(s, 3) != '=' && peek(s, 3) != '!');
        s->at += 2u + (p ? 1u : 0u);
        if (name ? !group_name(s, start) : !group_flags(s, start, &opens))
            return false;
    }
    s->atom = false;
    if (!opens)
        return true;
    if (++s->depth > RE2_DEPTH_MAX)
        return fail(s, start, "too many nested groups");
    s->repeat[s->depth] = 1;
    return true;
}

static bool group_close(struct re2 *s)
{
    if (s->depth == 0)
        return fail(s, s->at, "a closing parenthesis without an opening one");
    copy(s, 1);
    set_atom(s, s->repeat[s->depth]);
    s->depth--;
    s->repeat[s->depth] = GH_MAX(s->repeat[s->depth], s->atom_repeat);
    return true;
}

/* --- repetition ---------------------------------------------------------------------------------- */

static size_t digits(const struct re2 *s, size_t ahead, uint32_t *v)
{
    size_t n = 0;
    *v = 0;
    for (; ascii_is_digit(peek(s, ahead + n)); n++)
        *v = GH_MIN(*v * 10 + (uint32_t)(peek(s, ahead + n) - '0'), 100000u);
    return n;
}

/* Length of `{n}`, `{n,}` or `{n,m}` that begins `from` bytes ahead; 0: the brace is a letter. */
static size_t counted(const struct re2 *s, size_t from, uint32_t *min, uint32_t *max)
{
    size_t n = digits(s, from + 1, min), m;
    if (peek(s, from) != '{' || n == 0)
        return 0;
    n++;
    *max = *min;
    if (peek(s, from + n) == ',') {
        m = digits(s, from + n + 1, max);
        if (m == 0)
            *max = *min;
        n += m + 1;
    }
    return peek(s, from + n) == '}' ? n + 1 : 0;
}

static bool repetition(struct re2 *s, size_t n, uint32_t min, uint32_t max)
{
    uint32_t a, b;
    size_t start = s->at;
    if (!s->atom)
        return fail(s, start, "nothing stands before the repetition");
    if (min > max)
        return fail(s, start, "the repetition's minimum is greater than its maximum");
    if (max > RE2_REPEAT_MAX || s->atom_repeat * GH_MAX(max, 1u) > RE2_REPEAT_MAX)
        return fail(s, start, "repeated more than 1000 times");
    uint32_t repeat = s->atom_repeat * GH_MAX(max, 1u);
    copy(s, n);
    if (peek(s, 0) == '?')
        copy(s, 1);
    char c = peek(s, 0);
    if (c == '*' || c == '+' || c == '?' || counted(s, 0, &a, &b))
        return fail(s, start, "a repetition of a repetition (possessive ones are not part of RE2)");
    s->repeat[s->depth] = GH_MAX(s->repeat[s->depth], repeat);
    s->atom = false;
    return true;
}

/* --- the whole ----------------------------------------------------------------------------------- */

static bool step(struct re2 *s)
{
    uint32_t min = 1, max = 1;
    char c = peek(s, 0);
    switch (c) {
    case '\\': return escape(s);
    case '[': return class(s);
    case '(': return group_open(s);
    case ')': return group_close(s);
    case '*': case '+': case '?': return repetition(s, 1, 1, 1);
    case '|':
        s->atom = false;
        copy(s, 1);
        return true;
    case '{': {
        size_t n = counted(s, 0, &min, &max);
        if (n)
            return repetition(s, n, min, max);
        break;
    }
    case '^': case '$': return assertion(s, 1);
    case '.':
        copy(s, 1);
        set_atom(s, 1);
        return true;
    default: break;
    }
    set_atom(s, 1);
    literal_byte(s->out, (unsigned char)c);
    s->at++;
    return true;
}

bool re2_translate(struct str pattern, struct buf *out, struct buf *why, size_t *offset)
{
    struct re2 s = {.in = pattern, .out = out, .why = why, .offset = offset, .repeat = {1}};
    size_t valid = utf8_valid_prefix(pattern);
    *offset = 0;
    if (valid != pattern.n)
        return fail(&s, valid, "the pattern is not UTF-8");
    while (left(&s, 1))
        if (!step(&s))
            return false;
    return s.depth == 0 || fail(&s, pattern.n, "a group has no closing parenthesis");
}
