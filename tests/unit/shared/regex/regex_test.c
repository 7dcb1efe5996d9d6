#include "shared/regex/regex.h"
#include "shared/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static bool matches_with(const char *pattern, const char *subject, unsigned flags)
{
    struct buf why = {0};
    struct regex *r = regex_compile(str_c(pattern), flags, &why, NULL);
    if (!r)
        fail_msg("%s: %s", pattern, buf_cstr(&why));
    bool yes = regex_match(r, str_c(subject), NULL);
    regex_free(r);
    buf_fini(&why);
    return yes;
}

static bool matches(const char *pattern, const char *subject)
{
    bool jit = matches_with(pattern, subject, 0);
    assert_int_equal(jit, matches_with(pattern, subject, REGEX_NO_JIT));
    return jit;
}

static void a_match_is_of_the_whole_subject(void **state)
{
    (void)state;
    assert_true(matches("/a.*", "/abc"));
    assert_false(matches("/a", "/ab"));
    assert_false(matches("a", "/a"));
    assert_true(matches("a|ab", "ab")); /* not "the first alternative that matches at the front" */
    assert_true(matches("^/a$", "/a"));
    assert_false(matches("/a$", "/a\n"));
    assert_false(matches("/a.b", "/a\nb"));
}

static void what_both_engines_know_is_accepted(void **state)
{
    static const struct { const char *pattern, *yes, *no; } rows[] = {
        {"/users/[0-9]+", "/users/42", "/users/x"},
        {"/users/\\d{1,3}", "/users/42", "/users/4242"},
        {"(?i)/ABC", "/abc", "/abd"},
        {"(?i:/A)b", "/ab", "/aB"},
        {"(?P<id>[a-z]+)-(?<n>\\d)", "ab-1", "ab1"},
        {"[[:alpha:]]+[^[:digit:]]", "ab-", "ab1"},
        {"[]a]+", "]a", "b"},
        {"[^]a]+", "bc", "]"},
        {"[[a]+", "[a", "b"},
        {"a{,2}", "a{,2}", "aa"}, /* a brace that counts nothing is a letter */
        {"a{x}", "a{x}", "ax"},
        {"\\Qa.b\\E+", "a.bbb", "axb"},
        {"\\x41\\x{42}\\103", "ABC", "abc"},
        {"\\v", "\x0b", "\n"},
        {"a.c", "a\xc3\xa9" "c", "a\xc3" "c"}, /* a dot is a character, not a byte */
        {"\\pL+", "\xc3\xa9", "1"},
        {"\\p{Greek}", "\xce\xb1", "a"},
        {"\\w+", "ab_1", "\xc3\xa9"},
        {"a*?b+?c??", "aabb", "c"},
        {"(a|b)*c", "ababc", "abab"},
        {"\\Aab\\z", "ab", "abc"},
        {"^*a\\b?$+", "a", "b"}, /* assertions may be repeated, for what it is worth */
        {"(?)a", "a", "b"},
        {"x\\.\\-\\/", "x.-/", "xx-/"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!matches(rows[i].pattern, rows[i].yes))
            fail_msg("%s does not match %s", rows[i].pattern, rows[i].yes);
        if (matches(rows[i].pattern, rows[i].no))
            fail_msg("%s matches %s", rows[i].pattern, rows[i].no);
    }
}

static void what_re2_does_not_have_is_refused_with_the_offset(void **state)
{
    static const struct { const char *pattern; size_t at; } rows[] = {
        {"(a)\\1", 3}, {"(?P<x>a)(?P=x)", 8}, {"(?P<x>a)\\k<x>", 8}, {"a\\g1", 1},
        {"a(?=b)", 1}, {"a(?!b)", 1}, {"(?<=a)b", 0}, {"(?<!a)b", 0}, {"(?>a)", 0},
        {"a++", 1}, {"a*+", 1}, {"a**", 1}, {"a{2}{3}", 1}, {"a{2}+", 1},
        {"(?R)", 0}, {"(a(?1))", 2}, {"(?(1)a|b)", 0}, {"(?#x)a", 0}, {"(?C1)a", 0},
        {"(*UTF)a", 1}, {"(*ACCEPT)", 1}, {"*", 0}, {"a|*", 2}, {"(?i)*", 4},
        {"a{1001}", 1}, {"((a{100}){100})", 9}, {"a{3,2}", 1},
        {"\\", 0}, {"a\\", 1}, {"\\Z", 0}, {"\\G", 0}, {"\\K", 0}, {"\\R", 0}, {"\\X", 0}, {"\\h", 0},
        {"\\C", 0}, {"\\cA", 0}, {"\\e", 0}, {"\\xg", 0}, {"\\x{110000}", 0}, {"\\8", 0},
        {"[a", 0}, {"[[:foo:]]", 1}, {"[\\b]", 1}, {"[\\Qa\\E]", 1}, {"[b-a]", 0},
        {"(a", 2}, {"a)", 1}, {"(?x)a", 0}, {"(?i-)a", 0}, {"(?-)", 0}, {"[[:]x:]]", 1}, {"(?P<1>a)", 0}, {"(?'n'a)", 0},
        {"\\p{Xan}", 0}, {"\\p{L&}", 0}, {"\\p{bidi_class:L}", 0}, {"\\p{}", 0}, {"a\xff", 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf why = {0};
        size_t at = 99;
        struct regex *r = regex_compile(str_c(rows[i].pattern), 0, &why, &at);
        if (r)
            fail_msg("%s is accepted", rows[i].pattern);
        assert_true(why.n > 0);
        if (at != rows[i].at)
            fail_msg("%s: offset %zu, %s", rows[i].pattern, at, buf_cstr(&why));
        buf_fini(&why);
    }
}

static void the_length_is_limited(void **state)
{
    (void)state;
    struct buf p = {0};
    for (int i = 0; i < REGEX_PATTERN_MAX; i++)
        buf_addch(&p, 'a');
    struct regex *r = regex_compile(buf_str(&p), 0, NULL, NULL);
    assert_non_null(r);
    regex_free(r);
    buf_addch(&p, 'a');
    assert_null(regex_compile(buf_str(&p), 0, NULL, NULL));
    assert_null(regex_compile(STR(""), 0, NULL, NULL));
    buf_fini(&p);
}

static void a_hostile_subject_runs_into_the_limit(void **state)
{
    (void)state;
    struct buf subject = {0};
    for (int i = 0; i < 4000; i++)
        buf_addch(&subject, 'a');
    buf_addch(&subject, 'b');
    for (unsigned flags = 0; flags <= REGEX_NO_JIT; flags += REGEX_NO_JIT) {
        struct regex *r = regex_compile(STR("(a*)*(a*)*(a*)*c"), flags, NULL, NULL);
        bool limit = false;
        assert_non_null(r);
        assert_false(regex_match(r, buf_str(&subject), &limit));
        regex_free(r);
        r = regex_compile(STR("(a+)+$|(x+x+)+y"), flags, NULL, NULL);
        assert_non_null(r);
        assert_false(regex_match(r, buf_str(&subject), &limit));
        assert_true(limit);
        regex_free(r);
    }
    buf_fini(&subject);
}

static void replace_is(const char *pattern, const char *subject, const char *to, const char *want, int n)
{
    struct regex *r = regex_compile(str_c(pattern), REGEX_SEARCH, NULL, NULL);
    struct buf out = {0};
    assert_non_null(r);
    assert_int_equal(regex_replace(r, str_c(subject), str_c(to), &out), n);
    assert_string_equal(buf_cstr(&out), want);
    buf_fini(&out);
    regex_free(r);
}

static void replacing_is_global_and_knows_groups(void **state)
{
    (void)state;
    replace_is("/v[0-9]+", "/v1/a/v22", "/x", "/x/a/x", 2);
    replace_is("/([a-z]+)/([0-9]+)", "/item/42", "/\\2/\\1", "/42/item", 1);
    replace_is("b", "abc", "[\\0]", "a[b]c", 1);
    replace_is("b", "abc", "\\\\", "a\\c", 1);
    replace_is("x*", "abc", "-", "-a-b-c-", 4);
    replace_is("(a)|b", "ab", "<\\1>", "<a><>", 2);
    replace_is("^/", "/a/b", "/z/", "/z/a/b", 1);
    replace_is("q", "abc", "-", "abc", 0);
    replace_is("a", "\xff" "a", "b", "\xff" "a", 0);
    replace_is("\xc3\xa9*", "\xc3\xa9\xc3\xa8", "-", "-\xc3\xa8-", 2);
}

static void a_replacement_may_name_only_groups_that_exist(void **state)
{
    (void)state;
    struct regex *r = regex_compile(STR("(a)(b)"), REGEX_SEARCH, NULL, NULL);
    assert_true(regex_replacement_valid(r, STR("x\\2\\\\\\0"), NULL));
    assert_false(regex_replacement_valid(r, STR("\\3"), NULL));
    assert_false(regex_replacement_valid(r, STR("\\n"), NULL));
    assert_false(regex_replacement_valid(r, STR("a\\"), NULL));
    regex_free(r);
}

static void the_prefix_is_what_every_match_begins_with(void **state)
{
    static const struct { const char *pattern, *prefix; bool whole; } rows[] = {
        {"/api/v[0-9]+/.*", "/api/v", false}, {"^/api$", "/api", true}, {"/a\\.b\\-c", "/a.b-c", true},
        {"/ab?c", "/a", false}, {"/ab*", "/a", false}, {"/ab+", "/ab", false}, {"/ab{0,2}", "/a", false},
        {"/ab{2}", "/ab", false}, {"/a|/b", "", false}, {"/x(a|b)", "/x", false}, {"[|]a", "", false},
        {"/x[|]a", "/x", false}, {"/x\\|a", "/x|a", true}, {"/x\\Q|\\Ea", "/x", false},
        {"(?i)/a", "", false}, {"/a[[:]|/b", "", false},
        {"/a[[:alpha:]|]", "/a", false}, {"\\d", "", false}, {".*", "", false}, {"/a{x}", "/a{x}", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char scratch[64];
        bool whole;
        struct str p = regex_literal_prefix(str_c(rows[i].pattern), scratch, sizeof(scratch), &whole);
        if (!str_eqc(p, rows[i].prefix) || whole != rows[i].whole)
            fail_msg("%s: prefix '" STR_FMT "', whole %d", rows[i].pattern, STR_ARG(p), whole);
    }
}

/* As under MemoryDenyWriteExecute=: the just-in-time compiler is refused, the answers are the same. */
static void without_executable_memory_answers_are_the_same(void **state)
{
    int status = 0;
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0)
            _exit(77); /* an older kernel */
        struct regex *r = regex_compile(STR("/v[0-9]+/(a|b)*"), 0, NULL, NULL);
        bool right = r && regex_match(r, STR("/v12/abab"), NULL) && !regex_match(r, STR("/v12/abc"), NULL);
        if (r)
            regex_speed_up(r);
        right = right && regex_match(r, STR("/v1/"), NULL);
        regex_free(r);
        _exit(right ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void many_can_share_one_memory(void **state)
{
    struct regex_memory *m = regex_memory_new();
    (void)state;
    struct regex *a = regex_compile_in(m, STR("a+"), REGEX_NO_JIT, NULL, NULL);
    struct regex *b = regex_compile_in(m, STR("(b)(c)"), REGEX_SEARCH, NULL, NULL);
    struct buf out = {0};
    regex_memory_drop(m); /* the regexes hold it */
    assert_true(regex_match(a, STR("aa"), NULL));
    assert_int_equal(regex_replace(b, STR("xbcx"), STR("\\2\\1"), &out), 1);
    assert_string_equal(buf_cstr(&out), "xcbx");
    assert_false(regex_match(a, STR("b"), NULL));
    regex_free(a);
    regex_free(b);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_match_is_of_the_whole_subject),
        cmocka_unit_test(what_both_engines_know_is_accepted),
        cmocka_unit_test(what_re2_does_not_have_is_refused_with_the_offset),
        cmocka_unit_test(the_length_is_limited),
        cmocka_unit_test(a_hostile_subject_runs_into_the_limit),
        cmocka_unit_test(replacing_is_global_and_knows_groups),
        cmocka_unit_test(a_replacement_may_name_only_groups_that_exist),
        cmocka_unit_test(without_executable_memory_answers_are_the_same),
        cmocka_unit_test(many_can_share_one_memory),
        cmocka_unit_test(the_prefix_is_what_every_match_begins_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
