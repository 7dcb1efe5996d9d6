/*
 * front.h - the two readers of one document's text; private to this room.
 */
#ifndef GH_YAML_FRONT_H
#define GH_YAML_FRONT_H

#include "master/yaml/build.h"

/* The text of one document, and where it begins in the file. */
struct front_text {
    struct str text;
    uint32_t first_line;
};

/* Reads with libyaml; false after a finding. b->doc stays NULL for a text without a document. */
bool events_read(struct build *b, struct front_text t);
/* Reads the plain style; false when the text has anything else in it: b is to begin again, no finding. */
bool quick_read(struct build *b, struct front_text t);

/* What libyaml's error says, in words a person can act on (syntax.c). */
struct yaml_parser_s;
void syntax_tell(struct build *b, struct front_text t, const struct yaml_parser_s *p);

#endif
