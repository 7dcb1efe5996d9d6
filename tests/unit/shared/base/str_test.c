#include "tests/unit/shared/base/base_test.h"
#include "shared/base/err.h"
#include "shared/base/utf8.h"
#include <stdio.h>
#include <stdlib.h>

static void search_finds_first_and_last(void **state)
{
    (void)state;
    assert_int_equal(str_chr(STR("a.b.c"), '.'), 1);
    assert_int_equal(str_rchr(STR("a.b.c"), '.'), 3);
    assert_int_equal(str_chr(STR("abc"), '.'), -1);
    assert_int_equal(str_chr(STR_NONE, '.'), -1);
    assert_int_equal(str_rchr(STR_NONE, '.'), -1);
    assert_int_equal(str_find(STR("hello world"), STR("wor")), 6);
    assert_int_equal(str_find(STR("hello"), STR("hello!")), -1);
    assert_int_equal(str_find(STR("hello"), STR("")), 0);
    assert_int_equal(str_find(STR_NONE, STR("a")), -1);
}

static bool differ_but_for_case(unsigned char a, unsigned char b)
{
    return ascii_lower((char)a) != ascii_lower((char)b);
}

/* Sixteen bytes at a time and a byte at a time: any pair of bytes, at any place of texts of any length. */
static void only_the_case_of_letters_is_ignored(void **state)
{
    (void)state;
    char a[40], b[40];
    memset(a, 'k', sizeof(a));
    memset(b, 'K', sizeof(b));
    for (size_t n = 1; n < sizeof(a); n++)
        for (size_t at = 0; at < n; at += n < 18 ? 1 : 7)
            for (unsigned x = 0; x < 256; x++)
                for (unsigned flip = 0; flip < 8; flip++) {
                    unsigned char y = (unsigned char)(x ^ (1u << flip));
                    a[at] = (char)x;
                    b[at] = (char)y;
                    assert_int_equal(str_ieq(str_of(a, n), str_of(b, n)), !differ_but_for_case((unsigned char)x, y));
                    a[at] = 'k';
                    b[at] = 'K';
                }
}

static void comparison_orders_bytes_then_length(void **state)
{
    (void)state;
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\x80"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR_NONE, STR("")), 0);
    assert_true(str_ieq(STR("Content-Length"), STR("content-lengtH")));
    assert_false(str_ieq(STR("a"), STR("ab")));
    assert_false(str_ieq(STR("\xc4"), STR("\xe4")));
    assert_false(str_ieq(STR("@"), STR("`")));
    assert_true(str_starts(STR("/a/b"), STR("/a")));
    assert_true(str_ends(STR("x.example.com"), STR(".example.com")));
    assert_false(str_ends(STR("com"), STR(".com")));
    assert_true(str_starts(STR("a"), STR_NONE));
}

static void trim_takes_both_ends(void **state)
{
    (void)state;
    assert_str(str_trim(STR(" \t a b\t"), " \t"), "a b");
    assert_str(str_trim(STR("   "), " "), "");
    /* A NUL byte in the text is not the end of the set. */
    assert_int_equal(str_trim(str_of("\0a\0", 3), " ").n, 3);
}

static void split_gives_every_piece(void **state)
{
    (void)state;
    struct str rest = STR("a,,b,"), piece;
    assert_true(str_split(&rest, ',', &piece));
    assert_str(piece, "a");
    assert_true(str_split(&rest, ',', &piece));
    assert_str(piece, "");
    assert_true(str_split(&rest, ',', &piece));
    assert_str(piece, "b");
    assert_true(str_split(&rest, ',', &piece));
    assert_str(piece, "");
    assert_false(str_split(&rest, ',', &piece));
    rest = STR("");
    assert_true(str_split(&rest, ',', &piece));
    assert_false(str_split(&rest, ',', &piece));
    rest = STR_NONE;
    assert_false(str_split(&rest, ',', &piece));
}

static void numbers_are_whole_and_in_range(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "+1", "-", "1 ", " 1", "0x1", "1.0", "18446744073709551616",
                                      "99999999999999999999", "1\n"};
    uint64_t u;
    int64_t i;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_false(str_u64(str_c(bad[k]), &u));
    assert_true(str_u64(STR("18446744073709551615"), &u));
    assert_int_equal(u, UINT64_MAX);
    assert_true(str_u64(STR("0007"), &u));
    assert_int_equal(u, 7);
    assert_true(str_i64(STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_false(str_i64(STR("-9223372036854775809"), &i));
    assert_false(str_i64(STR("9223372036854775808"), &i));
    assert_true(str_i64(STR("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_false(str_i64(STR("-"), &i));
    assert_false(str_i64(STR("--1"), &i));
}

static void distance_counts_edits_and_swaps(void **state)
{
    (void)state;
    assert_int_equal(str_distance(STR("hostname"), STR("hostname"), 3), 0);
    assert_int_equal(str_distance(STR("hostname"), STR("hostnam"), 3), 1);
    assert_int_equal(str_distance(STR("hostname"), STR("hotsname"), 3), 1);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 3), 3);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 2), 3);
    assert_int_equal(str_distance(STR("abc"), STR(""), 5), 3);
    assert_int_equal(str_distance(STR("a"), STR("abcdefgh"), 2), 3);
    assert_int_equal(str_distance(STR_NONE, STR(""), 2), 0);
    char longer[200];
    memset(longer, 'x', sizeof(longer));
    assert_int_equal(str_distance(str_of(longer, 200), str_of(longer, 199), 2), 3);
    assert_int_equal(str_distance(str_of(longer, 200), str_of(longer, 200), 2), 0);
}

static void buffer_grows_and_keeps_what_was_there(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "%d,", i);
    buf_addc(&b, "end");
    buf_addch(&b, '!');
    buf_addu(&b, 0);
    buf_addu(&b, UINT64_MAX);
    buf_adds(&b, STR_NONE);
    assert_false(b.oom);
    assert_true(str_starts(buf_str(&b), STR("0,1,2,3,")));
    assert_true(str_ends(buf_str(&b), STR("998,999,end!018446744073709551615")));
    assert_int_equal(strlen(buf_cstr(&b)), b.n);
    buf_fini(&b);
    assert_null(b.p);
}

static void buffer_remembers_that_memory_ran_out(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_addc(&b, "kept");
    assert_false(buf_reserve(&b, SIZE_MAX - 2));
    assert_true(b.oom);
    buf_addc(&b, "lost");
    buf_addf(&b, "lost %s", "too, and longer than what the buffer has left over by then, certainly so");
    assert_str(buf_str(&b), "kept");
    buf_fini(&b);
}

static void json_is_escaped_and_always_utf8(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_json(&b, str_of("a\"\\\b\f\n\r\t\x01\x1f\0z", 12));
    assert_str(buf_str(&b), "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000z\"");
    buf_clear(&b);
    buf_json(&b, STR("gr\xc3\xbc\xc3\x9f \xff\xc3"));
    assert_str(buf_str(&b), "\"gr\xc3\xbc\xc3\x9f \xef\xbf\xbd\xef\xbf\xbd\"");
    buf_clear(&b);
    buf_json(&b, STR_NONE);
    assert_str(buf_str(&b), "\"\"");
    buf_fini(&b);
}

static void utf8_accepts_exactly_rfc_3629(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"a", 1},
        {"\x7f", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xee\x80\x80", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},             /* alone */
        {"\xc0\xaf", 0},         /* over-long */
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\xc2", 0},             /* cut */
        {"\xe2\x82", 0},
        {"\xf0\x9f\x98", 0},
        {"\xe2\x28\xa1", 0},
        {"", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(utf8_len(str_c(rows[i].text)), rows[i].len);
    assert_int_equal(utf8_valid_prefix(STR("plain text of more than eight bytes")), 35);
    assert_int_equal(utf8_valid_prefix(STR("twelve ascii\xe2\x82\xac and\xff")), 19);
    assert_int_equal(utf8_valid_prefix(STR_NONE), 0);
}

/* Counted by brute force over all scalar values: each has one encoding, and only those are valid. */
static void utf8_knows_every_scalar_value(void **state)
{
    (void)state;
    for (unsigned v = 0x80; v < 0x110000; v++) {
        char p[4];
        size_t n;
        if (v < 0x800) {
            n = 2;
            p[0] = (char)(0xc0 | v >> 6);
        } else if (v < 0x10000) {
            n = 3;
            p[0] = (char)(0xe0 | v >> 12);
            p[1] = (char)(0x80 | (v >> 6 & 0x3f));
        } else {
            n = 4;
            p[0] = (char)(0xf0 | v >> 18);
            p[1] = (char)(0x80 | (v >> 12 & 0x3f));
            p[2] = (char)(0x80 | (v >> 6 & 0x3f));
        }
        p[n - 1] = (char)(0x80 | (v & 0x3f));
        bool surrogate = v >= 0xd800 && v <= 0xdfff;
        if (utf8_len(str_of(p, n)) != (surrogate ? 0 : n))
            fail_msg("U+%04X", v);
    }
}

static void written(uint64_t v, const char *wanted)
{
    char text[STR_U64_MAX + 1] = {0};
    assert_int_equal(str_put_u64(text, v), strlen(wanted));
    assert_string_equal(text, wanted);
}

static void numbers_are_written_in_full(void **state)
{
    (void)state;
    written(0, "0");
    written(UINT64_MAX, "18446744073709551615");
    for (uint64_t v = 1; v < UINT64_MAX / 10; v *= 10) { /* around each power: where the length changes */
        char wanted[32];
        for (uint64_t near = v - 1; near <= v + 1; near++) {
            snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)near);
            written(near, wanted);
        }
    }
    for (unsigned v = 0; v < 70000; v++) {
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "%u", v);
        written(v, wanted);
    }
}

static void errors_have_names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(err_name(GH_E_TRUNCATED), "E_TRUNCATED");
    assert_string_equal(err_text(GH_E_NOMEM), "out of memory");
    assert_string_equal(err_name(GH_OK), "OK");
    assert_string_equal(err_name(-12345), "E_UNKNOWN");
    assert_non_null(err_text(77));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_finds_first_and_last),
        cmocka_unit_test(only_the_case_of_letters_is_ignored),
        cmocka_unit_test(comparison_orders_bytes_then_length),
        cmocka_unit_test(trim_takes_both_ends),
        cmocka_unit_test(split_gives_every_piece),
        cmocka_unit_test(numbers_are_whole_and_in_range),
        cmocka_unit_test(numbers_are_written_in_full),
        cmocka_unit_test(distance_counts_edits_and_swaps),
        cmocka_unit_test(buffer_grows_and_keeps_what_was_there),
        cmocka_unit_test(buffer_remembers_that_memory_ran_out),
        cmocka_unit_test(json_is_escaped_and_always_utf8),
        cmocka_unit_test(utf8_accepts_exactly_rfc_3629),
        cmocka_unit_test(utf8_knows_every_scalar_value),
        cmocka_unit_test(errors_have_names_and_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
