#include "shared/http/field_lookup.h"
#include "shared/http/token.h"

#define IS_OF_MESSAGE(id)                                                                          \
    ((id) == FIELD_HOST || (id) == FIELD_CONTENT_LENGTH || (id) == FIELD_TRANSFER_ENCODING ||      \
     (id) == FIELD_CONNECTION || (id) == FIELD_EXPECT || (id) == FIELD_UPGRADE || (id) == FIELD_TE)
#define FACTS(id, properties)                                                                      \
    (((properties) & (FIELD_P_HOP | FIELD_P_FRAMING)) | (IS_OF_MESSAGE(id) ? FIELD_IS_OF_MESSAGE : 0))

const struct field_name field_names[FIELD_COUNT] = {
    [FIELD_OTHER] = {"", 0, 0, 0},
#define X(id, name, properties, slot)                                                              \
    [FIELD_##id] = {name, sizeof(name) - 1, FACTS(FIELD_##id, properties),                         \
                    sizeof(name) > 16 ? 0xffff : (1u << (sizeof(name) - 1) % 16) - 1},
#include "shared/tbl/http_field.def"
#undef X
};

#define X(id, name, properties, slot)                                                              \
    _Static_assert(sizeof(name) - 1 <= 32, "field_lookup_wide compares twice 16 bytes");
#include "shared/tbl/http_field.def"
#undef X

const uint8_t http_field_table[FIELD_COUNT] = {
    [FIELD_OTHER] = 0,
#define X(id, name, properties, slot) [FIELD_##id] = (properties),
#include "shared/tbl/http_field.def"
#undef X
};

const uint8_t field_slots[FIELD_SLOTS] = {
#define X(id, name, properties, slot) [slot] = FIELD_##id,
#include "shared/tbl/http_field.def"
#undef X
};

/*
 * Is the text at `p` the lower-case name at `low`, both of n bytes, in any case? Every byte of `p` gets
 * bit 5 set, which lowers capitals and leaves the other bytes of names as they are. Bytes below 0x20
 * would become others by that: none may be there. The two reads of each branch overlap.
 */
#define ONES 0x0101010101010101ull

static inline uint64_t read_twice4(const char *p, size_t n)
{
    uint32_t a, b;
    memcpy(&a, p, sizeof(a));
    memcpy(&b, p + n - sizeof(b), sizeof(b));
    return (uint64_t)b << 32 | a;
}

static inline uint64_t read8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline bool lowers_to(uint64_t in, uint64_t low)
{
    bool printable = ((in | in << 1) & (0x40 * ONES)) == 0x40 * ONES;
    return (in | 0x20 * ONES) == low && printable;
}

#if defined(GH_WIDE)
static inline bool lowers_to16(const char *p, const char *low)
{
    __m128i in = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i want = _mm_loadu_si128((const __m128i *)(const void *)low);
    __m128i same = _mm_cmpeq_epi8(_mm_or_si128(in, _mm_set1_epi8(0x20)), want);
    __m128i control = _mm_cmpeq_epi8(_mm_and_si128(in, _mm_set1_epi8(0x60)), _mm_setzero_si128());
    return _mm_movemask_epi8(_mm_andnot_si128(control, same)) == 0xffff;
}
#else
static inline bool lowers_to16(const char *p, const char *low)
{
    return lowers_to(read8(p), read8(low)) && lowers_to(read8(p + 8), read8(low + 8));
}
#endif

static inline bool equal_lower(const char *p, const char *low, size_t n)
{
    if (n >= 16) {
        if (!lowers_to16(p + n - 16, low + n - 16))
            return false;
        for (size_t i = 0; i + 16 < n; i += 16)
            if (!lowers_to16(p + i, low + i))
                return false;
        return true;
    }
    if (n >= 8)
        return lowers_to(read8(p), read8(low)) && lowers_to(read8(p + n - 8), read8(low + n - 8));
    if (n >= 4)
        return lowers_to(read_twice4(p, n), read_twice4(low, n));
    for (size_t i = 0; i < n; i++)
        if (ascii_lower(p[i]) != low[i])
            return false;
    return true;
}

enum http_field_id http_field_of(struct str name)
{
    if (name.n == 0 || name.n > UINT8_MAX)
        return FIELD_OTHER;
    for (unsigned i = field_slot(name.p, name.n); field_slots[i]; i = (i + 1) % FIELD_SLOTS) {
        uint8_t id = field_slots[i];
        if (field_names[id].len == name.n && equal_lower(name.p, field_names[id].text, name.n))
            return (enum http_field_id)id;
    }
    return FIELD_OTHER;
}

enum http_field_id http_field_alias_of(struct str name)
{
    char with_dashes[64];
    if (name.n > sizeof(with_dashes) || str_chr(name, '_') < 0)
        return FIELD_OTHER;
    for (size_t i = 0; i < name.n; i++)
        with_dashes[i] = name.p[i] == '_' ? '-' : name.p[i];
    return http_field_of(str_of(with_dashes, name.n));
}

struct str http_field_name(enum http_field_id id)
{
    return str_of(field_names[id].text, field_names[id].len);
}

bool http_field_name_valid(struct str name)
{
    return name.n <= HTTP_FIELD_NAME_MAX && token_valid(name);
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

bool http_field_value_valid(struct str value)
{
    if (value.n == 0)
        return true;
    return !is_ows(value.p[0]) && !is_ows(value.p[value.n - 1]) &&
           token_value_valid(value);
}

/* Where the element at the front of `s` ends: at a comma outside quotes, or at the end. */
static size_t element_end(struct str s)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < s.n; i++) {
        if (quoted && s.p[i] == '\\' && i + 1 < s.n)
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (s.p[i] == ',' && !quoted)
            break;
    }
    return i;
}

bool http_list_next(struct str *rest, struct str *item)
{
    while (rest->n) {
        size_t end = element_end(*rest);
        *item = http_trim_ows(str_head(*rest, end));
        *rest = str_skip(*rest, end < rest->n ? end + 1 : end);
        if (item->n)
            return true;
    }
    return false;
}

bool http_list_has(struct str list, struct str token)
{
    struct str item;
    while (http_list_next(&list, &item))
        if (str_ieq(item, token))
            return true;
    return false;
}
