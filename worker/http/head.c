#include "worker/http/head.h"

#include "shared/http/field_lookup.h"

struct http_field *head_find_line(const struct http_head *h, enum http_field_id id)
{
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id == id && !(h->fields[i].flags & HEAD_F_SKIP))
            return &h->fields[i];
    return NULL;
}

static bool is_named(const struct http_field *f, enum http_field_id id, struct str name)
{
    return f->id == id && (id != FIELD_OTHER || (f->name.n == name.n && str_ieq(f->name, name)));
}

struct http_field *head_find_name(const struct http_head *h, struct str name)
{
    enum http_field_id id = http_field_of(name);
    if (head_lacks(h, id))
        return NULL;
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (!(h->fields[i].flags & HEAD_F_SKIP) && is_named(&h->fields[i], id, name))
            return &h->fields[i];
    return NULL;
}

/* All values in a row, as one list. */
static bool join(const struct http_head *h, struct arena *a, enum http_field_id id, struct str name, size_t size,
                 struct str *value)
{
    char *p = arena_alloc(a, size + 1);
    size_t n = 0;
    if (!p)
        return false;
    for (uint16_t i = 0; i < h->n_fields; i++) {
        const struct http_field *f = &h->fields[i];
        if ((f->flags & (HEAD_F_REMOVED | FIELD_F_ALIAS)) || !is_named(f, id, name))
            continue;
        if (n)
            p[n++] = ',';
        if (f->value.n)
            memcpy(p + n, f->value.p, f->value.n);
        n += f->value.n;
    }
    *value = str_of(p, n);
    return true;
}

bool head_value(const struct http_head *h, struct arena *a, struct str name, struct str *value)
{
    enum http_field_id id = http_field_of(name);
    const struct http_field *first = NULL;
    size_t size = 0, lines = 0;
    if (head_lacks(h, id))
        return false;
    for (uint16_t i = 0; i < h->n_fields; i++) {
        const struct http_field *f = &h->fields[i];
        if ((f->flags & (HEAD_F_REMOVED | FIELD_F_ALIAS)) || !is_named(f, id, name))
            continue;
        first = first ? first : f;
        size += f->value.n + 1;
        lines++;
    }
    if (!first)
        return false;
    *value = first->value;
    return lines == 1 || join(h, a, id, name, size, value);
}

static struct http_field *new_field(struct http_head *h, struct arena *a)
{
    if (h->n_fields == h->cap_fields) {
        if (h->cap_fields > UINT16_MAX / 2 - 8)
            return NULL;
        uint16_t cap = (uint16_t)(h->cap_fields * 2 + 8);
        struct http_field *more = arena_new_n(a, struct http_field, cap);
        if (!more)
            return NULL;
        if (h->n_fields)
            memcpy(more, h->fields, h->n_fields * sizeof(*more));
        h->fields = more;
        h->cap_fields = cap;
    }
    return &h->fields[h->n_fields++];
}

static bool add(struct http_head *h, struct arena *a, enum http_field_id id, struct str name, struct str value)
{
    struct http_field *f = new_field(h, a);
    if (!f)
        return false;
    /* Framing is never a field, whoever asks for it. */
    bool never = http_field_properties(id) & (FIELD_P_HOP | FIELD_P_FRAMING);
    f->name = name;
    f->value = value;
    f->id = (uint16_t)id;
    f->flags = HEAD_F_ADDED | (never ? FIELD_F_HOP : 0);
    field_set_remove(&h->absent, id);
    return true;
}

static inline struct str name_of(enum http_field_id id)
{
    return str_of(field_names[id].text, field_names[id].len);
}

static void remove_all(struct http_head *h, enum http_field_id id, struct str name)
{
    struct http_field *f = h->fields;
    uint16_t n = h->n_fields;
    if (head_lacks(h, id))
        return;
    if (id != FIELD_OTHER) {
        for (; n; n--, f++)
            if (f->id == id)
                f->flags |= HEAD_F_REMOVED;
        return;
    }
    for (; n; n--, f++)
        if (f->id == FIELD_OTHER && f->name.n == name.n && str_ieq(f->name, name))
            f->flags |= HEAD_F_REMOVED;
}

bool head_add(struct http_head *h, struct arena *a, struct str name, struct str value)
{
    return add(h, a, http_field_of(name), name, value);
}

bool head_set(struct http_head *h, struct arena *a, struct str name, struct str value)
{
    enum http_field_id id = http_field_of(name);
    remove_all(h, id, name);
    return add(h, a, id, name, value);
}

void head_remove(struct http_head *h, struct str name)
{
    remove_all(h, http_field_of(name), name);
}

bool head_add_id(struct http_head *h, struct arena *a, enum http_field_id id, struct str value)
{
    return add(h, a, id, name_of(id), value);
}

bool head_set_id(struct http_head *h, struct arena *a, enum http_field_id id, struct str value)
{
    if (!head_lacks(h, id))
        remove_all(h, id, STR_NONE);
    return add(h, a, id, name_of(id), value);
}

void head_remove_id(struct http_head *h, enum http_field_id id)
{
    remove_all(h, id, STR_NONE);
}
