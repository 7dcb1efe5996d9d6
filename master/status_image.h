/*
 * status_image.h - the STATUS image: what `get`, `describe`, /status and /objects show of one generation.
 *
 * One JSON object, made by the compiler, spliced by the admin without being understood:
 *   {"generation":N,
 *    "objects":[{apiVersion,kind,namespace,name,uid,generation,file,line,verdict,stale,status}],   DESIGN section 3
 *    "diagnostics":[...],
 *    "binds":[{address,port,error}],
 *    "resources":[whole objects, status merged, key material left out]}
 */
#ifndef GH_MASTER_STATUS_IMAGE_H
#define GH_MASTER_STATUS_IMAGE_H

#include "master/model/model.h"
#include "master/store/store.h"

void status_image_write(uint64_t generation, const struct store *st, const struct model *m, const struct diags *ds,
                        struct buf *out);

#endif
