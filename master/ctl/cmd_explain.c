/*
 * cmd_explain.c - `gatehouse explain`: which listener, host, rule, filters and endpoints a request meets, where each
 * was written, and why the near misses lost. The running gateway's snapshot, or that of a directory, is asked
 * with the code of the data plane.
 */
#include "master/ctl/ctl.h"
#include "master/ctl/explain.h"
#include "master/ctl/snap_source.h"
#include "shared/base/log.h"
#include "shared/http/field.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct command {
    struct explain x;
    struct snap_source from;
    bool json;
};

static int usage(FILE *f, int rc)
{
    fputs("usage: gatehouse explain METHOD URL [-H 'NAME: VALUE']... [--sni NAME] [--from IP] [--port N] [--address IP]\n"
          "                         [--conf-dir DIR [--config FILE] | --run-dir DIR] [-o text|json]\n\n"
          "Says what the gateway does with a request: listener, host, rule, filters and backends, the file and line of\n"
          "each, and why other rules were not taken. URL is http://host[:port]/path, or a path with -H 'Host: name'.\n\n"
          "  -H, --header 'NAME: VALUE'  a header field of the request; may repeat\n"
          "  --sni NAME                  server name in the TLS handshake, if not the host of the URL; '' = none\n"
          "  --from IP                   the client's address\n"
          "  --port N, --address IP      where the client connects, if not to the port of the URL\n"
          SOURCE_HELP
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

/* In lower case, without a trailing dot; addresses are no server names (RFC 6066 3). */
static bool take_sni(struct explain *x, const char *arg)
{
    struct http_host host;
    x->has_sni = true;
    if (!*arg)
        return true;
    if (!http_host_parse(str_c(arg), &host) || host.kind != HOST_NAME || host.port)
        return false;
    x->sni = http_host_canonical(&host, arena_alloc(&x->arena, HTTP_HOST_MAX));
    return true;
}

static bool wants_color(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static int ask(struct command *c)
{
    struct buf out = {0};
    struct snap_regexes *regexes = snap_regexes_new(c->from.snap);
    if (!regexes) {
        complain("out of memory", STR_NONE);
        return 1;
    }
    c->x.snap = c->from.snap;
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
    int rc = source_open(&c->from) ? ask(c) : 1;
    source_close(&c->from);
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
        {"sni", required_argument, NULL, 's'},
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
        case 's':
            if (!take_sni(&c->x, optarg))
                return complain("no server name: ", str_c(optarg));
            break;
        case 'p':
            if (!str_u64(str_c(optarg), &port) || port == 0 || port > 65535)
                return complain("no port: ", str_c(optarg));
            c->x.port = (uint16_t)port;
            break;
        case 'a': c->x.address = str_c(optarg); break;
        case 'd': c->from.conf_dir = optarg; break;
        case 'r': c->from.run_dir = optarg; break;
        case 'c': c->from.instance_file = optarg; break;
        case 'o':
            c->json = strcmp(optarg, "json") == 0;
            if (!c->json && strcmp(optarg, "text") != 0)
                return complain("-o takes text or json, not ", str_c(optarg));
            break;
        case 'h': *done = true; return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    if (argc - optind != 2 || (c->from.conf_dir && c->from.run_dir))
        return usage(stderr, 2);
    c->x.method = str_c(argv[optind]);
    c->x.url = str_c(argv[optind + 1]);
    if (!http_field_name_valid(c->x.method)) /* a token, as field names are */
        return complain("no method: ", c->x.method);
    return 0;
}

int cmd_explain(int argc, char **argv)
{
    struct command c = {.from.verb = "explain"};
    bool done = false;
    arena_init(&c.x.arena, 0, out_of_memory);
    int rc = options(&c, argc, argv, &done);
    if (rc == 0 && !done)
        rc = run(&c);
    arena_fini(&c.x.arena);
    return rc;
}
