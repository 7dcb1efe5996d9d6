/*
 * load_test.h - a directory of files and loads of it, for the tests of this room.
 */
#ifndef GH_LOAD_TEST_H
#define GH_LOAD_TEST_H

#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"
#include "master/store/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct site {
    char dir[64];
    struct arena state_arena;
    struct buf image;          /* of the state between loads; n == 0 before the first */
    bool loaded;
    struct arena arena;        /* of the last load */
    struct diags diags;
    struct store store;
    struct state state;
    struct load_stats stats;
    bool (*vet)(void *site, const struct object *o, struct diags *ds); /* NULL = none */
    size_t n_vetted;
    struct buf out;
};

static GH_UNUSED void site_init(struct site *s)
{
    memset(s, 0, sizeof(*s));
    strcpy(s->dir, "/tmp/gh-load-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
}

static GH_UNUSED void site_path(const struct site *s, const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", s->dir, name);
}

/* Writes a file; makes the directories on the way. */
static GH_UNUSED void put_text(struct site *s, const char *name, struct str text)
{
    char path[512];
    site_path(s, name, path);
    for (char *slash = path + strlen(s->dir) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    if (!f)
        fail_msg("%s: %s", path, strerror(errno));
    assert_int_equal(fwrite(text.p ? text.p : "", 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0640), 0);
}

static GH_UNUSED void put(struct site *s, const char *name, const char *text)
{
    put_text(s, name, str_c(text));
}

static GH_UNUSED void site_remove(struct site *s, const char *name)
{
    char path[512];
    site_path(s, name, path);
    assert_int_equal(unlink(path), 0);
}

static GH_UNUSED void end_load(struct site *s)
{
    if (s->loaded)
        arena_fini(&s->arena);
    s->loaded = false;
}

/* Loads the directory with the state of the loads before, as the compiler does: through the image. */
static GH_UNUSED void load_with(struct site *s, const struct yaml_limits *limits, bool remember)
{
    end_load(s);
    arena_init(&s->arena, 0, test_oom);
    diags_init(&s->diags, &s->arena);
    state_init(&s->state, &s->arena);
    struct str image = arena_str(&s->arena, buf_str(&s->image));
    if (image.n > 0)
        assert_int_equal(state_read(&s->state, image), 0);
    const char *paths[] = {s->dir};
    struct load_input in = {.paths = paths, .n_paths = 1, .limits = limits, .prev = remember ? &s->state : NULL, .lenient_paths = true,
                            .vet = s->vet, .vet_ctx = s};
    s->n_vetted = 0;
    load_all(&s->store, &s->arena, &s->diags, &in, &s->stats);
    diags_sort(&s->diags);
    s->loaded = true;
    if (remember) {
        buf_clear(&s->image);
        state_write(&s->state, &s->image);
    }
}

static GH_UNUSED void load(struct site *s)
{
    load_with(s, NULL, true);
}

/* Findings, one line each, with the directory's name taken away. */
static GH_UNUSED const char *found(struct site *s)
{
    buf_clear(&s->out);
    size_t skip = strlen(s->dir) + 1;
    for (size_t i = 0; i < s->diags.n; i++) {
        struct diag d = s->diags.v[i];
        if (str_starts(d.file, str_c(s->dir)))
            d.file = d.file.n >= skip ? str_skip(d.file, skip) : STR(".");
        ptrdiff_t at = str_find(d.message, str_c(s->dir));
        if (at >= 0)
            d.message = arena_strf(&s->arena, STR_FMT STR_FMT, (int)at, d.message.p, (int)(d.message.n - (size_t)at - skip), d.message.p + at + skip);
        diag_text(&d, &s->out);
    }
    return buf_cstr(&s->out);
}

/* Objects: "Kind ns/name verdict[ stale]", in the order of the list. */
static GH_UNUSED const char *listed(struct site *s)
{
    static const char *const verdicts[] = {"accepted", "rejected", "unserved"};
    buf_clear(&s->out);
    for (size_t i = 0; i < s->store.n_all; i++) {
        const struct object *o = s->store.all[i];
        buf_addf(&s->out, STR_FMT " " STR_FMT "/" STR_FMT " %s%s\n", STR_ARG(o->kind_name), STR_ARG(o->ns), STR_ARG(o->name),
                 verdicts[o->verdict], o->stale ? " stale" : "");
    }
    return buf_cstr(&s->out);
}

static GH_UNUSED void site_fini(struct site *s)
{
    char command[256];
    end_load(s);
    buf_fini(&s->image);
    buf_fini(&s->out);
    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", s->dir, s->dir);
    assert_int_equal(system(command), 0);
}

#define CONFIG_MAP(name, value) "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " name "\ndata:\n  k: \"" value "\"\n"

#endif
