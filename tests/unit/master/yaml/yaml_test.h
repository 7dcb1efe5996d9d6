/*
 * yaml_test.h - what the tests of the loader share: texts to trees, findings as text, trees compared.
 */
#ifndef GH_YAML_TEST_H
#define GH_YAML_TEST_H

#include "master/yaml/front.h"
#include "shared/base/arena.h"

#include <stdio.h>
#include <stdlib.h>

static GH_UNUSED void test_oom(void)
{
    fputs("out of memory\n", stderr);
    abort();
}

/* One text, parsed. */
struct parsed {
    struct arena arena;
    struct diags diags;
    struct source source;
    struct yaml_documents docs;
    struct buf out; /* for the functions below */
};

static GH_UNUSED void parse_limited(struct parsed *p, struct str text, const struct yaml_limits *limits)
{
    memset(p, 0, sizeof(*p));
    arena_init(&p->arena, 0, test_oom);
    diags_init(&p->diags, &p->arena);
    p->source = (struct source){.path = STR("in.yaml"), .text = arena_str(&p->arena, text)};
    yaml_parse(&p->arena, &p->source, limits, &p->diags, &p->docs);
    diags_sort(&p->diags);
}

static GH_UNUSED void parse_text(struct parsed *p, const char *text)
{
    parse_limited(p, str_c(text), &YAML_LIMITS_DEFAULT);
}

static GH_UNUSED void parsed_fini(struct parsed *p)
{
    buf_fini(&p->out);
    arena_fini(&p->arena);
}

/* All findings, one line each. */
static GH_UNUSED const char *findings(struct parsed *p)
{
    buf_clear(&p->out);
    for (size_t i = 0; i < p->diags.n; i++)
        diag_text(&p->diags.v[i], &p->out);
    return buf_cstr(&p->out);
}

/* All trees as JSON, one line each; "broken" for a document without. */
static GH_UNUSED const char *trees(struct parsed *p)
{
    buf_clear(&p->out);
    for (size_t i = 0; i < p->docs.n; i++) {
        if (p->docs.v[i].root)
            node_json(p->docs.v[i].root, &p->out, NULL);
        else
            buf_addc(&p->out, "broken");
        buf_addch(&p->out, '\n');
    }
    return buf_cstr(&p->out);
}

/* Equal in everything a later room can see? */
static GH_UNUSED bool same_tree(const struct node *a, const struct node *b)
{
    if (a->type != b->type || a->line != b->line || a->column != b->column || !str_eq(node_key(a), node_key(b)) ||
        a->key_line != b->key_line || a->key_column != b->key_column || a->index != b->index ||
        !str_eq(node_text(a), node_text(b)) || a->quoted != b->quoted || a->n_kids != b->n_kids ||
        (a->type != NODE_FLOAT && node_int(a) != node_int(b)) || (a->parent == NULL) != (b->parent == NULL))
        return false;
    for (size_t i = 0; i < a->n_kids; i++)
        if (a->kids[i]->parent != a || !same_tree(a->kids[i], b->kids[i]))
            return false;
    return true;
}

enum quick_verdict { QUICK_GAVE_UP, QUICK_SAME, QUICK_DIFFERS };

/* Reads one document (no markers around it) both ways. */
static GH_UNUSED enum quick_verdict quick_against_events(struct str text)
{
    struct arena a;
    struct diags ds;
    struct build quick, events;
    enum quick_verdict v = QUICK_GAVE_UP;
    arena_init(&a, 0, test_oom);
    diags_init(&ds, &a);
    struct source src = {.path = STR("in.yaml"), .text = text};
    build_init(&quick, &a, &src, &YAML_LIMITS_DEFAULT, &ds);
    build_init(&events, &a, &src, &YAML_LIMITS_DEFAULT, &ds);
    build_begin(&quick, true);
    if (quick_read(&quick, (struct front_text){text, 1})) {
        bool good = events_read(&events, (struct front_text){text, 1}) && !events.faulty && ds.n == 0 &&
                    (quick.doc == NULL) == (events.doc == NULL) &&
                    (!quick.doc || same_tree(&quick.doc->root, &events.doc->root));
        v = good ? QUICK_SAME : QUICK_DIFFERS;
    }
    build_fini(&quick);
    build_fini(&events);
    arena_fini(&a);
    return v;
}

#endif
