#include "master/lower/condition.h"
#include "shared/base/clock.h"

static const char *status_word(const struct condition *c)
{
    return c->unknown ? "Unknown" : c->is_true ? "True" : "False";
}

/* The time of the first condition of this type in `prev`, if it had the same status; else empty. */
static struct str kept_time(struct str prev, const struct condition *c)
{
    static const char TIME[] = "\"lastTransitionTime\":\"";
    struct buf head = {0};
    struct str time = STR_NONE;
    buf_addf(&head, "{\"type\":\"%s\",\"status\":\"", c->type);
    ptrdiff_t at = head.oom ? -1 : str_find(prev, buf_str(&head));
    if (at < 0)
        goto out;
    buf_addf(&head, "%s\",%s", status_word(c), TIME);
    prev = str_skip(prev, (size_t)at);
    if (head.oom || !str_starts(prev, buf_str(&head)))
        goto out;
    prev = str_skip(prev, head.n);
    at = str_chr(prev, '"');
    if (at > 0)
        time = str_head(prev, (size_t)at);
out:
    buf_fini(&head);
    return time;
}

void condition_add(struct buf *out, struct str prev, const struct condition *c, uint64_t generation, uint64_t now_us)
{
    struct str kept = kept_time(prev, c);
    char now[32];
    buf_addf(out, "{\"type\":\"%s\",\"status\":\"%s\",\"lastTransitionTime\":\"", c->type, status_word(c));
    if (kept.n)
        buf_adds(out, kept);
    else
        buf_add(out, now, clock_format(now_us, 0, now));
    buf_addf(out, "\",\"reason\":\"%s\",\"message\":", c->reason);
    buf_json(out, c->message);
    buf_addf(out, ",\"observedGeneration\":%llu}", (unsigned long long)generation);
}

struct str condition_scope(struct str prev, const char *key, struct str value)
{
    struct buf head = {0};
    buf_addf(&head, "\"%s\":", key);
    buf_json(&head, value);
    ptrdiff_t at = head.oom ? -1 : str_find(prev, buf_str(&head));
    struct str rest = at < 0 ? STR_NONE : str_skip(prev, (size_t)at + head.n);
    buf_fini(&head);
    return rest;
}
