/*
 * regex.h - regular expressions of the configuration: the RE2-compatible subset, by PCRE2.
 *
 * Both APIs promise RE2 syntax. Back-references, look-around, possessive and atomic groups, recursion,
 * conditionals and callouts are refused when the file is loaded, with the offset. A match is always
 * anchored at both ends, has match and depth limits, and never allocates.
 */
#ifndef GH_REGEX_REGEX_H
#define GH_REGEX_REGEX_H

#include "shared/base/str.h"

struct regex; /* compiled (JIT where available); owned by the caller, regex_free */

/* Checks and compiles. NULL on failure: `why` gets one sentence, *offset the byte. Patterns of 1..1024
 * bytes. */
struct regex *regex_compile(struct str pattern, bool ignore_case, struct buf *why, size_t *offset);
void regex_free(struct regex *r); /* NULL-safe */
/* Whole-string match. Running into a limit counts as no match and sets *limit (may be NULL). */
bool regex_match(const struct regex *r, struct str subject, bool *limit);
/* Global replace in `subject` (not anchored): `\0`..`\9` in `to` are groups. Returns replacements made,
 * negative gh_err on a limit. */
int regex_replace(const struct regex *r, struct str subject, struct str to, struct buf *out);
/* The literal bytes every match must begin with ("" when unknown); for the prefix tree. */
struct str regex_literal_prefix(struct str pattern, char *scratch, size_t n_scratch);

#endif
