#include "shared/base/err.h"

const char *err_name(int code)
{
    switch (code) {
    case GH_OK:
        return "OK";
#define X(name, value, text)                                                                       \
    case value:                                                                                    \
        return "E_" #name;
#include "shared/base/err.def"
#undef X
    default:
        return "E_UNKNOWN";
    }
}

const char *err_text(int code)
{
    switch (code) {
    case GH_OK:
        return "no error";
#define X(name, value, text)                                                                       \
    case value:                                                                                    \
        return text;
#include "shared/base/err.def"
#undef X
    default:
        return "unknown error";
    }
}
