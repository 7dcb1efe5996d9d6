/*
 * watch.h - the configuration directory to "load now".
 *
 * Knows directories and names, no YAML and no event loop: the owner polls `fd`, calls watch_read when it is
 * readable and watch_tick at watch_deadline; both take the time, so tests bring their own clock.
 *
 * What is watched: every real directory below `root` (hidden ones are passed over, but for "..xyz", the data
 * directories of ConfigMap mounts, and unless there are links, which may point to them), the directory that holds
 * `root` (to see it come and go, or its link change), and the directory of the instance file (for that one name).
 * Files with more than one name also have a watch of their own (1,024 of them at most), as they may be written under
 * a name that lies elsewhere. What no event tells is left to rule 4: a second name made elsewhere for a file that had
 * one, or a file open under a name that was removed since.
 *
 * Files outside that objects name (certificates) are watched by every directory in which a part of their path is looked
 * up, through all links, for that name only: so it makes no difference whether the file is written, replaced, removed,
 * appears at last, or a link on the way (`..data` of a mounted Secret) is changed. They are those that the last load
 * asked for (watch_outside).
 *
 * Rules
 *  1. Any change that may matter makes it dirty; a change that does not matter costs a load that finds nothing
 *     new. When in doubt: dirty.
 *  2. The set of watches is rebuilt by a walk of the tree before every load that follows a change of directories,
 *     an overflow of the queue or a loss. After it the set is what a fresh start would have, and everything that
 *     changes later makes an event; so no change falls between watch and load.
 *  3. A missing or unreadable root is `lost`: that is no empty directory. The owner keeps what it has. It is
 *     looked for every second, and found again when it can be read; an empty one counts as found after 2 s (files
 *     are still being copied), after an unmount only when something is in it.
 *  4. Where inotify can't be had (limits), the tree is compared by a cheap fingerprint every 2 s; otherwise every
 *     30 s, for file systems that send no events.
 */
#ifndef GH_MASTER_WATCH_H
#define GH_MASTER_WATCH_H

#include "master/settle.h"
#include "shared/base/log.h"

#define WATCH_SCAN_MS  2000
#define WATCH_SWEEP_MS 30000
#define WATCH_LOST_MS  1000
#define WATCH_EMPTY_MS 2000

struct watch_dir;

/* A file outside, and the version of it that a load has read (store/outside.h); all 0: it was not there. */
struct watch_file {
    char *path;                /* absolute */
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
};
#define WATCH_FILES_MAX 256

/* Owned by its user; all members are private to watch.c but `fd`. */
struct watch {
    int fd;                    /* inotify, non-blocking; -1 = scanning (rule 4) */
    void (*closing)(void *ctx); /* may be NULL: `fd` is about to be closed, stop polling it */
    void *closing_ctx;
    struct log *log;
    char *root, *root_home, *root_name;
    char *config_home, *config_name; /* NULL = there is none */
    bool (*is_config)(struct str name);
    struct settle settle;
    struct watch_dir *dirs;    /* sorted by watch descriptor */
    size_t n_dirs, cap_dirs;
    size_t n_files;            /* watches that were put on files since the set was rebuilt */
    uint32_t round;            /* of walks: what an older one saw and this one did not is forgotten */
    bool stale;                /* the set of watches must be rebuilt (rule 2) */
    bool links;                /* there are links: any file and any directory may be what one points to */
    bool full;                 /* a limit of inotify was met during this walk */
    bool scanning;             /* rule 4, and it was said */
    uint64_t retry_ms;         /* then: when inotify is tried again */
    bool lost, unmounted;      /* rule 3 */
    int lost_errno;            /* why; 0 = it is there, but empty still */
    uint64_t found_ms;         /* when a lost root could be read again; 0 = not yet */
    uint64_t sweep_ms;         /* next comparison of fingerprints */
    uint64_t fingerprint;
    struct watch_file *files;  /* outside */
    size_t n_outside;
    uint64_t *names;           /* sorted hashes of (directory's watch, name) that matter for them */
    size_t n_names, cap_names;
    uint64_t files_loaded;     /* fingerprint of what the last load has read of them */
    uint64_t files_told;       /* of what a load was asked for because it was another one */
};

/* `config_file` may be NULL. Never fails for reasons of the file system: those become `lost` or scanning.
 * GH_E_NOMEM. */
int watch_init(struct watch *w, const char *root, const char *config_file, bool (*is_config)(struct str name),
               struct log *log, uint64_t now_ms);
void watch_fini(struct watch *w);
/* Takes what inotify has. */
void watch_read(struct watch *w, uint64_t now_ms);
/*
 * The files outside that a load has read or looked for. `replace`: they are all; else they are added to those before (a
 * load that failed). What differs from what was read is a change: none falls between reading and watching. At most
 * WATCH_FILES_MAX; takes over nothing. GH_E_NOMEM: only those before are watched.
 */
int watch_outside(struct watch *w, const struct watch_file *v, size_t n, bool replace, uint64_t now_ms);
/* When watch_tick wants to be called. */
uint64_t watch_deadline(const struct watch *w);
/* Sweeps when it is time to; true when a load should begin now, and then counts from here on (rule 2). */
bool watch_tick(struct watch *w, uint64_t now_ms);
/* A load begins for another reason (SIGHUP): what changed so far is in it. */
void watch_load_begins(struct watch *w, uint64_t now_ms);
/* Rule 3: false and a sentence in `why` when the root is lost. */
bool watch_root_is_there(const struct watch *w, struct buf *why);
/* Number of directories watched, for tests and status. */
size_t watch_count(const struct watch *w);

#endif
