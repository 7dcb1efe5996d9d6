#include "master/compile/layout.h"
#include "shared/base/err.h"
#include "shared/http/field.h"

static uint32_t rewrite_regex(struct layout *l, const struct model_path_rewrite *p)
{
    return p->type == REWRITE_REGEX ? intern_regex(l, p->regex, SNAP_REGEX_SEARCH) : SNAP_NONE;
}

static void put_header_op(struct layout *l, const struct model_header_op *o)
{
    struct snap_header_op row = {.op = (uint8_t)o->op, .has_subst = o->has_subst,
                                 .field_id = (uint16_t)http_field_of(o->name)};
    row.name = intern_str(l, o->name);
    row.value = intern_str(l, o->value);
    *PUSH(l, HEADER_OPS, struct snap_header_op) = row;
}

static void put_filter(struct layout *l, const struct model_filter *f)
{
    struct snap_filter row = {.type = (uint16_t)f->type, .arg = SNAP_NONE};
    row.ops.first = l->n[SNAP_HEADER_OPS];
    if (f->type == FILTER_REWRITE) {
        struct snap_rewrite to = {.type = (uint8_t)f->u.rewrite.path.type};
        to.regex = rewrite_regex(l, &f->u.rewrite.path);
        to.host = intern_str(l, f->u.rewrite.host);
        to.path = intern_str(l, f->u.rewrite.path.value);
        row.arg = l->n[SNAP_REWRITES];
        *PUSH(l, REWRITES, struct snap_rewrite) = to;
    } else {
        for (size_t i = 0; i < f->u.headers.n; i++)
            put_header_op(l, &f->u.headers.v[i]);
        row.ops.n = (uint32_t)f->u.headers.n;
    }
    row.origin = intern_origin(l, &f->origin);
    *PUSH(l, FILTERS, struct snap_filter) = row;
}

static struct snap_range put_filters(struct layout *l, const struct model_filters *fs)
{
    struct snap_range r = {l->n[SNAP_FILTERS], (uint32_t)fs->n};
    for (size_t i = 0; i < fs->n; i++)
        put_filter(l, &fs->v[i]);
    return r;
}

static uint32_t put_redirect(struct layout *l, const struct model_redirect *r)
{
    struct snap_redirect row = {.status = r->status, .port = r->port, .port_mode = (uint8_t)r->port_mode,
                                .path_type = (uint8_t)r->path.type, .value_has_query = r->value_has_query};
    row.scheme = intern_str(l, r->scheme);
    row.host = intern_str(l, r->host);
    row.path = intern_str(l, r->path.value);
    row.regex = rewrite_regex(l, &r->path);
    return intern_row(l, SNAP_REDIRECTS, &row, sizeof(row));
}

static uint32_t put_direct(struct layout *l, const struct model_direct *d)
{
    struct snap_direct row = {.status = d->status};
    row.body = intern_str(l, d->body);
    row.content_type = intern_str(l, d->content_type);
    return intern_row(l, SNAP_DIRECTS, &row, sizeof(row));
}

static uint32_t put_retry(struct layout *l, const struct model_retry *r)
{
    struct snap_retry row = {.attempts = r->attempts, .on = r->on, .backoff_ms = r->backoff_ms,
                             .per_try_ms = r->per_try_ms};
    row.codes = intern_codes(l, r->codes, r->n_codes);
    return intern_row(l, SNAP_RETRIES, &row, sizeof(row));
}

static struct snap_split split_row(struct layout *l, uint32_t rule_origin, const struct model_split *p)
{
    struct snap_split row = {.weight = p->weight, .status = p->status, .reason = (uint16_t)p->reason};
    row.cluster = p->cluster ? p->cluster->index : SNAP_NONE;
    row.place = intern_place(l, rule_origin, &p->origin);
    row.filters = put_filters(l, &p->filters);
    row.name = intern_word(l, p->name);
    return row;
}

/* Equal ones are written once: many rules lead to the same backend in the same words. */
static struct snap_range put_splits(struct layout *l, uint32_t rule_origin, const struct model_rule *r)
{
    struct snap_split few[4], *v = few;
    size_t n = r->splits.n;
    if (n > ARRAY_LEN(few) && !(v = arena_new_n(&l->arena, struct snap_split, n))) {
        layout_fail(l, GH_E_NOMEM);
        return (struct snap_range){0};
    }
    for (size_t i = 0; i < n; i++)
        v[i] = split_row(l, rule_origin, &r->splits.v[i]);
    return intern_rows(l, SNAP_SPLITS, v, n, sizeof(*v));
}

/* 0 is "none", absent is SNAP_NONE. */
static uint32_t timeout(bool has, uint32_t ms)
{
    return has ? GH_MIN(ms, SNAP_NONE - 1) : SNAP_NONE;
}

static void put_rule(struct layout *l, const struct model_rule *r)
{
    struct snap_rule row = {
        .id = hash_str(r->key, 0), .action = (uint8_t)r->action, .header_merge = r->header_merge & 15,
        .no_backend_status = r->no_backend_status,
        .redirect = SNAP_NONE, .direct = SNAP_NONE, .retry = SNAP_NONE,
        .request_timeout_ms = timeout(r->has_request_timeout, r->request_timeout_ms),
        .backend_timeout_ms = timeout(r->has_backend_timeout, r->backend_timeout_ms),
        .idle_timeout_ms = r->idle_timeout_ms, .flags = r->grpc ? SNAP_RULE_GRPC : 0,
    };
    row.key = put_text(l, r->key);
    row.name = intern_tail(l, r->name, r->key, row.key);
    row.origin = put_origin(l, &r->origin);
    row.filters = put_filters(l, &r->filters);
    row.splits = put_splits(l, row.origin, r);
    for (size_t i = 0; i < r->splits.n; i++)
        row.total_weight += r->splits.v[i].weight;
    if (r->action == ACTION_REDIRECT)
        row.redirect = put_redirect(l, r->redirect);
    if (r->action == ACTION_DIRECT)
        row.direct = put_direct(l, r->direct);
    if (r->retry.attempts)
        row.retry = put_retry(l, &r->retry);
    *PUSH(l, RULES, struct snap_rule) = row;
}

void layout_rules(struct layout *l)
{
    const struct model *m = l->in->model;
    for (size_t i = 0; i < m->rules.n; i++)
        put_rule(l, m->rules.v[i]);
}
