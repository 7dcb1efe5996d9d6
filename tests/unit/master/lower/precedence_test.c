/*
 * The ordering rules of both APIs, one table row per rule: of two matches the first must win, whichever was
 * pushed first. And what lies around them: mixed hosts, ranks, hidden matches, isolation, fall-backs.
 */
#include "master/lower/lower.h"
#include "master/yaml/parse.h"
#include "shared/http/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- a world with one bind, one listener and objects made by hand ---------------------------- */

struct world {
    struct arena arena;
    struct diags diags;
    struct store store;
    struct model model;
    struct lower l;
    struct model_bind *bind;
    struct model_listener *gateway, *istio;
    struct source source;
    const struct node *root;
};

static void world_init(struct world *w)
{
    struct yaml_documents docs = {0};
    *w = (struct world){.source = {.path = STR("t.yaml"), .text = STR("{}\n")}};
    arena_init(&w->arena, 0, NULL);
    diags_init(&w->diags, &w->arena);
    store_init(&w->store, &w->arena, &w->diags);
    model_init(&w->model, &w->arena);
    w->l = (struct lower){.arena = &w->arena, .store = &w->store, .model = &w->model, .diags = &w->diags};
    yaml_parse(&w->arena, &w->source, &YAML_LIMITS_DEFAULT, &w->diags, &docs);
    assert_int_equal(docs.n, 1);
    w->root = docs.v[0].root;
    w->bind = model_bind(&w->model, STR(""), 80);
    w->gateway = model_listener_add(w->bind, &w->arena, STR("Gateway/default/g/http"), STR("*"));
    w->istio = model_listener_add(w->bind, &w->arena, STR("IstioGateway/default/i/http"), STR("*"));
    lower_group_join(&w->l, w->gateway);
}

static void world_fini(struct world *w)
{
    arena_fini(&w->arena);
}

/* The same object for the same words. */
static const struct object *object(struct world *w, enum kind_id kind, const char *ns, const char *name, uint64_t second)
{
    for (size_t i = 0; i < w->l.candidates.n; i++) {
        const struct object *was = w->l.candidates.v[i].object;
        if (str_eqc(was->ns, ns) && str_eqc(was->name, name) && was->kind == kind_info(kind))
            return was;
    }
    struct object *o = arena_new(&w->arena, struct object);
    *o = (struct object){.kind = kind_info(kind), .ns = str_c(ns), .name = str_c(name), .created_us = second * 1000000,
                         .root = w->root, .source = &w->source};
    return o;
}

/* "exact /a GET h2 q1": words of a match; h and q say how many headers and parameters. */
static struct model_match *match(struct world *w, const char *text)
{
    struct model_match *m = arena_new(&w->arena, struct model_match);
    struct str rest = str_c(text), word;
    m->path = PATH_PREFIX_ELEMENT;
    while (str_split(&rest, ' ', &word)) {
        if (str_eqc(word, "exact"))
            m->path = PATH_EXACT;
        else if (str_eqc(word, "regex"))
            m->path = PATH_REGEX;
        else if (str_eqc(word, "string"))
            m->path = PATH_PREFIX_STRING;
        else if (str_eqc(word, "any"))
            m->path = PATH_ANY;
        else if (str_eqc(word, "GET"))
            m->method = (struct model_strmatch){.type = STRMATCH_EXACT, .value = word};
        else if (word.n == 2 && (word.p[0] == 'h' || word.p[0] == 'q'))
            for (int i = 0; i < word.p[1] - '0'; i++) {
                struct model_kv_match kv = {.name = arena_strf(&w->arena, "x%d", i), .m = {.type = STRMATCH_EXACT, .value = STR("v")}};
                if (word.p[0] == 'h')
                    *ARENA_PUSH(&w->arena, &m->headers) = kv;
                else
                    *ARENA_PUSH(&w->arena, &m->query) = kv;
            }
        else
            m->path_value = str_eqc(word, "/") && m->path == PATH_PREFIX_ELEMENT ? STR("") : word;
    }
    return m;
}

struct side {
    const char *match;
    const char *route_hostname; /* "" = none */
    const char *ns, *name;
    unsigned age; /* seconds; greater = younger */
    unsigned rule, index;
    bool is_private;
};

static void add(struct world *w, const struct side *s, bool gapi, const char *host)
{
    const struct object *o = object(w, gapi ? KIND_HTTP_ROUTE : KIND_VIRTUAL_SERVICE, s->ns ? s->ns : "default", s->name ? s->name : "r", s->age);
    struct model_rule *rule = model_rule_add(&w->model, arena_strf(&w->arena, "rule %zu", w->model.rules.n));
    rule->no_backend_status = 500;
    struct model_listener *ml = gapi ? w->gateway : w->istio;
    lower_candidate_add(&w->l, &(struct lower_candidate){.host = model_host(&w->model, w->bind, str_c(host), ml),
                                                         .match = match(w, s->match),
                                                         .rule = rule,
                                                         .object = o,
                                                         .listener = ml,
                                                         .gapi = gapi,
                                                         .istio_private = s->is_private,
                                                         .route_hostname = str_c(s->route_hostname),
                                                         .rule_index = s->rule,
                                                         .match_index = s->index});
}

static struct model_host *only_host(struct world *w)
{
    assert_int_equal(w->bind->hosts.n, 1);
    return w->bind->hosts.v[0];
}

/* `first` must have rank 0, in whatever order the two arrive. Routes of the Gateway API arrive in their order
 * (see number_objects), so only equal ages are turned round there. */
static void first_wins(const struct side *first, const struct side *second, bool gapi, bool any_order, const char *rule)
{
    for (int turn = 0; turn < (any_order ? 2 : 1); turn++) {
        struct world w;
        world_init(&w);
        add(&w, turn ? second : first, gapi, "a.example.com");
        add(&w, turn ? first : second, gapi, "a.example.com");
        lower_precedence(&w.l);
        lower_merge(&w.l);
        const struct model_host *h = only_host(&w);
        assert_int_equal(h->entries.n, 2);
        if (h->entries.v[0].rule != w.model.rules.v[turn])
            fail_msg("%s: \"%s\" must come before \"%s\"", rule, first->match, second->match);
        assert_null(model_check(&w.model));
        world_fini(&w);
    }
}

/* ---- Gateway API, section 6 ------------------------------------------------------------------ */

static void gateway_api_criteria_in_their_order(void **state)
{
    static const struct {
        const char *rule;
        struct side first, second;
    } ROWS[] = {
        {"1 non-wildcard hostname", {"/", "a.example.com"}, {"exact /long GET h9", "*.example.com"}},
        {"1 longer hostname", {"/", "*.example.com"}, {"exact /long GET", "*.com"}},
        {"1 any hostname before none", {"/", "*.com"}, {"exact /long", ""}},
        {"2 exact before prefix", {"exact /a", ""}, {"/a/much/longer GET h9 q9", ""}},
        {"2 exact before regex", {"exact /a", ""}, {"regex /a.*long", ""}},
        {"2 regex before prefix", {"regex /a", ""}, {"/a/much/longer", ""}},
        {"3 longer prefix", {"/ab", ""}, {"/a GET h9 q9", ""}},
        {"3 longer regex", {"regex /a.*b", ""}, {"regex /a.* GET", ""}},
        {"3 everything last", {"/a", ""}, {"/ GET h9 q9", ""}},
        {"4 method", {"/a GET", ""}, {"/a h9 q9", ""}},
        {"5 more headers", {"/a h2", ""}, {"/a h1 q9", ""}},
        {"5 with equal methods", {"/a GET h1", ""}, {"/a GET q9", ""}},
        {"6 more parameters", {"/a h1 q2", ""}, {"/a h1 q1", ""}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        first_wins(&ROWS[i].first, &ROWS[i].second, true, true, ROWS[i].rule);
}

static void ties_go_to_the_older_route_then_by_name_then_by_place(void **state)
{
    static const struct {
        const char *rule;
        struct side first, second;
    } ROWS[] = {
        {"7 older", {"/a", "", "z", "z", 1}, {"/a", "", "a", "a", 2}},
        {"8 namespace", {"/a", "", "a", "z", 1}, {"/a", "", "b", "a", 1}},
        {"8 name", {"/a", "", "a", "a", 1}, {"/a", "", "a", "b", 1}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        first_wins(&ROWS[i].first, &ROWS[i].second, true, false, ROWS[i].rule);
    /* 9: rules and matches of one route */
    struct world w;
    world_init(&w);
    const struct object *o = object(&w, KIND_HTTP_ROUTE, "default", "r", 1);
    for (unsigned i = 0; i < 4; i++) {
        struct model_rule *rule = model_rule_add(&w.model, arena_strf(&w.arena, "%u", i));
        rule->no_backend_status = 500;
        lower_candidate_add(&w.l, &(struct lower_candidate){.host = model_host(&w.model, w.bind, STR("*"), w.gateway),
                                                            .match = match(&w, "/a"), .rule = rule, .object = o, .gapi = true,
                                                            .rule_index = 1 - i / 2, .match_index = 1 - i % 2});
    }
    lower_precedence(&w.l);
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(only_host(&w)->entries.v[i].rule, w.model.rules.v[3 - i]);
    world_fini(&w);
}

/* ---- Istio, section 3.2 ---------------------------------------------------------------------- */

static void istio_keeps_the_order_of_lists_and_objects(void **state)
{
    static const struct {
        const char *rule;
        struct side first, second;
    } ROWS[] = {
        {"object order", {"string /a", "", "z", "z", 1}, {"exact /a GET h9", "", "a", "a", 2, .rule = 0}},
        {"object order: name before namespace", {"string /a", "", "z", "a", 1}, {"exact /a", "", "a", "b", 1}},
        {"list order", {"string /a", "", .rule = 0}, {"exact /a/b GET", "", .rule = 1}},
        {"match order", {"string /a", "", .rule = 1, .index = 0}, {"exact /a/b", "", .rule = 1, .index = 1}},
        {"catch-alls last", {"exact /x", "", "a", "b", 9}, {"any", "", "a", "a", 1}},
        {"catch-alls last: prefix /", {"exact /x", "", "a", "b", 9}, {"string /", "", "a", "a", 1}},
        {"catch-alls last: regex .*", {"exact /x", "", "a", "b", 9}, {"regex .*", "", "a", "a", 1}},
        {"no catch-all with a header", {"any h1", "", "a", "a", 1}, {"exact /x", "", "a", "b", 9}},
        {"no catch-all with a method", {"any GET", "", "a", "a", 1}, {"exact /x", "", "a", "b", 9}},
        {"the older of two catch-alls", {"any", "", "a", "z", 1}, {"string /", "", "a", "a", 2}},
        {"exported to few before public", {"exact /a", "", "a", "z", 9, .is_private = true}, {"exact /b", "", "a", "a", 1}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        first_wins(&ROWS[i].first, &ROWS[i].second, false, true, ROWS[i].rule);
}

/* ---- both ------------------------------------------------------------------------------------ */

static void on_a_mixed_host_the_api_of_the_oldest_object_comes_first(void **state)
{
    (void)state;
    for (int istio_first = 0; istio_first < 2; istio_first++) {
        struct world w;
        world_init(&w);
        add(&w, &(struct side){"exact /x", "", "a", "r1", 5}, true, "a.example.com");
        add(&w, &(struct side){"/", "", "a", "r2", 6}, true, "a.example.com");
        add(&w, &(struct side){"any", "", "a", "v1", istio_first ? 4 : 7}, false, "a.example.com");
        add(&w, &(struct side){"exact /y", "", "a", "v2", 9}, false, "a.example.com");
        lower_precedence(&w.l);
        lower_merge(&w.l);
        const struct model_host *h = only_host(&w);
        static const int GATEWAY_FIRST[] = {0, 1, 3, 2}, ISTIO_FIRST[] = {3, 2, 0, 1};
        for (int i = 0; i < 4; i++)
            assert_ptr_equal(h->entries.v[i].rule, w.model.rules.v[(istio_first ? ISTIO_FIRST : GATEWAY_FIRST)[i]]);
        assert_ptr_equal(h->listener, istio_first ? w.istio : w.gateway);
        size_t conflicts = 0;
        for (size_t i = 0; i < w.diags.n; i++)
            conflicts += w.diags.v[i].code == DIAG_Conflict;
        assert_int_equal(conflicts, 1);
        assert_null(model_check(&w.model));
        world_fini(&w);
    }
}

static void a_match_is_told_as_hidden_only_when_no_host_reaches_it(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    add(&w, &(struct side){"/a", "", "a", "older", 1}, true, "a.example.com");
    add(&w, &(struct side){"/a", "", "a", "younger", 2}, true, "a.example.com");
    lower_candidate_add(&w.l, &(struct lower_candidate){.host = model_host(&w.model, w.bind, STR("b.example.com"), w.gateway),
                                                        .match = w.l.candidates.v[1].match, .rule = w.l.candidates.v[1].rule,
                                                        .object = w.l.candidates.v[1].object, .gapi = true});
    lower_precedence(&w.l);
    assert_int_equal(w.diags.n, 0);
    world_fini(&w);

    world_init(&w);
    add(&w, &(struct side){"/a h1", "", "a", "older", 1}, true, "a.example.com");
    add(&w, &(struct side){"/a h1", "", "a", "younger", 2}, true, "a.example.com");
    add(&w, &(struct side){"/a h2", "", "a", "other", 3}, true, "a.example.com");
    lower_precedence(&w.l);
    assert_int_equal(w.diags.n, 1);
    assert_int_equal(w.diags.v[0].code, DIAG_Unreachable);
    world_fini(&w);
}

/* ---- isolation (5.1) and fall-backs ---------------------------------------------------------- */

static void a_host_belongs_to_the_most_specific_listener(void **state)
{
    static const struct {
        const char *host, *owner;
    } ROWS[] = {
        {"bar.com", "*"},          {"*.com", "*"},
        {"*", "*"},                {"example.com", "*"},
        {"a.example.com", "*.example.com"}, {"a.b.example.com", "*.example.com"},
        {"*.example.com", "*.example.com"}, {"foo.example.com", "*.example.com"},
        {"a.foo.example.com", "*.foo.example.com"}, {"*.foo.example.com", "*.foo.example.com"},
        {"*.x.foo.example.com", "*.foo.example.com"}, {"abc.foo.example.com", "abc.foo.example.com"},
        {"x.abc.foo.example.com", "*.foo.example.com"},
    };
    static const char *const LISTENERS[] = {"*.example.com", "*.foo.example.com", "abc.foo.example.com"};
    struct world w;
    (void)state;
    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(LISTENERS); i++)
        lower_group_join(&w.l, model_listener_add(w.bind, &w.arena, STR("x"), str_c(LISTENERS[i])));
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const struct model_listener *owner = lower_group_of(&w.l, w.bind, str_c(ROWS[i].host));
        if (!owner || !str_eqc(owner->hostname, ROWS[i].owner))
            fail_msg("%s belongs to %s", ROWS[i].host, ROWS[i].owner);
    }
    struct model_bind *other = model_bind(&w.model, STR(""), 81);
    assert_null(lower_group_of(&w.l, other, STR("a.example.com")));
    /* equal hostnames are one group, led by the first */
    struct model_listener *again = model_listener_add(w.bind, &w.arena, STR("y"), STR("*.example.com"));
    assert_ptr_not_equal(lower_group_join(&w.l, again), again);
    world_fini(&w);
}

static void hosts_fall_back_within_their_listener_only(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    struct model_listener *wild = model_listener_add(w.bind, &w.arena, STR("w"), STR("*.example.com"));
    lower_group_join(&w.l, wild);
    model_host(&w.model, w.bind, STR("*"), w.gateway);
    model_host(&w.model, w.bind, STR("*.com"), w.gateway);
    model_host(&w.model, w.bind, STR("x.y.com"), w.gateway);
    model_host(&w.model, w.bind, STR("*.example.com"), wild);
    model_host(&w.model, w.bind, STR("a.b.example.com"), wild);
    model_host(&w.model, w.bind, STR("*.b.example.com"), wild);
    model_host(&w.model, w.bind, STR("istio.com"), w.istio);
    model_host(&w.model, w.bind, STR("*.y.com"), w.istio); /* between x.y.com and *.com: passed over */
    lower_merge(&w.l);
    static const char *const ORDER[][2] = {
        {"x.y.com", "*.com"},         {"a.b.example.com", "*.b.example.com"}, {"istio.com", NULL}, {"*.b.example.com", "*.example.com"},
        {"*.example.com", NULL}, {"*.y.com", NULL},                       {"*.com", "*"},    {"*", NULL},
    };
    assert_int_equal(w.bind->hosts.n, ARRAY_LEN(ORDER));
    for (size_t i = 0; i < ARRAY_LEN(ORDER); i++) {
        const struct model_host *h = w.bind->hosts.v[i];
        if (!str_eqc(h->name, ORDER[i][0]) || !str_eqc(h->fallback ? h->fallback->name : STR_NONE, ORDER[i][1]))
            fail_msg("%zu: " STR_FMT " falls back to " STR_FMT, i, STR_ARG(h->name), STR_ARG(h->fallback ? h->fallback->name : STR("-")));
    }
    assert_null(model_check(&w.model));
    world_fini(&w);
}

/* Section 5, the rule itself: it lives in shared/http, and lowering depends on every row of it. */
static void hostnames_intersect_as_the_api_says(void **state)
{
    static const struct {
        const char *listener, *route, *both; /* NULL: none */
    } ROWS[] = {
        {"*", "a.com", "a.com"},
        {"a.com", "a.com", "a.com"},
        {"a.com", "b.com", NULL},
        {"*.a.com", "x.a.com", "x.a.com"},
        {"*.a.com", "x.y.a.com", "x.y.a.com"},
        {"*.a.com", "a.com", NULL},
        {"x.a.com", "*.a.com", "x.a.com"},
        {"*.a.com", "*.a.com", "*.a.com"},
        {"*.a.com", "*.com", "*.a.com"},
        {"*.com", "*.a.com", "*.a.com"},
        {"*.a.com", "*.b.com", NULL},
        {"very.specific.com", "*.specific.com", "very.specific.com"},
        {"*.xa.com", "*.a.com", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct str both;
        bool yes = http_host_intersect(str_c(ROWS[i].listener), str_c(ROWS[i].route), &both);
        if (yes != (ROWS[i].both != NULL) || (yes && !str_eqc(both, ROWS[i].both)))
            fail_msg("%s and %s", ROWS[i].listener, ROWS[i].route);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gateway_api_criteria_in_their_order),
        cmocka_unit_test(ties_go_to_the_older_route_then_by_name_then_by_place),
        cmocka_unit_test(istio_keeps_the_order_of_lists_and_objects),
        cmocka_unit_test(on_a_mixed_host_the_api_of_the_oldest_object_comes_first),
        cmocka_unit_test(a_match_is_told_as_hidden_only_when_no_host_reaches_it),
        cmocka_unit_test(a_host_belongs_to_the_most_specific_listener),
        cmocka_unit_test(hosts_fall_back_within_their_listener_only),
        cmocka_unit_test(hostnames_intersect_as_the_api_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
