/* json_read over any bytes: refuses or gives a tree whose slices lie in the text. */
#include "master/lower/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void visit(const struct json_node *n, struct str text)
{
    must(n->raw.p >= text.p && n->raw.p + n->raw.n <= text.p + text.n);
    must(n->text.n <= n->raw.n);
    must(n->type == JSON_LIST || n->type == JSON_MAP || !n->first);
    for (const struct json_node *k = n->first; k; k = k->next)
        visit(k, n->raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    arena_init(&a, 4096, NULL);
    struct str text = str_of((const char *)data, n);
    const struct json_node *root = json_read(&a, text);
    if (root)
        visit(root, text);
    arena_fini(&a);
    return 0;
}
