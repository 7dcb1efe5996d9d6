/*
 * outside.h - files that objects name by path and that lie outside the configuration directory: certificates, keys and
 * CA bundles of Istio's serverCertificate, privateKey, caCertificates ...
 *
 * What an object may make us read is limited: a regular file (symbolic links are followed), of at most 1 MiB, at most
 * OUTSIDE_MAX different paths in one load, without waiting for anything. Each path is read once in a load: all who ask
 * see the same text, though the file changes meanwhile. Paths are remembered whether or not they can be read, so that
 * the master can watch them (message WATCH): a missing file that appears is a reason to load again, as is a
 * `..data` link of a mounted Secret that points elsewhere.
 *
 * Last good versions: what an object could use is held (outside_hold), goes into the state, and is there for the load after
 * (outside_good), so that a file that is broken, gone, or half of a pair for a moment does not end what serves. Files that
 * belong together (a certificate and its key) are held together, under the name of one of them.
 *
 * Texts may be private keys: no finding, log or status shows anything of them.
 */
#ifndef GH_STORE_OUTSIDE_H
#define GH_STORE_OUTSIDE_H

#include "master/store/state.h"

#define OUTSIDE_MAX       256
#define OUTSIDE_BYTES_MAX ((size_t)1 << 20)
#define OUTSIDE_HELD_MAX  ((size_t)16 << 20) /* of all texts held for the next load */

/* Which version of a file was read, as the master can find out without reading it; all 0 = it was not there. */
struct outside_stamp { uint64_t dev, ino, size, mtime_ns, ctime_ns; };

struct outside_file {
    struct str path;
    struct str text;           /* p NULL: not read */
    const char *why;           /* then: "there is no such file" ...; a phrase without the path */
    struct outside_stamp stamp;
    uint64_t content_hash;     /* 0 when not read */
};

struct outside {
    struct arena *arena;
    struct str root;           /* put before every path: for tests; normally empty */
    struct map by_path;
    struct { struct outside_file **v; size_t n, cap; } files; /* in order of first use */
    struct map good, held;     /* "group\npath" -> struct state_object: of the load before, for the one after */
    size_t held_bytes;
};

/* `prev`: the state of the load before, as it was read (load_all changes it); NULL = there is none. */
void outside_init(struct outside *o, struct arena *a, struct str root, const struct state *prev);
/*
 * The text of the file at `path` (absolute; as the object has it). False and *why, a phrase to be put behind the path:
 * "there is no such file", "is larger than 1 MiB". Text and phrase live as long as the arena. `o` NULL: nothing outside
 * is read here, and *why says so.
 */
bool outside_read(struct outside *o, struct str path, struct str *text, const char **why);
/* The text that was held for `path` in `group` by the load before; p NULL when there is none. `o` may be NULL. */
struct str outside_good(const struct outside *o, struct str group, struct str path);
/* `text` of `path` is good: the next load may have it. */
void outside_hold(struct outside *o, struct str group, struct str path, struct str text);
/* What is held, into the state that this load leaves (after load_all). */
void outside_remember(const struct outside *o, struct state *st);
/* stat(2) of a path as a stamp; all 0 when it can't be asked. Follows links, opens nothing. */
struct outside_stamp outside_stamp_of(const char *path);

#endif
