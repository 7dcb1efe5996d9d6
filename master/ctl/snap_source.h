/*
 * snap_source.h - the snapshot a command is about: that of the running gateway, or of a directory that is compiled for it.
 *
 * Complaints go to stderr in the name of the verb.
 */
#ifndef GH_CTL_SNAP_SOURCE_H
#define GH_CTL_SNAP_SOURCE_H

#include "master/build.h"
#include "master/ctl/ask.h"
#include "shared/snap/snap.h"

#define SOURCE_INSTANCE_FILE GH_SYSCONFDIR "/gatehouse.yaml"
/* For the help of every command that takes them. */
#define SOURCE_HELP \
    "  --conf-dir DIR              ask the configuration in DIR (directory or file) instead of the running gateway\n" \
    "  --config FILE               settings of the process for --conf-dir, default " SOURCE_INSTANCE_FILE "\n" \
    "  --run-dir DIR               of the running gateway, default " CLIENT_RUN_DIR " or $" CTL_RUN_DIR_ENV "\n"

struct snap_source {
    const char *verb;                              /* set by the caller, as all of these */
    const char *conf_dir, *run_dir, *instance_file; /* NULL = not said */
    struct snap *snap;
    struct build build; /* with conf_dir */
    struct buf image;   /* without */
};

/* False after a complaint; source_close is due all the same. Findings that are errors are mentioned, since they
 * change the answer. */
bool source_open(struct snap_source *s);
void source_close(struct snap_source *s);

#endif
