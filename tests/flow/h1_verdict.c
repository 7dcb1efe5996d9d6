/*
 * h1_verdict.c - what the gateway's own parser says of bytes, for the self-test of the payloads.
 *
 * Records come in on standard input: `kind length LF bytes`, kind being request, response, head (a
 * response to HEAD) or path. For each goes out one line: the messages found and why it ended, as
 * `requests OK|MORE|ERROR name status`, or the canonical path, or `- fault`.
 */
#include "worker/codec/h1_parse.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_FIELDS 100

/* Uses up the content; the error, or H1_E_NONE with *rest behind it, p NULL when it is not all there. */
static enum h1_error skip_content(struct h1_head *head, struct str *rest, const struct h1_limits *limits)
{
    struct h1_chunked c = {0};
    struct h1_parser p;
    struct str piece;
    size_t used;
    if (head->body == H1_BODY_LENGTH) {
        *rest = rest->n < head->length ? STR_NONE : str_skip(*rest, (size_t)head->length);
        return H1_E_NONE;
    }
    if (head->body == H1_BODY_CLOSE)
        *rest = str_skip(*rest, rest->n);
    if (head->body != H1_BODY_CHUNKED)
        return H1_E_NONE;
    for (enum h1_chunk r = H1_CHUNK_DATA; r == H1_CHUNK_DATA;) {
        r = h1_chunked_next(&c, rest->p, rest->n, &used, &piece);
        *rest = str_skip(*rest, used);
        if (r == H1_CHUNK_ERROR)
            return c.error;
        if (r == H1_CHUNK_MORE)
            *rest = STR_NONE;
    }
    if (!rest->p)
        return H1_E_NONE;
    h1_parser_trailers(&p, head, head->fields, MAX_FIELDS, limits);
    enum h1_result r = h1_parse(&p, rest->p, rest->n);
    *rest = r == H1_DONE ? str_skip(*rest, p.used) : STR_NONE;
    return r == H1_ERROR ? p.error : H1_E_NONE;
}

static void judge_stream(struct str rest, bool request, enum http_method method)
{
    const struct h1_limits limits = H1_LIMITS_DEFAULT;
    struct http_field fields[MAX_FIELDS];
    struct h1_head head;
    struct h1_parser p;
    enum h1_error e = H1_E_NONE;
    int n = 0;
    while (rest.p && rest.n && e == H1_E_NONE) {
        if (request)
            h1_parser_request(&p, &head, fields, MAX_FIELDS, &limits);
        else
            h1_parser_response(&p, &head, fields, MAX_FIELDS, &limits, method);
        enum h1_result r = h1_parse(&p, rest.p, rest.n);
        if (r != H1_DONE) {
            e = p.error;
            rest = STR_NONE;
            break;
        }
        rest = str_skip(rest, p.used);
        e = skip_content(&head, &rest, &limits);
        n += e == H1_E_NONE && rest.p;
    }
    printf("%d %s %s %u\n", n, e != H1_E_NONE ? "ERROR" : rest.p ? "OK" : "MORE", h1_error_name(e),
           h1_error_status(e));
}

static void judge_path(struct str raw)
{
    char *out = malloc(HTTP_PATH_ROOM(raw.n));
    struct str path;
    must(out != NULL);
    enum uri_fault f = http_path_canonical(raw, PATH_DEFAULT, out, &path);
    if (f == URI_OK)
        printf(STR_FMT "\n", STR_ARG(path));
    else
        printf("- %s\n", uri_fault_text(f));
    free(out);
}

int main(void)
{
    char kind[16];
    size_t n;
    while (scanf("%15s %zu", kind, &n) == 2 && getchar() == '\n') {
        char *data = malloc(n ? n : 1);
        must(data != NULL && fread(data, 1, n, stdin) == n);
        if (strcmp(kind, "path") == 0)
            judge_path(str_of(data, n));
        else
            judge_stream(str_of(data, n), strcmp(kind, "request") == 0,
                         strcmp(kind, "head") == 0 ? METHOD_HEAD : METHOD_GET);
        free(data);
    }
    return 0;
}
