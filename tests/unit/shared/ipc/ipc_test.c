#include "shared/base/err.h"
#include "shared/ipc/ipc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct wire {
    int fd[2];
    struct ipc_msg in, out;
};

static int setup(void **state)
{
    struct wire *w = calloc(1, sizeof(*w));
    assert_int_equal(ipc_pair(w->fd), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct wire *w = *state;
    for (int i = 0; i < 2; i++)
        if (w->fd[i] >= 0)
            close(w->fd[i]);
    free(w);
    return 0;
}

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void set_text(struct ipc_msg *m, const char *text)
{
    m->text_n = strlen(text);
    memcpy(m->text, text, m->text_n + 1);
}

static void a_message_arrives_whole_with_its_descriptor(void **state)
{
    struct wire *w = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    w->out.type = IPC_LISTENER;
    w->out.u.as_LISTENER = (struct ipc_listener){.bind_id = 0x1122334455667788, .port = 80, .family = 10};
    set_text(&w->out, "2001:db8::1");
    w->out.fds[0] = p[1];
    w->out.n_fds = 1;
    assert_int_equal(ipc_send(w->fd[0], &w->out), 0);
    close(p[1]);

    assert_int_equal(ipc_recv(w->fd[1], &w->in), 1);
    assert_int_equal(w->in.type, IPC_LISTENER);
    assert_true(w->in.u.as_LISTENER.bind_id == 0x1122334455667788);
    assert_int_equal(w->in.u.as_LISTENER.port, 80);
    assert_string_equal(w->in.text, "2001:db8::1");
    assert_int_equal(w->in.n_fds, 1);
    assert_true(fcntl(w->in.fds[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(w->in.fds[0], "x", 1), 1);
    char c = 0;
    assert_int_equal(read(p[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    ipc_msg_close_fds(&w->in);
    close(p[0]);
}

static void nothing_there_is_zero_and_the_end_is_closed(void **state)
{
    struct wire *w = *state;
    assert_int_equal(ipc_recv(w->fd[1], &w->in), 0);
    close(w->fd[0]);
    w->fd[0] = -1;
    assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_CLOSED);
    w->out.type = IPC_COMMIT;
    assert_int_equal(ipc_send(w->fd[1], &w->out), GH_E_CLOSED);
}

static void messages_before_the_end_are_still_read(void **state)
{
    struct wire *w = *state;
    w->out.type = IPC_COMMIT;
    w->out.u.as_COMMIT.generation = 7;
    assert_int_equal(ipc_send(w->fd[0], &w->out), 0);
    close(w->fd[0]);
    w->fd[0] = -1;
    assert_int_equal(ipc_recv(w->fd[1], &w->in), 1);
    assert_int_equal(w->in.u.as_COMMIT.generation, 7);
    assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_CLOSED);
}

static void a_reader_that_does_not_read_never_blocks_the_sender(void **state)
{
    struct wire *w = *state;
    w->out.type = IPC_ACTIVE;
    int rc = 0, n = 0;
    while ((rc = ipc_send(w->fd[0], &w->out)) == 0 && n < 100000)
        n++;
    assert_int_equal(rc, GH_E_AGAIN);
    assert_true(n > 8);
    assert_int_equal(ipc_recv(w->fd[1], &w->in), 1);
}

static void the_longest_text_fits(void **state)
{
    struct wire *w = *state;
    w->out.type = IPC_HELLO;
    memset(w->out.text, 'a', IPC_MAX_TEXT);
    w->out.text_n = IPC_MAX_TEXT;
    assert_int_equal(ipc_send(w->fd[0], &w->out), 0);
    assert_int_equal(ipc_recv(w->fd[1], &w->in), 1);
    assert_int_equal(w->in.text_n, IPC_MAX_TEXT);
    assert_int_equal(strlen(w->in.text), IPC_MAX_TEXT);
}

/* A real packet of type COMMIT, to be spoiled. */
static size_t real_packet(struct wire *w, char *bytes, size_t room)
{
    int pair[2];
    assert_int_equal(ipc_pair(pair), 0);
    w->out = (struct ipc_msg){.type = IPC_COMMIT, .u.as_COMMIT.generation = 1};
    assert_int_equal(ipc_send(pair[0], &w->out), 0);
    ssize_t n = recv(pair[1], bytes, room, 0);
    assert_true(n > 12);
    close(pair[0]);
    close(pair[1]);
    return (size_t)n;
}

static void send_raw(int fd, const void *p, size_t n, const int *fds, size_t n_fds)
{
    struct iovec iov = {(void *)p, n};
    char control[CMSG_SPACE(sizeof(int) * 32)] = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    assert_int_equal(sendmsg(fd, &msg, 0), n);
}

static void short_long_and_unknown_messages_are_refused(void **state)
{
    struct wire *w = *state;
    char good[64], bad[8192] = {0};
    size_t n = real_packet(w, good, sizeof(good));

    for (size_t cut = 1; cut < n; cut++) { /* every shorter one */
        send_raw(w->fd[0], good, cut, NULL, 0);
        assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_FORMAT);
    }
    memcpy(bad, good, n); /* longer */
    send_raw(w->fd[0], bad, n + 1, NULL, 0);
    assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_FORMAT);
    send_raw(w->fd[0], bad, sizeof(bad), NULL, 0); /* longer than any message */
    assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_FORMAT);
    for (size_t i = 0; i < 12; i++) { /* each byte of the head */
        memcpy(bad, good, n);
        bad[i] = (char)(bad[i] ^ 0x40);
        send_raw(w->fd[0], bad, n, NULL, 0);
        assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_FORMAT);
    }
    send_raw(w->fd[0], good, n, NULL, 0); /* and the real one still arrives */
    assert_int_equal(ipc_recv(w->fd[1], &w->in), 1);
}

static void descriptors_where_none_belong_are_closed(void **state)
{
    struct wire *w = *state;
    char good[64];
    size_t n = real_packet(w, good, sizeof(good));
    int fds[20], before = open_fds();
    for (size_t i = 0; i < 20; i++)
        fds[i] = STDERR_FILENO;
    for (size_t k = 1; k <= 20; k++) { /* 9 and more do not fit and are cut by the kernel */
        send_raw(w->fd[0], good, n, fds, k);
        assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_FORMAT);
        assert_int_equal(w->in.n_fds, 0);
    }
    assert_int_equal(open_fds(), before);
}

static void a_message_without_its_descriptor_is_refused(void **state)
{
    struct wire *w = *state;
    char bytes[256];
    int pair[2];
    assert_int_equal(ipc_pair(pair), 0);
    w->out = (struct ipc_msg){.type = IPC_SNAPSHOT, .n_fds = 1, .fds = {STDERR_FILENO}};
    assert_int_equal(ipc_send(pair[0], &w->out), 0);
    ssize_t n = recv(pair[1], bytes, sizeof(bytes), 0); /* recv drops the descriptor */
    send_raw(w->fd[0], bytes, (size_t)n, NULL, 0);
    assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_FORMAT);
    close(pair[0]);
    close(pair[1]);
}

static void a_text_with_a_nul_is_refused(void **state)
{
    struct wire *w = *state;
    w->out.type = IPC_REPLY;
    memcpy(w->out.text, "a\0b", 3);
    w->out.text_n = 3;
    assert_int_equal(ipc_send(w->fd[0], &w->out), 0);
    assert_int_equal(ipc_recv(w->fd[1], &w->in), GH_E_FORMAT);
}

static void every_message_of_the_table_makes_the_way(void **state)
{
    struct wire *w = *state;
#define X(name, payload, fds_min, fds_max, has_text, text)                                         \
    w->out = (struct ipc_msg){.type = IPC_##name, .n_fds = (fds_max)};                             \
    for (int i = 0; i < (fds_max); i++)                                                         \
        w->out.fds[i] = STDERR_FILENO;                                                             \
    assert_int_equal(ipc_send(w->fd[0], &w->out), 0);                                              \
    assert_int_equal(ipc_recv(w->fd[1], &w->in), 1);                                               \
    assert_int_equal(w->in.type, IPC_##name);                                                      \
    assert_int_equal(w->in.n_fds, (fds_max));                                                      \
    assert_string_equal(ipc_type_name(IPC_##name), #name);                                         \
    ipc_msg_close_fds(&w->in);
#include "shared/tbl/message.def"
#undef X
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_message_arrives_whole_with_its_descriptor),
        TEST(nothing_there_is_zero_and_the_end_is_closed),
        TEST(messages_before_the_end_are_still_read),
        TEST(a_reader_that_does_not_read_never_blocks_the_sender),
        TEST(the_longest_text_fits),
        TEST(short_long_and_unknown_messages_are_refused),
        TEST(descriptors_where_none_belong_are_closed),
        TEST(a_message_without_its_descriptor_is_refused),
        TEST(a_text_with_a_nul_is_refused),
        TEST(every_message_of_the_table_makes_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
