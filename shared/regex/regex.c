#define PCRE2_CODE_UNIT_WIDTH 8
#include "shared/regex/regex.h"
#include "shared/base/err.h"
#include "shared/base/utf8.h"
#include "shared/regex/re2.h"

#include <pcre2.h>
#include <stdlib.h>

/*
 * Limits of one match. PCRE2 backtracks where RE2 does not, so a pattern can be slow on a hostile subject;
 * these keep one match below about a millisecond. The interpreter's memory for backtracking (20 KiB at first)
 * is kept in match_data between matches and bounded by HEAP_KIB.
 */
#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 10000
#define HEAP_KIB    1024
#define GROUPS      10 /* \0..\9 */

struct regex_memory {
    uint32_t refs;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

struct regex {
    pcre2_code *code;
    struct regex_memory *memory;
    unsigned flags;
    uint32_t groups; /* capturing ones in the pattern */
};

static pcre2_code *compile(struct str pattern, unsigned flags, int *error)
{
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK;
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    pcre2_code *code = NULL;
    size_t where;

    *error = PCRE2_ERROR_NOMEMORY;
    if (!cc)
        return NULL;
    pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    if (flags & REGEX_IGNORE_CASE)
        options |= PCRE2_CASELESS;
    if (!(flags & REGEX_SEARCH))
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_AUTO_CAPTURE;
    code = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.n, options, error, &where, cc);
    pcre2_compile_context_free(cc);
    return code;
}

static void say_pcre2(struct buf *why, int error)
{
    PCRE2_UCHAR text[160];
    if (why && pcre2_get_error_message(error, text, sizeof(text)) > 0)
        buf_addc(why, (const char *)text);
}

struct regex_memory *regex_memory_new(void)
{
    struct regex_memory *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->refs = 1;
    m->data = pcre2_match_data_create(GROUPS, NULL);
    m->limits = pcre2_match_context_create(NULL);
    if (!m->data || !m->limits) {
        regex_memory_drop(m);
        return NULL;
    }
    pcre2_set_match_limit(m->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(m->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(m->limits, HEAP_KIB);
    return m;
}

void regex_memory_drop(struct regex_memory *m)
{
    if (!m || --m->refs > 0)
        return;
    pcre2_match_context_free(m->limits);
    pcre2_match_data_free(m->data);
    free(m);
}

static struct regex *regex_around(pcre2_code *code, unsigned flags, struct regex_memory *m)
{
    struct regex *r = calloc(1, sizeof(*r));
    if (!r) {
        pcre2_code_free(code);
        return NULL;
    }
    r->code = code;
    r->flags = flags;
    r->memory = m ? m : regex_memory_new();
    if (!r->memory) {
        regex_free(r);
        return NULL;
    }
    r->memory->refs += m != NULL;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &r->groups);
    if (!(flags & REGEX_NO_JIT))
        regex_speed_up(r);
    return r;
}

void regex_speed_up(struct regex *r)
{
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* refused: the interpreter is used */
}

struct regex *regex_compile(struct str pattern, unsigned flags, struct buf *why, size_t *offset)
{
    return regex_compile_in(NULL, pattern, flags, why, offset);
}

struct regex *regex_compile_in(struct regex_memory *m, struct str pattern, unsigned flags, struct buf *why,
                               size_t *offset)
{
    struct buf text = {0};
    struct regex *r = NULL;
    size_t ignored;
    int error;

    offset = offset ? offset : &ignored;
    *offset = 0;
    if (pattern.n == 0 || pattern.n > REGEX_PATTERN_MAX) {
        if (why)
            buf_addf(why, "a pattern has 1 to %d bytes", REGEX_PATTERN_MAX);
        return NULL;
    }
    if (!re2_translate(pattern, &text, why, offset))
        goto out;
    pcre2_code *code = text.oom ? NULL : compile(buf_str(&text), flags, &error);
    if (code)
        r = regex_around(code, flags, m);
    if (!r)
        say_pcre2(why, code || text.oom ? PCRE2_ERROR_NOMEMORY : error);
out:
    buf_fini(&text);
    return r;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    regex_memory_drop(r->memory);
    pcre2_code_free(r->code);
    free(r);
}

/* The machine stack that compiled code uses is small; the interpreter has more room. */
static int run(const struct regex *r, struct str subject, size_t at)
{
    const struct regex_memory *m = r->memory;
    PCRE2_SPTR p = (PCRE2_SPTR)(subject.p ? subject.p : "");
    int rc = pcre2_match(r->code, p, subject.n, at, PCRE2_NO_UTF_CHECK, m->data, m->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, p, subject.n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->limits);
    return rc;
}

bool regex_match(const struct regex *r, struct str subject, bool *limit)
{
    must(!(r->flags & REGEX_SEARCH));
    if (limit)
        *limit = false;
    if (utf8_valid_prefix(subject) != subject.n)
        return false;
    int rc = run(r, subject, 0);
    if (limit)
        *limit = rc < 0 && rc != PCRE2_ERROR_NOMATCH;
    return rc >= 0;
}

/* Next piece of a replacement: a literal run, or group 0..9. False at the end. */
struct piece { struct str text; int group; };
static bool next_piece(struct str *to, struct piece *p)
{
    if (to->n == 0)
        return false;
    if (to->p[0] == '\\' && to->n >= 2) {
        bool digit = ascii_is_digit(to->p[1]);
        *p = (struct piece){digit ? STR_NONE : str_of(to->p + 1, 1), digit ? to->p[1] - '0' : -1};
        *to = str_skip(*to, 2);
        return true;
    }
    ptrdiff_t end = str_chr(str_skip(*to, 1), '\\');
    size_t n = end < 0 ? to->n : (size_t)end + 1;
    *p = (struct piece){str_of(to->p, n), -1};
    *to = str_skip(*to, n);
    return true;
}

static void add_replacement(const struct regex *r, struct str subject, struct str to, int groups, struct buf *out)
{
    const size_t *v = pcre2_get_ovector_pointer(r->memory->data);
    struct piece p;
    while (next_piece(&to, &p)) {
        if (p.group < 0)
            buf_adds(out, p.text);
        else if (p.group < groups && v[2 * p.group] != PCRE2_UNSET)
            buf_add(out, subject.p + v[2 * p.group], v[2 * p.group + 1] - v[2 * p.group]);
    }
}

int regex_replace(const struct regex *r, struct str subject, struct str to, struct buf *out)
{
    const size_t *v = pcre2_get_ovector_pointer(r->memory->data);
    size_t at = 0, done = 0; /* where to look from; how much of subject is in out */
    int n = 0;

    must(r->flags & REGEX_SEARCH);
    if (!subject.p)
        subject = STR("");
    if (utf8_valid_prefix(subject) != subject.n) {
        buf_adds(out, subject);
        return 0;
    }
    while (at <= subject.n) {
        int rc = run(r, subject, at);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0)
            return GH_E_LIMIT;
        size_t start = v[0], end = v[1];
        bool empty_again = n > 0 && start == end && start == done; /* right behind the match before */
        if (!empty_again) {
            buf_add(out, subject.p + done, start - done);
            add_replacement(r, subject, to, rc == 0 ? GROUPS : rc, out);
            done = end;
            n++;
        }
        at = end > start ? end : end + GH_MAX(utf8_len(str_skip(subject, end)), 1u);
    }
    buf_add(out, subject.p + done, subject.n - done);
    return n;
}

bool regex_replacement_valid(const struct regex *r, struct str to, struct buf *why)
{
    for (size_t i = 0; i < to.n; i++) {
        if (to.p[i] != '\\')
            continue;
        char c = i + 1 < to.n ? to.p[i + 1] : '\0';
        if (c != '\\' && !ascii_is_digit(c)) {
            if (why)
                buf_addc(why, "a backslash in a replacement must be followed by a digit or a backslash");
            return false;
        }
        if (ascii_is_digit(c) && (uint32_t)(c - '0') > r->groups) {
            if (why)
                buf_addf(why, "the replacement names group %c, the pattern has %u", c, r->groups);
            return false;
        }
        i++;
    }
    return true;
}
