/*
 * settle.h - when is it quiet enough to load? Pure: events and the time go in, a deadline comes out.
 *
 * Tools write files in many ways; a load in the middle of one costs a useless attempt, or serves half a file for a
 * moment. So a change waits until nothing happened for a while, but never for long:
 *
 *   one file, and it is done    quiet for 2 ms when it was renamed into place, 4 ms when it was closed, if nothing had
 *                               changed for 250 ms before
 *   else                        quiet for 20 ms, or 200 ms after the first change, whichever is earlier
 *   a file vanished             its successor has 100 ms to appear (unlink, then write anew); still at most 200 ms
 *   a file is being written     (IN_MODIFY was seen, its IN_CLOSE_WRITE not yet)
 *                               quiet for 100 ms, or 2 s after the first change
 *
 * The first row is the edit of a person or a tool; where several files change together, the second comes within the 250 ms
 * and makes it a burst, also when the first is being loaded already. The last row is for writers that are slow or hold their file open: what they wrote is loaded only when they pause.
 * The files are kept as a small set of hashes; when it overflows, somebody counts as writing until the next load.
 */
#ifndef GH_MASTER_SETTLE_H
#define GH_MASTER_SETTLE_H

#include "shared/base/base.h"

#define SETTLE_RENAMED_MS       2
#define SETTLE_CLOSED_MS        4
#define SETTLE_CALM_MS          250
#define SETTLE_QUIET_MS         20
#define SETTLE_MAX_MS           200
#define SETTLE_GONE_MS          100
#define SETTLE_WRITING_QUIET_MS 100
#define SETTLE_WRITING_MAX_MS   2000
#define SETTLE_FILES            64

struct settle {
    bool dirty;
    uint64_t first_ms, last_ms; /* of the changes not loaded yet */
    uint64_t before_ms;         /* the last change that was; 0 = none */
    uint64_t one;               /* the only file that changed; 0 = none yet */
    bool several, closed;       /* others did too; it was closed, not renamed */
    struct settle_file {
        uint64_t id;
        uint64_t gone_ms; /* when it vanished; 0 = it is being written */
    } files[SETTLE_FILES];
    size_t n_files;
    bool many_writers;
};

/* Something changed. */
void settle_event(struct settle *s, uint64_t now_ms);
/* A name that is no configuration was renamed: usually to one that is, which comes next. */
void settle_renamed_from(struct settle *s, uint64_t now_ms);
/* The file with this hash is being written; is complete, because it was closed or renamed into place; vanished. Each is a
 * change, too. */
void settle_writing(struct settle *s, uint64_t file, uint64_t now_ms);
void settle_closed(struct settle *s, uint64_t file, uint64_t now_ms);
void settle_renamed(struct settle *s, uint64_t file, uint64_t now_ms);
void settle_vanished(struct settle *s, uint64_t file, uint64_t now_ms);
/* When to load; UINT64_MAX = nothing changed. */
uint64_t settle_due_ms(const struct settle *s);
/* The load begins: what comes from now on is for the next one. */
void settle_clear(struct settle *s);

#endif
