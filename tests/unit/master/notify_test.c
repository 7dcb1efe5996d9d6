#include "master/notify.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

struct manager {
    int fd;
    struct notify n;
};

static int setup(void **state)
{
    struct manager *m = calloc(1, sizeof(*m));
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char name[64];
    snprintf(name, sizeof(name), "@gatehouse-notify-test-%d", (int)getpid());
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(a.sun_path, name, strlen(name));
    a.sun_path[0] = '\0';
    if (bind(m->fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) != 0)
        return -1;
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("FDSTORE", "16", 1);
    notify_open(&m->n);
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct manager *m = *state;
    notify_close(&m->n);
    close(m->fd);
    free(m);
    return 0;
}

static const char *next(struct manager *m, int *fd)
{
    static char text[4096];
    char control[64];
    struct iovec iov = {text, sizeof(text) - 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(m->fd, &msg, 0);
    if (n < 0)
        return NULL;
    text[n] = '\0';
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (fd)
        *fd = -1;
    if (c && c->cmsg_type == SCM_RIGHTS) {
        int got;
        memcpy(&got, CMSG_DATA(c), sizeof(got));
        if (fd)
            *fd = got;
        else
            close(got);
    }
    return text;
}

static void the_words_of_the_protocol(void **state)
{
    struct manager *m = *state;
    char mainpid[32];
    snprintf(mainpid, sizeof(mainpid), "MAINPID=%d\n", (int)getpid());
    notify_ready(&m->n, "generation 1\nof 2");
    const char *text = next(m, NULL);
    assert_non_null(strstr(text, "READY=1\n"));
    assert_non_null(strstr(text, mainpid));
    assert_non_null(strstr(text, "STATUS=generation 1 of 2\n"));
    notify_reloading(&m->n, NULL);
    text = next(m, NULL);
    assert_non_null(strstr(text, "RELOADING=1\nMONOTONIC_USEC="));
    assert_null(strstr(text, "STATUS"));
    notify_stopping(&m->n, "bye");
    assert_string_equal(next(m, NULL), "STOPPING=1\nSTATUS=bye\n");
    notify_watchdog(&m->n);
    assert_string_equal(next(m, NULL), "WATCHDOG=1\n");
    notify_unstore(&m->n, "bind-1");
    assert_string_equal(next(m, NULL), "FDSTOREREMOVE=1\nFDNAME=bind-1\n");
}

static void a_descriptor_is_handed_over(void **state)
{
    struct manager *m = *state;
    int p[2], got;
    assert_int_equal(pipe(p), 0);
    notify_store(&m->n, "bind-1", p[1]);
    close(p[1]);
    assert_string_equal(next(m, &got), "FDSTORE=1\nFDNAME=bind-1\n");
    assert_true(got >= 0);
    assert_int_equal(write(got, "x", 1), 1);
    close(got);
    close(p[0]);
}

static void without_a_store_no_descriptor_leaves(void **state)
{
    struct manager *m = *state;
    notify_close(&m->n);
    setenv("FDSTORE", "0", 1);
    notify_open(&m->n);
    notify_store(&m->n, "bind-1", STDERR_FILENO);
    notify_unstore(&m->n, "bind-1");
    assert_null(next(m, NULL));
    char pid[16];
    unsetenv("FDSTORE");
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("SYSTEMD_EXEC_PID", pid, 1);
    notify_close(&m->n);
    notify_open(&m->n);
    notify_store(&m->n, "bind-1", STDERR_FILENO);
    assert_string_equal(next(m, NULL), "FDSTORE=1\nFDNAME=bind-1\n");
    unsetenv("SYSTEMD_EXEC_PID");
}

static void a_manager_that_does_not_read_holds_nobody_up(void **state)
{
    struct manager *m = *state;
    int p[2], got, words = 0, fds = 0;
    assert_int_equal(pipe(p), 0);
    notify_store(&m->n, "first", p[0]);
    for (int i = 0; i < 100000; i++) /* more than any socket holds */
        notify_status(&m->n, "still here");
    notify_store(&m->n, "last", p[0]);
    assert_true(m->n.dropped > 0);
    assert_true(notify_flush(&m->n));
    do {
        const char *text;
        while ((text = next(m, &got))) {
            words++;
            fds += got >= 0;
            if (got >= 0)
                close(got);
        }
    } while (notify_flush(&m->n));
    while (next(m, &got))
        if (got >= 0) {
            fds++;
            close(got);
        }
    assert_int_equal(fds, 2); /* descriptors are never the ones that are dropped */
    assert_true(words > NOTIFY_QUEUE);
    close(p[0]);
    close(p[1]);
}

static void without_a_manager_nothing_happens(void **state)
{
    (void)state;
    struct notify n;
    unsetenv("NOTIFY_SOCKET");
    notify_open(&n);
    notify_ready(&n, "x");
    assert_false(notify_flush(&n));
    notify_close(&n);
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    notify_open(&n);
    assert_int_equal(n.fd, -1);
    notify_close(&n);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_words_of_the_protocol),
        TEST(a_descriptor_is_handed_over),
        TEST(without_a_store_no_descriptor_leaves),
        TEST(a_manager_that_does_not_read_holds_nobody_up),
        TEST(without_a_manager_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
