/*
 * The state image, with and without a right checksum. Oracle: what can be read is written again as the same bytes.
 */
#include "master/store/state.h"
#include "shared/base/arena.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void oom(void)
{
    fputs("out of memory\n", stderr);
    abort();
}

static void read_image(struct str image)
{
    struct arena a;
    struct state st;
    struct buf again = {0};
    arena_init(&a, 0, oom);
    state_init(&st, &a);
    if (state_read(&st, image) == 0) {
        state_write(&st, &again);
        must(again.n == image.n && memcmp(again.p, image.p, image.n) == 0);
        state_slot(&st, "series", STR("rule/x"), 100);
    } else {
        must(st.objects.n == 0 && st.slots.n == 0);
    }
    must(a.total < (1u << 20) + 256 * image.n);
    buf_fini(&again);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = {0};
    read_image(str_of((const char *)data, size));
    if (size < 16)
        return 0;
    buf_add(&b, data, size);
    memcpy(b.p, "GHSTATE1", 8);
    uint64_t sum = state_checksum(str_of(b.p, b.n));
    memcpy(b.p + 8, &sum, 8);
    read_image(buf_str(&b));
    buf_fini(&b);
    return 0;
}
