#include "shared/http/field.h"
#include "shared/http/token.h"

static const struct {
    const char *name;
    uint8_t len;
    uint8_t properties;
} known[FIELD_COUNT] = {
    [FIELD_OTHER] = {"", 0, 0},
#define X(id, name, properties, slot) [FIELD_##id] = {name, sizeof(name) - 1, (properties)},
#include "shared/tbl/http_field.def"
#undef X
};

/* Open addressing, built by hand: column 4 says where each name was put by the walk of `look_up`. */
#define SLOTS 512
static const uint8_t slots[SLOTS] = {
#define X(id, name, properties, slot) [slot] = FIELD_##id,
#include "shared/tbl/http_field.def"
#undef X
};
_Static_assert(FIELD_COUNT <= 256, "slots hold one byte");

/* Four bytes of the name and its length tell all known names apart. Capitals do not count. */
static inline unsigned slot_of(struct str name)
{
    const unsigned char *p = (const unsigned char *)name.p;
    uint32_t v = (uint32_t)p[0] | (uint32_t)p[name.n / 2] << 8 | (uint32_t)p[name.n - 1] << 16 |
                 (uint32_t)p[name.n * 3 / 4] << 24;
    v = (v | 0x20202020u) ^ (uint32_t)name.n * 0x9e3779b1u;
    return (v * 0x10ed2ce1u) >> 23;
}

/* `low` is lower-case text of n bytes from the table. Bytes below 0x20 would pass for others when bit
 * 5 is set, so they never match. */
static inline bool equal_lower8(uint64_t in, const char *low)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t want;
    memcpy(&want, low, sizeof(want));
    bool printable = ((in | in << 1) & (0x40 * ones)) == 0x40 * ones;
    return (in | 0x20 * ones) == want && printable;
}

static inline bool equal_lower(const char *p, const char *low, size_t n)
{
    uint64_t in;
    if (n >= sizeof(in)) {
        for (size_t i = 0; i + sizeof(in) < n; i += sizeof(in)) {
            memcpy(&in, p + i, sizeof(in));
            if (!equal_lower8(in, low + i))
                return false;
        }
        memcpy(&in, p + n - sizeof(in), sizeof(in));
        return equal_lower8(in, low + n - sizeof(in));
    }
    for (size_t i = 0; i < n; i++)
        if (ascii_lower(p[i]) != low[i])
            return false;
    return true;
}

enum http_field_id http_field_of(struct str name)
{
    if (name.n == 0 || name.n > UINT8_MAX)
        return FIELD_OTHER;
    for (unsigned i = slot_of(name); slots[i]; i = (i + 1) % SLOTS) {
        uint8_t id = slots[i];
        if (known[id].len == name.n && equal_lower(name.p, known[id].name, name.n))
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
    return str_of(known[id].name, known[id].len);
}

unsigned http_field_properties(enum http_field_id id)
{
    return known[id].properties;
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
           token_value_end(value.p, 0, value.n) == value.n;
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
