/*
 * metrics_write.h - lines of the exposition formats. Private to the metrics.
 *
 * Names are given without _total: the text format has it in HELP and TYPE of a counter, OpenMetrics only in the
 * samples.
 */
#ifndef GH_WORKER_METRICS_WRITE_H
#define GH_WORKER_METRICS_WRITE_H

#include "worker/metrics.h"

struct metrics_out {
    struct buf *b;
    bool openmetrics;
};

void metrics_family(struct metrics_out *o, const char *name, const char *type, const char *help);
/* `labels`: what stands between the braces; empty = none. */
void metrics_u64(struct metrics_out *o, const char *name, const char *type, struct str labels, uint64_t v);
void metrics_seconds(struct metrics_out *o, const char *name, const char *type, struct str labels, uint64_t us);
/* Appends name="value" with the escapes of the format, behind a comma where `labels` is not empty. */
void metrics_label(struct buf *labels, const char *name, struct str value);

/* Listeners, routes, clusters, endpoints. */
void metrics_series_write(struct metrics_out *o, const struct metrics_input *in);

#endif
