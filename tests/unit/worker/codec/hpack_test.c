#include "tests/unit/shared/base/base_test.h"
#include "worker/codec/hpack.h"
#include <stdio.h>
#include <stdlib.h>

struct text {
    char s[8000];
    size_t n;
};

static bool add(void *ctx, struct hpack_field *f)
{
    struct text *t = ctx;
    t->n += (size_t)snprintf(t->s + t->n, sizeof(t->s) - t->n, "%s" STR_FMT ": " STR_FMT "\n", f->flags & HPACK_F_SECRET ? "!" : "",
                             STR_ARG(f->name), STR_ARG(f->value));
    if (f->flags & HPACK_F_LINE) {
        assert_ptr_equal(f->value.p, f->name.p + f->name.n + 2);
        assert_memory_equal(f->name.p + f->name.n, ": ", 2);
        assert_memory_equal(f->value.p + f->value.n, "\r\n", 2);
    }
    return true;
}

static size_t bytes_of(const char *hex, char *out)
{
    size_t n = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        out[n++] = (char)(ascii_hex(hex[0]) << 4 | ascii_hex(hex[1]));
        hex++;
    }
    return n;
}

static enum h2_code block(struct hpack_decoder *d, struct str s, size_t step, struct text *t)
{
    enum h2_code code = 0;
    t->n = 0;
    t->s[0] = '\0';
    for (size_t at = 0; at < s.n && !code; at += GH_MIN(step, s.n - at))
        code = hpack_decode(d, str_of(s.p + at, GH_MIN(step, s.n - at)), false, add, t);
    return code ? code : hpack_decode(d, STR(""), true, add, t);
}

struct step {
    const char *hex, *fields;
    uint32_t size;
};

static void run(const struct step *v, size_t n)
{
    char in[400];
    struct text *t = malloc(sizeof(*t));
    for (size_t step = 1; step < 200; step += 13) {
        struct hpack_decoder d;
        hpack_init(&d);
        for (size_t i = 0; i < n; i++) {
            size_t k = bytes_of(v[i].hex, in);
            char *exact = malloc(k); /* what is read behind it is seen by the sanitizers */
            memcpy(exact, in, k);
            assert_int_equal(block(&d, str_of(exact, k), step, t), 0);
            assert_string_equal(t->s, v[i].fields);
            assert_int_equal(d.size, v[i].size);
            free(exact);
        }
        hpack_fini(&d);
    }
    free(t);
}

/* --- RFC 7541 appendix C -------------------------------------------------------------------------------------- */

#define EXAMPLE(path, scheme) ":method: GET\n:scheme: " scheme "\n:path: " path "\n:authority: www.example.com\n"

static void requests_of_the_appendix(void **state)
{
    static const struct step PLAIN[] = {
        {"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", EXAMPLE("/", "http"), 57},
        {"8286 84be 5808 6e6f 2d63 6163 6865", EXAMPLE("/", "http") "cache-control: no-cache\n", 110},
        {"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
         EXAMPLE("/index.html", "https") "custom-key: custom-value\n", 164},
    };
    static const struct step HUFFMAN[] = {
        {"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", EXAMPLE("/", "http"), 57},
        {"8286 84be 5886 a8eb 1064 9cbf", EXAMPLE("/", "http") "cache-control: no-cache\n", 110},
        {"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", EXAMPLE("/index.html", "https") "custom-key: custom-value\n", 164},
    };
    (void)state;
    run(PLAIN, ARRAY_LEN(PLAIN));
    run(HUFFMAN, ARRAY_LEN(HUFFMAN));
}

#define REST(s) "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:" s " GMT\nlocation: https://www.example.com\n"

/* The table has 256 bytes there: entries are evicted. */
static void answers_of_the_appendix(void **state)
{
    static const char THIRD[] = ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n"
                                "location: https://www.example.com\ncontent-encoding: gzip\n"
                                "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n";
    static const struct step PLAIN[] = {
        {"3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768"
         "7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
         ":status: 302\n" REST("21"), 222},
        {"4803 3330 37c1 c0bf", ":status: 307\n" REST("21"), 222},
        {"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a"
         "4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
         THIRD, 215},
    };
    static const struct step HUFFMAN[] = {
        {"3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8"
         "e9ae 82ae 43d3",
         ":status: 302\n" REST("21"), 222},
        {"4883 640e ffc1 c0bf", ":status: 307\n" REST("21"), 222},
        {"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960"
         "d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
         THIRD, 215},
    };
    (void)state;
    run(PLAIN, ARRAY_LEN(PLAIN));
    run(HUFFMAN, ARRAY_LEN(HUFFMAN));
}

/* --- what may not be ------------------------------------------------------------------------------------------ */

static void what_is_no_block_is_told(void **state)
{
    static const char *const BAD[] = {
        "80",                      /* index 0 */
        "be",                      /* an entry that is not there */
        "ff808080808001",          /* an integer that does not end */
        "ffffffffff7f",            /* ... that is too large */
        "82 20",                   /* the size changes behind a field */
        "3fe21f",                  /* 4097 bytes of table */
        "82 40",                   /* it ends within a field */
        "0083 6162",               /* ... a string */
        "007f 82ff03 61",          /* 65,537 bytes and more of a name */
        "00 81ff 00",              /* padding of a whole byte */
        "00 811e 00",              /* ... not of ones: 00011 and 110 */
        "00 84ffffffff 00",        /* EOS */
        "00 85fffffffc7f 00",      /* ... and a byte behind it */
    };
    char in[64];
    struct text *t = malloc(sizeof(*t));
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        for (size_t step = 1; step < 30; step += 28) {
            struct hpack_decoder d;
            hpack_init(&d);
            assert_int_equal(block(&d, str_of(in, bytes_of(BAD[i], in)), step, t), H2_COMPRESSION_ERROR);
            hpack_fini(&d);
        }
    free(t);
}

static bool stop(void *ctx, struct hpack_field *f)
{
    (void)f;
    return --*(int *)ctx > 0;
}

static void the_reader_may_have_enough(void **state)
{
    struct hpack_decoder d;
    int left = 3;
    (void)state;
    hpack_init(&d);
    assert_int_equal(hpack_decode(&d, STR("\x82\x82\x82\x82"), true, stop, &left), H2_ENHANCE_YOUR_CALM);
    hpack_fini(&d);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static bool learn(void *ctx, struct hpack_field *f)
{
    unsigned *asked = ctx;
    if (!(f->flags & HPACK_F_NAME)) {
        f->id = FIELD_SERVER;
        f->flags |= HPACK_F_NAME;
        *asked += 1;
    }
    assert_int_equal(f->id, FIELD_SERVER);
    if (!(f->flags & HPACK_F_VALUE)) {
        f->flags |= HPACK_F_VALUE;
        *asked += 100;
    }
    return true;
}

static void what_the_reader_found_out_is_remembered(void **state)
{
    struct hpack_decoder d;
    unsigned asked = 0;
    (void)state;
    hpack_init(&d);
    assert_int_equal(hpack_decode(&d, STR("\x40\x06server\x01x"), true, learn, &asked), 0);
    assert_int_equal(asked, 101);
    assert_int_equal(hpack_decode(&d, STR("\xbe\xbe"), true, learn, &asked), 0);
    assert_int_equal(asked, 101);
    assert_int_equal(hpack_decode(&d, STR("\x7e\x01y"), true, learn, &asked), 0); /* the name only */
    assert_int_equal(asked, 201);
    hpack_fini(&d);
}

/* Entries whose names are those of entries that go for them, in all sizes: against a table that is moved each time. */
static void the_table_turns_over(void **state)
{
    struct hpack_decoder d;
    struct text *t = malloc(sizeof(*t));
    char in[3000], want[64];
    (void)state;
    hpack_init(&d);
    assert_int_equal(block(&d, STR("\x40\x03key\x01v"), 100, t), 0);
    for (unsigned i = 0; i < 3000; i++) {
        size_t more = (i * 37) % 2000, len = 127 + more;
        char *p = in;
        if (d.n == 1) { /* the name is that of the entry that goes first: 61 + n */
            *p++ = 0x40 | 62;
        } else {
            *p++ = 0x7f;
            *p++ = (char)(d.n - 2);
        }
        *p++ = 0x7f;
        *p++ = (char)(0x80 | (more & 0x7f));
        *p++ = (char)(more >> 7);
        memset(p, 'a' + (int)(i % 26), len);
        assert_int_equal(block(&d, str_of(in, (size_t)(p - in) + len), 4000, t), 0);
        assert_memory_equal(t->s, "key: ", 5);
        assert_true(d.size <= HPACK_TABLE && d.text_cap <= 2 * HPACK_TABLE);
        assert_int_equal(block(&d, STR("\xbe"), 100, t), 0);
        assert_int_equal(t->n, 5 + len + 1);
        snprintf(want, sizeof(want), "key: %c%c", 'a' + (int)(i % 26), 'a' + (int)(i % 26));
        assert_memory_equal(t->s, want, 7);
    }
    char huge[5000] = {0x40, 0x01, 'k', 0x7f, (char)(0x80 | (4800 & 0x7f)), 4800 >> 7};
    memset(huge + 6, 'x', 4927);
    assert_int_equal(block(&d, str_of(huge, 6 + 4927), 4000, t), 0); /* larger than the table: it is empty */
    assert_int_equal(d.size, 0);
    assert_int_equal(d.n, 0);
    assert_int_equal(block(&d, STR("\x40\x03key\x01v"), 100, t), 0);
    assert_int_equal(block(&d, STR("\x20"), 100, t), 0);
    assert_int_equal(d.n, 0);
    assert_int_equal(block(&d, STR("\x40\x03key\x01v"), 100, t), 0); /* no room in it at all */
    assert_int_equal(d.n, 0);
    hpack_fini(&d);
    free(t);
}

static void many_small_entries(void **state)
{
    struct hpack_decoder d;
    struct text *t = malloc(sizeof(*t));
    (void)state;
    hpack_init(&d);
    for (unsigned i = 0; i < 500; i++) {
        char in[] = {0x40, 0x01, (char)('a' + i % 26), 0x00};
        assert_int_equal(block(&d, str_of(in, sizeof(in)), 100, t), 0);
    }
    assert_int_equal(d.n, 4096 / 33);
    assert_int_equal(block(&d, STR("\xff\x3a"), 100, t), 0); /* 62 + 123: the oldest but none */
    assert_int_equal(t->s[0], 'a' + (499 - 123) % 26);
    hpack_fini(&d);
    free(t);
}

/* --- the Huffman code ------------------------------------------------------------------------------------------------ */

static void all_bytes_there_and_back(void **state)
{
    char in[600], code[3000], out[HPACK_HUFFMAN_ROOM(3000)];
    (void)state;
    for (unsigned n = 0; n < 600; n++) {
        for (unsigned i = 0; i < n; i++)
            in[i] = (char)(i * (n % 7 + 1) + n);
        size_t len = hpack_huffman_len(str_of(in, n));
        assert_ptr_equal(hpack_huffman_put(code, str_of(in, n)), code + len);
        char *exact = malloc(len + 1);
        memcpy(exact, code, len);
        assert_int_equal(hpack_huffman_get(exact, len, out), n);
        assert_memory_equal(out, in, n);
        assert_true(n <= HPACK_HUFFMAN_ROOM(len));
        free(exact);
    }
}

static void changes_of_the_table_are_counted(void **state)
{
    (void)state;
    assert_int_equal(hpack_table_changes(STR("\x82\x20")), 0);
    assert_int_equal(hpack_table_changes(STR("\x20\x21\x3f\x80\x80\x01\x82")), 3);
    assert_int_equal(hpack_table_changes(STR("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_the_appendix),
        cmocka_unit_test(answers_of_the_appendix),
        cmocka_unit_test(what_is_no_block_is_told),
        cmocka_unit_test(the_reader_may_have_enough),
        cmocka_unit_test(what_the_reader_found_out_is_remembered),
        cmocka_unit_test(the_table_turns_over),
        cmocka_unit_test(many_small_entries),
        cmocka_unit_test(all_bytes_there_and_back),
        cmocka_unit_test(changes_of_the_table_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
