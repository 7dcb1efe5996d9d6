#include "master/yaml/diag.h"
#include "shared/base/arena.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name, *text;
    enum diag_severity severity;
} CODES[] = {
#define X(name, severity, text) [DIAG_##name] = {#name, text, DIAG_##severity},
#include "shared/tbl/diag_code.def"
#undef X
};

const char *diag_code_name(enum diag_code c)
{
    return CODES[c].name;
}

const char *diag_code_text(enum diag_code c)
{
    return CODES[c].text;
}

const char *diag_severity_name(enum diag_severity s)
{
    static const char *const names[] = {[DIAG_ERROR] = "error", [DIAG_WARNING] = "warning", [DIAG_INFO] = "info"};
    return names[s];
}

void diags_init(struct diags *ds, struct arena *a)
{
    *ds = (struct diags){.arena = a};
}

static struct str format(struct arena *a, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    struct str s = STR_NONE;
    if (n >= 0 && (size_t)n < sizeof(small)) {
        s = arena_str(a, str_of(small, (size_t)n));
    } else if (n >= 0) {
        char *p = arena_alloc(a, (size_t)n + 1);
        vsnprintf(p, (size_t)n + 1, fmt, again);
        s = str_of(p, (size_t)n);
    }
    va_end(again);
    return s;
}

static void count(struct diags *ds, enum diag_severity s)
{
    ds->n_errors += s == DIAG_ERROR;
    ds->n_warnings += s == DIAG_WARNING;
}

static struct diag *new_row(struct diags *ds, enum diag_code code)
{
    size_t seq = ds->n;
    struct diag *d = ARENA_PUSH(ds->arena, ds);
    *d = (struct diag){.code = code, .severity = CODES[code].severity, .seq = seq};
    return d;
}

static struct diag *add(struct diags *ds, enum diag_code code)
{
    count(ds, CODES[code].severity);
    if (ds->n < DIAGS_MAX)
        return new_row(ds, code);
    ds->worst_over = ds->n_over++ == 0 ? CODES[code].severity : GH_MIN(ds->worst_over, CODES[code].severity);
    ds->left_out = (struct diag){.code = code, .severity = CODES[code].severity};
    return &ds->left_out;
}

static void set_document(struct diag *d, const struct node *where)
{
    const struct node_document *doc = node_document(where);
    d->file = doc->source->path;
    d->api_version = doc->api_version;
    d->kind = doc->kind;
    d->ns = doc->ns;
    d->name = doc->name;
}

/* When the document of `where` has had its share of findings, one row counts the rest. */
static struct diag *leave_out(struct diags *ds, enum diag_code code, const struct node *where)
{
    enum diag_severity s = CODES[code].severity;
    if (ds->n >= DIAGS_MAX)
        return add(ds, code);
    if (ds->n_recent == DIAGS_PER_DOCUMENT + 1) {
        ds->more = ds->n;
        struct diag *d = new_row(ds, DIAG_LimitExceeded);
        set_document(d, where);
        d->severity = DIAG_INFO;
        d->line = node_document(where)->root.line;
        d->column = node_document(where)->root.column;
    }
    struct diag *d = &ds->v[ds->more];
    d->severity = GH_MIN(d->severity, s); /* errors are the lowest */
    d->more++;
    count(ds, s);
    ds->left_out = *d;
    return &ds->left_out;
}

static bool too_many(struct diags *ds, const struct node *where)
{
    const struct node_document *doc = node_document(where);
    if (doc != ds->recent) {
        ds->recent = doc;
        ds->n_recent = 0;
    }
    return ++ds->n_recent > DIAGS_PER_DOCUMENT;
}

static struct str path_of(struct arena *a, const struct node *where, const char *key)
{
    struct buf b = {0};
    node_path(where, &b);
    if (key) {
        if (b.n > 0)
            buf_addch(&b, '.');
        buf_addc(&b, key);
    }
    struct str s = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return s;
}

static struct diag *vat(struct diags *ds, enum diag_code code, const struct node *where,
                        const char *key, struct str hint, const char *fmt, va_list ap)
{
    if (too_many(ds, where))
        return leave_out(ds, code, where);
    const struct node *kid = key ? node_get(where, key) : NULL;
    struct diag *d = add(ds, code);
    set_document(d, where);
    d->line = kid ? kid->key_line : where->line;
    d->column = kid ? kid->key_column : where->column;
    d->path = path_of(ds->arena, where, key);
    d->message = format(ds->arena, fmt, ap);
    d->hint = hint;
    return d;
}

struct diag *diag_at(struct diags *ds, enum diag_code code, const struct node *where, const char *hint,
                     const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct diag *d = vat(ds, code, where, NULL, str_c(hint), fmt, ap);
    va_end(ap);
    return d;
}

struct diag *diag_at_key(struct diags *ds, enum diag_code code, const struct node *where,
                         const char *key, const char *hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct diag *d = vat(ds, code, where, key, str_c(hint), fmt, ap);
    va_end(ap);
    return d;
}

struct diag *diag_at_key_hint(struct diags *ds, enum diag_code code, const struct node *where,
                              const char *key, struct str hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct diag *d = vat(ds, code, where, key, hint, fmt, ap);
    va_end(ap);
    return d;
}

struct diag *diag_file(struct diags *ds, enum diag_code code, struct str file, uint32_t line,
                       uint32_t column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct diag *d = add(ds, code);
    d->file = file;
    d->line = line;
    d->column = column;
    d->message = format(ds->arena, fmt, ap);
    va_end(ap);
    return d;
}

const char *diag_quote(struct arena *a, struct str s)
{
    enum { MOST = 60 };
    char text[MOST * 4 + 8];
    size_t n = 0, most = GH_MIN(s.n, (size_t)MOST);
    while (most < s.n && most > 0 && ((unsigned char)s.p[most] & 0xc0) == 0x80)
        most--; /* never half a character */
    text[n++] = '"';
    for (size_t i = 0; i < most; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(text + n, 5, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\x%02x", c);
        else
            text[n++] = (char)c;
    }
    if (most < s.n) {
        memcpy(text + n, "...", 3);
        n += 3;
    }
    text[n++] = '"';
    return arena_str(a, str_of(text, n)).p;
}

static int cmp_u32(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int cmp(const void *pa, const void *pb)
{
    const struct diag *a = pa, *b = pb;
    int c = str_cmp(a->file, b->file);
    if (c == 0)
        c = cmp_u32(a->line, b->line);
    if (c == 0)
        c = cmp_u32(a->column, b->column);
    return c ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

static bool same_place(const struct diag *a, const struct diag *b)
{
    return a->line == b->line && a->column == b->column && str_eq(a->file, b->file);
}

/* `v[0..n)` is sorted; is `d` a repetition of one of the same place? */
static bool repeated(const struct diag *v, size_t n, const struct diag *d)
{
    for (int near = 0; n > 0 && near < 64 && same_place(&v[n - 1], d); near++) {
        n--;
        if (v[n].code == d->code && str_eq(v[n].path, d->path) && str_eq(v[n].message, d->message) &&
            str_eq(v[n].name, d->name))
            return true;
    }
    return false;
}

/* Rows that stand for others get their sentence. */
static void tell_more(struct diags *ds)
{
    for (size_t i = 0; i < ds->n; i++)
        if (ds->v[i].more > 0)
            ds->v[i].message = arena_strf(ds->arena, "%zu more findings of this document are not listed", ds->v[i].more);
    if (ds->n_over > 0) {
        struct diag *d = new_row(ds, DIAG_LimitExceeded);
        d->message = arena_strf(ds->arena, "%zu more findings are not listed", ds->n_over);
        d->severity = ds->worst_over;
    }
    ds->n_over = 0;
}

void diags_sort(struct diags *ds)
{
    tell_more(ds);
    if (ds->n > 1)
        qsort(ds->v, ds->n, sizeof(*ds->v), cmp);
    size_t n = 0;
    ds->n_errors = ds->n_warnings = 0;
    for (size_t i = 0; i < ds->n; i++) {
        if (repeated(ds->v, n, &ds->v[i]))
            continue;
        ds->v[n++] = ds->v[i];
        count(ds, ds->v[n - 1].severity);
    }
    ds->n = n;
    ds->recent = NULL;
}

/* Text of a file must not move the cursor of the terminal that shows it. */
static void add_plain(struct buf *out, struct str s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != 0x7f)
            continue;
        buf_add(out, s.p + from, i - from);
        buf_addf(out, "\\x%02x", c);
        from = i + 1;
    }
    buf_add(out, s.p + from, s.n - from);
}

void diag_text(const struct diag *d, struct buf *out)
{
    if (d->file.n > 0) {
        add_plain(out, d->file);
        if (d->line > 0)
            buf_addf(out, ":%u", d->line);
        if (d->line > 0 && d->column > 0)
            buf_addf(out, ":%u", d->column);
        buf_addc(out, ": ");
    }
    buf_addf(out, "%s: ", diag_severity_name(d->severity));
    if (d->kind.n > 0) {
        add_plain(out, d->kind);
        if (d->name.n > 0) {
            buf_addch(out, ' ');
            if (d->ns.n > 0) {
                add_plain(out, d->ns);
                buf_addch(out, '/');
            }
            add_plain(out, d->name);
        }
        buf_addc(out, ": ");
    }
    if (d->path.n > 0) {
        add_plain(out, d->path);
        buf_addc(out, ": ");
    }
    add_plain(out, d->message);
    if (d->analyzer)
        buf_addf(out, " [%s]", d->analyzer);
    if (d->hint.n > 0) {
        buf_addc(out, " (");
        add_plain(out, d->hint);
        buf_addch(out, ')');
    }
    buf_addch(out, '\n');
}

static void member(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_json(out, value);
}

/* istioctl has one code for all errors in the fields of Istio's objects, and one for old fields. */
static const char *analyzer_of(const struct diag *d)
{
    if (d->analyzer || str_find(d->api_version, STR(".istio.io/")) < 0)
        return d->analyzer;
    if (d->code == DIAG_Deprecated)
        return "IST0002";
    return d->severity == DIAG_ERROR && d->code >= DIAG_UnknownField && d->code <= DIAG_Exclusive ? "IST0106" : NULL;
}

void diag_json(const struct diag *d, struct buf *out)
{
    buf_addf(out, "{\"severity\":\"%s\",\"code\":\"%s\"", diag_severity_name(d->severity),
             diag_code_name(d->code));
    member(out, "file", d->file);
    buf_addf(out, ",\"line\":%u,\"column\":%u", d->line, d->column);
    member(out, "apiVersion", d->api_version);
    member(out, "kind", d->kind);
    member(out, "namespace", d->ns);
    member(out, "name", d->name);
    member(out, "path", d->path);
    member(out, "message", d->message);
    member(out, "hint", d->hint);
    const char *analyzer = analyzer_of(d);
    if (analyzer)
        member(out, "analyzer", str_c(analyzer));
    buf_addch(out, '}');
}
