/*
 * letgo.c - long answers do not hold their generation: a hundred reloads under WebSockets must not keep a hundred
 * snapshots mapped.
 *
 * A request needs its generation while it is matched, filtered and tried. Once the head of a backend's answer has gone to the
 * client, what is left of that are the settings, and some names and numbers for the counters and the access log: an excerpt
 * (snap.h) of a kilobyte. When a generation is replaced, the requests that began with it are walked: those so far get an
 * excerpt in its place, shared by neighbours of one rule, and go to a list of their own, `kept`; the others are looked at
 * again a second later. Requests stand in the order in which they began, so a walk ends at the first one of the current
 * generation. What is not let go: a request whose answer has not begun; it may have to be tried again.
 */
#include "worker/proxy/http.h"

#define AT_ONCE 512 /* excerpts of one walk: the loop is not held up by thousands of them */

static void own(struct str *s, const struct snap *of, struct arena *a, bool *ok)
{
    const char *from = (const char *)of->head;
    if (!s->n || s->p < from || s->p >= from + of->size)
        return;
    struct str copy = arena_str(a, *s);
    *ok = *ok && copy.p;
    *s = copy.p ? copy : *s;
}

/* Filters have put texts of the snapshot into the head; the access log shows them. */
static bool own_texts(struct request *r)
{
    struct exchange *x = &r->x;
    struct http_head *h = &x->req;
    struct str *const texts[] = {&h->method,      &h->authority,     &h->host.name, &h->path,        &h->query,      &h->upgrade_to,
                                 &x->path_raw,    &x->query,         &x->authority, &x->request_id,  &x->path,       &x->host_name,
                                 &x->endpoint,    &x->local,         &x->peer,      &x->client_address,
                                 &r->facts.route_name, &r->facts.hostname, &r->facts.upstream_host, &r->facts.server_name};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        own(texts[i], x->snap, &x->arena, &ok);
    for (uint16_t i = 0; i < h->n_fields; i++) {
        own(&h->fields[i].name, x->snap, &x->arena, &ok);
        own(&h->fields[i].value, x->snap, &x->arena, &ok);
    }
    return ok;
}

struct walk {
    const struct snap *of;       /* of which `excerpt` is */
    struct snap_part asked, part;
    struct snap *excerpt;        /* the last one, held */
};

static bool is_same(const struct walk *w, const struct snap *s, const struct snap_part *p)
{
    return w->excerpt && w->of == s && w->asked.listener == p->listener && w->asked.rule == p->rule && w->asked.cluster == p->cluster;
}

/* The excerpt with `part`; a hold for the caller. */
static struct snap *excerpt_of(struct walk *w, const struct snap *s, const struct snap_part *part)
{
    if (!is_same(w, s, part)) {
        snap_drop(w->excerpt);
        w->of = s;
        w->asked = w->part = *part;
        w->excerpt = snap_excerpt(s, &w->part);
    }
    return w->excerpt ? snap_hold(w->excerpt) : NULL;
}

static bool let_go(struct walk *w, struct request *r)
{
    struct exchange *x = &r->x;
    const struct snap_part part = {account_listener(r), x->hit.rule, x->cluster};
    struct snap *old = x->snap, *e = own_texts(r) ? excerpt_of(w, old, &part) : NULL;
    if (!e)
        return false;
    x->snap = e;
    x->bind = NULL;
    x->split = NULL;
    x->hit = (struct route_hit){.listener = w->part.listener, .rule = w->part.rule, .prefix_len = x->hit.prefix_len};
    x->cluster = w->part.cluster;
    r->gen = NULL;
    r->policy = NULL;
    r->ctx.snap = e;
    r->ctx.regexes = NULL;
    r->ctx.split = NULL;
    snap_drop(old);
    return true;
}

/* A backend's answer is on its way to the client: nothing is matched, filtered or tried any more. */
static bool is_far_enough(const struct request *r)
{
    return r->up && r->x.head_sent && r->x.hit.rule && (r->tunnel || r->head_seen);
}

uint64_t http_let_go(struct http_proxy *p)
{
    const struct snap *current = p->current(p->ctx);
    struct walk w = {0};
    uint32_t n = 0, left = 0;
    net_flush(p->net); /* what was sent so far may still be texts of the snapshot */
    for (struct list *it = p->busy.next, *next; it != &p->busy && n < AT_ONCE; it = next) {
        struct request *r = LIST_ITEM(it, struct request, node);
        next = it->next;
        if (r->x.snap == current)
            break;
        if (!is_far_enough(r) || !let_go(&w, r)) {
            left++;
            continue;
        }
        n++;
        list_del(&r->node);
        list_push(&p->kept, &r->node);
    }
    snap_drop(w.excerpt);
    return n == AT_ONCE ? 1 : left ? LET_GO_MS : 0;
}
