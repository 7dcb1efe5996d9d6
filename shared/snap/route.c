/*
 * route.c - the matcher: the lowest rank that matches, at a cost that does not grow with the number of routes.
 *
 * The compiler has put all precedence into ranks: the entries of a host, (match, rule) pairs, are numbered 0,
 * 1, 2 ... and the first of them whose every condition holds is the answer. What is left to do here is not
 * to look at those that can't be it.
 *
 *   Host: a.shop.example.com                    path: /api/v1/users/42
 *
 *   HOST_SLOTS ── exact name ───► HOST ─┬─ any ────────────────────────► set   every path
 *     │  └─ "*." suffixes, longest first├─ EXACT_SLOTS[hash(path, host)] ► set  this very path
 *     └─ none: default_host             ├─ tree ► NODE "/" ► "api" ► "/v1"      beginnings: at each node
 *                                       │            │ set    │ set             on the way down a set
 *                                       └─ tree_fold ► NODE ...                 the same, lower-cased
 *
 *   set = run of ENTRIES by rank:   [7: GET] [9: x-a=1] [12: ]LAST
 *       | LIST by header x-tenant:  hash(value) ► set;  and rest ► set
 *
 * An entry lies in exactly one run, under the narrowest thing that its path says: exact path in the hash
 * table, a prefix at its node, a regex at the node of the letters every match begins with (so that it is
 * tried only below them; one without any meta-character is in the hash table), anything that ignores case in
 * the folded tree, everything else in `any`. A run that would be long is split by the value that a header or
 * query parameter must have (LIST); such a list's candidates are found with one more probe.
 *
 * A path meets one exact slot and as many nodes as there are beginnings of it; each run is left as soon as its
 * rank reaches the best found, so the order of searching matters for speed only: exact first, because
 * that is where both APIs' precedence puts the winner most often. A regex is run last of all conditions.
 *
 * Chains (server names of TLS) are found as hosts are, in CHAIN_SLOTS.
 *
 * No entry: the host's fallback (Gateway API section 6: a more specific host name whose rules don't match
 * leaves the request to less specific ones of the same listener).
 *
 * Nothing is allocated. What the image says is trusted after snap_open, except that a path is never
 * read beyond its end, whatever the tree says.
 */
#include "shared/snap/route.h"
#include "shared/snap/slot.h"

#include <stddef.h>

/* Query values compared decoded, other than by equality, are decoded here; longer ones don't match. */
#define DECODE_MAX 16384

struct search {
    const struct snap *s;
    const struct route_request *q;
    const struct snap_host *host;
    const struct snap_entry *hit;
    uint32_t best; /* rank of hit */
};

/* --- conditions ---------------------------------------------------------------------------------- */

static bool starts_ignoring_case(struct str a, struct str prefix)
{
    return a.n >= prefix.n && str_ieq(str_head(a, prefix.n), prefix);
}

static bool regex_holds(const struct route_request *q, uint32_t regex, struct str subject)
{
    return q->regex && q->regex(q->regex_ctx, regex, subject);
}

static bool text_holds(const struct search *x, const struct snap_cond *c, struct str text)
{
    struct str want = snap_text(x->s, c->value);
    bool fold = c->flags & SNAP_COND_IGNORE_CASE;
    switch (c->type) {
    case STRMATCH_EXACT: return fold ? str_ieq(text, want) : str_eq(text, want);
    case STRMATCH_PREFIX: return fold ? starts_ignoring_case(text, want) : str_starts(text, want);
    case STRMATCH_REGEX: return regex_holds(x->q, c->regex, text);
    default: return true;
    }
}

/* Of its own, so that only those who need it pay for the stack. */
static __attribute__((noinline)) bool decoded_holds(const struct search *x, const struct snap_cond *c,
                                                    struct str raw)
{
    char plain[DECODE_MAX];
    return raw.n <= sizeof(plain) && text_holds(x, c, str_of(plain, http_query_decode(raw, plain)));
}

/* The raw value of the first parameter called `name`. */
static bool query_value(struct str query, struct str name, bool decoded, struct str *value)
{
    struct str found;
    while (http_query_next(&query, &found, value))
        if (decoded ? http_query_equal(found, name) : str_eq(found, name))
            return true;
    return false;
}

static bool query_holds(const struct search *x, const struct snap_cond *c)
{
    bool decoded = c->flags & SNAP_COND_DECODED;
    struct str value;
    if (!query_value(x->q->query, snap_text(x->s, c->name), decoded, &value))
        return false;
    if (!decoded || c->type == STRMATCH_PRESENT)
        return text_holds(x, c, value);
    if (c->type == STRMATCH_EXACT && !(c->flags & SNAP_COND_IGNORE_CASE))
        return http_query_equal(value, snap_text(x->s, c->value));
    return decoded_holds(x, c, value);
}

static bool header_holds(const struct search *x, const struct snap_cond *c)
{
    const struct route_request *q = x->q;
    struct str value = STR("");
    bool there = q->header && q->header(q->header_ctx, snap_text(x->s, c->name), &value);
    if (c->type == STRMATCH_PRESENT)
        return there;
    /* Inverted, an absent header counts as the empty text (Istio 3.4). */
    return (there || (c->flags & SNAP_COND_INVERT)) && text_holds(x, c, there ? value : STR(""));
}

/* Before inversion. */
static bool cond_says(const struct search *x, const struct snap_cond *c)
{
    switch (c->what) {
    case COND_METHOD: return text_holds(x, c, x->q->method);
    case COND_SCHEME: return text_holds(x, c, x->q->scheme);
    case COND_AUTHORITY:
        return c->type == STRMATCH_PRESENT ? x->q->authority.n > 0 : text_holds(x, c, x->q->authority);
    case COND_HEADER: return header_holds(x, c);
    default: return query_holds(x, c);
    }
}

/* An inverted presence holds when the header is absent; an inverted value test when that test fails. */
static bool cond_holds(const struct search *x, const struct snap_cond *c)
{
    return cond_says(x, c) != !!(c->flags & SNAP_COND_INVERT);
}

/* --- candidates ---------------------------------------------------------------------------------- */

/* What the place of the entry has not proved yet about the path. */
static bool path_holds(const struct search *x, const struct snap_entry *e)
{
    struct str path = x->q->path;
    switch (e->path) {
    case PATH_EXACT:
        return e->flags & SNAP_ENTRY_IGNORE_CASE ? path.n == e->path_value.len
                                                 : str_eq(path, snap_text(x->s, e->path_value));
    case PATH_PREFIX_ELEMENT: {
        uint32_t n = e->path_value.len;
        return path.n == n || (path.n > n && path.p[n] == '/');
    }
    default: return true; /* regexes are run last */
    }
}

static bool entry_holds(const struct search *x, const struct snap_entry *e)
{
    if (!path_holds(x, e))
        return false;
    SNAP_EACH(i, e->conds)
        if (!cond_holds(x, &x->s->CONDS[i]))
            return false;
    return e->path != PATH_REGEX || e->regex == SNAP_NONE || regex_holds(x->q, e->regex, x->q->path);
}

static void run_search(struct search *x, uint32_t first)
{
    const struct snap_entry *e = &x->s->ENTRIES[first];
    if (first - x->host->entries.first >= x->host->entries.n)
        return; /* another host's: two paths with one tag */
    for (; e->rank < x->best; e++) {
        if (entry_holds(x, e)) {
            x->best = e->rank;
            x->hit = e;
            return;
        }
        if (e->flags & SNAP_ENTRY_LAST)
            return;
    }
}

static void set_search(struct search *x, uint32_t set);

/* The tag's slots of a table: usually none or one. */
static void slots_search(struct search *x, const struct snap_slot *slots, uint32_t mask, uint64_t hash)
{
    uint32_t tag = slot_tag(hash);
    for (uint32_t i = (uint32_t)hash & mask; slots[i].value != SNAP_NONE; i = (i + 1) & mask)
        if (slots[i].tag == tag)
            set_search(x, slots[i].value);
}

/* The value by which the list is ordered; false when the request has none that could be in it. */
static bool list_value(const struct search *x, const struct snap_list *l, char room[3 * SLOT_VALUE_MAX],
                       struct str *value)
{
    const struct route_request *q = x->q;
    struct str name = snap_text(x->s, l->name);
    if (l->by == LIST_BY_HEADER)
        return q->header && q->header(q->header_ctx, name, value);
    if (!query_value(q->query, name, l->by == LIST_BY_QUERY_DECODED, value))
        return false;
    if (l->by == LIST_BY_QUERY_DECODED) {
        if (value->n > 3 * SLOT_VALUE_MAX)
            return false;
        *value = str_of(room, http_query_decode(*value, room));
    }
    return true;
}

static void list_search(struct search *x, const struct snap_list *l)
{
    char room[3 * SLOT_VALUE_MAX];
    struct str value;
    if (list_value(x, l, room, &value))
        slots_search(x, &x->s->LIST_SLOTS[l->slots], (1u << l->log2) - 1, slot_value(value));
}

/* Recursion is bounded by SNAP_LIST_LEVELS. */
static void set_search(struct search *x, uint32_t set)
{
    while (set != SNAP_NONE && (set & SNAP_SET_LIST)) {
        const struct snap_list *l = &x->s->LISTS[set & ~SNAP_SET_LIST];
        if (l->min_rank >= x->best)
            return;
        list_search(x, l);
        set = l->rest;
    }
    if (set != SNAP_NONE)
        run_search(x, set);
}

/* --- places -------------------------------------------------------------------------------------- */

static const struct snap_node *kid_of(const struct snap *s, const struct snap_node *n, uint8_t byte)
{
    const struct snap_node *kids = &s->NODES[n->kids];
    uint32_t lo = 0, hi = n->n_kids;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (kids[mid].byte < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n->n_kids && kids[lo].byte == byte ? &kids[lo] : NULL;
}

static void tree_search(struct search *x, uint32_t root, bool fold)
{
    const struct snap *s = x->s;
    struct str rest = x->q->path;
    const struct snap_node *n = &s->NODES[root];
    while (n) {
        struct str label = str_of(s->STRINGS + n->label, n->label_len);
        if (fold ? !starts_ignoring_case(rest, label) : !str_starts(rest, label))
            return;
        rest = str_skip(rest, label.n);
        set_search(x, n->set);
        if (rest.n == 0 || n->n_kids == 0 || x->best == 0)
            return;
        n = kid_of(s, n, (uint8_t)(fold ? ascii_lower(rest.p[0]) : rest.p[0]));
    }
}

static const struct snap_entry *host_search(struct search *x, uint64_t path_hash)
{
    const struct snap *s = x->s;
    const struct snap_host *h = x->host;
    if (h->flags & SNAP_HOST_EXACT)
        slots_search(x, s->EXACT_SLOTS, s->n[SNAP_EXACT_SLOTS] - 1,
                     slot_exact(path_hash, (uint32_t)(h - s->HOSTS)));
    set_search(x, h->any);
    if (h->tree != SNAP_NONE)
        tree_search(x, h->tree, false);
    if (h->tree_fold != SNAP_NONE)
        tree_search(x, h->tree_fold, true);
    return x->hit;
}

/* --- hosts and chains ---------------------------------------------------------------------------- */

/* What is found by name: the hosts of a bind, or its chains. A row begins with its name. */
struct names {
    const struct snap_slot *slots;
    uint32_t n_slots, bind;
    struct snap_range rows;       /* of the bind, in the section `base` */
    uint32_t wildcards, by_default;
    const char *base;
    size_t elem;
};

_Static_assert(offsetof(struct snap_host, name) == 0 && offsetof(struct snap_chain, name) == 0, "row_name");

static inline struct str row_name(const struct snap *s, const struct names *t, uint32_t i)
{
    return snap_text(s, *(const struct snap_str *)(const void *)(t->base + (size_t)i * t->elem));
}

static inline uint32_t name_probe(const struct snap *s, const struct names *t, struct str name, bool wildcard)
{
    uint64_t hash = slot_host(t->bind, name, wildcard);
    uint32_t tag = slot_tag(hash), mask = t->n_slots - 1;
    for (uint32_t i = (uint32_t)hash & mask, at; (at = t->slots[i].value) != SNAP_NONE; i = (i + 1) & mask) {
        if (t->slots[i].tag != tag)
            continue;
        struct str found = row_name(s, t, at);
        bool star = str_starts(found, STR("*."));
        if (star == wildcard && str_eq(star ? str_skip(found, 2) : found, name) && at - t->rows.first < t->rows.n)
            return at;
    }
    return SNAP_NONE;
}

static uint32_t count_labels(struct str host)
{
    uint32_t n = 1;
    for (size_t i = 0; i < host.n; i++)
        n += host.p[i] == '.';
    return n;
}

/* Exact, else the longest wildcard suffix, else "*", else none. */
static inline uint32_t name_find(const struct snap *s, const struct names *t, struct str name)
{
    uint32_t at = SNAP_NONE;
    if (name.n && t->n_slots) {
        at = name_probe(s, t, name, false);
        uint32_t labels = at == SNAP_NONE && t->wildcards ? count_labels(name) : 0;
        struct str rest = name;
        for (ptrdiff_t dot; at == SNAP_NONE && labels > 1 && (dot = str_chr(rest, '.')) >= 0;) {
            rest = str_skip(rest, (size_t)dot + 1);
            if (t->wildcards & slot_labels_bit(--labels))
                at = name_probe(s, t, rest, true);
        }
    }
    return at == SNAP_NONE ? t->by_default : at;
}

const struct snap_host *route_host(const struct snap *s, const struct snap_bind *b, struct str host)
{
    struct names t = {.slots = s->HOST_SLOTS, .n_slots = s->n[SNAP_HOST_SLOTS], .bind = (uint32_t)(b - s->BINDS),
                      .rows = b->hosts, .wildcards = b->wildcards, .by_default = b->default_host,
                      .base = (const char *)s->HOSTS, .elem = sizeof(*s->HOSTS)};
    uint32_t at = name_find(s, &t, host);
    return SNAP_AT(s, HOSTS, at);
}

const struct snap_chain *route_chain(const struct snap *s, const struct snap_bind *b, struct str server_name)
{
    struct names t = {.slots = s->CHAIN_SLOTS, .n_slots = s->n[SNAP_CHAIN_SLOTS], .bind = (uint32_t)(b - s->BINDS),
                      .rows = b->chains, .wildcards = b->chain_wildcards, .by_default = b->default_chain,
                      .base = (const char *)s->CHAINS, .elem = sizeof(*s->CHAINS)};
    uint32_t at = name_find(s, &t, server_name);
    return SNAP_AT(s, CHAINS, at);
}

enum uri_fault route_path(const struct snap *s, struct str raw, char *out, struct str *path)
{
    const struct snap_settings *v = s->SETTINGS;
    unsigned flags = (v->merge_slashes ? PATH_MERGE_SLASHES : 0u) |
                     (v->escaped_slash ? PATH_KEEP_ENCODED_SLASH | PATH_KEEP_ENCODED_BACKSLASH : 0u) |
                     (v->path_parameters ? PATH_KEEP_PARAMETERS : 0u);
    return http_path_canonical(str_eqc(raw, "*") ? STR("/") : raw, flags, out, path);
}

enum reason route_find(const struct snap *s, const struct snap_bind *b, const struct route_request *q,
                       struct route_hit *hit)
{
    uint64_t path_hash = slot_path(q->path);
    *hit = (struct route_hit){.host = route_host(s, b, q->host)};
    if (!hit->host)
        return REASON_NO_LISTENER_HOST;
    hit->listener = &s->LISTENERS[hit->host->listener];
    for (const struct snap_host *h = hit->host; h; h = SNAP_AT(s, HOSTS, h->fallback)) {
        struct search x = {.s = s, .q = q, .host = h, .best = SNAP_NONE};
        const struct snap_entry *e = host_search(&x, path_hash);
        if (!e)
            continue;
        hit->host = h;
        hit->entry = e;
        hit->rule = &s->RULES[e->rule];
        if (e->path == PATH_PREFIX_ELEMENT || e->path == PATH_PREFIX_STRING)
            hit->prefix_len = e->path_value.len;
        return REASON_OK;
    }
    return REASON_NO_ROUTE;
}

/* --- for explain --------------------------------------------------------------------------------- */

/* The whole of the path's condition, with no help from where the entry lies. */
static bool path_matches(const struct search *x, const struct snap_entry *e)
{
    struct str path = x->q->path, value = snap_text(x->s, e->path_value);
    bool fold = e->flags & SNAP_ENTRY_IGNORE_CASE;
    switch (e->path) {
    case PATH_EXACT: return fold ? str_ieq(path, value) : str_eq(path, value);
    case PATH_PREFIX_ELEMENT:
    case PATH_PREFIX_STRING:
        return (fold ? starts_ignoring_case(path, value) : str_starts(path, value)) && path_holds(x, e);
    case PATH_REGEX: return e->regex == SNAP_NONE || regex_holds(x->q, e->regex, path);
    default: return true;
    }
}

static enum route_lost entry_lost(const struct search *x, const struct snap_entry *e, const struct snap_cond **cond)
{
    static const enum route_lost LOST[] = {
        [COND_METHOD] = LOST_METHOD, [COND_SCHEME] = LOST_SCHEME, [COND_AUTHORITY] = LOST_AUTHORITY,
        [COND_HEADER] = LOST_HEADER, [COND_QUERY] = LOST_QUERY,
    };
    *cond = NULL;
    if (!path_matches(x, e))
        return LOST_PATH;
    SNAP_EACH(i, e->conds) {
        const struct snap_cond *c = &x->s->CONDS[i];
        if (!cond_holds(x, c)) {
            *cond = c;
            return LOST[c->what];
        }
    }
    return LOST_NOT;
}

void route_trace(const struct snap *s, const struct snap_bind *b, const struct route_request *q,
                 route_trace_fn *fn, void *ctx)
{
    bool won = false;
    for (const struct snap_host *h = route_host(s, b, q->host); h && !won; h = SNAP_AT(s, HOSTS, h->fallback)) {
        struct search x = {.s = s, .q = q, .host = h};
        SNAP_EACH(i, h->entries) {
            const struct snap_entry *e = &s->ENTRIES[s->RANKED[i]];
            const struct snap_cond *cond;
            enum route_lost why = entry_lost(&x, e, &cond);
            if (why == LOST_NOT && won)
                why = LOST_RANK;
            won = won || why == LOST_NOT;
            fn(ctx, h, e, why, cond);
        }
    }
}
