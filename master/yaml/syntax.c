/*
 * What libyaml's errors mean to a person.
 *
 * libyaml says which rule of the grammar was hurt, at the place where it noticed. Nearly always the slip is one
 * of a dozen, and the text around the place tells which: a row of SLIPS gives libyaml's words, and a
 * function that looks at the text and decides what to say, and where. Whatever has no row is told in libyaml's
 * own words.
 */
#include "master/yaml/front.h"
#include "shared/base/arena.h"

#include <yaml.h>

struct spot {
    size_t line, column; /* in the document's text, from 0; columns are characters */
};

struct slip {
    struct arena *arena;
    struct str text;
    uint32_t first_line;
    struct spot at;      /* libyaml's place; what is reported in the end */
    struct spot context; /* where the thing began that could not be finished */
    struct str message, hint;
};

/* ---- looking at the text ---- */

/* Without its end. Counts only LF, which is near enough here. */
static struct str line_of(const struct slip *s, size_t n)
{
    struct str rest = s->text, line = STR_NONE;
    while (str_split(&rest, '\n', &line))
        if (n-- == 0)
            return str_trim(line, "\r");
    return STR_NONE;
}

static size_t indent_of(struct str line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] == ' ')
        n++;
    return n;
}

static bool is_blank(struct str line)
{
    struct str t = str_trim(line, " \t");
    return t.n == 0 || t.p[0] == '#';
}

/* The nearest line above `n` that says something; SIZE_MAX when there is none near. */
static size_t line_above(const struct slip *s, size_t n)
{
    for (int tries = 0; n-- > 0 && tries < 50; tries++)
        if (!is_blank(line_of(s, n)))
            return n;
    return SIZE_MAX;
}

/* The start of a line up to character `n`. */
static struct str before(struct str line, size_t n)
{
    size_t i = 0;
    for (; i < line.n && n > 0; n--)
        for (i++; i < line.n && ((unsigned char)line.p[i] & 0xc0) == 0x80;)
            i++;
    return str_head(line, i);
}

static unsigned file_line(const struct slip *s, size_t line)
{
    return s->first_line + (unsigned)line;
}

static void say(struct slip *s, const char *message, const char *hint)
{
    s->message = str_c(message);
    s->hint = str_c(hint);
}

/* A template is the likelier slip wherever its braces are in the line. */
static bool told_template(struct slip *s)
{
    struct str line = line_of(s, s->at.line);
    if (str_find(line, STR("{{")) < 0 && str_find(line, STR("{%")) < 0)
        return false;
    say(s, "this looks like a template that was not rendered", "render it first; text with braces needs quotes");
    return true;
}

/* ---- one function per slip ---- */

static void tab(struct slip *s)
{
    say(s, "a tab can't be used for indentation", "use spaces");
}

static void bad_first_character(struct slip *s)
{
    struct str line = line_of(s, s->at.line), rest = str_skip(line, before(line, s->at.column).n);
    if (rest.n > 0 && rest.p[0] == '\t') {
        tab(s);
    } else if (!told_template(s)) {
        s->message = arena_strf(s->arena, "a value can't begin with '%c'", rest.n > 0 ? rest.p[0] : '?');
        s->hint = STR("put it in quotes");
    }
}

static void no_colon(struct slip *s)
{
    struct str line = line_of(s, s->at.line);
    ptrdiff_t colon = str_chr(line, ':');
    s->at.column = indent_of(line);
    if (colon >= 0 && (size_t)colon + 1 < line.n)
        say(s, "a space is missing after ':'", NULL);
    else
        say(s, "this line has no ':' after its key", "a key is followed by a colon and a space");
}

static void surplus_colon(struct slip *s)
{
    struct str line = line_of(s, s->at.line), front = before(line, s->at.column);
    size_t n = line_above(s, s->at.line);
    struct str above = n == SIZE_MAX ? STR_NONE : str_trim(line_of(s, n), " ");
    if (str_find(front, STR(": ")) >= 0) {
        say(s, "a second ':' stands in this line", "a value that holds \": \" needs quotes");
    } else if (front.n > 1024) {
        say(s, "a key is longer than 1024 characters", NULL);
    } else if (above.n > 0 && str_find(above, STR(": ")) < 0 && !str_ends(above, STR(":"))) {
        s->at.line = n;
        no_colon(s);
    } else if (above.n > 0 && indent_of(line) > indent_of(line_of(s, n))) {
        s->at.column = indent_of(line);
        say(s, "this line is indented deeper than the one above, which has a value already",
            "keys of one map stand in the same column");
    } else {
        say(s, "a ':' is not expected here", "a value that holds \": \" needs quotes");
    }
}

static void missing_colon(struct slip *s)
{
    s->at = s->context;
    if (told_template(s))
        return;
    no_colon(s);
}

static void behind_value(struct slip *s, struct str front)
{
    bool quote = str_chr(front, '\'') >= 0 || str_chr(front, '"') >= 0;
    say(s, "unexpected text behind a value",
        quote ? "inside single quotes write '' for a quote, inside double quotes \\\"" : NULL);
}

/* A line of a map that fits no level of indentation, or something after a complete value. */
static void no_key(struct slip *s)
{
    struct str line = line_of(s, s->at.line);
    size_t indent = indent_of(line);
    unsigned where = file_line(s, s->context.line);
    if (indent < s->at.column) {
        behind_value(s, before(line, s->at.column));
    } else if (told_template(s)) {
        return;
    } else if (indent < line.n && line.p[indent] == '-' && indent == s->context.column) {
        s->message = arena_strf(s->arena, "a list element stands among the keys of the map that begins in line %u", where);
        s->hint = STR("a list stands under a key of its own");
    } else {
        s->message = arena_strf(s->arena,
                                "the indentation fits nothing above: column %zu, while the map around it (line %u) has its keys in column %zu",
                                s->at.column + 1, where, s->context.column + 1);
        s->hint = STR("keys of one map stand in the same column");
    }
}

static void no_dash(struct slip *s)
{
    s->message = arena_strf(s->arena, "expected '- ' as in the list that begins in line %u", file_line(s, s->context.line));
    s->hint = STR("a key can't stand among the elements of a list; is it indented wrongly?");
}

static void surplus_dash(struct slip *s)
{
    say(s, "a '- ' can't stand here", "a list begins in the line after its key");
}

static void open_quote(struct slip *s)
{
    s->at = s->context;
    say(s, "this quote is never closed", NULL);
}

static void open_bracket(struct slip *s)
{
    struct str line = line_of(s, s->context.line), rest = str_skip(line, before(line, s->context.column).n);
    bool list = rest.n > 0 && rest.p[0] == '[';
    if (told_template(s))
        return;
    s->message = arena_strf(s->arena, "expected ',' or '%c' for the %s that begins in line %u", list ? ']' : '}',
                            list ? "list" : "map", file_line(s, s->context.line));
}

static void bad_escape(struct slip *s)
{
    struct str line = line_of(s, s->at.line), rest = str_skip(line, before(line, s->at.column).n);
    s->message = arena_strf(s->arena, "\"\\%c\" is no escape of a double-quoted string", rest.n > 1 ? rest.p[1] : '?');
    s->hint = STR("write a backslash as \\\\, or use single quotes, where it is an ordinary character");
}

static void bad_alias(struct slip *s)
{
    s->at = s->context;
    say(s, "a value that begins with '*' or '&' is an alias or anchor", "put it in quotes: \"*\"");
}

static void no_content(struct slip *s)
{
    struct str line = line_of(s, s->at.line), rest = str_skip(line, before(line, s->at.column).n);
    if (told_template(s))
        return;
    s->message = rest.n > 0 ? arena_strf(s->arena, "a value can't begin with '%c'", rest.p[0])
                            : STR("the text ends where a value is expected");
}

static void after_end(struct slip *s)
{
    size_t first = 0;
    while (first < s->at.line && is_blank(line_of(s, first)))
        first++;
    size_t indent = indent_of(line_of(s, first));
    if (indent > s->at.column)
        s->message = arena_strf(s->arena, "this line stands in column %zu, while the document (line %u) begins in column %zu",
                                s->at.column + 1, file_line(s, first), indent + 1);
    else
        s->message = STR("unexpected text behind the end of the document's value");
    s->hint = STR("is the indentation wrong, or a \"---\" line missing?");
}

static void bad_block_header(struct slip *s)
{
    say(s, "only an indentation number, '+' or '-' may follow '|' or '>'", "the text begins in the next line");
}

static void surrogate(struct slip *s)
{
    say(s, "a \\u escape of half a character", "write the character itself, or as one \\U escape of eight digits");
}

static void version(struct slip *s)
{
    say(s, "only YAML 1.1 and 1.2 are read", NULL);
}

static void undefined_tag(struct slip *s)
{
    say(s, "this YAML tag is not supported here", "text that begins with '!' needs quotes");
}

static const struct {
    const char *problem;
    void (*tell)(struct slip *s);
} SLIPS[] = {
    {"found character that cannot start any token", bad_first_character},
    {"found a tab character", tab},
    {"mapping values are not allowed", surplus_colon},
    {"could not find expected ':'", missing_colon},
    {"did not find expected key", no_key},
    {"did not find expected '-' indicator", no_dash},
    {"block sequence entries are not allowed", surplus_dash},
    {"found unexpected end of stream", open_quote},
    {"found unexpected document indicator", open_quote},
    {"did not find expected ',' or ']'", open_bracket},
    {"did not find expected ',' or '}'", open_bracket},
    {"found unknown escape character", bad_escape},
    {"did not find expected alphabetic or numeric character", bad_alias},
    {"did not find expected node content", no_content},
    {"did not find expected <document start>", after_end},
    {"did not find expected comment or line break", bad_block_header},
    {"found undefined tag handle", undefined_tag},
    {"found incompatible YAML document", version},
    {"found invalid Unicode character escape code", surrogate},
};

/* ---- the entry ---- */

/* A merge conflict explains every error after it. */
static bool told_conflict(struct slip *s)
{
    struct str rest = s->text, line;
    for (size_t n = 0; n <= s->at.line + 1 && str_split(&rest, '\n', &line); n++) {
        if (!str_starts(line, STR("<<<<<<< ")) && !str_starts(line, STR(">>>>>>> ")) &&
            !str_eqc(str_trim(line, "\r"), "======="))
            continue;
        s->at = (struct spot){n, 0};
        say(s, "an unresolved merge conflict", NULL);
        return true;
    }
    return false;
}

/* libyaml gives the byte for what it can't read, not the line. */
static void control_character(struct slip *s, const yaml_parser_t *p)
{
    s->at = (struct spot){0};
    for (size_t i = 0; i < p->problem_offset && i < s->text.n; i++) {
        unsigned char c = (unsigned char)s->text.p[i];
        s->at.line += c == '\n';
        s->at.column = c == '\n' ? 0 : s->at.column + ((c & 0xc0) != 0x80);
    }
    s->message = arena_strf(s->arena, "the character U+%04X is not allowed in YAML", (unsigned)p->problem_value);
    s->hint = STR("inside double quotes it can be written as \\x.. or \\u....");
}

static void tell(struct slip *s, const yaml_parser_t *p)
{
    const char *problem = p->problem ? p->problem : "unknown error";
    if (p->error == YAML_READER_ERROR) {
        control_character(s, p);
        return;
    }
    if (told_conflict(s))
        return;
    for (size_t i = 0; i < ARRAY_LEN(SLIPS); i++) {
        if (str_find(str_c(problem), str_c(SLIPS[i].problem)) >= 0) {
            SLIPS[i].tell(s);
            return;
        }
    }
    s->message = p->context ? arena_strf(s->arena, "%s, %s", problem, p->context) : arena_strf(s->arena, "%s", problem);
}

void syntax_tell(struct build *b, struct front_text t, const yaml_parser_t *p)
{
    struct slip s = {.arena = b->arena, .text = t.text, .first_line = t.first_line,
                     .at = {p->problem_mark.line, p->problem_mark.column},
                     .context = {p->context_mark.line, p->context_mark.column}};
    enum diag_code code = p->error == YAML_MEMORY_ERROR ? DIAG_Internal : DIAG_Syntax;
    tell(&s, p);
    struct diag *d = diag_file(b->diags, code, b->source->path, t.first_line + (uint32_t)s.at.line,
                               (uint32_t)s.at.column + 1, STR_FMT, STR_ARG(s.message));
    d->hint = s.hint;
}
