#include "master/ctl/ask.h"
#include "master/yaml/parse.h"
#include "shared/base/err.h"

#include <stdio.h>
#include <stdlib.h>

const char *ctl_run_dir(const struct ctl *c)
{
    const char *env = getenv(CTL_RUN_DIR_ENV);
    return c->run_dir ? c->run_dir : env && env[0] ? env : CLIENT_RUN_DIR;
}

bool ctl_request(const struct ctl *c, const char *method, const char *path, unsigned timeout_ms, struct client_reply *a)
{
    struct buf why = {0};
    int rc = client_request(ctl_run_dir(c), method, path, timeout_ms, a, &why);
    if (rc < 0)
        fprintf(stderr, "gatehouse %s: %s\n", c->verb, buf_cstr(&why));
    if (rc == GH_E_NOT_FOUND)
        fputs("Start one with `gatehouse serve` or `systemctl start gatehouse`; --run-dir names another directory.\n",
              stderr);
    buf_fini(&why);
    if (rc < 0)
        buf_fini(&a->body);
    return rc == 0;
}

/* ---- JSON ---- */

const struct node *ctl_parse(struct ctl *c, struct str text)
{
    static const struct yaml_limits limits = {.max_file = CLIENT_BODY_MAX, .max_total = CLIENT_BODY_MAX,
                                              .max_documents = 1, .max_nodes = 1u << 28, .max_all_nodes = 1u << 28,
                                              .max_depth = 200};
    struct source *src = arena_new(&c->arena, struct source);
    struct diags findings;
    diags_init(&findings, &c->arena);
    if (!src)
        return NULL;
    *src = (struct source){.path = STR("answer"), .text = text};
    const struct node *n = yaml_parse_document(&c->arena, src, text, 1, &limits, &findings);
    return findings.n ? NULL : n;
}

const struct node *ctl_json(struct ctl *c, const char *path)
{
    struct client_reply a;
    if (!ctl_request(c, "GET", path, 30000, &a))
        return NULL;
    const struct node *n = NULL;
    if (a.status != 200) {
        struct str m = ctl_message(c, &a);
        fprintf(stderr, "gatehouse %s: %s: %u, " STR_FMT "\n", c->verb, path, a.status, STR_ARG(m));
    } else {
        n = ctl_parse(c, arena_str(&c->arena, buf_str(&a.body)));
        if (!n)
            fprintf(stderr, "gatehouse %s: %s: the answer is no JSON\n", c->verb, path);
    }
    buf_fini(&a.body);
    return n;
}

struct str ctl_message(struct ctl *c, const struct client_reply *a)
{
    struct str text = arena_str(&c->arena, str_trim(buf_str(&a->body), " \r\n"));
    const struct node *n = text.n && text.p[0] == '{' ? ctl_parse(c, text) : NULL;
    if (node_get(n, "error"))
        return ctl_text(n, "error");
    return node_get(n, "message") ? ctl_text(n, "message") : text;
}

struct str ctl_text(const struct node *n, const char *path)
{
    const struct node *v = n ? node_walk(n, path) : NULL;
    return v && v->type != NODE_NULL ? node_text(v) : STR_NONE;
}

int64_t ctl_int(const struct node *n, const char *path)
{
    const struct node *v = n ? node_walk(n, path) : NULL;
    return v && v->type == NODE_INT ? node_int(v) : 0;
}

bool ctl_bool(const struct node *n, const char *path)
{
    const struct node *v = n ? node_walk(n, path) : NULL;
    return v && v->type == NODE_BOOL && node_int(v);
}

static void out_of_memory(void)
{
    fputs("gatehouse: out of memory\n", stderr);
    exit(1);
}

void ctl_init(struct ctl *c)
{
    arena_init(&c->arena, 0, out_of_memory);
}

void ctl_fini(struct ctl *c)
{
    arena_fini(&c->arena);
}
