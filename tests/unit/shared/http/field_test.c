#include "tests/unit/shared/base/base_test.h"
#include "shared/http/field.h"
#include "shared/http/method.h"
#include "shared/http/status.h"
#include "shared/http/token.h"
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    unsigned slot;
} rows[FIELD_COUNT] = {
#define X(id, name, properties, slot) [FIELD_##id] = {name, slot},
#include "shared/tbl/http_field.def"
#undef X
};

/* The same walk as in field.c, to tell the author of a new row where it belongs. */
static unsigned right_slot(const char *name, const unsigned char *taken)
{
    size_t n = strlen(name);
    uint32_t first = 0, last = 0;
    for (size_t k = 0; k < 4 && n >= 4; k++) {
        first |= (uint32_t)name[k] << 8 * k;
        last |= (uint32_t)name[n - 4 + k] << 8 * k;
    }
    if (n >= 4) {
        first |= 0x20202020u;
        last |= 0x20202020u;
    } else {
        first = (uint32_t)name[0] | (uint32_t)name[n / 2] << 8 | (uint32_t)name[n - 1] << 16;
        first |= 0x202020u;
    }
    unsigned i = (((first * 0x87c0909du) ^ last) + (uint32_t)n) * 0xe92a4f0fu >> 23;
    while (taken[i])
        i = (i + 1) % 512;
    return i;
}

static void every_known_name_is_found_in_any_case(void **state)
{
    (void)state;
    unsigned char taken[512] = {0};
    for (int id = FIELD_OTHER + 1; id < FIELD_COUNT; id++)
        taken[rows[id].slot] = 1;
    for (int id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct str name = str_c(rows[id].name);
        char upper[64];
        if (http_field_of(name) != (enum http_field_id)id) {
            taken[rows[id].slot] = 0;
            fail_msg("http_field.def: the slot of \"%s\" is %u", rows[id].name,
                     right_slot(rows[id].name, taken));
        }
        for (size_t i = 0; i <= name.n; i++)
            upper[i] = ascii_is_alpha(name.p[i]) ? (char)(name.p[i] & ~0x20) : name.p[i];
        assert_int_equal(http_field_of(str_of(upper, name.n)), id);
        assert_true(str_eq(http_field_name((enum http_field_id)id), name));
        assert_true(http_field_name_valid(name));
        for (size_t i = 0; i < name.n; i++)
            assert_int_equal(name.p[i], ascii_lower(name.p[i]));
    }
}

/* One byte changed in any way: another name. The search compares with bit 5 set, so bytes that differ
 * in it only are the ones to watch. */
static void names_that_differ_in_one_byte_are_others(void **state)
{
    (void)state;
    for (int id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        char name[64];
        size_t n = strlen(rows[id].name);
        for (size_t i = 0; i < n; i++) {
            memcpy(name, rows[id].name, n);
            for (int c = 0; c < 256; c++) {
                name[i] = (char)c;
                int found = http_field_of(str_of(name, n));
                bool same = ascii_lower((char)c) == rows[id].name[i];
                if (same ? found != id : found == id)
                    fail_msg("%s with byte %d = 0x%02x", rows[id].name, (int)i, (unsigned)c);
            }
        }
        assert_int_not_equal(http_field_of(str_of(rows[id].name, n - 1)), id);
    }
    assert_int_equal(http_field_of(STR_NONE), FIELD_OTHER);
    char longer[400];
    memset(longer, 'a', sizeof(longer));
    assert_int_equal(http_field_of(str_of(longer, sizeof(longer))), FIELD_OTHER);
}

static void an_underscore_makes_an_alias(void **state)
{
    (void)state;
    assert_int_equal(http_field_alias_of(STR("Content_Length")), FIELD_CONTENT_LENGTH);
    assert_int_equal(http_field_alias_of(STR("transfer_encoding")), FIELD_TRANSFER_ENCODING);
    assert_int_equal(http_field_alias_of(STR("X-Forwarded_For")), FIELD_X_FORWARDED_FOR);
    assert_int_equal(http_field_alias_of(STR("Content-Length")), FIELD_OTHER);
    assert_int_equal(http_field_alias_of(STR("my_field")), FIELD_OTHER);
    assert_int_equal(http_field_alias_of(STR_NONE), FIELD_OTHER);
}

static void framing_fields_are_protected(void **state)
{
    (void)state;
    const enum http_field_id framing[] = {FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING};
    for (size_t i = 0; i < ARRAY_LEN(framing); i++) {
        unsigned p = http_field_properties(framing[i]);
        assert_true(p & FIELD_P_FRAMING && p & FIELD_P_NO_TRAILER && p & FIELD_P_KEEP);
    }
    assert_true(http_field_properties(FIELD_HOST) & FIELD_P_KEEP);
    assert_true(http_field_properties(FIELD_HOST) & FIELD_P_NO_TRAILER);
    const enum http_field_id hop[] = {FIELD_CONNECTION, FIELD_KEEP_ALIVE, FIELD_PROXY_CONNECTION,
                                      FIELD_TE, FIELD_UPGRADE, FIELD_TRAILER, FIELD_HTTP2_SETTINGS};
    for (size_t i = 0; i < ARRAY_LEN(hop); i++)
        assert_true(http_field_properties(hop[i]) & FIELD_P_HOP);
    assert_int_equal(http_field_properties(FIELD_OTHER), 0);
}

static void names_are_tokens(void **state)
{
    (void)state;
    char longer[300];
    memset(longer, 'a', sizeof(longer));
    assert_true(http_field_name_valid(STR("x-!#$%&'*+-.^_`|~09AZ")));
    assert_true(http_field_name_valid(str_of(longer, HTTP_FIELD_NAME_MAX)));
    assert_false(http_field_name_valid(str_of(longer, HTTP_FIELD_NAME_MAX + 1)));
    static const char *const bad[] = {"", "a b", "a:", ":a", "a\t", "a\r", "a\n", "a(", "a\"", "a,",
                                      "a/", "a;", "a=", "a@", "a[", "a\\", "a{", "\x7f", "\x80", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(http_field_name_valid(str_c(bad[i])));
    assert_false(http_field_name_valid(str_of("a\0", 2)));
}

static void values_have_no_control_bytes_and_no_white_space_around(void **state)
{
    (void)state;
    assert_true(http_field_value_valid(STR("")));
    assert_true(http_field_value_valid(STR("a b\tc \xc3\xa4 \xff")));
    assert_false(http_field_value_valid(STR(" a")));
    assert_false(http_field_value_valid(STR("a\t")));
    for (int c = 0; c < 256; c++) { /* at each place of a 16-byte step and of the rest behind it */
        bool fine = c == '\t' || (c >= 0x20 && c != 0x7f);
        for (size_t at = 1; at < 39; at++) {
            char value[40];
            memset(value, 'v', sizeof(value));
            value[at] = (char)c;
            assert_int_equal(http_field_value_valid(str_of(value, sizeof(value))), fine);
            assert_int_equal(token_value_end(value, 0, sizeof(value)), fine ? sizeof(value) : at);
        }
    }
}

static void targets_end_where_they_must(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool fine = c > 0x20 && c < 0x7f && c != '#';
        for (size_t at = 0; at < 40; at++) {
            char target[40];
            memset(target, '/', sizeof(target));
            target[at] = (char)c;
            assert_int_equal(token_target_end(target, 0, sizeof(target)), fine ? sizeof(target) : at);
        }
    }
}

/* Slices of their own memory, so that a read outside of one is found. */
static void every_length_is_judged_whole(void **state)
{
    (void)state;
    assert_true(token_value_valid(STR_NONE) && token_target_valid(STR_NONE) && token_all(STR_NONE, TOKEN_TCHAR));
    for (size_t n = 1; n < 50; n++) {
        char *text = malloc(n);
        assert_non_null(text);
        memset(text, 'v', n);
        struct str s = str_of(text, n);
        assert_true(token_value_valid(s) && token_target_valid(s) && token_valid(s));
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                assert_int_equal(token_value_valid(s), token_is((char)c, TOKEN_VALUE));
                assert_int_equal(token_target_valid(s), token_is((char)c, TOKEN_TARGET));
                assert_int_equal(token_valid(s), token_is((char)c, TOKEN_TCHAR));
            }
            text[at] = 'v';
        }
        free(text);
    }
}

static void lists_are_walked_over_empty_and_quoted_elements(void **state)
{
    (void)state;
    struct str rest = STR(", a ,\t,b;q=\"x, \\\" y\",\"un, closed"), item;
    assert_true(http_list_next(&rest, &item));
    assert_str(item, "a");
    assert_true(http_list_next(&rest, &item));
    assert_str(item, "b;q=\"x, \\\" y\"");
    assert_true(http_list_next(&rest, &item));
    assert_str(item, "\"un, closed");
    assert_false(http_list_next(&rest, &item));
    rest = STR(" , ,");
    assert_false(http_list_next(&rest, &item));
    rest = STR_NONE;
    assert_false(http_list_next(&rest, &item));
    rest = STR("\"\\"); /* an escape at the very end */
    assert_true(http_list_next(&rest, &item));
    assert_str(item, "\"\\");
    assert_true(http_list_has(STR("gzip, Trailers ,x"), STR("trailers")));
    assert_false(http_list_has(STR("trailersx"), STR("trailers")));
}

static void methods_are_found_by_their_exact_name(void **state)
{
    (void)state;
    for (int m = METHOD_OTHER + 1; m < METHOD_COUNT; m++)
        assert_int_equal(http_method_of(http_method_name((enum http_method)m)), m);
    assert_int_equal(http_method_of(STR("get")), METHOD_OTHER);
    assert_int_equal(http_method_of(STR("GETS")), METHOD_OTHER);
    assert_int_equal(http_method_of(STR("GE")), METHOD_OTHER);
    assert_int_equal(http_method_of(STR_NONE), METHOD_OTHER);
    assert_true(http_method_is_idempotent(METHOD_PUT));
    assert_false(http_method_is_idempotent(METHOD_POST));
    assert_false(http_method_is_idempotent(METHOD_OTHER));
    assert_true(http_method_is_safe(METHOD_HEAD));
    assert_false(http_method_is_safe(METHOD_DELETE));
    assert_int_equal(http_method_name(METHOD_OTHER).n, 0);
}

static void status_codes_have_lines_and_reasons(void **state)
{
    (void)state;
    assert_str(http_status_reason(404), "Not Found");
    assert_str(http_status_line(200), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(http_status_reason(299).n, 0);
    assert_int_equal(http_status_line(0).n, 0);
    assert_false(http_status_has_content(103));
    assert_false(http_status_has_content(204));
    assert_false(http_status_has_content(304));
    assert_true(http_status_has_content(200));
    for (unsigned code = 0; code < 1000; code++) {
        char line[100];
        struct str reason = http_status_reason(code);
        if (reason.n == 0)
            continue;
        snprintf(line, sizeof(line), "HTTP/1.1 %u " STR_FMT "\r\n", code, STR_ARG(reason));
        assert_str(http_status_line(code), line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_is_found_in_any_case),
        cmocka_unit_test(names_that_differ_in_one_byte_are_others),
        cmocka_unit_test(an_underscore_makes_an_alias),
        cmocka_unit_test(framing_fields_are_protected),
        cmocka_unit_test(names_are_tokens),
        cmocka_unit_test(values_have_no_control_bytes_and_no_white_space_around),
        cmocka_unit_test(targets_end_where_they_must),
        cmocka_unit_test(every_length_is_judged_whole),
        cmocka_unit_test(lists_are_walked_over_empty_and_quoted_elements),
        cmocka_unit_test(methods_are_found_by_their_exact_name),
        cmocka_unit_test(status_codes_have_lines_and_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
