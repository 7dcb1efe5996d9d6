/*
 * table.h - columns of text for terminals: every column as wide as its widest cell, the last one open.
 */
#ifndef GH_CTL_TABLE_H
#define GH_CTL_TABLE_H

#include "shared/base/arena.h"

#define TABLE_MAX_COLUMNS 16

struct table {
    struct arena *arena;
    const char *heads[TABLE_MAX_COLUMNS];
    bool right[TABLE_MAX_COLUMNS]; /* numbers */
    size_t n_columns;
    struct { struct str *v; size_t n, cap; } cells; /* row by row */
};

void table_init(struct table *t, struct arena *a);
void table_column(struct table *t, const char *head, bool right);
/* The next cell of the row that is being filled; an empty one shows as "-". Copied. */
void table_cell(struct table *t, struct str text);
void table_cellf(struct table *t, const char *fmt, ...) GH_PRINTF(2, 3);
size_t table_rows(const struct table *t);
/* `heads` false: rows only. */
void table_write(const struct table *t, bool heads, struct buf *out);

#endif
