#include "worker/role.h"

static const struct role *const ROLES[] = {
    &ROLE_ROW_WORKER,
    &ROLE_ROW_SCOUT, &ROLE_ROW_ADMIN,
};

const struct role *role_of(uint32_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(ROLES); i++)
        if ((uint32_t)ROLES[i]->id == id)
            return ROLES[i];
    return NULL;
}

role_message_fn *role_handler(const struct role *r, enum ipc_type type)
{
    for (size_t i = 0; i < r->n_messages; i++)
        if (r->messages[i].type == type)
            return r->messages[i].fn;
    return NULL;
}
