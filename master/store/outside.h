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
 * Texts may be private keys: no finding, log or status shows anything of them.
 */
#ifndef GH_STORE_OUTSIDE_H
#define GH_STORE_OUTSIDE_H

#include "shared/base/arena.h"
#include "shared/base/hash.h"

#define OUTSIDE_MAX       256
#define OUTSIDE_BYTES_MAX ((size_t)1 << 20)

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
};

void outside_init(struct outside *o, struct arena *a, struct str root);
/*
 * The text of the file at `path` (absolute; as the object has it). False and *why, a phrase to be put behind the path:
 * "there is no such file", "is larger than 1 MiB". Text and phrase live as long as the arena. `o` NULL: nothing outside
 * is read here, and *why says so.
 */
bool outside_read(struct outside *o, struct str path, struct str *text, const char **why);
/* stat(2) of a path as a stamp; all 0 when it can't be asked. Follows links, opens nothing. */
struct outside_stamp outside_stamp_of(const char *path);

#endif
