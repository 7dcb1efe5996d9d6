#include "worker/proxy/grpc.h"

/* ---- content types ---- */

/* `type` behind `name`, when it is that: a suffix, parameters or nothing follow. */
static bool type_is(struct str type, struct str name, struct str *suffix)
{
    struct str head = str_head(type, name.n);
    if (!str_eq(head, name) && !str_ieq(head, name)) /* nearly always it is written like this */
        return false;
    struct str rest = str_skip(type, name.n);
    ptrdiff_t end = str_chr(rest, ';');
    *suffix = str_trim(end < 0 ? rest : str_head(rest, (size_t)end), " \t");
    return rest.n == 0 || strchr("+; \t", rest.p[0]);
}

enum grpc_kind grpc_kind_of(struct str type, struct str *suffix)
{
    static const struct {
        struct str name;
        enum grpc_kind kind;
    } TYPES[] = {
        {{"application/grpc", 16}, GRPC_CALL},
        {{"application/grpc-web", 20}, GRPC_WEB},
        {{"application/grpc-web-text", 25}, GRPC_WEB_TEXT},
    };
    *suffix = STR_NONE;
    if (type.n < TYPES[0].name.n)
        return GRPC_NO;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (type_is(type, TYPES[i].name, suffix))
            return TYPES[i].kind;
    *suffix = STR_NONE;
    return GRPC_NO;
}

/* ---- statuses ---- */

/* doc/http-grpc-status-mapping.md of grpc/grpc, and what Envoy does beyond it. */
enum grpc_status grpc_status_of_http(uint16_t http_status)
{
    switch (http_status) {
    case 400: case 414: case 417: case 500: case 505:
        return GRPC_STATUS_INTERNAL;
    case 401:
        return GRPC_STATUS_UNAUTHENTICATED;
    case 403:
        return GRPC_STATUS_PERMISSION_DENIED;
    case 404: case 405: case 421: case 501:
        return GRPC_STATUS_UNIMPLEMENTED;
    case 408:
        return GRPC_STATUS_DEADLINE_EXCEEDED;
    case 413: case 431:
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    case 429: case 502: case 503: case 504:
        return GRPC_STATUS_UNAVAILABLE;
    default:
        return GRPC_STATUS_UNKNOWN;
    }
}

enum grpc_status grpc_status_of(enum reason why, uint16_t http_status)
{
    switch (why) {
    case REASON_UPSTREAM_TIMEOUT:
    case REASON_REQUEST_TIMEOUT:
        return GRPC_STATUS_DEADLINE_EXCEEDED;
    case REASON_INVALID_BACKEND: /* 500 elsewhere: nothing of ours is broken, and it may be mended any moment */
    case REASON_NO_BACKEND:
        return GRPC_STATUS_UNAVAILABLE;
    default:
        return grpc_status_of_http(http_status);
    }
}

bool grpc_status_read(struct str value, uint16_t *status)
{
    uint64_t v;
    if (!str_u64(value, &v) || v > UINT16_MAX)
        return false;
    *status = (uint16_t)v;
    return true;
}

struct str grpc_status_word(uint16_t status)
{
    static const struct str WORDS[] = {
#define X(name, number, word, camel) [number] = {word, sizeof(word) - 1},
#include "shared/tbl/grpc_status.def"
#undef X
    };
    return status < ARRAY_LEN(WORDS) ? WORDS[status] : STR_NONE;
}

struct str grpc_status_camel(uint16_t status)
{
    static const struct str WORDS[] = {
#define X(name, number, word, camel) [number] = {camel, sizeof(camel) - 1},
#include "shared/tbl/grpc_status.def"
#undef X
    };
    return status < ARRAY_LEN(WORDS) ? WORDS[status] : STR_NONE;
}

/* ---- values ---- */

bool grpc_timeout_read(struct str value, uint64_t *ms)
{
    static const struct {
        char unit;
        uint64_t multiply, divide;
    } UNITS[] = {{'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1}, {'m', 1, 1}, {'u', 1, 1000}, {'n', 1, 1000000}};
    uint64_t v;
    if (value.n < 2 || value.n > 9 || !str_u64(str_head(value, value.n - 1), &v))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++)
        if (value.p[value.n - 1] == UNITS[i].unit) {
            uint64_t t = (v * UNITS[i].multiply + UNITS[i].divide - 1) / UNITS[i].divide;
            *ms = t ? t : 1;
            return true;
        }
    return false;
}

size_t grpc_message_write(struct str text, char *out)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c < 0x7f && c != '%') {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = HEX[c >> 4];
        out[n++] = HEX[c & 15];
    }
    return n;
}
