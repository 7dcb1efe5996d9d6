/*
 * Model to snapshot: what is compiled passes the reader's verifier, says the same as the model, and is the
 * same bytes when compiled again.
 */
#include "tests/fuzz/model_gen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dice d = {data, size};
    struct sample s;
    struct buf a = {0}, b = {0}, again = {0};

    gen_model(&d, &s);
    struct snap *snap = sample_open(&s);
    model_dump(&s.m, &a);
    snap_dump_model(snap, &b);
    if (!str_eq(buf_str(&a), buf_str(&b))) {
        fprintf(stderr, "--- model\n%s--- snapshot\n%s", buf_cstr(&a), buf_cstr(&b));
        abort();
    }
    struct compile_input in = {.model = &s.m, .generation = 7, .now_wall_us = 1, .slot = sample_slot, .slot_ctx = &s};
    s.next_slot = 0;
    must(compile_bytes(&in, &again, NULL) == 0 && str_eq(buf_str(&again), buf_str(&s.image)));
    snap_dump_matcher(snap, &b);
    snap_drop(snap);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&again);
    sample_fini(&s);
    return 0;
}
