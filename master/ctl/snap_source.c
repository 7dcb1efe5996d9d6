#include "master/ctl/snap_source.h"

#include <stdio.h>

#define SHOWN 3 /* findings that are quoted */

static bool open_directory(struct snap_source *s)
{
    struct build_input in = {.paths = &s->conf_dir, .n_paths = 1, .instance_file = s->instance_file, .generation = 1};
    struct buf text = {0};
    if (!in.instance_file)
        in.instance_file = SOURCE_INSTANCE_FILE; /* one that does not exist: defaults */
    int rc = build_run(&s->build, &in);
    for (size_t i = 0, n = 0; i < s->build.diags.n && n < SHOWN; i++) {
        if (s->build.diags.v[i].severity != DIAG_ERROR)
            continue;
        diag_text(&s->build.diags.v[i], &text);
        n++;
    }
    if (s->build.diags.n_errors > 0)
        fprintf(stderr, "%sgatehouse %s: %zu %s in %s; the answer is about the rest\n", buf_cstr(&text), s->verb,
                s->build.diags.n_errors, s->build.diags.n_errors == 1 ? "error" : "errors", s->conf_dir);
    buf_fini(&text);
    if (rc == 0)
        rc = snap_open_bytes(&s->snap, buf_str(&s->build.snapshot), &s->build.why);
    if (rc != 0)
        fprintf(stderr, "gatehouse %s: %s\n", s->verb, buf_cstr(&s->build.why));
    return rc == 0;
}

static bool open_running(struct snap_source *s)
{
    struct buf why = {0};
    struct ctl c = {.verb = s->verb, .run_dir = s->run_dir};
    int rc = client_get(ctl_run_dir(&c), "/snapshot", &s->image, &why);
    if (rc == 0)
        rc = snap_open_bytes(&s->snap, buf_str(&s->image), &why);
    if (rc != 0)
        fprintf(stderr, "gatehouse %s: %s%s\n", s->verb, buf_cstr(&why),
                s->run_dir ? "" : "; --conf-dir DIR asks a configuration without a running gateway");
    buf_fini(&why);
    return rc == 0;
}

bool source_open(struct snap_source *s)
{
    return s->conf_dir ? open_directory(s) : open_running(s);
}

void source_close(struct snap_source *s)
{
    snap_drop(s->snap);
    if (s->conf_dir)
        build_free(&s->build);
    buf_fini(&s->image);
}
