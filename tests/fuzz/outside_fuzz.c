/*
 * outside_fuzz - files that objects name by path: random writes, renames, links and directories on every part of the way
 * to them.
 *
 * Oracle: when everything is quiet, what the last load has read is what is there. Sweeps are kept out of the way, so
 * that only events can be the reason of a load. No file has two names: those are the sweep's business.
 */
#include "master/store/outside.h"
#include "master/watch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_OPEN 2

static const char *const NAMED[] = {"certs/tls.crt", "m/tls.crt", "certs/..data/tls.crt", "a/b/../../certs/./tls.crt"};
static const char *const FILES[] = {"certs/tls.crt", "certs/..1/tls.crt", "certs/..2/tls.crt", "m/tls.crt", "other/tls.crt", "new", "tls.crt"};
static const char *const DIRS[] = {"certs", "certs/..1", "certs/..2", "m", "other", "a", "a/b", "certs/..data"};
static const char *const LINKS[] = {"certs/..data", "certs/tls.crt", "m", "a", "certs", "certs/..tmp", "new"};
static const char *const TARGETS[] = {"..1", "..2", "..data/tls.crt", "certs", "../other/tls.crt", "other", "m", "new", "."};

struct run {
    const uint8_t *at, *end;
    char top[64], root[80], path[ARRAY_LEN(NAMED)][128];
    int open_fd[N_OPEN];
    uint64_t now;
    struct outside_stamp loaded[ARRAY_LEN(NAMED)];
    struct watch w;
};

static uint8_t take(struct run *r)
{
    return r->at < r->end ? *r->at++ : 0;
}

/* `top`/`name`. */
static const char *in(const struct run *r, const char *name, char out[160])
{
    snprintf(out, 160, "%s/%s", r->top, name);
    return out;
}
#define SOME(r, list, out) in((r), (list)[take(r) % ARRAY_LEN(list)], (out))

static void load(struct run *r)
{
    struct watch_file v[ARRAY_LEN(NAMED)];
    for (size_t i = 0; i < ARRAY_LEN(NAMED); i++) {
        const struct outside_stamp s = r->loaded[i] = outside_stamp_of(r->path[i]);
        v[i] = (struct watch_file){r->path[i], s.dev, s.ino, s.size, s.mtime_ns, s.ctime_ns};
    }
    must(watch_outside(&r->w, v, ARRAY_LEN(NAMED), true, r->now) == 0);
}

static void pass(struct run *r, uint64_t ms)
{
    uint64_t end = r->now + ms;
    if (r->w.fd < 0)
        return;
    watch_read(&r->w, r->now);
    r->w.sweep_ms = UINT64_MAX;
    while (r->w.fd >= 0 && watch_deadline(&r->w) <= end) {
        r->now = GH_MAX(r->now, watch_deadline(&r->w));
        if (watch_tick(&r->w, r->now))
            load(r);
        r->w.sweep_ms = UINT64_MAX;
    }
    r->now = end;
}

static void put(int fd)
{
    if (fd >= 0)
        (void)!write(fd, "x", 1);
}

/* ---- operations ---- */

static void op_write(struct run *r)
{
    char path[160];
    int fd = open(SOME(r, FILES, path), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    put(fd);
    if (fd >= 0)
        close(fd);
}

static void op_open(struct run *r)
{
    char path[160];
    int *slot = &r->open_fd[take(r) % N_OPEN];
    if (*slot >= 0)
        close(*slot);
    *slot = open(SOME(r, FILES, path), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
}

static void op_append(struct run *r)
{
    put(r->open_fd[take(r) % N_OPEN]);
}

static void op_rename(struct run *r)
{
    char from[160], to[160];
    SOME(r, FILES, from);
    (void)!rename(from, SOME(r, FILES, to));
}

static void op_remove(struct run *r)
{
    char path[160];
    unlink(take(r) & 1 ? SOME(r, FILES, path) : SOME(r, LINKS, path));
}

static void op_link(struct run *r)
{
    char path[160];
    const char *target = TARGETS[take(r) % ARRAY_LEN(TARGETS)];
    (void)!symlink(target, SOME(r, LINKS, path));
}

static void op_swap_link(struct run *r)
{
    char from[160], to[160];
    (void)!rename(in(r, "certs/..tmp", from), in(r, "certs/..data", to));
}

static void op_mkdir(struct run *r)
{
    char path[160];
    mkdir(SOME(r, DIRS, path), 0755);
}

static void op_move_dir(struct run *r)
{
    char from[160], to[160];
    SOME(r, DIRS, from);
    (void)!rename(from, SOME(r, DIRS, to));
}

static void op_rmdir(struct run *r)
{
    char path[160];
    rmdir(SOME(r, DIRS, path));
}

static void op_chmod(struct run *r)
{
    char path[160];
    SOME(r, FILES, path);
    (void)!chmod(path, take(r) & 1 ? 0600 : 0644);
}

static void op_time(struct run *r)
{
    pass(r, take(r));
}

static void (*const OPS[])(struct run *r) = {op_write, op_write, op_open,    op_append,   op_append, op_rename, op_remove, op_link,
                                             op_link,  op_swap_link, op_mkdir, op_mkdir, op_move_dir, op_rmdir, op_chmod, op_time, op_time};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st, (void)kind, (void)f;
    return remove(path);
}

static bool same(struct outside_stamp a, struct outside_stamp b)
{
    return a.dev == b.dev && a.ino == b.ino && a.size == b.size && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
}

static bool is_config(struct str name)
{
    return str_ends(name, STR(".yaml"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run r = {.at = data, .end = data + size, .now = 1000, .open_fd = {-1, -1}};
    struct log log = {.fd = -1};
    if (size > 300)
        return 0;
    strcpy(r.top, "/dev/shm/gh-outside-XXXXXX");
    if (!mkdtemp(r.top)) {
        strcpy(r.top, "/tmp/gh-outside-XXXXXX");
        must(mkdtemp(r.top));
    }
    snprintf(r.root, sizeof(r.root), "%s/conf", r.top);
    must(mkdir(r.root, 0755) == 0);
    for (size_t i = 0; i < ARRAY_LEN(NAMED); i++)
        snprintf(r.path[i], sizeof(r.path[i]), "%s/%s", r.top, NAMED[i]);
    must(watch_init(&r.w, r.root, NULL, is_config, &log, r.now) == 0);
    load(&r);
    while (r.at < r.end)
        OPS[take(&r) % ARRAY_LEN(OPS)](&r);
    for (int i = 0; i < N_OPEN; i++)
        if (r.open_fd[i] >= 0)
            close(r.open_fd[i]);
    pass(&r, 10000);
    for (size_t i = 0; r.w.fd >= 0 && i < ARRAY_LEN(NAMED); i++)
        must(same(r.loaded[i], outside_stamp_of(r.path[i])));
    watch_fini(&r.w);
    must(nftw(r.top, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return 0;
}
