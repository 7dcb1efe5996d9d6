#include "worker/codec/h1_parse.h"

static const struct {
    const char *name, *text;
    unsigned status;
} errors[H1_E_COUNT] = {
    [H1_E_NONE] = {"NONE", "no error", 200},
#define X(id, status, text) [H1_E_##id] = {#id, text, (status)},
#include "worker/codec/h1_error.def"
#undef X
};

const char *h1_error_name(enum h1_error e)
{
    return errors[e].name;
}

const char *h1_error_text(enum h1_error e)
{
    return errors[e].text;
}

unsigned h1_error_status(enum h1_error e)
{
    return errors[e].status;
}
