#include "master/state.h"
#include "shared/base/err.h"
#include "shared/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAGIC      "GHSTATE1"
#define SEALS      (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)
#define SETTINGS_MAX (1u << 20)

struct state_head {
    char magic[8];
    uint64_t generation, settings_n, image_n, checksum;
};
_Static_assert(sizeof(struct state_head) == 40, "the form of a file");

static uint64_t checksum_of(const struct state_head *h, struct str settings, struct str image)
{
    uint64_t sum = hash_mix(hash_mix(h->generation, h->settings_n), h->image_n);
    return hash_mix(hash_str(settings, sum), hash_str(image, sum));
}

/* ---- memfds ---- */

static bool write_all(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = str_skip(s, (size_t)n);
    }
    return true;
}

int sealed_memfd(const char *name, struct str bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (!write_all(fd, bytes) || fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

size_t sealed_size(int fd, size_t max)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0 || st.st_size <= 0 || (uint64_t)st.st_size > max)
        return 0;
    return (size_t)st.st_size;
}

/* ---- reading ---- */

void state_file_fini(struct state_file *f)
{
    buf_fini(&f->settings);
    if (f->image_fd >= 0)
        close(f->image_fd);
    *f = (struct state_file){.image_fd = -1};
}

/* Judges the whole file in memory. */
static int take(struct state_file *f, struct str bytes)
{
    struct state_head h;
    if (bytes.n < sizeof(h))
        return GH_E_TRUNCATED;
    memcpy(&h, bytes.p, sizeof(h));
    if (memcmp(h.magic, MAGIC, sizeof(h.magic) - 1) != 0)
        return GH_E_FORMAT;
    if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0)
        return GH_E_VERSION;
    if (h.settings_n > SETTINGS_MAX || h.image_n > STATE_IMAGE_MAX)
        return GH_E_RANGE;
    if (bytes.n != sizeof(h) + h.settings_n + h.image_n)
        return GH_E_TRUNCATED;
    struct str settings = str_of(bytes.p + sizeof(h), h.settings_n);
    struct str image = str_of(settings.p + settings.n, h.image_n);
    if (checksum_of(&h, settings, image) != h.checksum)
        return GH_E_CHECKSUM;
    f->generation = h.generation;
    buf_adds(&f->settings, settings);
    if (f->settings.oom)
        return GH_E_NOMEM;
    if (image.n && (f->image_fd = sealed_memfd("gatehouse-state", image)) < 0)
        return GH_E_SYSTEM;
    return 0;
}

int state_read_file(struct state_file *f, const char *dir)
{
    struct buf path = {0};
    struct stat st;
    *f = (struct state_file){.image_fd = -1};
    buf_addf(&path, "%s/" STATE_FILE, dir);
    int fd = open(buf_cstr(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int err = errno;
    buf_fini(&path);
    if (fd < 0) {
        errno = err;
        return err == ENOENT ? GH_E_NOT_FOUND : GH_E_SYSTEM;
    }
    int rc = GH_E_FORMAT;
    if (fstat(fd, &st) != 0) {
        rc = GH_E_SYSTEM;
    } else if (S_ISREG(st.st_mode) && st.st_size == 0) {
        rc = GH_E_TRUNCATED;
    } else if (S_ISREG(st.st_mode)) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        rc = p == MAP_FAILED ? GH_E_SYSTEM : take(f, str_of(p, (size_t)st.st_size));
        if (p != MAP_FAILED)
            munmap(p, (size_t)st.st_size);
    }
    err = errno;
    close(fd);
    if (rc != 0)
        state_file_fini(f);
    errno = err;
    return rc;
}

/* ---- writing ---- */

static bool write_parts(int fd, uint64_t generation, struct str settings, int image_fd)
{
    struct state_head h = {.magic = MAGIC, .generation = generation, .settings_n = settings.n};
    struct str image = STR_NONE;
    if (image_fd >= 0) {
        image.n = sealed_size(image_fd, STATE_IMAGE_MAX);
        void *p = image.n ? mmap(NULL, image.n, PROT_READ, MAP_SHARED, image_fd, 0) : MAP_FAILED;
        if (p == MAP_FAILED)
            return false;
        image.p = p;
    }
    h.image_n = image.n;
    h.checksum = checksum_of(&h, settings, image);
    bool good = write_all(fd, str_of((const char *)&h, sizeof(h))) && write_all(fd, settings) && write_all(fd, image);
    int err = errno;
    if (image.n)
        munmap((void *)image.p, image.n);
    errno = err;
    return good;
}

int state_write_file(const char *dir, uint64_t generation, struct str settings, int image_fd)
{
    static const char fresh[] = "." STATE_FILE ".new";
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return GH_E_SYSTEM;
    unlinkat(at, fresh, 0);
    int fd = openat(at, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write_parts(fd, generation, settings, image_fd) && fsync(fd) == 0;
    good = good && renameat(at, fresh, at, STATE_FILE) == 0 && fsync(at) == 0;
    int err = errno;
    if (!good)
        unlinkat(at, fresh, 0);
    if (fd >= 0)
        close(fd);
    close(at);
    errno = err;
    return good ? 0 : GH_E_SYSTEM;
}

pid_t state_save(const char *dir, uint64_t generation, struct str settings, int image_fd, struct log *log)
{
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old); /* a signal must not reach the loop's handlers in the child */
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core file: the image has the texts of Secrets */
        /* Not the lock nor the sockets: a disk that is slow must not hold them when the master is gone. */
        int image = image_fd >= 0 ? fcntl(image_fd, F_DUPFD, STDERR_FILENO + 1) : -1;
        int low = image >= 0 ? dup2(image, STDERR_FILENO + 1) : -1;
        syscall(SYS_close_range, low >= 0 ? low + 1 : STDERR_FILENO + 1, ~0u, 0);
        int rc = state_write_file(dir, generation, settings, low);
        if (rc != 0)
            log_error(log, "the state could not be written to %s: %s; a start would not know the last good objects", dir,
                      strerror(errno));
        _exit(rc != 0);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return pid;
}
