/*
 * The whole way: bytes of a YAML file to a snapshot. Whatever somebody writes, the build succeeds (findings are no
 * failure), the image passes the reader's verifier (build_run runs it), says what the model says, and the
 * state it leaves can be read by the next build, which makes the same image of the same file.
 */
#include "master/build.h"
#include "shared/snap/snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* A hash over the lines in order of their text: the image has its own order of hosts. */
static uint64_t lines_hash(const struct buf *text)
{
    struct str rest = buf_str(text), line, *v = calloc(text->n + 1, sizeof(*v));
    size_t n = 0;
    uint64_t h = 0;
    must(v);
    while (str_split(&rest, '\n', &line))
        v[n++] = line;
    qsort(v, n, sizeof(*v), by_text);
    for (size_t i = 0; i < n; i++)
        h = hash_mix(h, hash_str(v[i], 0));
    free(v);
    return h;
}

static void check(const struct build *b)
{
    struct snap *s = NULL;
    struct buf model = {0}, image = {0};
    must(snap_open_bytes(&s, buf_str(&b->snapshot), NULL) == 0);
    model_dump(&b->model, &model);
    snap_dump_model(s, &image);
    if (lines_hash(&model) != lines_hash(&image)) {
        fprintf(stderr, "--- model\n%s--- image\n%s", buf_cstr(&model), buf_cstr(&image));
        abort();
    }
    buf_fini(&model);
    buf_fini(&image);
    snap_drop(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    const char *paths[] = {path};
    struct build one, two;
    int fd = memfd_create("input", MFD_CLOEXEC); /* no name that somebody else could have */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    struct build_input in = {.paths = paths, .n_paths = 1, .generation = 1};
    must(build_run(&one, &in) == 0);
    check(&one);
    in.generation = 2;
    in.prev_state = buf_str(&one.state_out);
    must(build_run(&two, &in) == 0);
    must(build_content_hash(&one) == build_content_hash(&two));
    build_free(&two);
    build_free(&one);
    close(fd);
    return 0;
}
