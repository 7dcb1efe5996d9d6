/* "Config poison": what a directory may hold, and that nothing of it hurts. */
#include "tests/unit/master/store/load_test.h"

#include <sys/socket.h>
#include <sys/un.h>

static void link_to(struct site *s, const char *target, const char *name)
{
    char path[512];
    site_path(s, name, path);
    assert_int_equal(symlink(target, path), 0);
}

static void names_of_configuration(void **state)
{
    (void)state;
    static const char *const yes[] = {"a.yaml", "a.yml", "a.json", "a.b.yaml", "A.YAML", "4913.yaml", "-.yaml"};
    static const char *const no[] = {"",           ".yaml",      ".a.yaml", "a.yaml~",    "#a.yaml#", ".#a.yaml", "a.yaml.swp", ".a.yaml.swp", "4913",
                                     "a.yaml.tmp", "a.yaml.bak", "a.txt",   "a",          "yaml",     "a.yamlx",  "~a.yaml",    "a.yaml.rpmnew",
                                     ".a.yaml.X7f3Qz", "a.yaml.dpkg-new", "sedAbC123", "a.yaml___jb_tmp___", "..data", "a.yaml.orig"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (!load_name_is_config(str_c(yes[i])))
            fail_msg("%s", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (load_name_is_config(str_c(no[i])))
            fail_msg("%s", no[i]);
}

static void what_is_no_file_is_passed_over_without_blocking(void **state)
{
    (void)state;
    struct site s;
    char path[512];
    site_init(&s);
    put(&s, "good.yaml", CONFIG_MAP("one", "v"));
    site_path(&s, "fifo.yaml", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    site_path(&s, "dir.yaml", path);
    assert_int_equal(mkdir(path, 0700), 0);
    site_path(&s, "socket.yaml", path);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    link_to(&s, "fifo.yaml", "link-to-fifo.yaml");
    load(&s);
    assert_string_equal(found(&s), "dir.yaml: warning: not read: it is a directory with the name of a file\n"
                                   "fifo.yaml: warning: not read: it is a named pipe\n"
                                   "link-to-fifo.yaml: warning: not read: it is a named pipe\n"
                                   "socket.yaml: warning: not read: it is a socket\n");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\n");
    close(fd);
    site_fini(&s);
}

static void links_are_followed_only_inside(void **state)
{
    (void)state;
    struct site s, outside;
    char path[512];
    site_init(&s);
    site_init(&outside);
    put(&outside, "secret.yaml", CONFIG_MAP("outside", "v"));
    put(&s, "real/a.yaml", CONFIG_MAP("one", "v"));
    put(&s, ".store/b.yaml", CONFIG_MAP("two", "v"));
    put(&s, "dup.yaml", CONFIG_MAP("three", "v"));
    link_to(&s, ".store/b.yaml", "inside.yaml");
    link_to(&s, "dup.yaml", "z-dup.yaml");
    site_path(&outside, "secret.yaml", path);
    link_to(&s, path, "absolute.yaml");
    link_to(&s, "../../etc/passwd", "up.yaml");
    link_to(&s, outside.dir, "elsewhere");
    link_to(&s, "self.yaml", "self.yaml");
    link_to(&s, "nowhere.yaml", "dangling.yaml");
    link_to(&s, ".", "real/around");
    link_to(&s, "../real", "real/loop");
    load(&s);
    assert_string_equal(found(&s), "absolute.yaml: warning: not read: the link leads out of the configuration directory\n"
                                   "dangling.yaml: warning: not read: the link leads nowhere\n"
                                   "real/around/: warning: not read: the link leads back to a directory around it\n"
                                   "real/loop/: warning: not read: the link leads back to a directory around it\n"
                                   "self.yaml: warning: not read: the link leads to itself\n"
                                   "up.yaml: warning: not read: the link leads out of the configuration directory\n"
                                   "z-dup.yaml: info: not read: the same file as dup.yaml\n");
    assert_string_equal(listed(&s), "ConfigMap default/three accepted\nConfigMap default/two accepted\nConfigMap default/one accepted\n");
    site_fini(&s);
    site_fini(&outside);
}

static void one_file_may_serve_two_namespaces_by_links(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, ".shared/a.yaml", CONFIG_MAP("one", "v"));
    put(&s, "ns/team-a/x.yaml", CONFIG_MAP("x", "v"));
    put(&s, "ns/team-b/x.yaml", CONFIG_MAP("x", "v"));
    link_to(&s, "../../.shared/a.yaml", "ns/team-a/shared.yaml");
    link_to(&s, "../../.shared/a.yaml", "ns/team-b/shared.yaml");
    load(&s);
    assert_string_equal(found(&s), "");
    assert_string_equal(listed(&s), "ConfigMap team-a/one accepted\nConfigMap team-a/x accepted\nConfigMap team-b/one accepted\nConfigMap team-b/x accepted\n");
    site_fini(&s);
}

/* As the kubelet mounts a ConfigMap: names -> ..data/name, ..data -> a directory with a time. */
static void a_mounted_config_map_is_read_through_its_data_link(void **state)
{
    (void)state;
    struct site s;
    char from[512], to[512];
    site_init(&s);
    put(&s, "mount/..2026_01/a.yaml", CONFIG_MAP("one", "old"));
    put(&s, "mount/..2026_01/b.yaml", CONFIG_MAP("two", "old"));
    put(&s, "mount/..2026_02/a.yaml", CONFIG_MAP("one", "new"));
    put(&s, "mount/..2026_02/b.yaml", CONFIG_MAP("two", "new"));
    link_to(&s, "..2026_01", "mount/..data");
    link_to(&s, "..data/a.yaml", "mount/a.yaml");
    link_to(&s, "..data/b.yaml", "mount/b.yaml");
    load(&s);
    assert_string_equal(found(&s), "");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\nConfigMap default/two accepted\n");
    assert_str(node_text(node_walk(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("two"))->root, "data.k")), "old");
    link_to(&s, "..2026_02", "mount/..data_tmp");
    site_path(&s, "mount/..data_tmp", from);
    site_path(&s, "mount/..data", to);
    assert_int_equal(rename(from, to), 0);
    load(&s);
    assert_string_equal(found(&s), "");
    assert_str(node_text(node_walk(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("two"))->root, "data.k")), "new");
    assert_str(node_text(node_walk(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"))->root, "data.k")), "new");
    site_fini(&s);
}

static void what_can_not_be_read_keeps_its_objects(void **state)
{
    (void)state;
    struct site s;
    char path[512];
    bool root = geteuid() == 0; /* who reads everything: become nobody for the load */
    site_init(&s);
    assert_int_equal(chmod(s.dir, 0755), 0);
    put(&s, "a.yaml", CONFIG_MAP("one", "v"));
    put(&s, "sub/b.yaml", CONFIG_MAP("two", "v"));
    load(&s);
    site_path(&s, "a.yaml", path);
    assert_int_equal(chmod(path, 0), 0);
    site_path(&s, "sub", path);
    assert_int_equal(chmod(path, 0), 0);
    assert_true(!root || seteuid(65534) == 0);
    load(&s);
    assert_true(!root || seteuid(0) == 0);
    assert_string_equal(found(&s), "a.yaml: error: Permission denied\n"
                                   "a.yaml: warning: ConfigMap default/one: the last good version keeps serving until this is mended\n"
                                   "sub/: error: Permission denied\n"
                                   "sub/b.yaml: warning: ConfigMap default/two: the last good version keeps serving until this is mended\n");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted stale\nConfigMap default/two accepted stale\n");
    site_fini(&s);
}

static void a_missing_directory_is_empty_at_first_and_an_alarm_later(void **state)
{
    (void)state;
    struct site s;
    char away[128];
    site_init(&s);
    snprintf(away, sizeof(away), "%s-away", s.dir);
    assert_int_equal(rename(s.dir, away), 0);
    load(&s);
    assert_string_equal(found(&s), "");
    assert_int_equal(rename(away, s.dir), 0);
    put(&s, "a.yaml", CONFIG_MAP("one", "v"));
    load(&s);
    assert_int_equal(rename(s.dir, away), 0);
    load(&s);
    assert_string_equal(found(&s), ".: error: No such file or directory\n"
                                   "a.yaml: warning: ConfigMap default/one: the last good version keeps serving until this is mended\n");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted stale\n");
    assert_int_equal(rename(away, s.dir), 0);
    load(&s);
    assert_string_equal(found(&s), "");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\n");
    site_fini(&s);
}

static void sizes_are_limited_by_name_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct site s;
    struct yaml_limits limits = YAML_LIMITS_DEFAULT;
    char path[512];
    site_init(&s);
    limits.max_file = 200;
    limits.max_total = 300;
    put(&s, "a.yaml", CONFIG_MAP("one", "v"));
    put(&s, "big.yaml", CONFIG_MAP("big", "v"));
    put(&s, "c.yaml", CONFIG_MAP("three", "v"));
    load_with(&s, &limits, true);
    assert_string_equal(found(&s), "");
    site_path(&s, "big.yaml", path);
    assert_int_equal(truncate(path, 1 << 30), 0); /* a gigabyte, of which no byte is read */
    load_with(&s, &limits, true);
    assert_string_equal(found(&s), "big.yaml: error: 1073741824 bytes, at most 200 are read of one file\n"
                                   "big.yaml: warning: ConfigMap default/big: the last good version keeps serving until this is mended\n");
    assert_true(s.arena.total < 1 << 20);
    put(&s, "big.yaml", CONFIG_MAP("big", "v"));
    put(&s, "d.yaml", CONFIG_MAP("four", "v"));
    put(&s, "e.yaml", CONFIG_MAP("five", "v"));
    load_with(&s, &limits, true);
    assert_string_equal(found(&s), "e.yaml: error: from here on nothing is read: all files together exceed 300 bytes\n");
    assert_int_equal(s.store.n_by_kind[KIND_CONFIG_MAP], 4);
    limits = YAML_LIMITS_DEFAULT;
    limits.max_all_nodes = 10;
    load_with(&s, &limits, true);
    assert_string_equal(found(&s), "big.yaml: error: from here on nothing is read: all documents together have more than 10 nodes\n"
                                   "c.yaml: warning: ConfigMap default/three: the last good version keeps serving until this is mended\n"
                                   "d.yaml: warning: ConfigMap default/four: the last good version keeps serving until this is mended\n");
    site_fini(&s);
}

static void directories_may_not_nest_without_end(void **state)
{
    (void)state;
    struct site s;
    char name[512] = "";
    site_init(&s);
    for (int i = 0; i < 40; i++)
        strcat(name, "d/");
    strcat(name, "a.yaml");
    put(&s, name, CONFIG_MAP("deep", "v"));
    load(&s);
    assert_int_equal(s.store.n_all, 0);
    assert_non_null(strstr(found(&s), "d/: warning: not read: directories are nested too deep"));
    site_fini(&s);
}

static void poisoned_texts_cost_their_document_only(void **state)
{
    (void)state;
    struct site s;
    struct buf deep = {0};
    site_init(&s);
    for (int i = 0; i < 100000; i++)
        buf_addc(&deep, "[");
    put(&s, "bomb.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n---\n" CONFIG_MAP("one", "v"));
    put_text(&s, "deep.yaml", buf_str(&deep));
    put_text(&s, "nul.yaml", STR("apiVersion: v1\0\n"));
    put_text(&s, "utf16.yaml", STR("\xff\xfe" "a\0"));
    put(&s, "tabs.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n");
    put(&s, "bom-crlf.yaml", "\xef\xbb\xbf" "apiVersion: v1\r\nkind: ConfigMap\r\nmetadata:\r\n  name: two\r\n");
    load(&s);
    assert_string_equal(found(&s), "bomb.yaml:4:8: error: aliases make more than 1000 nodes\n"
                                   "deep.yaml:1:65: error: lists and maps are nested more than 64 deep\n"
                                   "nul.yaml:1:15: error: a NUL byte at byte 14 (is this a text file?)\n"
                                   "tabs.yaml:4:1: error: a tab can't be used for indentation (use spaces)\n"
                                   "utf16.yaml:1:1: error: UTF-16 text at byte 0 (save the file as UTF-8)\n");
    assert_string_equal(listed(&s), "ConfigMap default/two accepted\nConfigMap default/one accepted\n");
    buf_fini(&deep);
    site_fini(&s);
}

static void files_that_are_named_may_be_anything_readable(void **state)
{
    (void)state;
    struct site s;
    struct arena a;
    struct diags ds;
    struct store st;
    struct load_stats stats;
    char path[512];
    int pipe_fd[2];
    site_init(&s);
    put(&s, "no-suffix", CONFIG_MAP("one", "v"));
    assert_int_equal(pipe(pipe_fd), 0);
    static const char text[] = CONFIG_MAP("two", "v");
    assert_int_equal(write(pipe_fd[1], text, sizeof(text) - 1), sizeof(text) - 1);
    close(pipe_fd[1]);
    char dev_fd[32];
    snprintf(dev_fd, sizeof(dev_fd), "/dev/fd/%d", pipe_fd[0]);
    site_path(&s, "no-suffix", path);
    const char *paths[] = {path, dev_fd, "/nonexistent/x.yaml"};
    struct load_input in = {.paths = paths, .n_paths = 3};
    arena_init(&a, 0, test_oom);
    diags_init(&ds, &a);
    load_all(&st, &a, &ds, &in, &stats);
    assert_int_equal(st.n_by_kind[KIND_CONFIG_MAP], 2);
    assert_int_equal(ds.n, 1);
    assert_int_equal(ds.v[0].code, DIAG_FileUnreadable);
    close(pipe_fd[0]);
    arena_fini(&a);
    site_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_configuration),
        cmocka_unit_test(what_is_no_file_is_passed_over_without_blocking),
        cmocka_unit_test(links_are_followed_only_inside),
        cmocka_unit_test(one_file_may_serve_two_namespaces_by_links),
        cmocka_unit_test(a_mounted_config_map_is_read_through_its_data_link),
        cmocka_unit_test(what_can_not_be_read_keeps_its_objects),
        cmocka_unit_test(a_missing_directory_is_empty_at_first_and_an_alarm_later),
        cmocka_unit_test(sizes_are_limited_by_name_and_the_rest_goes_on),
        cmocka_unit_test(directories_may_not_nest_without_end),
        cmocka_unit_test(poisoned_texts_cost_their_document_only),
        cmocka_unit_test(files_that_are_named_may_be_anything_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
