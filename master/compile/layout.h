/*
 * layout.h - inside this room: the sections of an image while they grow.
 *
 * One `struct layout` per compile_bytes. Each section is a growing array of its element; a row's place never
 * changes, its address does with every push to the same section. Running out of memory or numbers is
 * remembered (`failed`), and rows pushed after that go to a place nobody reads, so only compile_bytes asks.
 *
 * Order of work, and who writes what:
 *   compile.c    numbers everything, calls the others, fills in the places on the board, assembles
 *   intern.c     STRINGS, OBJECTS, ORIGINS, REGEXES, CONDS and small answers: equal ones once
 *   clusters.c   CLUSTERS, ENDPOINTS
 *   rules.c      RULES, SPLITS, FILTERS and what they refer to
 *   hosts.c      BINDS, LISTENERS, HOSTS, HOST_SLOTS
 *   chains.c     CHAINS, CHAIN_SLOTS, CIDRS
 *   tls.c        CERTS, TLS_SERVERS, TLS_CLIENTS, NAMES, INDEXES
 *   keys.c       the KEYS image, which is no part of the snapshot
 *   routes.c     per host: ENTRIES, RANKED, LISTS, LIST_SLOTS, EXACT_SLOTS
 *   tree.c       NODES
 *   seal.c       bytes to a sealed memfd
 */
#ifndef GH_COMPILE_LAYOUT_H
#define GH_COMPILE_LAYOUT_H

#include "master/compile/compile.h"
#include "shared/snap/snap.h"

/* Open addressing over rows of one section: equal bytes, one place. */
struct intern_slot { uint64_t hash; uint32_t at, n; };
struct intern {
    struct intern_slot *slots; /* n == INTERN_EMPTY: empty */
    uint32_t n_slots, used;
};

/* A key of EXACT_SLOTS, HOST_SLOTS or CHAIN_SLOTS on its way into the table, which is made when all are known. */
struct layout_key { uint64_t hash; uint32_t value; };
struct layout_keys { struct layout_key *v; size_t n, cap; };

struct layout {
    const struct compile_input *in;
    struct arena arena;      /* gone with the layout */
    struct arena scratch;    /* of one host at a time (routes.c, tree.c): the same memory again and again */
    struct buf section[SNAP_SECTION_COUNT];
    uint32_t n[SNAP_SECTION_COUNT];
    struct intern interns[SNAP_SECTION_COUNT];
    struct layout_keys exact, hosts, chains;
    struct map long_texts;   /* tls.c: bundles and chains, by their slice */
    int failed;              /* 0, GH_E_NOMEM or GH_E_LIMIT */
    struct model_source last_source; /* the object that was written last, and its row */
    struct snap_object last_object;
    struct layout_word { const char *p; struct snap_str at; } words[64]; /* intern_word */
    uint32_t *objects;       /* per model_source: its row of OBJECTS, SNAP_NONE = not asked for yet */
    _Alignas(16) char nowhere[512]; /* what push returns once failed */
};

/* A new zeroed row at the end; valid until the next push to this section. */
void *layout_push(struct layout *l, enum snap_section s);
/* Places for n rows, zeroed; the number of the first. */
uint32_t layout_extend(struct layout *l, enum snap_section s, uint32_t n);
void *layout_row(struct layout *l, enum snap_section s, uint32_t i);
#define PUSH(l, SECTION, type)   ((type *)layout_push((l), SNAP_##SECTION))
#define ROW(l, SECTION, type, i) ((type *)layout_row((l), SNAP_##SECTION, (i)))
void layout_fail(struct layout *l, int code);
void layout_key_add(struct layout *l, struct layout_keys *keys, uint64_t hash, uint32_t value);
/* Fills section `s`, which is empty, with a table of the keys. */
void layout_table(struct layout *l, enum snap_section s, const struct layout_keys *keys);
/* Puts one key into `mask + 1` slots of which one at least will stay empty. */
void layout_place(struct snap_slot *slots, uint32_t mask, uint64_t hash, uint32_t value);

/* intern.c */
struct snap_str intern_str(struct layout *l, struct str text);
/* As they stand, without looking for an equal one: what is known to be there once, as the keys of rules. Half of what a
 * route costs here are look-ups of such things. */
struct snap_str put_text(struct layout *l, struct str text);
uint32_t put_origin(struct layout *l, const struct model_origin *o);
/* As intern_str, of a text whose bytes stay where they are and that many share, as "rules[0]" and names of clusters: found
 * by where it lies. */
struct snap_str intern_word(struct layout *l, struct str text);
struct snap_name intern_name(struct layout *l, struct str text);
/* `text` as the end of `whole` where it is that, else by itself. */
struct snap_str intern_tail(struct layout *l, struct str text, struct str whole, struct snap_str at);
/* The number of a complete row, one of equal ones. */
uint32_t intern_row(struct layout *l, enum snap_section s, const void *row, size_t elem);
uint32_t intern_origin(struct layout *l, const struct model_origin *o);
/* Where a part of the rule with that origin stands: lines below it, when both are of one object. */
uint32_t intern_place(struct layout *l, uint32_t rule_origin, const struct model_origin *o);
/* As intern_row, of n rows. */
struct snap_range intern_rows(struct layout *l, enum snap_section s, const void *rows, size_t n, size_t elem);
struct snap_range intern_codes(struct layout *l, const uint16_t *v, size_t n);
uint32_t intern_regex(struct layout *l, struct str pattern, uint32_t flags);
struct snap_range intern_conds(struct layout *l, const struct model_match *m);
/* About so many different ones will come. */
void intern_reserve(struct layout *l, enum snap_section s, size_t n);
void intern_free(struct layout *l);

/* The rest, by file. */
void layout_clusters(struct layout *l);
void layout_rules(struct layout *l);
void layout_tls(struct layout *l);
void layout_binds(struct layout *l);
/* The chains of BINDS[bind], which is `row`, and who must begin with a PROXY header. Its listeners have numbers. */
void layout_chains(struct layout *l, uint32_t bind, const struct model_bind *b, struct snap_bind *row);
/* Names of hosts and chains in the order of the image: exact ones 0, wildcards with many labels, with few, "*". */
uint32_t layout_breadth(struct str name);
bool layout_is_wildcard(struct str name);
/* Registers HOSTS or CHAINS[value] under its name; sets its bit in *wildcards, or *by_default for "*". */
void layout_name(struct layout *l, struct layout_keys *keys, uint32_t bind, struct str name, uint32_t value,
                 uint32_t *wildcards, uint32_t *by_default);
/* Writes the entries of HOSTS[host] and how they are found. */
void layout_routes(struct layout *l, uint32_t host, const struct model_host *h);

/* Prefixes of one tree: sorted by text, no two equal. `at` is text's place in STRINGS (NUL or not). */
struct layout_prefix { struct str text; uint32_t at, set; };
/* The root; none for none. */
uint32_t layout_tree(struct layout *l, const struct layout_prefix *v, size_t n);

#endif
