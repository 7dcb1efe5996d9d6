/*
 * F1, whole: the bytes of one file to judged objects, twice: as a first load, and as an edit of the corpus's usual
 * file, so that last good versions, duplicates and identities are in play. Oracles: memory is bounded by the
 * input; every document is listed or has a finding; every accepted object is found under its name; the state
 * image that comes out can be read.
 */
#include "master/store/load.h"
#include "shared/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_PER_BYTE 4096 /* a finding with path and hint for a key of four bytes */
#define MEMORY_BASE     (8u << 20)

static const char BEFORE[] =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: v\n---\n"
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: a\nspec:\n  rules:\n  - backendRefs:\n    - {name: s, port: 80}\n";

static void oom(void)
{
    fputs("out of memory\n", stderr);
    abort();
}

static void write_all(int fd, const void *p, size_t n)
{
    must(ftruncate(fd, 0) == 0);
    must(pwrite(fd, p, n, 0) == (ssize_t)n);
}

static void check_store(const struct store *st, const struct diags *ds)
{
    for (size_t i = 0; i < st->n_all; i++) {
        const struct object *o = st->all[i];
        must(o->kind && o->source && o->root);
        if (o->verdict == VERDICT_ACCEPTED)
            must(o->spec && store_get(st, o->kind->id, o->ns, o->name) == o);
        else if (o->verdict == VERDICT_REJECTED)
            must(!o->spec && ds->n > 0);
    }
}

static void load_once(int fd, struct str state_before, struct buf *state_after, size_t size)
{
    char path[64];
    const char *paths[] = {path};
    struct arena a;
    struct diags ds;
    struct store st;
    struct state state;
    struct load_stats stats;
    struct buf report = {0};
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    arena_init(&a, 0, oom);
    diags_init(&ds, &a);
    state_init(&state, &a);
    must(state_before.n == 0 || state_read(&state, state_before) == 0);
    struct load_input in = {.paths = paths, .n_paths = 1, .prev = &state};
    load_all(&st, &a, &ds, &in, &stats);
    diags_sort(&ds);
    check_store(&st, &ds);
    must(a.total < MEMORY_BASE + MEMORY_PER_BYTE * size);
    load_report_json(&st, &ds, &stats, &report);
    for (size_t i = 0; i < ds.n; i++)
        diag_text(&ds.v[i], &report);
    state_write(&state, state_after);
    buf_fini(&report);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first = {0}, second = {0}, third = {0};
    int fd = memfd_create("input", MFD_CLOEXEC);
    must(fd >= 0);
    write_all(fd, data, size);
    load_once(fd, STR_NONE, &first, size);
    write_all(fd, BEFORE, sizeof(BEFORE) - 1);
    load_once(fd, buf_str(&first), &second, sizeof(BEFORE) + first.n);
    write_all(fd, data, size);
    load_once(fd, buf_str(&second), &third, size + second.n);
    close(fd);
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&third);
    return 0;
}
