/*
 * list.h - an intrusive, doubly linked, circular list.
 *
 * The head is a node of its own; an element embeds a `struct list` and is found with LIST_ITEM.
 * A node that is in no list must be list_init'ed before list_del or list_empty is asked of it, so
 * that removing twice is harmless.
 */
#ifndef GH_LIST_H
#define GH_LIST_H

#include "shared/base/base.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_insert_between(struct list *n, struct list *prev, struct list *next)
{
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}
static inline void list_push(struct list *head, struct list *n) /* at the end */
{
    list_insert_between(n, head->prev, head);
}
static inline void list_push_front(struct list *head, struct list *n)
{
    list_insert_between(n, head, head->next);
}
static inline void list_del(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

#define LIST_ITEM(node, type, member) CONTAINER_OF(node, type, member)
/* The body may delete `it` itself, but no other node. */
#define LIST_EACH(it, head)                                                                        \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

#endif
