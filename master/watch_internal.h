/*
 * watch_internal.h - between watch.c, which has the set of watches, the walk and the events, and watch_outside.c, which
 * finds the places that matter for files outside.
 */
#ifndef GH_MASTER_WATCH_INTERNAL_H
#define GH_MASTER_WATCH_INTERNAL_H

#include "master/watch.h"
#include "shared/base/hash.h"

#include <sys/inotify.h>
#include <sys/stat.h>

/* Writing is of interest in the tree only: beside the instance file there may be a log. */
#define MASK                                                                                                         \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | \
     IN_ONLYDIR)

enum interest { IN_THE_TREE = 1, HOLDS_ROOT = 2, HOLDS_CONFIG = 4, A_FILE = 8, HOLDS_OUTSIDE = 16 };

/* A directory, or a file with several names. */
struct watch_dir {
    int wd;
    unsigned interest; /* enum interest */
    uint32_t round;
    char *path;
};

/* A name in a watched directory. */
static inline uint64_t watch_name_id(int wd, const char *name)
{
    return hash_mix(hash_str(str_c(name), 0), (uint64_t)wd);
}

static inline uint64_t watch_nanoseconds(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline bool watch_has_more_names(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_nlink > 1;
}

/* ---- watch.c ---- */

/* Remembers what the watch `wd` is for; false without memory. */
bool watch_dir_put(struct watch *w, int wd, const char *path, unsigned interest);
/* A regular file that may be written under a name which no directory of ours has. The sweep is there for those beyond
 * the limits. */
void watch_file_add(struct watch *w, const char *path);

/* ---- watch_outside.c ---- */

/* Puts the watches of all files outside; what else is watched stays. */
void watch_outside_add(struct watch *w);
/* Is `name`, in the directory of this watch, a part of one of their paths? */
bool watch_outside_has(const struct watch *w, int wd, const char *name);
/* Asks for a load when one of them is not what was read, once for each version. */
void watch_outside_compare(struct watch *w, uint64_t now_ms);
void watch_outside_forget(struct watch *w);

#endif
