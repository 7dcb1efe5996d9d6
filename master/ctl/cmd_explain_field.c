/*
 * cmd_explain_field.c - `gatehouse explain-field KIND[.path]`: what a field means, from the very tables
 * that decode and check it. With --markdown: a page of the reference.
 */
#include "master/ctl/ctl.h"
#include "master/instance.h"
#include "master/kinds/format.h"
#include "master/kinds/kinds.h"

#include <getopt.h>
#include <stdio.h>

/* What is being explained. */
struct topic {
    const char *kind, *api_version, *versions, *scope;
    const struct schema *schema; /* of the whole document; NULL = known, not served yet */
};

/* ---- finding --------------------------------------------------------------------------------------------- */

static void api_version(const struct kind_info *k, struct buf *out)
{
    struct str rest = str_c(k->versions), newest;
    str_split(&rest, ',', &newest);
    buf_addf(out, "%s%s" STR_FMT, k->group, k->group[0] ? "/" : "", STR_ARG(newest));
}

static bool find_topic(struct str word, struct topic *t, struct buf *api)
{
    if (str_ieq(word, STR("instance"))) {
        *t = (struct topic){"Instance", "gatehouse.dev/v1alpha1", "v1alpha1", "the file gatehouse.yaml", &SCHEMA_INSTANCE};
        return true;
    }
    const struct kind_info *k = kind_by_word(word);
    if (!k)
        return false;
    api_version(k, api);
    *t = (struct topic){k->kind, buf_cstr(api), k->versions,
                        k->scope == SCOPE_NAMESPACED ? "namespaced" : "of the whole instance", k->schema};
    return true;
}

/* Kinds may hold dots: "gateway.networking.istio.io.spec". The longest front that is a kind. */
static bool split_topic(struct str text, struct topic *t, struct buf *api, struct str *path)
{
    for (struct str kind = text;;) {
        if (find_topic(kind, t, api)) {
            *path = str_skip(text, kind.n);
            if (path->n)
                *path = str_skip(*path, 1);
            return true;
        }
        ptrdiff_t dot = str_rchr(kind, '.');
        if (dot <= 0)
            return false;
        kind = str_head(kind, (size_t)dot);
    }
}

/* The kind one of whose words is nearest to what was typed, or NULL. */
static const char *nearest_kind(struct str text)
{
    char lower[64];
    const char *near = NULL;
    unsigned best = 3;
    ptrdiff_t dot = str_chr(text, '.');
    struct str word = str_head(str_head(text, sizeof(lower)), dot < 0 ? text.n : (size_t)dot), one;
    for (size_t i = 0; i < word.n; i++)
        lower[i] = ascii_lower(word.p[i]);
    for (int i = 0; i < KIND_COUNT; i++)
        for (struct str rest = str_c(kind_info((enum kind_id)i)->plural); str_split(&rest, ',', &one);) {
            unsigned distance = one.n > 3 ? str_distance(str_of(lower, word.n), one, 2) : 3;
            if (distance < best) {
                best = distance;
                near = kind_info((enum kind_id)i)->kind;
            }
        }
    return near;
}

/* ---- words --------------------------------------------------------------------------------------------------- */

static const char *type_word(const struct field *f)
{
    static const char *const WORDS[] = {
        [FT_STR] = "string", [FT_STR_LIST] = "[]string", [FT_STR_MAP] = "map[string]string",
        [FT_BYTES_MAP] = "map[string]base64", [FT_BOOL] = "boolean", [FT_INT] = "integer", [FT_NUMBER] = "number",
        [FT_ENUM] = "enum", [FT_DURATION] = "duration", [FT_OBJECT] = "Object", [FT_LIST] = "[]Object",
        [FT_OBJECT_MAP] = "map[string]Object", [FT_INT_OR_STR] = "integer or string", [FT_INT_LIST] = "[]integer",
        [FT_TIME] = "time (RFC 3339)", [FT_NODE] = "any",
    };
    return f->type < ARRAY_LEN(WORDS) && WORDS[f->type] ? WORDS[f->type] : "any";
}

static bool shown(const struct field *f)
{
    return !(f->flags & FIELD_SILENT);
}

static void add_default(const struct field *f, struct buf *out)
{
    if (f->type == FT_STR && f->def_str) {
        buf_addf(out, "%s\"%s\"", out->n ? "; " : "", f->def_str);
        return;
    }
    if (!f->has_def)
        return;
    buf_addf(out, "%sdefault ", out->n ? "; " : "");
    if (f->type == FT_BOOL)
        buf_addc(out, f->def ? "true" : "false");
    else if (f->type == FT_DURATION && f->def % 1000 == 0)
        buf_addf(out, "%llds", (long long)(f->def / 1000));
    else if (f->type == FT_DURATION)
        buf_addf(out, "%lldms", (long long)f->def);
    else if (f->type == FT_ENUM) {
        for (const struct enum_row *e = f->enums; e && e->name; e++)
            if (e->v == f->def) {
                buf_addc(out, e->name);
                return;
            }
        buf_addc(out, "none");
    } else
        buf_addf(out, "%lld", (long long)f->def);
}

static void add_range(const struct field *f, struct buf *out)
{
    static const char *const UNITS[] = {
        [FT_STR] = " characters", [FT_STR_LIST] = " elements", [FT_LIST] = " elements", [FT_STR_MAP] = " entries",
        [FT_BYTES_MAP] = " entries", [FT_OBJECT_MAP] = " entries", [FT_DURATION] = " ms",
    };
    const char *unit = f->type < ARRAY_LEN(UNITS) && UNITS[f->type] ? UNITS[f->type] : "";
    const char *sep = out->n ? "; " : "";
    if (f->min == 0 && f->max == 0)
        return;
    if (f->max == 0)
        buf_addf(out, "%sat least %lld%s", sep, (long long)f->min, unit);
    else if (f->min == 0 && unit[0] && f->type != FT_DURATION)
        buf_addf(out, "%sat most %lld%s", sep, (long long)f->max, unit);
    else if (f->max == INT64_MAX || f->max == INT32_MAX || f->max == UINT32_MAX)
        buf_addf(out, "%s%lld or more%s", sep, (long long)f->min, unit);
    else
        buf_addf(out, "%s%lld to %lld%s", sep, (long long)f->min, (long long)f->max, unit);
}

/* "required; one of A, B; default A; not served yet" */
static void add_facts(const struct field *f, struct buf *out)
{
    static const struct { uint32_t flag; const char *text; } FLAGS[] = {
        {FIELD_REQUIRED, "required"},
        {FIELD_NONEMPTY, "not empty"},
        {FIELD_UNIQUE, "no element twice"},
        {FIELD_NOT_SERVED, "not served yet"},
        {FIELD_DEPRECATED, "deprecated"},
        {FIELD_IGNORED, "without effect"},
    };
    for (size_t i = 0; i < ARRAY_LEN(FLAGS); i++)
        if (f->flags & FLAGS[i].flag)
            buf_addf(out, "%s%s", out->n ? "; " : "", FLAGS[i].text);
    for (const struct enum_row *e = f->enums; e && e->name; e++)
        buf_addf(out, "%s%s", e == f->enums ? (out->n ? "; one of " : "one of ") : ", ", e->name);
    if (format_name(f->format) && f->type != FT_DURATION)
        buf_addf(out, "%s%s", out->n ? "; " : "", format_name(f->format));
    add_range(f, out);
    add_default(f, out);
}

/* `text` in lines of at most 96 columns, each with `indent` blanks in front. */
static void wrapped(const char *text, int indent)
{
    struct str rest = str_c(text), word;
    size_t column = 0;
    while (str_split(&rest, ' ', &word)) {
        if (column > 0 && column + 1 + word.n > 96) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)(column ? printf(" " STR_FMT, STR_ARG(word)) : printf("%*s" STR_FMT, indent, "", STR_ARG(word)));
    }
    putchar('\n');
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void print_fields(const struct schema *s, int indent, bool recursive)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct field *f = &s->fields[i];
        struct buf facts = {0};
        if (!shown(f))
            continue;
        add_facts(f, &facts);
        if (recursive) {
            printf("%*s%s\t<%s>%s%s\n", indent, "", f->name, type_word(f), facts.n ? " " : "", buf_cstr(&facts));
            if (f->sub)
                print_fields(f->sub, indent + 2, true);
        } else {
            printf("%*s%s <%s>%s%s%s\n", indent, "", f->name, type_word(f), facts.n ? " (" : "", buf_cstr(&facts),
                   facts.n ? ")" : "");
            wrapped(f->doc, indent + 4);
            putchar('\n');
        }
        buf_fini(&facts);
    }
}

static void print_topic(const struct topic *t, struct str path, const struct field *f, bool recursive)
{
    const struct schema *s = f ? f->sub : t->schema;
    printf("KIND:     %s\nVERSION:  %s\n", t->kind, t->api_version);
    if (f) {
        struct buf facts = {0};
        add_facts(f, &facts);
        printf("FIELD:    " STR_FMT " <%s>\n", STR_ARG(path), type_word(f));
        if (facts.n)
            printf("RULES:    %s\n", buf_cstr(&facts));
        buf_fini(&facts);
    }
    puts("\nDESCRIPTION:");
    wrapped(f ? f->doc : s->doc ? s->doc : "", 4);
    if (f && f->hint)
        wrapped(f->hint, 4);
    if (!s || s->n_fields == 0)
        return;
    if (f && s->doc && strcmp(s->doc, f->doc) != 0)
        wrapped(s->doc, 4);
    puts("\nFIELDS:");
    print_fields(s, 2, recursive);
}

/* ---- markdown ---------------------------------------------------------------------------------------------------- */

/* One sub struct of the kind, under the path where it stands first. */
struct section {
    const struct schema *schema;
    struct buf path;
};
struct sections {
    struct section v[128];
    size_t n;
};

static struct section *section_of(struct sections *all, const struct schema *s)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].schema == s)
            return &all->v[i];
    return NULL;
}

static void collect(struct sections *all, const struct schema *s, const char *path)
{
    if (section_of(all, s) || all->n == ARRAY_LEN(all->v))
        return;
    struct section *here = &all->v[all->n++];
    *here = (struct section){.schema = s};
    buf_addc(&here->path, path);
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct field *f = &s->fields[i];
        if (!f->sub || !shown(f))
            continue;
        struct buf below = {0};
        buf_addf(&below, "%s%s%s%s", path, path[0] ? "." : "", f->name,
                 f->type == FT_LIST ? "[]" : f->type == FT_OBJECT_MAP ? ".*" : "");
        collect(all, f->sub, buf_cstr(&below));
        buf_fini(&below);
    }
}

/* The name by which GitHub and others link a heading. */
static void print_anchor(const char *heading)
{
    for (; *heading; heading++)
        if (ascii_is_alpha(*heading) || ascii_is_digit(*heading) || *heading == '-' || *heading == '_')
            putchar(ascii_lower(*heading));
}

static void print_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '*' || *text == '<')
            putchar('\\');
        putchar(*text);
    }
}

static void markdown_field(struct sections *all, const struct field *f)
{
    struct buf facts = {0};
    add_facts(f, &facts);
    struct section *sub = f->sub ? section_of(all, f->sub) : NULL;
    printf("| `%s` | ", f->name);
    if (sub) {
        printf("[%s](#", type_word(f));
        print_anchor(buf_cstr(&sub->path));
        putchar(')');
    } else
        print_cell(type_word(f));
    fputs(" | ", stdout);
    print_cell(f->doc);
    if (f->hint) {
        fputs(" (", stdout);
        print_cell(f->hint);
        putchar(')');
    }
    fputs(" | ", stdout);
    print_cell(buf_cstr(&facts));
    puts(" |");
    buf_fini(&facts);
}

static void print_markdown(const struct topic *t)
{
    struct sections all = {.n = 0};
    printf("# %s\n\n", t->kind);
    printf("`apiVersion: %s`, `kind: %s`, %s. Versions: ", t->api_version, t->kind, t->scope);
    for (const char *p = t->versions; *p; p++)
        printf(*p == ',' ? ", " : "%c", *p);
    puts(".\n");
    printf("%s\n\nMade by `gatehouse explain-field --markdown` from the tables that decode and check the kind.\n",
           t->schema->doc ? t->schema->doc : "");
    collect(&all, t->schema, "");
    for (size_t i = 0; i < all.n; i++) {
        const struct schema *s = all.v[i].schema;
        if (all.v[i].path.n) {
            printf("\n## %s\n", buf_cstr(&all.v[i].path));
            if (s->doc)
                printf("\n%s\n", s->doc);
        }
        if (s->n_fields)
            puts("\n| Field | Type | Meaning | Rules |\n|---|---|---|---|");
        for (size_t k = 0; k < s->n_fields; k++)
            if (shown(&s->fields[k]))
                markdown_field(&all, &s->fields[k]);
    }
    for (size_t i = 0; i < all.n; i++)
        buf_fini(&all.v[i].path);
}

/* ---- the command ------------------------------------------------------------------------------------------------------ */

static void usage(FILE *to)
{
    fputs("usage: gatehouse explain-field KIND[.path] [--recursive] [--markdown]\n\n"
          "Says what a field means, which values it takes and what becomes of it when it is left out:\n"
          "    gatehouse explain-field httproute.spec.rules.matches\n"
          "    gatehouse explain-field vs.spec.http.retries\n"
          "    gatehouse explain-field gateway.networking.istio.io.spec.servers\n"
          "    gatehouse explain-field instance\n\n"
          "  -r, --recursive   only names and types, of all fields below\n"
          "  -m, --markdown    the whole kind as a page of the reference\n"
          "  -l, --list        the kinds\n"
          "  -h, --help\n",
          to);
}

static void print_kinds(void)
{
    for (int i = 0; i < KIND_COUNT; i++) {
        const struct kind_info *k = kind_info((enum kind_id)i);
        struct buf api = {0};
        api_version(k, &api);
        printf("%-24s %-36s %s%s\n", k->kind, buf_cstr(&api), k->plural, k->schema ? "" : "  (not served yet)");
        buf_fini(&api);
    }
}

static int explain(struct str text, bool recursive, bool markdown)
{
    struct topic t;
    struct buf api = {0};
    struct str path = STR_NONE;
    const struct field *f = NULL;
    int status = 1;
    if (!split_topic(text, &t, &api, &path)) {
        const char *near = nearest_kind(text);
        fprintf(stderr, "gatehouse: no kind is called \"" STR_FMT "\"", STR_ARG(text));
        fprintf(stderr, near ? "; did you mean %s?\n" : "; --list shows them\n", near);
        goto out;
    }
    if (!t.schema) {
        fprintf(stderr, "gatehouse: %s is known, but this release does not serve it yet\n", t.kind);
        goto out;
    }
    if (markdown) {
        print_markdown(&t);
        status = 0;
        goto out;
    }
    if (str_eqc(path, "metadata") || str_starts(path, STR("metadata."))) {
        t.schema = &SCHEMA_OBJECT_META;
        path = path.n > strlen("metadata") ? str_skip(path, strlen("metadata.")) : STR_NONE;
    }
    if (path.n) {
        struct buf name = {0};
        buf_adds(&name, path);
        f = schema_field(t.schema, buf_cstr(&name));
        buf_fini(&name);
        if (!f) {
            fprintf(stderr, "gatehouse: %s has no field \"" STR_FMT "\"\n", t.kind, STR_ARG(path));
            goto out;
        }
    }
    print_topic(&t, path, f, recursive);
    status = 0;
out:
    buf_fini(&api);
    return status;
}

int cmd_explain_field(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"recursive", no_argument, NULL, 'r'}, {"markdown", no_argument, NULL, 'm'}, {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},      {0},
    };
    bool recursive = false, markdown = false;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "rmlh", OPTIONS, NULL)) != -1;) {
        switch (c) {
        case 'r': recursive = true; break;
        case 'm': markdown = true; break;
        case 'l': print_kinds(); return 0;
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    }
    if (optind != argc - 1) {
        usage(stderr);
        return 2;
    }
    return explain(str_c(argv[optind]), recursive, markdown);
}
