/*
 * json_read.h - a small JSON reader for texts of our own making: the status of the previous load.
 *
 * Strict about structure, so that a damaged text is refused and not half understood; strings are
 * kept as they stand between their quotes (escapes are not decoded: names and times have none).
 */
#ifndef GH_LOWER_JSON_READ_H
#define GH_LOWER_JSON_READ_H

#include "shared/base/arena.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_MAP };
#define JSON_DEPTH_MAX 16

struct json_node {
    enum json_type type;
    struct str key;  /* in the parent map, without quotes */
    struct str raw;  /* the value as it stands in the text */
    struct str text; /* strings: without the quotes; numbers and bools: as raw */
    struct json_node *first, *next;
};

/* Slices point into `text`. NULL when it is not JSON, or deeper than JSON_DEPTH_MAX. */
struct json_node *json_read(struct arena *a, struct str text);
/* The value under `key` of a map; NULL when absent or `n` is no map. */
const struct json_node *json_get(const struct json_node *n, const char *key);
/* The text of a string under `key`, else the empty slice. */
struct str json_text(const struct json_node *n, const char *key);

#endif
