#include "master/yaml/parse.h"
#include "master/yaml/front.h"
#include "shared/base/arena.h"
#include "shared/base/utf8.h"

const struct yaml_limits YAML_LIMITS_DEFAULT = {
    .max_file = 8u << 20,
    .max_total = 256u << 20,
    .max_documents = 100000,
    .max_nodes = 1000000,
    .max_all_nodes = 16000000,
    .max_aliases = 1000,
    .max_depth = 64,
};

/* ---- is it text at all? ---- */

static struct place place_of_byte(struct str text, size_t offset)
{
    struct place at = {1, 1};
    for (size_t i = 0; i < offset; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\n')
            at = (struct place){at.line + 1, 1};
        else if ((c & 0xc0) != 0x80)
            at.column++;
    }
    return at;
}

static bool refuse_byte(const struct source *src, struct diags *ds, size_t offset, const char *what, const char *hint)
{
    struct place at = place_of_byte(src->text, offset);
    diag_file(ds, DIAG_Encoding, src->path, at.line, at.column, "%s at byte %zu", what, offset)->hint = str_c(hint);
    return false;
}

static bool is_utf16(struct str s)
{
    return s.n >= 2 && (memcmp(s.p, "\xff\xfe", 2) == 0 || memcmp(s.p, "\xfe\xff", 2) == 0 ||
                        (s.n >= 4 && s.p[0] != 0 && s.p[1] == 0 && s.p[2] != 0 && s.p[3] == 0) ||
                        (s.n >= 4 && s.p[0] == 0 && s.p[1] != 0 && s.p[2] == 0 && s.p[3] != 0));
}

static bool check_encoding(const struct source *src, struct diags *ds)
{
    struct str s = src->text;
    const char *nul;
    size_t good;
    if (is_utf16(s))
        return refuse_byte(src, ds, 0, "UTF-16 text", "save the file as UTF-8");
    if (s.n > 0 && (nul = memchr(s.p, '\0', s.n)) != NULL)
        return refuse_byte(src, ds, (size_t)(nul - s.p), "a NUL byte", "is this a text file?");
    if ((good = utf8_valid_prefix(s)) < s.n)
        return refuse_byte(src, ds, good, "invalid UTF-8", "save the file as UTF-8");
    return true;
}

/* ---- cutting at markers ---- */

/* One document while it is being cut out. */
struct cutter {
    struct str rest;    /* not yet looked at */
    uint32_t line;      /* of the first line of rest */
};

static bool is_marker(struct str line, const char *marker)
{
    return line.n >= 3 && memcmp(line.p, marker, 3) == 0 &&
           (line.n == 3 || line.p[3] == ' ' || line.p[3] == '\t' || line.p[3] == '\r');
}

static bool says_nothing(struct str s)
{
    s = str_trim(s, " \t\r");
    return s.n == 0 || s.p[0] == '#';
}

/* No line but blank ones, comments and directives. *directive: there is one of those. */
static bool only_comments(struct str text, bool *directive)
{
    struct str line;
    *directive = false;
    while (str_split(&text, '\n', &line)) {
        if (line.n > 0 && line.p[0] == '%')
            *directive = true;
        else if (!says_nothing(line))
            return false;
    }
    return true;
}

/*
 * The next document: from here, or from the "---" line, up to the next marker. Directives (%YAML) belong to the
 * document behind their "---". False at the end of the file. An empty piece is a document without content.
 */
static bool cut(struct cutter *c, struct front_text *out)
{
    const char *from = c->rest.p, *end = from + c->rest.n, *at = from;
    uint32_t from_line = c->line, line_n = c->line;
    bool directive = false;
    if (c->rest.n == 0)
        return false;
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        const char *next = nl ? nl + 1 : end;
        struct str line = str_of(at, (size_t)((nl ? nl : end) - at));
        bool start = is_marker(line, "---"), stop = !start && is_marker(line, "...");
        if (start && (at == from || (only_comments(str_of(from, (size_t)(at - from)), &directive)))) {
            /* The marker this document begins with. What stands behind it belongs to the text. */
            if (!directive) {
                bool says = !says_nothing(str_skip(line, 3));
                from = says ? at : next;
                from_line = line_n + !says;
            }
        } else if (start || stop) {
            *out = (struct front_text){str_of(from, (size_t)(at - from)), from_line};
            c->rest = start ? str_of(at, (size_t)(end - at)) : str_of(next, (size_t)(end - next));
            c->line = line_n + stop;
            return true;
        }
        at = next;
        line_n++;
    }
    *out = (struct front_text){str_of(from, (size_t)(end - from)), from_line};
    c->rest.n = 0;
    return true;
}

/* ---- the entries ---- */

static bool read_document(struct build *b, struct front_text t)
{
    build_begin(b, true);
    if (quick_read(b, t))
        return true;
    build_begin(b, false);
    return events_read(b, t);
}

/* Ends the name-giving of the tree; NULL when there is none. */
static const struct node *finish(struct build *b)
{
    if (!b->doc)
        return NULL;
    node_document_name(b->doc);
    return &b->doc->root;
}

void yaml_parse(struct arena *a, const struct source *src, const struct yaml_limits *limits,
                struct diags *ds, struct yaml_documents *out)
{
    struct cutter c = {.rest = src->text, .line = 1};
    struct front_text t;
    struct build b;
    size_t pieces = 0;

    *out = (struct yaml_documents){0};
    if (src->text.n > limits->max_file) {
        diag_file(ds, DIAG_FileTooLarge, src->path, 0, 0, "%zu bytes, at most %zu are read of one file",
                  src->text.n, limits->max_file);
        out->broken = true;
        return;
    }
    if (!check_encoding(src, ds)) {
        out->broken = true;
        return;
    }
    if (str_starts(c.rest, STR("\xef\xbb\xbf")))
        c.rest = str_skip(c.rest, 3);
    build_init(&b, a, src, limits, ds);
    while (cut(&c, &t)) {
        if (pieces++ >= limits->max_documents) {
            diag_file(ds, DIAG_LimitExceeded, src->path, t.first_line, 1,
                      "more than %zu documents in one file; the rest is not read", limits->max_documents);
            out->broken = true;
            break;
        }
        bool good = read_document(&b, t);
        out->n_nodes += b.n_nodes;
        if (good && !b.doc)
            continue;
        *ARENA_PUSH(a, out) = (struct yaml_document){.root = good ? finish(&b) : NULL, .faulty = b.faulty,
                                                     .text = t.text, .first_line = t.first_line};
        out->broken |= !good;
    }
    build_fini(&b);
}

const struct node *yaml_parse_document(struct arena *a, const struct source *src, struct str text,
                                       uint32_t first_line, const struct yaml_limits *limits,
                                       struct diags *ds)
{
    struct build b;
    const struct node *root = NULL;
    build_init(&b, a, src, limits, ds);
    if (read_document(&b, (struct front_text){text, first_line}) && !b.faulty)
        root = finish(&b);
    build_fini(&b);
    return root;
}
