/*
 * cmd_check.c - `gatehouse check` and `gatehouse lint`: the full load without serving.
 *
 * Both run what the compiler child runs (build.h). `check` answers whether anything is wrong; `lint` also shows
 * notes, and its answer is no when there are warnings.
 */
#include "master/build.h"
#include "master/ctl/ctl.h"

#include <getopt.h>
#include <stdio.h>

#define INSTANCE_FILE GH_SYSCONFDIR "/gatehouse.yaml"

struct check {
    const char *verb;
    bool lint, json;
    const char *instance_file;
    const char *const *paths;
    size_t n_paths;
};

static int usage(const struct check *c, FILE *f, int rc)
{
    fprintf(f,
            "usage: gatehouse %s [DIR or FILES] [-o text|json] [--config FILE]\n\n"
            "%s\n"
            "Reads all *.yaml, *.yml and *.json below DIR (default: the conf dir of the settings), or the FILES;\n"
            "- is standard input.\n\n"
            "  -o, --output text|json  text: a line for each finding, as compilers write them, and a summary;\n"
            "                          json: {\"objects\", \"diagnostics\", \"summary\"}\n"
            "  --config FILE           settings of the process, default " INSTANCE_FILE "\n\n"
            "Exit status: 0 %s, 1 otherwise, 2 usage.\n",
            c->verb,
            c->lint ? "Says what is valid and yet hardly meant: rules that can't match, references to nothing, conflicts."
                    : "Says whether the configuration is right, without serving it.",
            c->lint ? "no errors and no warnings" : "no errors");
    return rc;
}

static void put(const struct buf *b)
{
    fwrite(b->p, 1, b->n, stdout);
}

static void add_count(struct buf *out, size_t n, const char *one, const char *many, const char *end)
{
    buf_addf(out, "%zu %s%s", n, n == 1 ? one : many, end);
}

static void print_text(const struct check *c, const struct build *b)
{
    struct buf out = {0};
    size_t notes = 0;
    for (size_t i = 0; i < b->diags.n; i++) {
        const struct diag *d = &b->diags.v[i];
        notes += d->severity == DIAG_INFO;
        if (d->severity != DIAG_INFO || c->lint)
            diag_text(d, &out);
    }
    add_count(&out, b->stats.files, "file", "files", ", ");
    add_count(&out, b->store.n_all, "object", "objects", ": ");
    if (b->diags.n_errors + b->diags.n_warnings == 0)
        buf_addc(&out, "nothing wrong");
    if (b->diags.n_errors > 0)
        add_count(&out, b->diags.n_errors, "error", "errors", b->diags.n_warnings ? ", " : "");
    if (b->diags.n_warnings > 0)
        add_count(&out, b->diags.n_warnings, "warning", "warnings", "");
    if (notes > 0) {
        buf_addc(&out, ", ");
        add_count(&out, notes, "note", "notes", c->lint ? "" : " (gatehouse lint shows them)");
    }
    buf_addch(&out, '\n');
    put(&out);
    buf_fini(&out);
}

static void print_json(const struct build *b)
{
    struct buf out = {0};
    load_report_json(&b->store, &b->diags, &b->stats, &out);
    buf_addch(&out, '\n');
    put(&out);
    buf_fini(&out);
}

static int run(const struct check *c)
{
    struct build b;
    struct build_input in = {.paths = c->paths, .n_paths = c->n_paths, .instance_file = c->instance_file, .generation = 1};
    int rc = build_run(&b, &in);
    if (rc != 0) {
        if (b.diags.n_errors > 0) /* of the settings */
            c->json ? print_json(&b) : print_text(c, &b);
        fprintf(stderr, "gatehouse %s: %s\n", c->verb, b.why.n > 0 ? buf_cstr(&b.why) : "the load failed");
        build_free(&b);
        return 1;
    }
    if (c->json)
        print_json(&b);
    else
        print_text(c, &b);
    bool no = b.diags.n_errors > 0 || (c->lint && b.diags.n_warnings > 0);
    build_free(&b);
    return no ? 1 : 0;
}

static int command(int argc, char **argv, bool lint)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct check c = {.verb = lint ? "lint" : "check", .lint = lint, .instance_file = INSTANCE_FILE};
    int opt;
    while ((opt = getopt_long(argc, argv, "o:c:h", options, NULL)) != -1) {
        switch (opt) {
        case 'o':
            c.json = strcmp(optarg, "json") == 0;
            if (!c.json && strcmp(optarg, "text") != 0) {
                fprintf(stderr, "gatehouse %s: -o takes text or json\n", c.verb);
                return usage(&c, stderr, 2);
            }
            break;
        case 'c': c.instance_file = optarg; break;
        case 'h': return usage(&c, stdout, 0);
        default: return usage(&c, stderr, 2);
        }
    }
    c.paths = (const char *const *)argv + optind;
    c.n_paths = (size_t)(argc - optind);
    return run(&c);
}

int cmd_check(int argc, char **argv)
{
    return command(argc, argv, false);
}

int cmd_lint(int argc, char **argv)
{
    return command(argc, argv, true);
}
