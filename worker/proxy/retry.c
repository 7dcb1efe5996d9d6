#include "worker/proxy/retry.h"

#define BACKOFF_MS 25

static bool code_listed(const struct try_state *s, uint16_t status)
{
    SNAP_EACH(i, s->policy->codes)
        if (s->snap->CODES[i] == status)
            return true;
    return false;
}

static bool status_wanted(const struct try_state *s, uint16_t status)
{
    uint32_t on = s->policy->on;
    return ((on & RETRY_ON_5XX) && status >= 500 && status <= 599) ||
           ((on & RETRY_ON_GATEWAY_ERROR) && status >= 502 && status <= 504) ||
           ((on & RETRY_ON_RETRIABLE_4XX) && status == 409) ||
           ((on & RETRY_ON_STATUS_CODES) && code_listed(s, status));
}

static bool grpc_wanted(uint32_t on, uint16_t status)
{
    switch (status) {
    case GRPC_STATUS_CANCELLED:
        return on & RETRY_ON_GRPC_CANCELLED;
    case GRPC_STATUS_DEADLINE_EXCEEDED:
        return on & RETRY_ON_GRPC_DEADLINE_EXCEEDED;
    case GRPC_STATUS_INTERNAL:
        return on & RETRY_ON_GRPC_INTERNAL;
    case GRPC_STATUS_RESOURCE_EXHAUSTED:
        return on & RETRY_ON_GRPC_RESOURCE_EXHAUSTED;
    case GRPC_STATUS_UNAVAILABLE:
        return on & RETRY_ON_GRPC_UNAVAILABLE;
    default:
        return false;
    }
}

/* Does the rule ask for another try after this outcome? */
static bool wanted(const struct try_state *s, const struct try_outcome *o)
{
    const uint32_t none = RETRY_ON_5XX | RETRY_ON_GATEWAY_ERROR; /* "no answer at all" is one of them */
    uint32_t on = s->policy->on;
    switch (o->end) {
    case TRY_CONNECT:
        return on & (RETRY_ON_CONNECT_FAILURE | RETRY_ON_RESET_BEFORE_REQUEST | none);
    case TRY_RESET:
        return on & (RETRY_ON_RESET | none | (o->wrote ? 0u : RETRY_ON_RESET_BEFORE_REQUEST | RETRY_ON_REFUSED_STREAM));
    case TRY_TIMEOUT:
        return on & (RETRY_ON_RESET | none) || ((on & RETRY_ON_STATUS_CODES) && code_listed(s, 504));
    case TRY_BAD:
        return on & none;
    case TRY_STATUS:
        return status_wanted(s, o->status) || grpc_wanted(on, o->grpc);
    }
    return false;
}

enum retry retry_decide(const struct try_state *s, const struct try_outcome *o)
{
    if (!s->replayable)
        return RETRY_NO;
    if (o->end == TRY_RESET && (o->reused || o->refused) && !o->heard && !s->stale_used &&
        (!o->wrote || http_method_is_idempotent(s->method)))
        return RETRY_STALE;
    if (s->policy)
        return s->retries < s->policy->attempts && wanted(s, o) ? RETRY_POLICY : RETRY_NO;
    /* Without a policy: what certainly had no effect goes elsewhere. */
    bool nothing = o->end == TRY_CONNECT || (o->end == TRY_RESET && !o->wrote && !o->heard);
    return nothing && s->others && s->failovers < RETRY_MAX_FAILOVERS ? RETRY_FAILOVER : RETRY_NO;
}

uint32_t retry_backoff_ms(const struct snap_retry *policy, uint32_t random)
{
    uint32_t base = policy->backoff_ms ? policy->backoff_ms : BACKOFF_MS;
    /* What the rule says is the least; jitter only adds. */
    return base + random % (base / 10 + 1);
}
