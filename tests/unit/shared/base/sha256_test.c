/* The examples of FIPS 180-4 and NIST's CAVP, and that pieces do not matter. */
#include "shared/base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char *hex(struct sha256 *s, char out[65])
{
    uint8_t d[32];
    sha256_end(s, d);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", d[i]);
    return out;
}

static const char *of(const char *text, char out[65])
{
    struct sha256 s;
    sha256_begin(&s);
    sha256_add(&s, text, strlen(text));
    return hex(&s, out);
}

static void the_examples_of_the_standard(void **state)
{
    char out[65];
    struct sha256 s;
    (void)state;
    assert_string_equal(of("", out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(of("abc", out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", out),
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    sha256_begin(&s);
    for (int i = 0; i < 1000000; i++)
        sha256_add(&s, "a", 1);
    assert_string_equal(hex(&s, out), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void pieces_do_not_matter(void **state)
{
    char text[400], whole[65], parts[65];
    struct sha256 s;
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    for (size_t n = 0; n < sizeof(text); n += 13)
        for (size_t cut = 0; cut <= n; cut += 11) {
            sha256_begin(&s);
            sha256_add(&s, text, n);
            hex(&s, whole);
            sha256_begin(&s);
            sha256_add(&s, text, cut);
            sha256_add(&s, text + cut, n - cut);
            assert_string_equal(hex(&s, parts), whole);
        }
}

static void lists_of_texts_differ_by_their_borders(void **state)
{
    struct sha256 a, b;
    (void)state;
    sha256_begin(&a);
    sha256_begin(&b);
    sha256_add_str(&a, STR("ab"));
    sha256_add_str(&a, STR("c"));
    sha256_add_str(&b, STR("a"));
    sha256_add_str(&b, STR("bc"));
    assert_true(sha256_end_id(&a) != sha256_end_id(&b));
    sha256_begin(&a);
    assert_true(sha256_end_id(&a) == 0xe3b0c44298fc1c14ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(lists_of_texts_differ_by_their_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
