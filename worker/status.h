/*
 * status.h - what /status, /objects and /readyz say: the STATUS image of the compiler, and the board.
 *
 * The image is one JSON object (master/build.h). It is not parsed into anything: its top-level members are found
 * once, when it is offered, and spliced into answers as they stand. The scan refuses what is no object or not
 * balanced, so that a broken image is an offer that is refused.
 */
#ifndef GH_WORKER_STATUS_H
#define GH_WORKER_STATUS_H

#include "shared/base/str.h"
#include "shared/board/board.h"

struct snap;

#define STATUS_MEMBERS 16

/* Slices of the text that was scanned. */
struct json_members {
    size_t n;
    struct {
        struct str name;  /* between the quotes, escapes as they are */
        struct str value;
        struct str whole; /* "name":value */
    } v[STATUS_MEMBERS];
};
/* Top-level members of a JSON object. Strings, nesting and what separates values are checked; the spelling of
 * numbers and words is not. */
bool json_scan(struct str text, struct json_members *out);
struct str json_member(const struct json_members *m, const char *name); /* STR_NONE: absent */
/* The next element of an array that was scanned before: begin with *rest = the array. False at its end. */
bool json_next(struct str *rest, struct str *element);

/* A generation as the admin sees it: both images, mapped; counted, because an answer may still be on its way. */
struct status {
    uint32_t refs;
    struct snap *snap;
    struct str json;           /* the mapped STATUS image */
    struct json_members members;
    struct status_file *files; /* with findings of severity error; NULL = none */
    size_t n_files;
    struct str errors, warnings; /* numbers of the summary; empty = none there */
};
struct status_file {
    struct str name;           /* as JSON has it, without quotes; a slice of the image */
    uint32_t errors;
};
#define STATUS_MAX_FILES 1000
/* Maps and checks; the descriptors stay the caller's. NULL with a sentence. status_fd may be -1: no objects. */
struct status *status_open(int snap_fd, int status_fd, struct buf *why);
struct status *status_hold(struct status *s);
void status_drop(struct status *s); /* NULL-safe */

/* How the last change went, as the master said (IPC_NOTE). */
struct status_note {
    uint64_t generation, wall_us;
    int32_t result;
    char text[512];
};

struct status_view {
    struct board *board;
    const struct status *status; /* NULL: none yet */
    const struct status_note *note;
    struct str version;
    struct str tls; /* which library, as tls_build_describe says it */
    uint64_t change;
    bool orphan;
};

/* A hash of everything that makes /status another one: states and generations of processes, the note. */
uint64_t status_digest(const struct status_view *v);
/* The beginning of /status; the members of the image and a '}' follow. */
void status_begin(const struct status_view *v, struct buf *out);
/* Those, as slices of the image that are to be sent as they stand: all but generation, resources and series. */
#define STATUS_PIECES (2 * STATUS_MEMBERS + 5)
size_t status_pieces(const struct status *s, struct str out[STATUS_PIECES]);
/* True when requests are served; else a sentence. `latched`: it has been true before. */
bool status_ready(const struct status_view *v, bool latched, struct buf *why);

#endif
