#include "shared/snap/verify.h"

/* A set; a list in it must have a greater index than `list` and a deeper level than `level` (invariant 5;
 * 0 and no list for sets that hang in no list). */
static bool set(struct verify *v, const char *member, uint32_t value, int64_t list, unsigned level)
{
    const struct snap *s = v->s;
    if (value == SNAP_NONE)
        return true;
    if (!(value & SNAP_SET_LIST))
        return verify_index(v, member, value, SNAP_ENTRIES);
    uint32_t i = value & ~SNAP_SET_LIST;
    if (!verify_index(v, member, i, SNAP_LISTS))
        return false;
    if ((int64_t)i <= list || s->LISTS[i].level <= level)
        return verify_fault(v, "%s refers to list %u, which does not lie behind and below it", member, i);
    return true;
}

/* Invariant 5 for `n` slots at `slots`: a power of two with an empty one. */
static bool table(struct verify *v, const struct snap_slot *slots, uint32_t n)
{
    if (n == 0)
        return true;
    if (n & (n - 1))
        return verify_fault(v, "the table has %u slots, which is no power of two", n);
    for (uint32_t i = 0; i < n; i++)
        if (slots[i].value == SNAP_NONE)
            return true;
    return verify_fault(v, "the table has no empty slot");
}

bool verify_host_slots(struct verify *v)
{
    const struct snap *s = v->s;
    for (v->row = 0; v->row < s->n[SNAP_HOST_SLOTS]; v->row++)
        if (!verify_index_or_none(v, "value", s->HOST_SLOTS[v->row].value, SNAP_HOSTS))
            return false;
    return table(v, s->HOST_SLOTS, s->n[SNAP_HOST_SLOTS]);
}

bool verify_chain_slots(struct verify *v)
{
    const struct snap *s = v->s;
    for (v->row = 0; v->row < s->n[SNAP_CHAIN_SLOTS]; v->row++)
        if (!verify_index_or_none(v, "value", s->CHAIN_SLOTS[v->row].value, SNAP_CHAINS))
            return false;
    return table(v, s->CHAIN_SLOTS, s->n[SNAP_CHAIN_SLOTS]);
}

bool verify_exact_slots(struct verify *v)
{
    const struct snap *s = v->s;
    for (v->row = 0; v->row < s->n[SNAP_EXACT_SLOTS]; v->row++)
        if (!set(v, "value", s->EXACT_SLOTS[v->row].value, -1, 0))
            return false;
    return table(v, s->EXACT_SLOTS, s->n[SNAP_EXACT_SLOTS]);
}

/* The hosts have been judged before. */
bool verify_bind(struct verify *v, const struct snap_bind *b)
{
    const struct snap *s = v->s;
    if (!verify_text(v, "address", b->address) ||
        !verify_enum(v, "protocol", b->protocol, LISTENER_UDP + 1) ||
        !verify_share(v, "listeners", b->listeners, SNAP_LISTENERS) ||
        !verify_share(v, "hosts", b->hosts, SNAP_HOSTS))
        return false;
    SNAP_EACH(i, b->listeners)
        if (s->LISTENERS[i].bind != v->row)
            return verify_fault(v, "listener %u belongs to another bind", i);
    SNAP_EACH(i, b->hosts)
        if (s->LISTENERS[s->HOSTS[i].listener].bind != v->row)
            return verify_fault(v, "host %u belongs to another bind", i);
    if (b->default_host != SNAP_NONE && b->default_host - b->hosts.first >= b->hosts.n)
        return verify_fault(v, "default_host is %u, which is none of its hosts", b->default_host);
    return verify_bind_streams(v, b);
}

/* Invariant 7: runs end, and are ordered; RANKED is the order. */
static bool host_entries(struct verify *v, const struct snap_host *h)
{
    const struct snap *s = v->s;
    if (s->n[SNAP_RANKED] != s->n[SNAP_ENTRIES])
        return verify_fault(v, "there are %u entries and %u ranks", s->n[SNAP_ENTRIES], s->n[SNAP_RANKED]);
    if (!verify_share(v, "entries", h->entries, SNAP_ENTRIES))
        return false;
    uint32_t first = h->entries.first, n = h->entries.n;
    for (uint32_t k = 0; k < n; k++) {
        const struct snap_entry *e = &s->ENTRIES[first + k];
        uint32_t at = s->RANKED[first + k];
        if (at - first >= n || s->ENTRIES[at].rank != k)
            return verify_fault(v, "rank %u is not that of entry %u", k, at);
        if (e->flags & SNAP_ENTRY_LAST)
            continue;
        if (k + 1 == n)
            return verify_fault(v, "its last entry does not end a run");
        if (e[1].rank <= e->rank)
            return verify_fault(v, "entries %u and %u of one run are not ordered by rank", first + k, first + k + 1);
    }
    return true;
}

/* Invariant 6. */
static bool host_fallback(struct verify *v, const struct snap_host *h)
{
    const struct snap *s = v->s;
    if (h->fallback == SNAP_NONE)
        return true;
    if (!verify_index(v, "fallback", h->fallback, SNAP_HOSTS))
        return false;
    return (h->fallback > v->row && s->HOSTS[h->fallback].listener == h->listener) ||
           verify_fault(v, "the fallback %u does not lie behind it, or belongs to another listener", h->fallback);
}

bool verify_host(struct verify *v, const struct snap_host *h)
{
    const struct snap *s = v->s;
    if (!verify_text(v, "name", h->name) || !verify_index(v, "listener", h->listener, SNAP_LISTENERS) ||
        !host_fallback(v, h) ||
        !verify_bits(v, "flags", h->flags, SNAP_HOST_HTTPS_REDIRECT | SNAP_HOST_EXACT) ||
        !host_entries(v, h) || !set(v, "any", h->any, -1, 0) ||
        !verify_index_or_none(v, "tree", h->tree, SNAP_NODES) ||
        !verify_index_or_none(v, "tree_fold", h->tree_fold, SNAP_NODES))
        return false;
    return !(h->flags & SNAP_HOST_EXACT) || s->n[SNAP_EXACT_SLOTS] > 0 ||
           verify_fault(v, "it has exact paths, but EXACT_SLOTS is empty");
}

/* Invariant 5: kids lie behind, ordered, each with a label. */
bool verify_node(struct verify *v, const struct snap_node *n)
{
    const struct snap *s = v->s;
    uint32_t strings = s->n[SNAP_STRINGS], nodes = s->n[SNAP_NODES];
    if (n->label > strings || n->label_len > strings - n->label)
        return verify_fault(v, "the label lies outside STRINGS");
    if (!set(v, "set", n->set, -1, 0))
        return false;
    if (n->n_kids == 0)
        return true;
    if (n->kids <= v->row || n->kids > nodes || n->n_kids > nodes - n->kids)
        return verify_fault(v, "its %u kids from %u on do not lie behind it", n->n_kids, n->kids);
    for (uint32_t i = 0; i < n->n_kids; i++) {
        const struct snap_node *kid = &s->NODES[n->kids + i];
        if (kid->label_len == 0 || kid->label >= strings || (uint8_t)s->STRINGS[kid->label] != kid->byte)
            return verify_fault(v, "kid %u does not begin with its byte", n->kids + i);
        if (i > 0 && kid[-1].byte >= kid->byte)
            return verify_fault(v, "kids %u and %u are not ordered", n->kids + i - 1, n->kids + i);
    }
    return true;
}

bool verify_list(struct verify *v, const struct snap_list *l)
{
    const struct snap *s = v->s;
    if (!verify_text(v, "name", l->name) || !verify_enum(v, "by", l->by, LIST_BY_QUERY_DECODED + 1))
        return false;
    if (l->level == 0 || l->level > SNAP_LIST_LEVELS || l->log2 > 30)
        return verify_fault(v, "level is %u, log2 is %u", l->level, l->log2);
    struct snap_range slots = {l->slots, 1u << l->log2};
    if (!verify_share(v, "slots", slots, SNAP_LIST_SLOTS) ||
        !table(v, &s->LIST_SLOTS[l->slots], slots.n) || !set(v, "rest", l->rest, v->row, l->level))
        return false;
    SNAP_EACH(i, slots)
        if (!set(v, "a slot's value", s->LIST_SLOTS[i].value, v->row, l->level))
            return false;
    return true;
}

bool verify_entry(struct verify *v, const struct snap_entry *e)
{
    if (!verify_index(v, "rule", e->rule, SNAP_RULES) || !verify_text(v, "path_value", e->path_value) ||
        !verify_enum(v, "path", e->path, PATH_REGEX + 1) ||
        !verify_bits(v, "flags", e->flags, SNAP_ENTRY_IGNORE_CASE | SNAP_ENTRY_LAST) ||
        !verify_range(v, "conds", e->conds, SNAP_CONDS) ||
        !verify_place(v, e->place) || !verify_name(v, "section", e->section) || !verify_name(v, "name", e->name))
        return false;
    /* Without one, a regex entry takes every path. */
    return verify_regex(v, e->regex, e->path == PATH_REGEX && e->regex != SNAP_NONE, false);
}

bool verify_cond(struct verify *v, const struct snap_cond *c)
{
    if (c->type == STRMATCH_ANY)
        return verify_fault(v, "type is 0: a condition about nothing");
    return verify_enum(v, "what", c->what, COND_QUERY + 1) && verify_enum(v, "type", c->type, STRMATCH_REGEX + 1) &&
           verify_bits(v, "flags", c->flags,
                       SNAP_COND_IGNORE_CASE | SNAP_COND_INVERT | SNAP_COND_DECODED) &&
           verify_regex(v, c->regex, c->type == STRMATCH_REGEX, false) && verify_text(v, "name", c->name) &&
           verify_text(v, "value", c->value);
}
