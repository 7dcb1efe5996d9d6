#include "master/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* An open file of its own where that is possible (not for sockets): workers may then make it non-blocking without
 * changing what the shell that started us has. */
static int open_stdout(void)
{
    int fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
}

/* journald's own protocol: one datagram, one entry. */
static int open_journal(void)
{
    static const struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

int sink_open(const char *path)
{
    if (strcmp(path, "stdout") == 0)
        return open_stdout();
    if (strcmp(path, "journal") == 0)
        return open_journal();
    if (strcmp(path, "off") == 0)
        path = "/dev/null";
    /* Non-blocking so that a FIFO without reader is an error (ENXIO) and not a wait. */
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}
