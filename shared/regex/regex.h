/*
 * regex.h - regular expressions of the configuration: the RE2-compatible subset, by PCRE2.
 *
 * Both APIs promise RE2 syntax. Back-references, look-around, possessive and atomic groups, recursion,
 * conditionals, comments, verbs and callouts are refused when the file is loaded, with the offset; what
 * the two dialects write differently (`{` as a letter, \v, octal escapes, `[[`) is translated, so that a
 * pattern means here what it means to RE2. A match is always anchored at both ends, has match and depth
 * limits, and runs in memory that the first match of a regex reserved.
 *
 * PCRE2's just-in-time compiler is used where the process may make executable memory; where it may not
 * (MemoryDenyWriteExecute, seccomp) the interpreter gives the same answers.
 */
#ifndef GH_REGEX_REGEX_H
#define GH_REGEX_REGEX_H

#include "shared/base/str.h"

#define REGEX_PATTERN_MAX 4096 /* bytes; the APIs' own limits are lower */

enum {
    REGEX_IGNORE_CASE = 1 << 0,
    REGEX_SEARCH = 1 << 1, /* for regex_replace; regex_match is not possible then */
    REGEX_NO_JIT = 1 << 2, /* for a check, or few matches: compiles ten times faster */
};

struct regex; /* compiled; owned by the caller, regex_free. Not for two threads at once. */
/* What matching needs besides the pattern: up to a megabyte. Counted by the regexes that use it, so that
 * many of one thread can share one. */
struct regex_memory;

/* Checks and compiles. NULL on failure: `why` (may be NULL) gets one sentence, *offset (may be NULL) the
 * byte. The pattern is not needed afterwards. */
struct regex *regex_compile(struct str pattern, unsigned flags, struct buf *why, size_t *offset);
void regex_free(struct regex *r); /* NULL-safe */
/* As regex_compile, with shared memory (NULL = of its own). */
struct regex *regex_compile_in(struct regex_memory *m, struct str pattern, unsigned flags, struct buf *why,
                               size_t *offset);
struct regex_memory *regex_memory_new(void); /* NULL: out of memory */
void regex_memory_drop(struct regex_memory *m); /* NULL-safe */
/* For one that was compiled with REGEX_NO_JIT and turns out to be used a lot. */
void regex_speed_up(struct regex *r);
/* Whole-string match. A subject that is not UTF-8 never matches (as with RE2). Running into a limit
 * counts as no match and sets *limit (may be NULL). */
bool regex_match(const struct regex *r, struct str subject, bool *limit);
/* Global replace in `subject` (not anchored; needs REGEX_SEARCH): `\0`..`\9` in `to` are groups, `\\` is a
 * backslash. Appends the result to `out`; returns replacements made, or negative gh_err on a limit. A
 * subject that is not UTF-8 is copied as it is. */
int regex_replace(const struct regex *r, struct str subject, struct str to, struct buf *out);
/* Is `to` a valid replacement for `r`: only groups that exist, no other escape? */
bool regex_replacement_valid(const struct regex *r, struct str to, struct buf *why);
/*
 * The literal bytes every match must begin with ("" when unknown); for the prefix tree. Valid for patterns
 * that compile without REGEX_IGNORE_CASE. Points into `scratch`, which needs pattern.n bytes to hold all of
 * it (a shorter one gives a shorter prefix). `*whole` (may be NULL): the pattern is nothing but these bytes.
 */
struct str regex_literal_prefix(struct str pattern, char *scratch, size_t n_scratch, bool *whole);

#endif
