#include "shared/snap/snap.h"
#include "shared/regex/regex.h"

#include <stdlib.h>

#define OFTEN 50 /* uses after which compiling to machine code pays: it takes longer than that many matches */

/* Memory for matching is shared by all of them; machine code (kilobytes each) is only for those in use. */
struct snap_regexes {
    const struct snap *s;
    struct regex_memory *memory;
    struct row { struct regex *regex; uint32_t uses; } *v; /* of REGEXES; NULL = not asked for yet */
};

struct snap_regexes *snap_regexes_new(const struct snap *s)
{
    struct snap_regexes *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->s = s;
    r->memory = regex_memory_new();
    r->v = calloc(s->n[SNAP_REGEXES] ? s->n[SNAP_REGEXES] : 1, sizeof(*r->v));
    if (!r->memory || !r->v) {
        regex_memory_drop(r->memory);
        free(r->v);
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
        regex_free(r->v[i].regex);
    regex_memory_drop(r->memory);
    free(r->v);
    free(r);
}

const struct regex *snap_regexes_get(const struct snap_regexes *r, uint32_t i)
{
    struct row *v = &r->v[i];
    if (!v->regex) {
        const struct snap_regex *row = &r->s->REGEXES[i];
        v->regex = regex_compile_in(r->memory, snap_text(r->s, row->pattern), row->flags | REGEX_NO_JIT, NULL, NULL);
    }
    if (v->regex && ++v->uses == OFTEN)
        regex_speed_up(v->regex);
    return v->regex;
}

bool snap_regexes_match(const void *ctx, uint32_t i, struct str subject)
{
    const struct snap_regexes *r = ctx;
    const struct regex *re = r->s->REGEXES[i].flags & SNAP_REGEX_SEARCH ? NULL : snap_regexes_get(r, i);
    return re && regex_match(re, subject, NULL);
}
