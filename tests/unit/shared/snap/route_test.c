/* What the matcher promises, asked of compiled models. */
#include "tests/unit/master/compile/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct fixture {
    struct sample s;
    struct snap *snap;
    struct snap_regexes *regexes;
};

static void opened(struct fixture *f)
{
    f->snap = sample_open(&f->s);
    f->regexes = snap_regexes_new(f->snap);
    f->snap->user = f->regexes;
    f->snap->user_free = snap_regexes_free;
}

static void closed(struct fixture *f)
{
    snap_drop(f->snap);
    sample_fini(&f->s);
}

struct trace { int winner, n; };
static void on_trace(void *ctx, const struct snap_host *h, const struct snap_entry *e, enum route_lost why, const struct snap_cond *cond)
{
    struct trace *t = ctx;
    (void)h;
    (void)cond;
    t->n++;
    if (why == LOST_NOT) {
        assert_int_equal(t->winner, -1);
        t->winner = (int)e->rank;
    }
}

/* The rank that wins, -1 for no rule, -2 for no host. The explanation must name the same one. */
static int ask(struct fixture *f, const char *method, const char *host, const char *target, const char *lines)
{
    struct sample_request r;
    struct route_hit hit;
    struct trace t = {-1, 0};
    sample_ask(&r, method, host, target, lines);
    r.q.regex = snap_regexes_match;
    r.q.regex_ctx = f->regexes;
    enum reason why = route_find(f->snap, &f->snap->BINDS[0], &r.q, &hit);
    route_trace(f->snap, &f->snap->BINDS[0], &r.q, on_trace, &t);
    assert_int_equal(why == REASON_OK, hit.entry != NULL);
    assert_int_equal(t.winner, hit.entry ? (int)hit.entry->rank : -1);
    return why == REASON_NO_LISTENER_HOST ? -2 : hit.entry ? (int)hit.entry->rank : -1;
}

static const char *host_of(struct fixture *f, const char *host)
{
    const struct snap_host *h = route_host(f->snap, &f->snap->BINDS[0], str_c(host));
    return h ? snap_text(f->snap, h->name).p : "none";
}

static void a_host_is_exact_or_the_longest_wildcard_or_the_default(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    sample_host(&f.s, "*");
    sample_host(&f.s, "*.com");
    sample_host(&f.s, "*.example.com");
    sample_host(&f.s, "*.b.example.com");
    sample_host(&f.s, "a.example.com");
    opened(&f);
    assert_string_equal(host_of(&f, "a.example.com"), "a.example.com");
    assert_string_equal(host_of(&f, "x.example.com"), "*.example.com");
    assert_string_equal(host_of(&f, "x.a.example.com"), "*.example.com");
    assert_string_equal(host_of(&f, "b.example.com"), "*.example.com");
    assert_string_equal(host_of(&f, "x.b.example.com"), "*.b.example.com");
    assert_string_equal(host_of(&f, "example.com"), "*.com");
    assert_string_equal(host_of(&f, "com"), "*");
    assert_string_equal(host_of(&f, ""), "*");
    assert_string_equal(host_of(&f, "*.example.com"), "*.example.com"); /* no name, but no harm either */
    assert_string_equal(host_of(&f, "a..example.com"), "*.example.com");
    closed(&f);
}

static const char *chain_of(struct fixture *f, uint32_t bind, const char *name)
{
    const struct snap_chain *c = route_chain(f->snap, &f->snap->BINDS[bind], str_c(name));
    return c ? snap_text(f->snap, c->name).p : "none";
}

static void a_chain_is_exact_or_the_longest_wildcard_or_the_default(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_listener *l = sample_listener(&f.s, LISTENER_TLS, 443), *other = sample_listener(&f.s, LISTENER_TLS, 444);
    static const char *const names[] = {"*", "*.com", "*.example.com", "a.example.com"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        sample_chain(&f.s, l, names[i], CHAIN_REFUSE, NULL, NULL);
    sample_chain(&f.s, other, "b.example.com", CHAIN_REFUSE, NULL, NULL);
    sample_host(&f.s, "host.example.com"); /* hosts are not chains */
    opened(&f);
    assert_string_equal(chain_of(&f, 1, "a.example.com"), "a.example.com");
    assert_string_equal(chain_of(&f, 1, "b.example.com"), "*.example.com");
    assert_string_equal(chain_of(&f, 1, "x.b.example.com"), "*.example.com");
    assert_string_equal(chain_of(&f, 1, "example.com"), "*.com");
    assert_string_equal(chain_of(&f, 1, "example.org"), "*");
    assert_string_equal(chain_of(&f, 1, ""), "*");
    assert_string_equal(chain_of(&f, 2, "b.example.com"), "b.example.com");
    assert_string_equal(chain_of(&f, 2, "a.example.com"), "none");
    assert_string_equal(chain_of(&f, 2, ""), "none");
    assert_string_equal(chain_of(&f, 0, "host.example.com"), "none");
    assert_string_equal(host_of(&f, "a.example.com"), "none");
    closed(&f);
}

static void without_a_default_unknown_hosts_have_none(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    sample_entry(&f.s, sample_host(&f.s, "a.example.com"), PATH_ANY, "");
    opened(&f);
    assert_int_equal(ask(&f, "GET", "b.example.com", "/", ""), -2);
    assert_int_equal(ask(&f, "GET", "a.example.com", "/", ""), 0);
    closed(&f);
}

static void names_with_more_labels_than_bits_are_found(void **state)
{
    struct fixture f;
    struct buf name = {0};
    (void)state;
    sample_init(&f.s);
    buf_addc(&name, "*");
    for (int i = 0; i < 40; i++)
        buf_addc(&name, ".a");
    sample_host(&f.s, buf_cstr(&name));
    opened(&f);
    name.p[0] = 'x';
    assert_string_not_equal(host_of(&f, buf_cstr(&name)), "none");
    assert_string_equal(host_of(&f, "x.a.a"), "none");
    closed(&f);
    buf_fini(&name);
}

static void the_lowest_rank_that_matches_wins(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_entry(&f.s, h, PATH_PREFIX_STRING, "/a/b");  /* 0: Istio order: an early prefix beats ... */
    sample_entry(&f.s, h, PATH_EXACT, "/a/b");          /* 1: ... a later exact path */
    sample_entry(&f.s, h, PATH_EXACT, "/a");            /* 2 */
    sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/a");   /* 3 */
    sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "");     /* 4 */
    sample_entry(&f.s, h, PATH_ANY, "");                /* 5 */
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", "/a/b", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/a/bc", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/a", ""), 2);
    assert_int_equal(ask(&f, "GET", "h", "/a/", ""), 3);
    assert_int_equal(ask(&f, "GET", "h", "/a/c", ""), 3);
    assert_int_equal(ask(&f, "GET", "h", "/ab", ""), 4);
    assert_int_equal(ask(&f, "GET", "h", "*", ""), 5);
    closed(&f);
}

static void element_prefixes_end_at_a_slash_and_string_prefixes_anywhere(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/v2");
    sample_entry(&f.s, h, PATH_PREFIX_STRING, "/status");
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", "/v2", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/v2/", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/v2/x", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/v2x", ""), -1);
    assert_int_equal(ask(&f, "GET", "h", "/v", ""), -1);
    assert_int_equal(ask(&f, "GET", "h", "/status", ""), 1);
    assert_int_equal(ask(&f, "GET", "h", "/statusX", ""), 1);
    assert_int_equal(ask(&f, "GET", "h", "/Status", ""), -1);
    closed(&f);
}

static void paths_without_case_are_folded(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_entry(&f.s, h, PATH_EXACT, "/Login")->path_ignore_case = true;
    sample_entry(&f.s, h, PATH_PREFIX_STRING, "/API/V")->path_ignore_case = true;
    sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/Docs")->path_ignore_case = true;
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", "/LOGIN", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/login/", ""), -1);
    assert_int_equal(ask(&f, "GET", "h", "/api/v2", ""), 1);
    assert_int_equal(ask(&f, "GET", "h", "/docs/a", ""), 2);
    assert_int_equal(ask(&f, "GET", "h", "/docsa", ""), -1);
    closed(&f);
}

static void regexes_are_tried_where_their_beginning_fits(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_entry(&f.s, h, PATH_REGEX, "/users/[0-9]+");
    sample_entry(&f.s, h, PATH_REGEX, "/a\\.b");       /* one text */
    sample_entry(&f.s, h, PATH_REGEX, "(/x|/y)/.*");   /* no beginning */
    sample_entry(&f.s, h, PATH_REGEX, ".*");
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", "/users/42", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/users/42/x", ""), 3);
    assert_int_equal(ask(&f, "GET", "h", "/a.b", ""), 1);
    assert_int_equal(ask(&f, "GET", "h", "/aXb", ""), 3);
    assert_int_equal(ask(&f, "GET", "h", "/y/", ""), 2);
    closed(&f);
}

static void headers_compare_as_their_type_says(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_header(&f.s, sample_entry(&f.s, h, PATH_ANY, ""), "x-e", STRMATCH_EXACT, "One");
    sample_header(&f.s, sample_entry(&f.s, h, PATH_ANY, ""), "x-p", STRMATCH_PREFIX, "pre");
    sample_header(&f.s, sample_entry(&f.s, h, PATH_ANY, ""), "x-r", STRMATCH_REGEX, "v[0-9]+");
    sample_header(&f.s, sample_entry(&f.s, h, PATH_ANY, ""), "x-t", STRMATCH_PRESENT, "");
    struct model_match *two = sample_entry(&f.s, h, PATH_ANY, "");
    sample_header(&f.s, two, "x-1", STRMATCH_EXACT, "1");
    sample_header(&f.s, two, "x-2", STRMATCH_EXACT, "2");
    sample_header(&f.s, sample_entry(&f.s, h, PATH_ANY, ""), "x-i", STRMATCH_EXACT, "Case")->ignore_case = true;
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", "/", "X-E: One"), 0);
    assert_int_equal(ask(&f, "GET", "h", "/", "X-E: one"), -1);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-e: One\nx-e: Two"), -1);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-p: prefix"), 1);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-r: v12"), 2);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-r: v12x"), -1);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-t:"), 3);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-1: 1\nx-2: 2"), 4);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-1: 1"), -1);
    assert_int_equal(ask(&f, "GET", "h", "/", "x-i: cASE"), 5);
    closed(&f);
}

/* Istio 3.4, withoutHeaders. */
static void an_inverted_header_counts_as_empty_when_absent(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_header(&f.s, sample_entry(&f.s, h, PATH_EXACT, "/e"), "x", STRMATCH_EXACT, "no")->invert = true;
    sample_header(&f.s, sample_entry(&f.s, h, PATH_EXACT, "/r"), "x", STRMATCH_REGEX, ".*")->invert = true;
    sample_header(&f.s, sample_entry(&f.s, h, PATH_EXACT, "/p"), "x", STRMATCH_PRESENT, "")->invert = true;
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", "/e", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/e", "x: yes"), 0);
    assert_int_equal(ask(&f, "GET", "h", "/e", "x: no"), -1);
    assert_int_equal(ask(&f, "GET", "h", "/r", ""), -1);
    assert_int_equal(ask(&f, "GET", "h", "/r", "x: a"), -1);
    assert_int_equal(ask(&f, "GET", "h", "/p", ""), 2);
    assert_int_equal(ask(&f, "GET", "h", "/p", "x:"), -1);
    closed(&f);
}

static void parameters_are_compared_decoded_or_raw_and_the_first_counts(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_query(&f.s, sample_entry(&f.s, h, PATH_EXACT, "/g"), "a b", STRMATCH_EXACT, "c d");
    struct model_match *raw = sample_entry(&f.s, h, PATH_EXACT, "/i");
    raw->query_raw = true;
    sample_query(&f.s, raw, "a", STRMATCH_EXACT, "c%20d");
    struct model_match *empty = sample_entry(&f.s, h, PATH_EXACT, "/n");
    empty->query_raw = true;
    sample_query(&f.s, empty, "key", STRMATCH_EXACT, "");
    sample_query(&f.s, sample_entry(&f.s, h, PATH_EXACT, "/r"), "v", STRMATCH_REGEX, "a b[0-9]");
    sample_query(&f.s, sample_entry(&f.s, h, PATH_EXACT, "/p"), "v", STRMATCH_PRESENT, "");
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", "/g?a%20b=c%20d", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/g?a+b=c+d", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/g?x=1&a+b=c+d&a+b=z", ""), 0);
    assert_int_equal(ask(&f, "GET", "h", "/g?a+b=z&a+b=c+d", ""), -1);
    assert_int_equal(ask(&f, "GET", "h", "/i?a=c%20d", ""), 1);
    assert_int_equal(ask(&f, "GET", "h", "/i?a=c+d", ""), -1);
    assert_int_equal(ask(&f, "GET", "h", "/n?key", ""), 2);
    assert_int_equal(ask(&f, "GET", "h", "/n?key=", ""), 2);
    assert_int_equal(ask(&f, "GET", "h", "/n?", ""), -1);
    assert_int_equal(ask(&f, "GET", "h", "/r?v=a%20b7", ""), 3);
    assert_int_equal(ask(&f, "GET", "h", "/p?v", ""), 4);
    closed(&f);
}

static void method_scheme_and_authority_are_conditions(void **state)
{
    struct fixture f;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_entry(&f.s, h, PATH_ANY, "")->method = sample_text(&f.s, STRMATCH_EXACT, "POST");
    sample_entry(&f.s, h, PATH_ANY, "")->authority = sample_text(&f.s, STRMATCH_PREFIX, "api.");
    sample_entry(&f.s, h, PATH_ANY, "")->scheme = sample_text(&f.s, STRMATCH_EXACT, "http");
    opened(&f);
    assert_int_equal(ask(&f, "POST", "api.x", "/", ""), 0);
    assert_int_equal(ask(&f, "post", "api.x", "/", ""), 1);
    assert_int_equal(ask(&f, "GET", "x", "/", ""), 2);
    closed(&f);
}

static void long_lists_are_found_by_value(void **state)
{
    struct fixture f;
    char text[32];
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    for (int i = 0; i < 200; i++) { /* 0..199: header; 200..399: query; 400..599: both */
        snprintf(text, sizeof(text), "t%d", i);
        sample_header(&f.s, sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/l"), "x-tenant", STRMATCH_EXACT, text);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof(text), "q %d", i);
        sample_query(&f.s, sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/l"), "id", STRMATCH_EXACT, text);
    }
    for (int i = 0; i < 200; i++) {
        struct model_match *m = sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/l");
        sample_header(&f.s, m, "x-other", STRMATCH_EXACT, i % 2 ? "odd" : "even");
        snprintf(text, sizeof(text), "b%d", i);
        sample_query(&f.s, m, "id", STRMATCH_EXACT, text);
    }
    sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/l");
    opened(&f);
    assert_int_equal(f.snap->n[SNAP_LISTS], 2);
    assert_int_equal(ask(&f, "GET", "h", "/l", "x-tenant: t150"), 150);
    assert_int_equal(ask(&f, "GET", "h", "/l?id=q+7", ""), 207);
    assert_int_equal(ask(&f, "GET", "h", "/l?id=q%207", "x-tenant: t3"), 3);
    assert_int_equal(ask(&f, "GET", "h", "/l?id=b6", "x-other: even"), 406);
    assert_int_equal(ask(&f, "GET", "h", "/l?id=b6", "x-other: odd"), 600);
    assert_int_equal(ask(&f, "GET", "h", "/l", "x-tenant: t200"), 600);
    closed(&f);
}

static void a_host_without_a_match_falls_back(void **state)
{
    struct fixture f;
    struct sample_request r;
    struct route_hit hit;
    (void)state;
    sample_init(&f.s);
    struct model_host *any = sample_host(&f.s, "*");
    struct model_host *wild = sample_host(&f.s, "*.example.com");
    struct model_host *one = sample_host(&f.s, "a.example.com");
    one->fallback = wild;
    wild->fallback = any;
    sample_entry(&f.s, any, PATH_EXACT, "/any");
    sample_entry(&f.s, wild, PATH_EXACT, "/wild");
    sample_entry(&f.s, one, PATH_EXACT, "/one");
    opened(&f);
    static const struct { const char *path, *host; } rows[] = {
        {"/one", "a.example.com"}, {"/wild", "*.example.com"}, {"/any", "*"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sample_ask(&r, "GET", "a.example.com", rows[i].path, "");
        assert_int_equal(route_find(f.snap, &f.snap->BINDS[0], &r.q, &hit), REASON_OK);
        assert_string_equal(snap_text(f.snap, hit.host->name).p, rows[i].host);
    }
    assert_int_equal(ask(&f, "GET", "a.example.com", "/none", ""), -1);
    closed(&f);
}

static void the_matched_prefix_is_told(void **state)
{
    struct fixture f;
    struct sample_request r;
    struct route_hit hit;
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    sample_entry(&f.s, h, PATH_PREFIX_ELEMENT, "/foo");
    sample_entry(&f.s, h, PATH_EXACT, "/bar");
    opened(&f);
    sample_ask(&r, "GET", "h", "/foo/x", "");
    route_find(f.snap, &f.snap->BINDS[0], &r.q, &hit);
    assert_int_equal(hit.prefix_len, 4);
    sample_ask(&r, "GET", "h", "/bar", "");
    route_find(f.snap, &f.snap->BINDS[0], &r.q, &hit);
    assert_int_equal(hit.prefix_len, 0);
    closed(&f);
}

/* Nested prefixes deeper than any stack, and a label longer than a node holds. */
static void deep_and_long_prefixes_are_found(void **state)
{
    struct fixture f;
    struct buf path = {0};
    (void)state;
    sample_init(&f.s);
    struct model_host *h = sample_host(&f.s, "*");
    for (int i = 0; i < 2000; i++) {
        buf_addc(&path, "/a");
        sample_entry(&f.s, h, PATH_PREFIX_STRING, buf_cstr(&path));
    }
    for (int i = 0; i < 100000; i++)
        buf_addch(&path, 'z');
    sample_entry(&f.s, h, PATH_PREFIX_STRING, buf_cstr(&path));
    for (uint32_t i = 0; i < h->entries.n; i++)
        h->entries.v[i].rank = (uint32_t)h->entries.n - 1 - i;
    for (size_t i = 0; i < h->entries.n / 2; i++) {
        struct model_entry e = h->entries.v[i];
        h->entries.v[i] = h->entries.v[h->entries.n - 1 - i];
        h->entries.v[h->entries.n - 1 - i] = e;
    }
    opened(&f);
    assert_int_equal(ask(&f, "GET", "h", buf_cstr(&path), ""), 0);
    path.n -= 1;
    assert_int_equal(ask(&f, "GET", "h", buf_cstr(&path), ""), 1);
    assert_int_equal(ask(&f, "GET", "h", "/a/a/b", ""), 1999);
    closed(&f);
    buf_fini(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_exact_or_the_longest_wildcard_or_the_default),
        cmocka_unit_test(a_chain_is_exact_or_the_longest_wildcard_or_the_default),
        cmocka_unit_test(without_a_default_unknown_hosts_have_none),
        cmocka_unit_test(names_with_more_labels_than_bits_are_found),
        cmocka_unit_test(the_lowest_rank_that_matches_wins),
        cmocka_unit_test(element_prefixes_end_at_a_slash_and_string_prefixes_anywhere),
        cmocka_unit_test(paths_without_case_are_folded),
        cmocka_unit_test(regexes_are_tried_where_their_beginning_fits),
        cmocka_unit_test(headers_compare_as_their_type_says),
        cmocka_unit_test(an_inverted_header_counts_as_empty_when_absent),
        cmocka_unit_test(parameters_are_compared_decoded_or_raw_and_the_first_counts),
        cmocka_unit_test(method_scheme_and_authority_are_conditions),
        cmocka_unit_test(long_lists_are_found_by_value),
        cmocka_unit_test(a_host_without_a_match_falls_back),
        cmocka_unit_test(the_matched_prefix_is_told),
        cmocka_unit_test(deep_and_long_prefixes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
