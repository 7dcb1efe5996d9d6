/*
 * utf8.h - validity of UTF-8 (RFC 3629: no surrogates, no over-long forms, nothing above U+10FFFF).
 */
#ifndef GH_UTF8_H
#define GH_UTF8_H

#include "shared/base/str.h"

/* Length of the longest valid start of `s`; equal to s.n when all of it is valid. */
size_t utf8_valid_prefix(struct str s);
/* Bytes of the sequence at the front of `s` (1..4), 0 when it is invalid or cut. */
size_t utf8_len(struct str s);

#endif
