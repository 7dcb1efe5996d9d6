#include "shared/ipc/text.h"

void ipc_text_put(struct buf *out, const char *key, struct str value)
{
    buf_addc(out, key);
    buf_addch(out, '=');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\n')
            buf_addc(out, "\\n");
        else if (value.p[i] == '\\')
            buf_addc(out, "\\\\");
        else
            buf_addch(out, value.p[i]);
    }
    buf_addch(out, '\n');
}

bool ipc_text_get(struct str text, const char *key, struct buf *value)
{
    struct str line, k = str_c(key);
    while (str_split(&text, '\n', &line)) {
        if (!str_starts(line, k) || line.n == k.n || line.p[k.n] != '=')
            continue;
        for (size_t i = k.n + 1; i < line.n; i++) {
            if (line.p[i] == '\\' && i + 1 < line.n)
                buf_addch(value, line.p[++i] == 'n' ? '\n' : line.p[i]);
            else
                buf_addch(value, line.p[i]);
        }
        return true;
    }
    return false;
}
