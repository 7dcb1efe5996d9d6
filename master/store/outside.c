#include "master/store/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "gatehouse.dev" /* of the identities in the state; no object of people has this kind */
#define KIND  "File"

static struct str held_key(const struct outside *o, struct str group, struct str path)
{
    return arena_strf(o->arena, STR_FMT "\n" STR_FMT, STR_ARG(group), STR_ARG(path));
}

void outside_init(struct outside *o, struct arena *a, struct str root, const struct state *prev)
{
    *o = (struct outside){.arena = a, .root = root};
    map_init(&o->by_path, a);
    map_init(&o->good, a);
    map_init(&o->held, a);
    for (size_t i = 0; prev && i < prev->objects.n; i++) {
        struct state_object *s = prev->objects.v[i].val;
        if (s && str_eqc(s->kind, KIND) && str_eqc(s->kind_group, GROUP))
            map_put(&o->good, held_key(o, s->ns, s->name), s);
    }
}

struct str outside_good(const struct outside *o, struct str group, struct str path)
{
    const struct state_object *s = o ? map_get(&o->good, held_key(o, group, path)) : NULL;
    return s ? s->text : STR_NONE;
}

void outside_hold(struct outside *o, struct str group, struct str path, struct str text)
{
    struct str key = held_key(o, group, path);
    if (map_get(&o->held, key) || o->held_bytes + text.n > OUTSIDE_HELD_MAX)
        return;
    struct state_object *s = arena_new(o->arena, struct state_object);
    *s = (struct state_object){.kind_group = STR(GROUP), .kind = STR(KIND), .ns = arena_str(o->arena, group),
                               .name = arena_str(o->arena, path), .text = text};
    map_put(&o->held, key, s);
    o->held_bytes += text.n;
}

void outside_remember(const struct outside *o, struct state *st)
{
    for (size_t i = 0; i < o->held.n; i++)
        map_put(&st->objects, state_key(st->arena, o->held.v[i].val), o->held.v[i].val);
}

static uint64_t nanoseconds(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct outside_stamp stamp(const struct stat *st)
{
    return (struct outside_stamp){st->st_dev, st->st_ino, (uint64_t)st->st_size, nanoseconds(st->st_mtim),
                                  nanoseconds(st->st_ctim)};
}

struct outside_stamp outside_stamp_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? stamp(&st) : (struct outside_stamp){0};
}

static const char *system_says(const struct outside *o, int err)
{
    return err == ENOENT ? "there is no such file" : arena_str(o->arena, str_c(strerror(err))).p;
}

/* A pipe or a device must not make us wait or do anything by being opened: looked at first, and again when open. */
static const char *open_file(struct outside *o, struct outside_file *f, const char *path, int *fd)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return system_says(o, errno);
    f->stamp = stamp(&st);
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? "is a directory" : "is no regular file";
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return system_says(o, errno);
    if (fstat(*fd, &st) != 0)
        return system_says(o, errno);
    f->stamp = stamp(&st);
    if (!S_ISREG(st.st_mode))
        return "is no regular file";
    return (uint64_t)st.st_size > OUTSIDE_BYTES_MAX ? "is larger than 1 MiB" : NULL;
}

/* To its end, which may have moved since it was measured. */
static const char *read_all(struct outside *o, struct outside_file *f, int fd)
{
    size_t room = (size_t)f->stamp.size + 1, n = 0;
    char *p = arena_alloc(o->arena, room + 1);
    for (;;) {
        ssize_t got = read(fd, p + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return system_says(o, errno);
        if (got == 0)
            break;
        n += (size_t)got;
        if (n == room)
            return "changed while it was read";
    }
    f->text = str_of(p, n);
    f->content_hash = hash_str(f->text, 0);
    return NULL;
}

static const char *read_file(struct outside *o, struct outside_file *f)
{
    char path[PATH_MAX];
    int fd = -1;
    if (f->path.n == 0 || f->path.p[0] != '/')
        return "is no absolute path";
    if (memchr(f->path.p, '\0', f->path.n) || o->root.n + f->path.n >= sizeof(path))
        return "is no path";
    memcpy(path, o->root.n ? o->root.p : "", o->root.n);
    memcpy(path + o->root.n, f->path.p, f->path.n);
    path[o->root.n + f->path.n] = '\0';
    const char *why = open_file(o, f, path, &fd);
    if (!why)
        why = read_all(o, f, fd);
    if (fd >= 0)
        close(fd);
    return why;
}

static struct outside_file *file_of(struct outside *o, struct str path)
{
    struct outside_file *f = map_get(&o->by_path, path);
    if (f || o->files.n >= OUTSIDE_MAX)
        return f;
    f = arena_new(o->arena, struct outside_file);
    f->path = arena_str(o->arena, path);
    f->why = read_file(o, f);
    *ARENA_PUSH(o->arena, &o->files) = f;
    map_put(&o->by_path, f->path, f);
    return f;
}

bool outside_read(struct outside *o, struct str path, struct str *text, const char **why)
{
    struct outside_file *f = o ? file_of(o, path) : NULL;
    *why = !o ? "files are not read here" : f ? f->why : "is one file too many: at most 256 are read";
    *text = *why ? STR_NONE : f->text;
    return !*why;
}
