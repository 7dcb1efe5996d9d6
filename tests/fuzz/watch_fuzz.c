/*
 * watch_fuzz - F12: random streams of create, write, rename, delete, link and directory operations on a real tree.
 *
 * Oracle: when everything is quiet, what the last load (store/load.c) saw is what a fresh start would see, and the
 * watched directories are those that a fresh start would watch. The periodic sweeps are kept out of the way, so that
 * only events can be the reason of a load; what watch.h leaves to the sweeps is not done. Time is the input's.
 */
#include "master/store/load.h"
#include "master/watch.h"
#include "shared/base/arena.h"
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

static const char *const FILES[] = {"a.yaml", "b.yaml", "c.json", ".hidden.yaml", "a.yaml~", "4913", "..data", "plain", "link", "link.d"};
static const char *const DIRS[] = {"", "d1/", "d2/", "d1/e1/", "d1/..v1/", "d1/..v2/", "d2/e1/f1/", ".git/"};

static uint8_t take(struct run *r)
{
    return r->at < r->end ? *r->at++ : 0;
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

/* ---- what a load sees: every document, by file ---- */

static uint64_t view(const char *dir)
{
    struct arena a;
    struct diags ds;
    struct store st;
    struct load_stats stats;
    struct load_input in = {.paths = &dir, .n_paths = 1, .lenient_paths = true};
    uint64_t sum = 0;
    arena_init(&a, 0, abort);
    diags_init(&ds, &a);
    load_all(&st, &a, &ds, &in, &stats);
    for (size_t i = 0; i < st.n_all; i++) {
        const struct object *o = st.all[i];
        sum += hash_mix(hash_str(o->source->path, 3), hash_str(o->text, 4));
    }
    arena_fini(&a);
    return sum + stats.files;
}

/* ---- the event loop of this test ---- */

/* Some limit of inotify, which others on this machine share, was met: only sweeps would find changes now. */
static bool has_inotify(const struct run *r)
{
    return r->w.fd >= 0;
}

static void pass(struct run *r, uint64_t ms)
{
    uint64_t end = r->now + ms;
    if (!has_inotify(r))
        return;
    watch_read(&r->w, r->now);
    r->w.sweep_ms = r->w.lost ? r->w.sweep_ms : UINT64_MAX;
    while (has_inotify(r) && watch_deadline(&r->w) <= end) {
        r->now = GH_MAX(r->now, watch_deadline(&r->w));
        if (watch_tick(&r->w, r->now))
            r->loaded = view(r->root);
        r->w.sweep_ms = r->w.lost ? r->w.sweep_ms : UINT64_MAX;
    }
    r->now = end;
}

/* ---- operations ---- */

static void put_object(struct run *r, int fd)
{
    dprintf(fd, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: n%u}\n", r->written++);
}

static void op_write(struct run *r)
{
    char path[256];
    FILE *f = fopen(some_file(r, path), "we");
    if (f) {
        put_object(r, fileno(f));
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
        put_object(r, fd);
}

static void op_close(struct run *r)
{
    int *slot = &r->open_fd[take(r) % N_OPEN];
    if (*slot >= 0)
        close(*slot);
    *slot = -1;
}

/* A name is about to go; what is written through it afterwards into a file that has others is the sweep's business. */
static void close_those_with_more_names(struct run *r)
{
    struct stat st;
    for (int i = 0; i < N_OPEN; i++) {
        if (r->open_fd[i] < 0 || fstat(r->open_fd[i], &st) != 0 || st.st_nlink < 2)
            continue;
        close(r->open_fd[i]);
        r->open_fd[i] = -1;
    }
}

static void op_rename(struct run *r)
{
    char from[256], to[256];
    close_those_with_more_names(r);
    (void)!rename(some_file(r, from), some_file(r, to));
}

static void op_remove(struct run *r)
{
    char path[256];
    close_those_with_more_names(r);
    unlink(some_file(r, path));
}

/* A second name outside of what is watched, for a file within, is the sweep's business; so is one in a hidden directory. */
static bool is_out_of_sight(const struct run *r, const char *path)
{
    return strncmp(path, r->root, strlen(r->root)) != 0 || strstr(path, "/.git/");
}

static void op_link(struct run *r)
{
    char from[256], to[256];
    some_file(r, from);
    some_file(r, to);
    if (is_out_of_sight(r, from) || !is_out_of_sight(r, to))
        (void)!link(from, to);
}

static void op_symlink(struct run *r)
{
    static const char *const targets[] = {"..data/a.yaml", "..v1", "..v2", "loop.yaml", "d1", "../a.yaml", ".git", "plain"};
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

static void make_top(struct run *r)
{
    strcpy(r->top, "/dev/shm/gh-watch-XXXXXX");
    if (mkdtemp(r->top))
        return;
    strcpy(r->top, "/tmp/gh-watch-XXXXXX");
    must(mkdtemp(r->top));
}

/* The oracle. */
static void compare(struct run *r, struct log *log)
{
    struct stat st;
    struct watch fresh;
    if (lstat(r->root, &st) != 0) {
        must(r->w.lost);
        return;
    }
    must(watch_init(&fresh, r->root, NULL, load_name_is_config, log, r->now) == 0);
    must(!r->w.lost);
    must(r->loaded == view(r->root));
    must(fresh.fd < 0 || watch_count(&r->w) == watch_count(&fresh));
    watch_fini(&fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run r = {.at = data, .end = data + size, .now = 1000, .open_fd = {-1, -1, -1, -1}};
    struct log log = {.fd = -1};
    if (size > 400)
        return 0;
    make_top(&r);
    snprintf(r.root, sizeof(r.root), "%s/conf", r.top);
    must(mkdir(r.root, 0755) == 0);
    must(watch_init(&r.w, r.root, NULL, load_name_is_config, &log, r.now) == 0);
    r.loaded = view(r.root);

    while (r.at < r.end)
        OPS[take(&r) % ARRAY_LEN(OPS)](&r);
    for (int i = 0; i < N_OPEN; i++)
        if (r.open_fd[i] >= 0)
            close(r.open_fd[i]);
    pass(&r, 10000);

    if (has_inotify(&r))
        compare(&r, &log);
    watch_fini(&r.w);
    must(nftw(r.top, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return 0;
}
