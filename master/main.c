/*
 * main.c - the program `gatehouse`: finds the verb in the table and calls it.
 *
 * `gatehouse serve` is the master (serve.c); every other verb is a command of master/ctl/.
 */
#include "config.h"
#include "master/ctl/ctl.h"
#include "shared/base/str.h"
#include "shared/tls/tls_build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct verb {
    const char *word, *group, *text;
    int (*run)(int argc, char **argv);
};

static const struct verb VERBS[] = {
#define VERB(word, fn, group, text) {word, group, text, fn},
#include "master/ctl/verbs.def"
#undef VERB
};

static void print_help(void)
{
    puts("gatehouse - an edge gateway that reads Gateway API and Istio objects from plain YAML files\n\n"
         "usage: gatehouse COMMAND [OPTIONS]");
    const char *group = "";
    for (size_t i = 0; i < ARRAY_LEN(VERBS); i++) {
        const struct verb *v = &VERBS[i];
        if (strcmp(v->group, group) != 0)
            printf("\n%s:\n", group = v->group);
        printf("  %-14s %s\n", v->word, v->text);
    }
    puts("\n`gatehouse COMMAND --help` says more about one of them. `gatehouse --version` prints the version.\n"
         "Exit status: 0 fine, 1 the answer is no, 2 usage.");
}

static const struct verb *find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(VERBS); i++)
        if (strcmp(VERBS[i].word, word) == 0)
            return &VERBS[i];
    return NULL;
}

static int unknown(const char *word)
{
    const char *best = NULL;
    unsigned least = 3;
    for (size_t i = 0; i < ARRAY_LEN(VERBS); i++) {
        unsigned d = str_distance(str_c(word), str_c(VERBS[i].word), 3);
        if (d < least) {
            least = d;
            best = VERBS[i].word;
        }
    }
    fprintf(stderr, "gatehouse: there is no command '%s'", word);
    if (best)
        fprintf(stderr, "; did you mean '%s'?", best);
    fputs("\n`gatehouse --help` lists them.\n", stderr);
    return 2;
}

static void print_version(void)
{
    struct buf tls = {0};
    tls_build_describe(&tls);
    printf("%s\nTLS: %s\n", PACKAGE_STRING, buf_cstr(&tls));
    buf_fini(&tls);
}

/* Answers that did not reach their reader (a full disk, a closed pipe) are no success. */
static int finish(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            perror("gatehouse: standard output");
        return status == 0 ? 1 : status;
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help();
        return 2;
    }
    const char *word = argv[1];
    tls_build_start();
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        const struct verb *about = argc > 2 ? find(argv[2]) : NULL;
        if (about)
            return finish(about->run(2, (char *[]){argv[2], (char *)"--help", NULL}));
        print_help();
        return finish(0);
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        print_version();
        return finish(0);
    }
    const struct verb *v = find(word);
    return v ? finish(v->run(argc - 1, argv + 1)) : unknown(word);
}
