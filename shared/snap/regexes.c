#include "shared/snap/snap.h"
#include "shared/regex/regex.h"

#include <stdlib.h>

struct snap_regexes {
    const struct snap *s;
    struct regex **v; /* of REGEXES; NULL = not asked for yet */
};

struct snap_regexes *snap_regexes_new(const struct snap *s)
{
    struct snap_regexes *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->s = s;
    r->v = calloc(s->n[SNAP_REGEXES] ? s->n[SNAP_REGEXES] : 1, sizeof(*r->v));
    if (!r->v) {
        free(r);
        return NULL;
    }
    return r;
}

void snap_regexes_free(void *arg)
{
    struct snap_regexes *r = arg;
    if (!r)
        return;
    for (uint32_t i = 0; i < r->s->n[SNAP_REGEXES]; i++)
        regex_free(r->v[i]);
    free(r->v);
    free(r);
}

const struct regex *snap_regexes_get(const struct snap_regexes *r, uint32_t i)
{
    if (!r->v[i]) {
        const struct snap_regex *row = &r->s->REGEXES[i];
        r->v[i] = regex_compile(snap_text(r->s, row->pattern), row->flags, NULL, NULL);
    }
    return r->v[i];
}

bool snap_regexes_match(const void *ctx, uint32_t i, struct str subject)
{
    const struct snap_regexes *r = ctx;
    const struct regex *re = r->s->REGEXES[i].flags & SNAP_REGEX_SEARCH ? NULL : snap_regexes_get(r, i);
    return re && regex_match(re, subject, NULL);
}
