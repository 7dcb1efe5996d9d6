/*
 * format.h - the syntaxes of strings in both APIs, as pure functions.
 *
 * Used by the field tables (enum field_format) and by lowering, where a value comes from an annotation.
 */
#ifndef GH_KINDS_FORMAT_H
#define GH_KINDS_FORMAT_H

#include "master/kinds/schema.h"

/* True when `s` has the format; otherwise `why` (if not NULL) gets what is wrong, without the value:
 * "must begin with '/'". Durations are checked with format_duration. */
bool format_check(enum field_format f, struct str s, struct buf *why);
/* What the format is called in messages and the manual: "a host name". NULL for FMT_NONE. */
const char *format_name(enum field_format f);

/* GEP-2257: 1 to 4 groups of 1 to 5 digits and h, m, s or ms, no sign, no fraction. */
bool format_gep_duration(struct str s, uint64_t *ms);
/* Go: decimal numbers with units h m s ms us ns; "0". *exact is false when it is no multiple of 1 ms. */
bool format_go_duration(struct str s, uint64_t *ms, bool *exact);

/* Standard base64 with padding; line breaks are ignored. False when it is none. */
bool format_base64(struct arena *a, struct str s, struct str *out);

#endif
