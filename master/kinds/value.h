/*
 * value.h - one scalar, list of scalars or map of scalars of a YAML tree into its C member.
 *
 * Between schema.c, which walks maps and sub structs, and the formats. Private to this room.
 */
#ifndef GH_KINDS_VALUE_H
#define GH_KINDS_VALUE_H

#include "master/kinds/schema.h"

/* Reads `n` (not null) into `member`, whose type is that of f->type; findings say what is wrong. False when
 * the value was refused: the member is as it was. For every type but FT_OBJECT, FT_LIST, FT_OBJECT_MAP. */
bool value_decode(struct decoder *d, const struct field *f, const struct node *n, void *member);
/* The member of a field that is not written. */
void value_default(const struct field *f, void *member);
/* A finding "expected <want>, found <what n is>", with a hint where the slip is a common one. */
void value_wrong_type(struct decoder *d, const struct field *f, const struct node *n, const char *want);
/* Length of a list, map or string against min, max and FIELD_NONEMPTY. `unit` names what is counted. */
bool value_check_count(struct decoder *d, const struct field *f, const struct node *n, size_t count,
                       const char *unit);
/* What a field takes, for messages and the manual: "a string", "a list of strings", ... */
const char *value_type_name(enum field_type t);

#endif
