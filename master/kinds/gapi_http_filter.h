/*
 * gapi_http_filter.h - the filters of HTTPRoute rules and backendRefs; also of GRPCRoute, later.
 */
#ifndef GH_KINDS_GAPI_HTTP_FILTER_H
#define GH_KINDS_GAPI_HTTP_FILTER_H

#include "master/kinds/gapi_http_route.h"

extern const struct schema SCHEMA_HTTP_FILTER;

/* Relations between the filters of one list: what may stand once, what excludes what. */
void gapi_check_filters(struct decoder *d, const struct gapi_http_filters *fs);

#endif
