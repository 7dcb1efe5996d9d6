#include "master/state.h"
#include "shared/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct place {
    char dir[64], path[96];
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    strcpy(p->dir, "/tmp/gh-state-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->path, sizeof(p->path), "%s/state", p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    chmod(p->dir, 0700);
    unlink(p->path);
    rmdir(p->dir); /* fails, and leaks a directory, when a temporary file was left */
    int gone = access(p->dir, F_OK);
    free(p);
    return gone == 0;
}

static void what_was_written_is_read(void **state)
{
    struct place *p = *state;
    struct state_file f;
    struct stat st;
    char got[16] = "";
    assert_int_equal(state_read_file(&f, p->dir), GH_E_NOT_FOUND);
    int image = sealed_memfd("x", STR("the image"));
    for (uint64_t g = 1; g < 4; g++)
        assert_int_equal(state_write_file(p->dir, g, STR("workers=3\n"), image), 0);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(state_read_file(&f, p->dir), 0);
    assert_int_equal(f.generation, 3);
    assert_true(str_eqc(buf_str(&f.settings), "workers=3\n"));
    assert_int_equal(pread(f.image_fd, got, sizeof(got), 0), 9);
    assert_string_equal(got, "the image");
    assert_int_equal(sealed_size(f.image_fd, 100), 9);
    state_file_fini(&f);
    close(image);

    assert_int_equal(state_write_file(p->dir, 9, STR(""), -1), 0);
    assert_int_equal(state_read_file(&f, p->dir), 0);
    assert_int_equal(f.image_fd, -1);
    assert_int_equal(f.generation, 9);
    state_file_fini(&f);
}

static void every_damaged_byte_and_every_cut_is_noticed(void **state)
{
    struct place *p = *state;
    struct state_file f;
    char good[256];
    int image = sealed_memfd("x", STR("the image"));
    assert_int_equal(state_write_file(p->dir, 7, STR("a=b\n"), image), 0);
    close(image);
    int fd = open(p->path, O_RDWR | O_CLOEXEC);
    ssize_t n = pread(fd, good, sizeof(good), 0);
    assert_true(n > 40);
    for (ssize_t i = 0; i < n; i++) {
        char bad = (char)(good[i] ^ 0x10);
        assert_int_equal(pwrite(fd, &bad, 1, i), 1);
        assert_true(state_read_file(&f, p->dir) < 0);
        assert_int_equal(f.image_fd, -1);
        assert_int_equal(pwrite(fd, &good[i], 1, i), 1);
    }
    assert_int_equal(state_read_file(&f, p->dir), 0);
    state_file_fini(&f);
    for (ssize_t cut = n - 1; cut >= 0; cut--) {
        assert_int_equal(ftruncate(fd, cut), 0);
        assert_int_equal(state_read_file(&f, p->dir), GH_E_TRUNCATED);
    }
    close(fd);
}

static void what_is_no_file_is_refused(void **state)
{
    struct place *p = *state;
    struct state_file f;
    assert_int_equal(mkfifo(p->path, 0600), 0);
    assert_int_equal(state_read_file(&f, p->dir), GH_E_FORMAT); /* and does not wait for a writer */
    unlink(p->path);
    assert_int_equal(symlink("/etc/passwd", p->path), 0);
    assert_int_equal(state_read_file(&f, p->dir), GH_E_SYSTEM);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    struct place *p = *state;
    struct state_file f;
    assert_int_equal(state_write_file(p->dir, 1, STR("old"), -1), 0);
    int unsealed = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(unsealed, 10), 0);
    assert_int_equal(state_write_file(p->dir, 2, STR("new"), unsealed), GH_E_SYSTEM);
    close(unsealed);
    assert_int_equal(state_read_file(&f, p->dir), 0);
    assert_int_equal(f.generation, 1);
    state_file_fini(&f);
    assert_int_equal(state_write_file("/nonexistent", 2, STR("new"), -1), GH_E_SYSTEM);
}

static void a_child_saves_without_holding_the_caller_up(void **state)
{
    struct place *p = *state;
    struct state_file f;
    struct log log;
    int status;
    log_init(&log, -1, "test");
    pid_t pid = state_save(p->dir, 5, STR("s"), -1, &log);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(state_read_file(&f, p->dir), 0);
    assert_int_equal(f.generation, 5);
    state_file_fini(&f);
    pid = state_save("/nonexistent", 5, STR("s"), -1, &log);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_not_equal(status, 0);
}

static void only_sealed_memory_counts_as_an_image(void **state)
{
    (void)state;
    int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), p[2];
    assert_int_equal(ftruncate(fd, 10), 0);
    assert_int_equal(sealed_size(fd, 100), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_int_equal(sealed_size(fd, 100), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(sealed_size(fd, 100), 10);
    assert_int_equal(sealed_size(fd, 9), 0);
    close(fd);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(sealed_size(p[0], 100), 0);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read),
        TEST(every_damaged_byte_and_every_cut_is_noticed),
        TEST(what_is_no_file_is_refused),
        TEST(a_failed_write_leaves_the_old_file),
        TEST(a_child_saves_without_holding_the_caller_up),
        TEST(only_sealed_memory_counts_as_an_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
