#include "master/rundir.h"
#include "shared/base/err.h"
#include "shared/ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_MS  1000
#define LOCK_AGAIN_MS 10

int dir_make(const char *path, mode_t mode)
{
    struct buf at = {0};
    struct stat st;
    int rc = 0;
    buf_addc(&at, path);
    char *p = (char *)buf_cstr(&at);
    for (char *slash = strchr(p + 1, '/'); slash && rc == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(p, 0755) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            rc = GH_E_SYSTEM;
        *slash = '/';
    }
    if (rc == 0 && mkdir(p, mode) != 0 && errno != EEXIST)
        rc = GH_E_SYSTEM;
    if (rc == 0 && (stat(p, &st) != 0 || !S_ISDIR(st.st_mode))) {
        errno = ENOTDIR;
        rc = GH_E_SYSTEM;
    }
    int err = errno;
    buf_fini(&at);
    errno = err;
    return rc;
}

static pid_t read_pid(int fd)
{
    char text[32];
    uint64_t pid = 0;
    ssize_t n = pread(fd, text, sizeof(text), 0);
    if (n <= 0 || !str_u64(str_trim(str_of(text, (size_t)n), "\n"), &pid))
        return 0;
    return (pid_t)pid;
}

/* Opens and locks the file that has the name now: the one before may be unlinked by its owner between open and lock. */
static int open_locked(const char *path, pid_t *holder)
{
    for (int tries = 0; tries < 16; tries++) {
        struct stat mine, named;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return GH_E_SYSTEM;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int err = errno;
            *holder = read_pid(fd);
            close(fd);
            errno = err;
            return err == EWOULDBLOCK ? GH_E_EXISTS : GH_E_SYSTEM;
        }
        if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
            mine.st_dev == named.st_dev)
            return fd;
        close(fd);
    }
    errno = EBUSY;
    return GH_E_SYSTEM;
}

/* When the holder is dead, a child of its may hold the lock for the moment between fork and exec. */
static bool is_dead(pid_t pid)
{
    return pid > 0 && kill(pid, 0) != 0 && errno == ESRCH;
}

int rundir_lock(const char *run_dir, pid_t *holder)
{
    struct buf path = {0};
    char text[32];
    *holder = 0;
    buf_addf(&path, "%s/" RUN_PID_FILE, run_dir);
    int fd = open_locked(buf_cstr(&path), holder), err = errno;
    for (int waited = 0; fd == GH_E_EXISTS && is_dead(*holder) && waited < LOCK_WAIT_MS; waited += LOCK_AGAIN_MS) {
        poll(NULL, 0, LOCK_AGAIN_MS);
        fd = open_locked(buf_cstr(&path), holder);
        err = errno;
    }
    buf_fini(&path);
    errno = err;
    if (fd < 0)
        return fd;
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        err = errno;
        close(fd);
        errno = err;
        return GH_E_SYSTEM;
    }
    return fd;
}

void rundir_unlock(const char *run_dir, int fd)
{
    struct buf path = {0};
    buf_addf(&path, "%s/" RUN_PID_FILE, run_dir);
    unlink(buf_cstr(&path)); /* still locked: who opens it from now on makes a new one */
    buf_fini(&path);
    close(fd);
}
