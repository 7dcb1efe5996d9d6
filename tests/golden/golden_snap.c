/*
 * golden_snap.c - what a configuration becomes as a snapshot: for tests/golden/snap_run.
 *
 *   golden_snap DIR
 *
 * builds DIR/in, ends with an error when the image does not say what the model says, and prints where the matcher
 * looks for what (snap_dump_matcher). The model itself has golden files of its own.
 */
#include "master/build.h"
#include "shared/base/log.h"
#include "shared/snap/snap.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The lines in order of their text: the image has its own order of hosts. */
static struct buf sorted(const struct buf *text)
{
    struct buf out = {0};
    struct str rest = buf_str(text), line, *v = calloc(text->n + 1, sizeof(*v));
    size_t n = 0;
    while (v && str_split(&rest, '\n', &line))
        v[n++] = line;
    qsort(v, n, sizeof(*v), by_text);
    for (size_t i = 0; i < n; i++) {
        buf_adds(&out, v[i]);
        buf_addch(&out, '\n');
    }
    free(v);
    return out;
}

static void check_round_trip(const struct build *b, const struct snap *s)
{
    struct buf model = {0}, image = {0};
    model_dump(&b->model, &model);
    snap_dump_model(s, &image);
    struct buf x = sorted(&model), y = sorted(&image);
    if (!str_eq(buf_str(&x), buf_str(&y))) {
        fprintf(stderr, "the image does not say what the model says\n--- model\n%s--- image\n%s", buf_cstr(&model),
                buf_cstr(&image));
        exit(1);
    }
    buf_fini(&x);
    buf_fini(&y);
    buf_fini(&model);
    buf_fini(&image);
}

int main(int argc, char **argv)
{
    static const char *const paths[] = {"in"};
    struct build_input in = {.paths = paths, .n_paths = 1, .generation = 1};
    struct build b;
    struct snap *s = NULL;
    struct buf text = {0};
    if (argc != 2 || chdir(argv[1]) != 0)
        die("usage: golden_snap DIR");
    if (build_run(&b, &in) != 0 || snap_open_bytes(&s, buf_str(&b.snapshot), &b.why) != 0)
        die("%s: %s", argv[1], buf_cstr(&b.why));
    check_round_trip(&b, s);
    snap_dump_matcher(s, &text);
    fwrite(text.p, 1, text.n, stdout);
    buf_fini(&text);
    snap_drop(s);
    build_free(&b);
    return 0;
}
