#include "shared/ipc/ipc.h"
#include "shared/base/err.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IPC_MAGIC 0x47485031u /* "GHP1" */

/* What is on the wire before the payload. Both ends are of one build: the magic only tells rubbish early. */
struct ipc_head {
    uint32_t magic;
    uint16_t type;
    uint16_t payload_n;
    uint32_t text_n;
};
_Static_assert(sizeof(struct ipc_head) == 12, "no padding on the wire");
_Static_assert(sizeof(union ipc_payload) % 4 == 0 && sizeof(union ipc_payload) <= 64, "payloads are small");

/* A row of the table of messages: what one of this type must look like. */
struct ipc_shape {
    const char *name;
    uint16_t payload_n;
    uint8_t fds_min, fds_max;
    bool has_text;
};

static const struct ipc_shape SHAPES[IPC_TYPE_COUNT] = {
    [IPC_NONE] = {"NONE", 0, 0, 0, false},
#define X(name, payload, fds_min, fds_max, has_text, text)                                         \
    [IPC_##name] = {#name, sizeof(struct payload), fds_min, fds_max, has_text},
#include "shared/tbl/message.def"
#undef X
};

#define X(name, payload, fds_min, fds_max, has_text, text)                                         \
    _Static_assert((fds_max) <= IPC_MAX_FDS && (fds_min) <= (fds_max), "descriptors of " #name);
#include "shared/tbl/message.def"
#undef X

const char *ipc_type_name(enum ipc_type t)
{
    return (unsigned)t < IPC_TYPE_COUNT ? SHAPES[t].name : "?";
}

int ipc_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0 ? 0 : GH_E_SYSTEM;
}

void ipc_msg_close_fds(struct ipc_msg *m)
{
    for (size_t i = 0; i < m->n_fds; i++)
        close(m->fds[i]);
    m->n_fds = 0;
}

static int send_error(int err)
{
    switch (err) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
    case ETOOMANYREFS: /* descriptors in flight: gone when the other side has read */
        return GH_E_AGAIN;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return GH_E_CLOSED;
    default:
        return GH_E_SYSTEM;
    }
}

int ipc_send(int fd, const struct ipc_msg *m)
{
    must(m->type > IPC_NONE && m->type < IPC_TYPE_COUNT);
    const struct ipc_shape *shape = &SHAPES[m->type];
    must(m->n_fds >= shape->fds_min && m->n_fds <= shape->fds_max);
    must(m->text_n <= IPC_MAX_TEXT && (shape->has_text || m->text_n == 0));

    struct ipc_head head = {IPC_MAGIC, (uint16_t)m->type, shape->payload_n, (uint32_t)m->text_n};
    struct iovec iov[3] = {
        {&head, sizeof(head)},
        {(void *)&m->u, shape->payload_n},
        {(void *)m->text, m->text_n},
    };
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
    } control;
    if (m->n_fds) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * m->n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * m->n_fds);
        memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? send_error(errno) : 0; /* SEQPACKET: all of it or nothing */
}

/* Moves the descriptors of `msg` into `m`, which owns them from then on. False when there is anything
 * but descriptors. */
static bool take_fds(struct msghdr *msg, struct ipc_msg *m)
{
    bool good = true;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            good = false;
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (m->n_fds < IPC_MAX_FDS) {
                m->fds[m->n_fds++] = fd;
            } else {
                close(fd);
                good = false;
            }
        }
    }
    return good;
}

/* Judges `n` bytes of a packet and fills everything of `m` but the descriptors. */
static int parse(const char *bytes, size_t n, struct ipc_msg *m)
{
    struct ipc_head head;
    if (n < sizeof(head))
        return GH_E_FORMAT;
    memcpy(&head, bytes, sizeof(head));
    if (head.magic != IPC_MAGIC || head.type == IPC_NONE || head.type >= IPC_TYPE_COUNT)
        return GH_E_FORMAT;
    const struct ipc_shape *shape = &SHAPES[head.type];
    if (head.payload_n != shape->payload_n || head.text_n > IPC_MAX_TEXT || (head.text_n && !shape->has_text) ||
        n != sizeof(head) + head.payload_n + head.text_n)
        return GH_E_FORMAT;
    if (m->n_fds < shape->fds_min || m->n_fds > shape->fds_max)
        return GH_E_FORMAT;
    const char *text = bytes + sizeof(head) + head.payload_n;
    if (memchr(text, '\0', head.text_n))
        return GH_E_FORMAT;
    m->type = (enum ipc_type)head.type;
    memset(&m->u, 0, sizeof(m->u));
    memcpy(&m->u, bytes + sizeof(head), head.payload_n);
    memcpy(m->text, text, head.text_n);
    m->text[head.text_n] = '\0';
    m->text_n = head.text_n;
    return 0;
}

int ipc_recv(int fd, struct ipc_msg *m)
{
    char bytes[sizeof(struct ipc_head) + sizeof(union ipc_payload) + IPC_MAX_TEXT];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
    } control;
    struct iovec iov = {bytes, sizeof(bytes)};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

    m->type = IPC_NONE;
    m->n_fds = m->text_n = 0;
    ssize_t n;
    do
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno == EAGAIN)
            return 0;
        return errno == ECONNRESET ? GH_E_CLOSED : GH_E_SYSTEM;
    }
    bool good = take_fds(&msg, m);
    int rc = n == 0 ? GH_E_CLOSED : GH_E_FORMAT; /* an empty packet reads like the end, and is one */
    if (n > 0 && good && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        rc = parse(bytes, (size_t)n, m);
    if (rc < 0) {
        ipc_msg_close_fds(m);
        m->type = IPC_NONE;
        return rc;
    }
    return 1;
}
