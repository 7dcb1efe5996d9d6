#include "shared/http/method.h"

static const struct {
    struct str name;
    bool safe, idempotent;
} methods[METHOD_COUNT] = {
#define X(id, safe, idempotent) [METHOD_##id] = {{#id, sizeof(#id) - 1}, (safe), (idempotent)},
#include "shared/tbl/http_method.def"
#undef X
};

enum http_method http_method_of(struct str name)
{
    if (likely(name.n == 3 && memcmp(name.p, "GET", 3) == 0))
        return METHOD_GET;
    for (int m = METHOD_OTHER + 1; m < METHOD_COUNT; m++) /* the usual ones come first */
        if (methods[m].name.n == name.n && methods[m].name.p[0] == name.p[0] &&
            memcmp(methods[m].name.p, name.p, name.n) == 0)
            return (enum http_method)m;
    return METHOD_OTHER;
}

struct str http_method_name(enum http_method m)
{
    return methods[m].name;
}

bool http_method_is_safe(enum http_method m)
{
    return methods[m].safe;
}

bool http_method_is_idempotent(enum http_method m)
{
    return methods[m].idempotent;
}
