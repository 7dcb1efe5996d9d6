#include "shared/http/log_format.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"

#include <stdio.h>
#include <time.h>

enum argument { N, O, R };

static const struct {
    struct str name;
    uint8_t argument;
} OPS[LOG_OP_COUNT] = {
    {{"", 0}, N},
#define X(id, name, argument, text) {{name, sizeof(name) - 1}, argument},
#include "shared/tbl/log_op.def"
#undef X
};

static const struct {
    struct str name, format;
} PRESETS[] = {
#define X(name, format, text) {{name, sizeof(name) - 1}, {format, sizeof(format) - 1}},
#include "shared/tbl/log_preset.def"
#undef X
};

static const char TIME_FORMS[] = "YmdHMSTFebzsf%";

static int complain(struct buf *why, int code, const char *fmt, ...) GH_PRINTF(3, 4);
static int complain(struct buf *why, int code, const char *fmt, ...)
{
    if (why) {
        va_list ap;
        va_start(ap, fmt);
        buf_vaddf(why, fmt, ap);
        va_end(ap);
    }
    return code;
}

static int find_op(struct str name)
{
    for (int i = 1; i < LOG_OP_COUNT; i++)
        if (str_eq(OPS[i].name, name))
            return i;
    return -1;
}

static int unknown_op(struct str name, struct buf *why)
{
    int best = 0;
    unsigned best_distance = 4;
    for (int i = 1; i < LOG_OP_COUNT; i++) {
        unsigned d = str_distance(name, OPS[i].name, 3);
        if (d < best_distance) {
            best_distance = d;
            best = i;
        }
    }
    if (best)
        return complain(why, GH_E_FORMAT, "unknown operator %%" STR_FMT "%% (did you mean %%%s%%?)",
                        STR_ARG(name), OPS[best].name.p);
    return complain(why, GH_E_FORMAT, "unknown operator %%" STR_FMT "%%", STR_ARG(name));
}

static int check_time_form(struct str form, struct buf *why)
{
    for (size_t i = 0; i < form.n; i++) {
        if (form.p[i] != '%')
            continue;
        i++;
        bool digits = i < form.n && ascii_is_digit(form.p[i]);
        if (digits)
            i++;
        if (i >= form.n || !strchr(TIME_FORMS, form.p[i]) || !form.p[i] || (digits && form.p[i] != 'f'))
            return complain(why, GH_E_FORMAT, "START_TIME: \"" STR_FMT "\" is no time form: known are %%Y %%m %%d %%H "
                            "%%M %%S %%T %%F %%e %%b %%z %%s %%f %%1f..%%9f", STR_ARG(form));
    }
    return 0;
}

static int check_grpc_form(struct str form, struct buf *why)
{
    if (form.n == 0 || str_eqc(form, "CAMEL_STRING") || str_eqc(form, "SNAKE_STRING") || str_eqc(form, "NUMBER"))
        return 0;
    return complain(why, GH_E_FORMAT, "GRPC_STATUS: \"" STR_FMT "\" is no form: known are CAMEL_STRING, SNAKE_STRING and NUMBER",
                    STR_ARG(form));
}

/* The argument of REQ and RESP: NAME or NAME?OTHER. `raw_at` finds the same bytes in `lower`. */
static int header_names(struct log_format *f, struct str arg, struct log_op *op, struct buf *why)
{
    struct str lower = str_of(f->lower + (arg.p - f->raw), arg.n);
    ptrdiff_t q = str_chr(lower, '?');
    op->text = q < 0 ? lower : str_head(lower, (size_t)q);
    op->alt = q < 0 ? STR_NONE : str_skip(lower, (size_t)q + 1);
    if (op->text.n == 0 || (q >= 0 && op->alt.n == 0))
        return complain(why, GH_E_FORMAT, "a header name is missing in (" STR_FMT ")", STR_ARG(arg));
    return 0;
}

/* One operator between two '%'; *at stands behind the first. */
static int parse_op(struct log_format *f, struct str s, size_t *at, struct buf *why)
{
    struct log_op *op = &f->ops[f->n];
    size_t i = *at, start = i;
    while (i < s.n && (ascii_is_alpha(s.p[i]) || ascii_is_digit(s.p[i]) || s.p[i] == '_'))
        i++;
    struct str name = str_of(s.p + start, i - start), arg = STR_NONE;
    if (i < s.n && s.p[i] == '(') {
        ptrdiff_t close = str_chr(str_skip(s, i), ')');
        if (close < 0)
            return complain(why, GH_E_FORMAT, "%%" STR_FMT "(: the closing parenthesis is missing", STR_ARG(name));
        arg = str_of(s.p + i + 1, (size_t)close - 1);
        i += (size_t)close + 1;
    }
    uint64_t max = 0;
    if (i < s.n && s.p[i] == ':') {
        size_t digits = ++i;
        while (i < s.n && ascii_is_digit(s.p[i]))
            i++;
        if (!str_u64(str_of(s.p + digits, i - digits), &max) || max == 0 || max > UINT16_MAX)
            return complain(why, GH_E_FORMAT, "%%" STR_FMT ": behind ':' a length of 1 to 65535 is expected",
                            STR_ARG(name));
    }
    if (i >= s.n || s.p[i] != '%')
        return complain(why, GH_E_FORMAT, "the %% at byte %zu begins no operator (write %%%% for a percent sign)",
                        start);
    int id = find_op(name);
    if (id < 0)
        return unknown_op(name, why);
    if (OPS[id].argument == R && arg.n == 0)
        return complain(why, GH_E_FORMAT, "%%" STR_FMT "%% needs an argument", STR_ARG(name));
    if (OPS[id].argument == N && arg.p)
        return complain(why, GH_E_FORMAT, "%%" STR_FMT "%% takes no argument", STR_ARG(name));
    *op = (struct log_op){.id = (uint8_t)id, .max = (uint16_t)max, .text = arg};
    f->n++;
    *at = i + 1;
    if (id == LOG_OP_REQ || id == LOG_OP_RESP)
        return header_names(f, arg, op, why);
    if (id == LOG_OP_GRPC_STATUS)
        return check_grpc_form(arg, why);
    return id == LOG_OP_START_TIME ? check_time_form(arg, why) : 0;
}

static struct str preset(struct str format)
{
    if (str_chr(format, '%') >= 0)
        return format;
    for (size_t i = 0; i < ARRAY_LEN(PRESETS); i++)
        if (str_eq(PRESETS[i].name, format))
            return PRESETS[i].format;
    return STR_NONE;
}

int log_format_parse(struct str format, struct log_format *f, struct buf *why)
{
    struct str s = preset(format);
    f->n = 0;
    if (!s.p)
        return complain(why, GH_E_FORMAT, "\"" STR_FMT "\" is neither a format string (it has no %%OPERATOR%%) nor "
                        "the name of a known format", STR_ARG(format));
    if (s.n > LOG_FORMAT_MAX)
        return complain(why, GH_E_LIMIT, "the format string is longer than %d bytes", LOG_FORMAT_MAX);
    memcpy(f->raw, s.p, s.n);
    if (f->raw[s.n - 1] != '\n')
        f->raw[s.n++] = '\n';
    for (size_t i = 0; i < s.n; i++)
        f->lower[i] = ascii_lower(f->raw[i]);
    s.p = f->raw;

    for (size_t i = 0; i < s.n;) {
        if (f->n == LOG_FORMAT_MAX_OPS)
            return complain(why, GH_E_LIMIT, "the format string has more than %d parts", LOG_FORMAT_MAX_OPS);
        size_t start = i;
        if (s.p[i] == '%' && !(i + 1 < s.n && s.p[i + 1] == '%')) {
            i++;
            int rc = parse_op(f, s, &i, why);
            if (rc < 0)
                return rc;
            continue;
        }
        if (s.p[i] == '%') /* %%: the second one is the text */
            start = i + 1, i += 2;
        while (i < s.n && s.p[i] != '%')
            i++;
        f->ops[f->n++] = (struct log_op){.id = LOG_OP_TEXT, .text = str_of(s.p + start, i - start)};
    }
    return 0;
}

size_t log_format_time(struct str form, uint64_t wall_us, char *out, size_t room)
{
    char piece[32];
    size_t n = 0;
    if (form.n == 0) {
        size_t len = clock_format(wall_us, 3, piece);
        len = GH_MIN(len, room);
        memcpy(out, piece, len);
        return len;
    }
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    for (size_t i = 0; i < form.n; i++) {
        size_t len = 1;
        piece[0] = form.p[i];
        if (form.p[i] == '%' && i + 1 < form.n) {
            int digits = 9;
            i++;
            if (ascii_is_digit(form.p[i]) && i + 1 < form.n)
                digits = form.p[i++] - '0';
            char spec[3] = {'%', form.p[i], 0};
            if (form.p[i] == 'f')
                len = (size_t)GH_MIN(digits, snprintf(piece, sizeof(piece), "%09llu",
                                                      (unsigned long long)(wall_us % 1000000) * 1000));
            else if (form.p[i] == 's')
                len = (size_t)snprintf(piece, sizeof(piece), "%lld", (long long)seconds);
            else if (form.p[i] == 'z')
                len = (size_t)snprintf(piece, sizeof(piece), "+0000");
            else
                len = strftime(piece, sizeof(piece), spec, &tm);
        }
        if (len > room - n)
            break;
        memcpy(out + n, piece, len);
        n += len;
    }
    return n;
}
