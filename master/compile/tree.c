/*
 * tree.c - sorted prefixes to a radix tree.
 *
 * Nodes are numbered breadth first: each node's kids are made when it is its turn, side by side at the end of
 * the section. So kids lie behind their parent and no two nodes share one, and building needs no
 * recursion, however deep the prefixes nest.
 */
#include "master/compile/layout.h"
#include "shared/base/err.h"

#define LABEL_MAX UINT16_MAX /* longer labels become a chain */

/* The prefixes below one node, all beginning with the same `from` bytes, which lie above it. */
struct span { size_t first, end, from; };

static size_t common(struct str a, struct str b, size_t from)
{
    size_t n = GH_MIN(a.n, b.n);
    while (from < n && a.p[from] == b.p[from])
        from++;
    return from;
}

/* Writes node `at` and makes places for its kids; their spans go to `spans` behind the last. */
static void put_node(struct layout *l, uint32_t at, uint32_t root, struct span *spans, const struct layout_prefix *v)
{
    struct span s = spans[at - root];
    size_t to = common(v[s.first].text, v[s.end - 1].text, s.from);
    to = GH_MIN(to, s.from + LABEL_MAX);
    struct snap_node row = {.label = v[s.first].at + (uint32_t)s.from, .label_len = (uint16_t)(to - s.from),
                            .set = SNAP_NONE, .kids = l->n[SNAP_NODES]};
    row.byte = to > s.from ? (uint8_t)v[s.first].text.p[s.from] : 0;
    if (v[s.first].text.n == to)
        row.set = v[s.first++].set;
    for (size_t i = s.first, end; i < s.end; i = end) {
        for (end = i + 1; end < s.end && v[end].text.p[to] == v[i].text.p[to]; end++)
            ;
        uint32_t kid = layout_extend(l, SNAP_NODES, 1);
        if (l->failed)
            return;
        spans[kid - root] = (struct span){i, end, to};
        row.n_kids++;
    }
    if (row.n_kids == 0)
        row.kids = 0;
    *ROW(l, NODES, struct snap_node, at) = row;
}

/* Nodes that n prefixes can need: one each, one per place where two part, and chains of long labels. */
static size_t nodes_at_most(const struct layout_prefix *v, size_t n)
{
    size_t sum = 2 * n;
    for (size_t i = 0; i < n; i++)
        sum += v[i].text.n / LABEL_MAX;
    return sum;
}

uint32_t layout_tree(struct layout *l, const struct layout_prefix *v, size_t n)
{
    if (n == 0 || l->failed)
        return SNAP_NONE;
    struct span *spans = arena_new_n(&l->scratch, struct span, nodes_at_most(v, n));
    if (!spans) {
        layout_fail(l, GH_E_NOMEM);
        return SNAP_NONE;
    }
    uint32_t root = layout_extend(l, SNAP_NODES, 1);
    spans[0] = (struct span){0, n, 0};
    for (uint32_t at = root; at < l->n[SNAP_NODES] && !l->failed; at++)
        put_node(l, at, root, spans, v);
    return root;
}
