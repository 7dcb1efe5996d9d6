/*
 * build.c - load, lower, check, compile; see build.h.
 *
 *   instance file ─► instance ──────────┐
 *   STATE (last) ──► state ─┐           │
 *   conf.d ────────► store ─┴─► lower ──┴─► model ─► check ─► image ─► verified by the reader's own code
 *                      │          │                             │
 *                      └──────────┴────► STATUS                 └─ places on the board ─► STATE (next)
 *
 * The reader's verifier runs over every image that is made here: a fault of the compiler costs this attempt, with a
 * sentence, and is never seen by a worker.
 */
#include "master/build.h"
#include "master/lower/credential.h"
#include "master/status_image.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/log.h"
#include "shared/board/board.h"
#include "shared/snap/snap.h"
#include "shared/tls/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define INSTANCE_FILE_MAX ((off_t)1 << 20)
#define INSTANCE_GROUP    "gatehouse.dev"
#define INSTANCE_KIND     "Instance"

/* The compiler is a process of its own, or a command: this attempt ends, nothing else. */
static void out_of_memory(void)
{
    die("out of memory while building the configuration");
}

static int fail(struct build *b, int code, const char *fmt, ...) GH_PRINTF(3, 4);
static int fail(struct build *b, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b->why, fmt, ap);
    va_end(ap);
    return code;
}

/* --- the instance file --------------------------------------------------------------------------- */

/* False with errno. */
static bool read_text(struct build *b, const char *path, struct str *text)
{
    struct stat st;
    size_t n = 0, size;
    int fault = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) != 0)
        fault = errno;
    else if (!S_ISREG(st.st_mode) || st.st_size > INSTANCE_FILE_MAX)
        fault = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
    size = fault ? 0 : (size_t)st.st_size;
    char *p = arena_alloc(&b->arena, size + 1);
    while (n < size) {
        ssize_t got = read(fd, p + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fault = got < 0 ? errno : 0;
            break;
        }
        n += (size_t)got;
    }
    close(fd);
    errno = fault;
    *text = str_of(p, n);
    return fault == 0;
}

static struct source *source_of(struct build *b, const char *path, struct str text)
{
    struct source *src = arena_new(&b->arena, struct source);
    *src = (struct source){.path = arena_str(&b->arena, str_c(path)), .text = text};
    return src;
}

static struct state_object *kept_instance(const struct build *b)
{
    return state_find(&b->state, STR(INSTANCE_GROUP), STR(INSTANCE_KIND), STR_NONE, STR("gatehouse"));
}

/* The next load's last good version. */
static void keep_instance(struct build *b, const char *path, struct str text)
{
    struct state_object *o = arena_new(&b->arena, struct state_object);
    *o = (struct state_object){.kind_group = STR(INSTANCE_GROUP), .kind = STR(INSTANCE_KIND), .name = STR("gatehouse"),
                               .file = arena_str(&b->arena, str_c(path)), .line = 1, .text = text};
    map_put(&b->state.objects, state_key(&b->arena, o), o);
}

/* A broken instance file is treated as a broken object is: its last good version holds. *text is what holds. */
static int read_instance(struct build *b, const char *path, struct str *text)
{
    const struct state_object *was = kept_instance(b);
    struct diags unheard;
    instance_defaults(&b->instance);
    if (!path)
        return 0;
    bool there = read_text(b, path, text);
    if (!there && errno == ENOENT)
        return 0;
    if (!there)
        diag_file(&b->diags, DIAG_FileUnreadable, arena_str(&b->arena, str_c(path)), 0, 0, "%s", strerror(errno));
    else if (instance_parse(&b->instance, &b->arena, source_of(b, path, *text), &b->diags))
        return 0;
    diags_init(&unheard, &b->arena);
    instance_defaults(&b->instance);
    if (!was || !instance_parse(&b->instance, &b->arena, source_of(b, path, was->text), &unheard))
        return fail(b, GH_E_REFUSED, "the settings in %s can't be used, and no earlier version of them is known", path);
    *text = was->text;
    diag_file(&b->diags, DIAG_Stale, arena_str(&b->arena, str_c(path)), 0, 0,
              "the last good version of the settings holds until this is mended");
    return 0;
}

/* --- steps --------------------------------------------------------------------------------------- */

static void read_state(struct build *b, const struct build_input *in)
{
    state_init(&b->state, &b->arena);
    int rc = in->prev_state.n ? state_read(&b->state, in->prev_state) : 0;
    if (rc != 0) {
        state_init(&b->state, &b->arena);
        diag_file(&b->diags, DIAG_Internal, STR("(state)"), 0, 0,
                  "the state of earlier loads can't be used (%s): no last good versions, new identities",
                  err_text(rc))->severity = DIAG_WARNING;
    }
    b->state.generation = in->generation;
}

static void load(struct build *b, const struct build_input *in, const char *instance_file, struct str instance_text)
{
    const char *conf_dir = arena_str(&b->arena, b->instance.conf_dir).p;
    struct load_input li = {.paths = in->n_paths ? in->paths : &conf_dir, .n_paths = in->n_paths ? in->n_paths : 1,
                            .prev = &b->state, .lenient_paths = in->lenient_paths, .vet = credentials_vet,
                            .vet_ctx = b->credentials};
    load_all(&b->store, &b->arena, &b->diags, &li, &b->stats);
    if (instance_text.n)
        keep_instance(b, instance_file, instance_text);
}

static int lower(struct build *b, const struct build_input *in)
{
    struct lower l = {.arena = &b->arena, .store = &b->store, .model = &b->model, .diags = &b->diags,
                      .instance = &b->instance, .credentials = b->credentials, .now_wall_us = clock_wall_us(),
                      .bind = in->bind, .bind_ctx = in->bind_ctx, .outside = &b->outside};
    model_init(&b->model, &b->arena);
    b->model.settings = b->instance.settings;
    lower_all(&l);
    const char *fault = model_check(&b->model);
    return fault ? fail(b, GH_E_FORMAT, "a fault of gatehouse: the model is broken: %s", fault) : 0;
}

/* Listeners, rules and clusters share one row of places: what a series is about is part of its key. */
static uint32_t place(void *ctx, const char *table, struct str key)
{
    struct build *b = ctx;
    if (!strcmp(table, "endpoint"))
        return state_slot(&b->state, table, key, BOARD_MAX_ENDPOINTS - 1);
    if (!strcmp(table, "dns"))
        return state_slot(&b->state, table, key, BOARD_MAX_DNS - 1);
    char text[1024];
    struct buf big = {0};
    size_t n = strlen(table) + 1 + key.n;
    if (n < sizeof(text)) {
        memcpy(text, table, strlen(table));
        text[strlen(table)] = '/';
        memcpy(text + strlen(table) + 1, key.p, key.n);
        return state_slot(&b->state, "series", str_of(text, n), BOARD_MAX_SLOTS - 1);
    }
    buf_addf(&big, "%s/" STR_FMT, table, STR_ARG(key));
    uint32_t slot = state_slot(&b->state, "series", buf_str(&big), BOARD_MAX_SLOTS - 1);
    buf_fini(&big);
    return slot;
}

static int compile(struct build *b, const struct build_input *in)
{
    struct compile_input ci = {.model = &b->model, .generation = in->generation, .now_wall_us = clock_wall_us(),
                               .slot = place, .slot_ctx = b};
    int rc = compile_bytes(&ci, &b->snapshot, &b->why);
    if (rc != 0)
        return rc;
    struct buf fault = {0};
    rc = snap_open_bytes(&b->made, buf_str(&b->snapshot), &fault);
    if (rc != 0)
        fail(b, rc, "a fault of gatehouse: the snapshot is broken: %s", buf_cstr(&fault));
    buf_fini(&fault);
    return rc;
}

static int write_keys(struct build *b, const struct build_input *in)
{
    int rc = in->want_keys ? compile_keys(&b->model, in->generation, &b->keys) : 0;
    if (rc != 0)
        return fail(b, rc, rc == GH_E_LIMIT ? "there are too many private keys" : "no memory for the image of keys");
    return 0;
}

static void forget_images(struct build *b)
{
    snap_drop(b->made);
    b->made = NULL;
    buf_clear(&b->snapshot);
    buf_clear(&b->status);
    buf_clear(&b->state_out);
    keys_wipe(&b->keys);
}

int build_images(struct build *b, const struct build_input *in)
{
    struct str text = STR("");
    *b = (struct build){0};
    arena_init(&b->arena, (size_t)1 << 20, out_of_memory); /* in small pages: see HACKING.md */
    diags_init(&b->diags, &b->arena);
    read_state(b, in);
    outside_init(&b->outside, &b->arena, in->outside_root, &b->state);
    int rc = read_instance(b, in->instance_file, &text);
    if (rc == 0) {
        b->credentials = credentials_new(&b->arena, clock_wall_us());
        load(b, in, in->instance_file, text);
        rc = lower(b, in);
    }
    diags_sort(&b->diags);
    if (rc == 0)
        rc = compile(b, in);
    if (rc == 0)
        rc = write_keys(b, in);
    if (rc != 0)
        forget_images(b);
    return rc;
}

int build_records(struct build *b)
{
    status_image_write(b->made, &b->store, &b->model, &b->diags, &b->stats, &b->status);
    snap_drop(b->made);
    b->made = NULL;
    load_keep_status(&b->store, &b->state);
    outside_remember(&b->outside, &b->state);
    state_write(&b->state, &b->state_out);
    if (!b->status.oom && !b->state_out.oom)
        return 0;
    forget_images(b);
    return fail(b, GH_E_NOMEM, "no memory for the status and state images");
}

int build_run(struct build *b, const struct build_input *in)
{
    int rc = build_images(b, in);
    return rc == 0 ? build_records(b) : rc;
}

void build_free(struct build *b)
{
    snap_drop(b->made);
    buf_fini(&b->snapshot);
    buf_fini(&b->status);
    buf_fini(&b->state_out);
    keys_wipe(&b->keys);
    buf_fini(&b->keys);
    buf_fini(&b->why);
    arena_fini(&b->arena);
}

uint64_t build_content_hash(const struct build *b)
{
    struct snap_header h;
    if (b->snapshot.n < sizeof(h))
        return 0;
    memcpy(&h, b->snapshot.p, sizeof(h));
    return h.content_hash;
}
