#include "master/ctl/diff.h"

struct diff_row *diff_add(struct diff *d, enum diff_section s, enum diff_how how, struct str title)
{
    struct diff_row *r = ARENA_PUSH(d->arena, &d->sections[s]);
    *r = (struct diff_row){.how = how, .title = title};
    return r;
}

struct diff_field *diff_add_field(struct diff *d, struct diff_row *r, struct str path, struct str old, struct str now)
{
    struct diff_field *f = ARENA_PUSH(d->arena, &r->fields);
    *f = (struct diff_field){path, old, now, false};
    return f;
}

bool diff_run(struct diff *d)
{
    if (!diff_objects(d))
        return false;
    diff_routes(d);
    return true;
}

bool diff_is_same(const struct diff *d)
{
    for (int i = 0; i < DIFF_SECTIONS; i++)
        if (d->sections[i].n)
            return false;
    return true;
}

/* --- for people ---------------------------------------------------------------------------------- */

static const char *const SECTION[] = {"objects", "routes", "backends", "settings"};

#define VALUE_MAX 80 /* bytes of an object's value that are shown */

static void value(struct str v, bool json, struct buf *out)
{
    buf_adds(out, json ? str_head(v, VALUE_MAX) : v);
    buf_addc(out, json && v.n > VALUE_MAX ? "...\n" : "\n");
}

static void field_text(const struct diff_row *r, const struct diff_field *f, struct buf *out)
{
    if (r->how == DIFF_ADDED || r->how == DIFF_REMOVED) {
        buf_addc(out, "      ");
        value(r->how == DIFF_ADDED ? f->now : f->old, f->json, out);
        return;
    }
    if (f->old.n == 0 || f->now.n == 0) {
        buf_addf(out, "      %c " STR_FMT ": ", f->old.n ? '-' : '+', STR_ARG(f->path));
        value(f->old.n ? f->old : f->now, f->json, out);
        return;
    }
    buf_addf(out, "      " STR_FMT ": ", STR_ARG(f->path));
    value(f->old, f->json, out);
    buf_addf(out, "      %*s -> ", (int)GH_MAX(f->path.n, 2u) - 2, "");
    value(f->now, f->json, out);
}

static void row_text(const struct diff_row *r, bool color, struct buf *out)
{
    static const char SIGN[] = "+-~~";
    static const char *const COLOR[] = {"\033[32m", "\033[31m", "\033[33m", "\033[33m"};
    buf_addf(out, "  %s%c " STR_FMT "%s%s\n", color ? COLOR[r->how] : "", SIGN[r->how], STR_ARG(r->title),
             r->how == DIFF_MOVED ? "  (order)" : "", color ? "\033[0m" : "");
    for (size_t i = 0; i < r->fields.n; i++)
        field_text(r, &r->fields.v[i], out);
}

void diff_text(const struct diff *d, bool color, struct buf *out)
{
    const char *comma = "";
    if (diff_is_same(d)) {
        buf_addc(out, "no difference\n");
        return;
    }
    for (int i = 0; i < DIFF_SECTIONS; i++) {
        if (d->sections[i].n == 0)
            continue;
        buf_addf(out, "%s%s%s\n", color ? "\033[1m" : "", SECTION[i], color ? "\033[0m" : "");
        for (size_t k = 0; k < d->sections[i].n; k++)
            row_text(&d->sections[i].v[k], color, out);
    }
    for (int i = 0; i < DIFF_SECTIONS; i++) {
        size_t n = d->sections[i].n;
        if (n == 0)
            continue;
        buf_addf(out, "%s%zu %.*s", comma, n, (int)strlen(SECTION[i]) - (n == 1), SECTION[i]);
        comma = ", ";
    }
    buf_addc(out, " would change\n");
}

/* --- for machines -------------------------------------------------------------------------------- */

static void optional(struct buf *out, const char *name, struct str v, bool json)
{
    buf_addf(out, ",\"%s\":", name);
    if (v.n == 0)
        buf_addc(out, "null");
    else if (json)
        buf_adds(out, v);
    else
        buf_json(out, v);
}

static void row_json(const struct diff_row *r, struct buf *out)
{
    static const char *const HOW[] = {"added", "removed", "changed", "moved"};
    buf_addf(out, "{\"change\":\"%s\"", HOW[r->how]);
    for (int i = 0; i < DIFF_MEMBERS && r->members[i].name; i++) {
        buf_addf(out, ",\"%s\":", r->members[i].name);
        buf_json(out, r->members[i].value);
    }
    buf_addc(out, ",\"fields\":[");
    for (size_t i = 0; i < r->fields.n; i++) {
        buf_addf(out, "%s{\"path\":", i ? "," : "");
        buf_json(out, r->fields.v[i].path);
        optional(out, "old", r->fields.v[i].old, r->fields.v[i].json);
        optional(out, "new", r->fields.v[i].now, r->fields.v[i].json);
        buf_addch(out, '}');
    }
    buf_addc(out, "]}");
}

void diff_json(const struct diff *d, struct buf *out)
{
    buf_addf(out, "{\"same\":%s", diff_is_same(d) ? "true" : "false");
    for (int i = 0; i < DIFF_SECTIONS; i++) {
        buf_addf(out, ",\"%s\":[", SECTION[i]);
        for (size_t k = 0; k < d->sections[i].n; k++) {
            buf_addc(out, k ? ",\n" : "");
            row_json(&d->sections[i].v[k], out);
        }
        buf_addch(out, ']');
    }
    buf_addc(out, "}\n");
}
