/*
 * metrics.h - the board as Prometheus text or OpenMetrics. What there is: docs/metrics.md.
 *
 * Labels come from the configuration only, never from requests. A family shows at most `max_series` of its
 * kind, those with the lowest places on the board (places are kept over reloads, so the choice is stable); the
 * others are summed under the name _other, and gatehouse_metrics_dropped_series counts them.
 */
#ifndef GH_WORKER_METRICS_H
#define GH_WORKER_METRICS_H

#include "shared/base/str.h"
#include "shared/board/board.h"

struct snap;
struct status_file;

struct metrics_input {
    struct board *board;
    const struct snap *snap; /* NULL: no generation yet */
    const struct status_file *files; /* with errors */
    size_t n_files;
    struct str version;
    uint32_t max_series;
    bool openmetrics;
    bool orphan;             /* no master */
};

void metrics_write(const struct metrics_input *in, struct buf *out);
/* Does an Accept field ask for OpenMetrics? */
bool metrics_wants_openmetrics(struct str accept);

#define METRICS_TEXT        "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
