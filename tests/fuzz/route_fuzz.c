/*
 * The matcher against a naive one that walks the model: for every request the same host, the same rank. The
 * naive one is written from the rules (Gateway API 5, 6; Istio 3.4) and shares no code with route.c.
 */
#include "shared/http/uri.h"
#include "shared/regex/regex.h"
#include "tests/fuzz/model_gen.h"

static bool naive_regex(struct str pattern, unsigned flags, struct str text)
{
    struct regex *r = regex_compile(pattern, flags | REGEX_NO_JIT, NULL, NULL);
    must(r);
    bool yes = regex_match(r, text, NULL);
    regex_free(r);
    return yes;
}

static bool same(struct str a, struct str b, bool ignore_case)
{
    return ignore_case ? str_ieq(a, b) : str_eq(a, b);
}

static bool begins(struct str a, struct str b, bool ignore_case)
{
    return a.n >= b.n && same(str_of(a.p, b.n), b, ignore_case);
}

/* `text` NULL slice with there = false: absent. */
static bool naive_text(const struct model_strmatch *m, bool there, struct str text)
{
    bool yes;
    if (m->type == STRMATCH_ANY)
        return true;
    if (m->type == STRMATCH_PRESENT)
        return there != m->invert;
    if (!there && !m->invert)
        return false;
    if (!there)
        text = STR("");
    if (m->type == STRMATCH_EXACT)
        yes = same(text, m->value, m->ignore_case);
    else if (m->type == STRMATCH_PREFIX)
        yes = begins(text, m->value, m->ignore_case);
    else
        yes = naive_regex(m->value, m->ignore_case ? REGEX_IGNORE_CASE : 0, text);
    return yes != m->invert;
}

static bool naive_path(const struct model_match *m, struct str path)
{
    struct str v = m->path_value;
    bool fold = m->path_ignore_case;
    switch (m->path) {
    case PATH_ANY: return true;
    case PATH_EXACT: return same(path, v, fold);
    case PATH_PREFIX_STRING: return begins(path, v, fold);
    case PATH_PREFIX_ELEMENT: return begins(path, v, fold) && (path.n == v.n || path.p[v.n] == '/');
    default: return naive_regex(v, 0, path);
    }
}

static bool naive_query(const struct model_match *m, const struct model_kv_match *kv, struct str query)
{
    struct str piece;
    while (query.n && str_split(&query, '&', &piece)) {
        char name[256], value[256];
        ptrdiff_t eq = str_chr(piece, '=');
        struct str n = eq < 0 ? piece : str_head(piece, (size_t)eq);
        struct str v = eq < 0 ? STR("") : str_skip(piece, (size_t)eq + 1);
        if (piece.n == 0)
            continue;
        if (!m->query_raw) {
            n = str_of(name, http_query_decode(n, name));
            v = str_of(value, http_query_decode(v, value));
        }
        if (str_eq(n, kv->name))
            return naive_text(&kv->m, true, v);
    }
    return naive_text(&kv->m, false, STR_NONE);
}

static bool naive_match(const struct model_match *m, struct sample_request *r)
{
    if (!naive_path(m, r->q.path) || !naive_text(&m->method, true, r->q.method) ||
        !naive_text(&m->scheme, true, r->q.scheme) ||
        !naive_text(&m->authority, r->q.authority.n > 0 || m->authority.type != STRMATCH_PRESENT, r->q.authority))
        return false;
    for (size_t i = 0; i < m->headers.n; i++) {
        struct str value;
        bool there = sample_header_value(r, m->headers.v[i].name, &value);
        if (!naive_text(&m->headers.v[i].m, there, value))
            return false;
    }
    for (size_t i = 0; i < m->query.n; i++)
        if (!naive_query(m, &m->query.v[i], r->q.query))
            return false;
    return true;
}

static const struct model_host *naive_host(const struct model_bind *b, struct str host)
{
    const struct model_host *best = NULL;
    for (size_t i = 0; i < b->hosts.n; i++) {
        struct str name = b->hosts.v[i]->name;
        bool star = str_eqc(name, "*"), wild = !star && name.p[0] == '*';
        bool fits = star || (wild ? host.n > name.n - 1 && str_ends(host, str_skip(name, 1)) : str_eq(host, name));
        if (fits && (!best || str_eq(host, name) || (best->name.p[0] == '*' && name.n > best->name.n)))
            best = b->hosts.v[i];
    }
    return best;
}

static void compare(const struct sample *s, const struct snap *snap, struct sample_request *r)
{
    struct route_hit hit;
    const struct model_host *h = naive_host(s->bind, r->q.host), *won = NULL;
    int64_t rank = -1, got;
    enum reason why = route_find(snap, &snap->BINDS[0], &r->q, &hit);
    must((h == NULL) == (why == REASON_NO_LISTENER_HOST));
    for (; h && rank < 0; h = h->fallback)
        for (size_t i = 0; i < h->entries.n && rank < 0; i++)
            if (naive_match(h->entries.v[i].match, r)) {
                rank = h->entries.v[i].rank;
                won = h;
            }
    got = hit.entry ? (int64_t)hit.entry->rank : -1;
    if (got == rank && (rank < 0 || str_eq(snap_text(snap, hit.host->name), won->name)))
        return;
    struct buf out = {0};
    snap_dump(snap, &out);
    fprintf(stderr, "%s" STR_FMT " " STR_FMT " " STR_FMT "?" STR_FMT " [%s]: naive %lld, matcher %lld\n", buf_cstr(&out),
            STR_ARG(r->q.method), STR_ARG(r->q.host), STR_ARG(r->q.path), STR_ARG(r->q.query), r->lines,
            (long long)rank, (long long)got);
    abort();
}

static const struct model_chain *naive_chain(const struct model_bind *b, struct str name)
{
    const struct model_chain *best = NULL;
    for (size_t i = 0; i < b->chains.n; i++) {
        struct model_chain *c = b->chains.v[i];
        bool star = str_eqc(c->name, "*"), wild = !star && c->name.p[0] == '*';
        bool fits = star || (wild ? name.n > c->name.n - 1 && str_ends(name, str_skip(c->name, 1)) : str_eq(name, c->name));
        if (fits && (!best || str_eq(name, c->name) || (best->name.p[0] == '*' && c->name.n > best->name.n)))
            best = c;
    }
    return best;
}

static void compare_chains(const struct sample *s, const struct snap *snap, struct str name)
{
    for (uint32_t i = 0; i < s->m.binds.n; i++) {
        const struct model_chain *want = naive_chain(s->m.binds.v[i], name);
        const struct snap_chain *got = route_chain(snap, &snap->BINDS[i], name);
        must((want == NULL) == (got == NULL) && (!want || str_eq(want->name, snap_text(snap, got->name))));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dice d = {data, size}, questions;
    struct sample s;
    struct sample_request r;

    /* The questions come from the end of the input, so that models and questions change apart. */
    questions = size > 200 ? (struct dice){data + size - 100, 100} : d;
    d.n -= size > 200 ? 100 : 0;
    gen_model(&d, &s);
    struct snap *snap = sample_open(&s);
    snap->user = snap_regexes_new(snap);
    snap->user_free = snap_regexes_free;
    must(snap->user);
    while (questions.n) {
        gen_request(&questions, &s.arena, &r);
        r.q.header_ctx = &r;
        r.q.regex = snap_regexes_match;
        r.q.regex_ctx = snap->user;
        compare(&s, snap, &r);
        compare_chains(&s, snap, r.q.host);
    }
    snap_drop(snap);
    sample_fini(&s);
    return 0;
}
