/*
 * The KEYS image: any bytes with a mended head and checksum are refused or safe to ask; what the writer makes of any
 * keys is found again.
 */
#include "shared/base/hash.h"
#include "shared/tls/keys.h"

#include <stdlib.h>

#define KEYS_MAX 64

static void read_any(const uint8_t *data, size_t size)
{
    struct keys *k = NULL;
    struct buf why = {0};
    char *copy = malloc(size + 1); /* of exactly this size, for AddressSanitizer */
    must(copy);
    memcpy(copy, data, size);
    copy = realloc(copy, size ? size : 1);
    if (size >= sizeof(struct keys_header)) {
        struct keys_header h;
        memcpy(&h, copy, sizeof(h));
        h.magic = KEYS_MAGIC;
        h.version = KEYS_VERSION;
        h.size = size;
        h.checksum = 0;
        h.checksum = hash_bytes(copy + sizeof(h), size - sizeof(h), hash_bytes(&h, sizeof(h), h.generation));
        memcpy(copy, &h, sizeof(h));
    }
    int rc = keys_open_bytes(&k, str_of(copy, size), &why);
    must((rc == 0) == (k != NULL) && (rc == 0) == (why.n == 0));
    const struct keys_row *rows = (const void *)(copy + sizeof(struct keys_header));
    for (uint32_t i = 0; k && i < keys_count(k); i++) {
        struct str pem = keys_find(k, rows[i].id);
        must(pem.p && pem.p[pem.n] == '\0');
    }
    must(!k || !keys_find(k, 1).p || keys_count(k) > 0);
    keys_close(k);
    free(copy);
    buf_fini(&why);
}

static void write_any(const uint8_t *data, size_t size)
{
    struct keys_entry v[KEYS_MAX];
    struct keys *k = NULL;
    struct buf b = {0};
    size_t n = 0;
    for (size_t at = 0; at + 2 < size && n < KEYS_MAX; n++) {
        size_t len = GH_MIN(size - at - 2, (size_t)data[at + 1]);
        v[n] = (struct keys_entry){data[at] * 0x9e3779b97f4a7c15ull, str_of((const char *)data + at + 2, len)};
        at += 2 + len;
    }
    must(keys_bytes(v, n, size, &b) == 0);
    must(keys_open_bytes(&k, buf_str(&b), NULL) == 0);
    for (size_t i = 0; i < n; i++) {
        size_t first = 0;
        while (v[first].id != v[i].id)
            first++;
        must(str_eq(keys_find(k, v[i].id), v[first].pem));
    }
    keys_close(k);
    keys_wipe(&b);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        read_any(data + 1, size - 1);
    else
        write_any(data + 1, size - 1);
    return 0;
}
