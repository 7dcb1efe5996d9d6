#include "tests/unit/shared/base/base_test.h"
#include "shared/base/arena.h"
#include "shared/base/clock.h"
#include "shared/base/hash.h"
#include <stdio.h>

/* Identities and checksums on disk depend on these values: they may never change. */
static void values_are_stable(void **state)
{
    (void)state;
    char text[200];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 37 + 11);
    static const struct {
        size_t n;
        uint64_t seed, value;
    } rows[] = {
        {0, 0, 0x2b29f95f2a23738full},
        {1, 3, 0xedfaa3fd665e4014ull},
        {2, 6, 0x93a948c58a334cfeull},
        {3, 9, 0x769993a4cb52a0b7ull},
        {4, 12, 0x4dcbd7033170965eull},
        {7, 15, 0x7ecd20fd03ab2931ull},
        {8, 18, 0xc44804e9094549ccull},
        {12, 21, 0xd176dfa35562e869ull},
        {16, 24, 0x2f858d79ed0495cbull},
        {17, 27, 0x7566b87fbf23e6f1ull},
        {31, 30, 0x88f6a23412872017ull},
        {32, 33, 0xd52998501cea32cbull},
        {33, 36, 0x8f2e87f43fe45c9aull},
        {48, 39, 0x1d7ba0756c1777cdull},
        {49, 42, 0x0adfdb1a37f0924aull},
        {64, 45, 0x8d44a261801f81d5ull},
        {96, 48, 0xf3659da25a0411bbull},
        {97, 51, 0xa08ba64defc02024ull},
        {150, 54, 0x8bda80390974d999ull},
        {200, 57, 0xee6629b59d312147ull},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (hash_bytes(text, rows[i].n, rows[i].seed) != rows[i].value)
            fail_msg("{%zu, %llu, 0x%016llxull},", rows[i].n, (unsigned long long)rows[i].seed,
                     (unsigned long long)hash_bytes(text, rows[i].n, rows[i].seed));
    assert_true(hash_mix(1, 2) == 0x2a790437bb662acbull);
}

static void lowering_gives_the_hash_of_the_lower_text(void **state)
{
    (void)state;
    char text[256], low[256];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)(i * 101 + 7); /* every byte value */
        low[i] = ascii_lower(text[i]);
    }
    for (size_t n = 0; n <= 150; n++)
        for (size_t from = 0; from < 100; from++)
            assert_true(hash_str_lower(str_of(text + from, n), n) == hash_bytes(low + from, n, n));
}

/* Flipping any bit of any short key changes about half of the bits of the value. */
static void every_bit_matters(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 80; n++) {
        unsigned char key[80];
        unsigned least = 64;
        memset(key, 0x5a, sizeof(key));
        uint64_t base = hash_bytes(key, n, 1);
        for (size_t bit = 0; bit < n * 8; bit++) {
            key[bit / 8] ^= (unsigned char)(1u << bit % 8);
            unsigned changed = (unsigned)__builtin_popcountll(base ^ hash_bytes(key, n, 1));
            key[bit / 8] ^= (unsigned char)(1u << bit % 8);
            least = GH_MIN(least, changed);
        }
        assert_true(least >= 10);
        assert_true(hash_bytes(key, n, 2) != base);
        assert_true(hash_bytes(key, n - 1, 1) != base);
    }
}

/* Names that differ in a digit must spread over the low bits, which tables use. */
static void numbered_names_spread(void **state)
{
    (void)state;
    static unsigned buckets[4096];
    unsigned most = 0;
    for (int i = 0; i < 4096; i++) {
        char name[32];
        size_t n = (size_t)snprintf(name, sizeof(name), "host-%d.example.com", i);
        unsigned *b = &buckets[hash_bytes(name, n, 0) % 4096];
        most = GH_MAX(most, ++*b);
    }
    assert_true(most <= 9);
}

static void map_keeps_insertion_order_and_replaces(void **state)
{
    (void)state;
    struct arena a;
    struct map m;
    int one = 1, two = 2;
    arena_init(&a, 0, NULL);
    map_init(&m, &a);
    assert_null(map_get(&m, STR("x")));
    assert_null(map_put(&m, STR("x"), &one));
    assert_null(map_put(&m, STR(""), &one));
    assert_ptr_equal(map_put(&m, STR("x"), &two), &one);
    assert_ptr_equal(map_get(&m, STR("x")), &two);
    assert_ptr_equal(map_get(&m, STR_NONE), &one);
    assert_int_equal(m.n, 2);
    assert_str(m.v[0].key, "x");
    arena_fini(&a);
}

static void map_finds_all_of_many(void **state)
{
    (void)state;
    struct arena a;
    struct map m;
    arena_init(&a, 0, NULL);
    map_init(&m, &a);
    for (int i = 0; i < 20000; i++)
        map_put(&m, arena_strf(&a, "key/%d", i), arena_strf(&a, "%d", i).p ? &a : NULL);
    assert_int_equal(m.n, 20000);
    for (size_t i = 0; i < m.n; i++)
        assert_ptr_equal(map_get(&m, m.v[i].key), &a);
    assert_null(map_get(&m, STR("key/20000")));
    arena_fini(&a);
}

static void map_with_room_made_before_takes_as_many_without_growing(void **state)
{
    struct arena a;
    struct map m;
    (void)state;
    arena_init(&a, 0, NULL);
    map_init(&m, &a);
    assert_null(map_put(&m, STR("first"), &a));
    assert_true(map_reserve(&m, 1000));
    assert_ptr_equal(map_get(&m, STR("first")), &a);
    size_t before = m.n_slots;
    for (int i = 1; i < 1000; i++)
        assert_null(map_put(&m, arena_strf(&a, "key-%d", i), &m));
    assert_int_equal(m.n_slots, before);
    assert_int_equal(m.n, 1000);
    assert_ptr_equal(map_get(&m, STR("key-999")), &m);
    assert_null(map_get(&m, STR("key-1000")));
    assert_true(map_reserve(&m, 10)); /* it has that */
    assert_ptr_equal(map_get(&m, STR("first")), &a);
    arena_fini(&a);
}

static void map_survives_memory_running_out(void **state)
{
    (void)state;
    struct arena a, keys;
    struct map m;
    arena_init(&a, 512, NULL);
    arena_init(&keys, 0, NULL);
    a.limit = 8192;
    map_init(&m, &a);
    for (int i = 0; i < 2000; i++)
        map_put(&m, arena_strf(&keys, "%d", i), &m);
    assert_true(m.n > 10 && m.n < 2000);
    for (size_t i = 0; i < m.n; i++)
        assert_ptr_equal(map_get(&m, m.v[i].key), &m);
    assert_null(map_get(&m, STR("1999")));
    arena_fini(&a);
    arena_fini(&keys);
}

static void random_numbers_differ_and_stay_in_range(void **state)
{
    (void)state;
    struct rng r, other;
    unsigned seen[7] = {0};
    rng_seed(&r);
    rng_seed(&other);
    assert_true(rng_next(&r) != rng_next(&other));
    for (int i = 0; i < 7000; i++)
        seen[rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_true(seen[i] > 700 && seen[i] < 1300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_stable),
        cmocka_unit_test(lowering_gives_the_hash_of_the_lower_text),
        cmocka_unit_test(every_bit_matters),
        cmocka_unit_test(numbered_names_spread),
        cmocka_unit_test(map_keeps_insertion_order_and_replaces),
        cmocka_unit_test(map_finds_all_of_many),
        cmocka_unit_test(map_with_room_made_before_takes_as_many_without_growing),
        cmocka_unit_test(map_survives_memory_running_out),
        cmocka_unit_test(random_numbers_differ_and_stay_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
