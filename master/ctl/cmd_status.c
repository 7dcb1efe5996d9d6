/*
 * cmd_status.c - `gatehouse status`, `gatehouse workers`, `gatehouse version`: how the running instance is.
 */
#include "config.h"
#include "master/ctl/ask.h"
#include "master/ctl/ctl.h"
#include "master/ctl/table.h"
#include "shared/base/clock.h"
#include "shared/tls/tls_build.h"

#include <getopt.h>
#include <stdio.h>

#define SHOWN_FINDINGS 20

struct options {
    struct ctl ctl;
    bool json;
};

static void put(const struct buf *b)
{
    fwrite(b->p, 1, b->n, stdout);
}

/* ---- options: the three commands take the same ---- */

static int usage(const char *verb, const char *about, FILE *f, int rc)
{
    fprintf(f, "usage: gatehouse %s [-o text|json]\n\n%s\n\n"
               "  -o, --output text|json  for people, or for programs\n" CTL_RUN_DIR_HELP, verb, about);
    return rc;
}

/* -1: go on; else the exit status. */
static int take_options(struct options *o, int argc, char **argv, const char *about)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"run-dir", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int opt;
    while ((opt = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        switch (opt) {
        case 'o':
            o->json = strcmp(optarg, "json") == 0;
            if (!o->json && strcmp(optarg, "text") != 0 && strcmp(optarg, "table") != 0) {
                fprintf(stderr, "gatehouse %s: -o takes text or json\n", o->ctl.verb);
                return 2;
            }
            break;
        case 'r': o->ctl.run_dir = optarg; break;
        case 'h': return usage(o->ctl.verb, about, stdout, 0);
        default: return usage(o->ctl.verb, about, stderr, 2);
        }
    }
    if (optind < argc)
        return usage(o->ctl.verb, about, stderr, 2);
    ctl_init(&o->ctl);
    return -1;
}

/* ---- pieces of text ---- */

static void put_duration(struct buf *out, uint64_t ms)
{
    unsigned long long s = ms / 1000;
    if (s < 120)
        buf_addf(out, "%llus", s);
    else if (s < 7200)
        buf_addf(out, "%llum", s / 60);
    else if (s < 172800)
        buf_addf(out, "%lluh", s / 3600);
    else
        buf_addf(out, "%llud", s / 86400);
}

static void put_size(struct buf *out, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t u = 0;
    for (; bytes >= 1024 && u + 1 < ARRAY_LEN(units); u++)
        bytes /= 1024;
    buf_addf(out, u && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

static size_t count_workers(const struct node *status, const char *state)
{
    const struct node *list = node_get(status, "workers");
    size_t n = 0;
    for (size_t i = 0; list && i < list->n_kids; i++)
        n += str_eqc(ctl_text(list->kids[i], "role"), "worker") && str_eqc(ctl_text(list->kids[i], "state"), state);
    return n;
}

/* ---- status ---- */

static void put_head(const struct node *s, struct buf *out)
{
    uint64_t started, now = clock_wall_us();
    buf_addf(out, "gatehouse " STR_FMT " is " STR_FMT ", generation %lld", STR_ARG(ctl_text(s, "version")),
             STR_ARG(ctl_text(s, "state")), (long long)ctl_int(s, "generation"));
    if (clock_parse(ctl_text(s, "started"), &started) && now > started) {
        buf_addc(out, ", up ");
        put_duration(out, (now - started) / 1000);
    }
    buf_addf(out, "\n\nWorkers      %zu of %lld active, %zu spare, %zu draining; %lld crashes, %lld stuck\n",
             count_workers(s, "active"), (long long)ctl_int(s, "workers_wanted"), count_workers(s, "spare"),
             count_workers(s, "draining"), (long long)ctl_int(s, "crashes"), (long long)ctl_int(s, "stuck_kills"));
}

static void put_tls(const struct node *s, struct buf *out)
{
    struct str tls = ctl_text(s, "tls"); /* a process of an older version says nothing */
    if (tls.n)
        buf_addf(out, "TLS          " STR_FMT "\n", STR_ARG(tls));
}

static void put_change(const struct node *s, struct buf *out)
{
    struct str time = ctl_text(s, "reload.last_time"), message = ctl_text(s, "reload.message");
    buf_addc(out, "Last change  ");
    if (time.n == 0)
        buf_addc(out, "none since the start");
    else
        buf_addf(out, STR_FMT ", %s in %lld ms", STR_ARG(time),
                 ctl_bool(s, "reload.last_failed") ? "refused" : "served", (long long)ctl_int(s, "reload.last_ms"));
    if (message.n)
        buf_addf(out, ": " STR_FMT, STR_ARG(message));
    buf_addf(out, "\nChanges      %lld served, %lld refused\n", (long long)ctl_int(s, "reload.ok"),
             (long long)ctl_int(s, "reload.failed"));
}

static void put_listening(const struct node *s, struct buf *out)
{
    const struct node *binds = node_get(s, "binds");
    for (size_t i = 0; binds && i < binds->n_kids; i++) {
        const struct node *b = binds->kids[i], *listeners = node_get(b, "listeners");
        struct str address = ctl_text(b, "address"), error = ctl_text(b, "error");
        buf_addf(out, "%s" STR_FMT ":%lld", i ? "             " : "Listening    ", STR_ARG(address.n ? address : STR("*")),
                 (long long)ctl_int(b, "port"));
        for (size_t k = 0; listeners && k < listeners->n_kids; k++)
            buf_addf(out, "%s" STR_FMT, k ? ", " : "  ", STR_ARG(ctl_text(listeners->kids[k], "name")));
        if (error.n)
            buf_addf(out, "  NOT BOUND: " STR_FMT, STR_ARG(error));
        buf_addch(out, '\n');
    }
}

static void put_objects(const struct node *s, struct buf *out)
{
    static const char *const verdicts[] = {"accepted", "rejected", "unserved"};
    const struct node *list = node_get(s, "objects");
    size_t n[ARRAY_LEN(verdicts)] = {0}, stale = 0;
    for (size_t i = 0; list && i < list->n_kids; i++) {
        for (size_t k = 0; k < ARRAY_LEN(verdicts); k++)
            n[k] += str_eqc(ctl_text(list->kids[i], "verdict"), verdicts[k]);
        stale += ctl_bool(list->kids[i], "stale");
    }
    buf_addf(out, "Objects      %u: %zu accepted, %zu rejected, %zu not served", list ? list->n_kids : 0u, n[0], n[1], n[2]);
    if (stale)
        buf_addf(out, "; %zu in their last good version", stale);
    buf_addch(out, '\n');
}

static void put_findings(const struct node *s, struct buf *out)
{
    const struct node *list = node_get(s, "diagnostics");
    size_t shown = 0, n = 0;
    buf_addf(out, "Findings     %lld errors, %lld warnings\n", (long long)ctl_int(s, "errors"),
             (long long)ctl_int(s, "warnings"));
    for (size_t i = 0; list && i < list->n_kids; i++) {
        const struct node *d = list->kids[i];
        struct str ns = ctl_text(d, "namespace"), path = ctl_text(d, "path");
        if (str_eqc(ctl_text(d, "severity"), "info") || ++n > SHOWN_FINDINGS)
            continue;
        buf_addf(out, "  " STR_FMT ":%lld:%lld: " STR_FMT ": ", STR_ARG(ctl_text(d, "file")),
                 (long long)ctl_int(d, "line"), (long long)ctl_int(d, "column"), STR_ARG(ctl_text(d, "severity")));
        if (ctl_text(d, "kind").n)
            buf_addf(out, STR_FMT " " STR_FMT "%s" STR_FMT ": ", STR_ARG(ctl_text(d, "kind")), STR_ARG(ns), ns.n ? "/" : "",
                     STR_ARG(ctl_text(d, "name")));
        buf_addf(out, STR_FMT "%s" STR_FMT "\n", STR_ARG(path), path.n ? ": " : "", STR_ARG(ctl_text(d, "message")));
        shown++;
    }
    if (n > shown)
        buf_addf(out, "  and %zu more (`gatehouse check` shows all)\n", n - shown);
}

static bool is_serving(const struct node *s)
{
    return str_eqc(ctl_text(s, "state"), "serving") && count_workers(s, "active") > 0;
}

int cmd_status(int argc, char **argv)
{
    struct options o = {.ctl.verb = "status"};
    struct client_reply a;
    int rc = take_options(&o, argc, argv,
                          "Says how the running instance is: generation, workers, objects, findings.\n\n"
                          "Exit status: 0 it serves, 1 it does not or does not answer, 2 usage.");
    if (rc >= 0)
        return rc;
    if (!ctl_request(&o.ctl, "GET", "/status", 30000, &a)) {
        ctl_fini(&o.ctl);
        return 1;
    }
    const struct node *s = ctl_parse(&o.ctl, buf_str(&a.body));
    struct buf out = {0};
    if (o.json) {
        put(&a.body);
    } else if (s) {
        put_head(s, &out);
        put_tls(s, &out);
        put_change(s, &out);
        put_listening(s, &out);
        put_objects(s, &out);
        put_findings(s, &out);
        put(&out);
    } else {
        fputs("gatehouse status: the answer is no JSON\n", stderr);
    }
    rc = s && is_serving(s) ? 0 : 1;
    buf_fini(&out);
    buf_fini(&a.body);
    ctl_fini(&o.ctl);
    return rc;
}

/* ---- workers ---- */

static void print_workers(struct ctl *c, const struct node *list)
{
    struct table t;
    struct buf out = {0};
    static const struct { const char *head; bool right; } columns[] = {
        {"ROLE", false}, {"ROW", true}, {"PID", true}, {"STATE", false}, {"GENERATION", true}, {"CONNECTIONS", true},
        {"REQUESTS", true}, {"RESTARTS", true}, {"MEMORY", true}, {"CPU", true}, {"AGE", true}};
    table_init(&t, &c->arena);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        table_column(&t, columns[i].head, columns[i].right);
    for (size_t i = 0; list && i < list->n_kids; i++) {
        static const char *const numbers[] = {"generation", "connections", "requests", "restarts"};
        const struct node *w = list->kids[i];
        struct buf cell = {0};
        table_cell(&t, ctl_text(w, "role"));
        table_cell(&t, ctl_text(w, "row"));
        table_cell(&t, ctl_text(w, "pid"));
        table_cell(&t, ctl_text(w, "state"));
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
            table_cell(&t, ctl_text(w, numbers[k]));
        put_size(&cell, (double)ctl_int(w, "memory_bytes"));
        table_cell(&t, buf_str(&cell));
        table_cellf(&t, "%.1fs", (double)ctl_int(w, "cpu_ms") / 1000);
        buf_clear(&cell);
        put_duration(&cell, (uint64_t)ctl_int(w, "uptime_ms"));
        table_cell(&t, buf_str(&cell));
        buf_fini(&cell);
    }
    table_write(&t, true, &out);
    put(&out);
    buf_fini(&out);
}

int cmd_workers(int argc, char **argv)
{
    struct options o = {.ctl.verb = "workers"};
    int rc = take_options(&o, argc, argv,
                          "Lists the processes of the running instance: workers, the spare, scout and admin.\n\n"
                          "Exit status: 0 listed, 1 no answer, 2 usage.");
    if (rc >= 0)
        return rc;
    const struct node *s = ctl_json(&o.ctl, "/status"), *list = node_get(s, "workers");
    if (list && o.json) {
        struct buf out = {0};
        node_json(list, &out, NULL);
        buf_addch(&out, '\n');
        put(&out);
        buf_fini(&out);
    } else if (list) {
        print_workers(&o.ctl, list);
    }
    ctl_fini(&o.ctl);
    return list ? 0 : 1;
}

/* ---- version ---- */

int cmd_version(int argc, char **argv)
{
    struct options o = {.ctl.verb = "version"};
    struct client_reply a = {0};
    struct str server = STR_NONE;
    struct buf tls = {0};
    int rc = take_options(&o, argc, argv,
                          "Says which version this program is, and which one runs.\n\nExit status: 0, or 2 usage.");
    if (rc >= 0)
        return rc;
    if (client_request(ctl_run_dir(&o.ctl), "GET", "/status", 2000, &a, NULL) == 0)
        server = ctl_text(ctl_parse(&o.ctl, buf_str(&a.body)), "version");
    tls_build_describe(&tls);
    if (o.json) {
        struct buf out = {0};
        buf_addc(&out, "{\"version\":\"" PACKAGE_VERSION "\",\"tls\":");
        buf_json(&out, buf_str(&tls));
        buf_addc(&out, ",\"running\":");
        if (server.n)
            buf_json(&out, server);
        else
            buf_addc(&out, "null");
        buf_addc(&out, "}\n");
        put(&out);
        buf_fini(&out);
    } else {
        printf("%s\nTLS: %s\n", PACKAGE_STRING, buf_cstr(&tls));
        if (server.n)
            printf("running: " STR_FMT "\n", STR_ARG(server));
    }
    buf_fini(&a.body);
    buf_fini(&tls);
    ctl_fini(&o.ctl);
    return 0;
}
