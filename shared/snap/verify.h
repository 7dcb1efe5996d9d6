/*
 * verify.h - inside this room: the invariants of format.h that concern the contents of sections.
 *
 * One function per section judges one row; the helpers below say what is wrong with it in a sentence and
 * give false. verify.c has them all but the matcher's, which are in verify_match.c, and those of TLS and layer 4 in
 * verify_tls.c.
 */
#ifndef GH_SNAP_VERIFY_H
#define GH_SNAP_VERIFY_H

#include "shared/snap/snap.h"

/* 0, or negative gh_err and a sentence in why (may be NULL). Sections lie within the image already. */
int snap_verify(const struct snap *s, struct buf *why);
/* Adds the sentence, returns `code`. */
int snap_fault(struct buf *why, int code, const char *fmt, ...) GH_PRINTF(3, 4);

struct verify {
    const struct snap *s;
    struct buf *why;
    enum snap_section section; /* that is judged now */
    uint32_t row;
    uint32_t next[SNAP_SECTION_COUNT]; /* where the next range into a section must begin, for those that
                                          are dealt out without gap or overlap */
};

/* Always false; for `return`. */
bool verify_fault(struct verify *v, const char *fmt, ...) GH_PRINTF(2, 3);
bool verify_index(struct verify *v, const char *member, uint32_t value, enum snap_section to);
bool verify_index_or_none(struct verify *v, const char *member, uint32_t value, enum snap_section to);
bool verify_place(struct verify *v, uint32_t place); /* a line, or an index into ORIGINS */
bool verify_range(struct verify *v, const char *member, struct snap_range r, enum snap_section to);
/* As verify_range, and it begins where the one before ended. */
bool verify_share(struct verify *v, const char *member, struct snap_range r, enum snap_section to);
bool verify_text(struct verify *v, const char *member, struct snap_str t);
bool verify_name(struct verify *v, const char *member, struct snap_name t);
bool verify_enum(struct verify *v, const char *member, uint32_t value, uint32_t count);
/* Every bit of `value` is in `known`. */
bool verify_bits(struct verify *v, const char *member, uint32_t value, uint32_t known);
/* `regex` is given if and only if it is needed, and is one for searching or is not. */
bool verify_regex(struct verify *v, uint32_t regex, bool needed, bool search);

/* Of verify_tls.c. */
bool verify_chain(struct verify *v, const struct snap_chain *c);
bool verify_cert(struct verify *v, const struct snap_cert *c);
bool verify_tls_server(struct verify *v, const struct snap_tls_server *t);
bool verify_tls_client(struct verify *v, const struct snap_tls_client *t);
bool verify_cidr(struct verify *v, const struct snap_cidr *c);
bool verify_bind_streams(struct verify *v, const struct snap_bind *b);

/* Of verify_match.c. */
bool verify_chain_slots(struct verify *v);
bool verify_host_slots(struct verify *v);
bool verify_exact_slots(struct verify *v);
bool verify_bind(struct verify *v, const struct snap_bind *b);
bool verify_host(struct verify *v, const struct snap_host *h);
bool verify_node(struct verify *v, const struct snap_node *n);
bool verify_list(struct verify *v, const struct snap_list *l);
bool verify_entry(struct verify *v, const struct snap_entry *e);
bool verify_cond(struct verify *v, const struct snap_cond *c);

#endif
