/*
 * filter.c - runs the filters of a rule and of the chosen split in the order filter.h promises.
 */
#include "worker/filter/filter.h"

/* One row per verb of filter.def: on which side it acts. */
static enum reason run_one(struct filter_ctx *ctx, const struct snap_filter *f)
{
    bool response = ctx->response != NULL;
    switch (f->type) {
    case FILTER_REQUEST_HEADERS:
        return response ? REASON_OK : filter_headers(ctx, f, ctx->request);
    case FILTER_RESPONSE_HEADERS:
        return response ? filter_headers(ctx, f, ctx->response) : REASON_OK;
    case FILTER_REWRITE:
        return response ? REASON_OK : filter_rewrite(ctx, f);
    default:
        return REASON_INTERNAL; /* a verb of a newer compiler; snap_open has refused it already */
    }
}

static bool is_header_filter(const struct snap_filter *f)
{
    return f->type == FILTER_REQUEST_HEADERS || f->type == FILTER_RESPONSE_HEADERS;
}

enum which { ALL, ONLY_HEADERS, NO_HEADERS };

static enum reason run_range(struct filter_ctx *ctx, struct snap_range range, enum which which)
{
    SNAP_EACH(i, range)
    {
        const struct snap_filter *f = &ctx->snap->FILTERS[i];
        if ((which == ONLY_HEADERS && !is_header_filter(f)) ||
            (which == NO_HEADERS && is_header_filter(f)))
            continue;
        enum reason r = run_one(ctx, f);
        if (r != REASON_OK)
            return r;
    }
    return REASON_OK;
}

static enum reason run_all(struct filter_ctx *ctx)
{
    const struct snap_rule *rule = ctx->hit->rule;
    const struct snap_split *split = ctx->split;
    enum reason r;

    if (!split || rule->header_merge == HEADER_MERGE_RULE_FIRST) {
        r = run_range(ctx, rule->filters, ALL);
        return r == REASON_OK && split ? run_range(ctx, split->filters, ALL) : r;
    }
    r = run_range(ctx, rule->filters, NO_HEADERS);
    if (r == REASON_OK)
        r = run_range(ctx, split->filters, ALL);
    return r == REASON_OK ? run_range(ctx, rule->filters, ONLY_HEADERS) : r;
}

enum reason filter_request(struct filter_ctx *ctx)
{
    must(!ctx->response);
    return run_all(ctx);
}

enum reason filter_response(struct filter_ctx *ctx)
{
    must(ctx->response);
    return run_all(ctx);
}
