#include "master/ctl/table.h"

void table_init(struct table *t, struct arena *a)
{
    *t = (struct table){.arena = a};
}

void table_column(struct table *t, const char *head, bool right)
{
    must(t->n_columns < TABLE_MAX_COLUMNS);
    t->right[t->n_columns] = right;
    t->heads[t->n_columns++] = head;
}

void table_cell(struct table *t, struct str text)
{
    *ARENA_PUSH(t->arena, &t->cells) = text.n ? arena_str(t->arena, text) : STR("-");
}

void table_cellf(struct table *t, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    table_cell(t, buf_str(&b));
    buf_fini(&b);
}

size_t table_rows(const struct table *t)
{
    return t->n_columns ? t->cells.n / t->n_columns : 0;
}

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static size_t width(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static void put_spaces(struct buf *out, size_t n)
{
    while (n--)
        buf_addch(out, ' ');
}

/* A cell must not move the cursor: what was configured is shown, not obeyed. */
static void put_text(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addch(out, (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i]);
}

static void put_row(const struct table *t, const struct str *cells, const size_t *widths, struct buf *out)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        size_t pad = widths[i] - width(cells[i]);
        if (t->right[i])
            put_spaces(out, pad);
        put_text(out, cells[i]);
        if (i + 1 == t->n_columns)
            break;
        put_spaces(out, (t->right[i] ? 0 : pad) + 3);
    }
    buf_addch(out, '\n');
}

void table_write(const struct table *t, bool heads, struct buf *out)
{
    size_t widths[TABLE_MAX_COLUMNS] = {0};
    struct str top[TABLE_MAX_COLUMNS];
    for (size_t i = 0; i < t->n_columns; i++) {
        top[i] = str_c(t->heads[i]);
        widths[i] = heads ? top[i].n : 0;
    }
    size_t rows = table_rows(t);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < t->n_columns; i++)
            widths[i] = GH_MAX(widths[i], width(t->cells.v[r * t->n_columns + i]));
    if (heads)
        put_row(t, top, widths, out);
    for (size_t r = 0; r < rows; r++)
        put_row(t, &t->cells.v[r * t->n_columns], widths, out);
}
