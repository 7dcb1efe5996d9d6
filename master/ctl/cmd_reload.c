/*
 * cmd_reload.c - `gatehouse reload` and `gatehouse drain`: orders to the running master that wait for their end.
 */
#include "master/ctl/ask.h"
#include "master/ctl/ctl.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define RELOAD_MS     130000
#define DRAIN_WAIT_MS 120000

struct order {
    struct ctl ctl;
    bool quiet, json, strict;
    unsigned timeout_ms;
};

static int usage(const struct order *o, FILE *f, int rc)
{
    bool reload = strcmp(o->ctl.verb, "reload") == 0;
    fprintf(f, "usage: gatehouse %s [OPTIONS]\n\n%s\n\n"
               "  -o, --output text|json  for people, or for programs\n"
               "  -q, --quiet             only complaints\n"
               "      --timeout SECONDS   to wait at most, default %u\n%s" CTL_RUN_DIR_HELP "\n%s\n", o->ctl.verb,
            reload ? "Makes the running instance read its configuration now and waits until every worker serves it. The\n"
                     "instance follows its files by itself; this is for scripts that want to know when and whether."
                   : "Tells the running instance to finish and stop: it takes no new connections, ends the requests it\n"
                     "has, and exits. Waits for that.",
            (reload ? RELOAD_MS : DRAIN_WAIT_MS) / 1000,
            reload ? "      --strict            status 1 also when some objects were not accepted\n" : "",
            reload ? "Exit status: 0 programmed (or nothing had changed), 1 refused or no answer, 2 usage."
                   : "Exit status: 0 it has stopped, 1 it has not or there is none, 2 usage.");
    return rc;
}

static int take_options(struct order *o, int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'}, {"quiet", no_argument, NULL, 'q'},
                                            {"timeout", required_argument, NULL, 't'}, {"strict", no_argument, NULL, 's'},
                                            {"run-dir", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'},
                                            {0}};
    int opt;
    uint64_t seconds;
    while ((opt = getopt_long(argc, argv, "o:qh", options, NULL)) != -1) {
        switch (opt) {
        case 'o':
            o->json = strcmp(optarg, "json") == 0;
            if (!o->json && strcmp(optarg, "text") != 0)
                return usage(o, stderr, 2);
            break;
        case 'q': o->quiet = true; break;
        case 's': o->strict = true; break;
        case 't':
            if (!str_u64(str_c(optarg), &seconds) || seconds == 0 || seconds > 86400)
                return usage(o, stderr, 2);
            o->timeout_ms = (unsigned)seconds * 1000;
            break;
        case 'r': o->ctl.run_dir = optarg; break;
        case 'h': return usage(o, stdout, 0);
        default: return usage(o, stderr, 2);
        }
    }
    if (optind < argc)
        return usage(o, stderr, 2);
    ctl_init(&o->ctl);
    return -1;
}

/* Errors that did not stop the rest from being programmed. */
static void report_findings(struct order *o)
{
    const struct node *s = ctl_json(&o->ctl, "/status"), *list = node_get(s, "diagnostics");
    int errors = 0;
    for (size_t i = 0; list && i < list->n_kids; i++) {
        const struct node *d = list->kids[i];
        struct str ns = ctl_text(d, "namespace"), path = ctl_text(d, "path");
        if (!str_eqc(ctl_text(d, "severity"), "error"))
            continue;
        errors++;
        fprintf(stderr, STR_FMT ":%lld:%lld: error: ", STR_ARG(ctl_text(d, "file")), (long long)ctl_int(d, "line"),
                (long long)ctl_int(d, "column"));
        if (ctl_text(d, "kind").n)
            fprintf(stderr, STR_FMT " " STR_FMT "%s" STR_FMT ": ", STR_ARG(ctl_text(d, "kind")), STR_ARG(ns),
                    ns.n ? "/" : "", STR_ARG(ctl_text(d, "name")));
        fprintf(stderr, STR_FMT "%s" STR_FMT "\n", STR_ARG(path), path.n ? ": " : "", STR_ARG(ctl_text(d, "message")));
    }
    if (errors)
        fprintf(stderr, "gatehouse reload: %d error%s; the objects concerned are served as they were last good, or not "
                        "at all\n", errors, errors == 1 ? "" : "s");
}

int cmd_reload(int argc, char **argv)
{
    struct order o = {.ctl.verb = "reload", .timeout_ms = RELOAD_MS};
    struct client_reply a;
    int rc = take_options(&o, argc, argv);
    if (rc >= 0)
        return rc;
    if (!ctl_request(&o.ctl, "POST", "/reload", o.timeout_ms, &a)) {
        ctl_fini(&o.ctl);
        return 1;
    }
    bool ok = a.status == 200;
    const struct node *reply = ctl_parse(&o.ctl, arena_str(&o.ctl.arena, buf_str(&a.body)));
    int64_t errors = ctl_int(reply, "errors");
    if (o.json)
        fwrite(a.body.p, 1, a.body.n, stdout);
    else if (!ok)
        fprintf(stderr, "gatehouse reload: " STR_FMT "\n", STR_ARG(ctl_message(&o.ctl, &a)));
    else if (!o.quiet)
        printf("generation %lld is programmed: %lld objects, %lld errors, %lld warnings\n",
               (long long)ctl_int(reply, "generation"), (long long)ctl_int(reply, "objects"), (long long)errors,
               (long long)ctl_int(reply, "warnings"));
    if (ok && errors && !o.json)
        report_findings(&o);
    buf_fini(&a.body);
    ctl_fini(&o.ctl);
    return !ok || (o.strict && errors) ? 1 : 0;
}

/* Follows /status by long polls until nobody answers any more. */
static bool wait_for_end(struct order *o, uint64_t until_ms)
{
    struct str change = STR("0");
    for (;;) {
        uint64_t now = clock_ms();
        struct client_reply a;
        struct buf path = {0};
        if (now >= until_ms)
            return false;
        uint64_t wait_s = GH_MIN((until_ms - now) / 1000 + 1, 10u);
        buf_addf(&path, "/status?after=" STR_FMT "&wait=%llu", STR_ARG(change), (unsigned long long)wait_s);
        int rc = client_request(ctl_run_dir(&o->ctl), "GET", buf_cstr(&path), (wait_s + 10) * 1000, &a, NULL);
        buf_fini(&path);
        if (rc == GH_E_NOT_FOUND)
            return true;
        if (rc == 0) {
            const struct node *s = ctl_parse(&o->ctl, arena_str(&o->ctl.arena, buf_str(&a.body)));
            change = s ? ctl_text(s, "change") : change;
        }
        buf_fini(&a.body);
    }
}

int cmd_drain(int argc, char **argv)
{
    struct order o = {.ctl.verb = "drain", .timeout_ms = DRAIN_WAIT_MS};
    struct client_reply a;
    int rc = take_options(&o, argc, argv);
    if (rc >= 0)
        return rc;
    uint64_t until_ms = clock_ms() + o.timeout_ms;
    if (!ctl_request(&o.ctl, "POST", "/drain", o.timeout_ms, &a)) {
        ctl_fini(&o.ctl);
        return 1;
    }
    bool ok = a.status == 200;
    if (!ok)
        fprintf(stderr, "gatehouse drain: " STR_FMT "\n", STR_ARG(ctl_message(&o.ctl, &a)));
    else if (!wait_for_end(&o, until_ms)) {
        fprintf(stderr, "gatehouse drain: it has not stopped within %u s\n", o.timeout_ms / 1000);
        ok = false;
    } else if (!o.quiet) {
        puts(o.json ? "{\"stopped\":true}" : "stopped");
    }
    buf_fini(&a.body);
    ctl_fini(&o.ctl);
    return ok ? 0 : 1;
}
