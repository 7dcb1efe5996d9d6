/* The tables of the Gateway API and core kinds hold together. */
#include "master/kinds/core_config.h"
#include "master/kinds/core_service.h"
#include "master/kinds/gapi_gateway.h"
#include "master/kinds/gapi_http_route.h"
#include "master/kinds/gapi_reference_grant.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void tables_hold_together(void **state)
{
    static const struct schema *const ALL[] = {
        &SCHEMA_GATEWAY_CLASS, &SCHEMA_GATEWAY,   &SCHEMA_HTTP_ROUTE, &SCHEMA_REFERENCE_GRANT, &SCHEMA_SERVICE,
        &SCHEMA_ENDPOINT_SLICE, &SCHEMA_ENDPOINTS, &SCHEMA_NAMESPACE,  &SCHEMA_CONFIG_MAP,      &SCHEMA_SECRET,
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++) {
        struct buf why = {0};
        if (!schema_verify(ALL[i], &why))
            fail_msg("%s", buf_cstr(&why));
        buf_fini(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_hold_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
