/* The quick reader gives libyaml's tree or none. */
#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"

static void it_reads_what_configuration_looks_like(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a: 1\n", "a: 1", "# only\n\n# comments\n", "\n\na: b # c\n", "a:\n  b: c\n  d: e\nf: g\n",
        "a:\n- b\n- c\nd: e\n", "a:\n  - b\n  - c: d\n    e: f\n  - g\n", "- a\n- b: c\n  d:\n  - e\n- f\n",
        "a:\n", "a:\nb:\n", "a:\n-\n- b\n", "a:\n  -\n    b: c\n", "- - a\n  - b\n- - c\n", "- - - a\n", "-\n- -\n",
        "a: \"b c\"\nd: 'e: f'\n", "a: [b, \"c d\", 'e']\n", "a: []\nb: {}\n", "a: [ 1 , 2 ]  # c\n",
        "a: b c d   \n", "a: b#c\n", "a: http://x:80/y\n", "a: -1\nb: 1.5\nc: true\nd: ~\ne: null\n", "a: x-y_z\n",
        "  a: b\n  c: d\n", "a: b\r\nc:\r\n  d: e\r\n", "a.b/c: d\n", "a: $(x)\n", "a:\n\n  # c\n  b: c\n\n# d\ne: f\n",
        "\xed\x95\x9c: \xea\xb8\x80 # \xea\xb8\x80\nx: y\n", "a: \"\xed\x95\x9c\" # x\nb: c\n", "a: 1.\nb: .5\n",
        "a: {b: c}\n", "- {a: b, c: [d, {e: f}], g: {}}\n- {h: -1}\n", "a: [[b], [], [c, {d: 1.5}]] # c\n", "[a]\n", "{}\n",
        "{\"a\":\"b\", 'c': d, \"e\":[1,true,null]}\n", "{\n  \"a\": 1,\n  \"b\": [\n    {}, \"c d\"\n  ]\n}\n# x\n",
        "a:\n- {b: c, # d\n   e: f\n\n  }\n- g\n", "a: {b: http://x:80/y}\n", "a: {b: c d , e: f}\n", "a: [b\n,c]\n",
        "a: {b:\n c}\r\nd: e\r\n", "a: {\xed\x95\x9c: \xea\xb8\x80, b: c}\n", "a: {x.y/z: w*!}\n", " {a: b}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (quick_against_events(str_c(texts[i])) != QUICK_SAME)
            fail_msg("%s", texts[i]);
}

static void it_leaves_everything_else_to_libyaml(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a: &x b\n", "a: *x\n", "a: !x b\n", "a: |\n  b\n", "a: >\n  b\n", "a: b\n  c\n", "a: 'it''s'\n", "a: \"\\n\"\n",
        "a: [b,]\n", "a: {b: c,}\n", "a: {b}\n", "a: {b: }\n", "a: {b: c, b: d}\n", "a: {b:c}\n",
        "a: {b : c}\n", "a: [b\n  c]\n", "a: [b#c]\n", "a: [b, #c\n d]\n", "a: [b,#c\n d]\n", "a: {b: c: d}\n", "a: {<<: b}\n", "a: [b:]\n",
        "a: {b: &c d}\n", "a: {? b}\n", "a: [b}\n", "a: [b\n", "a: [b]: c\n", "{a: b}: c\n", "{a: b}\nc: d\n", "[a]\n[b]\n", "a:\n[b]\n",
        "a: [\n---\nb]\n", "a: [b\n%c]\n", "a: [\tb]\n", "a: [b\n\t]\n", "a: {b: 'c''d'}\n", "a: {'b''c': d}\n", "a: [-]\n", "a: [-, b]\n",
        "a: [,]\n", "a: {b: *.c}\n", "a: [b?c]\n", "a: [b?]\n", "a: b: c\n", "a: b:\n", "a: @x\n", "a: %x\n", "a:\tb\n", "\ta: b\n",
        "a: b\n\tc: d\n", "? a\n: b\n", "\"a\": b\n", "a b: c\n", "a : b\n", "a\n", "\"a\"\n",
        "a:\n  b: c\n d: e\n", " a: b\nc: d\n", "a: b\n- c\n", "- a\nb: c\n", "a: b\na: c\n", "a: \"b\n  c\"\n", "a: b\n---\nc: d\n",
        "...\n", "%YAML 1.1\n", "a: b\rc: d\n", "a: b\xc2\x85" "c: d\n", "a: \xe2\x80\xa8\n", "a: \x01\n", "a: b\n # c\n  d\n",
        "<<: a\n", "a: -\n", "a: - b\n", "a: [b: c]\n", "a: 'b' c\n", "- a\n b\n", "- a: b\n   c: d\n", "a: ?x\n", "a: , b\n",
        "a:\n    - b\n  - c\n", "a: \"b\"#c\n", "a: []x\n", "a: {}{}\n", "\xef\xbb\xbf" "a: b\n", "a: b\r",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (quick_against_events(str_c(texts[i])) == QUICK_DIFFERS)
            fail_msg("differs: %s", texts[i]);
}

/* Texts made of the pieces that matter, by the million in the fuzz target, by the thousand here. */
static void it_agrees_on_texts_made_at_random(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b: ", "c:", "- ", "-", "\n", "\n", "\n  ", "\n    ", " ", "#", " # x", ":", "\"", "'",
                                         "[", "]", ", ", "{}", "1", "~", "\r\n", "true", "x y", "\xea\xb8\x80"};
    static const char *const flow[] = {"a", "b: ", "c: d", "\"e\":", "[", "]", "{", "}", ", ", ",", "\n", "\n  ", " ", " # x\n", "'f'", "-1", "g h", ":",
                                       "k: ", "- "};
    uint32_t seed = 1;
    char text[256];
    unsigned n_same = 0;
    for (int round = 0; round < 40000; round++) {
        size_t n = 0;
        for (unsigned k = 0, most = 3 + round % 18; k < most; k++) {
            seed = seed * 1664525 + 1013904223;
            const char *piece = round % 2 ? flow[(seed >> 16) % ARRAY_LEN(flow)] : pieces[(seed >> 16) % ARRAY_LEN(pieces)];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        enum quick_verdict v = quick_against_events(str_of(text, n));
        if (v == QUICK_DIFFERS)
            fail_msg("differs: %.*s", (int)n, text);
        n_same += v == QUICK_SAME;
    }
    assert_in_range(n_same, 300, 40000); /* the test must not pass because everything was given up */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_what_configuration_looks_like),
        cmocka_unit_test(it_leaves_everything_else_to_libyaml),
        cmocka_unit_test(it_agrees_on_texts_made_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
