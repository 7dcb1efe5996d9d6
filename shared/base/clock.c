#include "shared/base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_ms(void)
{
    return clock_ns() / 1000000u;
}

uint64_t clock_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* Days since 1970-01-01 of a Gregorian date, counting years from March so that the leap day is last. */
static int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned yoe = (unsigned)(year - era * 400);
    unsigned doy = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void date_of_days(uint64_t days, uint64_t *year, unsigned *month, unsigned *day)
{
    uint64_t z = days + 719468, era = z / 146097;
    unsigned doe = (unsigned)(z % 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2);
}

static char *put_digits(char *at, uint64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--, v /= 10)
        at[i] = (char)('0' + v % 10);
    return at + width;
}

size_t clock_format(uint64_t wall_us, int digits, char out[32])
{
    uint64_t sec = wall_us / 1000000u, year;
    unsigned us = (unsigned)(wall_us % 1000000u), of_day = (unsigned)(sec % 86400u), month, day;
    date_of_days(sec / 86400u, &year, &month, &day);

    char *at = put_digits(out, year, year > 99999 ? 6 : year > 9999 ? 5 : 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, of_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, of_day % 60, 2);
    if (digits > 0) {
        *at++ = '.';
        at = digits == 3 ? put_digits(at, us / 1000, 3) : put_digits(at, us, 6);
    }
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}

/* Takes `width` digits off the front. */
static bool take_number(struct str *s, size_t width, unsigned *out)
{
    uint64_t v;
    if (s->n < width || !str_u64(str_head(*s, width), &v))
        return false;
    *out = (unsigned)v;
    *s = str_skip(*s, width);
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->n == 0 || ascii_lower(s->p[0]) != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

static bool take_fraction(struct str *s, unsigned *us)
{
    unsigned scale = 100000;
    size_t n = 0;
    *us = 0;
    for (; n < s->n && ascii_is_digit(s->p[n]); n++, scale /= 10)
        *us += (unsigned)(s->p[n] - '0') * scale;
    *s = str_skip(*s, n);
    return n > 0;
}

/* Seconds east of UTC. */
static bool take_offset(struct str *s, int64_t *sec)
{
    unsigned hour, minute;
    bool west = s->n && s->p[0] == '-';
    *sec = 0;
    if (take_char(s, 'z'))
        return true;
    if (!take_char(s, west ? '-' : '+') || !take_number(s, 2, &hour) || !take_char(s, ':') ||
        !take_number(s, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *sec = (int64_t)(hour * 3600 + minute * 60) * (west ? -1 : 1);
    return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

bool clock_parse(struct str s, uint64_t *wall_us)
{
    unsigned year, month, day, hour, minute, second, us = 0;
    int64_t offset;
    if (!take_number(&s, 4, &year) || !take_char(&s, '-') || !take_number(&s, 2, &month) ||
        !take_char(&s, '-') || !take_number(&s, 2, &day) || !take_char(&s, 't') ||
        !take_number(&s, 2, &hour) || !take_char(&s, ':') || !take_number(&s, 2, &minute) ||
        !take_char(&s, ':') || !take_number(&s, 2, &second))
        return false;
    if (take_char(&s, '.') && !take_fraction(&s, &us))
        return false;
    if (!take_offset(&s, &offset) || s.n)
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
        minute > 59 || second > 60) /* 60: a leap second, which is the next one for us */
        return false;
    int64_t sec = days_of_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (sec < 0)
        return false;
    *wall_us = (uint64_t)sec * 1000000u + us;
    return true;
}

void random_bytes(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0) {
            must(errno == EINTR);
            continue;
        }
        at += got;
        n -= (size_t)got;
    }
}

/* xoroshiro128++ */
static uint64_t rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

void rng_seed(struct rng *r)
{
    random_bytes(r->s, sizeof(r->s));
    r->s[0] |= 1; /* all zero would stay all zero */
}

uint64_t rng_next(struct rng *r)
{
    uint64_t s0 = r->s[0], s1 = r->s[1], out = rotate(s0 + s1, 17) + s0;
    s1 ^= s0;
    r->s[0] = rotate(s0, 49) ^ s1 ^ s1 << 21;
    r->s[1] = rotate(s1, 28);
    return out;
}
