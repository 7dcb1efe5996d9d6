/* log_format_fuzz.c - any bytes as the format string of an access log, and as a header value in it. */
#include "worker/proxy/access_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    struct access_line line;
    struct access_record r = {.start_wall_us = 1795430100123456, .method = in, .path = in, .user_agent = in,
                              .client_address = in, .client_port = 1};
    struct buf why = {0};
    struct log_format f;
    int rc = log_format_parse(in, &f, &why);
    must((rc == 0) == (why.n == 0));
    buf_fini(&why);

    bool ok = access_line_init(&line, in);
    must(ok == (rc == 0));
    if (ok) {
        struct str out = access_line_make(&line, &r);
        must(out.p[out.n - 1] == '\n');
    }
    access_line_fini(&line);
    must(access_line_init(&line, STR_NONE));
    struct str out = access_line_make(&line, &r);
    must(str_chr(out, '\n') == (ptrdiff_t)out.n - 1);
    access_line_fini(&line);
    return 0;
}
