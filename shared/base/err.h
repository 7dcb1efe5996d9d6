/*
 * err.h - codes for the world's faults. Functions return 0 or one of these (all negative).
 * One row in err.def gives code, name and text.
 */
#ifndef GH_ERR_H
#define GH_ERR_H

enum gh_err {
    GH_OK = 0,
#define X(name, value, text) GH_E_##name = (value),
#include "shared/base/err.def"
#undef X
};

const char *err_name(int code); /* "E_TRUNCATED"; "E_UNKNOWN" for others */
const char *err_text(int code);

#endif
