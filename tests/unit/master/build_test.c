/* From files to images: what a generation carries over to the next, and what never leaves the compiler. */
#include "master/build.h"
#include "shared/base/err.h"
#include "shared/snap/snap.h"
#include "shared/tls/keys.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static const char WEB[] = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n"
                          "  gatewayClassName: gatehouse\n  listeners: [{name: http, port: 8080, protocol: HTTP}]\n---\n"
                          "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\nspec:\n"
                          "  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{name: web, port: 80}]}]\n---\n"
                          "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\n"
                          "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
                          "metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\n"
                          "ports: [{port: 9000}]\nendpoints: [{addresses: [10.1.2.3]}]\n";

struct world {
    char dir[64], file[96], instance[96];
    struct buf state;
    uint64_t generation;
};

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void begin(struct world *w)
{
    *w = (struct world){.dir = "/tmp/gatehouse-build-XXXXXX"};
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->file, sizeof(w->file), "%s/a.yaml", w->dir);
    snprintf(w->instance, sizeof(w->instance), "%s/gatehouse.conf", w->dir);
    put(w->file, WEB);
}

static void end(struct world *w)
{
    unlink(w->file);
    unlink(w->instance);
    rmdir(w->dir);
    buf_fini(&w->state);
}

/* The next generation; its state is kept for the one after it. */
static int build(struct world *w, struct build *b)
{
    const char *paths[] = {w->dir};
    struct build_input in = {.paths = paths, .n_paths = 1, .instance_file = w->instance, .generation = ++w->generation,
                             .prev_state = buf_str(&w->state)};
    int rc = build_run(b, &in);
    if (rc == 0) {
        struct buf next = {0};
        buf_adds(&next, buf_str(&b->state_out));
        b->why = w->state; /* the old image: the build's slices point into it */
        w->state = next;
    }
    return rc;
}

static struct str status(struct build *b)
{
    return buf_str(&b->status);
}

static void files_become_an_image_and_its_places_stay(void **state)
{
    struct world w;
    struct build one, two;
    struct snap *a, *b;
    (void)state;
    begin(&w);
    assert_int_equal(build(&w, &one), 0);
    assert_int_equal(one.diags.n_errors, 0);
    assert_int_equal(snap_open_bytes(&a, buf_str(&one.snapshot), NULL), 0);
    assert_int_equal(a->n[SNAP_RULES], 1);
    assert_int_equal(a->n[SNAP_SERIES], 3); /* listener, rule, cluster */
    assert_int_not_equal(a->RULES[0].slot, 0);
    assert_int_not_equal(a->ENDPOINTS[0].board_slot, 0);
    assert_true(build(&w, &two) == 0 && build_content_hash(&one) == build_content_hash(&two));
    assert_int_equal(snap_open_bytes(&b, buf_str(&two.snapshot), NULL), 0);
    assert_int_equal(a->RULES[0].slot, b->RULES[0].slot);
    assert_int_equal(b->head->generation, 2);
    assert_true(str_find(status(&two), STR("\"what\":\"rule\"")) > 0);
    assert_true(str_find(status(&two), STR("\"verdict\":\"accepted\"")) > 0);
    snap_drop(a);
    snap_drop(b);
    build_free(&one);
    build_free(&two);
    end(&w);
}

static void a_change_changes_the_content_hash(void **state)
{
    struct world w;
    struct build one, two;
    (void)state;
    begin(&w);
    assert_int_equal(build(&w, &one), 0);
    struct buf text = {0};
    buf_addc(&text, WEB);
    memcpy(strstr(buf_cstr(&text), "9000"), "9001", 4);
    put(w.file, buf_cstr(&text));
    assert_int_equal(build(&w, &two), 0);
    assert_true(build_content_hash(&one) != build_content_hash(&two));
    build_free(&one);
    build_free(&two);
    buf_fini(&text);
    end(&w);
}

static void a_broken_instance_file_leaves_the_last_good_settings(void **state)
{
    struct world w;
    struct build b;
    (void)state;
    begin(&w);
    put(w.instance, "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nspec: {http: {wrong: yes}}\n");
    assert_int_equal(build(&w, &b), GH_E_REFUSED);
    assert_true(b.diags.n_errors > 0 && b.why.n > 0 && b.snapshot.n == 0);
    build_free(&b);
    put(w.instance, "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nspec: {http: {via: true}}\n");
    assert_int_equal(build(&w, &b), 0);
    assert_int_equal(b.instance.settings.via, 1);
    build_free(&b);
    for (int i = 0; i < 2; i++) { /* the last good version survives broken generations */
        put(w.instance, "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nspec: {http: {wrong: yes}}\n");
        assert_int_equal(build(&w, &b), 0);
        assert_int_equal(b.instance.settings.via, 1);
        assert_true(b.diags.n_errors > 0);
        build_free(&b);
    }
    unlink(w.instance); /* no file: defaults */
    assert_int_equal(build(&w, &b), 0);
    assert_int_equal(b.instance.settings.via, 0);
    build_free(&b);
    end(&w);
}

static void key_material_is_in_no_image_that_leaves(void **state)
{
    struct world w;
    struct build b;
    (void)state;
    begin(&w);
    put(w.file, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  annotations:\n"
                "    kubectl.kubernetes.io/last-applied-configuration: '{\"data\":{\"k\":\"c2VjcmV0LXZhbHVl\"}}'\n"
                "    note: kept\ntype: Opaque\ndata: {k: c2VjcmV0LXZhbHVl}\nstringData: {t: secret-value}\n");
    assert_int_equal(build(&w, &b), 0);
    assert_true(str_find(status(&b), STR("\"note\":\"kept\"")) > 0);
    assert_true(str_find(status(&b), STR("\"k\":\"(hidden, 12 bytes)\"")) > 0);
    assert_true(str_find(status(&b), STR("c2VjcmV0LXZhbHVl")) < 0);
    assert_true(str_find(status(&b), STR("secret-value")) < 0);
    assert_true(str_find(buf_str(&b.snapshot), STR("secret-value")) < 0);
    build_free(&b);
    end(&w);
}

/* ---- certificates in files outside ---- */

static const char BY_PATH[] = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n"
                              "  selector: {istio: ingressgateway}\n  servers:\n"
                              "  - port: {number: 8443, name: https, protocol: HTTPS}\n    hosts: [\"*\"]\n"
                              "    tls: {mode: SIMPLE, serverCertificate: /OUT/tls.crt, privateKey: /OUT/tls.key}\n";

/* Copies a test certificate or key over DIR.out/NAME; NULL removes it. */
static void put_outside(struct world *w, const char *name, const char *from)
{
    char command[400];
    const char *top = getenv("srcdir");
    if (from)
        snprintf(command, sizeof(command), "mkdir -p %s.out && cp %s/tests/certs/%s %s.out/%s", w->dir, top ? top : ".", from,
                 w->dir, name);
    else
        snprintf(command, sizeof(command), "rm -f %s.out/%s", w->dir, name);
    assert_int_equal(system(command), 0);
}

/* Builds and says which certificate is served, "refused" when none is; the finding about it must hold `word`. */
static const char *served(struct world *w, const char *word, char subject[128])
{
    struct build b;
    struct snap *s;
    struct keys *k = NULL;
    const char *paths[] = {w->dir};
    struct build_input in = {.paths = paths, .n_paths = 1, .generation = ++w->generation, .prev_state = buf_str(&w->state),
                             .want_keys = true};
    assert_int_equal(build_run(&b, &in), 0);
    assert_int_equal(snap_open_bytes(&s, buf_str(&b.snapshot), NULL), 0);
    assert_int_equal(keys_open_bytes(&k, buf_str(&b.keys), NULL), 0);
    assert_int_equal(s->n[SNAP_CHAINS], 1);
    if (s->CHAINS[0].mode == CHAIN_HTTP) {
        const struct snap_cert *c = &s->CERTS[s->INDEXES[s->TLS_SERVERS[s->CHAINS[0].tls].certs.first]];
        assert_non_null(keys_find(k, c->id).p);
        snprintf(subject, 128, "%s", snap_name(s, c->subject).p);
    } else {
        snprintf(subject, 128, "refused");
    }
    assert_int_equal(b.outside.files.n, 2);
    bool found = !word;
    for (size_t i = 0; i < b.diags.n && !found; i++)
        found = str_find(b.diags.v[i].message, str_c(word)) >= 0 || str_find(b.diags.v[i].hint, str_c(word)) >= 0;
    if (!found)
        fail_msg("no finding says %s", word);
    assert_int_equal(str_find(buf_str(&b.snapshot), STR("PRIVATE KEY")), -1);
    assert_int_equal(str_find(status(&b), STR("PRIVATE KEY")), -1);
    snap_drop(s);
    keys_close(k);
    buf_clear(&w->state);
    buf_adds(&w->state, buf_str(&b.state_out));
    build_free(&b);
    return subject;
}

static void a_file_outside_keeps_its_last_good_version(void **state)
{
    struct world w;
    struct buf yaml = {0};
    char subject[128];
    (void)state;
    begin(&w);
    struct str rest = str_c(BY_PATH);
    for (ptrdiff_t at; (at = str_find(rest, STR("/OUT"))) >= 0; rest = str_skip(rest, (size_t)at + 4))
        buf_addf(&yaml, "%.*s%s.out", (int)at, rest.p, w.dir);
    buf_adds(&yaml, rest);
    put(w.file, buf_cstr(&yaml));
    assert_string_equal(served(&w, "there is no such file", subject), "refused"); /* nothing is known yet */
    put_outside(&w, "tls.crt", "ecdsa.pem");
    put_outside(&w, "tls.key", "ecdsa.key.pem");
    assert_string_equal(served(&w, NULL, subject), "CN=a.example.com");
    put_outside(&w, "tls.crt", "wild.pem"); /* half of the new pair */
    assert_string_equal(served(&w, "the version before keeps serving", subject), "CN=a.example.com");
    assert_string_equal(served(&w, "the version before keeps serving", subject), "CN=a.example.com");
    put_outside(&w, "tls.key", "wild.key.pem");
    char renewed[128];
    served(&w, NULL, renewed);
    assert_string_not_equal(renewed, "CN=a.example.com");
    put_outside(&w, "tls.key", NULL);
    assert_string_equal(served(&w, "there is no such file", subject), renewed);
    put_outside(&w, "tls.key", "ca.pem"); /* rubbish */
    assert_string_equal(served(&w, "the version before keeps serving", subject), renewed);
    put_outside(&w, "tls.key", NULL);
    put_outside(&w, "tls.crt", NULL);
    char command[100];
    snprintf(command, sizeof(command), "rmdir %s.out", w.dir);
    assert_int_equal(system(command), 0);
    buf_fini(&yaml);
    end(&w);
}

static void a_damaged_state_is_said_and_not_fatal(void **state)
{
    struct world w;
    struct build b;
    (void)state;
    begin(&w);
    buf_addc(&w.state, "GHSTATE1 no such thing");
    assert_int_equal(build(&w, &b), 0);
    assert_int_equal(b.diags.n_warnings, 1);
    build_free(&b);
    end(&w);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The lines in order of their text: the image orders hosts, and leaves binds out that failed. */
static struct buf sorted(const struct buf *text)
{
    struct buf out = {0};
    struct str rest = buf_str(text), line, *v = calloc(text->n + 1, sizeof(*v));
    size_t n = 0;
    while (str_split(&rest, '\n', &line))
        v[n++] = line;
    qsort(v, n, sizeof(*v), by_text);
    for (size_t i = 0; i < n; i++) {
        buf_adds(&out, v[i]);
        buf_addch(&out, '\n');
    }
    free(v);
    return out;
}

static void check_example(const char *dir)
{
    struct build b;
    struct snap *s;
    struct buf model = {0}, image = {0};
    struct build_input in = {.paths = &dir, .n_paths = 1, .generation = 1};
    assert_int_equal(build_run(&b, &in), 0);
    assert_int_equal(snap_open_bytes(&s, buf_str(&b.snapshot), NULL), 0);
    model_dump(&b.model, &model);
    snap_dump_model(s, &image);
    struct buf x = sorted(&model), y = sorted(&image);
    assert_string_equal(buf_cstr(&x), buf_cstr(&y));
    buf_fini(&x);
    buf_fini(&y);
    buf_fini(&model);
    buf_fini(&image);
    snap_drop(s);
    build_free(&b);
}

static void every_example_survives_the_way_into_the_image(void **state)
{
    char path[512];
    const char *top = getenv("srcdir");
    size_t n = 0;
    (void)state;
    snprintf(path, sizeof(path), "%s/etc/examples", top ? top : ".");
    DIR *d = opendir(path);
    if (!d)
        skip();
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.' || e->d_type != DT_DIR)
            continue;
        snprintf(path, sizeof(path), "%s/etc/examples/%.200s", top ? top : ".", e->d_name);
        check_example(path);
        n++;
    }
    closedir(d);
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_become_an_image_and_its_places_stay),
        cmocka_unit_test(a_change_changes_the_content_hash),
        cmocka_unit_test(a_broken_instance_file_leaves_the_last_good_settings),
        cmocka_unit_test(key_material_is_in_no_image_that_leaves),
        cmocka_unit_test(a_file_outside_keeps_its_last_good_version),
        cmocka_unit_test(a_damaged_state_is_said_and_not_fatal),
        cmocka_unit_test(every_example_survives_the_way_into_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
