/*
 * field_lookup.h - the table behind http_field_of, for those who look up a name on every line: the parser of HTTP/1.1.
 *
 * Open addressing, built by hand: column 4 of http_field.def says where each name was put by this walk.
 */
#ifndef GH_HTTP_FIELD_LOOKUP_H
#define GH_HTTP_FIELD_LOOKUP_H

#include "shared/base/wide.h"
#include "shared/http/field.h"

#define FIELD_NAME_ROOM 32 /* no known name is longer */
#define FIELD_SLOTS     512

/* Beside FIELD_P_HOP and FIELD_P_FRAMING: its value says where or how a message of HTTP/1.1 goes, or ends, or what becomes of
 * the connection. */
#define FIELD_IS_OF_MESSAGE 0x80

struct field_name {
    char text[FIELD_NAME_ROOM]; /* lower case, zeros behind, no NUL at the end */
    uint8_t len;
    uint8_t facts;
    uint16_t head; /* a bit for each of the first sixteen bytes */
};
extern const struct field_name field_names[FIELD_COUNT];
extern const uint8_t field_slots[FIELD_SLOTS]; /* enum http_field_id; 0 = free */
_Static_assert(FIELD_COUNT <= 256, "slots hold one byte");

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIELD_LE32(v) __builtin_bswap32(v)
#else
#define FIELD_LE32(v) (v)
#endif

/* The first and the last four bytes of a name and its length tell all known names apart. Bit 5 is set
 * so that capitals do not count. The numbers are such that few names share a slot. n > 0. */
static inline unsigned field_slot(const char *name, size_t n)
{
    const unsigned char *p = (const unsigned char *)name;
    uint32_t first, last = 0;
    if (likely(n >= 4)) {
        memcpy(&first, p, sizeof(first));
        memcpy(&last, p + n - sizeof(last), sizeof(last));
        first = FIELD_LE32(first) | 0x20202020u;
        last = FIELD_LE32(last) | 0x20202020u;
    } else {
        first = (uint32_t)p[0] | (uint32_t)p[n / 2] << 8 | (uint32_t)p[n - 1] << 16;
        first |= 0x202020u;
    }
    return (((first * 0x87c0909du) ^ last) + (uint32_t)n) * 0xe92a4f0fu >> 23;
}

#if defined(GH_WIDE)
/* Bit 5 lowers capitals, and makes no byte of a name out of another one that may stand in a field. */
static inline unsigned field_lowers_to(__m128i v, const char *low)
{
    return wide_mask(_mm_cmpeq_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), wide_load(low)));
}

/*
 * As http_field_of, for a name of which the first 16 bytes (with what stands behind it, or zeros) are in `head` and whose
 * bytes are known to be none below 0x20 but HTAB. n > 0.
 */
static inline enum http_field_id field_lookup_wide(const char *name, size_t n, __m128i head)
{
    unsigned slot = field_slot(name, n);
    for (;;) {
        const unsigned id = field_slots[slot];
        const struct field_name *f = &field_names[id];
        if (likely(f->len == n && (field_lowers_to(head, f->text) & f->head) == f->head &&
                   (n <= 16 || field_lowers_to(wide_load(name + n - 16), f->text + n - 16) == 0xffffu)))
            return (enum http_field_id)id;
        if (id == FIELD_OTHER)
            return FIELD_OTHER;
        slot = (slot + 1) % FIELD_SLOTS;
    }
}
#endif

#endif
