#include "tests/unit/shared/base/base_test.h"
#include "worker/codec/h1_parse.h"
#include "worker/codec/h1_write.h"
#include <stdlib.h>

struct outcome {
    enum h1_chunk last; /* the result that ended it */
    enum h1_error error;
    size_t used;
    char content[1024];
    size_t n;
};

/* Decodes in pieces of `step` bytes, each in memory of its own size. */
static struct outcome decode(struct str text, size_t step)
{
    struct outcome o = {.last = H1_CHUNK_MORE};
    struct h1_chunked c = {0};
    while (o.used < text.n && o.last != H1_CHUNK_LAST && o.last != H1_CHUNK_ERROR) {
        size_t n = GH_MIN(step, text.n - o.used), at = 0;
        char *piece = malloc(n);
        memcpy(piece, text.p + o.used, n);
        do {
            size_t used;
            struct str payload;
            o.last = h1_chunked_next(&c, piece + at, n - at, &used, &payload);
            at += used;
            if (o.last == H1_CHUNK_DATA) {
                assert_true(payload.n > 0);
                assert_true(payload.p >= piece && payload.p + payload.n == piece + at);
                memcpy(o.content + o.n, payload.p, payload.n);
                o.n += payload.n;
            }
        } while (o.last == H1_CHUNK_DATA);
        if (o.last == H1_CHUNK_MORE)
            assert_int_equal(at, n);
        o.used += at;
        free(piece);
    }
    o.error = c.error;
    return o;
}

static struct outcome decode_all_ways(struct str text)
{
    struct outcome whole = decode(text, text.n + 1);
    for (size_t step = 1; step < 12; step++) {
        struct outcome cut = decode(text, step);
        assert_int_equal(cut.last, whole.last);
        assert_int_equal(cut.error, whole.error);
        assert_int_equal(cut.used, whole.used);
        assert_int_equal(cut.n, whole.n);
        assert_memory_equal(cut.content, whole.content, whole.n);
    }
    return whole;
}

static void content_is_found_between_the_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *content;
        size_t behind; /* bytes behind the line of the last chunk */
    } rows[] = {
        {"0\r\n\r\n", "", 2},
        {"5\r\nhello\r\n0\r\n\r\n", "hello", 2},
        {"5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n", "hello world", 8},
        {"A\r\n0123456789\r\n000\r\nGET", "0123456789", 3},
        {"0000000000000001\r\nx\r\n0\r\n", "x", 0},
        {"1;a\r\nx\r\n0;b=c\r\n\r\n", "x", 2},
        {"1;a=\"q;\\\"\r\" ; b\r\nx\r\n", NULL, 0},
        {"1; a = \"q;\\\" \" ;\tb\r\nx\r\n0\r\n\r\n", "x", 2},
        {"1;a ;b=c \r\nx\r\n0\r\n\r\n", "x", 2},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str text = str_c(rows[i].text);
        struct outcome o = decode_all_ways(text);
        if (!rows[i].content) {
            assert_int_equal(o.last, H1_CHUNK_ERROR);
            continue;
        }
        assert_int_equal(o.last, H1_CHUNK_LAST);
        assert_int_equal(text.n - o.used, rows[i].behind);
        assert_str(str_of(o.content, o.n), rows[i].content);
    }
}

static void malformed_chunks_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        enum h1_error e;
    } rows[] = {
#define ROW(text, e) {{"" text, sizeof(text) - 1}, H1_E_##e}
        ROW("\r\n", CHUNK_SIZE),
        ROW("x\r\n", CHUNK_SIZE),
        ROW("0x5\r\n", CHUNK_SIZE),
        ROW("+5\r\n", CHUNK_SIZE),
        ROW("-5\r\n", CHUNK_SIZE),
        ROW("5_0\r\n", CHUNK_SIZE),
        ROW(" 5\r\n", CHUNK_SIZE),
        ROW("5 \r\n", CHUNK_SIZE),
        ROW("5\t;a\r\n", CHUNK_SIZE),
        ROW("5 ;a\r\n", CHUNK_SIZE),
        ROW("5,5\r\n", CHUNK_SIZE),
        ROW("5\0\r\n", CHUNK_SIZE),
        ROW("00000000000000005\r\n", CHUNK_SIZE),
        ROW("fffffffffffffffff\r\n", CHUNK_TOO_LARGE),
        ROW("ffffffffffffffff\r\n", CHUNK_TOO_LARGE),
        ROW("8000000000000000\r\n", CHUNK_TOO_LARGE),
        ROW("\n", BARE_LF),
        ROW("5\nhello", BARE_LF),
        ROW("5\rhello", BARE_CR),
        ROW("5\r\rhello", BARE_CR),
        ROW("5\r\nhello\n", BARE_LF),
        ROW("5\r\nhello\r0", BARE_CR),
        ROW("5\r\nhello0\r\n", CHUNK_END),
        ROW("5\r\nhello!\r\n", CHUNK_END),
        ROW("5\r\nhelloX\r\n", CHUNK_END),
        ROW("5\r\nhello\r\n\r\n0\r\n\r\n", CHUNK_SIZE),
        ROW("5;\r\nhello", CHUNK_EXTENSION),
        ROW("5;a=\r\nhello", CHUNK_EXTENSION),
        ROW("5;a\nhello", BARE_LF),
        ROW("5;a\rhello", BARE_CR),
        ROW("5;a\0\r\n", CHUNK_EXTENSION),
        ROW("5;a=\"x\ny\"\r\n", BARE_LF),
        ROW("5;a=\"x\r\n\"", CHUNK_EXTENSION),
        ROW("5;a=\"\\\n\"\r\n", BARE_LF),
        ROW("5;a b\r\n", CHUNK_EXTENSION),
        ROW("5;a=b=c\r\n", CHUNK_EXTENSION),
        ROW("5;a=\"b\"c\r\n", CHUNK_EXTENSION),
        ROW("5;;a\r\n", CHUNK_EXTENSION),
        ROW("5;\x80\r\n", CHUNK_EXTENSION),
        ROW("0\n\r\n", BARE_LF),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome o = decode_all_ways(rows[i].text);
        if (o.last != H1_CHUNK_ERROR || o.error != rows[i].e)
            fail_msg(STR_FMT ": %s, not %s", STR_ARG(rows[i].text), h1_error_name(o.error),
                     h1_error_name(rows[i].e));
    }
}

static void extensions_are_bounded_per_line_and_per_message(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_addc(&b, "1;");
    for (int i = 0; i < 300; i++)
        buf_addch(&b, 'a');
    assert_int_equal(decode(buf_str(&b), 7).error, H1_E_CHUNK_EXTENSION_TOO_LONG);
    buf_clear(&b);
    for (int i = 0; i < 100; i++)
        buf_addc(&b, "1;name-of-some-length=a-value-of-some-length-too\r\nx\r\n");
    assert_int_equal(decode(buf_str(&b), 7).error, H1_E_CHUNK_EXTENSION_TOO_LONG);
    buf_clear(&b);
    for (int i = 0; i < 100; i++)
        buf_addc(&b, "1;signature=0123456789abcdef\r\nx\r\n");
    assert_int_equal(decode(buf_str(&b), 7).error, H1_E_NONE);
    buf_fini(&b);
}

static void a_huge_chunk_is_passed_on_in_pieces(void **state)
{
    (void)state;
    struct h1_chunked c = {0};
    struct str payload;
    size_t used;
    assert_int_equal(h1_chunked_next(&c, "7fffffffffffffff\r\nab", 20, &used, &payload), H1_CHUNK_DATA);
    assert_int_equal(used, 20);
    assert_str(payload, "ab");
    assert_int_equal(h1_chunked_next(&c, "cd", 2, &used, &payload), H1_CHUNK_DATA);
    assert_int_equal(h1_chunked_next(&c, "", 0, &used, &payload), H1_CHUNK_MORE);
    assert_true(c.left == (uint64_t)INT64_MAX - 4);
}

static void errors_stay(void **state)
{
    (void)state;
    struct h1_chunked c = {0};
    struct str payload;
    size_t used;
    assert_int_equal(h1_chunked_next(&c, "x", 1, &used, &payload), H1_CHUNK_ERROR);
    assert_int_equal(h1_chunked_next(&c, "5\r\n", 3, &used, &payload), H1_CHUNK_ERROR);
    assert_int_equal(used, 0);
}

static void written_sizes_are_read_back(void **state)
{
    (void)state;
    for (int bits = 0; bits < 63; bits++)
        for (int less = 0; less < 2; less++) {
            uint64_t n = ((uint64_t)1 << bits) - (uint64_t)less;
            if (n == 0)
                continue;
            char line[H1_CHUNK_HEAD_MAX];
            struct h1_chunked c = {0};
            struct str payload;
            size_t used, len = h1_chunk_head(line, n);
            assert_true(line[0] != '0');
            assert_int_equal(h1_chunked_next(&c, line, len, &used, &payload), H1_CHUNK_MORE);
            assert_true(c.left == n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_found_between_the_sizes),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(extensions_are_bounded_per_line_and_per_message),
        cmocka_unit_test(a_huge_chunk_is_passed_on_in_pieces),
        cmocka_unit_test(errors_stay),
        cmocka_unit_test(written_sizes_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
