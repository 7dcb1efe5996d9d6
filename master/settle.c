#include "master/settle.h"

static void note(struct settle *s, uint64_t now_ms)
{
    if (!s->dirty) {
        s->dirty = true;
        s->first_ms = now_ms;
    }
    s->last_ms = now_ms;
}

static void note_file(struct settle *s, uint64_t file, uint64_t now_ms)
{
    note(s, now_ms);
    if (!s->one)
        s->one = file;
    s->several |= s->one != file;
}

void settle_event(struct settle *s, uint64_t now_ms)
{
    note(s, now_ms);
    s->several = true;
}

void settle_renamed_from(struct settle *s, uint64_t now_ms)
{
    note(s, now_ms);
}

static struct settle_file *find(struct settle *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_files; i++)
        if (s->files[i].id == id)
            return &s->files[i];
    return NULL;
}

/* The entry of a file, made when missing; NULL when there is no room. */
static struct settle_file *entry(struct settle *s, uint64_t id)
{
    struct settle_file *f = find(s, id);
    if (!f && s->n_files < SETTLE_FILES) {
        f = &s->files[s->n_files++];
        f->id = id;
    }
    return f;
}

void settle_writing(struct settle *s, uint64_t file, uint64_t now_ms)
{
    struct settle_file *f = entry(s, file);
    note_file(s, file, now_ms);
    if (f)
        f->gone_ms = 0;
    else
        s->many_writers = true;
}

static void complete(struct settle *s, uint64_t file, bool closed, uint64_t now_ms)
{
    struct settle_file *f = find(s, file);
    note_file(s, file, now_ms);
    s->closed = closed;
    if (f)
        *f = s->files[--s->n_files];
}

void settle_closed(struct settle *s, uint64_t file, uint64_t now_ms)
{
    complete(s, file, true, now_ms);
}

void settle_renamed(struct settle *s, uint64_t file, uint64_t now_ms)
{
    complete(s, file, false, now_ms);
}

void settle_vanished(struct settle *s, uint64_t file, uint64_t now_ms)
{
    struct settle_file *f = entry(s, file);
    settle_event(s, now_ms);
    if (f)
        f->gone_ms = now_ms ? now_ms : 1;
}

static uint64_t quiet_ms(const struct settle *s)
{
    bool calm = !s->before_ms || s->first_ms - s->before_ms >= SETTLE_CALM_MS;
    if (s->several || !s->one || !calm)
        return SETTLE_QUIET_MS;
    return s->closed ? SETTLE_CLOSED_MS : SETTLE_RENAMED_MS;
}

uint64_t settle_due_ms(const struct settle *s)
{
    if (!s->dirty)
        return UINT64_MAX;
    bool writing = s->many_writers;
    uint64_t quiet = s->last_ms + quiet_ms(s);
    for (size_t i = 0; i < s->n_files; i++) {
        writing |= s->files[i].gone_ms == 0;
        if (s->files[i].gone_ms)
            quiet = GH_MAX(quiet, s->files[i].gone_ms + SETTLE_GONE_MS);
    }
    if (writing)
        return GH_MIN(s->last_ms + SETTLE_WRITING_QUIET_MS, s->first_ms + SETTLE_WRITING_MAX_MS);
    return GH_MIN(quiet, s->first_ms + SETTLE_MAX_MS);
}

void settle_clear(struct settle *s)
{
    *s = (struct settle){.before_ms = s->dirty ? s->last_ms : s->before_ms};
}
