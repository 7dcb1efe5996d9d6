/* ocsp_test.c - which OCSP responses may be stapled; responses by make_ocsp.py. */
#include "shared/tls/ocsp.h"
#include "tests/unit/shared/tls/ocsp_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW       1800000000
#define BYTES(a)  str_of((const char *)(a), sizeof(a))
#define HOUR      3600

static void a_good_response_for_the_certificate_may_be_stapled_until_its_end(void **state)
{
    static const struct { struct str r; int64_t until; } CASES[] = {
        {{(const char *)OCSP_GOOD, sizeof(OCSP_GOOD)}, NOW + HOUR},
        {{(const char *)OCSP_GOOD_SHA1, sizeof(OCSP_GOOD_SHA1)}, NOW + HOUR},
        {{(const char *)OCSP_GOOD_SHA384, sizeof(OCSP_GOOD_SHA384)}, NOW + HOUR}, /* a hash that is not looked at */
        {{(const char *)OCSP_ENDLESS, sizeof(OCSP_ENDLESS)}, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct ocsp x;
        const char *why;
        assert_true(ocsp_read(CASES[i].r, BYTES(OCSP_LEAF), NOW, &x, &why));
        assert_true(x.this_update_s == NOW - HOUR && x.next_update_s == CASES[i].until);
    }
}

static void refuse(struct str response, struct str leaf, const char *want)
{
    struct ocsp x;
    const char *why = NULL;
    assert_false(ocsp_read(response, leaf, NOW, &x, &why));
    assert_string_equal(why, want);
}

static void any_other_is_refused_with_its_reason(void **state)
{
    (void)state;
    refuse(BYTES(OCSP_EXPIRED), BYTES(OCSP_LEAF), "is not valid any more"); /* its end is now */
    refuse(BYTES(OCSP_FUTURE), BYTES(OCSP_LEAF), "is not valid yet");
    refuse(BYTES(OCSP_REVOKED), BYTES(OCSP_LEAF), "says that the certificate is revoked");
    refuse(BYTES(OCSP_UNKNOWN), BYTES(OCSP_LEAF), "says that the responder does not know the certificate");
    refuse(BYTES(OCSP_NEIGHBOUR), BYTES(OCSP_LEAF), "is for another certificate");
    refuse(BYTES(OCSP_NAMESAKE), BYTES(OCSP_LEAF), "is for another certificate"); /* the number is the same, the issuer is not */
    refuse(BYTES(OCSP_ERROR), BYTES(OCSP_LEAF), "is an error of the responder's");
    refuse(STR(""), BYTES(OCSP_LEAF), "can't be read");
    refuse(BYTES(OCSP_GOOD), STR("x"), "can't be judged: the certificate can't be read");
}

/* Every cut in its own memory, so that a read beyond it is seen. */
static void a_response_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(OCSP_GOOD); n++) {
        struct ocsp x;
        const char *why = NULL;
        char *copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, OCSP_GOOD, n);
        char *end = realloc(copy, n ? n : 1);
        assert_non_null(end);
        assert_false(ocsp_read(str_of(end, n), BYTES(OCSP_LEAF), NOW, &x, &why));
        assert_non_null(why);
        free(end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_response_for_the_certificate_may_be_stapled_until_its_end),
        cmocka_unit_test(any_other_is_refused_with_its_reason),
        cmocka_unit_test(a_response_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
