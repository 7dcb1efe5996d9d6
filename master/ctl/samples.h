/*
 * samples.h - reading the text of /metrics: one sample a line, name{label="value",...} number.
 */
#ifndef GH_CTL_SAMPLES_H
#define GH_CTL_SAMPLES_H

#include "shared/base/arena.h"

struct sample_line {
    struct str name, labels; /* labels: between the braces, as written */
    double value;
};

/* The next sample of *rest; comments and what is no sample are passed over. False at the end. */
bool samples_next(struct str *rest, struct sample_line *s);
/* The value of a label with its escapes undone, in `a`; STR_NONE when absent. */
struct str sample_label(struct arena *a, const struct sample_line *s, const char *name);

#endif
