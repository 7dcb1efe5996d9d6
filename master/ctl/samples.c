#include "master/ctl/samples.h"

#include <stdlib.h>

/* Where the label section ends: the first brace outside of quotes. */
static ptrdiff_t labels_end(struct str s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && quoted)
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (s.p[i] == '}' && !quoted)
            return (ptrdiff_t)i;
    }
    return -1;
}

static bool number(struct str s, double *out)
{
    char text[64], *end;
    s = str_trim(s, " \t\r");
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *out = strtod(text, &end);
    return *end == '\0';
}

bool samples_next(struct str *rest, struct sample_line *s)
{
    struct str line;
    while (str_split(rest, '\n', &line)) {
        size_t n = 0;
        while (n < line.n && (ascii_is_alpha(line.p[n]) || ascii_is_digit(line.p[n]) || line.p[n] == '_' || line.p[n] == ':'))
            n++;
        *s = (struct sample_line){.name = str_head(line, n)};
        line = str_skip(line, n);
        if (line.n && line.p[0] == '{') {
            ptrdiff_t end = labels_end(str_skip(line, 1));
            if (end < 0)
                continue;
            s->labels = str_of(line.p + 1, (size_t)end);
            line = str_skip(line, (size_t)end + 2);
        }
        if (s->name.n && line.n && line.p[0] == ' ' && number(line, &s->value))
            return true;
    }
    return false;
}

struct str sample_label(struct arena *a, const struct sample_line *s, const char *name)
{
    struct str rest = s->labels, want = str_c(name);
    while (rest.n) {
        ptrdiff_t eq = str_find(rest, STR("=\""));
        if (eq < 0)
            return STR_NONE;
        struct str key = str_trim(str_head(rest, (size_t)eq), ", ");
        rest = str_skip(rest, (size_t)eq + 2);
        char *text = arena_alloc(a, rest.n + 1);
        size_t n = 0, i = 0;
        if (!text)
            return STR_NONE;
        for (; i < rest.n && rest.p[i] != '"'; i++) {
            if (rest.p[i] == '\\' && i + 1 < rest.n)
                text[n++] = rest.p[++i] == 'n' ? '\n' : rest.p[i];
            else
                text[n++] = rest.p[i];
        }
        if (str_eq(key, want))
            return str_of(text, n);
        rest = str_skip(rest, GH_MIN(i + 1, rest.n));
    }
    return STR_NONE;
}
