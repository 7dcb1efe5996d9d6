/*
 * F1: bytes to trees. Oracles beyond "no crash": memory is bounded by the input; what the quick reader gives is
 * what libyaml gives; every tree can be written as JSON, read again, and is then the same value.
 */
#include "shared/base/utf8.h"
#include "tests/unit/master/yaml/yaml_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_PER_BYTE 1024 /* a node of 56 bytes for a list element of two bytes; a finding for a key of four */
#define MEMORY_BASE     (4u << 20)

static void same_after_json(struct parsed *p, const struct node *root)
{
    struct parsed again;
    struct buf json = {0};
    node_json(root, &json, NULL);
    parse_limited(&again, buf_str(&json), &YAML_LIMITS_DEFAULT);
    must(again.docs.n == 1 && again.docs.v[0].root);
    must(again.docs.v[0].faulty || node_hash(again.docs.v[0].root) == node_hash(root));
    parsed_fini(&again);
    buf_fini(&json);
    (void)p;
}

/* JSON escapes and long keys are not what libyaml takes; numbers may be written otherwise. */
static bool is_plain_value(const struct node *n)
{
    if (n->type == NODE_FLOAT || node_key(n).n > 1000)
        return false;
    for (size_t i = 0; i < node_key(n).n; i++)
        if ((unsigned char)node_key(n).p[i] < 0x20 || (unsigned char)node_key(n).p[i] > 0x7e)
            return false;
    for (size_t i = 0; i < node_text(n).n; i++)
        if ((unsigned char)node_text(n).p[i] < 0x20 || (unsigned char)node_text(n).p[i] > 0x7e)
            return false;
    for (size_t i = 0; i < n->n_kids; i++)
        if (!is_plain_value(n->kids[i]))
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size);
    struct parsed p;
    bool bom = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0;
    if (utf8_valid_prefix(text) == size && (size == 0 || !memchr(data, 0, size)) && !bom)
        must(quick_against_events(text) != QUICK_DIFFERS);
    parse_limited(&p, text, &YAML_LIMITS_DEFAULT);
    must(p.arena.total < MEMORY_BASE + MEMORY_PER_BYTE * size);
    must(p.docs.broken == false || p.diags.n > 0);
    for (size_t i = 0; i < p.docs.n; i++) {
        const struct yaml_document *d = &p.docs.v[i];
        must(d->root || p.docs.broken);
        if (d->root && !d->faulty && is_plain_value(d->root))
            same_after_json(&p, d->root);
    }
    findings(&p);
    parsed_fini(&p);
    return 0;
}
