#include "shared/tls/keys.h"
#include "shared/base/err.h"
#include "shared/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct keys_header) == 64 && sizeof(struct keys_row) == 16, "the format");

struct keys {
    const struct keys_header *head;
    const struct keys_row *rows;
    size_t size;
    int lock_error;
    bool mapped;
};

/* ---- reading ---- */

static int fault(struct buf *why, int code, const char *fmt, ...) GH_PRINTF(3, 4);
static int fault(struct buf *why, int code, const char *fmt, ...)
{
    if (why) {
        va_list ap;
        va_start(ap, fmt);
        buf_vaddf(why, fmt, ap);
        va_end(ap);
    }
    return code;
}

static uint64_t checksum(const char *p, size_t size)
{
    struct keys_header h;
    memcpy(&h, p, sizeof(h));
    h.checksum = 0;
    return hash_bytes(p + sizeof(h), size - sizeof(h), hash_bytes(&h, sizeof(h), h.generation));
}

static int check_head(const char *p, size_t size, struct buf *why)
{
    const struct keys_header *h = (const void *)p;
    if (size < sizeof(*h))
        return fault(why, GH_E_TRUNCATED, "the image of keys has %zu bytes", size);
    if (h->magic != KEYS_MAGIC)
        return fault(why, GH_E_FORMAT, "the image of keys does not begin as one does");
    if (h->version != KEYS_VERSION)
        return fault(why, GH_E_VERSION, "the image of keys has version %u, this build reads version %u", h->version,
                     KEYS_VERSION);
    if (h->size != size)
        return fault(why, GH_E_TRUNCATED, "the image of keys says it has %llu bytes, it has %zu",
                     (unsigned long long)h->size, size);
    if (h->n > (size - sizeof(*h)) / sizeof(struct keys_row))
        return fault(why, GH_E_RANGE, "the image of keys has no room for %u keys", h->n);
    return checksum(p, size) == h->checksum ? 0 : fault(why, GH_E_CHECKSUM, "the checksum of the keys does not fit");
}

static int check_rows(const char *p, size_t size, struct buf *why)
{
    const struct keys_header *h = (const void *)p;
    const struct keys_row *rows = (const void *)(p + sizeof(*h));
    size_t first = sizeof(*h) + (size_t)h->n * sizeof(*rows);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct keys_row *r = &rows[i];
        if (i > 0 && rows[i - 1].id >= r->id)
            return fault(why, GH_E_RANGE, "keys %u and %u are not ordered", i - 1, i);
        if (r->off < first || r->off >= size || r->len >= size - r->off)
            return fault(why, GH_E_RANGE, "key %u does not lie in the image", i);
        if (p[r->off + r->len] != '\0')
            return fault(why, GH_E_FORMAT, "key %u has no NUL behind it", i);
    }
    return 0;
}

int keys_open_bytes(struct keys **out, struct str image, struct buf *why)
{
    *out = NULL;
    if (image.n && (uintptr_t)image.p % _Alignof(struct keys_header))
        return fault(why, GH_E_FORMAT, "the image of keys is not aligned in memory");
    int rc = check_head(image.p, image.n, why);
    if (rc == 0)
        rc = check_rows(image.p, image.n, why);
    if (rc != 0)
        return rc;
    struct keys *k = calloc(1, sizeof(*k));
    if (!k)
        return fault(why, GH_E_NOMEM, "out of memory");
    *k = (struct keys){.head = (const void *)image.p, .rows = (const void *)(image.p + sizeof(struct keys_header)),
                       .size = image.n};
    *out = k;
    return 0;
}

static int check_file(int fd, size_t *size, struct buf *why)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    struct stat st;
    int have = fcntl(fd, F_GET_SEALS);
    if (have < 0 || (have & seals) != seals)
        return fault(why, GH_E_UNSEALED, "the image of keys is not sealed");
    if (fstat(fd, &st) != 0)
        return fault(why, GH_E_SYSTEM, "the size of the image of keys can't be read");
    if (st.st_size <= 0 || (uint64_t)st.st_size > KEYS_IMAGE_MAX)
        return fault(why, GH_E_LIMIT, "the image of keys has %lld bytes", (long long)st.st_size);
    *size = (size_t)st.st_size;
    return 0;
}

int keys_open(struct keys **out, int fd, struct buf *why)
{
    size_t size = 0;
    *out = NULL;
    int rc = check_file(fd, &size, why);
    if (rc != 0)
        return rc;
    int lock_error = 0;
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_LOCKED, fd, 0); /* mlock would be one call more to allow */
    if (p == MAP_FAILED) {
        lock_error = errno;
        p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (p == MAP_FAILED)
        return fault(why, GH_E_SYSTEM, "the image of keys can't be mapped: %s", strerror(errno));
    madvise(p, size, MADV_DONTDUMP);
    rc = keys_open_bytes(out, str_of(p, size), why);
    if (rc != 0) {
        munmap(p, size);
        return rc;
    }
    (*out)->mapped = true;
    (*out)->lock_error = lock_error;
    return 0;
}

int keys_peek(int fd, uint64_t *generation)
{
    struct keys_header h;
    size_t size = 0;
    int rc = check_file(fd, &size, NULL);
    if (rc != 0)
        return rc;
    if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
        return GH_E_TRUNCATED;
    if (h.magic != KEYS_MAGIC || h.size != size)
        return GH_E_FORMAT;
    *generation = h.generation;
    return h.version == KEYS_VERSION ? 0 : GH_E_VERSION;
}

void keys_close(struct keys *k)
{
    if (!k)
        return;
    if (k->mapped)
        munmap((void *)(uintptr_t)k->head, k->size);
    free(k);
}

uint64_t keys_generation(const struct keys *k)
{
    return k->head->generation;
}

uint32_t keys_count(const struct keys *k)
{
    return k->head->n;
}

int keys_lock_error(const struct keys *k)
{
    return k->lock_error;
}

struct str keys_find(const struct keys *k, uint64_t id)
{
    uint32_t lo = 0, hi = k->head->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (k->rows[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == k->head->n || k->rows[lo].id != id)
        return STR_NONE;
    return str_of((const char *)k->head + k->rows[lo].off, k->rows[lo].len);
}

/* ---- writing ---- */

static int by_id(const void *a, const void *b)
{
    const struct keys_entry *x = *(const struct keys_entry *const *)a, *y = *(const struct keys_entry *const *)b;
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x > y) - (x < y);
}

/* Pointers to the entries by id, each id once; *size is what the image will have. */
static const struct keys_entry **ordered(const struct keys_entry *v, size_t n, size_t *n_out, size_t *size)
{
    const struct keys_entry **order = calloc(n + 1, sizeof(*order));
    size_t kept = 0;
    for (size_t i = 0; order && i < n; i++)
        order[i] = &v[i];
    if (!order)
        return NULL;
    qsort(order, n, sizeof(*order), by_id);
    *size = sizeof(struct keys_header);
    for (size_t i = 0; i < n; i++) {
        if (kept && order[kept - 1]->id == order[i]->id)
            continue;
        order[kept++] = order[i];
        *size += sizeof(struct keys_row) + order[i]->pem.n + 1;
    }
    *n_out = kept;
    return order;
}

static void write_image(const struct keys_entry *const *order, size_t n, size_t size, uint64_t generation, char *p)
{
    struct keys_header h = {.magic = KEYS_MAGIC, .version = KEYS_VERSION, .n = (uint32_t)n, .size = size,
                            .generation = generation};
    size_t at = sizeof(h) + n * sizeof(struct keys_row);
    memset(p, 0, size);
    for (size_t i = 0; i < n; i++) {
        struct keys_row row = {order[i]->id, (uint32_t)at, (uint32_t)order[i]->pem.n};
        memcpy(p + sizeof(h) + i * sizeof(row), &row, sizeof(row));
        if (order[i]->pem.n)
            memcpy(p + at, order[i]->pem.p, order[i]->pem.n);
        at += order[i]->pem.n + 1;
    }
    memcpy(p, &h, sizeof(h));
    h.checksum = checksum(p, size);
    memcpy(p, &h, sizeof(h));
}

int keys_bytes(const struct keys_entry *v, size_t n, uint64_t generation, struct buf *out)
{
    size_t kept = 0, size = 0;
    must(out->cap == 0);
    const struct keys_entry **order = ordered(v, n, &kept, &size);
    int rc = order ? 0 : GH_E_NOMEM;
    if (rc == 0 && size > KEYS_IMAGE_MAX)
        rc = GH_E_LIMIT;
    if (rc == 0 && !buf_reserve(out, size))
        rc = GH_E_NOMEM;
    if (rc == 0) {
        write_image(order, kept, size, generation, out->p);
        out->n = size;
    }
    free(order);
    return rc;
}

void keys_wipe(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->cap);
    b->n = 0;
}
