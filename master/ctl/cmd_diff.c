/*
 * cmd_diff.c - `gatehouse diff DIR`: what would change if DIR were the configuration.
 *
 * Against the running gateway, the new side is built as the next reload would do it: identities (uid, age) of
 * the running objects are given to it as its state, because age decides which of two rules comes first.
 */
#include "master/build.h"
#include "master/ctl/client.h"
#include "master/ctl/ctl.h"
#include "master/ctl/diff.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INSTANCE_FILE GH_SYSCONFDIR "/gatehouse.yaml"

struct side {
    struct build build;
    bool built;
    struct buf image, objects; /* of the running gateway */
    struct snap *snap;
    struct str resources;
};

struct command {
    const char *dir, *conf_dir, *run_dir, *instance_file;
    bool json, config_given;
    struct arena arena;
    struct side old, now;
    struct buf state; /* of the running objects, for the new side */
};

static int usage(FILE *f, int rc)
{
    fputs("usage: gatehouse diff DIR [--conf-dir DIR | --run-dir DIR] [--config FILE] [-o text|json]\n\n"
          "Says what would change if DIR (directory or file) were the configuration: objects, the answers of routes,\n"
          "backends and settings. Nothing is changed. Of the values in Secrets only sizes are compared.\n\n"
          "  --conf-dir DIR          compare with the configuration in that directory\n"
          "  --run-dir DIR           compare with the running gateway of that run directory, default " CLIENT_RUN_DIR "\n"
          "  --config FILE           settings of the process for what is read from a directory, default " INSTANCE_FILE ";\n"
          "                          they are compared with those of a running gateway only if this is given\n"
          "  -o, --output text|json\n\n"
          "Exit status: 0 no difference, 1 there is one, or a side can't be read, 2 usage.\n",
          f);
    return rc;
}

static bool complain(const char *what)
{
    fprintf(stderr, "gatehouse diff: %s\n", what);
    return false;
}

/* The member that STATUS has last; its name at the beginning of a line is not part of any text. */
static struct str resources_of(struct str status)
{
    ptrdiff_t at = str_find(status, STR("\n\"resources\":["));
    return at < 0 ? STR("") : str_skip(status, (size_t)at + sizeof("\n\"resources\":") - 1);
}

static bool build_side(struct command *c, struct side *s, const char *dir)
{
    struct build_input in = {.paths = &dir, .n_paths = 1, .instance_file = c->instance_file, .generation = 1,
                             .prev_state = buf_str(&c->state)};
    int rc = build_run(&s->build, &in);
    s->built = true;
    if (s->build.diags.n_errors > 0)
        fprintf(stderr, "gatehouse diff: %zu %s in %s (gatehouse check %s); what is broken is left out\n",
                s->build.diags.n_errors, s->build.diags.n_errors == 1 ? "error" : "errors", dir, dir);
    if (rc == 0)
        rc = snap_open_bytes(&s->snap, buf_str(&s->build.snapshot), &s->build.why);
    if (rc != 0)
        return complain(buf_cstr(&s->build.why));
    s->resources = resources_of(buf_str(&s->build.status));
    return true;
}

/* --- the running gateway ------------------------------------------------------------------------- */

static void keep_identity(struct command *c, struct state *st, const struct source *src, struct str json)
{
    struct diags unheard;
    diags_init(&unheard, &c->arena);
    const struct node *root = yaml_parse_document(&c->arena, src, json, 1, &YAML_LIMITS_DEFAULT, &unheard);
    struct str version = node_text(node_get(root, "apiVersion"));
    ptrdiff_t slash = str_rchr(version, '/');
    const struct node *generation = node_walk(root, "metadata.generation");
    struct state_object *o = arena_new(&c->arena, struct state_object);
    o->kind_group = slash < 0 ? STR("") : str_head(version, (size_t)slash);
    o->kind = node_text(node_get(root, "kind"));
    o->ns = node_text(node_walk(root, "metadata.namespace"));
    o->name = node_text(node_walk(root, "metadata.name"));
    o->uid = node_text(node_walk(root, "metadata.uid"));
    o->generation = generation && generation->type == NODE_INT ? (uint64_t)node_int(generation) : 1;
    o->line = 1;
    o->text = json; /* what keeps serving if the new version is broken */
    if (o->uid.n && clock_parse(node_text(node_walk(root, "metadata.creationTimestamp")), &o->created_us))
        map_put(&st->objects, state_key(&c->arena, o), o);
}

static void keep_identities(struct command *c, struct str resources)
{
    struct state st;
    struct str element;
    struct source *src = arena_new(&c->arena, struct source);
    *src = (struct source){.path = STR("(running)"), .text = resources};
    state_init(&st, &c->arena);
    while (diff_next_element(&resources, &element))
        keep_identity(c, &st, src, element);
    state_write(&st, &c->state);
}

static bool running_side(struct command *c, struct side *s)
{
    const char *dir = c->run_dir ? c->run_dir : CLIENT_RUN_DIR;
    struct buf why = {0};
    int rc = client_get(dir, "/objects", &s->objects, &why);
    if (rc == 0)
        rc = client_get(dir, "/snapshot", &s->image, &why);
    if (rc == 0)
        rc = snap_open_bytes(&s->snap, buf_str(&s->image), &why);
    if (rc != 0) {
        complain(buf_cstr(&why));
        buf_fini(&why);
        return false;
    }
    ptrdiff_t at = str_find(buf_str(&s->objects), STR("\"items\":["));
    if (at < 0)
        return complain("the running gateway's list of objects is not understood");
    s->resources = str_skip(buf_str(&s->objects), (size_t)at + sizeof("\"items\":") - 1);
    keep_identities(c, s->resources);
    return true;
}

static void side_free(struct side *s)
{
    snap_drop(s->snap);
    if (s->built)
        build_free(&s->build);
    buf_fini(&s->image);
    buf_fini(&s->objects);
}

/* --- the command --------------------------------------------------------------------------------- */

static bool wants_color(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static int compare(struct command *c)
{
    struct buf out = {0};
    struct diff d = {.arena = &c->arena, .old = {c->old.resources, c->old.snap}, .now = {c->now.resources, c->now.snap}};
    d.skip_settings = !c->conf_dir && !c->config_given; /* the running gateway may have been started with others */
    if (!diff_run(&d)) {
        complain(d.fault.p);
        return 1;
    }
    if (c->json)
        diff_json(&d, &out);
    else
        diff_text(&d, wants_color(), &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_fini(&out);
    return diff_is_same(&d) ? 0 : 1;
}

static void out_of_memory(void)
{
    die("out of memory");
}

static int run(struct command *c)
{
    int rc = 1;
    arena_init(&c->arena, (size_t)1 << 20, out_of_memory);
    if ((c->conf_dir ? build_side(c, &c->old, c->conf_dir) : running_side(c, &c->old)) && build_side(c, &c->now, c->dir))
        rc = compare(c);
    side_free(&c->old);
    side_free(&c->now);
    buf_fini(&c->state);
    arena_fini(&c->arena);
    return rc;
}

int cmd_diff(int argc, char **argv)
{
    static const struct option known[] = {{"conf-dir", required_argument, NULL, 'd'}, {"run-dir", required_argument, NULL, 'r'},
                                          {"config", required_argument, NULL, 'c'},   {"output", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},           {0}};
    struct command c = {.instance_file = INSTANCE_FILE};
    int opt;
    while ((opt = getopt_long(argc, argv, "o:h", known, NULL)) != -1) {
        switch (opt) {
        case 'd': c.conf_dir = optarg; break;
        case 'r': c.run_dir = optarg; break;
        case 'c':
            c.instance_file = optarg;
            c.config_given = true;
            break;
        case 'o':
            c.json = strcmp(optarg, "json") == 0;
            if (!c.json && strcmp(optarg, "text") != 0) {
                complain("-o takes text or json");
                return 2;
            }
            break;
        case 'h': return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    if (argc - optind != 1 || (c.conf_dir && c.run_dir))
        return usage(stderr, 2);
    c.dir = argv[optind];
    return run(&c);
}
