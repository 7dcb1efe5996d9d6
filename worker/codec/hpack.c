#include "worker/codec/hpack.h"

#include <stdlib.h>

#define COSTS      32u  /* bytes of an entry on top of its own (4.1) */
#define TEXT_FIRST 512u
#define RING_FIRST 8u
#define INT_BYTES  5    /* that may follow the first one of an integer */

const struct hpack_static hpack_static[HPACK_STATIC + 1] = {
#define X(at, id, name, value) [at] = {{name, sizeof(name) - 1}, {value, sizeof(value) - 1}, FIELD_##id},
#define NO_ID(at, name, value) [at] = {{name, sizeof(name) - 1}, {value, sizeof(value) - 1}, FIELD_OTHER},
#include "worker/codec/hpack_static.def"
#undef X
#undef NO_ID
};

void hpack_init(struct hpack_decoder *d)
{
    memset(d, 0, sizeof(*d));
    d->max = HPACK_TABLE;
}

void hpack_fini(struct hpack_decoder *d)
{
    free(d->text);
    free(d->v);
    free(d->carry);
}

/* --- the peer's table ----------------------------------------------------------------------------------- */

static struct hpack_entry *entry(struct hpack_decoder *d, unsigned i)
{
    return &d->v[(d->first + i) & (d->cap - 1u)];
}

static uint32_t line_size(const struct hpack_entry *e)
{
    return (uint32_t)e->name + e->value + 4;
}

static void evict(struct hpack_decoder *d, uint32_t max)
{
    while (d->size > max) {
        const struct hpack_entry *e = entry(d, 0);
        d->size -= e->name + e->value + COSTS;
        d->lo = e->at + line_size(e);
        d->first = (uint16_t)((d->first + 1) & (d->cap - 1u));
        d->n--;
    }
}

/* One more entry. False: no memory. */
static bool grow_ring(struct hpack_decoder *d)
{
    if (d->n < d->cap)
        return true;
    unsigned cap = d->cap ? d->cap * 2u : RING_FIRST;
    struct hpack_entry *v = malloc(cap * sizeof(*v));
    if (!v)
        return false;
    for (unsigned i = 0; i < d->n; i++)
        v[i] = *entry(d, i);
    free(d->v);
    d->v = v;
    d->cap = (uint16_t)cap;
    d->first = 0;
    return true;
}

/* n bytes behind `hi`. A quarter is kept free, so that moving what is there costs a few times what is added. */
static bool make_text_room(struct hpack_decoder *d, uint32_t n)
{
    uint32_t used = d->hi - d->lo, cap = d->text_cap ? d->text_cap : TEXT_FIRST;
    if (d->hi - d->base + n <= d->text_cap)
        return true;
    while (used + n > cap / 4 * 3)
        cap *= 2;
    char *to = d->text;
    if (cap != d->text_cap && !(to = malloc(cap)))
        return false;
    if (used)
        memmove(to, d->text + (d->lo - d->base), used);
    if (to != d->text)
        free(d->text);
    d->text = to;
    d->text_cap = cap;
    d->base = d->lo;
    return true;
}

static char *put_line(char *to, struct str name, struct str value)
{
    if (name.n)
        memcpy(to, name.p, name.n);
    to[name.n] = ':';
    to[name.n + 1] = ' ';
    to += name.n + 2;
    if (value.n)
        memcpy(to, value.p, value.n);
    to[value.n] = '\r';
    to[value.n + 1] = '\n';
    return to + value.n + 2;
}

/* A new entry; its name may be one of the table's (4.4). False: no memory. */
static bool add(struct hpack_decoder *d, const struct hpack_field *f, bool own_name)
{
    char copy[HPACK_TABLE];
    struct str name = f->name;
    size_t size = f->name.n + f->value.n + COSTS;
    if (size > d->max) {
        evict(d, 0);
        return true;
    }
    if (own_name) {
        if (name.n)
            memcpy(copy, name.p, name.n);
        name.p = copy;
    }
    evict(d, d->max - (uint32_t)size);
    uint32_t n = (uint32_t)(f->name.n + f->value.n + 4);
    if (!grow_ring(d) || !make_text_room(d, n))
        return false;
    put_line(d->text + (d->hi - d->base), name, f->value);
    d->n++;
    *entry(d, d->n - 1u) = (struct hpack_entry){
        .at = d->hi,
        .name = (uint16_t)name.n,
        .value = (uint16_t)f->value.n,
        .id = f->id,
        .static_at = f->at,
        .flags = f->flags & HPACK_F_KEPT,
    };
    d->hi += n;
    d->size += (uint32_t)size;
    return true;
}

static void remember(struct hpack_decoder *d, uint32_t index, const struct hpack_field *f)
{
    struct hpack_entry *e = entry(d, d->n - (index - HPACK_STATIC));
    e->id = f->id;
    e->flags = f->flags & HPACK_F_KEPT;
}

/* Entry `index` as a field. False: there is none. */
static inline bool look_up(struct hpack_decoder *d, uint32_t index, struct hpack_field *f)
{
    if (index - 1 >= HPACK_STATIC + d->n)
        return false;
    if (index <= HPACK_STATIC) {
        const struct hpack_static *s = &hpack_static[index];
        unsigned name = s->id != FIELD_OTHER ? HPACK_F_NAME : 0;
        *f = (struct hpack_field){s->name, s->value, s->id, (uint8_t)index, (uint8_t)(name | HPACK_F_VALUE | HPACK_F_CONST)};
        return true;
    }
    const struct hpack_entry *e = entry(d, d->n - (index - HPACK_STATIC));
    const char *p = d->text + (e->at - d->base);
    *f = (struct hpack_field){str_of(p, e->name), str_of(p + e->name + 2, e->value), e->id, e->static_at, e->flags | HPACK_F_LINE};
    return true;
}

/* --- what stands in a block ----------------------------------------------------------------------------- */

enum take { TAKE_BAD, TAKE_MORE, TAKE_OK };

/* An integer whose first byte has `bits` for it (5.1). */
static enum take take_int(const char **at, const char *end, unsigned bits, uint32_t *v)
{
    const unsigned char *p = (const unsigned char *)*at, *e = (const unsigned char *)end;
    uint32_t max = (1u << bits) - 1;
    if (p == e)
        return TAKE_MORE;
    *v = *p++ & max;
    if (*v == max) {
        uint64_t sum = max;
        unsigned i = 0;
        do {
            if (i == INT_BYTES)
                return TAKE_BAD;
            if (p == e)
                return TAKE_MORE;
            sum += (uint64_t)(*p & 0x7f) << (7 * i++);
        } while (*p++ & 0x80);
        if (sum > UINT32_MAX)
            return TAKE_BAD;
        *v = (uint32_t)sum;
    }
    *at = (const char *)p;
    return TAKE_OK;
}

struct literal {
    struct str s;
    bool huffman;
};

static enum take take_string(const char **at, const char *end, struct literal *l)
{
    const char *p = *at;
    uint32_t n;
    if (p == end)
        return TAKE_MORE;
    l->huffman = *p & 0x80;
    enum take t = take_int(&p, end, 7, &n);
    if (t != TAKE_OK)
        return t;
    if (n > HPACK_STRING_MAX)
        return TAKE_BAD;
    if ((size_t)(end - p) < n)
        return TAKE_MORE;
    l->s = str_of(p, n);
    *at = p + n;
    return TAKE_OK;
}

/* One representation (6), before it is interpreted. */
struct item {
    enum { INDEXED, LITERAL, LITERAL_KEPT, LITERAL_SECRET, RESIZE } kind;
    uint32_t index; /* or the new size */
    struct literal name, value;
};

static enum take take_item(const char **at, const char *end, struct item *it)
{
    unsigned char b = (unsigned char)**at;
    unsigned bits = 4;
    if (b & 0x80) {
        it->kind = INDEXED;
        return take_int(at, end, 7, &it->index);
    }
    if ((b & 0xe0) == 0x20) {
        it->kind = RESIZE;
        return take_int(at, end, 5, &it->index);
    }
    it->kind = b & 0x10 ? LITERAL_SECRET : LITERAL;
    if (b & 0x40) {
        it->kind = LITERAL_KEPT;
        bits = 6;
    }
    enum take t = take_int(at, end, bits, &it->index);
    if (t == TAKE_OK && !it->index)
        t = take_string(at, end, &it->name);
    return t == TAKE_OK ? take_string(at, end, &it->value) : t;
}

/* Memory for what the Huffman code becomes; nearly always what is on the stack suffices. */
struct scratch {
    char *more, *at;
    size_t left;
    char first[1024];
};

static enum h2_code plain(struct scratch *t, const struct literal *l, struct str *out)
{
    *out = l->s;
    if (!l->huffman)
        return H2_NO_ERROR;
    size_t n = hpack_huffman_get(l->s.p, l->s.n, t->at);
    if (n == SIZE_MAX)
        return H2_COMPRESSION_ERROR;
    *out = str_of(t->at, n);
    t->at += n;
    return H2_NO_ERROR;
}

static bool scratch_room(struct scratch *t, const struct item *it)
{
    size_t need = it->value.huffman ? HPACK_HUFFMAN_ROOM(it->value.s.n) : 0;
    if (!it->index && it->name.huffman)
        need += HPACK_HUFFMAN_ROOM(it->name.s.n);
    t->at = t->first;
    t->more = need > sizeof(t->first) ? malloc(need) : NULL;
    if (t->more)
        t->at = t->more;
    return t->more || need <= sizeof(t->first);
}

static enum h2_code literal_field(struct hpack_decoder *d, const struct item *it, struct scratch *t, hpack_field_fn *fn, void *ctx)
{
    struct hpack_field f = {.id = FIELD_OTHER};
    enum h2_code code = H2_NO_ERROR;
    if (it->index && !look_up(d, it->index, &f))
        return H2_COMPRESSION_ERROR;
    if (!it->index)
        code = plain(t, &it->name, &f.name);
    if (!code)
        code = plain(t, &it->value, &f.value);
    if (code)
        return code;
    f.flags = (f.flags & HPACK_F_NAME) | (it->kind == LITERAL_SECRET ? HPACK_F_SECRET : 0);
    if (!fn(ctx, &f))
        return H2_ENHANCE_YOUR_CALM;
    if (it->kind == LITERAL_KEPT && !add(d, &f, it->index > HPACK_STATIC))
        return H2_INTERNAL_ERROR;
    return H2_NO_ERROR;
}

/* The field that is entry `index` of the table (6.1). */
static inline enum h2_code indexed_field(struct hpack_decoder *d, uint32_t index, hpack_field_fn *fn, void *ctx)
{
    struct hpack_field f;
    d->begun = true;
    if (!look_up(d, index, &f))
        return H2_COMPRESSION_ERROR;
    unsigned knew = f.flags;
    if (!fn(ctx, &f))
        return H2_ENHANCE_YOUR_CALM;
    if (unlikely(f.flags != knew) && index > HPACK_STATIC)
        remember(d, index, &f);
    return H2_NO_ERROR;
}

static enum h2_code serve(struct hpack_decoder *d, const struct item *it, hpack_field_fn *fn, void *ctx)
{
    if (it->kind == RESIZE) {
        if (d->begun || it->index > HPACK_TABLE)
            return H2_COMPRESSION_ERROR;
        d->max = it->index;
        evict(d, d->max);
        return H2_NO_ERROR;
    }
    if (it->kind == INDEXED)
        return indexed_field(d, it->index, fn, ctx);
    d->begun = true;
    struct scratch t;
    if (!scratch_room(&t, it))
        return H2_INTERNAL_ERROR;
    enum h2_code code = literal_field(d, it, &t, fn, ctx);
    free(t.more);
    return code;
}

/* --- pieces of blocks -------------------------------------------------------------------------------------- */

static bool carry(struct hpack_decoder *d, struct str s)
{
    if (d->carry_n + s.n > d->carry_cap) {
        size_t cap = GH_MAX(d->carry_n + s.n, (size_t)d->carry_cap * 2);
        char *p = realloc(d->carry, cap);
        if (!p)
            return false;
        d->carry = p;
        d->carry_cap = (uint32_t)cap;
    }
    if (s.n)
        memcpy(d->carry + d->carry_n, s.p, s.n);
    d->carry_n += (uint32_t)s.n;
    return true;
}

/* All that is complete; *s becomes the rest. */
static enum h2_code decode_all(struct hpack_decoder *d, struct str *s, hpack_field_fn *fn, void *ctx)
{
    while (s->n) {
        struct item it;
        const char *at = s->p, *end = s->p + s->n;
        unsigned first = (unsigned char)*at;
        if (likely(first >= 0x80 && first < 0xff)) { /* most fields are one byte */
            enum h2_code code = indexed_field(d, first & 0x7f, fn, ctx);
            if (unlikely(code))
                return code;
            *s = str_of(at + 1, s->n - 1);
            continue;
        }
        enum take t = take_item(&at, end, &it);
        if (t == TAKE_MORE)
            break;
        enum h2_code code = t == TAKE_BAD ? H2_COMPRESSION_ERROR : serve(d, &it, fn, ctx);
        if (code)
            return code;
        *s = str_of(at, (size_t)(end - at));
    }
    return H2_NO_ERROR;
}

static enum h2_code keep_rest(struct hpack_decoder *d, struct str rest, bool last)
{
    if (last && rest.n)
        return H2_COMPRESSION_ERROR;
    if (d->carry_n) {
        if (rest.n && rest.p != d->carry)
            memmove(d->carry, rest.p, rest.n);
        d->carry_n = (uint32_t)rest.n;
    } else if (rest.n && !carry(d, rest)) {
        return H2_INTERNAL_ERROR;
    }
    if (!last)
        return H2_NO_ERROR;
    d->begun = false;
    free(d->carry);
    d->carry = NULL;
    d->carry_cap = 0;
    return H2_NO_ERROR;
}

enum h2_code hpack_decode(struct hpack_decoder *d, struct str piece, bool last, hpack_field_fn *fn, void *ctx)
{
    struct str s = piece;
    if (d->carry_n) {
        if (!carry(d, piece))
            return H2_INTERNAL_ERROR;
        s = str_of(d->carry, d->carry_n);
    }
    enum h2_code code = decode_all(d, &s, fn, ctx);
    return code ? code : keep_rest(d, s, last);
}

/* 001xxxxx begins one (6.3); xxxxx all ones goes on in bytes of seven bits. */
uint32_t hpack_table_changes(struct str s)
{
    uint32_t n = 0;
    while (s.n && ((unsigned char)s.p[0] & 0xe0) == 0x20) {
        bool more = ((unsigned char)s.p[0] & 0x1f) == 0x1f;
        s = str_skip(s, 1);
        while (more && s.n) {
            more = (unsigned char)s.p[0] & 0x80;
            s = str_skip(s, 1);
        }
        n++;
    }
    return n;
}
