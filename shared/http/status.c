#include "shared/http/status.h"

/* Prepared lines; the reason is a part of the line. */
static struct str line_of(unsigned code)
{
#define LINE(code, reason) "HTTP/1.1 " #code " " reason "\r\n"
    switch (code) {
#define X(code, id, reason)                                                                        \
    case code:                                                                                     \
        return STR(LINE(code, reason));
#include "shared/tbl/http_status.def"
#undef X
    default:
        return STR_NONE;
    }
#undef LINE
}

struct str http_status_line(unsigned code)
{
    return line_of(code);
}

struct str http_status_reason(unsigned code)
{
    struct str line = line_of(code);
    const size_t before = sizeof("HTTP/1.1 404 ") - 1, after = 2;
    return line.n ? str_of(line.p + before, line.n - before - after) : STR_NONE;
}
