/*
 * ask.h - what the commands that ask the running instance share: client.h with complaints, and JSON answers as
 * trees of nodes (JSON is YAML, so the one parser reads both).
 *
 * Complaints go to stderr in the name of the verb, so that a command only has to end with status 1.
 */
#ifndef GH_CTL_ASK_H
#define GH_CTL_ASK_H

#include "master/ctl/client.h"
#include "master/yaml/node.h"
#include "shared/base/arena.h"

#define CTL_RUN_DIR_ENV "GATEHOUSE_RUN_DIR"
/* For the help of every command that asks. */
#define CTL_RUN_DIR_HELP \
    "  --run-dir DIR           of the instance to ask, default " CLIENT_RUN_DIR " or $" CTL_RUN_DIR_ENV "\n"

struct ctl {
    const char *verb;    /* for complaints */
    const char *run_dir; /* NULL: from the environment, else the default */
    struct arena arena;  /* what json answers are made of; ctl_fini */
};

/* client_request with complaints: what went wrong, and how to start an instance where there is none. True when
 * there is an answer, whatever its status. */
bool ctl_request(const struct ctl *c, const char *method, const char *path, unsigned timeout_ms, struct client_reply *a);
/* GET of a JSON answer with status 200; NULL after a complaint. The nodes live in c->arena. */
const struct node *ctl_json(struct ctl *c, const char *path);
/* Any JSON text; NULL when it is none. */
const struct node *ctl_parse(struct ctl *c, struct str text);
/* "error" or "message" of a JSON answer, else its text. */
struct str ctl_message(struct ctl *c, const struct client_reply *a);
const char *ctl_run_dir(const struct ctl *c);
/* Memory that runs out ends the program with a sentence. */
void ctl_init(struct ctl *c);
void ctl_fini(struct ctl *c);

/* Values of trees that may be incomplete. */
struct str ctl_text(const struct node *n, const char *path);
int64_t ctl_int(const struct node *n, const char *path);
bool ctl_bool(const struct node *n, const char *path);

#endif
