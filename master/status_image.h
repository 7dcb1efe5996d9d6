/*
 * status_image.h - the STATUS image: what `get`, `describe`, /status and /objects show of one generation.
 *
 * One JSON object, made by the compiler, spliced by the admin without being understood:
 *   {"generation":N,
 *    "objects":[{apiVersion,kind,namespace,name,uid,generation,file,line,verdict,stale,status}],   DESIGN section 3
 *    "diagnostics":[...], "summary":{files,objects,errors,warnings},         as `check -o json`
 *    "binds":[{id,address,port,error,listeners:[{key,name,hostname,protocol}]}],
 *    "series":[{slot,what,key,name}],                                        places on the board
 *    "resources":[whole objects, status merged, key material left out]}      those that hold: no rejected ones
 */
#ifndef GH_MASTER_STATUS_IMAGE_H
#define GH_MASTER_STATUS_IMAGE_H

#include "master/model/model.h"
#include "master/store/load.h"

struct snap;
void status_image_write(const struct snap *s, const struct store *st, const struct model *m, const struct diags *ds,
                        const struct load_stats *stats, struct buf *out);

#endif
