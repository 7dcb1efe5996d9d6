/*
 * diff.h - what would change between two configurations: inside this room.
 *
 * Both sides are what the compiler makes of a configuration: the objects as STATUS shows them (JSON), and the
 * snapshot. So whatever is shown here was read, judged and compiled as the gateway would do it.
 *
 *   objects    by kind, namespace, name: added, removed, or the fields that differ
 *   routes     by listener, host and match: the answer it gets, and whether another rule now comes first
 *   backends   by cluster: endpoints
 *   settings   of the instance
 */
#ifndef GH_CTL_DIFF_H
#define GH_CTL_DIFF_H

#include "shared/base/arena.h"
#include "shared/snap/snap.h"

struct diff_side {
    struct str resources;     /* JSON list of objects */
    const struct snap *snap;
};

enum diff_how { DIFF_ADDED, DIFF_REMOVED, DIFF_CHANGED, DIFF_MOVED };
enum diff_section { DIFF_OBJECTS, DIFF_ROUTES, DIFF_BACKENDS, DIFF_SETTINGS, DIFF_SECTIONS };

/* Empty: absent on that side. `json`: the values are JSON, else text. */
struct diff_field { struct str path, old, now; bool json; };
struct diff_member { const char *name; struct str value; };
#define DIFF_MEMBERS 5

struct diff_row {
    enum diff_how how;
    struct str title;
    struct diff_member members[DIFF_MEMBERS]; /* the parts of the title, for machines */
    struct { struct diff_field *v; size_t n, cap; } fields;
};

struct diff {
    struct arena *arena;
    struct diff_side old, now;
    bool skip_settings;       /* nobody said which settings the new side has */
    struct { struct diff_row *v; size_t n, cap; } sections[DIFF_SECTIONS];
    struct str fault;         /* a side could not be read */
};

/* False with `fault` set when a side is not what it should be. */
bool diff_run(struct diff *d);
bool diff_is_same(const struct diff *d);
void diff_text(const struct diff *d, bool color, struct buf *out);
void diff_json(const struct diff *d, struct buf *out);

/* Between the files. */
struct diff_row *diff_add(struct diff *d, enum diff_section s, enum diff_how how, struct str title);
struct diff_field *diff_add_field(struct diff *d, struct diff_row *r, struct str path, struct str old, struct str now);
bool diff_objects(struct diff *d);
void diff_routes(struct diff *d);
/* The next element of a JSON list of objects whose text begins at *rest; false at the end or when it is none. */
bool diff_next_element(struct str *rest, struct str *element);

#endif
