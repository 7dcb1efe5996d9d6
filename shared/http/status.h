/*
 * status.h - status codes and their reason phrases (RFC 9110 section 15 and the IANA registry).
 */
#ifndef GH_HTTP_STATUS_H
#define GH_HTTP_STATUS_H

#include "shared/base/str.h"

enum http_status {
#define X(code, id, reason) STATUS_##id = (code),
#include "shared/tbl/http_status.def"
#undef X
};

/* "Not Found"; empty for a code that is not in the table. */
struct str http_status_reason(unsigned code);
/* "HTTP/1.1 404 Not Found\r\n", ready to send; empty for a code that is not in the table. */
struct str http_status_line(unsigned code);
/* May a final response with this code have content? Not with 1xx, 204 and 304. */
static inline bool http_status_has_content(unsigned code)
{
    return code >= 200 && code != 204 && code != 304;
}

#endif
