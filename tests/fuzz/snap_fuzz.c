/*
 * Snapshot bytes to the reader: a good image with words overwritten and its end cut, or any bytes; with the
 * checksum mended, so that the checks behind it are reached. Refused, or every lookup is safe.
 */
#include "shared/regex/regex.h"
#include "tests/fuzz/model_gen.h"

static void ask_everything(const struct snap *s, struct dice *d)
{
    struct arena a;
    struct sample_request r;
    struct route_hit hit;
    arena_init(&a, 0, NULL);
    for (uint32_t b = 0; b < GH_MIN(s->n[SNAP_BINDS], 4u); b++) {
        struct dice q = *d;
        for (int i = 0; i < 12; i++) {
            gen_request(&q, &a, &r);
            r.q.header_ctx = &r;
            route_find(s, &s->BINDS[b], &r.q, &hit);
            const struct snap_chain *c = route_chain(s, &s->BINDS[b], r.q.host);
            must(!c || c->mode == CHAIN_REFUSE || c->mode == CHAIN_PASSTHROUGH || s->TLS_SERVERS[c->tls].certs.n > 0);
        }
    }
    arena_fini(&a);
}

static void open_and_ask(struct buf *image, bool mend, struct dice *d)
{
    struct snap *s = NULL;
    struct buf why = {0}, text = {0};
    char *copy = malloc(image->n ? image->n : 1); /* of exactly this size, for AddressSanitizer */
    must(copy);
    memcpy(copy, image->n ? image->p : "", image->n);
    if (mend && image->n >= sizeof(struct snap_header)) {
        struct snap_header h;
        memcpy(&h, copy, sizeof(h));
        h.size = image->n;
        memcpy(copy, &h, sizeof(h));
        h.checksum = snap_checksum(str_of(copy, image->n));
        memcpy(copy, &h, sizeof(h));
    }
    int rc = snap_open_bytes(&s, str_of(copy, image->n), &why);
    must((rc == 0) == (s != NULL) && (rc == 0) == (why.n == 0));
    if (s) {
        ask_everything(s, d);
        snap_dump_model(s, &text);
        snap_sizes(s, &text);
        snap_drop(s);
    }
    free(copy);
    buf_fini(&why);
    buf_fini(&text);
}

/* Overwrites a word of a row of a section with a value that may be interesting there. */
static void damage(struct buf *image, struct dice *d)
{
    struct snap_header *h = (void *)image->p;
    const struct snap_section_row *row = &h->sections[roll(d, SNAP_SECTION_COUNT)];
    uint32_t word, n = row->n, values[] = {0, 1, SNAP_NONE, n, n + 1, SNAP_SET_LIST, SNAP_SET_LIST | 1, 0x7fffffff, 255};
    uint64_t at = row->off + (roll(d, 256) | roll(d, 4) << 8) * 4ull % ((uint64_t)row->n * row->elem + 4);
    if (roll(d, 16) == 0) /* or of the header */
        at = roll(d, sizeof(*h) / 4) * 4ull;
    if (at + 4 > image->n)
        return;
    memcpy(&word, image->p + at, 4);
    uint32_t how = roll(d, 4);
    word = how == 0 ? PICK(d, values) : how == 1 ? word ^ 1u << roll(d, 32) : how == 2 ? word + roll(d, 4) : word - roll(d, 4);
    memcpy(image->p + at, &word, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dice d = {data, size};
    uint32_t mode = roll(&d, 8);
    struct sample s;
    if (mode == 0) {
        struct buf raw = {0};
        buf_add(&raw, d.p ? (const char *)d.p : "", d.n);
        open_and_ask(&raw, true, &d);
        buf_fini(&raw);
        return 0;
    }
    struct dice model = {d.p, d.n > 60 ? d.n - 40 : d.n};
    struct dice harm = {d.p + model.n, d.n - model.n};
    gen_model(&model, &s);
    snap_drop(sample_open(&s));
    for (uint32_t n = 1 + roll(&harm, 5); n > 0; n--)
        damage(&s.image, &harm);
    size_t cut = roll(&harm, 8) == 1 ? roll(&harm, 256) * 8u : 0;
    s.image.n -= GH_MIN(s.image.n, cut);
    open_and_ask(&s.image, mode > 1, &d);
    sample_fini(&s);
    return 0;
}
