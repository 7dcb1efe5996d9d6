/*
 * re2.h - the RE2 dialect to PCRE2's, inside this room.
 *
 * Pure. Reads a pattern as RE2 does (github.com/google/re2/wiki/Syntax), refuses what RE2 refuses or PCRE2
 * reads as something else, and writes the rest so that PCRE2 reads the same.
 */
#ifndef GH_REGEX_RE2_H
#define GH_REGEX_RE2_H

#include "shared/base/str.h"

#define RE2_DEPTH_MAX  100  /* nested groups */
#define RE2_REPEAT_MAX 1000 /* of one {n,m}, and of the product of nested ones */

/* False: `why` (may be NULL) gets one sentence, *offset the byte. */
bool re2_translate(struct str pattern, struct buf *out, struct buf *why, size_t *offset);

/* Length of the "[:name:]" at the front of `s`, whatever the name is; 0: it is a bracket like another. */
size_t re2_named_class(struct str s);

#endif
