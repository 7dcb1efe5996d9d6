#include "shared/tls/der.h"

bool der_next(struct str *rest, struct der *d)
{
    const uint8_t *p = (const uint8_t *)rest->p;
    size_t n = rest->n, head = 2;
    if (n < 2 || (p[0] & 0x1f) == 0x1f)
        return false;
    size_t len = p[1];
    if (len & 0x80) {
        size_t k = len & 0x7f;
        if (k == 0 || k > 4 || n < 2 + k || p[2] == 0)
            return false;
        len = 0;
        for (size_t i = 0; i < k; i++)
            len = len << 8 | p[2 + i];
        if (len < 0x80)
            return false;
        head += k;
    }
    if (len > n - head)
        return false;
    d->tag = p[0];
    d->body = str_of(rest->p + head, len);
    d->whole = str_of(rest->p, head + len);
    *rest = str_skip(*rest, head + len);
    return true;
}

bool der_take(struct str *rest, uint8_t tag, struct der *d)
{
    return der_next(rest, d) && d->tag == tag;
}

bool der_is(struct str rest, uint8_t tag)
{
    return rest.n && (uint8_t)rest.p[0] == tag;
}

static bool digits(struct str *s, unsigned n, int *out)
{
    *out = 0;
    if (s->n < n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (!ascii_is_digit(s->p[i]))
            return false;
        *out = *out * 10 + (s->p[i] - '0');
    }
    *s = str_skip(*s, n);
    return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int yoe = (int)(y - era * 400);
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

bool der_time(const struct der *d, int64_t *out)
{
    struct str s = d->body;
    int y, m, day, h, min, sec;
    if (d->tag != DER_UTC_TIME && d->tag != DER_TIME)
        return false;
    if (!digits(&s, d->tag == DER_TIME ? 4 : 2, &y) || !digits(&s, 2, &m) || !digits(&s, 2, &day) ||
        !digits(&s, 2, &h) || !digits(&s, 2, &min) || !digits(&s, 2, &sec) || !str_eqc(s, "Z"))
        return false;
    if (d->tag == DER_UTC_TIME)
        y += y < 50 ? 2000 : 1900;
    if (m < 1 || m > 12 || day < 1 || day > 31 || h > 23 || min > 59 || sec > 60)
        return false;
    *out = days_of(y, m, day) * 86400 + h * 3600 + min * 60 + sec;
    return true;
}
