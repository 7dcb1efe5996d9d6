#include "master/rundir.h"
#include "master/settings.h"
#include "shared/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void settings_come_back_as_they_were_written(void **state)
{
    (void)state;
    static struct settings a, b;
    struct buf text = {0};
    settings_defaults(&a);
    a.workers = 7;
    strcpy(a.access_log_format, "%A\n\\%B=\"x\"");
    strcpy(a.admin_address, "");
    settings_write(&a, &text);
    settings_defaults(&b);
    assert_int_equal(settings_parse(&b, buf_str(&text)), 0);
    assert_int_equal(b.workers, 7);
    assert_string_equal(b.access_log_format, a.access_log_format);
    assert_string_equal(b.admin_address, "");
    assert_string_equal(b.run_dir, a.run_dir);
    buf_fini(&text);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static struct settings s;
    static char longer[SETTING_TEXT_MAX + 32] = "user=";
    memset(longer + 5, 'a', SETTING_TEXT_MAX);
    settings_defaults(&s);
    assert_int_equal(settings_parse(&s, STR("workers=many\n")), GH_E_FORMAT);
    assert_int_equal(settings_parse(&s, STR("workers=-1\n")), GH_E_FORMAT);
    assert_int_equal(settings_parse(&s, str_c(longer)), GH_E_FORMAT);
    assert_int_equal(settings_parse(&s, STR("unknown=1\nworkers=3\n")), 0);
    assert_int_equal(s.workers, 3);
    assert_int_equal(settings_parse(&s, STR("")), 0);
}

static void workers_are_bounded_whatever_is_said(void **state)
{
    (void)state;
    static struct settings s;
    s.workers = 1000000;
    assert_int_equal(settings_workers(&s), WORKERS_MAX);
    s.workers = 0;
    assert_true(settings_workers(&s) >= 1 && settings_workers(&s) <= WORKERS_MAX);
}

static void settings_that_need_a_start_are_named(void **state)
{
    (void)state;
    static struct settings a, b;
    struct buf names = {0};
    settings_defaults(&a);
    settings_defaults(&b);
    b.workers = 3;
    settings_not_live(&a, &b, &names);
    assert_int_equal(names.n, 0);
    strcpy(b.user, "somebody");
    strcpy(b.conf_dir, "/elsewhere");
    settings_not_live(&a, &b, &names);
    assert_true(str_eqc(buf_str(&names), "user, conf_dir"));
    buf_fini(&names);
}

static void one_master_for_one_run_directory(void **state)
{
    (void)state;
    char top[] = "/tmp/gh-rundir-XXXXXX", dir[64], path[96];
    pid_t holder = 0;
    assert_non_null(mkdtemp(top));
    snprintf(dir, sizeof(dir), "%s/a/b", top);
    snprintf(path, sizeof(path), "%s/gatehouse.pid", dir);
    assert_int_equal(dir_make(dir, 0755), 0);
    assert_int_equal(dir_make(dir, 0755), 0);
    int fd = rundir_lock(dir, &holder);
    assert_true(fd >= 0);
    assert_int_equal(rundir_lock(dir, &holder), GH_E_EXISTS);
    assert_int_equal(holder, getpid());
    rundir_unlock(dir, fd);
    assert_int_equal(access(path, F_OK), -1);
    fd = rundir_lock(dir, &holder);
    assert_true(fd >= 0);
    rundir_unlock(dir, fd);

    snprintf(path, sizeof(path), "%s/file", top);
    FILE *f = fopen(path, "w");
    fclose(f);
    assert_int_equal(dir_make(path, 0755), GH_E_SYSTEM);
    assert_int_equal(rundir_lock("/nonexistent", &holder), GH_E_SYSTEM);
    unlink(path);
    rmdir(dir);
    snprintf(dir, sizeof(dir), "%s/a", top);
    rmdir(dir);
    rmdir(top);
}

static void the_lock_of_a_dead_master_s_child_is_waited_for(void **state)
{
    (void)state;
    char dir[] = "/tmp/gh-rundir-XXXXXX";
    int ready[2], go[2], status;
    pid_t holder;
    char c;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(pipe(ready) | pipe(go), 0);
    pid_t master = fork();
    if (master == 0) {
        int fd = rundir_lock(dir, &holder);
        if (fork() == 0) { /* has the lock for a moment longer than its parent lives */
            (void)!read(go[0], &c, 1);
            usleep(50000); /* most likely the other waits by then; whether or not, it must get the lock */
            _exit(0);
        }
        (void)!write(ready[1], fd >= 0 ? "y" : "n", 1);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    assert_int_equal(waitpid(master, &status, 0), master);
    assert_int_equal(write(go[1], "x", 1), 1);
    int fd = rundir_lock(dir, &holder);
    assert_true(fd >= 0);
    rundir_unlock(dir, fd);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_come_back_as_they_were_written),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(workers_are_bounded_whatever_is_said),
        cmocka_unit_test(settings_that_need_a_start_are_named),
        cmocka_unit_test(one_master_for_one_run_directory),
        cmocka_unit_test(the_lock_of_a_dead_master_s_child_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
