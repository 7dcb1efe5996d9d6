#include "master/watch.h"
#include "shared/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* A scratch tree with a watch on `conf`, and a clock that only the test moves. */
struct place {
    char top[64], conf[96], config[96];
    struct watch w;
    struct log log;
    uint64_t now;
    int null;
};

static bool is_yaml(struct str name)
{
    return name.n && name.p[0] != '.' && str_ends(name, STR(".yaml"));
}

static char *at(struct place *p, const char *name)
{
    static char path[4][512]; /* several in one expression */
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, 512, "%s/%s", p->top, name);
    return out;
}

static void put(struct place *p, const char *name, const char *text)
{
    FILE *f = fopen(at(p, name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void run(const char *fmt, const char *arg)
{
    char command[512];
    snprintf(command, sizeof(command), fmt, arg);
    assert_int_equal(system(command), 0);
}

static void watch_here(struct place *p)
{
    assert_int_equal(watch_init(&p->w, p->conf, p->config, is_yaml, &p->log, p->now), 0);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    strcpy(p->top, "/tmp/gh-watch-XXXXXX");
    if (!mkdtemp(p->top))
        return -1;
    snprintf(p->conf, sizeof(p->conf), "%s/conf.d", p->top);
    snprintf(p->config, sizeof(p->config), "%s/gatehouse.yaml", p->top);
    mkdir(p->conf, 0755);
    p->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_init(&p->log, p->null, "test");
    p->now = 1000000;
    watch_here(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    watch_fini(&p->w);
    run("rm -rf %s", p->top);
    close(p->null);
    free(p);
    return 0;
}

/* Would a load begin within `ms` from now? The clock moves as far as needed. */
static bool loads_within(struct place *p, uint64_t ms)
{
    uint64_t end = p->now + ms;
    watch_read(&p->w, p->now);
    while (watch_deadline(&p->w) <= end) {
        p->now = GH_MAX(p->now, watch_deadline(&p->w));
        if (watch_tick(&p->w, p->now))
            return true;
    }
    p->now = end;
    return false;
}

static void a_quiet_tree_loads_nothing(void **state)
{
    assert_false(loads_within(*state, 100000));
}

static void files_written_renamed_linked_and_removed_are_seen(void **state)
{
    struct place *p = *state;
    put(p, "conf.d/a.yaml", "x");
    assert_true(loads_within(p, 25));
    put(p, "conf.d/.a.tmp", "y");
    assert_false(loads_within(p, 500));
    assert_int_equal(rename(at(p, "conf.d/.a.tmp"), at(p, "conf.d/a.yaml")), 0);
    assert_true(loads_within(p, 25));
    put(p, "outside", "z");
    assert_false(loads_within(p, 500));
    assert_int_equal(link(at(p, "outside"), at(p, "conf.d/b.yaml")), 0);
    assert_true(loads_within(p, 200));
    assert_int_equal(symlink("a.yaml", at(p, "conf.d/c.yaml")), 0);
    assert_true(loads_within(p, 200));
    assert_int_equal(chmod(at(p, "conf.d/a.yaml"), 0600), 0);
    assert_true(loads_within(p, 25));
    assert_int_equal(unlink(at(p, "conf.d/a.yaml")), 0);
    assert_true(loads_within(p, 200));
    assert_false(loads_within(p, 10000));
}

static void temporary_names_are_passed_over(void **state)
{
    struct place *p = *state;
    put(p, "conf.d/.a.yaml.swp", "x");
    put(p, "conf.d/a.yaml~", "x");
    put(p, "conf.d/README", "x");
    assert_false(loads_within(p, 10000));
}

static void directories_that_come_are_watched_with_all_that_is_in_them(void **state)
{
    struct place *p = *state;
    run("mkdir -p %s/moved/deep/deeper", p->top);
    assert_int_equal(rename(at(p, "moved"), at(p, "conf.d/moved")), 0);
    run("mkdir -p %s/conf.d/made/deep", p->top);
    assert_true(loads_within(p, 200));
    assert_int_equal(watch_count(&p->w), 2 + 3 + 2);
    put(p, "conf.d/moved/deep/deeper/a.yaml", "x");
    assert_true(loads_within(p, 25));
    put(p, "conf.d/made/deep/a.yaml", "x");
    assert_true(loads_within(p, 25));
}

static void a_directory_that_left_is_not_watched_any_more(void **state)
{
    struct place *p = *state;
    run("mkdir -p %s/conf.d/d/e", p->top);
    assert_true(loads_within(p, 200));
    assert_int_equal(rename(at(p, "conf.d/d"), at(p, "gone")), 0);
    assert_true(loads_within(p, 200));
    assert_int_equal(watch_count(&p->w), 2);
    put(p, "gone/a.yaml", "x");
    put(p, "gone/e/a.yaml", "x");
    assert_false(loads_within(p, 10000));
}

static void hidden_directories_are_passed_over(void **state)
{
    struct place *p = *state;
    run("mkdir -p %s/conf.d/.git/x", p->top);
    put(p, "conf.d/.git/x/a.yaml", "x");
    assert_false(loads_within(p, 10000));
}

static void hidden_directories_count_while_there_is_a_link_that_is_not_hidden(void **state)
{
    struct place *p = *state;
    assert_int_equal(symlink("plain", at(p, "conf.d/.hidden.yaml")), 0);
    run("mkdir %s/conf.d/.git", p->top);
    assert_false(loads_within(p, 10000));
    assert_int_equal(watch_count(&p->w), 2);
    assert_int_equal(symlink(".git/a.yaml", at(p, "conf.d/a.yaml")), 0);
    assert_true(loads_within(p, 200));
    assert_int_equal(watch_count(&p->w), 3);
    put(p, "conf.d/.git/a.yaml", "x");
    assert_true(loads_within(p, 200));
    unlink(at(p, "conf.d/a.yaml"));
    assert_true(loads_within(p, 200));
    assert_int_equal(watch_count(&p->w), 2);
}

static void add(struct place *p, const char *name, const char *text)
{
    FILE *f = fopen(at(p, name), "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_file_is_watched_under_all_its_names(void **state)
{
    struct place *p = *state;
    put(p, "outside", "x");
    put(p, "conf.d/b.yaml", "x");
    put(p, "conf.d/plain", "x");
    assert_int_equal(link(at(p, "outside"), at(p, "conf.d/a.yaml")), 0);
    assert_int_equal(link(at(p, "conf.d/b.yaml"), at(p, "conf.d/.b")), 0);
    assert_int_equal(link(at(p, "conf.d/plain"), at(p, "conf.d/c.yaml")), 0);
    assert_int_equal(link(at(p, "outside"), at(p, "gatehouse.yaml")), 0);
    assert_true(loads_within(p, 200));
    assert_int_equal(watch_count(&p->w), 2);
    add(p, "outside", "y");
    assert_true(loads_within(p, 25));
    add(p, "conf.d/.b", "y");
    assert_true(loads_within(p, 25));
    add(p, "conf.d/plain", "y");
    assert_true(loads_within(p, 25));
    put(p, "elsewhere", "x");
    assert_int_equal(link(at(p, "elsewhere"), at(p, "elsewhere.too")), 0);
    assert_int_equal(rename(at(p, "elsewhere"), at(p, "conf.d/a.yaml")), 0);
    assert_true(loads_within(p, 200));
    add(p, "elsewhere.too", "y");
    assert_true(loads_within(p, 25));
    unlink(at(p, "conf.d/a.yaml"));
    assert_true(loads_within(p, 200));
    add(p, "elsewhere.too", "y");
    assert_false(loads_within(p, 10000));
}

static void what_a_link_points_to_is_watched_under_all_its_names(void **state)
{
    struct place *p = *state;
    put(p, "outside", "x");
    assert_int_equal(link(at(p, "outside"), at(p, "conf.d/A.txt")), 0);
    assert_true(loads_within(p, 200));
    assert_int_equal(symlink("A.txt", at(p, "conf.d/z.yaml")), 0);
    assert_true(loads_within(p, 200));
    add(p, "outside", "y");
    assert_true(loads_within(p, 25));
}

static void a_config_map_swap_is_one_load(void **state)
{
    struct place *p = *state;
    run("mkdir -p %s/conf.d/m/..1 %1$s/conf.d/m/..2", p->top);
    assert_int_equal(symlink("..1", at(p, "conf.d/m/..data")), 0);
    assert_int_equal(symlink("..data/a.yaml", at(p, "conf.d/m/a.yaml")), 0);
    assert_true(loads_within(p, 300));
    assert_int_equal(symlink("..2", at(p, "conf.d/m/..data_tmp")), 0);
    assert_int_equal(rename(at(p, "conf.d/m/..data_tmp"), at(p, "conf.d/m/..data")), 0);
    assert_true(loads_within(p, 25));
    assert_false(loads_within(p, 10000));
}

static void a_root_that_vanished_is_lost_and_not_empty(void **state)
{
    struct place *p = *state;
    struct buf why = {0};
    put(p, "conf.d/a.yaml", "x");
    assert_true(loads_within(p, 100));
    assert_true(watch_root_is_there(&p->w, &why));
    assert_int_equal(rename(p->conf, at(p, "hidden")), 0);
    assert_false(loads_within(p, 20000));
    assert_false(watch_root_is_there(&p->w, &why));
    assert_true(str_find(buf_str(&why), STR("No such file")) >= 0);
    assert_int_equal(rename(at(p, "hidden"), p->conf), 0);
    assert_true(loads_within(p, 300));
    assert_true(watch_root_is_there(&p->w, &why));
    put(p, "conf.d/b.yaml", "x");
    assert_true(loads_within(p, 25));
    buf_fini(&why);
}

static void a_root_made_anew_waits_for_its_first_files(void **state)
{
    struct place *p = *state;
    put(p, "conf.d/a.yaml", "x");
    assert_true(loads_within(p, 100));
    run("rm -r %s/conf.d", p->top);
    assert_false(loads_within(p, 5000));
    run("mkdir %s/conf.d", p->top);
    assert_false(loads_within(p, 1000));
    put(p, "conf.d/a.yaml", "x");
    assert_true(loads_within(p, 1500));
}

static void a_root_that_stays_empty_is_believed_in_the_end(void **state)
{
    struct place *p = *state;
    run("rm -r %s/conf.d", p->top);
    assert_false(loads_within(p, 5000));
    run("mkdir %s/conf.d", p->top);
    assert_true(loads_within(p, WATCH_EMPTY_MS + 2 * WATCH_LOST_MS));
}

static void an_unreadable_root_is_lost(void **state)
{
    struct place *p = *state;
    struct buf why = {0};
    watch_fini(&p->w);
    snprintf(p->conf, sizeof(p->conf), "%s/file", p->top);
    put(p, "file", "not a directory");
    watch_here(p);
    assert_false(watch_root_is_there(&p->w, &why));
    buf_fini(&why);
}

static void a_root_that_is_a_link_may_be_switched(void **state)
{
    struct place *p = *state;
    run("mkdir %s/v1 %1$s/v2", p->top);
    put(p, "v1/a.yaml", "1");
    put(p, "v2/a.yaml", "2");
    watch_fini(&p->w);
    assert_int_equal(rmdir(p->conf), 0);
    assert_int_equal(symlink("v1", p->conf), 0);
    watch_here(p);
    put(p, "v1/a.yaml", "11");
    assert_true(loads_within(p, 100));
    assert_int_equal(symlink("v2", at(p, "next")), 0);
    assert_int_equal(rename(at(p, "next"), p->conf), 0);
    assert_true(loads_within(p, 100));
    put(p, "v2/a.yaml", "22");
    assert_true(loads_within(p, 100));
    put(p, "v1/a.yaml", "111");
    assert_false(loads_within(p, 10000));
}

static void the_instance_file_is_watched_by_name(void **state)
{
    struct place *p = *state;
    put(p, "other.yaml", "x");
    assert_false(loads_within(p, 10000));
    put(p, "gatehouse.yaml", "x");
    assert_true(loads_within(p, 100));
}

static void a_file_open_for_writing_is_waited_for(void **state)
{
    struct place *p = *state;
    int fd = open(at(p, "conf.d/a.yaml"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(write(fd, "x\n", 2), 2);
        assert_false(loads_within(p, 50));
    }
    close(fd);
    assert_true(loads_within(p, 25));
}

static void without_inotify_the_tree_is_scanned(void **state)
{
    struct place *p = *state;
    put(p, "conf.d/a.yaml", "x");
    assert_true(loads_within(p, 100));
    close(p->w.fd); /* as if a limit had been met */
    p->w.fd = -1;
    p->w.scanning = true;
    p->w.retry_ms = UINT64_MAX;
    p->w.sweep_ms = p->now + WATCH_SCAN_MS;
    loads_within(p, 10000); /* the first scan may find what an event told before */
    assert_false(loads_within(p, 10000));
    put(p, "conf.d/a.yaml", "xyz");
    assert_true(loads_within(p, WATCH_SCAN_MS + 50));
    assert_false(loads_within(p, 10000));
    unlink(at(p, "conf.d/a.yaml"));
    assert_true(loads_within(p, WATCH_SCAN_MS + 50));
    put(p, "gatehouse.yaml", "x");
    assert_true(loads_within(p, WATCH_SCAN_MS + 50));
    p->w.retry_ms = 0; /* there is room again */
    loads_within(p, WATCH_SCAN_MS + 50);
    assert_true(p->w.fd >= 0);
    assert_false(p->w.scanning);
    put(p, "conf.d/b.yaml", "x");
    assert_true(loads_within(p, 25));
}

static void an_overflow_of_the_queue_reads_everything_again(void **state)
{
    struct place *p = *state;
    int max = 16384;
    FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &max), 1);
    fclose(f);
    if (max > 100000)
        skip();
    run("mkdir %s/conf.d/first", p->top);
    assert_true(loads_within(p, 300));
    for (int i = 0; i < max / 2 + 8; i++) { /* two names in turn, so that events are not merged */
        assert_int_equal(utimensat(AT_FDCWD, p->conf, NULL, 0), 0);
        put(p, i & 1 ? "conf.d/first/a.yaml" : "conf.d/first/b.yaml", "x");
    }
    run("mkdir -p %s/conf.d/late/r", p->top);
    assert_true(loads_within(p, 300));
    put(p, "conf.d/late/r/a.yaml", "x");
    assert_true(loads_within(p, 25));
}

static void a_load_for_another_reason_takes_the_changes_along(void **state)
{
    struct place *p = *state;
    put(p, "conf.d/a.yaml", "x");
    watch_load_begins(&p->w, p->now);
    assert_false(loads_within(p, 10000));
}

/* ---- files outside ---- */

/* A load has read these now, as they are; more names may follow, NULL at the end. */
static void has_read(struct place *p, bool replace, const char *const *names)
{
    struct watch_file v[8] = {0};
    char path[8][512];
    size_t n = 0;
    for (; names[n]; n++) {
        struct stat st;
        snprintf(path[n], sizeof(path[n]), "%s/%s", p->top, names[n]);
        v[n].path = path[n];
        if (stat(path[n], &st) == 0) {
            v[n].dev = st.st_dev;
            v[n].ino = st.st_ino;
            v[n].size = (uint64_t)st.st_size;
            v[n].mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
            v[n].ctime_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
        }
    }
    watch_read(&p->w, p->now); /* what was before is nothing new */
    settle_clear(&p->w.settle);
    assert_int_equal(watch_outside(&p->w, v, n, replace, p->now), 0);
}
#define HAS_READ(p, ...) has_read((p), true, (const char *const[]){__VA_ARGS__, NULL})

static void a_file_outside_is_seen_however_it_is_changed(void **state)
{
    struct place *p = *state;
    run("mkdir -p %s/certs/other", p->top);
    put(p, "certs/tls.crt", "one");
    HAS_READ(p, "certs/tls.crt");
    assert_false(loads_within(p, 500));
    put(p, "certs/tls.crt", "two!"); /* in place */
    assert_true(loads_within(p, 100));
    HAS_READ(p, "certs/tls.crt");
    put(p, "certs/new", "three");
    assert_false(loads_within(p, 500)); /* another name */
    assert_int_equal(rename(at(p, "certs/new"), at(p, "certs/tls.crt")), 0);
    assert_true(loads_within(p, 100));
    HAS_READ(p, "certs/tls.crt");
    assert_int_equal(unlink(at(p, "certs/tls.crt")), 0);
    assert_true(loads_within(p, 300));
    HAS_READ(p, "certs/tls.crt"); /* it is not there */
    assert_false(loads_within(p, 500));
    put(p, "certs/tls.crt", "four"); /* and appears again */
    assert_true(loads_within(p, 100));
    HAS_READ(p, "certs/tls.crt");
    assert_int_equal(chmod(at(p, "certs/tls.crt"), 0600), 0);
    assert_true(loads_within(p, 100));
    HAS_READ(p, "certs/tls.crt");
    assert_false(loads_within(p, 60000));
}

static void links_on_the_way_to_a_file_outside_are_followed(void **state)
{
    struct place *p = *state;
    run("cd %s && mkdir -p certs/..1 certs/..2 && echo a > certs/..1/tls.crt && echo b > certs/..2/tls.crt && "
        "ln -s ..1 certs/..data && ln -s ..data/tls.crt certs/tls.crt && ln -s certs mounted", p->top);
    HAS_READ(p, "mounted/tls.crt");
    assert_false(loads_within(p, 500));
    run("ln -s ..2 %s/certs/..tmp", p->top);
    assert_false(loads_within(p, 500));
    assert_int_equal(rename(at(p, "certs/..tmp"), at(p, "certs/..data")), 0); /* as a mounted Secret is renewed */
    assert_true(loads_within(p, 100));
    HAS_READ(p, "mounted/tls.crt");
    put(p, "certs/..1/tls.crt", "what nobody reads any more");
    assert_false(loads_within(p, 500));
    put(p, "certs/..2/tls.crt", "what is read now");
    assert_true(loads_within(p, 100));
    HAS_READ(p, "mounted/tls.crt");
    run("cd %s && mkdir others && echo c > others/tls.crt && ln -s others m && mv -T m mounted", p->top);
    assert_true(loads_within(p, 100)); /* a link further up */
    HAS_READ(p, "mounted/tls.crt");
    put(p, "others/tls.crt", "c2");
    assert_true(loads_within(p, 100));
}

static void a_directory_that_is_not_there_yet_is_waited_for(void **state)
{
    struct place *p = *state;
    HAS_READ(p, "a/b/c/tls.crt");
    assert_false(loads_within(p, 500));
    run("mkdir %s/a", p->top);
    assert_true(loads_within(p, 100));
    run("mkdir -p %s/a/b/c", p->top);
    assert_true(loads_within(p, 100));
    put(p, "a/b/c/tls.crt", "x");
    assert_true(loads_within(p, 100));
    HAS_READ(p, "a/b/c/tls.crt");
    run("rm -rf %s/a", p->top);
    assert_true(loads_within(p, 300));
    HAS_READ(p, "a/b/c/tls.crt");
    run("cd %s && mkdir -p a/b/c && echo y > a/b/c/tls.crt", p->top);
    assert_true(loads_within(p, 300));
}

static void what_changed_between_reading_and_watching_is_a_change(void **state)
{
    struct place *p = *state;
    put(p, "tls.crt", "one");
    char path[512];
    snprintf(path, sizeof(path), "%s", at(p, "tls.crt"));
    struct watch_file was = {.path = path, .ino = 1, .size = 3};
    assert_int_equal(watch_outside(&p->w, &was, 1, true, p->now), 0);
    assert_true(loads_within(p, 100));
    /* the load could not look at it for some reason, and says the same: once is enough */
    assert_int_equal(watch_outside(&p->w, &was, 1, true, p->now), 0);
    assert_false(loads_within(p, 100000));
    put(p, "tls.crt", "two");
    assert_true(loads_within(p, 100));
}

static void files_of_a_load_that_failed_are_watched_beside_those_before(void **state)
{
    struct place *p = *state;
    put(p, "one", "1");
    put(p, "two", "2");
    HAS_READ(p, "one");
    has_read(p, false, (const char *const[]){"two", NULL});
    put(p, "one", "1!");
    assert_true(loads_within(p, 100));
    put(p, "two", "2!");
    assert_true(loads_within(p, 100));
    HAS_READ(p, "two");
    assert_false(loads_within(p, 100000));
    put(p, "one", "1!!"); /* nobody's any more */
    assert_false(loads_within(p, 100000));
    has_read(p, true, (const char *const[]){NULL});
    put(p, "two", "2!!");
    assert_false(loads_within(p, 100000));
}

static void without_inotify_files_outside_are_compared(void **state)
{
    struct place *p = *state;
    put(p, "tls.crt", "one");
    HAS_READ(p, "tls.crt");
    close(p->w.fd);
    p->w.fd = -1;
    p->w.retry_ms = UINT64_MAX;
    p->w.sweep_ms = p->now;
    loads_within(p, 0);
    put(p, "tls.crt", "longer");
    assert_true(loads_within(p, WATCH_SCAN_MS + 100));
    HAS_READ(p, "tls.crt");
    assert_false(loads_within(p, 100000));
}

static void a_file_inside_the_tree_may_be_named_too(void **state)
{
    struct place *p = *state;
    put(p, "conf.d/tls.crt", "one");
    loads_within(p, 1000);
    HAS_READ(p, "conf.d/tls.crt");
    put(p, "conf.d/tls.crt", "two");
    assert_true(loads_within(p, 100));
    HAS_READ(p, "conf.d/tls.crt");
    put(p, "conf.d/a.yaml", "x");
    assert_true(loads_within(p, 100));
    assert_false(loads_within(p, 10000));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_quiet_tree_loads_nothing),
        TEST(files_written_renamed_linked_and_removed_are_seen),
        TEST(temporary_names_are_passed_over),
        TEST(directories_that_come_are_watched_with_all_that_is_in_them),
        TEST(a_directory_that_left_is_not_watched_any_more),
        TEST(hidden_directories_are_passed_over),
        TEST(hidden_directories_count_while_there_is_a_link_that_is_not_hidden),
        TEST(a_file_is_watched_under_all_its_names),
        TEST(what_a_link_points_to_is_watched_under_all_its_names),
        TEST(a_config_map_swap_is_one_load),
        TEST(a_root_that_vanished_is_lost_and_not_empty),
        TEST(a_root_made_anew_waits_for_its_first_files),
        TEST(a_root_that_stays_empty_is_believed_in_the_end),
        TEST(an_unreadable_root_is_lost),
        TEST(a_root_that_is_a_link_may_be_switched),
        TEST(the_instance_file_is_watched_by_name),
        TEST(a_file_open_for_writing_is_waited_for),
        TEST(without_inotify_the_tree_is_scanned),
        TEST(an_overflow_of_the_queue_reads_everything_again),
        TEST(a_load_for_another_reason_takes_the_changes_along),
        TEST(a_file_outside_is_seen_however_it_is_changed),
        TEST(links_on_the_way_to_a_file_outside_are_followed),
        TEST(a_directory_that_is_not_there_yet_is_waited_for),
        TEST(what_changed_between_reading_and_watching_is_a_change),
        TEST(files_of_a_load_that_failed_are_watched_beside_those_before),
        TEST(without_inotify_files_outside_are_compared),
        TEST(a_file_inside_the_tree_may_be_named_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
