/*
 * ctl.h - the command line: one function per verb, listed in verbs.def.
 *
 * argv[0] is the verb. Exit codes: 0 fine, 1 the answer is no (errors found, not reachable, differs),
 * 2 usage. Results go to stdout, complaints to stderr.
 */
#ifndef GH_CTL_CTL_H
#define GH_CTL_CTL_H

#define VERB(word, fn, group, text) int fn(int argc, char **argv);
#include "master/ctl/verbs.def"
#undef VERB

#endif
