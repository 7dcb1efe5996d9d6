/*
 * cmd_explain.c - `gatehouse explain`: which listener, host, rule, filters and endpoints a request meets, where each
 * was written, and why the near misses lost. The running gateway's snapshot, or that of a directory, is asked
 * with the code of the data plane.
 */
#include "master/build.h"
#include "master/ctl/client.h"
#include "master/ctl/ctl.h"
#include "master/ctl/explain.h"
#include "shared/base/log.h"
#include "shared/http/field.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INSTANCE_FILE GH_SYSCONFDIR "/gatehouse.yaml"

struct command {
    struct explain x;
    const char *conf_dir, *run_dir, *instance_file;
    bool json;
    struct build build; /* with conf_dir */
    struct buf image;   /* without */
    struct snap *snap;
};

static int usage(FILE *f, int rc)
{
    fputs("usage: gatehouse explain METHOD URL [-H 'NAME: VALUE']... [--from IP] [--port N] [--address IP]\n"
          "                         [--conf-dir DIR [--config FILE] | --run-dir DIR] [-o text|json]\n\n"
          "Says what the gateway does with a request: listener, host, rule, filters and backends, the file and line of\n"
          "each, and why other rules were not taken. URL is http://host[:port]/path, or a path with -H 'Host: name'.\n\n"
          "  -H, --header 'NAME: VALUE'  a header field of the request; may repeat\n"
          "  --from IP                   the client's address\n"
          "  --port N, --address IP      where the client connects, if not to the port of the URL\n"
          "  --conf-dir DIR              ask the configuration in DIR (directory or file) instead of the running gateway\n"
          "  --config FILE               settings of the process for --conf-dir, default " INSTANCE_FILE "\n"
          "  --run-dir DIR               of the running gateway, default " CLIENT_RUN_DIR "\n"
          "  -o, --output text|json\n\n"
          "Exit status: 0 a rule serves it, 1 none does or nobody could be asked, 2 usage.\n",
          f);
    return rc;
}

static int complain(const char *what, struct str text)
{
    fprintf(stderr, "gatehouse explain: %s" STR_FMT "\n", what, STR_ARG(text));
    return 2;
}

static bool add_header(struct explain *x, const char *arg)
{
    struct str line = str_c(arg);
    ptrdiff_t colon = str_chr(line, ':');
    if (colon <= 0 || !http_field_name_valid(str_head(line, (size_t)colon)))
        return false;
    struct str value = http_trim_ows(str_skip(line, (size_t)colon + 1));
    if (!http_field_value_valid(value))
        return false;
    *ARENA_PUSH(&x->arena, &x->headers) = (struct explain_header){str_head(line, (size_t)colon), value};
    return true;
}

/* The snapshot of a directory; findings that are errors are mentioned, since they change the answer. */
static int open_directory(struct command *c)
{
    struct build_input in = {.paths = &c->conf_dir, .n_paths = 1, .instance_file = c->instance_file, .generation = 1};
    struct buf text = {0};
    int rc = build_run(&c->build, &in);
    for (size_t i = 0, n = 0; i < c->build.diags.n && n < 3; i++) {
        if (c->build.diags.v[i].severity != DIAG_ERROR)
            continue;
        diag_text(&c->build.diags.v[i], &text);
        n++;
    }
    if (c->build.diags.n_errors > 0)
        fprintf(stderr, "%sgatehouse explain: %zu %s in %s; the answer is about the rest\n", buf_cstr(&text),
                c->build.diags.n_errors, c->build.diags.n_errors == 1 ? "error" : "errors", c->conf_dir);
    buf_fini(&text);
    if (rc == 0)
        rc = snap_open_bytes(&c->snap, buf_str(&c->build.snapshot), &c->build.why);
    if (rc != 0)
        complain("", buf_str(&c->build.why));
    return rc;
}

static int open_running(struct command *c)
{
    struct buf why = {0};
    int rc = client_get(c->run_dir ? c->run_dir : CLIENT_RUN_DIR, "/snapshot", &c->image, &why);
    if (rc == 0)
        rc = snap_open_bytes(&c->snap, buf_str(&c->image), &why);
    if (rc != 0)
        fprintf(stderr, "gatehouse explain: %s%s\n", buf_cstr(&why),
                c->run_dir ? "" : "; --conf-dir DIR asks a configuration without a running gateway");
    buf_fini(&why);
    return rc;
}

static bool wants_color(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static int ask(struct command *c)
{
    struct buf out = {0};
    struct snap_regexes *regexes = snap_regexes_new(c->snap);
    if (!regexes) {
        complain("out of memory", STR_NONE);
        return 1;
    }
    c->x.snap = c->snap;
    c->x.regexes = regexes;
    explain_run(&c->x);
    if (c->json)
        explain_json(&c->x, &out);
    else
        explain_text(&c->x, wants_color(), &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
    snap_regexes_free(regexes);
    return explain_is_served(&c->x) ? 0 : 1;
}

static int run(struct command *c)
{
    int rc = (c->conf_dir ? open_directory(c) : open_running(c)) == 0 ? ask(c) : 1;
    snap_drop(c->snap);
    if (c->conf_dir)
        build_free(&c->build);
    buf_fini(&c->image);
    return rc;
}

static void out_of_memory(void)
{
    die("out of memory");
}

/* 0, or the exit status. */
static int options(struct command *c, int argc, char **argv, bool *done)
{
    static const struct option known[] = {
        {"header", required_argument, NULL, 'H'},   {"from", required_argument, NULL, 'f'},
        {"port", required_argument, NULL, 'p'},     {"address", required_argument, NULL, 'a'},
        {"conf-dir", required_argument, NULL, 'd'}, {"run-dir", required_argument, NULL, 'r'},
        {"config", required_argument, NULL, 'c'},   {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},           {0}};
    uint64_t port;
    int opt;
    while ((opt = getopt_long(argc, argv, "H:o:h", known, NULL)) != -1) {
        switch (opt) {
        case 'H':
            if (!add_header(&c->x, optarg))
                return complain("no header field: ", str_c(optarg));
            break;
        case 'f': c->x.from = str_c(optarg); break;
        case 'p':
            if (!str_u64(str_c(optarg), &port) || port == 0 || port > 65535)
                return complain("no port: ", str_c(optarg));
            c->x.port = (uint16_t)port;
            break;
        case 'a': c->x.address = str_c(optarg); break;
        case 'd': c->conf_dir = optarg; break;
        case 'r': c->run_dir = optarg; break;
        case 'c': c->instance_file = optarg; break;
        case 'o':
            c->json = strcmp(optarg, "json") == 0;
            if (!c->json && strcmp(optarg, "text") != 0)
                return complain("-o takes text or json, not ", str_c(optarg));
            break;
        case 'h': *done = true; return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    if (argc - optind != 2 || (c->conf_dir && c->run_dir))
        return usage(stderr, 2);
    c->x.method = str_c(argv[optind]);
    c->x.url = str_c(argv[optind + 1]);
    if (!http_field_name_valid(c->x.method)) /* a token, as field names are */
        return complain("no method: ", c->x.method);
    return 0;
}

int cmd_explain(int argc, char **argv)
{
    struct command c = {.instance_file = INSTANCE_FILE};
    bool done = false;
    arena_init(&c.x.arena, 0, out_of_memory);
    int rc = options(&c, argc, argv, &done);
    if (rc == 0 && !done)
        rc = run(&c);
    arena_fini(&c.x.arena);
    return rc;
}
