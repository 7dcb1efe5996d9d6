#include "shared/regex/re2.h"
#include "shared/regex/regex.h"

/*
 * What every match begins with, read off the pattern. Only what is certain: a letter that a repetition
 * may leave out, a class, a dot or a group ends it; an alternative at the top level means none. The
 * pattern has passed regex_compile, so it is well-formed.
 */

/* Bytes of the token at the front of `p` (a class counts as one token, \Q..\E as one). */
static size_t token(struct str p)
{
    if (p.p[0] == '\\') {
        if (str_starts(p, STR("\\Q"))) {
            ptrdiff_t end = str_find(p, STR("\\E"));
            return end < 0 ? p.n : (size_t)end + 2;
        }
        return GH_MIN(p.n, 2u);
    }
    if (p.p[0] != '[')
        return 1;
    size_t i = p.n > 1 && p.p[1] == '^' ? 2 : 1;
    for (bool first = true; i < p.n; first = false) {
        if (p.p[i] == ']' && !first)
            return i + 1;
        size_t named = re2_named_class(str_skip(p, i));
        i += named ? named : p.p[i] == '\\' ? 2 : 1;
    }
    return p.n;
}

static bool alternatives_at_top(struct str p)
{
    int depth = 0;
    while (p.n) {
        if (p.p[0] == '|' && depth == 0)
            return true;
        depth += p.p[0] == '(' ? 1 : p.p[0] == ')' ? -1 : 0;
        p = str_skip(p, GH_MIN(token(p), p.n));
    }
    return false;
}

/* May the letter before `p` be absent? */
static bool optional_next(struct str p)
{
    return p.n && (p.p[0] == '*' || p.p[0] == '?' || (p.p[0] == '{' && p.n > 1 && p.p[1] == '0'));
}

static bool repeated_next(struct str p)
{
    return p.n && (p.p[0] == '+' || (p.p[0] == '{' && p.n > 1 && ascii_is_digit(p.p[1])));
}

/* The letter at the front of `p`; its length in *used, 0 when it is no plain letter. */
static char letter(struct str p, size_t *used)
{
    unsigned char c = (unsigned char)p.p[0];
    *used = 0;
    if (c >= 0x80 || memchr("^$.|()[*+?", c, 10))
        return '\0';
    if (c != '\\') {
        *used = 1;
        return (char)c;
    }
    if (p.n < 2 || (unsigned char)p.p[1] >= 0x80 || ascii_is_alpha(p.p[1]) || ascii_is_digit(p.p[1]))
        return '\0';
    *used = 2;
    return p.p[1];
}

struct str regex_literal_prefix(struct str pattern, char *scratch, size_t n_scratch, bool *whole)
{
    struct str p = pattern;
    size_t n = 0, used;
    bool ended = true;

    if (whole)
        *whole = false;
    if (alternatives_at_top(p))
        return STR("");
    if (str_starts(p, STR("^")))
        p = str_skip(p, 1);
    while (p.n && n < n_scratch) {
        char c = letter(p, &used);
        if (used == 0 || optional_next(str_skip(p, used))) {
            ended = false;
            break;
        }
        scratch[n++] = c;
        p = str_skip(p, used);
        if (repeated_next(p)) {
            ended = false;
            break;
        }
    }
    if (whole)
        *whole = (ended && p.n == 0) || str_eqc(p, "$");
    return str_of(scratch, n);
}
