#include "master/store/state.h"
#include "shared/base/arena.h"
#include "shared/base/err.h"

#define MAGIC      "GHSTATE1"
#define HEAD_SIZE  16 /* magic and checksum */
#define CHECK_SEED 0x73746174u
#define OBJECT_MIN (8 * 4 + 3 * 8 + 4) /* bytes of one whose texts are empty */
#define SLOT_MIN   (2 * 4 + 4 + 8)
#define MAX_TABLES 16 /* a damaged image must not make thousands */

/* One numbering of places. */
struct state_table {
    struct str name;
    uint32_t next;
    bool spare_known;
    struct { struct state_slot **v; size_t n, cap; } spare; /* may be given away */
};

void state_init(struct state *st, struct arena *a)
{
    *st = (struct state){.arena = a};
    map_init(&st->objects, a);
    map_init(&st->slots, a);
}

/* "group/kind/ns/name" at `p`, which has room for key_length. */
static size_t key_length(const struct str part[4])
{
    return part[0].n + part[1].n + part[2].n + part[3].n + 3;
}

static void key_write(const struct str part[4], char *p)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *p++ = '/';
        if (part[i].n > 0)
            memcpy(p, part[i].p, part[i].n);
        p += part[i].n;
    }
}

struct str state_key(struct arena *a, const struct state_object *o)
{
    const struct str part[4] = {o->kind_group, o->kind, o->ns, o->name};
    size_t n = key_length(part);
    char *p = arena_alloc(a, n);
    key_write(part, p);
    return str_of(p, n);
}

struct state_object *state_find(const struct state *st, struct str group, struct str kind, struct str ns, struct str name)
{
    const struct str part[4] = {group, kind, ns, name};
    char small[512];
    struct buf b = {0};
    size_t n = key_length(part);
    char *p = n <= sizeof(small) ? small : buf_reserve(&b, n) ? b.p : NULL;
    if (!p)
        return NULL;
    key_write(part, p);
    struct state_object *o = map_get(&st->objects, str_of(p, n));
    buf_fini(&b);
    return o;
}

/* ---- writing ---- */

static void put_u32(struct buf *b, uint32_t v)
{
    unsigned char p[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16), (unsigned char)(v >> 24)};
    buf_add(b, p, sizeof(p));
}

static void put_u64(struct buf *b, uint64_t v)
{
    put_u32(b, (uint32_t)v);
    put_u32(b, (uint32_t)(v >> 32));
}

/* Texts are parts of files and of our own making, far below 4 GiB. */
static void put_str(struct buf *b, struct str s)
{
    put_u32(b, (uint32_t)s.n);
    buf_adds(b, s);
}

static void put_object(struct buf *b, const struct state_object *o)
{
    put_str(b, o->kind_group);
    put_str(b, o->kind);
    put_str(b, o->ns);
    put_str(b, o->name);
    put_str(b, o->uid);
    put_u64(b, o->generation);
    put_u64(b, o->created_us);
    put_u64(b, o->spec_hash);
    put_str(b, o->file);
    put_u32(b, o->line);
    put_str(b, o->text);
    put_str(b, o->status_json);
}

uint64_t state_checksum(struct str image)
{
    return hash_str(str_skip(image, HEAD_SIZE), CHECK_SEED);
}

void state_write(const struct state *st, struct buf *out)
{
    size_t start = out->n;
    uint32_t n_slots = 0;
    for (size_t i = 0; i < st->slots.n; i++)
        n_slots += ((struct state_slot *)st->slots.v[i].val)->slot > 0;
    buf_addc(out, MAGIC);
    put_u64(out, 0); /* the checksum, below */
    put_u64(out, st->generation);
    put_u32(out, (uint32_t)st->objects.n);
    put_u32(out, n_slots);
    for (size_t i = 0; i < st->objects.n; i++)
        put_object(out, st->objects.v[i].val);
    for (size_t i = 0; i < st->slots.n; i++) {
        const struct state_slot *s = st->slots.v[i].val;
        if (s->slot == 0)
            continue;
        put_str(out, s->table);
        put_str(out, s->key);
        put_u32(out, s->slot);
        put_u64(out, s->last_used);
    }
    if (out->oom)
        return;
    struct buf sum = {.p = out->p + start + 8, .cap = 8};
    put_u64(&sum, state_checksum(str_skip(buf_str(out), start)));
}

/* ---- reading ---- */

/* What is left to read; `bad` once something did not fit, then everything reads as zero. */
struct reader {
    struct str in;
    bool bad;
};

static const unsigned char *take(struct reader *r, size_t n)
{
    static const unsigned char zero[8];
    if (r->bad || r->in.n < n) {
        r->bad = true;
        return zero;
    }
    const unsigned char *p = (const unsigned char *)r->in.p;
    r->in = str_skip(r->in, n);
    return p;
}

static uint32_t take_u32(struct reader *r)
{
    const unsigned char *p = take(r, 4);
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t take_u64(struct reader *r)
{
    uint64_t low = take_u32(r);
    return low | (uint64_t)take_u32(r) << 32;
}

static struct str take_str(struct reader *r)
{
    size_t n = take_u32(r);
    if (r->bad || r->in.n < n) {
        r->bad = true;
        return STR_NONE;
    }
    struct str s = str_head(r->in, n);
    r->in = str_skip(r->in, n);
    return s;
}

static void take_object(struct reader *r, struct state *st)
{
    struct state_object *o = arena_new(st->arena, struct state_object);
    o->kind_group = take_str(r);
    o->kind = take_str(r);
    o->ns = take_str(r);
    o->name = take_str(r);
    o->uid = take_str(r);
    o->generation = take_u64(r);
    o->created_us = take_u64(r);
    o->spec_hash = take_u64(r);
    o->file = take_str(r);
    o->line = take_u32(r);
    o->text = take_str(r);
    o->status_json = take_str(r);
    if (!r->bad && map_put(&st->objects, state_key(st->arena, o), o))
        r->bad = true; /* one identity twice: not written by us */
}

static struct state_table *table_of(struct state *st, struct str name)
{
    for (size_t i = 0; i < st->tables.n; i++)
        if (str_eq(st->tables.v[i]->name, name))
            return st->tables.v[i];
    struct state_table *t = arena_new(st->arena, struct state_table);
    *t = (struct state_table){.name = arena_str(st->arena, name), .next = 1};
    *ARENA_PUSH(st->arena, &st->tables) = t;
    return t;
}

/* "table/key", in `small` or, when that is too small, in the arena. */
static struct str slot_key(struct arena *a, char *small, size_t size, struct str table, struct str key)
{
    size_t n = table.n + 1 + key.n;
    char *p = n <= size ? small : arena_alloc(a, n);
    if (table.n > 0)
        memcpy(p, table.p, table.n);
    p[table.n] = '/';
    if (key.n > 0)
        memcpy(p + table.n + 1, key.p, key.n);
    return str_of(p, n);
}

static void take_slot(struct reader *r, struct state *st)
{
    struct state_slot *s = arena_new(st->arena, struct state_slot);
    s->table = take_str(r);
    s->key = take_str(r);
    s->slot = take_u32(r);
    s->last_used = take_u64(r);
    r->bad |= s->slot == 0 || s->slot == UINT32_MAX || (st->tables.n > MAX_TABLES);
    if (r->bad)
        return;
    struct state_table *t = table_of(st, s->table);
    t->next = GH_MAX(t->next, s->slot + 1);
    struct str key = slot_key(st->arena, NULL, 0, s->table, s->key);
    r->bad |= map_put(&st->slots, key, s) != NULL;
}

int state_read(struct state *st, struct str image)
{
    struct reader r = {.in = image};
    struct arena *a = st->arena;
    state_init(st, a);
    if (image.n < HEAD_SIZE)
        return GH_E_TRUNCATED;
    if (memcmp(image.p, MAGIC, 8) != 0)
        return GH_E_VERSION;
    take(&r, 8);
    uint64_t sum = take_u64(&r);
    if (sum != state_checksum(image))
        return GH_E_CHECKSUM;
    st->generation = take_u64(&r);
    uint32_t n_objects = take_u32(&r), n_slots = take_u32(&r);
    /* What a damaged image promises costs no more than what could be in so many bytes. */
    map_reserve(&st->objects, GH_MIN((size_t)n_objects, r.in.n / OBJECT_MIN));
    map_reserve(&st->slots, GH_MIN((size_t)n_slots, r.in.n / SLOT_MIN));
    for (uint32_t i = 0; i < n_objects && !r.bad; i++)
        take_object(&r, st);
    for (uint32_t i = 0; i < n_slots && !r.bad; i++)
        take_slot(&r, st);
    if (!r.bad && r.in.n == 0)
        return 0;
    state_init(st, a);
    return GH_E_FORMAT;
}

/* ---- places on the board ---- */

static void find_spare(struct state *st, struct state_table *t)
{
    t->spare_known = true;
    for (size_t i = 0; i < st->slots.n; i++) {
        struct state_slot *s = st->slots.v[i].val;
        if (str_eq(s->table, t->name) && s->slot > 0 && s->last_used + STATE_SLOT_KEEP < st->generation)
            *ARENA_PUSH(st->arena, &t->spare) = s;
    }
}

/* A place that nobody used for long, taken from its owner; 0 when there is none. */
static uint32_t take_spare(struct state *st, struct state_table *t, uint32_t max)
{
    if (!t->spare_known)
        find_spare(st, t);
    while (t->spare.n > 0) {
        struct state_slot *s = t->spare.v[--t->spare.n];
        uint32_t slot = s->slot;
        if (s->last_used + STATE_SLOT_KEEP >= st->generation || slot == 0 || slot > max)
            continue; /* used again meanwhile */
        s->slot = 0;
        return slot;
    }
    return 0;
}

/* Who gets no place is not remembered either: of a hundred thousand rules most have none. */
uint32_t state_slot(struct state *st, const char *table, struct str key, uint32_t max)
{
    char small[512];
    struct state_table *t = table_of(st, str_c(table));
    struct str full = slot_key(st->arena, small, sizeof(small), t->name, key);
    struct state_slot *s = map_get(&st->slots, full);
    uint32_t slot = s && s->slot <= max ? s->slot : 0;
    if (!slot)
        slot = t->next <= max ? t->next++ : take_spare(st, t, max);
    if (!s && slot) {
        full = full.p == small ? arena_str(st->arena, full) : full;
        s = arena_new(st->arena, struct state_slot);
        s->table = t->name;
        s->key = str_skip(full, t->name.n + 1);
        map_put(&st->slots, full, s);
    }
    if (s) {
        s->last_used = st->generation;
        s->slot = slot;
    }
    return s ? slot : 0;
}
