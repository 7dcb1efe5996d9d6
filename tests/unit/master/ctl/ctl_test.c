/*
 * ctl_test.c - the command line against a real admin process with the quick start's objects; this test is the
 * master. Also the small parts: tables, YAML out, samples.
 */
#include "master/build.h"
#include "master/ctl/samples.h"
#include "master/ctl/table.h"
#include "master/ctl/yaml_out.h"
#include "master/yaml/parse.h"
#include "tests/unit/worker/child.h"

struct fixture {
    struct child c;
    struct build b;
    char top[512];
};

static void begin(struct fixture *f, const char *extra)
{
    memset(f, 0, sizeof(*f));
    const char *src = getenv("top_srcdir");
    snprintf(f->top, sizeof(f->top), "%s/etc/examples/quickstart", src ? src : TOP_SRCDIR);
    const char *paths[2] = {f->top, extra};
    struct build_input in = {.paths = paths, .n_paths = extra ? 2 : 1, .generation = 7};
    assert_int_equal(build_run(&f->b, &in), 0);
    child_start(&f->c, ROLE_ADMIN, "version=9.9\n");
    child_listener(&f->c, IPC_BIND_ADMIN_UNIX, true);
    child_offer(&f->c, buf_str(&f->b.snapshot), 7, buf_cstr(&f->b.status), true);
    child_expect_state(&f->c, PROC_SPARE);
    assert_int_equal(child_expect(&f->c, IPC_ACK)->u.as_ACK.result, 0);
    child_expect(&f->c, IPC_ACTIVE);
    child_promote(&f->c);
    struct board_head *h = board_head(f->c.board);
    atomic_store(&h->generation, 7);
    atomic_store(&h->workers_wanted, 1);
    atomic_store(&h->started_wall_us, clock_wall_us() - 5000000);
    struct board_proc *p = board_proc(f->c.board, 0);
    atomic_store(&p->role, ROLE_WORKER);
    atomic_store(&p->pid, 4242);
    atomic_store(&p->started_ns, clock_ns());
    atomic_store(&p->generation, 7);
    atomic_store(&p->state, PROC_ACTIVE);
}

static void end(struct fixture *f)
{
    child_end(&f->c);
    build_free(&f->b);
}

static FILE *start(struct fixture *f, const char *args)
{
    char command[1024];
    snprintf(command, sizeof(command), "./gatehouse %s --run-dir %s 2>&1", args, f->c.dir);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    return p;
}

static struct buf finish(FILE *p, int status)
{
    struct buf out = {0};
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), p)) > 0)
        buf_add(&out, chunk, n);
    int rc = pclose(p);
    if (!WIFEXITED(rc) || WEXITSTATUS(rc) != status)
        fail_msg("exit status %d instead of %d: %s", WEXITSTATUS(rc), status, buf_cstr(&out));
    return out;
}

/* Runs a command to its end; every one of the texts must be in what it says. */
static void says(struct fixture *f, const char *args, int status, const char *const *texts)
{
    struct buf out = finish(start(f, args), status);
    for (; *texts; texts++)
        if (!strstr(buf_cstr(&out), *texts))
            fail_msg("%s: \"%s\" is not in:\n%s", args, *texts, buf_cstr(&out));
    buf_fini(&out);
}
#define SAYS(f, args, status, ...) says(f, args, status, (const char *const[]){__VA_ARGS__, NULL})

static void get_shows_what_kubectl_would(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    SAYS(&f, "get httproutes", 0, "NAME", "HOSTNAMES", "STATUS", "canary.localhost", "Accepted");
    SAYS(&f, "get gtw -A", 0, "NAMESPACE", "default", "edge", "gatehouse", "8080");
    SAYS(&f, "get gtw edge -o wide", 0, "FILE", "gateway.yaml:");
    SAYS(&f, "get gateway/edge -o yaml", 0, "kind: Gateway\n", "  name: edge\n", "  gatewayClassName: gatehouse\n", "status:\n");
    SAYS(&f, "get gateway edge -o json", 0, "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"Gateway\"");
    SAYS(&f, "get all -o name", 0, "Gateway/edge\n", "VirtualService/istio-hello\n");
    SAYS(&f, "get vs,se", 0, "istio-hello");
    SAYS(&f, "get all", 0, "HTTPRoute/", "Gateway/edge");
    SAYS(&f, "get gateways nosuch", 1, "no such object \"nosuch\" in namespace default");
    SAYS(&f, "get gateways -n other", 0, "No objects found in namespace other.");
    SAYS(&f, "get gateways -l nolabel=1", 0, "No objects found");
    SAYS(&f, "get gateways -l '!nolabel,a!=b'", 0, "edge");
    SAYS(&f, "get gatway", 2, "there is no kind \"gatway\"");
    SAYS(&f, "get gtw -o fancy", 2, "-o takes");
    SAYS(&f, "describe gtw edge", 0, "Name:        edge", "gateway.yaml:3\n", "Conditions (listener http):", "Conditions", "Findings: none");
    end(&f);
}

static void status_and_workers_tell_how_it_is(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    SAYS(&f, "status", 0, "gatehouse 9.9 is serving, generation 7, up", "1 of 1 active", "Listening    *:8080", "0 rejected");
    SAYS(&f, "status -o json", 0, "{\"generation\":7,\"change\":", "\"diagnostics\":");
    SAYS(&f, "workers", 0, "ROLE", "worker     0", " 4242   active            7");
    SAYS(&f, "workers -o json", 0, "[{\"role\":\"worker\",\"row\":0,\"pid\":4242,");
    SAYS(&f, "version", 0, "running: 9.9");
    atomic_store(&board_head(f.c.board)->draining, 1);
    SAYS(&f, "status", 1, "is draining");
    end(&f);
}

static void top_shows_rates_between_two_looks(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    SAYS(&f, "top --once -i 0.1", 0, "LISTENER", "ROUTE", "CLUSTER", "REQ/S", "P99");
    SAYS(&f, "top --once -i 0.1 -o json", 0, "{\"interval_ms\":1", "\"routes\":[{\"name\":", "\"p50_ms\":null");
    SAYS(&f, "top -i x", 2, "usage:");
    end(&f);
}

static void reload_waits_for_the_master(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    static const struct { int32_t result; const char *args, *reply, *said; int status; } cases[] = {
        {0, "reload", "{\"generation\":8,\"errors\":0,\"warnings\":1,\"objects\":9,\"message\":\"\"}",
         "generation 8 is programmed: 9 objects, 0 errors, 1 warnings\n", 0},
        {GH_E_EXISTS, "reload -q", "{\"generation\":8,\"errors\":0}", "", 0},
        {0, "reload --strict", "{\"generation\":8,\"errors\":2}", "generation 8", 1},
        {GH_E_REFUSED, "reload", "{\"message\":\"worker 1: out of memory\"}", "gatehouse reload: worker 1: out of", 1},
        {GH_E_CLOSED, "reload", "{\"error\":\"stopping\"}", "gatehouse reload: stopping", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FILE *p = start(&f, cases[i].args);
        struct ipc_request r = child_expect(&f.c, IPC_REQUEST)->u.as_REQUEST;
        assert_int_equal(r.verb, IPC_VERB_RELOAD);
        struct ipc_msg m = {.type = IPC_REPLY, .u.as_REPLY = {.id = r.id, .result = cases[i].result}};
        m.text_n = strlen(cases[i].reply);
        memcpy(m.text, cases[i].reply, m.text_n);
        child_send(&f.c, &m);
        struct buf out = finish(p, cases[i].status);
        if (!str_starts(buf_str(&out), str_c(cases[i].said)))
            fail_msg("%s: %s", cases[i].args, buf_cstr(&out));
        buf_fini(&out);
    }
    end(&f);
}

static void drain_waits_until_nobody_answers(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    FILE *p = start(&f, "drain");
    struct ipc_request r = child_expect(&f.c, IPC_REQUEST)->u.as_REQUEST;
    assert_int_equal(r.verb, IPC_VERB_DRAIN);
    child_send(&f.c, &(struct ipc_msg){.type = IPC_REPLY, .u.as_REPLY = {.id = r.id}, .text = "{}", .text_n = 2});
    child_drain(&f.c);
    struct buf out = finish(p, 0);
    assert_string_equal(buf_cstr(&out), "stopped\n");
    buf_fini(&out);
    end(&f);
}

static void without_a_master_it_says_what_to_do(void **state)
{
    (void)state;
    static const char *const verbs[] = {"status", "workers", "get gtw", "describe gtw x", "top --once", "reload", "drain"};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        char command[256];
        snprintf(command, sizeof(command), "./gatehouse %s --run-dir /nowhere/at/all 2>&1", verbs[i]);
        struct buf out = finish(popen(command, "r"), 1);
        assert_non_null(strstr(buf_cstr(&out), "/nowhere/at/all"));
        assert_non_null(strstr(buf_cstr(&out), "gatehouse serve"));
        buf_fini(&out);
    }
}

/* ---- the small parts ---- */

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    (void)state;
    struct arena a;
    struct table t;
    struct buf out = {0};
    arena_init(&a, 0, NULL);
    table_init(&t, &a);
    table_column(&t, "NAME", false);
    table_column(&t, "N", true);
    table_column(&t, "WHERE", false);
    table_cell(&t, STR("é"));
    table_cellf(&t, "%d", 100);
    table_cell(&t, STR("here"));
    table_cell(&t, STR("longer"));
    table_cell(&t, STR_NONE);
    table_cell(&t, STR("\x1b[2J"));
    table_write(&t, true, &out);
    assert_string_equal(buf_cstr(&out), "NAME       N   WHERE\né        100   here\nlonger     -   ?[2J\n");
    buf_fini(&out);
    arena_fini(&a);
}

static const struct node *parse(struct arena *a, struct str text)
{
    struct source *src = arena_new(a, struct source);
    struct diags ds;
    diags_init(&ds, a);
    *src = (struct source){.path = STR("t"), .text = text};
    const struct node *n = yaml_parse_document(a, src, text, 1, &YAML_LIMITS_DEFAULT, &ds);
    assert_int_equal(ds.n_errors, 0);
    return n;
}

static void yaml_that_is_written_reads_back_as_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"a\":1,\"b\":[1,\"2\",true,\"true\",null,\"null\",1.5],\"c\":{},\"d\":[],\"e\":[[1,[2]],{\"x\":{\"y\":[{}]}}]}",
        "[\"\",\" a\",\"a \",\"a: b\",\"a:b\",\"#x\",\"a #b\",\"- x\",\"*\",\"&x\",\"!x\",\"a\\nb\\n\",\"0x1f\",\"1e3\",\"~\",\"=\",\"a=\"]",
        "{\"no\":\"yes\",\"a b\":1,\"\":2,\"a:\":3,\"k.io/x\":\"v\",\"n\":\"2026-01-01\",\"*.example.com\":\"%PROTOCOL%\",\"é\":\"ü\"}",
        "{\"q\":\"say \\\"x\\\" \\\\ done\",\"t\":\"\\t\",\"@\":\"`\",\"{\":\"[\"}", "1", "\"x\"", "{}", "[]",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct arena a;
        struct buf yaml = {0}, json = {0};
        arena_init(&a, 0, NULL);
        yaml_out(parse(&a, str_c(texts[i])), 0, &yaml);
        node_json(parse(&a, buf_str(&yaml)), &json, NULL);
        assert_string_equal(buf_cstr(&json), texts[i]);
        buf_fini(&yaml);
        buf_fini(&json);
        arena_fini(&a);
    }
}

static void samples_are_read_with_their_labels(void **state)
{
    (void)state;
    struct arena a;
    struct sample_line s;
    struct str rest = STR("# HELP x y\nx 1\nbad\ny{a=\"1\",b=\"}\\\"\\\\\\n,c=\\\"\"} 2.5e1\nz{a=\"open} 3\nw{} +Inf\nv 1 2 3\n");
    arena_init(&a, 0, NULL);
    assert_true(samples_next(&rest, &s));
    assert_true(str_eqc(s.name, "x") && s.value == 1);
    assert_true(samples_next(&rest, &s));
    assert_true(str_eqc(s.name, "y") && s.value == 25);
    assert_true(str_eqc(sample_label(&a, &s, "a"), "1"));
    assert_true(str_eqc(sample_label(&a, &s, "b"), "}\"\\\n,c=\""));
    assert_null(sample_label(&a, &s, "c").p);
    assert_true(samples_next(&rest, &s));
    assert_true(str_eqc(s.name, "w"));
    assert_false(samples_next(&rest, &s));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(yaml_that_is_written_reads_back_as_the_same),
        cmocka_unit_test(samples_are_read_with_their_labels),
        cmocka_unit_test(get_shows_what_kubectl_would),
        cmocka_unit_test(status_and_workers_tell_how_it_is),
        cmocka_unit_test(top_shows_rates_between_two_looks),
        cmocka_unit_test(reload_waits_for_the_master),
        cmocka_unit_test(drain_waits_until_nobody_answers),
        cmocka_unit_test(without_a_master_it_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
