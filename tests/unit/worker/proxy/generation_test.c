/* A generation is taken only with the private key of every certificate that it may have to show. */
#include "shared/base/err.h"
#include "shared/tls/keys.h"
#include "tests/unit/master/compile/sample.h"
#include "worker/proxy/generation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    struct sample s;
    struct snap *snap;
    struct upstream upstream;
    struct buf why;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    sample_init(&f->s);
    sample_streams(&f->s);
    f->snap = sample_open(&f->s); /* generation 7 */
    *state = f;
    return f && generation_attach(f->snap, &f->upstream) ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    snap_drop(f->snap);
    buf_fini(&f->why);
    sample_fini(&f->s);
    free(f);
    return 0;
}

/* The image of keys of a model, as the compiler makes it. */
static int image(struct sample *s, uint64_t generation)
{
    struct buf b = {0};
    assert_int_equal(compile_keys(&s->m, generation, &b), 0);
    int fd = image_seal("keys", buf_str(&b));
    keys_wipe(&b);
    buf_fini(&b);
    assert_true(fd >= 0);
    return fd;
}

static void keys_go_with_their_generation(void **state)
{
    struct fixture *f = *state;
    int fd = image(&f->s, 7);
    assert_int_equal(generation_take_keys(generation_of(f->snap), fd, &f->why), 0);
    close(fd);
    const struct model_cert *c = f->s.m.certs.v[0];
    assert_true(str_eq(keys_find(generation_of(f->snap)->keys, f->snap->CERTS[0].id), c->private_key));
}

static void without_a_key_it_is_refused_and_the_certificate_is_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(generation_take_keys(generation_of(f->snap), -1, &f->why), GH_E_NOT_FOUND);
    assert_string_equal(buf_cstr(&f->why), "the key of certificate CN=a.example.com is missing");
}

static void keys_of_a_cluster_s_certificate_count_too(void **state)
{
    struct fixture *f = *state;
    struct sample other;
    sample_init(&other);
    sample_streams(&other);
    sample_cert(&other, "client");
    other.m.clusters.v[0]->tls = model_tls_client_add(&other.m);
    other.m.clusters.v[0]->tls->cert = other.m.certs.v[2];
    other.m.clusters.v[0]->tls->insecure = true;
    int fd = image(&f->s, 7); /* without that key */
    struct snap *snap = sample_open(&other);
    assert_true(generation_attach(snap, &f->upstream));
    assert_int_equal(generation_take_keys(generation_of(snap), fd, &f->why), GH_E_NOT_FOUND);
    assert_non_null(strstr(buf_cstr(&f->why), "CN=client"));
    close(fd);
    snap_drop(snap);
    sample_fini(&other);
}

static void keys_of_another_generation_are_refused(void **state)
{
    struct fixture *f = *state;
    int fd = image(&f->s, 8);
    assert_int_equal(generation_take_keys(generation_of(f->snap), fd, &f->why), GH_E_VERSION);
    close(fd);
}

static void what_is_no_image_of_keys_is_refused(void **state)
{
    struct fixture *f = *state;
    int fd = image_seal("keys", buf_str(&f->s.image));
    assert_int_equal(generation_take_keys(generation_of(f->snap), fd, &f->why), GH_E_FORMAT);
    close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keys_go_with_their_generation),
        TEST(without_a_key_it_is_refused_and_the_certificate_is_named),
        TEST(keys_of_a_cluster_s_certificate_count_too),
        TEST(keys_of_another_generation_are_refused),
        TEST(what_is_no_image_of_keys_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
