#include "master/compile/compile.h"
#include "shared/base/err.h"
#include "shared/tls/keys.h"

struct used {
    struct arena arena;
    struct keys_entry *v;
    bool *seen;           /* by the certificate's place in the model */
    size_t n;
};

static void use(struct used *u, const struct model_cert *c)
{
    if (u->seen[c->index])
        return;
    u->seen[c->index] = true;
    u->v[u->n++] = (struct keys_entry){c->id, c->private_key};
}

/* Of listeners that are there, and of clusters; a certificate that nobody can be shown needs no key. */
static void find_used(struct used *u, const struct model *m)
{
    for (size_t i = 0; i < m->binds.n; i++) {
        const struct model_bind *b = m->binds.v[i];
        for (size_t k = 0; !b->bind_error && k < b->chains.n; k++) {
            const struct model_tls_server *t = b->chains.v[k]->tls;
            for (size_t j = 0; t && j < t->certs.n; j++)
                use(u, t->certs.v[j]);
        }
    }
    for (size_t i = 0; i < m->clusters.n; i++) {
        const struct model_tls_client *t = m->clusters.v[i]->tls;
        if (t && t->cert && !t->broken)
            use(u, t->cert);
    }
}

int compile_keys(const struct model *m, uint64_t generation, struct buf *image)
{
    struct used u = {.n = 0};
    arena_init(&u.arena, 0, NULL);
    u.v = arena_new_n(&u.arena, struct keys_entry, m->certs.n + 1);
    u.seen = arena_new_n(&u.arena, bool, m->certs.n + 1);
    int rc = GH_E_NOMEM;
    if (u.v && u.seen) {
        for (size_t i = 0; i < m->certs.n; i++)
            m->certs.v[i]->index = (uint32_t)i;
        find_used(&u, m);
        rc = keys_bytes(u.v, u.n, generation, image);
    }
    arena_fini(&u.arena);
    return rc;
}
