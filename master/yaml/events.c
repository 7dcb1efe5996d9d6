/* libyaml's events to build.c's calls. */
#include "master/yaml/front.h"
#include "shared/base/arena.h"

#include <yaml.h>

static struct place place_of(const struct front_text *t, const yaml_mark_t *m)
{
    return (struct place){t->first_line + (uint32_t)m->line, (uint32_t)m->column + 1};
}

static struct str copy_text(struct build *b, const yaml_char_t *text, size_t n)
{
    return arena_str(b->arena, str_of((const char *)text, n));
}

static struct str anchor_of(struct build *b, const yaml_char_t *anchor)
{
    return anchor ? copy_text(b, anchor, strlen((const char *)anchor)) : STR_NONE;
}

static bool refuse(struct build *b, struct place at, const char *hint, const char *text)
{
    struct diag *d = diag_file(b->diags, DIAG_Syntax, b->source->path, at.line, at.column, "%s", text);
    d->hint = str_c(hint);
    return false;
}

#define CORE_TAG "tag:yaml.org,2002:"

/* Only the tags of the core schema; *quoted says what !!str makes of a plain scalar. */
static bool check_tag(struct build *b, struct place at, const yaml_char_t *tag, const char *const *known,
                      bool *quoted)
{
    if (!tag)
        return true;
    struct str t = str_c((const char *)tag), core = STR(CORE_TAG);
    if (str_eqc(t, "!")) {
        *quoted = true;
        return true;
    }
    if (str_starts(t, core)) {
        t = str_skip(t, core.n);
        for (; *known; known++) {
            if (str_eqc(t, *known)) {
                *quoted |= str_eqc(t, "str") || str_eqc(t, "binary");
                return true;
            }
        }
    }
    return refuse(b, at, "write the value without a tag; text that begins with '!' needs quotes",
                  "this YAML tag is not supported here");
}

static bool on_scalar(struct build *b, const struct front_text *t, const yaml_event_t *e)
{
    static const char *const tags[] = {"str", "int", "float", "bool", "null", "binary", NULL};
    struct place at = place_of(t, &e->start_mark);
    bool quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!check_tag(b, at, e->data.scalar.tag, tags, &quoted))
        return false;
    struct str text = copy_text(b, e->data.scalar.value, e->data.scalar.length);
    if (memchr(text.p, '\0', text.n))
        return refuse(b, at, NULL, "a value must not hold a NUL character");
    if (build_wants_key(b)) {
        if (e->data.scalar.anchor)
            return refuse(b, at, NULL, "a key can't have an anchor");
        return build_key(b, text, at, !quoted);
    }
    return build_scalar(b, text, at, quoted ? BUILD_QUOTED : BUILD_PLAIN, anchor_of(b, e->data.scalar.anchor));
}

static bool on_open(struct build *b, const struct front_text *t, const yaml_event_t *e)
{
    static const char *const list_tags[] = {"seq", NULL}, *const map_tags[] = {"map", NULL};
    bool list = e->type == YAML_SEQUENCE_START_EVENT, quoted;
    struct place at = place_of(t, &e->start_mark);
    const yaml_char_t *tag = list ? e->data.sequence_start.tag : e->data.mapping_start.tag;
    const yaml_char_t *anchor = list ? e->data.sequence_start.anchor : e->data.mapping_start.anchor;
    bool flow = list ? e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE
                     : e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    if (build_wants_key(b))
        return refuse(b, at,
                      flow && !list ? "a template such as {{ ... }} must be rendered first; text with braces needs quotes"
                                    : NULL,
                      list ? "a list can't be a key" : "a map can't be a key");
    if (!check_tag(b, at, tag, list ? list_tags : map_tags, &quoted))
        return false;
    return build_open(b, list ? NODE_LIST : NODE_MAP, at, anchor_of(b, anchor));
}

static bool on_alias(struct build *b, const struct front_text *t, const yaml_event_t *e)
{
    struct place at = place_of(t, &e->start_mark);
    if (build_wants_key(b))
        return refuse(b, at, "text that begins with '*' needs quotes", "an alias can't be a key");
    const char *name = (const char *)e->data.alias.anchor;
    return build_alias(b, arena_str(b->arena, str_c(name)), at);
}

/* Second documents are cut off before libyaml sees them; only odd line breaks (CR alone, U+0085,
 * U+2028), which YAML counts as such and editors do not, can hide a marker. */
static bool on_document(struct build *b, const struct front_text *t, const yaml_event_t *e)
{
    if (!b->doc)
        return true;
    return refuse(b, place_of(t, &e->start_mark), "use LF or CRLF line ends",
                  "a second document begins here after an unusual line break");
}

static bool on_event(struct build *b, const struct front_text *t, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT: return on_scalar(b, t, e);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return on_open(b, t, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return build_close(b);
    case YAML_ALIAS_EVENT: return on_alias(b, t, e);
    case YAML_DOCUMENT_START_EVENT: return on_document(b, t, e);
    default: return true;
    }
}

bool events_read(struct build *b, struct front_text t)
{
    yaml_parser_t p;
    yaml_event_t e;
    bool ok = true, end = false;
    if (!yaml_parser_initialize(&p)) {
        diag_file(b->diags, DIAG_Internal, b->source->path, 0, 0, "out of memory");
        return false;
    }
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)t.text.p, t.text.n);
    while (ok && !end) {
        if (!yaml_parser_parse(&p, &e)) {
            syntax_tell(b, t, &p);
            ok = false;
            break;
        }
        end = e.type == YAML_STREAM_END_EVENT;
        ok = on_event(b, &t, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&p);
    return ok;
}
