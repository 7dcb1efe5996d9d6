/*
 * settings.h - what the master knows of the instance file: a flat struct, and the text that carries it.
 *
 * The master reads no YAML. The compiler child sends the settings as key=value lines (shared/ipc/text.h); the master
 * takes them as input: numbers are bounded, unknown keys passed over, missing ones are the default. The same text is kept
 * beside the state, so that a cold start after a bad edit of the instance file still finds its directories.
 *
 * Options of the command line win over the file; they are laid over the settings by settings_override.
 */
#ifndef GH_MASTER_SETTINGS_H
#define GH_MASTER_SETTINGS_H

#include "shared/base/str.h"

#define SETTING_TEXT_MAX 2048 /* longest value */
#define WORKERS_MAX      64   /* rows on the board: workers, spare, and as many that drain */

struct settings {
#define SETTING_MEMBER_S(key) char key[SETTING_TEXT_MAX];
#define SETTING_MEMBER_N(key) uint64_t key;
#define X(key, kind, initial, live, text) SETTING_MEMBER_##kind(key)
#include "master/setting.def"
#undef X
};

void settings_defaults(struct settings *s);
/* Takes the lines of `text` over `s`. GH_E_FORMAT when a value is too long or no number (`s` is then partly
 * changed: parse into a copy). */
int settings_parse(struct settings *s, struct str text);
void settings_write(const struct settings *s, struct buf *text);
/* Names of settings that differ and take effect only at the next start, ", " between them. */
void settings_not_live(const struct settings *old, const struct settings *now, struct buf *names);
/* Workers wanted: the setting, or for 0 the processors this process may use (affinity, cgroup quota); 1..WORKERS_MAX. */
uint32_t settings_workers(const struct settings *s);

#endif
