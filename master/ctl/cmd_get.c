/*
 * cmd_get.c - `gatehouse get` and `gatehouse describe`: objects as the running master sees them.
 */
#include "master/ctl/ctl.h"
#include "master/ctl/objects.h"
#include "master/ctl/table.h"
#include "master/ctl/yaml_out.h"

#include <getopt.h>
#include <stdio.h>

enum output { OUT_TABLE, OUT_WIDE, OUT_JSON, OUT_YAML, OUT_NAME };
static const char *const OUTPUTS[] = {"table", "wide", "json", "yaml", "name"};

struct get {
    struct ctl ctl;
    struct ctl_choice choice;
    enum output output;
    bool heads, describe;
    const char *slash_name[1]; /* of KIND/NAME */
};

/* Columns of a kind: a path as ctl_collect takes it, or "?Type" for a condition. */
static const struct column {
    enum kind_id kind;
    const char *head, *path;
    bool wide;
} COLUMNS[] = {
    {KIND_GATEWAY_CLASS, "CONTROLLER", "spec.controllerName", false},
    {KIND_GATEWAY, "CLASS", "spec.gatewayClassName", false},
    {KIND_GATEWAY, "ADDRESS", "status.addresses[*].value", false},
    {KIND_GATEWAY, "PORTS", "spec.listeners[*].port", false},
    {KIND_GATEWAY, "PROGRAMMED", "?Programmed", false},
    {KIND_HTTP_ROUTE, "HOSTNAMES", "spec.hostnames[*]", false},
    {KIND_HTTP_ROUTE, "PARENTS", "spec.parentRefs[*].name", true},
    {KIND_GRPC_ROUTE, "HOSTNAMES", "spec.hostnames[*]", false},
    {KIND_REFERENCE_GRANT, "FROM", "spec.from[*].namespace", false},
    {KIND_SERVICE, "PORTS", "spec.ports[*].port", false},
    {KIND_ENDPOINT_SLICE, "PORTS", "ports[*].port", false},
    {KIND_ENDPOINT_SLICE, "ENDPOINTS", "endpoints[*].addresses[*]", false},
    {KIND_ENDPOINTS, "ENDPOINTS", "subsets[*].addresses[*].ip", false},
    {KIND_CONFIG_MAP, "KEYS", "data{}", false},
    {KIND_SECRET, "TYPE", "type", false},
    {KIND_SECRET, "KEYS", "data{}", false},
    {KIND_ISTIO_GATEWAY, "HOSTS", "spec.servers[*].hosts[*]", false},
    {KIND_ISTIO_GATEWAY, "PORTS", "spec.servers[*].port.number", false},
    {KIND_VIRTUAL_SERVICE, "GATEWAYS", "spec.gateways[*]", false},
    {KIND_VIRTUAL_SERVICE, "HOSTS", "spec.hosts[*]", false},
    {KIND_SERVICE_ENTRY, "HOSTS", "spec.hosts[*]", false},
    {KIND_SERVICE_ENTRY, "RESOLUTION", "spec.resolution", false},
};

static int usage(const struct get *g, FILE *f, int rc)
{
    const char *verb = g->ctl.verb;
    fprintf(f, "usage: gatehouse %s KIND[,KIND...]|KIND/NAME|all [NAME...] [-n NS|-A]%s [-l SELECTOR]\n\n"
               "%s\n\n"
               "KIND is a kind's name, its plural or short form: httproutes, gtw, svc, vs, igw (Istio's Gateway) ...\n\n"
               "  -n, --namespace NS      objects of that namespace, default \"default\"\n"
               "  -A, --all-namespaces    of all namespaces\n"
               "  -l, --selector LABELS   a=b,c!=d,e,!f\n%s" CTL_RUN_DIR_HELP
               "\nExit status: 0 found, 1 not found or no answer, 2 usage.\n",
            verb, g->describe ? "" : " [-o table|wide|json|yaml|name]",
            g->describe ? "Says all about objects: what they say, their conditions, and the findings about them."
                        : "Shows objects with their status as the running instance sees them.",
            g->describe ? "" : "  -o, --output FORMAT     table, wide (with files), json, yaml, name\n"
                               "      --no-headers        rows only\n");
    return rc;
}

static void put(const struct buf *b)
{
    fwrite(b->p, 1, b->n, stdout);
}

/* ---- tables ---- */

static void add_columns(struct table *t, const struct kind_info *k, bool wide)
{
    for (size_t i = 0; i < ARRAY_LEN(COLUMNS); i++)
        if (k && COLUMNS[i].kind == k->id && (wide || !COLUMNS[i].wide))
            table_column(t, COLUMNS[i].head, false);
}

static void add_cells(struct table *t, const struct ctl_object *o, bool wide)
{
    for (size_t i = 0; i < ARRAY_LEN(COLUMNS); i++) {
        const struct column *c = &COLUMNS[i];
        struct buf value = {0};
        if (!o->kind || c->kind != o->kind->id || (c->wide && !wide))
            continue;
        if (c->path[0] == '?')
            buf_adds(&value, ctl_condition(o, c->path + 1));
        else
            ctl_collect(o->full, c->path, wide ? 0 : 3, &value);
        table_cell(t, buf_str(&value));
        buf_fini(&value);
    }
}

/* Objects of one kind, v[0..n). `prefix`: names are written KIND/NAME. */
static void print_kind(struct get *g, const struct ctl_object *const *v, size_t n, bool prefix)
{
    struct table t;
    struct buf out = {0};
    bool wide = g->output == OUT_WIDE, spaces = !g->choice.ns && v[0]->ns.n;
    table_init(&t, &g->ctl.arena);
    if (spaces)
        table_column(&t, "NAMESPACE", false);
    table_column(&t, "NAME", false);
    add_columns(&t, v[0]->kind, wide);
    table_column(&t, "STATUS", false);
    table_column(&t, "AGE", true);
    if (wide)
        table_column(&t, "FILE", false);
    for (size_t i = 0; i < n; i++) {
        const struct ctl_object *o = v[i];
        if (spaces)
            table_cell(&t, o->ns);
        table_cellf(&t, STR_FMT "%s" STR_FMT, prefix ? (int)o->kind_name.n : 0, o->kind_name.p, prefix ? "/" : "",
                    STR_ARG(o->name));
        add_cells(&t, o, wide);
        table_cell(&t, ctl_verdict(o));
        table_cell(&t, ctl_age(&g->ctl, o));
        if (wide)
            table_cellf(&t, STR_FMT ":%lld", STR_ARG(o->file), (long long)o->line);
    }
    table_write(&t, g->heads, &out);
    put(&out);
    buf_fini(&out);
}

static bool same_kind(const struct ctl_object *a, const struct ctl_object *b)
{
    return a->kind == b->kind && (a->kind || str_eq(a->kind_name, b->kind_name));
}

static void print_tables(struct get *g, const struct ctl_object *const *v, size_t n)
{
    bool several = n > 0 && !same_kind(v[0], v[n - 1]);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && same_kind(v[i], v[end]); end++)
            ;
        if (i > 0)
            putchar('\n');
        print_kind(g, v + i, end - i, several);
    }
}

/* ---- json, yaml, name ---- */

static const struct node *body_of(const struct ctl_object *o)
{
    return o->full ? o->full : o->judged; /* a rejected one: what is known about it */
}

static void print_json(const struct ctl_object *const *v, size_t n, bool one)
{
    struct buf out = {0};
    if (!one)
        buf_addc(&out, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(&out, ",\n");
        node_json(body_of(v[i]), &out, NULL);
    }
    buf_addc(&out, one ? "\n" : "]}\n");
    put(&out);
    buf_fini(&out);
}

static void print_yaml(const struct ctl_object *const *v, size_t n)
{
    struct buf out = {0};
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(&out, "---\n");
        yaml_out(body_of(v[i]), 0, &out);
    }
    put(&out);
    buf_fini(&out);
}

static void print_names(const struct ctl_object *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf(STR_FMT "/" STR_FMT "\n", STR_ARG(v[i]->kind_name), STR_ARG(v[i]->name));
}

/* ---- describe ---- */

static void describe_map(struct buf *out, const char *head, const struct node *map)
{
    if (!map || map->n_kids == 0)
        return;
    buf_addf(out, "%s\n", head);
    for (size_t i = 0; i < map->n_kids; i++)
        buf_addf(out, "  " STR_FMT ": " STR_FMT "\n", STR_ARG(node_key(map->kids[i])), STR_ARG(node_text(map->kids[i])));
}

static void describe_conditions(void *arg, struct str parent, const struct node *conditions)
{
    struct buf *out = arg;
    if (parent.n)
        buf_addf(out, "Conditions (" STR_FMT "):\n", STR_ARG(parent));
    else
        buf_addc(out, "Conditions:\n");
    for (size_t i = 0; i < conditions->n_kids; i++) {
        const struct node *k = conditions->kids[i];
        buf_addf(out, "  %-18.*s %-6.*s %-20.*s " STR_FMT "\n", STR_ARG(ctl_text(k, "type")),
                 STR_ARG(ctl_text(k, "status")), STR_ARG(ctl_text(k, "reason")), STR_ARG(ctl_text(k, "message")));
    }
}

static void describe_findings(const struct ctl_objects *all, const struct ctl_object *o, struct buf *out)
{
    const struct node *list = node_get(all->status, "diagnostics");
    bool any = false;
    for (size_t i = 0; list && i < list->n_kids; i++) {
        const struct node *d = list->kids[i];
        if (!str_eq(ctl_text(d, "kind"), o->kind_name) || !str_eq(ctl_text(d, "name"), o->name) ||
            !str_eq(ctl_text(d, "namespace"), o->ns))
            continue;
        struct str hint = ctl_text(d, "hint");
        buf_addf(out, "%s  " STR_FMT ":%lld:%lld: " STR_FMT ": " STR_FMT "%s" STR_FMT "%s" STR_FMT "%s\n",
                 any ? "" : "Findings:\n", STR_ARG(ctl_text(d, "file")), (long long)ctl_int(d, "line"),
                 (long long)ctl_int(d, "column"), STR_ARG(ctl_text(d, "severity")), STR_ARG(ctl_text(d, "path")),
                 ctl_text(d, "path").n ? ": " : "", STR_ARG(ctl_text(d, "message")), hint.n ? " (" : "", STR_ARG(hint),
                 hint.n ? ")" : "");
        any = true;
    }
    if (!any)
        buf_addc(out, "Findings: none\n");
}

static void describe_body(const struct ctl_object *o, struct buf *out)
{
    for (size_t i = 0; o->full && i < o->full->n_kids; i++) {
        const struct node *k = o->full->kids[i];
        if (str_eqc(node_key(k), "apiVersion") || str_eqc(node_key(k), "kind") || str_eqc(node_key(k), "metadata") ||
            str_eqc(node_key(k), "status"))
            continue;
        buf_addf(out, STR_FMT ":\n", STR_ARG(node_key(k)));
        yaml_out(k, 2, out);
    }
}

static void describe(const struct ctl_objects *all, const struct ctl_object *o)
{
    struct buf out = {0};
    struct str verdict = ctl_verdict(o);
    buf_addf(&out, "Name:        " STR_FMT "\n", STR_ARG(o->name));
    if (o->ns.n)
        buf_addf(&out, "Namespace:   " STR_FMT "\n", STR_ARG(o->ns));
    buf_addf(&out, "Kind:        " STR_FMT " (" STR_FMT ")\nFile:        " STR_FMT ":%lld\nStatus:      " STR_FMT "%s\n",
             STR_ARG(o->kind_name), STR_ARG(o->api_version), STR_ARG(o->file), (long long)o->line, STR_ARG(verdict),
             o->stale ? " (the version in the file is broken; the last good one is served)" : "");
    buf_addf(&out, "UID:         " STR_FMT "\nGeneration:  %lld\nCreated:     " STR_FMT "\n",
             STR_ARG(ctl_text(o->judged, "uid")), (long long)ctl_int(o->judged, "generation"),
             STR_ARG(ctl_text(o->full, "metadata.creationTimestamp")));
    describe_map(&out, "Labels:", o->full ? node_walk(o->full, "metadata.labels") : NULL);
    describe_map(&out, "Annotations:", o->full ? node_walk(o->full, "metadata.annotations") : NULL);
    describe_body(o, &out);
    ctl_each_conditions(o, describe_conditions, &out);
    describe_findings(all, o, &out);
    put(&out);
    buf_fini(&out);
}

/* ---- the commands ---- */

static int show(struct get *g)
{
    struct ctl_objects all;
    const struct ctl_object **v;
    if (!ctl_objects_load(&g->ctl, &all))
        return 1;
    size_t n = ctl_choose(&g->ctl, &all, &g->choice, &v);
    int rc = 0;
    for (size_t i = 0; i < g->choice.n_names; i++) {
        bool found = false;
        for (size_t k = 0; k < n; k++)
            found |= str_eqc(v[k]->name, g->choice.names[i]);
        if (!found) {
            fprintf(stderr, "gatehouse %s: there is no such object \"%s\" in %s%s\n", g->ctl.verb, g->choice.names[i],
                    g->choice.ns ? "namespace " : "any namespace", g->choice.ns ? g->choice.ns : "");
            rc = 1;
        }
    }
    if (n == 0 && g->choice.n_names == 0 && (g->output == OUT_TABLE || g->output == OUT_WIDE))
        fprintf(stderr, g->choice.ns ? "No objects found in namespace %s.\n" : "No objects found.\n", g->choice.ns);
    if (g->describe) {
        for (size_t i = 0; i < n; i++) {
            if (i > 0)
                puts("");
            describe(&all, v[i]);
        }
        return rc;
    }
    switch (g->output) {
    case OUT_TABLE:
    case OUT_WIDE: print_tables(g, v, n); break;
    case OUT_JSON:
        if (n > 0 || g->choice.n_names == 0)
            print_json(v, n, n == 1 && g->choice.n_names == 1);
        break;
    case OUT_YAML: print_yaml(v, n); break;
    case OUT_NAME: print_names(v, n); break;
    }
    return rc;
}

static bool take_output(struct get *g, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(OUTPUTS); i++)
        if (strcmp(word, OUTPUTS[i]) == 0) {
            g->output = (enum output)i;
            return true;
        }
    fprintf(stderr, "gatehouse %s: -o takes table, wide, json, yaml or name\n", g->ctl.verb);
    return false;
}

/* KIND[,KIND] NAME..., or KIND/NAME. */
static bool take_what(struct get *g, char **words, int n)
{
    char *slash = n > 0 ? strchr(words[0], '/') : NULL;
    if (slash && n == 1) {
        *slash = '\0';
        g->slash_name[0] = slash + 1;
        g->choice.names = g->slash_name;
        g->choice.n_names = 1;
    } else if (n > 1) {
        g->choice.names = (const char *const *)words + 1;
        g->choice.n_names = (size_t)n - 1;
    }
    return ctl_choice_kinds(&g->ctl, &g->choice, n > 0 ? words[0] : "all");
}

static int command(int argc, char **argv, bool describing)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},  {"namespace", required_argument, NULL, 'n'},
        {"all-namespaces", no_argument, NULL, 'A'}, {"selector", required_argument, NULL, 'l'},
        {"run-dir", required_argument, NULL, 'r'}, {"no-headers", no_argument, NULL, 'H'},
        {"help", no_argument, NULL, 'h'},          {0}};
    struct get g = {.ctl.verb = describing ? "describe" : "get", .choice.ns = "default", .heads = true,
                    .describe = describing};
    int opt;
    while ((opt = getopt_long(argc, argv, describing ? "n:Al:h" : "o:n:Al:h", options, NULL)) != -1) {
        switch (opt) {
        case 'o':
            if (!take_output(&g, optarg))
                return 2;
            break;
        case 'n': g.choice.ns = optarg; break;
        case 'A': g.choice.ns = NULL; break;
        case 'l': g.choice.labels = optarg; break;
        case 'r': g.ctl.run_dir = optarg; break;
        case 'H': g.heads = false; break;
        case 'h': return usage(&g, stdout, 0);
        default: return usage(&g, stderr, 2);
        }
    }
    ctl_init(&g.ctl);
    int rc = take_what(&g, argv + optind, argc - optind) ? show(&g) : 2;
    ctl_fini(&g.ctl);
    return rc;
}

int cmd_get(int argc, char **argv)
{
    return command(argc, argv, false);
}

int cmd_describe(int argc, char **argv)
{
    return command(argc, argv, true);
}
