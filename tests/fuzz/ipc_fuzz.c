/*
 * ipc_fuzz - what a child may put on its link, over a real socket pair.
 *
 * Input: byte 0 = number of descriptors sent along (0..12), the rest one packet. What is taken must send again
 * to the very same bytes; no descriptor may be left open, whatever the answer.
 */
#include "shared/base/err.h"
#include "shared/ipc/ipc.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_packet(int fd, const uint8_t *p, size_t n, size_t n_fds)
{
    struct iovec iov = {(void *)p, n};
    char control[CMSG_SPACE(sizeof(int) * 16)] = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        for (size_t i = 0; i < n_fds; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){STDERR_FILENO}, sizeof(int));
    }
    must(sendmsg(fd, &msg, MSG_DONTWAIT) == (ssize_t)n);
}

static int next_free_fd(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    must(fd >= 0);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 16384)
        return 0;
    int pair[2], back[2], free_fd = next_free_fd();
    must(ipc_pair(pair) == 0 && ipc_pair(back) == 0);
    size_t n_fds = data[0] % 13;
    send_packet(pair[0], data + 1, size - 1, n_fds);

    static struct ipc_msg m; /* large; rewritten by every ipc_recv */
    int rc = ipc_recv(pair[1], &m);
    must(rc == 1 || rc == GH_E_FORMAT);
    if (rc == 1) {
        must(m.n_fds == n_fds && strlen(m.text) == m.text_n);
        must(ipc_send(back[0], &m) == 0);
        uint8_t again[16384];
        ssize_t n = recv(back[1], again, sizeof(again), MSG_DONTWAIT);
        must(n == (ssize_t)size - 1 && memcmp(again, data + 1, size - 1) == 0);
        ipc_msg_close_fds(&m);
    }
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(back[i]);
    }
    must(next_free_fd() == free_fd); /* nothing leaks */
    return 0;
}
