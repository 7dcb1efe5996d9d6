/* json_read.c - see json_read.h. One pass, recursion bounded by JSON_DEPTH_MAX. */
#include "master/lower/json_read.h"

struct reader {
    struct arena *arena;
    const char *at, *end;
};

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* At the opening quote. */
static bool read_string(struct reader *r, struct str *text)
{
    if (!take(r, '"'))
        return false;
    const char *from = r->at;
    for (; r->at < r->end && *r->at != '"'; r->at++) {
        if ((unsigned char)*r->at < 0x20)
            return false;
        if (*r->at == '\\' && ++r->at == r->end)
            return false;
    }
    if (r->at == r->end)
        return false;
    *text = str_of(from, (size_t)(r->at - from));
    r->at++;
    return true;
}

static bool read_word(struct reader *r, struct json_node *n)
{
    const char *from = r->at;
    while (r->at < r->end && (ascii_is_alpha(*r->at) || ascii_is_digit(*r->at) || *r->at == '-' ||
                              *r->at == '+' || *r->at == '.'))
        r->at++;
    n->text = str_of(from, (size_t)(r->at - from));
    if (n->text.n == 0)
        return false;
    if (str_eqc(n->text, "null"))
        n->type = JSON_NULL;
    else if (str_eqc(n->text, "true") || str_eqc(n->text, "false"))
        n->type = JSON_BOOL;
    else
        n->type = JSON_NUMBER;
    return n->type != JSON_NUMBER || n->text.p[0] == '-' || ascii_is_digit(n->text.p[0]);
}

static struct json_node *read_value(struct reader *r, unsigned depth);

/* Behind the opening bracket. */
static bool read_kids(struct reader *r, struct json_node *n, char close, unsigned depth)
{
    struct json_node **tail = &n->first;
    if (depth == JSON_DEPTH_MAX)
        return false;
    if (take(r, close))
        return true;
    do {
        struct str key = STR_NONE;
        skip_space(r);
        if (n->type == JSON_MAP && (!read_string(r, &key) || !take(r, ':')))
            return false;
        struct json_node *kid = read_value(r, depth + 1);
        if (!kid)
            return false;
        kid->key = key;
        *tail = kid;
        tail = &kid->next;
    } while (take(r, ','));
    return take(r, close);
}

static struct json_node *read_value(struct reader *r, unsigned depth)
{
    struct json_node *n = arena_new(r->arena, struct json_node);
    bool ok;
    skip_space(r);
    const char *from = r->at;
    if (!n || r->at == r->end)
        return NULL;
    if (*r->at == '"') {
        n->type = JSON_STRING;
        ok = read_string(r, &n->text);
    } else if (*r->at == '{' || *r->at == '[') {
        n->type = *r->at == '{' ? JSON_MAP : JSON_LIST;
        r->at++;
        ok = read_kids(r, n, n->type == JSON_MAP ? '}' : ']', depth);
    } else {
        ok = read_word(r, n);
    }
    n->raw = str_of(from, (size_t)(r->at - from));
    return ok ? n : NULL;
}

struct json_node *json_read(struct arena *a, struct str text)
{
    if (text.n == 0)
        return NULL;
    struct reader r = {a, text.p, text.p + text.n};
    struct json_node *n = read_value(&r, 0);
    skip_space(&r);
    return n && r.at == r.end ? n : NULL;
}

const struct json_node *json_get(const struct json_node *n, const char *key)
{
    if (!n || n->type != JSON_MAP)
        return NULL;
    for (const struct json_node *k = n->first; k; k = k->next)
        if (str_eqc(k->key, key))
            return k;
    return NULL;
}

struct str json_text(const struct json_node *n, const char *key)
{
    const struct json_node *v = json_get(n, key);
    return v && v->type == JSON_STRING ? v->text : STR_NONE;
}
