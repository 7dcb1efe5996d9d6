/*
 * build.c - see build.h: files -> objects -> model -> images.
 */
#include "master/build.h"
#include "master/status_image.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/log.h"
#include "shared/board/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define INSTANCE_FILE_MAX (1u << 20)

/* The compiler is a process of its own (or a command): running out of memory ends this attempt only. */
static void out_of_memory(void)
{
    die("out of memory while loading the configuration");
}

static bool read_file(struct arena *a, const char *path, struct str *text)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool ok = false;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        errno = EINVAL;
    } else if (st.st_size > INSTANCE_FILE_MAX) {
        errno = EFBIG;
    } else {
        char *p = arena_alloc(a, (size_t)st.st_size + 1);
        ssize_t n, got = 0;
        while (got < st.st_size && (n = read(fd, p + got, (size_t)(st.st_size - got))) > 0)
            got += n;
        *text = str_of(p, (size_t)got);
        ok = true;
    }
    int e = errno;
    close(fd);
    errno = e;
    return ok;
}

/* Settings of a broken file are not half applied: the defaults hold, and the finding says so. */
static void read_instance(struct build *b, const char *path)
{
    struct source *src = arena_new(&b->arena, struct source);
    struct instance in;
    instance_defaults(&b->instance);
    if (!path)
        return;
    src->path = arena_str(&b->arena, str_c(path));
    if (!read_file(&b->arena, path, &src->text)) {
        if (errno != ENOENT)
            diag_file(&b->diags, DIAG_FileUnreadable, src->path, 0, 0, "%s", strerror(errno));
        return;
    }
    instance_defaults(&in);
    if (instance_parse(&in, &b->arena, src, &b->diags))
        b->instance = in;
}

static void read_state(struct build *b, struct str image)
{
    state_init(&b->state, &b->arena);
    if (image.n == 0)
        return;
    int err = state_read(&b->state, image);
    if (err == 0)
        return;
    diag_file(&b->diags, DIAG_Internal, STR("state"), 0, 0,
              "the state of earlier loads is damaged (%s); identities and last good versions begin anew", err_text(err));
    state_init(&b->state, &b->arena);
}

static uint32_t place(void *ctx, const char *table, struct str key)
{
    static const struct { const char *table; uint32_t max; } limits[] = {
        {"series", BOARD_MAX_SLOTS - 1}, {"endpoint", BOARD_MAX_ENDPOINTS - 1}, {"dns", BOARD_MAX_DNS - 1}};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (strcmp(limits[i].table, table) == 0)
            return state_slot(ctx, table, key, limits[i].max);
    return 0;
}

static void lower_objects(struct build *b, const struct build_input *in, uint64_t now)
{
    struct lower l = {.arena = &b->arena, .store = &b->store, .model = &b->model, .diags = &b->diags, .instance = &b->instance,
                      .now_wall_us = now, .bind = in->bind, .bind_ctx = in->bind_ctx};
    model_init(&b->model, &b->arena);
    b->model.settings = b->instance.settings;
    lower_all(&l);
}

int build_run(struct build *b, const struct build_input *in)
{
    uint64_t now = clock_wall_us();
    memset(b, 0, sizeof(*b));
    arena_init(&b->arena, 1 << 20, out_of_memory);
    diags_init(&b->diags, &b->arena);
    read_instance(b, in->instance_file);
    read_state(b, in->prev_state);
    b->state.generation = in->generation;

    const char *conf_dir = arena_str(&b->arena, b->instance.conf_dir).p;
    struct load_input load = {.paths = in->paths, .n_paths = in->n_paths, .prev = &b->state, .lenient_paths = in->lenient_paths};
    if (in->n_paths == 0) {
        load.paths = &conf_dir;
        load.n_paths = 1;
    }
    load_all(&b->store, &b->arena, &b->diags, &load, &b->stats);
    lower_objects(b, in, now);
    const char *broken = model_check(&b->model);
    if (broken) {
        buf_addf(&b->why, "the model is not consistent: %s", broken);
        return GH_E_FORMAT;
    }
    struct compile_input c = {.model = &b->model, .generation = in->generation, .now_wall_us = now, .slot = place, .slot_ctx = &b->state};
    int err = compile_bytes(&c, &b->snapshot, &b->why);
    if (err)
        return err;
    load_keep_status(&b->store, &b->state);
    diags_sort(&b->diags);
    status_image_write(in->generation, &b->store, &b->model, &b->diags, &b->status);
    state_write(&b->state, &b->state_out);
    return b->status.oom || b->state_out.oom || b->snapshot.oom ? GH_E_NOMEM : 0;
}

void build_free(struct build *b)
{
    buf_fini(&b->snapshot);
    buf_fini(&b->status);
    buf_fini(&b->state_out);
    buf_fini(&b->why);
    arena_fini(&b->arena);
}
