#include "shared/base/base.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void must_failed(const char *cond, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "%s:%d: must(%s) does not hold\n", file, line, cond);
    if (n > 0) {
        size_t len = GH_MIN((size_t)n, sizeof(text) - 1);
        ssize_t ignored = write(STDERR_FILENO, text, len);
        (void)ignored;
    }
    abort();
}
