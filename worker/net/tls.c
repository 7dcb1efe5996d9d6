#include "worker/net/tls_internal.h"
#include "worker/net/tls_context.h"
#include "shared/http/host.h"
#include "shared/tls/hello.h"

#include <errno.h>
#include <stdlib.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#define RECORD_HEAD  5u
#define RECORD_PLAIN (16u * 1024)
#define RECORD_MAX   (RECORD_PLAIN + 2048) /* of TLS 1.2; wolfSSL knows the limit of 1.3 */
#define SEALED_FULL  (NET_SCRATCH + RECORD_PLAIN) /* of the buffer: then it is given to the socket. One read's bytes fit, sealed */
#define MIB          (1024u * 1024)

/* What is needed during a call only; one for all connections of a worker. */
struct tls_room {
    size_t pos, end, n;      /* of `in`: given to wolfSSL so far, end of the whole records, of all bytes */
    size_t record;           /* where the last one given began */
    struct buf sealed;
    char in[NET_SCRATCH];
    char stage[RECORD_PLAIN];/* small pieces become one record here */
};

static bool room_get(struct net *n)
{
    if (n->tls_room)
        return true;
    n->tls_room = malloc(sizeof(*n->tls_room));
    if (!n->tls_room)
        return false;
    n->tls_room->pos = n->tls_room->end = n->tls_room->n = n->tls_room->record = 0;
    n->tls_room->sealed = (struct buf){0};
    return true;
}

void tls_room_free(struct net *n)
{
    if (!n->tls_room)
        return;
    buf_fini(&n->tls_room->sealed);
    free(n->tls_room);
    n->tls_room = NULL;
}

/* --- faults --------------------------------------------------------------------------------------------------- */

static const struct { const char *word, *text; } FAULTS[] = {
#define X(name, word, text) {word, text},
#include "shared/tbl/tls_fault.def"
#undef X
};

const char *tls_fault_word(enum tls_fault f)
{
    return f < TLS_FAULT_COUNT ? FAULTS[f].word : "-";
}

const char *tls_fault_text(enum tls_fault f)
{
    return f < TLS_FAULT_COUNT ? FAULTS[f].text : "-";
}

/* The first one stays. */
static void set_fault(struct tls *t, enum tls_fault f)
{
    if (t->fault == TLS_FAULT_NONE)
        t->fault = (uint8_t)f;
}

static const char *alert_name(int code)
{
    static const struct { uint8_t code; const char *name; } NAMES[] = {
        {0, "close_notify"}, {10, "unexpected_message"}, {20, "bad_record_mac"}, {22, "record_overflow"},
        {40, "handshake_failure"}, {42, "bad_certificate"}, {43, "unsupported_certificate"},
        {44, "certificate_revoked"}, {45, "certificate_expired"}, {46, "certificate_unknown"},
        {47, "illegal_parameter"}, {48, "unknown_ca"}, {49, "access_denied"}, {50, "decode_error"},
        {51, "decrypt_error"}, {70, "protocol_version"}, {71, "insufficient_security"}, {80, "internal_error"},
        {86, "inappropriate_fallback"}, {90, "user_canceled"}, {109, "missing_extension"},
        {110, "unsupported_extension"}, {112, "unrecognized_name"}, {116, "certificate_required"},
        {120, "no_application_protocol"},
    };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (NAMES[i].code == code)
            return NAMES[i].name;
    return "unknown alert";
}

static enum tls_fault fault_of_error(int err)
{
    static const struct { int err; enum tls_fault fault; } ROWS[] = {
        {ASN_NO_SIGNER_E, TLS_FAULT_UNKNOWN_CA}, {ASN_SELF_SIGNED_E, TLS_FAULT_UNKNOWN_CA},
        {ASN_SIG_CONFIRM_E, TLS_FAULT_UNKNOWN_CA}, {ASN_AFTER_DATE_E, TLS_FAULT_EXPIRED},
        {ASN_BEFORE_DATE_E, TLS_FAULT_NOT_YET}, {CRL_CERT_REVOKED, TLS_FAULT_REVOKED},
        {DOMAIN_NAME_MISMATCH, TLS_FAULT_WRONG_NAME}, {IPADDR_MISMATCH, TLS_FAULT_WRONG_NAME},
        {NO_PEER_CERT, TLS_FAULT_NO_CERT}, {MATCH_SUITE_ERROR, TLS_FAULT_CIPHER}, {NO_CERT_ERROR, TLS_FAULT_NO_CERT},
        {BAD_KEY_SHARE_DATA, TLS_FAULT_CIPHER}, {ECC_CURVE_ERROR, TLS_FAULT_CIPHER},
        {VERSION_ERROR, TLS_FAULT_VERSION}, {UNKNOWN_ALPN_PROTOCOL_NAME_E, TLS_FAULT_ALPN},
        {MEMORY_E, TLS_FAULT_MEMORY}, {MEMORY_ERROR, TLS_FAULT_MEMORY},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        if (ROWS[i].err == err)
            return ROWS[i].fault;
    static const int16_t OF_CERTIFICATES[] = {
        VERIFY_CERT_ERROR, VERIFY_SIGN_ERROR, CRL_MISSING, MAX_CHAIN_ERROR, RSA_KEY_SIZE_E, ECC_KEY_SIZE_E,
        ASN_CRL_CONFIRM_E, ASN_CRL_NO_SIGNER_E, ASN_NAME_INVALID_E, ASN_PATHLEN_SIZE_E, ASN_PATHLEN_INV_E,
        KEYUSE_SIGNATURE_E, KEYUSE_ENCIPHER_E, EXTKEYUSE_AUTH_E, CRL_CERT_DATE_ERR, NOT_CA_ERROR,
    };
    for (size_t i = 0; i < ARRAY_LEN(OF_CERTIFICATES); i++)
        if (OF_CERTIFICATES[i] == err)
            return TLS_FAULT_BAD_CERT;
    return err <= ASN_PARSE_E && err >= ASN_NO_PEM_HEADER ? TLS_FAULT_BAD_CERT : TLS_FAULT_PROTOCOL;
}

/*
 * The code of the peer's fatal alert, or -1. A client of TLS 1.3 that does not trust our certificate may say so before
 * it has taken its keys into use: to the library that record is not valid, to operators it is the reason.
 */
static int alert_of_peer(const struct tls *t)
{
    WOLFSSL_ALERT_HISTORY h;
    const struct tls_room *r = t->room;
    if (wolfSSL_get_alert_history(t->ssl, &h) == WOLFSSL_SUCCESS && h.last_rx.level == alert_fatal)
        return h.last_rx.code;
    if (!(t->flags & TLS_F_SHAKING) || r->end < r->record + RECORD_HEAD + 2)
        return -1;
    const unsigned char *p = (const unsigned char *)r->in + r->record;
    bool plain = p[0] == 21 && p[1] == 3 && p[3] == 0 && p[4] == 2 && p[RECORD_HEAD] == alert_fatal;
    return plain ? p[RECORD_HEAD + 1] : -1;
}

static void fault_from(struct tls *t, int err)
{
    int code = t->fault == TLS_FAULT_NONE ? alert_of_peer(t) : -1;
    if (code >= 0) {
        set_fault(t, TLS_FAULT_ALERT);
        t->detail = alert_name(code);
        return;
    }
    set_fault(t, fault_of_error(err));
    if (!t->detail)
        t->detail = t->fault == TLS_FAULT_PROTOCOL || t->fault == TLS_FAULT_BAD_CERT ? wc_GetErrorString(err) : NULL;
}

int tls_errno(const struct conn *c)
{
    switch ((enum tls_fault)c->tls->fault) {
    case TLS_FAULT_MEMORY:
        return ENOMEM;
    case TLS_FAULT_CLOSED:
        return ECONNRESET;
    default:
        return EPROTO;
    }
}

/* --- wolfSSL's input and output --------------------------------------------------------------------------------- */

static int give_record(WOLFSSL *ssl, char *out, int n, void *ctx)
{
    struct tls_room *r = ((struct tls *)ctx)->room;
    size_t k = GH_MIN(r->end - r->pos, (size_t)n);
    (void)ssl;
    if (!k)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    if (n == RECORD_HEAD) /* what it asks for first */
        r->record = r->pos;
    memcpy(out, r->in + r->pos, k);
    r->pos += k;
    return (int)k;
}

static int take_record(WOLFSSL *ssl, char *data, int n, void *ctx)
{
    struct tls_room *r = ((struct tls *)ctx)->room;
    (void)ssl;
    buf_add(&r->sealed, data, (size_t)n);
    return r->sealed.oom ? WOLFSSL_CBIO_ERR_GENERAL : n;
}

struct str tls_sealed(const struct net *n)
{
    return n->tls_room ? buf_str(&n->tls_room->sealed) : STR_NONE;
}

void tls_sealed_clear(struct net *n)
{
    n->tls_room->sealed.oom = false;
    buf_clear(&n->tls_room->sealed);
}

/* --- beginning ---------------------------------------------------------------------------------------------------- */

static bool offer_protocols(struct tls *t, unsigned alpn)
{
    static char H2[] = "h2", HTTP1[] = "http/1.1", BOTH[] = "h2,http/1.1";
    char *list = alpn == TLS_ALPN_H2 ? H2 : alpn == TLS_ALPN_HTTP1 ? HTTP1 : BOTH;
    if (!alpn)
        return true;
    /* A server has chosen: what it names is in the client's list. A client says what it can do; the owner judges. */
    unsigned char how = t->flags & TLS_F_SERVER ? WOLFSSL_ALPN_FAILED_ON_MISMATCH : WOLFSSL_ALPN_CONTINUE_ON_MISMATCH;
    return wolfSSL_UseALPN(t->ssl, list, (unsigned)strlen(list), how) == WOLFSSL_SUCCESS;
}

static bool same_name(const struct tls *t)
{
    const struct tls_session *s = t->session;
    return s->held && s->context_id == tls_context_id(t->context) && s->name_hash == hash_str(tls_name(t), 0);
}

/* Each connection has its own copy: a new ticket changes the session that it came with. */
static void resume(struct tls *t)
{
    if (!t->session || !t->session->held || !same_name(t))
        return;
    WOLFSSL_SESSION *copy = wolfSSL_SESSION_dup(t->session->held);
    if (!copy)
        return;
    if (wolfSSL_set_session(t->ssl, copy) != WOLFSSL_SUCCESS)
        tls_session_clear(t->session); /* too old */
    wolfSSL_SESSION_free(copy);
}

/* RFC 6066: addresses are no server names. */
static bool is_address(struct str name)
{
    struct http_host h;
    return !http_host_parse(name, &h) || h.kind != HOST_NAME;
}

static bool set_up(struct tls *t)
{
    WOLFSSL *ssl = t->ssl;
    wolfSSL_SSLSetIORecv(ssl, give_record);
    wolfSSL_SSLSetIOSend(ssl, take_record);
    wolfSSL_SetIOReadCtx(ssl, t);
    wolfSSL_SetIOWriteCtx(ssl, t);
    wolfSSL_SetCertCbCtx(ssl, t);
    if (!(t->flags & TLS_F_SERVER)) {
        if (t->name_n && !is_address(tls_name(t)) && wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, t->name, t->name_n) != WOLFSSL_SUCCESS)
            return false;
        resume(t);
    }
    return offer_protocols(t, t->alpn) && tls_context_apply(t->context, t);
}

static int make(struct conn *c, const struct tls_start *how, unsigned flags)
{
    must(!c->tls && how->server_name.n <= HELLO_NAME_MAX);
    struct tls *t = calloc(1, sizeof(*t) + how->server_name.n + 1);
    if (!t || !room_get(c->net)) {
        free(t);
        return -ENOMEM;
    }
    if (how->server_name.n)
        memcpy(t->name, how->server_name.p, how->server_name.n);
    t->name_n = (uint8_t)how->server_name.n;
    t->flags = (uint16_t)(flags | TLS_F_SHAKING);
    t->room = c->net->tls_room;
    t->context = tls_context_hold(how->context);
    t->session = how->session;
    t->alpn = how->alpn;
    t->need = RECORD_HEAD;
    t->idle_left = TLS_IDLE_RECORDS;
    t->ssl = wolfSSL_new(tls_context_ctx(t->context));
    c->tls = t;
    if (t->ssl && set_up(t))
        return 0;
    tls_free(c);
    return -ENOMEM;
}

int tls_make_server(struct conn *c, const struct tls_start *how)
{
    return make(c, how, TLS_F_SERVER);
}

int tls_make_client(struct conn *c, const struct tls_start *how)
{
    return make(c, how, 0);
}

void tls_free(struct conn *c)
{
    struct tls *t = c->tls;
    if (!t)
        return;
    c->tls = NULL;
    wolfSSL_free(t->ssl);
    chunkq_clear(&t->part, &c->net->chunks);
    chunkq_clear(&t->kept, &c->net->chunks);
    tls_context_drop(t->context);
    for (int i = 0; i < TLS_NOTES; i++)
        free((char *)(uintptr_t)t->notes[i].p);
    free(t->peer);
    free(t);
}

/* --- bytes from the socket ------------------------------------------------------------------------------------------ */

static bool has_whole(const struct tls *t)
{
    return t->part.n >= t->need;
}

bool tls_more(const struct conn *c)
{
    const struct tls *t = c->tls;
    return t->fault || (t->flags & (TLS_F_PEER_END | TLS_F_EARLY_END)) || has_whole(t);
}

char *tls_in(struct conn *c, size_t *room)
{
    *room = NET_SCRATCH - c->tls->part.n;
    return c->tls->room->in + c->tls->part.n;
}

/* What waits goes before what has just come. */
static void load(struct conn *c)
{
    struct tls *t = c->tls;
    char *at = t->room->in;
    for (const struct chunk *k = t->part.first; k; k = k->next) {
        memcpy(at, k->data + k->from, k->to - k->from);
        at += k->to - k->from;
    }
    t->room->n += t->part.n;
    chunkq_clear(&t->part, &c->net->chunks);
}

static void keep(struct conn *c, const char *data, size_t n)
{
    if (n && !chunkq_add(&c->tls->part, &c->net->chunks, data, n))
        set_fault(c->tls, TLS_FAULT_MEMORY);
}

void tls_took(struct conn *c, size_t n)
{
    struct tls *t = c->tls;
    struct tls_room *r = t->room;
    if (n == 0) {
        t->flags |= TLS_F_EARLY_END;
    } else if (t->part.n + n < t->need) {
        keep(c, r->in + t->part.n, n); /* a slow record costs no copying of what is there already */
    } else {
        r->n = n;
        load(c);
    }
}

static size_t record_size(const char *p)
{
    return RECORD_HEAD + ((size_t)(unsigned char)p[3] << 8 | (unsigned char)p[4]);
}

/* Finds the end of the whole records, and what is missing to the next one. */
static unsigned cut_records(struct tls *t)
{
    struct tls_room *r = t->room;
    unsigned records = 0;
    r->pos = r->end = r->record = 0;
    t->need = RECORD_HEAD;
    while (r->n - r->end >= RECORD_HEAD) {
        const char *p = r->in + r->end;
        size_t size = record_size(p);
        if (p[0] < 20 || p[0] > 23 || p[1] != 3 || size > RECORD_HEAD + RECORD_MAX) {
            set_fault(t, TLS_FAULT_PROTOCOL);
            t->detail = "not a record";
            break;
        }
        t->need = (uint32_t)size;
        if (r->n - r->end < size)
            break;
        r->end += size;
        records++;
        t->need = RECORD_HEAD;
    }
    return records;
}

static void keep_session(struct tls *t)
{
    if (!t->session)
        return;
    WOLFSSL_SESSION *now = wolfSSL_get1_session(t->ssl), *copy = now ? wolfSSL_SESSION_dup(now) : NULL;
    wolfSSL_SESSION_free(now);
    if (!copy)
        return;
    tls_session_clear(t->session);
    *t->session = (struct tls_session){copy, tls_context_id(t->context), hash_str(tls_name(t), 0)};
}

void tls_session_clear(struct tls_session *s)
{
    if (s && s->held)
        wolfSSL_SESSION_free(s->held);
    if (s)
        *s = (struct tls_session){0};
}

static void note_protocol(struct tls *t)
{
    char *name = NULL;
    unsigned short n = 0;
    t->alpn = TLS_PROTO_NONE;
    if (wolfSSL_ALPN_GetProtocol(t->ssl, &name, &n) != WOLFSSL_SUCCESS || !name)
        return;
    struct str s = str_of(name, n);
    t->alpn = str_eq(s, STR("h2")) ? TLS_PROTO_H2 : str_eq(s, STR("http/1.1")) ? TLS_PROTO_HTTP1 : TLS_PROTO_NONE;
}

static enum tls_got shake(struct tls *t)
{
    int ret = t->flags & TLS_F_SERVER ? wolfSSL_accept(t->ssl) : wolfSSL_connect(t->ssl);
    if (ret == WOLFSSL_SUCCESS) {
        t->flags &= (uint16_t)~TLS_F_SHAKING;
        if (wolfSSL_session_reused(t->ssl))
            t->flags |= TLS_F_RESUMED;
        note_protocol(t);
#ifdef GATEHOUSE_PATCH /* else the library's client breaks off when a server of 1.2 does not take its ticket */
        if (!(t->flags & TLS_F_SERVER) && wolfSSL_version(t->ssl) == TLS1_2_VERSION)
            keep_session(t); /* 1.3 sends tickets later */
#endif
        return TLS_GOT_CONNECTED;
    }
    int err = wolfSSL_get_error(t->ssl, ret);
    if (err == WOLFSSL_ERROR_WANT_READ)
        return TLS_GOT_NOTHING;
    fault_from(t, err);
    t->flags |= TLS_F_ENDED;
    return TLS_GOT_ERROR;
}

bool tls_begin(struct conn *c)
{
    c->tls->room->pos = c->tls->room->end = c->tls->room->record = 0;
    return shake(c->tls) == TLS_GOT_NOTHING;
}

static void spend(struct tls *t, unsigned idle, size_t content)
{
    t->content += (uint32_t)content;
    if (t->content >= MIB) {
        t->content = 0;
        t->idle_left = (int16_t)GH_MIN(t->idle_left + 1, TLS_IDLE_RECORDS);
    }
    t->idle_left = (int16_t)(t->idle_left - (int)GH_MIN(idle, 1000u));
    if (t->idle_left < 0)
        set_fault(t, TLS_FAULT_FLOOD);
}

/* The content of `records` whole records, all of it: it has fewer bytes than they. */
static size_t content(struct conn *c, unsigned records)
{
    struct tls *t = c->tls;
    size_t n = 0;
    unsigned full = 0;
    for (;;) {
        int k = wolfSSL_read(t->ssl, c->net->scratch + n, (int)(NET_SCRATCH - n));
        if (k > 0) {
            n += (size_t)k;
            full++;
            continue;
        }
        int err = wolfSSL_get_error(t->ssl, k);
        if (err == WOLFSSL_ERROR_ZERO_RETURN) {
            t->flags |= TLS_F_PEER_END;
        } else if (err != WOLFSSL_ERROR_WANT_READ) {
            fault_from(t, err);
            t->flags |= TLS_F_ENDED;
        }
        break;
    }
    if (records > full) {
        spend(t, records - full, n);
        if (!(t->flags & TLS_F_SERVER) && !t->fault && wolfSSL_version(t->ssl) != TLS1_2_VERSION)
            keep_session(t);
    } else {
        spend(t, 0, n);
    }
    return n;
}

/* The end of the socket: was it announced? */
static enum tls_got socket_end(struct tls *t)
{
    if (t->flags & TLS_F_SHAKING) {
        set_fault(t, TLS_FAULT_CLOSED);
        return TLS_GOT_ERROR;
    }
    t->flags |= TLS_F_CUT;
    return TLS_GOT_END;
}

static enum tls_got open_loaded(struct conn *c, size_t *n)
{
    struct tls *t = c->tls;
    enum tls_got got = TLS_GOT_NOTHING;
    unsigned records = cut_records(t);
    if (records) {
        if (t->flags & TLS_F_SHAKING)
            got = shake(t);
        else if ((*n = content(c, records)))
            got = TLS_GOT_BYTES;
    }
    /* Behind the end or a fault nothing is of interest; what the handshake did not take is content. */
    struct tls_room *r = t->room;
    size_t from = t->flags & TLS_F_SHAKING || got != TLS_GOT_CONNECTED ? r->end : r->pos;
    if (!t->fault && !(t->flags & TLS_F_PEER_END)) {
        keep(c, r->in + from, r->n - from);
        if (from < r->end)
            t->need = (uint32_t)record_size(r->in + from);
    }
    r->n = 0;
    return got;
}

enum tls_got tls_open(struct conn *c, size_t *n)
{
    struct tls *t = c->tls;
    enum tls_got got = TLS_GOT_NOTHING;
    if (!t->room->n && has_whole(t))
        load(c);
    if (!t->fault && !(t->flags & TLS_F_PEER_END) && t->room->n)
        got = open_loaded(c, n);
    t->room->n = 0;
    if (got != TLS_GOT_NOTHING)
        return got;
    if (t->fault)
        return TLS_GOT_ERROR;
    if (t->flags & TLS_F_PEER_END)
        return TLS_GOT_END;
    return t->flags & TLS_F_EARLY_END && !has_whole(t) ? socket_end(t) : TLS_GOT_NOTHING;
}

/* --- bytes to the socket -------------------------------------------------------------------------------------------- */

static bool write_record(struct tls *t, const char *data, size_t n)
{
    int k = wolfSSL_write(t->ssl, data, (int)n);
    if (k == (int)n)
        return true;
    fault_from(t, wolfSSL_get_error(t->ssl, k));
    return false;
}

bool tls_seal(struct conn *c, const struct iovec *v, unsigned n, unsigned *at, size_t *off)
{
    struct tls *t = c->tls;
    struct tls_room *r = t->room;
    size_t staged = 0;
    for (; *at < n; ++*at, *off = 0) {
        const char *p = v[*at].iov_base;
        size_t len = v[*at].iov_len;
        if (t->flags & TLS_F_SHAKING) {
            if (!chunkq_add(&t->kept, &c->net->chunks, p + *off, len - *off))
                return false;
            continue;
        }
        while (*off < len) {
            if (r->sealed.n >= SEALED_FULL)
                return !staged || write_record(t, r->stage, staged);
            size_t k = GH_MIN(len - *off, RECORD_PLAIN - staged);
            if (k == RECORD_PLAIN) { /* as it lies there */
                if (!write_record(t, p + *off, k))
                    return false;
            } else {
                memcpy(r->stage + staged, p + *off, k);
                staged += k;
                if (staged == RECORD_PLAIN) {
                    if (!write_record(t, r->stage, staged))
                        return false;
                    staged = 0;
                }
            }
            *off += k;
        }
    }
    return !staged || write_record(t, r->stage, staged);
}

bool tls_seal_kept(struct conn *c, bool *left)
{
    struct tls *t = c->tls;
    while (t->kept.n && t->room->sealed.n < SEALED_FULL) {
        struct str front = str_head(chunkq_front(&t->kept), RECORD_PLAIN);
        if (!write_record(t, front.p, front.n))
            return false;
        chunkq_drop(&t->kept, &c->net->chunks, front.n);
    }
    *left = t->kept.n > 0;
    return true;
}

size_t tls_kept(const struct conn *c)
{
    return c->tls->kept.n;
}

bool tls_seal_end(struct conn *c)
{
    struct tls *t = c->tls;
    if (t->flags & (TLS_F_ENDED | TLS_F_SHAKING))
        return false;
    t->flags |= TLS_F_ENDED;
    wolfSSL_shutdown(t->ssl);
    return t->room->sealed.n > 0;
}

void tls_forget_end(struct conn *c)
{
    c->tls->flags |= TLS_F_ENDED;
}

/* --- questions -------------------------------------------------------------------------------------------------------- */

bool tls_shaking(const struct conn *c)
{
    return (c->tls->flags & TLS_F_SHAKING) != 0;
}

bool tls_held(const struct conn *c)
{
    return (c->tls->flags & TLS_F_HELD) != 0;
}

void tls_set_held(struct conn *c, bool held)
{
    c->tls->flags = (uint16_t)(held ? c->tls->flags | TLS_F_HELD : c->tls->flags & ~TLS_F_HELD);
}

bool conn_tls_facts(const struct conn *c, struct tls_facts *out)
{
    const struct tls *t = c->tls;
    if (!t || (t->flags & TLS_F_SHAKING))
        return false;
    *out = (struct tls_facts){
        .version = wolfSSL_get_version(t->ssl),
        .cipher = wolfSSL_get_cipher(t->ssl),
        .server_name = tls_name(t),
        .alpn = (enum tls_alpn)t->alpn,
        .resumed = t->flags & TLS_F_RESUMED,
        .own_uri = t->context->own_uri,
        .peer_verified = t->flags & TLS_F_VERIFIED,
        .peer = t->peer ? str_of((const char *)t->peer->der, t->peer->n) : STR_NONE,
    };
    return true;
}

struct str conn_tls_note(const struct conn *c, enum tls_note which)
{
    return c->tls ? c->tls->notes[which] : STR_NONE;
}

struct str conn_tls_set_note(const struct conn *c, enum tls_note which, struct str text)
{
    char *copy = c->tls ? malloc(text.n + 1) : NULL;
    if (!copy)
        return STR_NONE;
    if (text.n)
        memcpy(copy, text.p, text.n);
    free((char *)(uintptr_t)c->tls->notes[which].p);
    return c->tls->notes[which] = str_of(copy, text.n);
}

enum tls_fault conn_tls_fault(const struct conn *c, const char **detail)
{
    *detail = c->tls ? c->tls->detail : NULL;
    return c->tls ? (enum tls_fault)c->tls->fault : TLS_FAULT_NONE;
}

bool conn_cut(const struct conn *c)
{
    return c->tls && (c->tls->flags & TLS_F_CUT);
}
