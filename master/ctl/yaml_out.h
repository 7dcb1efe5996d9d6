/*
 * yaml_out.h - a tree as block YAML that reads back as the same tree.
 */
#ifndef GH_CTL_YAML_OUT_H
#define GH_CTL_YAML_OUT_H

#include "master/yaml/node.h"

/* Appends `n`, every line indented by `indent` spaces. */
void yaml_out(const struct node *n, unsigned indent, struct buf *out);

#endif
