#include "shared/snap/snap.h"

#include <stdlib.h>

struct room {
    struct snap s;
    struct snap_header head;
    struct snap_settings settings;
    struct snap_listener listener;
    struct snap_rule rule;
    struct snap_cluster cluster;
    char strings[];
};

#define MEMBERS_MAX 8

/* Texts of the rows, copied behind them. */
struct texts {
    const struct snap *from;
    struct snap_str *v[MEMBERS_MAX];
    size_t n, bytes;
};

static void take(struct texts *t, struct snap_str *member)
{
    t->v[t->n++] = member;
    t->bytes += member->len + 1;
}

static void copy(const struct texts *t, char *strings)
{
    uint32_t at = 1;
    strings[0] = '\0';
    for (size_t i = 0; i < t->n; i++) {
        memcpy(strings + at, t->from->STRINGS + t->v[i]->off, t->v[i]->len);
        strings[at + t->v[i]->len] = '\0';
        t->v[i]->off = at;
        at += t->v[i]->len + 1;
    }
}

static void fill(struct room *x, struct texts *t, const struct snap_part *from)
{
    if (from->listener) {
        x->listener = *from->listener;
        x->listener.bind = 0;
        take(t, &x->listener.key);
        take(t, &x->listener.name);
        take(t, &x->listener.hostname);
    }
    if (from->rule) {
        x->rule = *from->rule;
        x->rule.filters = x->rule.splits = (struct snap_range){0, 0};
        x->rule.redirect = x->rule.direct = x->rule.retry = SNAP_NONE;
        take(t, &x->rule.key);
        take(t, &x->rule.name);
    }
    if (from->cluster) {
        x->cluster = *from->cluster;
        x->cluster.endpoints = (struct snap_range){0, 0};
        x->cluster.tls = SNAP_NONE;
        take(t, &x->cluster.key);
        take(t, &x->cluster.name);
    }
}

struct snap *snap_excerpt(const struct snap *s, struct snap_part *part)
{
    struct room rows = {.settings = *s->SETTINGS, .head = {.generation = s->head->generation}};
    struct texts t = {.from = s, .bytes = 1};
    fill(&rows, &t, part);
    struct room *x = malloc(sizeof(*x) + t.bytes);
    if (!x)
        return NULL;
    copy(&t, x->strings);
    memcpy(x, &rows, sizeof(rows));
    x->s.refs = 1;
    x->s.size = sizeof(*x) + t.bytes;
    x->s.head = &x->head;
    x->s.SETTINGS = &x->settings;
    x->s.LISTENERS = &x->listener;
    x->s.RULES = &x->rule;
    x->s.CLUSTERS = &x->cluster;
    x->s.STRINGS = x->strings;
    part->listener = part->listener ? &x->listener : NULL;
    part->rule = part->rule ? &x->rule : NULL;
    part->cluster = part->cluster ? &x->cluster : NULL;
    return &x->s;
}
