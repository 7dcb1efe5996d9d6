/*
 * h1_frame.c - what the fields of a head mean for the message and its connection: where the content
 * ends (RFC 9112 section 6.3), whether the connection lives on, which fields stop here.
 *
 * h1_frame_field sees each line as it is complete, h1_frame_finish the whole.
 */
#include "shared/http/token.h"
#include "worker/codec/h1_internal.h"

#define MAX_OPTIONS 32 /* of Connection in one line; more is an attack on the loop in mark_named */

static struct http_field *last_field(struct h1_parser *p)
{
    return &p->head->fields[p->head->n_fields - 1];
}

static enum h1_error on_host(struct h1_parser *p)
{
    if (p->kind != H1_REQUEST)
        return H1_E_NONE;
    if (p->seen & SEEN_HOST)
        return H1_E_HOST_TWICE;
    p->seen |= SEEN_HOST;
    p->host_at = p->head->n_fields - 1;
    return H1_E_NONE;
}

/* One number in digits. Leading zeros are harmless: what is sent on is the number. Two fields or a list
 * are refused even if equal: whoever sends them is broken, and intermediaries differ about them. */
static enum h1_error on_length(struct h1_parser *p, struct str value)
{
    if (p->seen & SEEN_LENGTH)
        return H1_E_LENGTH_TWICE;
    if (p->seen & SEEN_CODING)
        return H1_E_LENGTH_AND_CODING;
    if (!str_u64(value, &p->head->length) || p->head->length > INT64_MAX)
        return H1_E_LENGTH;
    p->seen |= SEEN_LENGTH;
    p->head->has_length = true;
    return H1_E_NONE;
}

/* Of a list of codings that is not "chunked": is it well-formed and final, or nonsense? Only words for
 * 501 against 400; both end the connection. */
static enum h1_error judge_codings(struct str value)
{
    struct str item, list = value;
    bool chunked = false, any = false;
    if (value.n && (value.p[0] == ',' || value.p[value.n - 1] == ','))
        return H1_E_CODING;
    while (http_list_next(&list, &item)) {
        if (chunked || !token_valid(item)) /* parameters are not defined for any coding in use */
            return H1_E_CODING;
        chunked = str_ieq(item, STR("chunked"));
        any = true;
    }
    return any ? H1_E_CODING_UNKNOWN : H1_E_CODING;
}

static enum h1_error on_coding(struct h1_parser *p, struct str value)
{
    if (p->head->minor == 0)
        return H1_E_CODING_IN_10;
    if (p->seen & SEEN_CODING)
        return H1_E_CODING;
    if (p->seen & SEEN_LENGTH)
        return H1_E_LENGTH_AND_CODING;
    if (!str_ieq(value, STR("chunked")))
        return judge_codings(value);
    p->seen |= SEEN_CODING;
    return H1_E_NONE;
}

static enum h1_error on_option(struct h1_parser *p, struct str option)
{
    enum http_field_id id = http_field_of(option);
    if (id == FIELD_KEEP_ALIVE) {
        p->seen |= OPTION_KEEP_ALIVE;
    } else if (id == FIELD_UPGRADE) {
        p->seen |= OPTION_UPGRADE;
    } else if (id == FIELD_TE) {
        p->seen |= OPTION_TE;
    } else if (str_ieq(option, STR("close"))) {
        p->seen |= OPTION_CLOSE;
    } else {
        bool framing = (http_field_properties(id) & FIELD_P_FRAMING) || id == FIELD_HOST;
        if (!token_valid(option) || (framing && p->kind == H1_REQUEST))
            return H1_E_CONNECTION;
        p->seen |= OPTION_NAMES;
    }
    return H1_E_NONE;
}

static enum h1_error on_connection(struct h1_parser *p, struct str value)
{
    struct str option;
    if (str_eq(value, STR("keep-alive"))) { /* what most clients send */
        p->seen |= OPTION_KEEP_ALIVE;
        return H1_E_NONE;
    }
    for (int n = 0; http_list_next(&value, &option); n++) {
        enum h1_error e = n == MAX_OPTIONS ? H1_E_CONNECTION : on_option(p, option);
        if (e != H1_E_NONE)
            return e;
    }
    return H1_E_NONE;
}

static enum h1_error on_expect(struct h1_parser *p, struct http_field *f)
{
    if (p->kind != H1_REQUEST)
        return H1_E_NONE;
    if (p->head->minor == 0) { /* to be ignored (RFC 9110 10.1.1), also by those who read 1.1 from us */
        f->flags |= FIELD_F_HOP;
        return H1_E_NONE;
    }
    if (!str_ieq(f->value, STR("100-continue")))
        return H1_E_EXPECT;
    p->seen |= SEEN_EXPECT;
    return H1_E_NONE;
}

static void on_upgrade(struct h1_parser *p)
{
    p->seen |= p->seen & SEEN_UPGRADE ? SEEN_UPGRADE_TWICE : SEEN_UPGRADE;
    p->upgrade_at = p->head->n_fields - 1;
}

static void on_trailer(struct http_field *f)
{
    const unsigned never = FIELD_P_HOP | FIELD_P_FRAMING | FIELD_P_NO_TRAILER;
    if (http_field_properties(f->id) & never)
        f->flags |= FIELD_F_NO_TRAILER;
}

enum h1_error h1_frame_field(struct h1_parser *p)
{
    struct http_field *f = last_field(p);
    if (p->kind == H1_TRAILERS) {
        on_trailer(f);
        return H1_E_NONE;
    }
    switch ((enum http_field_id)f->id) {
    case FIELD_HOST:
        return on_host(p);
    case FIELD_CONTENT_LENGTH:
        return on_length(p, f->value);
    case FIELD_TRANSFER_ENCODING:
        return on_coding(p, f->value);
    case FIELD_CONNECTION:
        return on_connection(p, f->value);
    case FIELD_EXPECT:
        return on_expect(p, f);
    case FIELD_UPGRADE:
        on_upgrade(p);
        return H1_E_NONE;
    case FIELD_TE:
        if (http_list_has(f->value, STR("trailers")))
            p->seen |= SEEN_TE_TRAILERS;
        return H1_E_NONE;
    default:
        return H1_E_NONE;
    }
}

/* --- the whole --------------------------------------------------------------------------------- */

static void mark_name(struct h1_head *h, struct str name)
{
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].name.n == name.n && str_ieq(h->fields[i].name, name) &&
            !(http_field_properties(h->fields[i].id) & FIELD_P_KEEP))
            h->fields[i].flags |= FIELD_F_HOP;
}

/* Fields that Connection names are of this connection only (RFC 9110 7.6.1). */
static void mark_named(struct h1_head *h)
{
    for (uint16_t i = 0; i < h->n_fields; i++) {
        struct str option, list = h->fields[i].value;
        if (h->fields[i].id == FIELD_CONNECTION)
            while (http_list_next(&list, &option))
                mark_name(h, option);
    }
}

/* protocol-name ["/" protocol-version], both tokens. */
static bool protocol_valid(struct str s)
{
    ptrdiff_t slash = str_chr(s, '/');
    if (slash < 0)
        return token_valid(s);
    return token_valid(str_head(s, (size_t)slash)) && token_valid(str_skip(s, (size_t)slash + 1));
}

/*
 * Is another protocol asked for (or agreed on) that we may carry? h2c never: it would make the rest of
 * the connection HTTP/2 behind our back; clients that offer it are served HTTP/1.1.
 */
static enum h1_error judge_upgrade(struct h1_parser *p)
{
    struct h1_head *h = p->head;
    struct str item;
    if (h->minor == 0 || !(p->seen & SEEN_UPGRADE) || !(p->seen & OPTION_UPGRADE))
        return H1_E_NONE;
    if (p->seen & SEEN_UPGRADE_TWICE)
        return H1_E_UPGRADE;
    struct str value = h->fields[p->upgrade_at].value, list = value;
    size_t n = 0;
    bool h2c = false;
    for (; http_list_next(&list, &item); n++) {
        if (!protocol_valid(item))
            return H1_E_UPGRADE;
        h2c = h2c || str_ieq(str_head(item, 3), STR("h2c"));
    }
    if (n == 0)
        return H1_E_UPGRADE;
    if (!h2c) {
        h->upgrade = true;
        h->upgrade_to = value;
    }
    return H1_E_NONE;
}

static void judge_connection(struct h1_parser *p)
{
    p->head->keep_alive =
        !(p->seen & OPTION_CLOSE) && (p->head->minor == 1 || (p->seen & OPTION_KEEP_ALIVE));
    p->head->te_trailers = (p->seen & SEEN_TE_TRAILERS) && (p->seen & OPTION_TE);
    if (p->seen & OPTION_NAMES)
        mark_named(p->head);
}

/* The target says whom the request is for, else Host (RFC 9112 3.2.2, 3.3). */
static enum h1_error judge_host(struct h1_parser *p)
{
    struct h1_head *h = p->head;
    if (p->seen & SEEN_HOST) {
        h->authority = h->fields[p->host_at].value;
        if (!http_host_parse(h->authority, &h->host))
            return H1_E_HOST;
    } else if (h->minor == 1) {
        return H1_E_HOST_MISSING;
    }
    if (h->parts.form == TARGET_ABSOLUTE) {
        h->authority = h->parts.authority;
        if (!http_host_parse(h->authority, &h->host))
            return H1_E_TARGET;
    }
    return H1_E_NONE;
}

static enum h1_error finish_request(struct h1_parser *p)
{
    struct h1_head *h = p->head;
    p->uri_fault = http_target_split(h->method_id, h->target, &h->parts);
    if (p->uri_fault != URI_OK)
        return H1_E_TARGET;
    enum h1_error e = judge_host(p);
    if (e != H1_E_NONE)
        return e;
    if (p->seen & SEEN_CODING)
        h->body = H1_BODY_CHUNKED;
    else if (p->seen & SEEN_LENGTH)
        h->body = H1_BODY_LENGTH;
    bool content = h->body == H1_BODY_CHUNKED || h->length > 0;
    if (content && h->method_id == METHOD_TRACE)
        return H1_E_CONTENT_FORBIDDEN;
    h->expect_continue = (p->seen & SEEN_EXPECT) && content;
    judge_connection(p);
    e = judge_upgrade(p);
    if (e == H1_E_NONE && h->upgrade && content)
        return H1_E_UPGRADE_BODY;
    return e;
}

/* RFC 9112 6.3, rules 1 to 8 in their order. */
static enum h1_error finish_response(struct h1_parser *p)
{
    struct h1_head *h = p->head;
    bool announced = (p->seen & SEEN_CODING) || h->length > 0;
    judge_connection(p);
    if (h->status < 200 || h->status == 204) {
        /* Content behind an interim answer would be read as the next one. Behind a 204 it can be cut
         * off with the connection. */
        if (announced && h->status < 200)
            return H1_E_CONTENT_FORBIDDEN;
        h->body = H1_BODY_NONE;
        h->keep_alive = h->keep_alive && !announced;
    } else if (p->request_method == METHOD_HEAD || h->status == 304) {
        h->body = H1_BODY_NONE;
    } else if (p->seen & SEEN_CODING) {
        h->body = H1_BODY_CHUNKED;
    } else if (p->seen & SEEN_LENGTH) {
        h->body = H1_BODY_LENGTH;
    } else {
        h->body = H1_BODY_CLOSE;
        h->keep_alive = false;
    }
    return h->status == 101 ? judge_upgrade(p) : H1_E_NONE;
}

enum h1_error h1_frame_finish(struct h1_parser *p)
{
    switch ((enum h1_kind)p->kind) {
    case H1_REQUEST:
        return finish_request(p);
    case H1_RESPONSE:
        return finish_response(p);
    case H1_TRAILERS:
        break;
    }
    return H1_E_NONE;
}
