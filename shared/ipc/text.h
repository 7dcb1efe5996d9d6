/*
 * text.h - `key=value` lines, the text of HELLO. Keys are those of tbl/hello.def; in a value a line break is
 * written \n, a backslash \\. An unknown key is passed over: a newer master may say more.
 */
#ifndef GH_IPC_TEXT_H
#define GH_IPC_TEXT_H

#include "shared/base/str.h"

void ipc_text_put(struct buf *out, const char *key, struct str value);
/* Appends the value of `key` to `value`; false when it is absent. */
bool ipc_text_get(struct str text, const char *key, struct buf *value);

#endif
