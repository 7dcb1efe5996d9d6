/*
 * files.h - finding and reading the files below a configuration directory. Private to this room.
 *
 * Rules (RELIABILITY section 8)
 *  1. Order is by name, bytewise, directory by directory: the same tree is always read in the same order.
 *  2. Nothing is opened that could block or act: what is no regular file is passed over with a warning.
 *  3. A symbolic link is followed only to places inside the directory that was named; one file reached
 *     twice for one namespace is read once.
 *  4. A directory with a `..data` link (a mounted ConfigMap) is read through what that link meant at one
 *     moment: no mixture of two versions.
 *  5. What can't be read is in the list as `broken`, or in `lost`: what it held is not to be taken for deleted.
 *  6. Explicitly named files may be pipes ("-" is standard input).
 */
#ifndef GH_STORE_FILES_H
#define GH_STORE_FILES_H

#include "master/store/load.h"

struct conf_file {
    struct source source;
    struct str ns; /* of the directory ns/NAME/ it is in; else empty */
    bool broken;   /* a finding says why; source.text is empty */
};
struct conf_files {
    struct { struct conf_file **v; size_t n, cap; } list;
    struct { struct str *v; size_t n, cap; } lost; /* directories that could not be read, with '/' at the end */
};

void files_read(struct conf_files *out, struct arena *a, struct diags *ds, const struct load_input *in,
                const struct yaml_limits *limits);

#endif
