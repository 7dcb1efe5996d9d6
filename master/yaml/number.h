/*
 * number.h - what a plain scalar is as a number, by the YAML 1.2 core schema; node.h says which texts are none.
 *
 * Pure functions. `s` is not empty and NUL-terminated, as texts of nodes are.
 */
#ifndef GH_YAML_NUMBER_H
#define GH_YAML_NUMBER_H

#include "shared/base/str.h"

bool number_int(struct str s, int64_t *v); /* decimal, 0x, 0o; fits int64_t */
bool number_float(struct str s, double *d); /* .inf and .nan too */

#endif
