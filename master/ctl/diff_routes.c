/*
 * diff_routes.c - the routes of two snapshots.
 *
 * A route is a listener, a host and a match; its answer is what its rule does, as one line of text. Ranks are not
 * compared: a rule more or less shifts all that come after it, and means nothing. What matters is whether two
 * routes that can meet the same request, and answer it differently, have changed places. To find those
 * without comparing all pairs, only routes that are not in the longest sequence that kept its order are looked at.
 */
#include "master/ctl/diff.h"
#include "master/ctl/explain.h"
#include "shared/regex/regex.h"

#include <stdlib.h>

struct route {
    const struct snap *s;
    const struct snap_entry *entry;
    struct str bind, host, match, key, answer;
    struct route *twin;   /* on the other side */
    uint32_t place;       /* among the routes of its side that have a twin, by host and rank */
    bool kept;            /* in the longest sequence that kept its order */
};

struct routes { struct route **v; size_t n, cap; struct map by_key; };

/* --- text ---------------------------------------------------------------------------------------- */

static struct str taken(struct diff *d, struct buf *b)
{
    struct str s = arena_str(d->arena, buf_str(b));
    buf_fini(b);
    return s;
}

static struct str match_text(struct diff *d, const struct snap *s, const struct snap_entry *e)
{
    struct buf b = {0};
    explain_add_path(s, e, &b);
    SNAP_EACH(i, e->conds) {
        buf_addc(&b, ", ");
        explain_add_cond(s, &s->CONDS[i], &b);
        if (s->CONDS[i].what == COND_QUERY && !(s->CONDS[i].flags & SNAP_COND_DECODED))
            buf_addc(&b, " as it stands");
    }
    return taken(d, &b);
}

static void add_filters(const struct snap *s, struct snap_range filters, struct buf *b)
{
    SNAP_EACH(i, filters) {
        for (uint32_t k = 0;; k++) {
            size_t before = b->n;
            buf_addc(b, "; ");
            if (!explain_add_filter(s, &s->FILTERS[i], k, b)) {
                b->n = before;
                break;
            }
        }
    }
}

static void add_splits(const struct snap *s, const struct snap_rule *r, struct buf *b)
{
    const char *comma = "";
    SNAP_EACH(i, r->splits) {
        const struct snap_split *p = &s->SPLITS[i];
        buf_addc(b, comma);
        if (r->splits.n > 1)
            buf_addf(b, "%.4g %% ", explain_share(r, p));
        buf_adds(b, snap_text(s, p->name));
        if (p->cluster == SNAP_NONE)
            buf_addf(b, " (answers %u)", p->status);
        add_filters(s, p->filters, b);
        comma = ", ";
    }
    if (r->total_weight == 0)
        buf_addf(b, "%sanswers %u", comma, r->no_backend_status);
}

static void add_limits(const struct snap *s, const struct snap_rule *r, struct buf *b)
{
    if (r->request_timeout_ms != SNAP_NONE)
        buf_addf(b, "; request timeout %u ms", r->request_timeout_ms);
    if (r->backend_timeout_ms != SNAP_NONE)
        buf_addf(b, "; backend timeout %u ms", r->backend_timeout_ms);
    if (r->retry != SNAP_NONE) {
        buf_addc(b, "; ");
        explain_add_retry(s, &s->RETRIES[r->retry], b);
    }
    if (r->header_merge == HEADER_MERGE_SPLIT_FIRST)
        buf_addc(b, "; headers of the backend first");
}

static struct str answer_text(struct diff *d, const struct snap *s, const struct snap_rule *r)
{
    struct buf b = {0};
    if (r->action == ACTION_REDIRECT) {
        buf_addc(&b, "redirect ");
        explain_add_redirect(s, &s->REDIRECTS[r->redirect], &b);
    } else if (r->action == ACTION_DIRECT) {
        const struct snap_direct *v = &s->DIRECTS[r->direct];
        buf_addf(&b, "answers %u ", v->status);
        buf_json(&b, str_head(snap_text(s, v->body), 60));
        buf_addf(&b, " (%u bytes, %016llx)", v->body.len,
                 (unsigned long long)hash_str(snap_text(s, v->body), hash_str(snap_text(s, v->content_type), 0)));
    } else {
        buf_addc(&b, "to ");
        add_splits(s, r, &b);
    }
    add_filters(s, r->filters, &b);
    if (r->action == ACTION_SPLIT)
        add_limits(s, r, &b);
    return taken(d, &b);
}

static struct str bind_text(struct diff *d, const struct snap *s, const struct snap_bind *b)
{
    struct str a = snap_text(s, b->address);
    return arena_strf(d->arena, STR_FMT ":%u", STR_ARG(a.n ? a : STR("*")), b->port);
}

/* --- collecting ---------------------------------------------------------------------------------- */

static void add_route(struct diff *d, struct routes *to, const struct snap *s, struct str bind, const struct snap_host *h,
                      const struct snap_entry *e)
{
    struct route *r = arena_new(d->arena, struct route);
    *r = (struct route){.s = s, .entry = e, .bind = bind, .host = snap_text(s, h->name)};
    if (e) {
        r->match = match_text(d, s, e);
        r->answer = answer_text(d, s, &s->RULES[e->rule]);
    } else {
        r->match = STR("every request");
        r->answer = STR("redirect 301 to https");
    }
    r->key = arena_strf(d->arena, STR_FMT "|" STR_FMT "|" STR_FMT, STR_ARG(bind), STR_ARG(r->host), STR_ARG(r->match));
    if (map_get(&to->by_key, r->key))
        return; /* an equal match before it takes everything */
    map_put(&to->by_key, r->key, r);
    *ARENA_PUSH(d->arena, to) = r;
}

static void collect(struct diff *d, const struct snap *s, struct routes *to)
{
    map_init(&to->by_key, d->arena);
    for (uint32_t i = 0; i < s->n[SNAP_BINDS]; i++) {
        const struct snap_bind *b = &s->BINDS[i];
        struct str bind = bind_text(d, s, b);
        SNAP_EACH(h, b->hosts) {
            const struct snap_host *host = &s->HOSTS[h];
            if (host->flags & SNAP_HOST_HTTPS_REDIRECT)
                add_route(d, to, s, bind, host, NULL);
            SNAP_EACH(k, host->entries)
                add_route(d, to, s, bind, host, &s->ENTRIES[s->RANKED[k]]);
        }
    }
}

static struct diff_row *row_of(struct diff *d, enum diff_how how, const struct route *r)
{
    struct diff_row *row = diff_add(d, DIFF_ROUTES, how, arena_strf(d->arena, STR_FMT " " STR_FMT "  " STR_FMT, STR_ARG(r->bind),
                                                                    STR_ARG(r->host), STR_ARG(r->match)));
    row->members[0] = (struct diff_member){"listener", r->bind};
    row->members[1] = (struct diff_member){"host", r->host};
    row->members[2] = (struct diff_member){"match", r->match};
    return row;
}

/* --- order --------------------------------------------------------------------------------------- */

static bool is_prefix(const struct snap_entry *e)
{
    return e->path == PATH_PREFIX_ELEMENT || e->path == PATH_PREFIX_STRING;
}

/* What every path of the entry begins with; *whole: and it is nothing else. */
static struct str beginning(const struct route *r, char *scratch, size_t n, bool *whole)
{
    struct str value = snap_text(r->s, r->entry->path_value);
    *whole = r->entry->path == PATH_EXACT;
    if (r->entry->path == PATH_REGEX)
        return regex_literal_prefix(value, scratch, n, whole);
    return r->entry->path == PATH_EXACT || is_prefix(r->entry) ? value : STR("");
}

static bool begins(struct str a, struct str b, bool fold)
{
    return a.n >= b.n && (fold ? str_ieq(str_head(a, b.n), b) : str_starts(a, b));
}

/* Can one path fit both? Says yes when in doubt. */
static bool paths_meet(const struct route *a, const struct route *b)
{
    char room[2][REGEX_PATTERN_MAX];
    bool whole[2], fold = (a->entry->flags | b->entry->flags) & SNAP_ENTRY_IGNORE_CASE;
    struct str x = beginning(a, room[0], sizeof(room[0]), &whole[0]), y = beginning(b, room[1], sizeof(room[1]), &whole[1]);
    if (whole[0] && whole[1])
        return fold ? str_ieq(x, y) : str_eq(x, y);
    if (whole[0])
        return begins(x, y, fold);
    if (whole[1])
        return begins(y, x, fold);
    return begins(x, y, fold) || begins(y, x, fold);
}

static bool wants_one_value(const struct snap_cond *c)
{
    return c->type == STRMATCH_EXACT && !(c->flags & (SNAP_COND_IGNORE_CASE | SNAP_COND_INVERT));
}

/* Do they ask for two values of one thing? */
static bool conds_exclude(const struct route *a, const struct route *b)
{
    SNAP_EACH(i, a->entry->conds) {
        const struct snap_cond *x = &a->s->CONDS[i];
        SNAP_EACH(k, b->entry->conds) {
            const struct snap_cond *y = &b->s->CONDS[k];
            if (x->what == y->what && wants_one_value(x) && wants_one_value(y) &&
                str_eq(snap_text(a->s, x->name), snap_text(b->s, y->name)) &&
                !str_eq(snap_text(a->s, x->value), snap_text(b->s, y->value)))
                return true;
        }
    }
    return false;
}

/* Marks the longest sequence of v (ordered by the new side) whose old places rise. */
static void mark_kept(struct diff *d, struct route **v, size_t n)
{
    size_t *tail = arena_new_n(d->arena, size_t, n + 1), *before = arena_new_n(d->arena, size_t, n + 1), len = 0;
    for (size_t i = 0; i < n; i++) {
        size_t lo = 0, hi = len;
        while (lo < hi) {
            size_t mid = (lo + hi) / 2;
            if (v[tail[mid]]->twin->place < v[i]->twin->place)
                lo = mid + 1;
            else
                hi = mid;
        }
        before[i] = lo ? tail[lo - 1] : n;
        tail[lo] = i;
        len = GH_MAX(len, lo + 1);
    }
    for (size_t i = len ? tail[len - 1] : n; i < n; i = before[i])
        v[i]->kept = true;
}

#define PAIRS_MAX 20000000 /* comparisons; beyond that the rest of a host is not looked at */

static bool overtook(const struct route *r, const struct route *other)
{
    return (r->place < other->place) != (r->twin->place < other->twin->place) && r->entry && other->entry &&
           !str_eq(r->answer, other->answer) && paths_meet(r, other) && !conds_exclude(r, other);
}

static void find_moved(struct diff *d, struct route **v, size_t n, size_t *budget)
{
    mark_kept(d, v, n);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; !v[i]->kept && k < n && *budget > 0; k++) {
            (*budget)--;
            if (k == i || !overtook(v[i], v[k]))
                continue;
            bool first = v[i]->place < v[k]->place;
            diff_add_field(d, row_of(d, DIFF_MOVED, v[i]), STR("order"),
                           arena_strf(d->arena, "%s " STR_FMT, first ? "after" : "before", STR_ARG(v[k]->match)),
                           arena_strf(d->arena, "%s it", first ? "before" : "after"));
            break;
        }
    }
}

/* Places among the routes that both sides have; then host by host. */
static void compare_order(struct diff *d, struct routes *old, struct routes *now)
{
    struct route **v = arena_new_n(d->arena, struct route *, now->n + 1);
    uint32_t place = 0;
    size_t n = 0, budget = PAIRS_MAX;
    for (size_t i = 0; i < old->n; i++)
        if (old->v[i]->twin)
            old->v[i]->place = place++;
    for (size_t i = 0; i < now->n; i++) {
        if (!now->v[i]->twin)
            continue;
        now->v[i]->place = (uint32_t)n;
        v[n++] = now->v[i];
    }
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && str_eq(v[end]->host, v[i]->host) && str_eq(v[end]->bind, v[i]->bind); end++)
            ;
        find_moved(d, v + i, end - i, &budget);
    }
}

/* --- backends and settings ----------------------------------------------------------------------- */

static struct str endpoint_text(struct diff *d, const struct snap *s, const struct snap_endpoint *e)
{
    struct buf b = {0};
    buf_addf(&b, e->family == 6 ? "[" STR_FMT "]" : STR_FMT, STR_ARG(snap_text(s, e->address)));
    if (e->port)
        buf_addf(&b, ":%u", e->port);
    if (e->weight != 1)
        buf_addf(&b, " weight %u", e->weight);
    return taken(d, &b);
}

static void compare_endpoints(struct diff *d, const struct snap_cluster *a, const struct snap_cluster *b)
{
    struct map old, now;
    map_init(&old, d->arena);
    map_init(&now, d->arena);
    SNAP_EACH(i, a->endpoints)
        map_put(&old, endpoint_text(d, d->old.snap, &d->old.snap->ENDPOINTS[i]), d);
    SNAP_EACH(i, b->endpoints)
        map_put(&now, endpoint_text(d, d->now.snap, &d->now.snap->ENDPOINTS[i]), d);
    struct str name = snap_text(d->now.snap, b->name);
    struct diff_row *r = NULL;
    for (int turn = 0; turn < 2; turn++) {
        const struct map *mine = turn ? &now : &old, *other = turn ? &old : &now;
        for (size_t i = 0; i < mine->n; i++) {
            if (map_get(other, mine->v[i].key))
                continue;
            if (!r) {
                r = diff_add(d, DIFF_BACKENDS, DIFF_CHANGED, name);
                r->members[0] = (struct diff_member){"cluster", name};
            }
            diff_add_field(d, r, STR("endpoint"), turn ? STR("") : mine->v[i].key, turn ? mine->v[i].key : STR(""));
        }
    }
}

static void compare_clusters(struct diff *d)
{
    const struct snap *a = d->old.snap, *b = d->now.snap;
    struct map old;
    map_init(&old, d->arena);
    for (uint32_t i = 0; i < a->n[SNAP_CLUSTERS]; i++)
        map_put(&old, snap_text(a, a->CLUSTERS[i].key), (void *)(uintptr_t)&a->CLUSTERS[i]);
    for (uint32_t i = 0; i < b->n[SNAP_CLUSTERS]; i++) {
        const struct snap_cluster *was = map_get(&old, snap_text(b, b->CLUSTERS[i].key));
        if (was && was->endpoints_hash != b->CLUSTERS[i].endpoints_hash)
            compare_endpoints(d, was, &b->CLUSTERS[i]);
    }
}

static void compare_settings(struct diff *d)
{
    const struct snap_settings *a = d->old.snap->SETTINGS, *b = d->now.snap->SETTINGS;
#define X(name, type, def, text)                                                                   \
    if (a->name != b->name) {                                                                      \
        struct diff_row *r = diff_add(d, DIFF_SETTINGS, DIFF_CHANGED, STR(#name));                 \
        r->members[0] = (struct diff_member){"setting", STR(#name)};                               \
        diff_add_field(d, r, STR(#name), arena_strf(d->arena, "%llu", (unsigned long long)a->name), \
                       arena_strf(d->arena, "%llu", (unsigned long long)b->name));                 \
    }
#include "shared/tbl/setting.def"
#undef X
}

void diff_routes(struct diff *d)
{
    struct routes old = {0}, now = {0};
    collect(d, d->old.snap, &old);
    collect(d, d->now.snap, &now);
    for (size_t i = 0; i < old.n; i++) {
        struct route *a = old.v[i], *b = map_get(&now.by_key, a->key);
        if (!b) {
            diff_add_field(d, row_of(d, DIFF_REMOVED, a), STR("answer"), a->answer, STR(""));
            continue;
        }
        a->twin = b;
        b->twin = a;
        if (!str_eq(a->answer, b->answer))
            diff_add_field(d, row_of(d, DIFF_CHANGED, b), STR("answer"), a->answer, b->answer);
    }
    for (size_t i = 0; i < now.n; i++)
        if (!now.v[i]->twin)
            diff_add_field(d, row_of(d, DIFF_ADDED, now.v[i]), STR("answer"), STR(""), now.v[i]->answer);
    compare_order(d, &old, &now);
    compare_clusters(d);
    if (!d->skip_settings)
        compare_settings(d);
}
