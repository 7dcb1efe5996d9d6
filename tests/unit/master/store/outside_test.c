/* Files that objects name by path: what is read, what is not and why, and that nothing is read twice. */
#include "master/store/outside.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct site {
    struct arena arena;
    struct outside o;
    char dir[64], path[256];
};

static int setup(void **state)
{
    struct site *s = calloc(1, sizeof(*s));
    snprintf(s->dir, sizeof(s->dir), "/tmp/outside-test-XXXXXX");
    arena_init(&s->arena, 0, NULL);
    outside_init(&s->o, &s->arena, STR_NONE, NULL);
    *state = s;
    return mkdtemp(s->dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct site *s = *state;
    char cmd[128];
    snprintf(cmd, sizeof(cmd), "rm -rf %s", s->dir);
    arena_fini(&s->arena);
    int rc = system(cmd);
    free(s);
    return rc;
}

static const char *at(struct site *s, const char *name)
{
    snprintf(s->path, sizeof(s->path), "%s/%s", s->dir, name);
    return s->path;
}

static void put(struct site *s, const char *name, const char *text)
{
    FILE *f = fopen(at(s, name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* The text, or "!" and the reason. */
static const char *got(struct site *s, const char *name)
{
    struct str text;
    const char *why;
    if (outside_read(&s->o, str_c(*name == '/' ? name : at(s, name)), &text, &why)) {
        assert_null(why);
        return arena_str(&s->arena, text).p;
    }
    assert_null(text.p);
    return arena_strf(&s->arena, "!%s", why).p;
}

static void a_file_is_read_once_whoever_asks(void **state)
{
    struct site *s = *state;
    put(s, "a", "one");
    assert_string_equal(got(s, "a"), "one");
    put(s, "a", "two!");
    assert_string_equal(got(s, "a"), "one");
    assert_int_equal(s->o.files.n, 1);
    assert_int_equal(s->o.files.v[0]->stamp.size, 3);
    assert_true(s->o.files.v[0]->content_hash == hash_str(STR("one"), 0));
    struct outside_stamp now = outside_stamp_of(at(s, "a"));
    assert_int_equal(now.size, 4);
    assert_int_equal(now.ino, s->o.files.v[0]->stamp.ino);
}

static void links_lead_anywhere(void **state)
{
    struct site *s = *state;
    put(s, "real", "text");
    char real[256];
    snprintf(real, sizeof(real), "%s", at(s, "real"));
    assert_int_equal(symlink(real, at(s, "link")), 0);
    assert_string_equal(got(s, "link"), "text");
}

static void what_cannot_be_read_is_remembered_with_a_reason(void **state)
{
    struct site *s = *state;
    assert_string_equal(got(s, "gone"), "!there is no such file");
    assert_string_equal(got(s, "gone"), "!there is no such file");
    assert_int_equal(mkdir(at(s, "dir"), 0700), 0);
    assert_string_equal(got(s, "dir"), "!is a directory");
    assert_int_equal(mkfifo(at(s, "pipe"), 0600), 0);
    assert_string_equal(got(s, "pipe"), "!is no regular file");
    assert_string_equal(got(s, "/dev/zero"), "!is no regular file");
    assert_int_equal(symlink("loop", at(s, "loop")), 0);
    assert_non_null(strstr(got(s, "loop"), "symbolic links"));
    assert_int_equal(s->o.files.n, 5);
    assert_int_equal(s->o.files.v[0]->stamp.ino, 0);
    assert_int_not_equal(s->o.files.v[1]->stamp.ino, 0);
}

static void sizes_have_a_limit(void **state)
{
    struct site *s = *state;
    put(s, "empty", "");
    put(s, "big", "");
    assert_string_equal(got(s, "empty"), "");
    assert_int_equal(truncate(at(s, "big"), (off_t)OUTSIDE_BYTES_MAX + 1), 0);
    assert_string_equal(got(s, "big"), "!is larger than 1 MiB");
    put(s, "full", "");
    assert_int_equal(truncate(at(s, "full"), (off_t)OUTSIDE_BYTES_MAX), 0);
    struct str text;
    const char *why;
    assert_true(outside_read(&s->o, str_c(at(s, "full")), &text, &why));
    assert_int_equal(text.n, OUTSIDE_BYTES_MAX);
}

static void a_path_is_absolute_and_a_path(void **state)
{
    struct site *s = *state;
    struct str text;
    const char *why;
    char *big = calloc(1, 8000);
    memset(big, '/', 7999);
    assert_false(outside_read(&s->o, STR("certs/a.pem"), &text, &why));
    assert_string_equal(why, "is no absolute path");
    assert_false(outside_read(&s->o, STR(""), &text, &why));
    assert_false(outside_read(&s->o, STR("/etc/hostname\0x"), &text, &why));
    assert_string_equal(why, "is no path");
    assert_false(outside_read(&s->o, str_of(big, 7999), &text, &why));
    assert_string_equal(why, "is no path");
    assert_false(outside_read(NULL, STR("/etc/hostname"), &text, &why));
    assert_string_equal(why, "files are not read here");
    free(big);
}

static void the_number_of_files_has_a_limit(void **state)
{
    struct site *s = *state;
    char name[32];
    for (int i = 0; i < OUTSIDE_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_string_equal(got(s, name), "!there is no such file");
    }
    put(s, "more", "text");
    assert_non_null(strstr(got(s, "more"), "at most 256"));
    assert_string_equal(got(s, "n7"), "!there is no such file");
    assert_int_equal(s->o.files.n, OUTSIDE_MAX);
}

static void a_root_stands_before_every_path(void **state)
{
    struct site *s = *state;
    struct str text;
    const char *why;
    put(s, "tls.crt", "cert");
    outside_init(&s->o, &s->arena, str_c(s->dir), NULL);
    assert_true(outside_read(&s->o, STR("/tls.crt"), &text, &why));
    assert_true(str_eqc(text, "cert"));
    assert_true(str_eqc(s->o.files.v[0]->path, "/tls.crt"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_read_once_whoever_asks),
        TEST(links_lead_anywhere),
        TEST(what_cannot_be_read_is_remembered_with_a_reason),
        TEST(sizes_have_a_limit),
        TEST(a_path_is_absolute_and_a_path),
        TEST(the_number_of_files_has_a_limit),
        TEST(a_root_stands_before_every_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
