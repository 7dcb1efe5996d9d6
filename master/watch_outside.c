#include "master/watch_internal.h"
#include "shared/base/err.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINKS_MAX 40    /* on the way to one file, as the kernel has it */
#define NAMES_MAX 16384

/* ---- the way to a file ---- */

static void add_name(struct watch *w, int wd, const char *name)
{
    if (w->n_names == w->cap_names) {
        size_t cap = w->cap_names ? w->cap_names * 2 : 64;
        uint64_t *names = cap <= NAMES_MAX ? realloc(w->names, cap * sizeof(*names)) : NULL;
        if (!names)
            return; /* the sweep is there for those beyond the limits */
        w->names = names;
        w->cap_names = cap;
    }
    w->names[w->n_names++] = watch_name_id(wd, name);
}

/* `name` is looked up in the directory `dir`. Writing is of interest for the file at the end only: many write below /tmp. */
static void outside_step(struct watch *w, const char *dir, const char *name, bool last)
{
    uint32_t mask = IN_MASK_ADD | (last ? MASK | IN_MODIFY : MASK & ~(uint32_t)IN_CLOSE_WRITE);
    int wd = w->fd >= 0 ? inotify_add_watch(w->fd, dir, mask) : -1;
    if (wd < 0)
        w->full |= w->fd >= 0 && (errno == ENOSPC || errno == ENOMEM);
    else if (!watch_dir_put(w, wd, dir, HOLDS_OUTSIDE))
        w->full = true;
    else
        add_name(w, wd, name);
}

/* The first component of `rest`, which becomes what is behind it. False at the end. */
static bool next_component(char **rest, char **name)
{
    char *p = *rest + strspn(*rest, "/");
    size_t n = strcspn(p, "/");
    *name = p;
    if (n == 0)
        return false;
    *rest = p + n;
    if (**rest)
        *(*rest)++ = '\0';
    return true;
}

/* `target`, then what is left: the way from here on. False: longer than a path may be. */
static bool follow_link(const char *at, char *way, char **rest)
{
    char target[PATH_MAX], joined[PATH_MAX];
    ssize_t n = readlink(at, target, sizeof(target) - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    if ((size_t)snprintf(joined, sizeof(joined), "%s/%s", target, *rest) >= sizeof(joined))
        return false;
    strcpy(way, joined);
    *rest = way;
    return true;
}

/* Goes the way of the kernel, and watches at every step of it, as far as there is one. */
static void outside_walk(struct watch *w, const char *path)
{
    char way[PATH_MAX], at[PATH_MAX] = "", *rest = way, *name;
    struct stat st;
    if (strlen(path) >= sizeof(way))
        return;
    strcpy(way, path);
    for (int links = 0; next_component(&rest, &name);) {
        size_t at_n = strlen(at);
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            *(at_n ? strrchr(at, '/') : at) = '\0';
            continue;
        }
        if (at_n + strlen(name) + 2 > sizeof(at))
            return;
        outside_step(w, at_n ? at : "/", name, strspn(rest, "/") == strlen(rest));
        at[at_n] = '/';
        strcpy(at + at_n + 1, name);
        if (lstat(at, &st) != 0)
            return;
        if (S_ISLNK(st.st_mode)) {
            if (++links > LINKS_MAX || !follow_link(at, way, &rest))
                return;
            at[way[0] == '/' ? 0 : at_n] = '\0';
        } else if (!S_ISDIR(st.st_mode)) {
            if (watch_has_more_names(&st))
                watch_file_add(w, at);
            return;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void watch_outside_add(struct watch *w)
{
    w->n_names = 0;
    for (size_t i = 0; i < w->n_outside; i++)
        outside_walk(w, w->files[i].path);
    if (w->n_names)
        qsort(w->names, w->n_names, sizeof(*w->names), by_value);
}

bool watch_outside_has(const struct watch *w, int wd, const char *name)
{
    uint64_t id = watch_name_id(wd, name);
    return w->n_names && bsearch(&id, w->names, w->n_names, sizeof(id), by_value);
}

static uint64_t file_hash(const struct watch_file *f)
{
    uint64_t h = hash_mix(hash_str(str_c(f->path), 5), f->dev);
    return hash_mix(hash_mix(hash_mix(hash_mix(h, f->ino), f->size), f->mtime_ns), f->ctime_ns);
}

/* What is there now, in the form of what was read. */
static uint64_t weigh_outside(const struct watch *w)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w->n_outside; i++) {
        struct watch_file f = {.path = w->files[i].path};
        struct stat st;
        if (stat(f.path, &st) == 0)
            f = (struct watch_file){f.path, st.st_dev, st.st_ino, (uint64_t)st.st_size, watch_nanoseconds(st.st_mtim),
                                    watch_nanoseconds(st.st_ctim)};
        sum += file_hash(&f);
    }
    return sum;
}

/* A load is asked for once for each version: one that the compiler may not even look at is no reason for ever. */
void watch_outside_compare(struct watch *w, uint64_t now_ms)
{
    uint64_t now = weigh_outside(w);
    if (now != w->files_loaded && now != w->files_told)
        settle_event(&w->settle, now_ms);
    w->files_told = now;
}

void watch_outside_forget(struct watch *w)
{
    for (size_t i = 0; i < w->n_outside; i++)
        free(w->files[i].path);
    free(w->files);
    w->files = NULL;
    w->n_outside = 0;
}

static const struct watch_file *find_file(const struct watch_file *v, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].path, path) == 0)
            return &v[i];
    return NULL;
}

/* Appends a copy; false without memory. */
static bool keep_file(struct watch_file *to, size_t *n, const struct watch_file *f)
{
    to[*n] = *f;
    to[*n].path = strdup(f->path);
    return to[*n].path && ++*n;
}

int watch_outside(struct watch *w, const struct watch_file *v, size_t n, bool replace, uint64_t now_ms)
{
    struct watch_file *files = calloc(n + w->n_outside + 1, sizeof(*files));
    size_t n_files = 0;
    bool good = files != NULL;
    for (size_t i = 0; good && i < n && n_files < WATCH_FILES_MAX; i++)
        good = keep_file(files, &n_files, &v[i]);
    for (size_t i = 0; good && !replace && i < w->n_outside && n_files < WATCH_FILES_MAX; i++)
        if (!find_file(v, n, w->files[i].path))
            good = keep_file(files, &n_files, &w->files[i]);
    if (!good) {
        while (n_files)
            free(files[--n_files].path);
        free(files);
        return GH_E_NOMEM;
    }
    bool others = n_files != w->n_outside;
    for (size_t i = 0; i < n_files && !others; i++)
        others = !find_file(w->files, w->n_outside, files[i].path);
    watch_outside_forget(w);
    w->files = files;
    w->n_outside = n_files;
    w->files_loaded = 0;
    for (size_t i = 0; i < n_files; i++)
        w->files_loaded += file_hash(&files[i]);
    if (others)
        watch_outside_add(w); /* what is not needed any more leaves with the next walk */
    watch_outside_compare(w, now_ms);
    return 0;
}
