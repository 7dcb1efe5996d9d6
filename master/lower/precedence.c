/*
 * precedence.c - which match of a host wins: ALL ordering rules of both APIs, and nothing else.
 *
 * Every candidate gets a sort key of three words; the smallest key has rank 0. So the rules are
 * read from the top to the bottom of gapi_key and istio_key, and comparing costs the same for both
 * APIs.
 *
 * A host that both APIs route (section 8.5 of the features: mixing is allowed): the API of the
 * oldest object goes first as a block, since its criteria say nothing about the other's matches.
 * That is reported.
 */
#include "master/lower/lower.h"
#include <stdio.h>
#include <stdlib.h>

struct sort_key {
    uint64_t first;
    uint32_t object, rule, match;
    uint32_t candidate;
};

void lower_candidate_add(struct lower *l, const struct lower_candidate *c)
{
    must(c->host && c->match && c->rule && c->object);
    *ARENA_PUSH(l->arena, &l->candidates) = *c;
}

void lower_candidates_reserve(struct lower *l, size_t n)
{
    if (l->candidates.n == 0 && l->candidates.cap < n) {
        l->candidates.v = arena_new_n(l->arena, struct lower_candidate, n);
        l->candidates.cap = n;
    }
}

/* ---- Gateway API: GATEWAY-API-RULES sections 6 and 11. Kinds don't meet in one host (gapi_claim.c) ------ */

/* Criterion 2 and 3. Regular expressions lie between, as the API leaves to us. */
static unsigned path_class(const struct model_match *m)
{
    switch (m->path) {
    case PATH_EXACT:
        return 3;
    case PATH_REGEX:
        return 2;
    default:
        return 1;
    }
}

/* Appends `bits` bits to the key, greatest value first. */
static void want_more(uint64_t *key, unsigned bits, size_t value)
{
    uint64_t most = (UINT64_C(1) << bits) - 1;
    *key = *key << bits | (most - GH_MIN((uint64_t)value, most));
}

static struct sort_key gapi_key(const struct lower_candidate *c)
{
    const struct model_match *m = c->match;
    bool wildcard = c->route_hostname.n && c->route_hostname.p[0] == '*';
    struct sort_key k = {.rule = c->rule_index, .match = c->match_index}; /* 9: order in the list */
    size_t exact = wildcard ? 0 : c->route_hostname.n;
    want_more(&k.first, 8, exact);                          /* 1: longest non-wildcard hostname */
    want_more(&k.first, 8, c->route_hostname.n);            /*    then longest hostname */
    if (c->grpc) {                                          /* GRPCRoute, section 11: */
        want_more(&k.first, 11, c->service_len);            /* 2: longest service */
        want_more(&k.first, 11, c->method_len);             /* 3: longest method */
        want_more(&k.first, 6, m->headers.n);               /* 4: more headers */
        return k;                                           /* 5 to 7 as 7 to 9 below */
    }
    want_more(&k.first, 2, path_class(m));                  /* 2: exact path */
    want_more(&k.first, 12, m->path_value.n);               /* 3: longest prefix */
    want_more(&k.first, 1, m->method.type != STRMATCH_ANY); /* 4: a method */
    want_more(&k.first, 6, m->headers.n);                   /* 5: more headers */
    want_more(&k.first, 6, m->query.n);                     /* 6: more query parameters */
    return k; /* 7 and 8, older route, then namespace/name: k.object, set by number_objects */
}

/* ---- Istio: ISTIO-RULES section 3.2 ---------------------------------------------------------- */

static bool is_everything(const struct model_match *m)
{
    bool any_path =
        m->path == PATH_ANY || (m->path == PATH_PREFIX_ELEMENT && m->path_value.n == 0) ||
        (m->path == PATH_PREFIX_STRING && (m->path_value.n == 0 || str_eqc(m->path_value, "/"))) ||
        (m->path == PATH_REGEX && str_eqc(m->path_value, ".*"));
    return any_path && m->headers.n == 0 && m->query.n == 0 && m->method.type == STRMATCH_ANY &&
           m->scheme.type == STRMATCH_ANY && m->authority.type == STRMATCH_ANY;
}

static struct sort_key istio_key(const struct lower_candidate *c)
{
    struct sort_key k = {.rule = c->rule_index, .match = c->match_index}; /* 4: order in the list */
    want_more(&k.first, 1, !is_everything(c->match));                     /* 1: catch-alls last */
    want_more(&k.first, 1, c->istio_private); /* 2: exported to few before public */
    return k;                                 /* 3, object order: k.object */
}

/* ---- objects --------------------------------------------------------------------------------- */

/* Candidates of one object lie side by side, since lowering goes object by object. */
struct run {
    const struct object *object;
    size_t first, n;
    bool gapi;
};

static int run_cmp(const void *x, const void *y)
{
    const struct run *a = x, *b = y;
    if (a->gapi != b->gapi)
        return a->gapi ? -1 : 1;
    return a->gapi ? object_cmp_gapi(a->object, b->object) : object_cmp_istio(a->object, b->object);
}

/* Criteria 7 and 8 as a number: the place of the object among all of its API. */
static void number_objects(struct lower *l, struct sort_key *keys)
{
    struct {
        struct run *v;
        size_t n, cap;
    } runs = {0};
    bool sorted = true;
    for (size_t i = 0; i < l->candidates.n; i++) {
        const struct lower_candidate *c = &l->candidates.v[i];
        if (runs.n && runs.v[runs.n - 1].object == c->object) {
            runs.v[runs.n - 1].n++;
            continue;
        }
        *ARENA_PUSH(l->arena, &runs) = (struct run){c->object, i, 1, c->gapi};
        /* Routes come in their order already (gapi_route.c); VirtualServices server by server. */
        sorted = sorted && c->gapi;
    }
    if (!sorted)
        qsort(runs.v, runs.n, sizeof(*runs.v), run_cmp);
    uint32_t number = 0;
    for (size_t i = 0; i < runs.n; i++) {
        if (i && runs.v[i - 1].object != runs.v[i].object)
            number++;
        for (size_t j = 0; j < runs.v[i].n; j++)
            keys[runs.v[i].first + j].object = number;
    }
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static int key_cmp(const void *x, const void *y)
{
    const struct sort_key *a = x, *b = y;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->object != b->object)
        return a->object < b->object ? -1 : 1;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    if (a->match != b->match)
        return a->match < b->match ? -1 : 1;
    return a->candidate < b->candidate ? -1 : a->candidate > b->candidate;
}

/* The oldest object of one API among the candidates, or NULL. */
static const struct object *oldest(const struct lower *l, const struct sort_key *keys, size_t n,
                                   bool gapi)
{
    const struct object *best = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct lower_candidate *c = &l->candidates.v[keys[i].candidate];
        if (c->gapi == gapi && (!best || object_cmp_istio(c->object, best) < 0))
            best = c->object;
    }
    return best;
}

/* True when the Gateway API leads; reports the host when both APIs want it. */
static bool gapi_leads(struct lower *l, const struct model_host *h, const struct sort_key *keys,
                       size_t n)
{
    bool first = l->candidates.v[keys[0].candidate].gapi, mixed = false;
    for (size_t k = 1; k < n && !mixed; k++)
        mixed = l->candidates.v[keys[k].candidate].gapi != first;
    if (!mixed)
        return first;
    const struct object *g = oldest(l, keys, n, true), *i = oldest(l, keys, n, false);
    bool leads = object_cmp_istio(g, i) < 0;
    const struct object *win = leads ? g : i, *lose = leads ? i : g;
    diag_at(l->diags, DIAG_Conflict, lose->root, "route a host name by one API only",
            "host " STR_FMT " on port %u is also routed by %s " STR_FMT "/" STR_FMT " (" STR_FMT
            ":%u), which is older: all its rules come first",
            STR_ARG(h->name), h->listener->bind->port, win->kind->kind, STR_ARG(win->ns),
            STR_ARG(win->name), STR_ARG(lower_file(win)), win->line);
    return leads;
}

/* ---- matches that can never win -------------------------------------------------------------- */

static uint64_t strmatch_hash(uint64_t h, const struct model_strmatch *m)
{
    h = hash_mix(h, m->type | (uint64_t)m->ignore_case << 8 | (uint64_t)m->invert << 9);
    return hash_str(m->value, h);
}

static uint64_t match_hash(const struct model_match *m)
{
    uint64_t h = hash_str(m->path_value, m->path | (uint64_t)m->path_ignore_case << 8);
    h = strmatch_hash(h, &m->method);
    h = strmatch_hash(h, &m->scheme);
    h = strmatch_hash(h, &m->authority);
    for (size_t i = 0; i < m->headers.n; i++)
        h = strmatch_hash(hash_str(m->headers.v[i].name, h), &m->headers.v[i].m);
    h = hash_mix(h, m->headers.n | (uint64_t)m->query_raw << 32);
    for (size_t i = 0; i < m->query.n; i++)
        h = strmatch_hash(hash_str(m->query.v[i].name, h), &m->query.v[i].m);
    return h;
}

static bool strmatch_same(const struct model_strmatch *a, const struct model_strmatch *b)
{
    return a->type == b->type && a->ignore_case == b->ignore_case && a->invert == b->invert &&
           str_eq(a->value, b->value);
}

static bool match_same(const struct model_match *a, const struct model_match *b)
{
    if (a->path != b->path || a->path_ignore_case != b->path_ignore_case ||
        a->query_raw != b->query_raw || a->headers.n != b->headers.n || a->query.n != b->query.n ||
        !str_eq(a->path_value, b->path_value) || !strmatch_same(&a->method, &b->method) ||
        !strmatch_same(&a->scheme, &b->scheme) || !strmatch_same(&a->authority, &b->authority))
        return false;
    for (size_t i = 0; i < a->headers.n; i++)
        if (!str_eq(a->headers.v[i].name, b->headers.v[i].name) ||
            !strmatch_same(&a->headers.v[i].m, &b->headers.v[i].m))
            return false;
    for (size_t i = 0; i < a->query.n; i++)
        if (!str_eq(a->query.v[i].name, b->query.v[i].name) ||
            !strmatch_same(&a->query.v[i].m, &b->query.v[i].m))
            return false;
    return true;
}

/* Scratch of one lower_precedence: who hides whom. */
struct shade {
    struct arena scratch;
    uint32_t *by; /* per candidate: 1 + the candidate that hides it in its host; 0 = none */
    size_t n;     /* of those not 0 */
};

/* The entries of one host in order of rank: a match is hidden behind an equal one, or behind
 * everything. */
static void find_hidden(const struct lower *l, struct shade *s, const struct sort_key *keys,
                        size_t n)
{
    size_t slots = 4, everything = n;
    while (slots < n * 2)
        slots *= 2;
    uint32_t *table = arena_new_n(&s->scratch, uint32_t, slots); /* 1 + index into keys */
    for (size_t i = 0; i < n; i++) {
        const struct model_match *m = l->candidates.v[keys[i].candidate].match;
        size_t at = match_hash(m) & (slots - 1);
        while (table[at] && !match_same(l->candidates.v[keys[table[at] - 1].candidate].match, m))
            at = (at + 1) & (slots - 1);
        size_t behind = everything < n ? everything : table[at] ? table[at] - 1 : n;
        if (!table[at])
            table[at] = (uint32_t)i + 1;
        if (everything == n && is_everything(m))
            everything = i;
        if (behind == n)
            continue;
        s->by[keys[i].candidate] = keys[behind].candidate + 1;
        s->n++;
    }
    arena_reset(&s->scratch);
}

/* Where a candidate is written, "rules[0].matches[1]", and its node (or the nearest one above). */
static const struct node *match_node(const struct lower_candidate *c, char path[64])
{
    const char *const form = c->gapi ? "spec.rules[%u].matches[%u]" : "spec.http[%u].match[%u]";
    const struct node *n;
    snprintf(path, 64, form, c->rule_index, c->match_index);
    if ((n = node_walk(c->object->root, path)) != NULL)
        return n;
    *strrchr(path, '.') = '\0';
    return (n = node_walk(c->object->root, path)) != NULL ? n : c->object->root;
}

static void tell_hidden(struct lower *l, const struct lower_candidate *c,
                        const struct lower_candidate *by)
{
    char path[64], other[64];
    const struct node *at = match_node(c, path);
    const struct node *winner = match_node(by, other);
    if (c->object == by->object && !c->gapi)
        return; /* rules of one VirtualService: its own analysis names them (ISTIO-RULES 3.4) */
    diag_at(l->diags, DIAG_Unreachable, at,
            "change the conditions, or remove the one that is not wanted",
            "can never match: %s of %s " STR_FMT "/" STR_FMT " (" STR_FMT ":%u) %s and comes first",
            winner == by->object->root ? "a rule" : other, by->object->kind->kind,
            STR_ARG(by->object->ns), STR_ARG(by->object->name),
            STR_ARG(lower_file(by->object)),
            lower_line(by->object, winner),
            match_same(c->match, by->match) ? "has the same conditions" : "matches everything");
}

/* What is known about a match that is hidden somewhere. */
struct hidden_match {
    bool reached; /* in another host, or told already */
};

static struct str match_key(const struct lower_candidate *c)
{
    return str_of((const char *)&c->match, sizeof(c->match)); /* by address */
}

/* A match may be hidden in one host and reached in another: it is reported when it is hidden in
 * all. */
static void tell_all_hidden(struct lower *l, struct shade *s)
{
    struct map hidden;
    map_init(&hidden, &s->scratch);
    for (size_t i = 0; i < l->candidates.n && s->n; i++)
        if (s->by[i] && !map_get(&hidden, match_key(&l->candidates.v[i])))
            map_put(&hidden, match_key(&l->candidates.v[i]),
                    arena_new(&s->scratch, struct hidden_match));
    for (size_t i = 0; i < l->candidates.n && s->n; i++) {
        struct hidden_match *h = s->by[i] ? NULL : map_get(&hidden, match_key(&l->candidates.v[i]));
        if (h)
            h->reached = true;
    }
    for (size_t i = 0; i < l->candidates.n && s->n; i++) {
        struct hidden_match *h = s->by[i] ? map_get(&hidden, match_key(&l->candidates.v[i])) : NULL;
        if (!h || h->reached)
            continue;
        tell_hidden(l, &l->candidates.v[i], &l->candidates.v[s->by[i] - 1]);
        h->reached = true;
    }
}

/* ---- all together ---------------------------------------------------------------------------- */

static void rank_host(struct lower *l, struct shade *s, struct sort_key *keys, size_t n)
{
    struct model_host *h = l->candidates.v[keys[0].candidate].host;
    bool leads = n > 1 ? gapi_leads(l, h, keys, n) : l->candidates.v[keys[0].candidate].gapi;
    for (size_t i = 0; i < n; i++)
        if (l->candidates.v[keys[i].candidate].gapi != leads)
            keys[i].first |= UINT64_C(1) << 63; /* the other API's block */
    if (n > 1)
        qsort(keys, n, sizeof(*keys), key_cmp);
    struct model_listener *owner = l->candidates.v[keys[0].candidate].listener;
    if (owner)
        h->listener = owner;
    h->entries.v = arena_new_n(l->arena, struct model_entry, n);
    h->entries.n = h->entries.cap = n;
    for (size_t i = 0; i < n; i++) {
        const struct lower_candidate *c = &l->candidates.v[keys[i].candidate];
        h->entries.v[i] = (struct model_entry){c->match, c->rule, (uint32_t)i};
    }
    if (n > 1)
        find_hidden(l, s, keys, n);
}

/* Hosts get numbers, so that candidates can be dealt out to them in one pass. */
static size_t number_hosts(struct lower *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->model->binds.n; i++)
        for (size_t j = 0; j < l->model->binds.v[i]->hosts.n; j++)
            l->model->binds.v[i]->hosts.v[j]->index = (uint32_t)n++;
    return n;
}

void lower_precedence(struct lower *l)
{
    size_t n = l->candidates.n, n_hosts = number_hosts(l);
    struct sort_key *keys = arena_new_n(l->arena, struct sort_key, n);
    struct sort_key *dealt = arena_new_n(l->arena, struct sort_key, n);
    size_t *end = arena_new_n(l->arena, size_t, n_hosts + 1); /* of each host's part of `dealt` */
    struct shade shade = {.by = arena_new_n(l->arena, uint32_t, n)};
    arena_init(&shade.scratch, 0, l->arena->oom);

    for (size_t i = 0; i < n; i++) {
        const struct lower_candidate *c = &l->candidates.v[i];
        keys[i] = c->gapi ? gapi_key(c) : istio_key(c);
        keys[i].candidate = (uint32_t)i;
        end[c->host->index + 1]++;
    }
    number_objects(l, keys);
    for (size_t i = 1; i <= n_hosts; i++)
        end[i] += end[i - 1];
    for (size_t i = 0; i < n; i++)
        dealt[end[l->candidates.v[i].host->index]++] = keys[i];
    for (size_t i = 0, from = 0; i < n_hosts; from = end[i], i++)
        if (end[i] > from)
            rank_host(l, &shade, dealt + from, end[i] - from);
    tell_all_hidden(l, &shade);
    arena_fini(&shade.scratch);
}
