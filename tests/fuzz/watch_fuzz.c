/*
 * watch_fuzz - F12: random streams of create, write, rename, delete, link and directory operations on a real tree.
 *
 * Oracle: when everything is quiet, what the last load saw is what a fresh start would see (names and contents
 * of all configuration files), and the watched directories are those that a fresh start would watch. The periodic
 * sweeps are kept out of the way, so that only events can be the reason of a load. Time is the input's.
 */
#include "master/watch.h"
#include "shared/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_OPEN 4

struct run {
    const uint8_t *at, *end;
    char top[64], root[80];
    int open_fd[N_OPEN];
    uint64_t now, loaded;
    unsigned written; /* makes every content different */
    struct watch w;
};

static const char *const FILES[] = {"a.yaml", "b.yaml", "c.json", ".hidden.yaml", "a.yaml~", "4913", "..data", "plain"};
static const char *const DIRS[] = {"", "d1/", "d2/", "d1/e1/", "d1/..v1/", "d1/..v2/", "d2/e1/f1/", ".git/"};

static uint8_t take(struct run *r)
{
    return r->at < r->end ? *r->at++ : 0;
}

static bool is_config(struct str name)
{
    return name.n && name.p[0] != '.' && (str_ends(name, STR(".yaml")) || str_ends(name, STR(".json")));
}

static const char *some_dir(struct run *r, char out[256], bool outside)
{
    snprintf(out, 256, "%s/%s", outside ? r->top : r->root, DIRS[take(r) % ARRAY_LEN(DIRS)]);
    return out;
}

static const char *some_file(struct run *r, char out[256])
{
    char dir[256];
    uint8_t b = take(r);
    some_dir(r, dir, b >= 0xf0);
    snprintf(out, 256, "%.200s%s", dir, FILES[b % ARRAY_LEN(FILES)]);
    return out;
}

/* ---- what a load sees: a walk of its own, written differently from watch.c ---- */

static uint64_t content(const char *path)
{
    char bytes[256];
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, bytes, sizeof(bytes)) : -1;
    if (fd >= 0)
        close(fd);
    return n < 0 ? 1 : hash_bytes(bytes, (size_t)n, 2);
}

static uint64_t view(const char *dir)
{
    uint64_t sum = 0;
    struct dirent **names;
    int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[512];
        struct stat st;
        const char *name = names[i]->d_name;
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (name[0] != '.' && lstat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                sum += view(path);
            else if (is_config(str_c(name)))
                sum += hash_mix(hash_str(str_c(path), 3), content(path));
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return sum;
}

/* ---- the event loop of this test ---- */

static void pass(struct run *r, uint64_t ms)
{
    uint64_t end = r->now + ms;
    watch_read(&r->w, r->now);
    r->w.sweep_ms = r->w.lost ? r->w.sweep_ms : UINT64_MAX;
    while (watch_deadline(&r->w) <= end) {
        r->now = GH_MAX(r->now, watch_deadline(&r->w));
        if (watch_tick(&r->w, r->now))
            r->loaded = view(r->root);
        r->w.sweep_ms = r->w.lost ? r->w.sweep_ms : UINT64_MAX;
    }
    r->now = end;
}

/* ---- operations ---- */

static void op_write(struct run *r)
{
    char path[256];
    FILE *f = fopen(some_file(r, path), "we");
    if (f) {
        fprintf(f, "%u\n", r->written++);
        fclose(f);
    }
}

static void op_open(struct run *r)
{
    char path[256];
    int *slot = &r->open_fd[take(r) % N_OPEN];
    if (*slot >= 0)
        close(*slot);
    *slot = open(some_file(r, path), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
}

static void op_append(struct run *r)
{
    int fd = r->open_fd[take(r) % N_OPEN];
    if (fd >= 0)
        dprintf(fd, "%u\n", r->written++);
}

static void op_close(struct run *r)
{
    int *slot = &r->open_fd[take(r) % N_OPEN];
    if (*slot >= 0)
        close(*slot);
    *slot = -1;
}

static void op_rename(struct run *r)
{
    char from[256], to[256];
    (void)!rename(some_file(r, from), some_file(r, to));
}

static void op_remove(struct run *r)
{
    char path[256];
    unlink(some_file(r, path));
}

static void op_link(struct run *r)
{
    char from[256], to[256];
    (void)!link(some_file(r, from), some_file(r, to));
}

static void op_symlink(struct run *r)
{
    static const char *const targets[] = {"..data/a.yaml", "..v1", "..v2", "loop.yaml", "d1", "../a.yaml"};
    char to[256];
    (void)!symlink(targets[take(r) % ARRAY_LEN(targets)], some_file(r, to));
}

static void op_mkdir(struct run *r)
{
    char path[256];
    mkdir(some_dir(r, path, take(r) >= 0xf0), 0755);
}

static void op_rmdir(struct run *r)
{
    char path[256];
    rmdir(some_dir(r, path, false));
}

static void op_move_dir(struct run *r)
{
    char from[256], to[256];
    some_dir(r, from, take(r) >= 0xc0);
    some_dir(r, to, take(r) >= 0xc0);
    if (strlen(from) > strlen(r->root) + 1 && strlen(to) > strlen(r->top) + 1)
        (void)!rename(from, to);
}

static void op_move_root(struct run *r)
{
    char aside[96];
    snprintf(aside, sizeof(aside), "%s/aside", r->top);
    if (rename(r->root, aside) != 0)
        (void)!rename(aside, r->root);
}

static void op_time(struct run *r)
{
    pass(r, take(r));
}

static void (*const OPS[])(struct run *r) = {
    op_write, op_write, op_open, op_append, op_append, op_close, op_rename, op_rename, op_remove, op_link,
    op_symlink, op_mkdir, op_mkdir, op_rmdir, op_move_dir, op_move_root, op_time, op_time,
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st, (void)kind, (void)f;
    return remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run r = {.at = data, .end = data + size, .now = 1000, .open_fd = {-1, -1, -1, -1}};
    struct log log = {.fd = -1};
    if (size > 400)
        return 0;
    snprintf(r.top, sizeof(r.top), "/dev/shm/gh-watch-%d", (int)getpid());
    nftw(r.top, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* of a run that failed */
    must(mkdir(r.top, 0755) == 0);
    snprintf(r.root, sizeof(r.root), "%s/conf", r.top);
    must(mkdir(r.root, 0755) == 0);
    must(watch_init(&r.w, r.root, NULL, is_config, &log, r.now) == 0);
    r.loaded = view(r.root);

    while (r.at < r.end)
        OPS[take(&r) % ARRAY_LEN(OPS)](&r);
    for (int i = 0; i < N_OPEN; i++)
        if (r.open_fd[i] >= 0)
            close(r.open_fd[i]);
    pass(&r, 10000);

    struct stat st;
    if (lstat(r.root, &st) == 0) {
        struct watch fresh;
        must(watch_init(&fresh, r.root, NULL, is_config, &log, r.now) == 0);
        must(!r.w.lost);
        must(r.loaded == view(r.root));
        must(watch_count(&r.w) == watch_count(&fresh));
        watch_fini(&fresh);
    } else {
        must(r.w.lost);
    }
    watch_fini(&r.w);
    must(nftw(r.top, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return 0;
}
