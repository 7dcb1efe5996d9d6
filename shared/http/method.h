/*
 * method.h - request methods (RFC 9110 section 9). Names are case-sensitive: "get" is METHOD_OTHER.
 */
#ifndef GH_HTTP_METHOD_H
#define GH_HTTP_METHOD_H

#include "shared/base/str.h"

enum http_method {
    METHOD_OTHER, /* any other token; the text is kept beside it */
#define X(id, safe, idempotent) METHOD_##id,
#include "shared/tbl/http_method.def"
#undef X
    METHOD_COUNT
};

enum http_method http_method_of(struct str name);
struct str http_method_name(enum http_method m); /* empty for METHOD_OTHER */
bool http_method_is_safe(enum http_method m);
bool http_method_is_idempotent(enum http_method m); /* false for METHOD_OTHER */

#endif
