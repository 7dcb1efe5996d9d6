#include "tests/unit/shared/base/base_test.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct pipe_log {
    int ends[2];
    struct log log;
};

static int open_log(void **state)
{
    struct pipe_log *p = calloc(1, sizeof(*p));
    assert_int_equal(pipe2(p->ends, O_NONBLOCK | O_CLOEXEC), 0);
    log_init(&p->log, p->ends[1], "worker/2");
    *state = p;
    return 0;
}

static int close_log(void **state)
{
    struct pipe_log *p = *state;
    close(p->ends[0]);
    close(p->ends[1]);
    free(p);
    return 0;
}

static struct str read_all(struct pipe_log *p, char *text, size_t cap)
{
    ssize_t n = read(p->ends[0], text, cap);
    return str_of(text, n > 0 ? (size_t)n : 0);
}

static void a_line_has_time_level_and_ident(void **state)
{
    struct pipe_log *p = *state;
    char text[4096];
    log_warn(&p->log, "reload %d failed", 7);
    struct str s = read_all(p, text, sizeof(text));
    assert_int_equal(s.p[4], '-');
    assert_true(str_ends(s, STR("Z warning worker/2: reload 7 failed\n")));
}

static void levels_above_the_set_one_are_not_written(void **state)
{
    struct pipe_log *p = *state;
    char text[4096];
    log_debug(&p->log, "no");
    p->log.level = LOG_LV_ERROR;
    log_info(&p->log, "no");
    log_warn(&p->log, "no");
    log_error(&p->log, "yes");
    struct str s = read_all(p, text, sizeof(text));
    assert_true(str_ends(s, STR("error worker/2: yes\n")));
    assert_int_equal(str_find(s, STR("no\n")), -1);
}

static void the_journal_gets_a_priority_and_no_time(void **state)
{
    struct pipe_log *p = *state;
    char text[4096], name[64];
    struct stat st;
    fstat(p->ends[1], &st);
    snprintf(name, sizeof(name), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    log_init(&p->log, p->ends[1], "master");
    unsetenv("JOURNAL_STREAM");
    log_info(&p->log, "up");
    assert_str(read_all(p, text, sizeof(text)), "<6>master: up\n");
}

static void another_stream_is_not_the_journal(void **state)
{
    struct pipe_log *p = *state;
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_init(&p->log, p->ends[1], "master");
    unsetenv("JOURNAL_STREAM");
    assert_false(p->log.journal);
}

static void control_bytes_cannot_forge_a_line(void **state)
{
    struct pipe_log *p = *state;
    char text[4096];
    log_info(&p->log, "path %s", "/a\r\n<0>forged\x1b[2J");
    struct str s = read_all(p, text, sizeof(text));
    assert_true(str_ends(s, STR("path /a\\x0d\\x0a<0>forged\\x1b[2J\n")));
    assert_int_equal(str_chr(s, '\n'), (ptrdiff_t)s.n - 1);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    struct pipe_log *p = *state;
    char text[4096], longer[3000];
    memset(longer, '\x01', sizeof(longer) - 1); /* four bytes each when made visible */
    longer[sizeof(longer) - 1] = '\0';
    log_info(&p->log, "%s", longer);
    struct str s = read_all(p, text, sizeof(text));
    assert_true(s.n > 1900 && s.n <= 2048);
    assert_int_equal(s.p[s.n - 1], '\n');
}

static void what_the_reader_does_not_take_is_counted(void **state)
{
    struct pipe_log *p = *state;
    errno = EXDEV;
    for (int i = 0; i < 100000 && p->log.dropped == 0; i++)
        log_info(&p->log, "%s", "some line of text that fills the pipe");
    assert_true(p->log.dropped > 0);
    assert_int_equal(errno, EXDEV);
}

struct item {
    int value;
    struct list node;
};

static void a_list_keeps_order_and_allows_removal_while_walking(void **state)
{
    (void)state;
    struct list head;
    struct item items[5];
    int order[5], n = 0;
    list_init(&head);
    assert_true(list_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        if (i == 4)
            list_push_front(&head, &items[i].node);
        else
            list_push(&head, &items[i].node);
    }
    LIST_EACH(it, &head)
    {
        struct item *item = LIST_ITEM(it, struct item, node);
        if (item->value % 2)
            list_del(it);
        else
            order[n++] = item->value;
    }
    assert_int_equal(n, 3);
    assert_int_equal(order[0], 4);
    assert_int_equal(order[2], 2);
    list_del(&items[1].node); /* twice is harmless */
    assert_true(list_empty(&items[1].node));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_and_ident, open_log, close_log),
        cmocka_unit_test_setup_teardown(levels_above_the_set_one_are_not_written, open_log, close_log),
        cmocka_unit_test_setup_teardown(the_journal_gets_a_priority_and_no_time, open_log, close_log),
        cmocka_unit_test_setup_teardown(another_stream_is_not_the_journal, open_log, close_log),
        cmocka_unit_test_setup_teardown(control_bytes_cannot_forge_a_line, open_log, close_log),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_still_ends, open_log, close_log),
        cmocka_unit_test_setup_teardown(what_the_reader_does_not_take_is_counted, open_log, close_log),
        cmocka_unit_test(a_list_keeps_order_and_allows_removal_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
