/*
 * h1_internal.h - between h1_parse.c, which cuts the head into lines, and h1_frame.c, which says what
 * the lines mean for the framing of the message. Nobody else includes it.
 */
#ifndef GH_H1_INTERNAL_H
#define GH_H1_INTERNAL_H

#include "shared/http/field_lookup.h"
#include "worker/codec/h1_parse.h"

enum h1_kind { H1_REQUEST, H1_RESPONSE, H1_TRAILERS };

/* What the fields said (h1_parser.seen). */
enum {
    SEEN_HOST = 1 << 0,
    SEEN_LENGTH = 1 << 1,
    SEEN_CODING = 1 << 2,
    SEEN_EXPECT = 1 << 3,
    SEEN_UPGRADE = 1 << 4,
    SEEN_UPGRADE_TWICE = 1 << 5,
    SEEN_TE_TRAILERS = 1 << 6,
    OPTION_CLOSE = 1 << 7,
    OPTION_KEEP_ALIVE = 1 << 8,
    OPTION_UPGRADE = 1 << 9,
    OPTION_TE = 1 << 10,
    OPTION_NAMES = 1 << 11, /* Connection names other fields */
};

/* Does h1_frame_field have something to say about a field with that id? */
static inline bool h1_frame_wants(const struct h1_parser *p, unsigned id)
{
    return p->kind == H1_TRAILERS || (field_names[id].facts & FIELD_IS_OF_MESSAGE);
}

/* The last field of the head is complete. */
enum h1_error h1_frame_field(struct h1_parser *p);
/* All of them are. */
enum h1_error h1_frame_finish(struct h1_parser *p);

#endif
