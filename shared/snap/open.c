/*
 * open.c - from a descriptor or bytes to a `struct snap`: everything that readers rely on is looked at once.
 *
 * An image comes from a process that reads untrusted files, and may come from another release. So nothing
 * here trusts it: first the outside (seals, size, magic), then the table of sections, then the checksum, then
 * section after section, each invariant of format.h by its number. The first fault ends it, with a sentence
 * that names section, row and value. An image that passes can be read by every function of this room
 * without any fault of memory and in bounded time, whether or not it makes sense.
 */
#include "shared/snap/snap.h"
#include "shared/base/err.h"
#include "shared/snap/verify.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *const SECTION_NAMES[] = {
#define X(name, type) #name,
    SNAP_SECTIONS(X)
#undef X
};

int snap_fault(struct buf *why, int code, const char *fmt, ...)
{
    if (why) {
        va_list ap;
        va_start(ap, fmt);
        buf_vaddf(why, fmt, ap);
        va_end(ap);
    }
    return code;
}

/* --- outside ------------------------------------------------------------------------------------- */

static int check_head(const struct snap_header *h, size_t size, struct buf *why)
{
    if (size < sizeof(*h))
        return snap_fault(why, GH_E_TRUNCATED, "the image has %zu bytes, its header alone has %zu", size, sizeof(*h));
    if (h->magic != SNAP_MAGIC)
        return snap_fault(why, GH_E_FORMAT, "the image does not begin as a snapshot does");
    if (h->version != SNAP_VERSION)
        return snap_fault(why, GH_E_VERSION, "the image has version %u, this build reads version %u", h->version,
                          SNAP_VERSION);
    if (h->header_size != sizeof(*h) || h->n_sections != SNAP_SECTION_COUNT)
        return snap_fault(why, GH_E_VERSION, "the image has %u sections and a header of %u bytes, this build "
                          "knows %u and %zu", h->n_sections, h->header_size, SNAP_SECTION_COUNT, sizeof(*h));
    if (h->size != size)
        return snap_fault(why, GH_E_TRUNCATED, "the image says it has %llu bytes, it has %zu",
                          (unsigned long long)h->size, size);
    return 0;
}

/* Invariant 2, and the sizes of elements. */
static int check_sections(const struct snap_header *h, struct buf *why)
{
    static const uint32_t ELEM[] = {
#define X(name, type) sizeof(type),
        SNAP_SECTIONS(X)
#undef X
    };
    uint64_t at = sizeof(*h);
    for (int i = 0; i < SNAP_SECTION_COUNT; i++) {
        const struct snap_section_row *r = &h->sections[i];
        if (r->elem != ELEM[i])
            return snap_fault(why, GH_E_VERSION, "section %s has elements of %u bytes, this build has %u",
                              SECTION_NAMES[i], r->elem, ELEM[i]);
        if (r->off % SNAP_ALIGN || r->off < at || r->off > h->size ||
            (uint64_t)r->n * r->elem > h->size - r->off)
            return snap_fault(why, GH_E_RANGE, "section %s (%u elements at byte %llu) does not lie where it "
                              "must", SECTION_NAMES[i], r->n, (unsigned long long)r->off);
        at = r->off + (uint64_t)r->n * r->elem;
    }
    return 0;
}

uint64_t snap_checksum(struct str image)
{
    struct snap_header h;
    memcpy(&h, image.p, sizeof(h));
    h.checksum = 0;
    uint64_t sum = hash_bytes(&h, sizeof(h), h.generation);
    return hash_bytes(image.p + sizeof(h), image.n - sizeof(h), sum);
}

/* Looks at the bytes and fills *s; s->head stays NULL on failure. */
static int open_image(struct snap *s, const char *p, size_t size, struct buf *why)
{
    const struct snap_header *h = (const void *)p;
    int rc = check_head(h, size, why);
    if (!rc)
        rc = check_sections(h, why);
    if (!rc && snap_checksum(str_of(p, size)) != h->checksum)
        rc = snap_fault(why, GH_E_CHECKSUM, "the checksum does not fit the image");
    if (rc)
        return rc;
    s->size = size;
    s->refs = 1;
    s->head = h;
#define X(name, type)                                                                              \
    s->name = (const void *)(p + h->sections[SNAP_##name].off);                                    \
    s->n[SNAP_##name] = h->sections[SNAP_##name].n;
    SNAP_SECTIONS(X)
#undef X
    return snap_verify(s, why);
}

int snap_open_bytes(struct snap **out, struct str image, struct buf *why)
{
    struct snap *s = NULL;
    *out = NULL;
    if (image.n && (uintptr_t)image.p % _Alignof(struct snap_header))
        return snap_fault(why, GH_E_FORMAT, "the image is not aligned in memory");
    s = calloc(1, sizeof(*s));
    if (!s)
        return snap_fault(why, GH_E_NOMEM, "out of memory");
    int rc = open_image(s, image.p, image.n, why);
    if (rc) {
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* --- as a file ----------------------------------------------------------------------------------- */

/* Invariant 1, the part that only the descriptor knows. */
static int check_file(int fd, size_t *size, struct buf *why)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    struct stat st;
    int have = fcntl(fd, F_GET_SEALS);
    if (have < 0)
        return snap_fault(why, GH_E_UNSEALED, "the descriptor is no memory file that can be sealed");
    if ((have & seals) != seals)
        return snap_fault(why, GH_E_UNSEALED, "the image is not sealed (seals %#x)", (unsigned)have);
    if (fstat(fd, &st) != 0)
        return snap_fault(why, GH_E_SYSTEM, "the size of the image can't be read");
    if (st.st_size <= 0)
        return snap_fault(why, GH_E_TRUNCATED, "the image is empty");
    *size = (size_t)st.st_size;
    return 0;
}

int snap_open(struct snap **out, int fd, struct buf *why)
{
    struct snap *s = NULL;
    size_t size = 0;
    *out = NULL;
    int rc = check_file(fd, &size, why);
    if (rc)
        return rc;
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED)
        return snap_fault(why, GH_E_SYSTEM, "the image of %zu bytes can't be mapped", size);
    rc = snap_open_bytes(&s, str_of(p, size), why);
    if (rc) {
        munmap(p, size);
        return rc;
    }
    s->mapped = true;
    *out = s;
    return 0;
}

struct snap *snap_hold(struct snap *s)
{
    s->refs++;
    return s;
}

void snap_drop(struct snap *s)
{
    if (!s || --s->refs > 0)
        return;
    if (s->user_free)
        s->user_free(s->user);
    if (s->mapped)
        munmap((void *)(uintptr_t)s->head, s->size);
    free(s);
}

struct str snap_series_name(const struct snap *s, const struct snap_series *row)
{
    switch (row->what) {
    case SERIES_LISTENER: return snap_text(s, s->LISTENERS[row->index].name);
    case SERIES_RULE: return snap_text(s, s->RULES[row->index].name);
    default: return snap_text(s, s->CLUSTERS[row->index].name);
    }
}

void snap_sizes(const struct snap *s, struct buf *out)
{
    for (int i = 0; i < SNAP_SECTION_COUNT; i++) {
        const struct snap_section_row *r = &s->head->sections[i];
        if (r->n)
            buf_addf(out, "%-11s %9u x %3u = %11llu bytes\n", SECTION_NAMES[i], r->n, r->elem,
                     (unsigned long long)r->n * r->elem);
    }
    buf_addf(out, "%-11s %9s   %3s   %11zu bytes\n", "image", "", "", s->size);
}
