#include "master/ctl/yaml_out.h"

/*
 * May a string stand without quotes? Only what no reader of YAML 1.1 or 1.2 could take for anything else:
 * a letter first, then letters, digits and a few marks inside words, and none of the words with a meaning.
 */
static bool is_plain(struct str s)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    if (s.n == 0 || s.n > 200 || !(ascii_is_alpha(s.p[0]) || s.p[0] == '/' || s.p[0] == '_'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool inside = i + 1 < s.n && s.p[i + 1] != ' ';
        if (!(ascii_is_alpha(c) || ascii_is_digit(c) || strchr("-_./+", c) || (strchr(":@=~*", c) && inside && i > 0) ||
              (c == ' ' && inside)))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(s, str_c(words[i])))
            return false;
    return true;
}

static void put_scalar(const struct node *n, struct buf *out)
{
    if (n->type == NODE_STRING) {
        if (is_plain(node_text(n)))
            buf_adds(out, node_text(n));
        else
            buf_json(out, node_text(n)); /* a JSON string is a YAML one */
    } else if (n->type == NODE_NULL) {
        buf_addc(out, "null");
    } else {
        buf_adds(out, node_text(n));
    }
}

static void put_indent(struct buf *out, unsigned n)
{
    while (n--)
        buf_addch(out, ' ');
}

static bool is_block(const struct node *n)
{
    return (n->type == NODE_MAP || n->type == NODE_LIST) && n->n_kids > 0;
}

/* `first`: the indent of the first line is there already (behind "- "). */
static void put_node(const struct node *n, unsigned indent, bool first, struct buf *out)
{
    for (size_t i = 0; i < n->n_kids; i++) {
        const struct node *k = n->kids[i];
        if (!first || i > 0)
            put_indent(out, indent);
        if (n->type == NODE_LIST) {
            buf_addc(out, "- ");
            if (is_block(k)) {
                put_node(k, indent + 2, true, out);
                continue;
            }
        } else {
            if (is_plain(node_key(k)))
                buf_adds(out, node_key(k));
            else
                buf_json(out, node_key(k));
            buf_addch(out, ':');
            if (is_block(k)) {
                buf_addch(out, '\n');
                put_node(k, k->type == NODE_LIST ? indent : indent + 2, false, out);
                continue;
            }
            buf_addch(out, ' ');
        }
        if (k->type == NODE_MAP || k->type == NODE_LIST)
            buf_addc(out, k->type == NODE_MAP ? "{}" : "[]");
        else
            put_scalar(k, out);
        buf_addch(out, '\n');
    }
}

void yaml_out(const struct node *n, unsigned indent, struct buf *out)
{
    if (is_block(n)) {
        put_node(n, indent, false, out);
        return;
    }
    put_indent(out, indent);
    if (n->type == NODE_MAP || n->type == NODE_LIST)
        buf_addc(out, n->type == NODE_MAP ? "{}" : "[]");
    else
        put_scalar(n, out);
    buf_addch(out, '\n');
}
