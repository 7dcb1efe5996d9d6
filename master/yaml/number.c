#include "master/yaml/number.h"

#include <math.h>
#include <stdlib.h>

static bool is_any(struct str s, const char *const *words)
{
    for (; *words; words++)
        if (str_eqc(s, *words))
            return true;
    return false;
}

/* Up to eighteen digits and nothing else, which nearly all are. */
static bool small_int(struct str s, int64_t *v)
{
    int64_t u = 0;
    if (s.n == 0 || s.n > 18 || (s.p[0] == '0' && s.n > 1))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_is_digit(s.p[i]))
            return false;
        u = u * 10 + (s.p[i] - '0');
    }
    *v = u;
    return true;
}

bool number_int(struct str s, int64_t *v)
{
    if (small_int(s, v))
        return true;
    struct str d = s;
    bool minus = d.p[0] == '-';
    if (d.p[0] == '-' || d.p[0] == '+')
        d = str_skip(d, 1);
    unsigned base = 10;
    if (d.n > 2 && d.p[0] == '0' && (d.p[1] == 'x' || d.p[1] == 'o')) {
        base = d.p[1] == 'x' ? 16 : 8;
        d = str_skip(d, 2);
    } else if (d.n == 0 || (d.n > 1 && d.p[0] == '0')) {
        return false;
    }
    uint64_t u = 0;
    for (size_t i = 0; i < d.n; i++) {
        int digit = ascii_hex(d.p[i]);
        if (digit < 0 || (unsigned)digit >= base || __builtin_mul_overflow(u, (uint64_t)base, &u) ||
            __builtin_add_overflow(u, (uint64_t)digit, &u))
            return false;
    }
    if (u > (uint64_t)INT64_MAX + minus)
        return false;
    *v = minus ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

static size_t digits(struct str s, size_t from)
{
    while (from < s.n && ascii_is_digit(s.p[from]))
        from++;
    return from;
}

static bool is_float(struct str s)
{
    size_t i = s.p[0] == '-' || s.p[0] == '+', whole = i, fraction;
    i = digits(s, i);
    if (i - whole > 1 && s.p[whole] == '0')
        return false;
    whole = i - whole;
    fraction = i;
    if (i < s.n && s.p[i] == '.')
        i = digits(s, ++i);
    fraction = i - fraction;
    if (whole == 0 && fraction < 2)
        return false;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        size_t sign = i + 1 < s.n && (s.p[i + 1] == '-' || s.p[i + 1] == '+');
        size_t from = i + 1 + sign;
        i = digits(s, from);
        if (i == from)
            return false;
    }
    return i == s.n;
}

bool number_float(struct str s, double *d)
{
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    static const char *const inf_words[] = {".inf", ".Inf", ".INF", NULL};
    struct str bare = s.p[0] == '-' || s.p[0] == '+' ? str_skip(s, 1) : s;
    if (is_float(s))
        *d = strtod(s.p, NULL);
    else if (is_any(s, nan_words))
        *d = NAN;
    else if (is_any(bare, inf_words))
        *d = s.p[0] == '-' ? -INFINITY : INFINITY;
    else
        return false;
    return true;
}
