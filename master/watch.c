#include "master/watch_internal.h"
#include "shared/base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define READS_MAX 64 /* of one call: somebody who changes files without end must not have the loop for himself */
#define MASK_TREE (MASK | IN_MODIFY)
#define MASK_FILE (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_DONT_FOLLOW | IN_MASK_ADD)
#define FILES_MAX 1024 /* watches of files, so that enough of them are left for directories */

/* ---- the set of watches ---- */

/* Place of `wd` in the sorted array, or where it would be. */
static size_t dir_place(const struct watch *w, int wd)
{
    size_t lo = 0, hi = w->n_dirs;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (w->dirs[mid].wd < wd)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct watch_dir *dir_find(const struct watch *w, int wd)
{
    size_t i = dir_place(w, wd);
    return i < w->n_dirs && w->dirs[i].wd == wd ? &w->dirs[i] : NULL;
}

static void dir_remove(struct watch *w, size_t i)
{
    free(w->dirs[i].path);
    memmove(w->dirs + i, w->dirs + i + 1, (--w->n_dirs - i) * sizeof(*w->dirs));
}

bool watch_dir_put(struct watch *w, int wd, const char *path, unsigned interest)
{
    size_t i = dir_place(w, wd);
    char *copy = strdup(path);
    if (!copy)
        return false;
    if (i == w->n_dirs || w->dirs[i].wd != wd) {
        if (w->n_dirs == w->cap_dirs) {
            size_t cap = w->cap_dirs ? w->cap_dirs * 2 : 64;
            struct watch_dir *dirs = realloc(w->dirs, cap * sizeof(*dirs));
            if (!dirs) {
                free(copy);
                return false;
            }
            w->dirs = dirs;
            w->cap_dirs = cap;
        }
        memmove(w->dirs + i + 1, w->dirs + i, (w->n_dirs++ - i) * sizeof(*w->dirs));
        w->dirs[i] = (struct watch_dir){.wd = wd};
    }
    struct watch_dir *d = &w->dirs[i];
    free(d->path);
    d->path = copy;
    d->interest = d->round == w->round ? d->interest | interest : interest;
    d->round = w->round;
    return true;
}

/* 0, or why this directory has no watch now; limits set w->full. */
static int dir_add(struct watch *w, const char *path, unsigned interest)
{
    if (w->fd < 0)
        return 0;
    /* The root may be a link (that is how some people switch whole trees), what lies below it may not. */
    bool below = interest == IN_THE_TREE && strcmp(path, w->root) != 0;
    uint32_t mask = interest == IN_THE_TREE ? MASK_TREE : MASK | IN_MASK_ADD; /* one directory may be both */
    int wd = inotify_add_watch(w->fd, path, below ? mask | IN_DONT_FOLLOW : mask);
    if (wd < 0) {
        w->full |= errno == ENOSPC || errno == ENOMEM;
        return errno;
    }
    if (!watch_dir_put(w, wd, path, interest)) {
        w->full = true;
        return ENOMEM;
    }
    return 0;
}

void watch_file_add(struct watch *w, const char *path)
{
    if (w->fd < 0 || w->n_files >= FILES_MAX)
        return;
    int wd = inotify_add_watch(w->fd, path, MASK_FILE);
    if (wd >= 0 && watch_dir_put(w, wd, path, A_FILE))
        w->n_files++;
}

/* ---- walking ---- */

/* No load looks at these for their own sake. "..xyz" is not hidden: ConfigMap mounts keep their files there. */
static bool is_hidden(const char *name)
{
    return name[0] == '.' && !(name[1] == '.' && name[2] != '\0');
}

/* A hidden directory may be what a link points to. A hidden link counts for nothing: it takes another link to get there. */
static bool is_passed_over(const struct watch *w, const char *name)
{
    return is_hidden(name) && !w->links;
}

/* What a walk does besides finding directories. */
struct walk {
    struct watch *w;
    bool add;       /* put watches on directories */
    bool weigh;     /* make a fingerprint */
    uint64_t sum;   /* of hashes, so that the order of entries does not matter */
    size_t entries; /* configuration files and directories */
    bool passed_over; /* a hidden directory was, or a file that only links would make one of ours */
};

static uint64_t stat_hash(uint64_t h, const struct stat *st)
{
    h = hash_mix(h, st->st_dev);
    h = hash_mix(h, st->st_ino);
    h = hash_mix(h, (uint64_t)st->st_size);
    h = hash_mix(h, st->st_mode);
    return hash_mix(hash_mix(h, watch_nanoseconds(st->st_mtim)), watch_nanoseconds(st->st_ctim));
}

/* One entry of the directory `dir` at `path` that is no directory. */
static void walk_file(struct walk *k, int dir, struct buf *path, const char *name, bool link)
{
    struct stat st;
    bool config = k->w->is_config(str_c(name));
    if (config)
        k->entries++;
    k->w->links |= link && !is_hidden(name);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    size_t path_n = path->n;
    if (watch_has_more_names(&st) && !config && !k->w->links) {
        k->passed_over = true;
    } else if (k->add && watch_has_more_names(&st)) {
        buf_addch(path, '/');
        buf_addc(path, name);
        watch_file_add(k->w, buf_cstr(path));
        path->n = path_n;
    }
    if (!k->weigh || (!config && !link))
        return;
    uint64_t h = stat_hash(hash_str(str_c(name), hash_str(buf_str(path), 1)), &st);
    if (link && fstatat(dir, name, &st, 0) == 0)
        h = stat_hash(h, &st);
    k->sum += h;
}

/* Reads the directory `fd` (taken over) at `path`, whose buffer is lengthened for what lies below. Returns 0 or
 * the errno of the directory itself; trouble further down is left to the loader to report. */
static int walk_dir(struct walk *k, int fd, struct buf *path, unsigned depth)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        int err = errno;
        close(fd);
        return err;
    }
    uint64_t path_hash = hash_str(buf_str(path), 1);
    size_t path_n = path->n;
    struct dirent *e;
    while ((e = readdir(d))) {
        const char *name = e->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        struct stat st;
        unsigned char type = e->d_type;
        if (type == DT_UNKNOWN && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
        if (type != DT_DIR) {
            walk_file(k, fd, path, name, type == DT_LNK);
            continue;
        }
        if (is_passed_over(k->w, name) || depth >= DEPTH_MAX) {
            k->passed_over = true;
            continue;
        }
        k->entries++;
        k->sum += hash_str(str_c(name), path_hash);
        buf_addch(path, '/');
        buf_addc(path, name);
        if (k->add)
            dir_add(k->w, buf_cstr(path), IN_THE_TREE); /* before it is read: rule 2 */
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            walk_dir(k, below, path, depth + 1);
        path->n = path_n;
    }
    closedir(d);
    return 0;
}

static int walk_from(struct walk *k, const char *at, bool follow)
{
    int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return errno;
    struct buf path = {0};
    buf_addc(&path, at);
    int err = walk_dir(k, fd, &path, 0);
    k->w->full |= path.oom;
    buf_fini(&path);
    return err;
}

static uint64_t weigh_config_file(const struct watch *w)
{
    struct stat st;
    if (!w->config_name)
        return 0;
    struct buf path = {0};
    buf_addf(&path, "%s/%s", w->config_home, w->config_name);
    uint64_t h = stat(buf_cstr(&path), &st) == 0 ? stat_hash(2, &st) : 1;
    buf_fini(&path);
    return h;
}

/* ---- lost and found (rule 3) ---- */

static void lose(struct watch *w, int err)
{
    if (!w->lost || (err && err != w->lost_errno))
        log_warn(w->log, "%s: %s; what is configured stays until it is back", w->root,
                 err ? strerror(err) : "unmounted or emptied");
    w->lost = true;
    w->lost_errno = err;
    if (err)
        w->found_ms = 0;
}

static void judge_root(struct watch *w, int err, size_t entries, uint64_t now_ms)
{
    if (err) {
        lose(w, err);
        return;
    }
    if (w->unmounted && entries == 0) {
        lose(w, 0);
        return;
    }
    w->unmounted = false;
    if (!w->lost)
        return;
    if (!w->found_ms)
        w->found_ms = now_ms;
    w->lost_errno = 0;
    if (entries == 0 && now_ms - w->found_ms < WATCH_EMPTY_MS)
        return;
    log_info(w->log, "%s is back", w->root);
    w->lost = false;
    w->found_ms = 0;
    settle_event(&w->settle, now_ms);
}

/* ---- rebuilding (rule 2) ---- */

static void stop_inotify(struct watch *w)
{
    if (w->fd >= 0 && w->closing)
        w->closing(w->closing_ctx);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    while (w->n_dirs)
        dir_remove(w, w->n_dirs - 1);
}

/* Rule 4. Said once, until inotify works again. */
static void fall_back(struct watch *w, const char *why)
{
    if (!w->scanning)
        log_warn(w->log, "%s: %s; looking for changes every %d s instead", w->root, why, WATCH_SCAN_MS / 1000);
    w->scanning = true;
    stop_inotify(w);
}

static void start_inotify(struct watch *w, uint64_t now_ms)
{
    w->retry_ms = now_ms + WATCH_SWEEP_MS;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0)
        fall_back(w, strerror(errno));
}

static void config_file_add(struct watch *w)
{
    struct stat st;
    struct buf path = {0};
    dir_add(w, w->config_home, HOLDS_CONFIG);
    buf_addf(&path, "%s/%s", w->config_home, w->config_name);
    if (lstat(buf_cstr(&path), &st) == 0 && watch_has_more_names(&st))
        watch_file_add(w, buf_cstr(&path));
    buf_fini(&path);
}

/* Walks everything; `weigh` also renews the fingerprint and returns whether it differs. */
static bool rebuild(struct watch *w, uint64_t now_ms, bool weigh)
{
    struct walk k = {.w = w, .add = w->fd >= 0, .weigh = weigh};
    w->round++;
    w->full = w->stale = w->links = false;
    w->n_files = 0;
    if (w->config_name)
        config_file_add(w);
    watch_outside_add(w);
    dir_add(w, w->root_home, HOLDS_ROOT);
    dir_add(w, w->root, IN_THE_TREE);
    int err = walk_from(&k, w->root, true);
    if (w->links && k.passed_over) { /* before the first link was seen */
        k = (struct walk){.w = w, .add = w->fd >= 0, .weigh = weigh};
        err = walk_from(&k, w->root, true);
    }
    for (size_t i = w->n_dirs; i-- > 0;) {
        if (w->dirs[i].round != w->round) {
            inotify_rm_watch(w->fd, w->dirs[i].wd);
            dir_remove(w, i);
        }
    }
    if (w->full) {
        fall_back(w, "inotify has no room for all directories (fs.inotify.max_user_watches)");
    } else if (w->fd >= 0 && w->scanning) {
        log_info(w->log, "%s: inotify has room again", w->root);
        w->scanning = false;
    }
    judge_root(w, err, k.entries, now_ms);
    if (!weigh)
        return false;
    uint64_t fingerprint = hash_mix(k.sum, weigh_config_file(w));
    bool differs = fingerprint != w->fingerprint;
    w->fingerprint = fingerprint;
    return differs;
}

static void sweep(struct watch *w, uint64_t now_ms)
{
    bool was_lost = w->lost;
    bool differs = rebuild(w, now_ms, true);
    if (differs && !w->lost && !was_lost)
        settle_event(&w->settle, now_ms);
    watch_outside_compare(w, now_ms);
}

static uint64_t sweep_interval(const struct watch *w)
{
    return w->lost ? WATCH_LOST_MS : w->fd < 0 ? WATCH_SCAN_MS : WATCH_SWEEP_MS;
}

/* ---- events ---- */

/* 0 = it is not there any more. */
static mode_t entry_mode(const struct watch_dir *d, const char *name, bool *more_names)
{
    struct stat st;
    struct buf path = {0};
    buf_addf(&path, "%s/%s", d->path, name);
    mode_t mode = lstat(buf_cstr(&path), &st) == 0 ? st.st_mode : 0;
    *more_names = mode && watch_has_more_names(&st);
    buf_fini(&path);
    return mode;
}

/* A name that is no configuration: links and things of unknown kind may stand for directories, and any file may be
 * what a link with a configuration's name points to, or one of ours under a second name. */
static bool may_matter(const struct watch *w, const struct watch_dir *d, const char *name, uint32_t mask)
{
    bool more_names = false;
    if (w->links)
        return true;
    mode_t mode = mask & (IN_CREATE | IN_MOVED_TO) ? entry_mode(d, name, &more_names) : 0;
    if (is_hidden(name) || more_names)
        return more_names;
    if (name[0] == '.')
        return true; /* ConfigMap: ..data */
    if (mask & (IN_DELETE | IN_MOVED_FROM))
        return true; /* what it was can't be seen any more */
    return mask & (IN_CREATE | IN_MOVED_TO) && !S_ISREG(mode);
}

static void config_event(struct watch *w, const struct watch_dir *d, const char *name, uint32_t mask, uint64_t now_ms)
{
    uint64_t id = watch_name_id(d->wd, name);
    bool more_names = false;
    mode_t mode = mask & (IN_CREATE | IN_MOVED_TO) ? entry_mode(d, name, &more_names) : 0;
    if (S_ISLNK(mode) && !w->links)
        w->links = w->stale = true; /* hidden directories are of interest now */
    if (more_names)
        w->stale = true; /* the file wants a watch of its own */
    if (w->links && mask & (IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE))
        w->stale = true; /* and this may have been the last link */
    if (mask & IN_MOVED_TO)
        settle_renamed(&w->settle, id, now_ms);
    else if (mask & IN_CLOSE_WRITE)
        settle_closed(&w->settle, id, now_ms);
    else if (mask & (IN_DELETE | IN_MOVED_FROM))
        settle_vanished(&w->settle, id, now_ms);
    else if (mask & IN_MODIFY || (S_ISREG(mode) && !more_names)) /* a link is complete, a new file is not */
        settle_writing(&w->settle, id, now_ms);
    else
        settle_event(&w->settle, now_ms);
}

static void directory_event(struct watch *w, const struct watch_dir *d, const char *name, uint32_t mask, uint64_t now_ms)
{
    w->stale = true;
    settle_event(&w->settle, now_ms);
    if (!(mask & (IN_CREATE | IN_MOVED_TO)))
        return;
    /* At once, so that slow writers inside it are seen; the rebuild before the load makes it complete. */
    struct buf path = {0};
    buf_addf(&path, "%s/%s", d->path, name);
    struct walk k = {.w = w, .add = true};
    if (dir_add(w, buf_cstr(&path), IN_THE_TREE) == 0)
        walk_from(&k, buf_cstr(&path), false);
    buf_fini(&path);
}

static void tree_event(struct watch *w, const struct watch_dir *d, const char *name, uint32_t mask, uint64_t now_ms)
{
    if (mask & IN_ISDIR) {
        if (!is_passed_over(w, name))
            directory_event(w, d, name, mask, now_ms);
    } else if (w->is_config(str_c(name))) {
        config_event(w, d, name, mask, now_ms);
    } else if (may_matter(w, d, name, mask)) {
        w->stale = true;
        if (mask & IN_MOVED_FROM && !w->links)
            settle_renamed_from(&w->settle, now_ms);
        else
            settle_event(&w->settle, now_ms);
    }
}

/* A part of the path of a file outside: what lies behind it may be elsewhere now. */
static void outside_event(struct watch *w, const struct watch_dir *d, const char *name, uint32_t mask, uint64_t now_ms)
{
    uint64_t id = watch_name_id(d->wd, name);
    w->stale |= !(mask & (IN_MODIFY | IN_CLOSE_WRITE));
    if (mask & IN_MOVED_TO)
        settle_renamed(&w->settle, id, now_ms);
    else if (mask & IN_CLOSE_WRITE)
        settle_closed(&w->settle, id, now_ms);
    else if (mask & (IN_DELETE | IN_MOVED_FROM))
        settle_vanished(&w->settle, id, now_ms);
    else if (mask & IN_MODIFY)
        settle_writing(&w->settle, id, now_ms);
    else
        settle_event(&w->settle, now_ms);
}

/* One that has several names: it may have been written, or lost a name, outside of the tree. */
static void file_event(struct watch *w, const struct watch_dir *d, uint32_t mask, uint64_t now_ms)
{
    uint64_t id = hash_mix(1, (uint64_t)d->wd);
    if (mask & IN_CLOSE_WRITE)
        settle_closed(&w->settle, id, now_ms);
    else if (mask & IN_MODIFY)
        settle_writing(&w->settle, id, now_ms);
    else {
        w->stale = true;
        settle_event(&w->settle, now_ms);
    }
}

static void take_event(struct watch *w, const struct inotify_event *e, uint64_t now_ms)
{
    if (e->mask & IN_Q_OVERFLOW) {
        log_warn(w->log, "more changes below %s than inotify's queue holds: all of it is read again", w->root);
        w->stale = true;
        settle_event(&w->settle, now_ms);
        return;
    }
    struct watch_dir *found = dir_find(w, e->wd);
    if (!found)
        return;
    struct watch_dir d = *found; /* the array may move below; `path` stays until this event is done */
    if (e->mask & (IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
        if (e->mask & IN_UNMOUNT && strcmp(d.path, w->root) == 0)
            w->unmounted = true;
        if (e->mask & IN_IGNORED)
            dir_remove(w, (size_t)(found - w->dirs));
        w->stale = true;
        settle_event(&w->settle, now_ms);
        return;
    }
    const char *name = e->len ? e->name : "";
    if (!name[0] && d.interest & A_FILE)
        file_event(w, &d, e->mask, now_ms);
    if (!name[0])
        return; /* attributes of the directory itself */
    if (d.interest & HOLDS_CONFIG && strcmp(name, w->config_name) == 0)
        config_event(w, &d, name, e->mask, now_ms);
    if (d.interest & HOLDS_OUTSIDE && watch_outside_has(w, d.wd, name))
        outside_event(w, &d, name, e->mask, now_ms);
    if (d.interest & HOLDS_ROOT && strcmp(name, w->root_name) == 0) {
        w->stale = true;
        settle_event(&w->settle, now_ms);
    }
    if (d.interest & IN_THE_TREE)
        tree_event(w, &d, name, e->mask, now_ms);
}

void watch_read(struct watch *w, uint64_t now_ms)
{
    union {
        struct inotify_event align;
        char bytes[16384];
    } room;
    for (int i = 0; w->fd >= 0 && i < READS_MAX; i++) {
        ssize_t n = read(w->fd, room.bytes, sizeof(room.bytes));
        if (n <= 0) {
            return;
        }
        for (char *at = room.bytes; at < room.bytes + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)at;
            take_event(w, e, now_ms);
            at += sizeof(*e) + e->len;
        }
    }
}

/* ---- time ---- */

uint64_t watch_deadline(const struct watch *w)
{
    uint64_t due = settle_due_ms(&w->settle);
    return GH_MIN(due, w->sweep_ms);
}

void watch_load_begins(struct watch *w, uint64_t now_ms)
{
    watch_read(w, now_ms);
    if (w->stale || w->lost)
        rebuild(w, now_ms, false);
    settle_clear(&w->settle);
    if (w->lost)
        w->sweep_ms = GH_MIN(w->sweep_ms, now_ms + WATCH_LOST_MS);
}

bool watch_tick(struct watch *w, uint64_t now_ms)
{
    if (now_ms >= w->sweep_ms) {
        if (w->fd < 0 && now_ms >= w->retry_ms)
            start_inotify(w, now_ms);
        sweep(w, now_ms);
        w->sweep_ms = now_ms + sweep_interval(w);
    }
    if (now_ms < settle_due_ms(&w->settle))
        return false;
    watch_load_begins(w, now_ms);
    return !w->lost;
}

bool watch_root_is_there(const struct watch *w, struct buf *why)
{
    if (w->lost)
        buf_addf(why, "%s: %s", w->root, w->lost_errno ? strerror(w->lost_errno) : "empty since it vanished");
    return !w->lost;
}

size_t watch_count(const struct watch *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_dirs; i++)
        n += w->dirs[i].interest != A_FILE;
    return n;
}

/* ---- life ---- */

/* "/a/b/" to "/a" and "b"; "b" to "." and "b". */
static bool split_path(const char *path, char **home, char **name)
{
    struct str p = str_c(path);
    while (p.n > 1 && p.p[p.n - 1] == '/')
        p.n--;
    ptrdiff_t slash = str_rchr(p, '/');
    struct str h = slash < 0 ? STR(".") : str_head(p, slash ? (size_t)slash : 1);
    struct str n = str_skip(p, (size_t)(slash + 1));
    *home = strndup(h.p, h.n);
    *name = strndup(n.p, n.n);
    return *home && *name;
}

int watch_init(struct watch *w, const char *root, const char *config_file, bool (*is_config)(struct str name),
               struct log *log, uint64_t now_ms)
{
    *w = (struct watch){.fd = -1, .log = log, .is_config = is_config, .root = strdup(root)};
    if (!w->root || !split_path(root, &w->root_home, &w->root_name) ||
        (config_file && !split_path(config_file, &w->config_home, &w->config_name))) {
        watch_fini(w);
        return GH_E_NOMEM;
    }
    start_inotify(w, now_ms);
    rebuild(w, now_ms, true);
    w->sweep_ms = now_ms + sweep_interval(w);
    return 0;
}

void watch_fini(struct watch *w)
{
    stop_inotify(w);
    watch_outside_forget(w);
    free(w->names);
    free(w->dirs);
    free(w->root);
    free(w->root_home);
    free(w->root_name);
    free(w->config_home);
    free(w->config_name);
    *w = (struct watch){.fd = -1};
}
