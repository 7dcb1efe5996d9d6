/*
 * cmd_certs.c - `gatehouse certs`: every certificate that is served or shown to endpoints, when it ends, who uses it.
 */
#include "master/ctl/ctl.h"
#include "master/ctl/snap_source.h"
#include "master/ctl/table.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

#include <getopt.h>
#include <stdio.h>

#define DAY_S 86400

struct command {
    struct snap_source from;
    struct arena arena;
    bool json;
    int64_t now_s, warn_days; /* -1: nothing is asked */
};

static int usage(FILE *f, int rc)
{
    fputs("usage: gatehouse certs [--expiring DAYS] [--conf-dir DIR [--config FILE] | --run-dir DIR] [-o text|json]\n\n"
          "Lists the certificates in use: names, key, when they end, the listeners that serve them and the backends they\n"
          "are shown to, and where they were written. Private keys are never shown.\n\n"
          "  --expiring DAYS             only those that end within DAYS days; the exit status says whether there are any\n"
          SOURCE_HELP
          "  -o, --output text|json\n\n"
          "Exit status: 0 listed (with --expiring: none ends so soon), 1 some end so soon, or nobody answered, 2 usage.\n",
          f);
    return rc;
}

/* ---- who uses it ---- */

typedef void user_fn(void *ctx, struct str what, struct str name);

static bool uses(const struct snap *s, const struct snap_tls_server *t, uint32_t cert)
{
    SNAP_EACH(i, t->certs)
        if (s->INDEXES[i] == cert)
            return true;
    return false;
}

/* Each listener once: its chains stand together. */
static void each_user(const struct snap *s, uint32_t cert, user_fn *fn, void *ctx)
{
    uint32_t last = SNAP_NONE;
    for (uint32_t i = 0; i < s->n[SNAP_CHAINS]; i++) {
        const struct snap_chain *c = &s->CHAINS[i];
        if (c->tls == SNAP_NONE || c->listener == last || !uses(s, &s->TLS_SERVERS[c->tls], cert))
            continue;
        last = c->listener;
        fn(ctx, STR("listener"), snap_text(s, s->LISTENERS[last].name));
    }
    for (uint32_t i = 0; i < s->n[SNAP_CLUSTERS]; i++) {
        const struct snap_cluster *c = &s->CLUSTERS[i];
        if (c->tls != SNAP_NONE && s->TLS_CLIENTS[c->tls].cert == cert)
            fn(ctx, STR("backend"), snap_text(s, c->name));
    }
}

/* ---- text ---- */

static void add_name(void *ctx, struct str what, struct str name)
{
    struct buf *b = ctx;
    buf_addf(b, "%s%s" STR_FMT, b->n ? ", " : "", str_eqc(what, "backend") ? "to " : "", STR_ARG(name));
}

static struct str names_of(struct command *c, const struct snap_cert *v)
{
    const struct snap *s = c->from.snap;
    struct buf b = {0};
    SNAP_EACH(i, v->names)
        buf_addf(&b, "%s" STR_FMT, b.n ? ", " : "", STR_ARG(snap_text(s, s->NAMES[i])));
    struct str text = b.n ? arena_str(&c->arena, buf_str(&b)) : snap_name(s, v->subject);
    buf_fini(&b);
    return text;
}

static const char *key_word(const struct snap_cert *v)
{
    static const char *const WORDS[] = {"-", "RSA", "ECDSA", "Ed25519"};
    return v->key_type < ARRAY_LEN(WORDS) ? WORDS[v->key_type] : "-";
}

static int64_t days_left(const struct command *c, const struct snap_cert *v)
{
    int64_t left = v->not_after_s - c->now_s;
    return left < 0 ? -((-left + DAY_S - 1) / DAY_S) : left / DAY_S;
}

static void date_cell(struct command *c, struct table *t, const struct snap_cert *v)
{
    char date[32];
    clock_format((uint64_t)GH_MAX(v->not_after_s, 0) * 1000000, 0, date);
    int64_t days = days_left(c, v);
    if (c->now_s < v->not_before_s)
        table_cellf(t, "%.10s (not valid yet)", date);
    else if (days < 0)
        table_cellf(t, "%.10s (EXPIRED)", date);
    else
        table_cellf(t, "%.10s (%lld days)", date, (long long)days);
}

static void print_table(struct command *c, const uint32_t *rows, size_t n)
{
    const struct snap *s = c->from.snap;
    struct table t;
    struct buf out = {0};
    static const char *const HEADS[] = {"NAMES", "KEY", "EXPIRES", "USED BY", "OBJECT", "WRITTEN IN"};
    table_init(&t, &c->arena);
    for (size_t i = 0; i < ARRAY_LEN(HEADS); i++)
        table_column(&t, HEADS[i], false);
    for (size_t i = 0; i < n; i++) {
        const struct snap_cert *v = &s->CERTS[rows[i]];
        const struct snap_origin *o = &s->ORIGINS[v->origin];
        const struct snap_object *by = &s->OBJECTS[o->object];
        struct buf users = {0};
        each_user(s, rows[i], add_name, &users);
        table_cell(&t, names_of(c, v));
        table_cellf(&t, "%s %u", key_word(v), v->key_bits);
        date_cell(c, &t, v);
        table_cell(&t, buf_str(&users));
        table_cellf(&t, STR_FMT " " STR_FMT "/" STR_FMT, STR_ARG(snap_name(s, by->kind)), STR_ARG(snap_name(s, by->ns)),
                    STR_ARG(snap_name(s, by->name)));
        table_cellf(&t, STR_FMT ":%u", STR_ARG(snap_name(s, by->file)), o->line);
        buf_fini(&users);
    }
    if (n)
        table_write(&t, true, &out);
    else
        buf_addc(&out, c->warn_days >= 0 ? "No certificate ends so soon.\n" : "No certificate is in use.\n");
    fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
}

/* ---- JSON ---- */

static void member(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, "\"%s\":", name);
    buf_json(out, value);
}

static void json_user(void *ctx, struct str what, struct str name)
{
    struct buf *out = ctx;
    buf_addc(out, out->p[out->n - 1] == '[' ? "{" : ",{");
    member(out, "what", what);
    buf_addc(out, ",");
    member(out, "name", name);
    buf_addc(out, "}");
}

static void json_time(struct buf *out, const char *name, int64_t at_s)
{
    char date[32];
    size_t n = clock_format((uint64_t)GH_MAX(at_s, 0) * 1000000, 0, date);
    buf_addc(out, ",");
    member(out, name, str_of(date, n));
}

static void json_cert(const struct command *c, uint32_t i, struct buf *out)
{
    const struct snap *s = c->from.snap;
    const struct snap_cert *v = &s->CERTS[i];
    const struct snap_origin *o = &s->ORIGINS[v->origin];
    const struct snap_object *by = &s->OBJECTS[o->object];
    buf_addc(out, "{\"names\":[");
    SNAP_EACH(k, v->names) {
        buf_addc(out, k > v->names.first ? "," : "");
        buf_json(out, snap_text(s, s->NAMES[k]));
    }
    buf_addc(out, "],");
    member(out, "subject", snap_name(s, v->subject));
    buf_addc(out, ",");
    member(out, "issuer", snap_name(s, v->issuer));
    buf_addc(out, ",");
    member(out, "serial", snap_name(s, v->serial));
    buf_addf(out, ",\"keyType\":\"%s\",\"keyBits\":%u", key_word(v), v->key_bits);
    json_time(out, "notBefore", v->not_before_s);
    json_time(out, "notAfter", v->not_after_s);
    buf_addf(out, ",\"stapled\":%s", v->ocsp.len ? "true" : "false");
    if (v->ocsp_until_s)
        json_time(out, "stapledUntil", v->ocsp_until_s);
    buf_addf(out, ",\"daysLeft\":%lld,\"sha256\":\"", (long long)days_left(c, v));
    for (size_t k = 0; k < sizeof(v->sha256); k++)
        buf_addf(out, "%02x", v->sha256[k]);
    buf_addc(out, "\",\"usedBy\":[");
    each_user(s, i, json_user, out);
    buf_addc(out, "],");
    member(out, "kind", snap_name(s, by->kind));
    buf_addc(out, ",");
    member(out, "namespace", snap_name(s, by->ns));
    buf_addc(out, ",");
    member(out, "name", snap_name(s, by->name));
    buf_addc(out, ",");
    member(out, "file", snap_name(s, by->file));
    buf_addf(out, ",\"line\":%u}", o->line);
}

static void print_json(const struct command *c, const uint32_t *rows, size_t n)
{
    struct buf out = {0};
    buf_addc(&out, "[");
    for (size_t i = 0; i < n; i++) {
        buf_addc(&out, i ? ",\n" : "");
        json_cert(c, rows[i], &out);
    }
    buf_addc(&out, "]\n");
    fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
}

/* ---- the command ---- */

static int list(struct command *c)
{
    const struct snap *s = c->from.snap;
    uint32_t n = s->n[SNAP_CERTS];
    uint32_t *rows = arena_new_n(&c->arena, uint32_t, n + 1);
    size_t shown = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (c->warn_days >= 0 && s->CERTS[i].not_after_s - c->now_s > c->warn_days * DAY_S)
            continue;
        size_t at = shown++; /* the next to end first */
        for (; at > 0 && s->CERTS[rows[at - 1]].not_after_s > s->CERTS[i].not_after_s; at--)
            rows[at] = rows[at - 1];
        rows[at] = i;
    }
    if (c->json)
        print_json(c, rows, shown);
    else
        print_table(c, rows, shown);
    return c->warn_days >= 0 && shown ? 1 : 0;
}

static void out_of_memory(void)
{
    die("out of memory");
}

/* -1: go on; else the exit status. */
static int take_options(struct command *c, int argc, char **argv)
{
    static const struct option known[] = {
        {"expiring", required_argument, NULL, 'e'}, {"conf-dir", required_argument, NULL, 'd'},
        {"run-dir", required_argument, NULL, 'r'},  {"config", required_argument, NULL, 'c'},
        {"output", required_argument, NULL, 'o'},   {"help", no_argument, NULL, 'h'},
        {0}};
    uint64_t days;
    int opt;
    while ((opt = getopt_long(argc, argv, "o:h", known, NULL)) != -1) {
        switch (opt) {
        case 'e':
            if (!str_u64(str_c(optarg), &days) || days > 36500) {
                fprintf(stderr, "gatehouse certs: --expiring takes a number of days, not %s\n", optarg);
                return 2;
            }
            c->warn_days = (int64_t)days;
            break;
        case 'd': c->from.conf_dir = optarg; break;
        case 'r': c->from.run_dir = optarg; break;
        case 'c': c->from.instance_file = optarg; break;
        case 'o':
            c->json = strcmp(optarg, "json") == 0;
            if (!c->json && strcmp(optarg, "text") != 0) {
                fprintf(stderr, "gatehouse certs: -o takes text or json, not %s\n", optarg);
                return 2;
            }
            break;
        case 'h': return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    return optind < argc || (c->from.conf_dir && c->from.run_dir) ? usage(stderr, 2) : -1;
}

int cmd_certs(int argc, char **argv)
{
    struct command c = {.from.verb = "certs", .warn_days = -1, .now_s = (int64_t)(clock_wall_us() / 1000000)};
    int rc = take_options(&c, argc, argv);
    if (rc >= 0)
        return rc;
    arena_init(&c.arena, 0, out_of_memory);
    rc = source_open(&c.from) ? list(&c) : 1;
    source_close(&c.from);
    arena_fini(&c.arena);
    return rc;
}
