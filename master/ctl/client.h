/*
 * client.h - one request to the running gateway, over the admin socket in its run directory.
 *
 * Blocking, with a deadline for the whole of it. The socket's file mode says who may ask; nobody else answers
 * there, but what comes back is still taken as input: heads and bodies have limits.
 */
#ifndef GH_CTL_CLIENT_H
#define GH_CTL_CLIENT_H

#include "shared/base/str.h"

#define CLIENT_RUN_DIR    "/run/gatehouse"
#define CLIENT_TIMEOUT_MS 10000
#define CLIENT_BODY_MAX   ((size_t)1 << 30)

struct client_reply {
    unsigned status;
    struct buf body; /* the caller's, buf_fini */
};

/* `target` is path and query. 0, or negative gh_err with a sentence in `why` that names the run directory; a
 * status that is no 2xx is no failure. */
int client_request(const char *run_dir, const char *method, const char *target, uint64_t timeout_ms,
                   struct client_reply *reply, struct buf *why);
/* GET that must be answered with 200: else GH_E_REFUSED, and the sentence has the answer's text. */
int client_get(const char *run_dir, const char *target, struct buf *body, struct buf *why);

#endif
