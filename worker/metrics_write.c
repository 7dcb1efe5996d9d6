#include "worker/metrics_write.h"

static bool is_counter(const char *type)
{
    return type[0] == 'c';
}

void metrics_family(struct metrics_out *o, const char *name, const char *type, const char *help)
{
    const char *total = is_counter(type) && !o->openmetrics ? "_total" : "";
    buf_addf(o->b, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, total, help, name, total, type);
}

static void begin_sample(struct metrics_out *o, const char *name, const char *type, struct str labels)
{
    buf_addc(o->b, name);
    if (is_counter(type))
        buf_addc(o->b, "_total");
    if (labels.n) {
        buf_addch(o->b, '{');
        buf_adds(o->b, labels);
        buf_addch(o->b, '}');
    }
    buf_addch(o->b, ' ');
}

void metrics_u64(struct metrics_out *o, const char *name, const char *type, struct str labels, uint64_t v)
{
    begin_sample(o, name, type, labels);
    buf_addu(o->b, v);
    buf_addch(o->b, '\n');
}

void metrics_seconds(struct metrics_out *o, const char *name, const char *type, struct str labels, uint64_t us)
{
    begin_sample(o, name, type, labels);
    buf_addf(o->b, "%llu.%06llu\n", (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
}

void metrics_label(struct buf *labels, const char *name, struct str value)
{
    if (labels->n)
        buf_addch(labels, ',');
    buf_addc(labels, name);
    buf_addc(labels, "=\"");
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"')
            buf_addch(labels, '\\');
        if (c == '\n')
            buf_addc(labels, "\\n");
        else
            buf_addch(labels, c);
    }
    buf_addch(labels, '"');
}
