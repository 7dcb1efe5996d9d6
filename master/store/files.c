#include "master/store/files.h"
#include "master/kinds/format.h"
#include "shared/base/arena.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_DIR_DEPTH 32
#define OPEN_FLAGS    (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

struct walk {
    struct conf_files *out;
    struct arena *arena;
    struct diags *diags;
    const struct yaml_limits *limits;
    size_t total;          /* bytes read */
    bool total_told;
    int root;              /* descriptor of the directory that was named */
    struct map seen;       /* device, inode, namespace of files -> their path */
};

/* One directory being walked; they are linked up to the root. */
struct dir {
    const struct dir *up;
    int fd;
    int data;              /* what `..data` was when the directory was opened; -1 = none */
    struct str path;       /* as shown, with '/' at the end; may be empty for "." */
    struct str below;      /* from the root, with '/' at the end; empty at the root */
    struct str ns;
    dev_t dev;
    ino_t ino;
    unsigned depth;
    bool exposed;          /* others may enter it */
};

bool load_name_is_config(struct str name)
{
    static const char *const ends[] = {".yaml", ".yml", ".json"};
    if (name.n == 0 || name.p[0] == '.' || name.p[0] == '#' || name.p[0] == '~')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct str e = str_c(ends[i]);
        if (name.n > e.n && str_ieq(str_skip(name, name.n - e.n), e))
            return true;
    }
    return false;
}

/* ---- findings ---- */

static void skip(struct walk *w, struct str path, const char *why)
{
    diag_file(w->diags, DIAG_FileSkipped, path, 0, 0, "not read: %s", why);
}

static void unreadable(struct walk *w, struct str path, int error)
{
    diag_file(w->diags, DIAG_FileUnreadable, path, 0, 0, "%s", strerror(error));
}

static const char *type_text(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO: return "it is a named pipe";
    case S_IFSOCK: return "it is a socket";
    case S_IFCHR:
    case S_IFBLK: return "it is a device";
    case S_IFDIR: return "it is a directory with the name of a file";
    default: return "it is no regular file";
    }
}

/* ---- one file ---- */

static struct conf_file *add_file(struct walk *w, struct str path, struct str ns)
{
    struct conf_file *f = arena_new(w->arena, struct conf_file);
    f->source.path = path;
    f->ns = ns;
    *ARENA_PUSH(w->arena, &w->out->list) = f;
    return f;
}

/* Reads up to `most` bytes; the number, or -1 with errno. */
static ssize_t read_all(int fd, char *p, size_t most)
{
    size_t n = 0;
    while (n < most) {
        ssize_t r = read(fd, p + n, most - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        n += (size_t)r;
    }
    return (ssize_t)n;
}

static bool fits(struct walk *w, struct str path, size_t size)
{
    if (size > w->limits->max_file) {
        diag_file(w->diags, DIAG_FileTooLarge, path, 0, 0, "%zu bytes, at most %zu are read of one file", size,
                  w->limits->max_file);
        return false;
    }
    if (size > w->limits->max_total - GH_MIN(w->total, w->limits->max_total)) {
        if (!w->total_told)
            diag_file(w->diags, DIAG_FileTooLarge, path, 0, 0,
                      "from here on nothing is read: all files together exceed %zu bytes", w->limits->max_total);
        w->total_told = true;
        return false;
    }
    return true;
}

/* A file that changes while it is read is read again, so that no half of it is taken for all of it. */
static bool read_regular(struct walk *w, struct conf_file *f, int fd, struct stat *st)
{
    for (int tries = 0; tries < 3; tries++) {
        struct stat after;
        if (!fits(w, f->source.path, (size_t)st->st_size))
            return false;
        char *p = arena_room(w->arena, (size_t)st->st_size + 1);
        ssize_t n = lseek(fd, 0, SEEK_SET) == 0 ? read_all(fd, p, (size_t)st->st_size) : -1;
        if (n < 0 || fstat(fd, &after) != 0) {
            unreadable(w, f->source.path, errno);
            return false;
        }
        p[n] = '\0';
        f->source.text = str_of(p, (size_t)n);
        if ((size_t)n == (size_t)after.st_size && after.st_mtim.tv_sec == st->st_mtim.tv_sec &&
            after.st_mtim.tv_nsec == st->st_mtim.tv_nsec)
            break;
        *st = after;
    }
    w->total += f->source.text.n;
    return true;
}

/* Pipes, for files that were named. */
static bool read_stream(struct walk *w, struct conf_file *f, int fd)
{
    struct buf b = {0};
    bool ok = false;
    ssize_t n = 0;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    while (b.n <= w->limits->max_file && buf_reserve(&b, 65536) && (n = read_all(fd, b.p + b.n, 65536)) > 0)
        b.n += (size_t)n;
    if (n < 0 || b.oom)
        unreadable(w, f->source.path, b.oom ? ENOMEM : errno);
    else if ((ok = fits(w, f->source.path, b.n)))
        f->source.text = arena_str(w->arena, buf_str(&b));
    w->total += f->source.text.n;
    buf_fini(&b);
    return ok;
}

/* True when this file was read already for the same namespace. */
static bool seen_before(struct walk *w, const struct stat *st, struct str ns, struct str path)
{
    struct str key = arena_strf(w->arena, "%llx/%llx/" STR_FMT, (unsigned long long)st->st_dev,
                                (unsigned long long)st->st_ino, STR_ARG(ns));
    struct str *first = map_get(&w->seen, key);
    if (first) {
        diag_file(w->diags, DIAG_FileSkipped, path, 0, 0, "not read: the same file as " STR_FMT, STR_ARG(*first))
            ->severity = DIAG_INFO;
        return true;
    }
    first = arena_new(w->arena, struct str);
    *first = path;
    map_put(&w->seen, key, first);
    return false;
}

static void take_file(struct walk *w, int fd, struct str path, struct str ns, bool exposed)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        unreadable(w, path, errno);
        add_file(w, path, ns)->broken = true;
    } else if (!S_ISREG(st.st_mode)) {
        skip(w, path, type_text(st.st_mode));
    } else if (!seen_before(w, &st, ns, path)) {
        struct conf_file *f = add_file(w, path, ns);
        f->source.world_readable = exposed && (st.st_mode & S_IROTH);
        f->broken = !read_regular(w, f, fd, &st);
    }
}

/* ---- links ---- */

/* Is the open file or directory inside the root? For kernels without openat2. */
static bool is_beneath(int root, int fd)
{
    char link[64], a[PATH_MAX], b[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", root);
    ssize_t na = readlink(link, a, sizeof(a));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t nb = readlink(link, b, sizeof(b));
    return na > 0 && nb > na && nb < (ssize_t)sizeof(b) && memcmp(a, b, (size_t)na) == 0 && (b[na] == '/' || na == 1);
}

/* Opens `path` below `root`; a link that leads out of it fails with EXDEV. */
static int open_beneath(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != EAGAIN))
        return fd;
    fd = openat(root, path, flags);
    if (fd >= 0 && !is_beneath(root, fd)) {
        close(fd);
        errno = EXDEV;
        return -1;
    }
    return fd;
}

/* Opens the link `name` of `d`: through `..data` when it goes there. */
static int open_link(struct walk *w, const struct dir *d, const char *name, int flags)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(d->fd, name, target, sizeof(target) - 1);
    if (d->data >= 0 && n > 7 && memcmp(target, "..data/", 7) == 0) {
        target[n] = '\0';
        return open_beneath(d->data, target + 7, flags);
    }
    struct str path = arena_strf(w->arena, STR_FMT "%s", STR_ARG(d->below), name);
    return open_beneath(w->root, path.p, flags);
}

/* Not a reason to drop what the file held while the link was good. */
static void bad_link(struct walk *w, struct str path, struct str ns, int error)
{
    switch (error) {
    case EXDEV: skip(w, path, "the link leads out of the configuration directory"); break;
    case ELOOP: skip(w, path, "the link leads to itself"); break;
    case ENOENT: skip(w, path, "the link leads nowhere"); break;
    default: unreadable(w, path, error); break;
    }
    add_file(w, path, ns)->broken = true;
}

/* ---- directories ---- */

static void walk_dir(struct walk *w, struct dir *d);

static bool is_open_above(const struct dir *d, const struct stat *st)
{
    for (; d; d = d->up)
        if (d->dev == st->st_dev && d->ino == st->st_ino)
            return true;
    return false;
}

/* ns/NAME/ directly below the root gives its files a namespace. */
static struct str namespace_of(struct walk *w, const struct dir *up, const char *name, struct str path)
{
    if (!str_eqc(up->below, "ns/"))
        return up->ns;
    struct str ns = arena_str(w->arena, str_c(name));
    if (format_check(FMT_DNS_LABEL, ns, NULL))
        return ns;
    diag_file(w->diags, DIAG_BadValue, path, 0, 0, "the directory's name is no namespace; its objects go to \"default\"")
        ->severity = DIAG_WARNING;
    return STR_NONE;
}

/* Takes `fd`. */
static void enter_dir(struct walk *w, const struct dir *up, int fd, const char *name)
{
    struct stat st;
    struct str path = arena_strf(w->arena, STR_FMT "%s/", STR_ARG(up->path), name);
    struct dir d = {.up = up, .fd = fd, .data = -1, .path = path, .depth = up->depth + 1};
    if (fstat(fd, &st) != 0) {
        unreadable(w, path, errno);
    } else if (is_open_above(up, &st)) {
        skip(w, path, "the link leads back to a directory around it");
    } else if (d.depth > MAX_DIR_DEPTH) {
        skip(w, path, "directories are nested too deep");
    } else {
        d.below = arena_strf(w->arena, STR_FMT "%s/", STR_ARG(up->below), name);
        d.ns = namespace_of(w, up, name, path);
        d.dev = st.st_dev;
        d.ino = st.st_ino;
        d.exposed = up->exposed && (st.st_mode & S_IXOTH);
        walk_dir(w, &d);
        return;
    }
    close(fd);
}

static void on_link(struct walk *w, const struct dir *d, const char *name, struct str path, bool config)
{
    struct stat st;
    int fd = open_link(w, d, name, OPEN_FLAGS);
    if (fd < 0) {
        if (config)
            bad_link(w, path, d->ns, errno);
        return;
    }
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && !config) {
        enter_dir(w, d, fd, name);
        return;
    }
    if (config)
        take_file(w, fd, path, d->ns, d->exposed);
    close(fd);
}

static void lose_dir(struct walk *w, struct str path, int error)
{
    unreadable(w, path, error);
    *ARENA_PUSH(w->arena, &w->out->lost) = path;
}

static void on_entry(struct walk *w, const struct dir *d, const char *name)
{
    struct stat st;
    bool config = load_name_is_config(str_c(name));
    if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return; /* gone since the directory was listed: the next event tells */
    if (!config && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
        return;
    struct str path = arena_strf(w->arena, STR_FMT "%s", STR_ARG(d->path), name);
    if (S_ISLNK(st.st_mode)) {
        on_link(w, d, name, path, config);
    } else if (config && !S_ISREG(st.st_mode)) {
        skip(w, path, type_text(st.st_mode));
    } else {
        int fd = openat(d->fd, name, OPEN_FLAGS | O_NOFOLLOW | (config ? 0 : O_DIRECTORY));
        if (fd < 0 && errno == ENOENT)
            return;
        if (fd < 0 && config) {
            unreadable(w, path, errno);
            add_file(w, path, d->ns)->broken = true;
        } else if (fd < 0) {
            lose_dir(w, arena_strf(w->arena, STR_FMT "/", STR_ARG(path)), errno);
        } else if (!config) {
            enter_dir(w, d, fd, name);
        } else {
            take_file(w, fd, path, d->ns, d->exposed);
            close(fd);
        }
    }
}

static int cmp_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct names { const char **v; size_t n, cap; };

/* 0 or errno. */
static int list_names(struct walk *w, DIR *dp, struct names *names)
{
    struct dirent *e;
    while (errno = 0, (e = readdir(dp)) != NULL)
        if (e->d_name[0] != '.')
            *ARENA_PUSH(w->arena, names) = arena_str(w->arena, str_c(e->d_name)).p;
    int error = errno;
    if (names->n > 1)
        qsort(names->v, names->n, sizeof(*names->v), cmp_name);
    return error;
}

/* Takes d->fd. */
static void walk_dir(struct walk *w, struct dir *d)
{
    struct names names = {0};
    DIR *dp = fdopendir(d->fd);
    if (!dp) {
        lose_dir(w, d->path, errno);
        close(d->fd);
        return;
    }
    struct str data = arena_strf(w->arena, STR_FMT "..data", STR_ARG(d->below));
    d->data = open_beneath(w->root, data.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = list_names(w, dp, &names);
    if (error)
        lose_dir(w, d->path, error);
    for (size_t i = 0; i < names.n; i++)
        on_entry(w, d, names.v[i]);
    if (d->data >= 0)
        close(d->data);
    closedir(dp);
}

/* ---- what was named ---- */

static struct str shown_root(struct arena *a, const char *path)
{
    struct str s = str_c(path);
    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    if (str_eqc(s, "."))
        return STR("");
    return str_eqc(s, "/") ? s : arena_strf(a, STR_FMT "/", STR_ARG(s));
}

static void take_named_file(struct walk *w, const char *name, int fd)
{
    struct stat st;
    struct str path = str_c(strcmp(name, "-") == 0 ? "stdin" : name);
    if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode))) {
        struct conf_file *f = add_file(w, path, STR_NONE);
        f->broken = !read_stream(w, f, fd);
    } else {
        take_file(w, fd, path, STR_NONE, true);
    }
}

static void take_named(struct walk *w, const char *name, const struct load_input *in)
{
    bool is_stdin = strcmp(name, "-") == 0;
    struct stat st;
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(name, OPEN_FLAGS);
    if (fd < 0 || fstat(fd, &st) != 0) {
        bool had_objects = in->prev && in->prev->objects.n > 0;
        if (!in->lenient_paths || errno != ENOENT || had_objects)
            lose_dir(w, arena_strf(w->arena, "%s", name), errno);
    } else if (!S_ISDIR(st.st_mode)) {
        take_named_file(w, name, fd);
    } else {
        struct dir d = {.fd = fd, .data = -1, .path = shown_root(w->arena, name), .below = STR(""), .dev = st.st_dev,
                        .ino = st.st_ino, .exposed = (st.st_mode & S_IXOTH) != 0};
        w->root = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        walk_dir(w, &d);
        if (w->root >= 0)
            close(w->root);
        return;
    }
    if (fd >= 0)
        close(fd);
}

void files_read(struct conf_files *out, struct arena *a, struct diags *ds, const struct load_input *in,
                const struct yaml_limits *limits)
{
    struct walk w = {.out = out, .arena = a, .diags = ds, .limits = limits, .root = -1};
    *out = (struct conf_files){0};
    map_init(&w.seen, a);
    for (size_t i = 0; i < in->n_paths; i++)
        take_named(&w, in->paths[i], in);
}
