#include "shared/tls/hello.h"
#include "shared/http/host.h"
#include <arpa/inet.h>

#define RECORD_HEAD   5
#define RECORD_MAX    16384u
#define MESSAGE_HEAD  4u
#define EXTENSIONS_MAX 128u /* browsers send about 20 */

enum { RECORD_HANDSHAKE = 22, RECORD_ALERT = 21, MESSAGE_CLIENT_HELLO = 1 };
enum {
    EXT_SERVER_NAME = 0,
    EXT_GROUPS = 10,
    EXT_SIGNATURES = 13,
    EXT_ALPN = 16,
    EXT_TICKET = 35,
    EXT_PRE_SHARED_KEY = 41,
    EXT_EARLY_DATA = 42,
    EXT_VERSIONS = 43,
};
#define VERSION_1_2   0x0303
#define VERSION_1_3   0x0304
#define SCSV_FALLBACK 0x5600

static unsigned byte_at(struct str s, size_t i)
{
    return (unsigned char)s.p[i];
}

static unsigned pair_at(struct str s, size_t i)
{
    return byte_at(s, i) << 8 | byte_at(s, i + 1);
}

static enum hello_verdict bad(struct hello *h, enum tls_alert alert, const char *fault)
{
    h->alert = (uint8_t)alert;
    h->fault = fault;
    return HELLO_BAD;
}

/* --- cursors: each takes something off the front, or says that it is not there ---------------------------- */

static bool take(struct str *rest, size_t n, struct str *out)
{
    if (rest->n < n)
        return false;
    *out = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    return true;
}

static bool take_vec8(struct str *rest, struct str *out)
{
    struct str head;
    return take(rest, 1, &head) && take(rest, byte_at(head, 0), out);
}

static bool take_vec16(struct str *rest, struct str *out)
{
    struct str head;
    return take(rest, 2, &head) && take(rest, pair_at(head, 0), out);
}

/* A vector that is all there is in `body`. */
static bool whole_vec8(struct str body, struct str *out)
{
    return take_vec8(&body, out) && body.n == 0;
}

static bool whole_vec16(struct str body, struct str *out)
{
    return take_vec16(&body, out) && body.n == 0;
}

static bool is_pairs(struct str s)
{
    return s.n >= 2 && s.n % 2 == 0;
}

static bool pairs_have(struct str s, unsigned value)
{
    for (size_t i = 0; i + 1 < s.n; i += 2)
        if (pair_at(s, i) == value)
            return true;
    return false;
}

/* --- records ------------------------------------------------------------------------------------------------ */

/* What the head of a record says; judged as soon as its bytes are there. */
static enum hello_verdict record_head(struct str at, bool first, struct hello *h, size_t *len)
{
    if (byte_at(at, 0) != RECORD_HANDSHAKE)
        return first ? HELLO_NOT_TLS : bad(h, TLS_ALERT_UNEXPECTED_MESSAGE, "another record inside the ClientHello");
    if (at.n >= 2 && byte_at(at, 1) != 3)
        return first ? HELLO_NOT_TLS : bad(h, TLS_ALERT_PROTOCOL_VERSION, "a record of another protocol");
    if (at.n >= 3 && byte_at(at, 2) > 4)
        return first ? HELLO_NOT_TLS : bad(h, TLS_ALERT_PROTOCOL_VERSION, "a record of another version");
    if (at.n < RECORD_HEAD)
        return HELLO_MORE;
    *len = pair_at(at, 3);
    if (*len > RECORD_MAX)
        return bad(h, TLS_ALERT_RECORD_OVERFLOW, "a record longer than 16 KiB");
    if (*len == 0)
        return bad(h, TLS_ALERT_UNEXPECTED_MESSAGE, "an empty record");
    return HELLO_OK;
}

/* Length of the whole message, once its head is there; 0 = not yet. */
static enum hello_verdict message_head(struct str at, struct hello *h, size_t *len)
{
    if (at.n >= 1 && byte_at(at, 0) != MESSAGE_CLIENT_HELLO)
        return bad(h, TLS_ALERT_UNEXPECTED_MESSAGE, "the first message is not a ClientHello");
    if (at.n < MESSAGE_HEAD)
        return HELLO_MORE;
    *len = (byte_at(at, 1) << 16 | pair_at(at, 2)) + MESSAGE_HEAD;
    if (*len > HELLO_BYTES_MAX)
        return bad(h, TLS_ALERT_ILLEGAL_PARAMETER, "the ClientHello is longer than 16 KiB");
    return HELLO_OK;
}

/* The first piece stays where it is; from the second on they are put together in `room`. What does not fit is too long
 * anyway, as the head of the message then says. */
static struct str join(struct str message, struct str piece, char *room)
{
    if (!message.n)
        return piece;
    if (message.p != room)
        memmove(room, message.p, message.n);
    size_t n = GH_MIN(piece.n, HELLO_BYTES_MAX - message.n);
    memcpy(room + message.n, piece.p, n);
    return str_of(room, message.n + n);
}

/* Puts the message together. Of an incomplete last record what is there is looked at, too: faults show at once. */
static enum hello_verdict gather(struct str data, char *room, struct hello *h)
{
    struct str message = STR_NONE;
    size_t want = 0;
    for (size_t at = 0; at < data.n;) {
        struct str rest = str_skip(data, at);
        size_t len = 0;
        enum hello_verdict v = record_head(rest, at == 0, h, &len);
        if (v != HELLO_OK)
            return v;
        if (++h->n_records > HELLO_RECORDS_MAX)
            return bad(h, TLS_ALERT_UNEXPECTED_MESSAGE, "the ClientHello is cut into too many records");
        struct str piece = str_head(str_skip(rest, RECORD_HEAD), len);
        size_t before = message.n;
        message = join(message, piece, room);
        v = message_head(message, h, &want);
        if (v == HELLO_BAD)
            return v;
        if (v == HELLO_OK && before + len > want)
            return bad(h, TLS_ALERT_DECODE_ERROR, "bytes behind the ClientHello in its record");
        if (v == HELLO_OK && before + len == want && piece.n == len) {
            h->message = message;
            h->used = at + RECORD_HEAD + len;
            return HELLO_OK;
        }
        at += RECORD_HEAD + len;
    }
    return HELLO_MORE;
}

/* --- extensions --------------------------------------------------------------------------------------------- */

static bool is_ipv6(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char addr[16];
    if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, addr) == 1;
}

/* RFC 6066 allows one name, of type host_name, and no address; addresses are sent all the same and mean nothing. */
static enum hello_verdict server_name(struct str body, struct hello *h)
{
    struct str list, type, name;
    struct http_host host;
    if (!whole_vec16(body, &list) || !take(&list, 1, &type) || !take_vec16(&list, &name) || list.n || !name.n)
        return bad(h, TLS_ALERT_DECODE_ERROR, "the server name can't be read");
    if (byte_at(type, 0) != 0)
        return bad(h, TLS_ALERT_ILLEGAL_PARAMETER, "a server name of an unknown type");
    if (is_ipv6(name))
        return HELLO_OK;
    if (str_chr(name, ':') >= 0 || !http_host_parse(name, &host))
        return bad(h, TLS_ALERT_ILLEGAL_PARAMETER, "the server name is no host name");
    if (host.kind != HOST_NAME)
        return HELLO_OK;
    h->server_name = http_host_canonical(&host, h->name);
    return HELLO_OK;
}

static enum hello_verdict alpn(struct str body, struct hello *h)
{
    struct str list, rest, name;
    if (!whole_vec16(body, &list) || list.n < 2)
        return bad(h, TLS_ALERT_DECODE_ERROR, "the ALPN list can't be read");
    for (rest = list; rest.n;)
        if (!take_vec8(&rest, &name) || !name.n)
            return bad(h, TLS_ALERT_DECODE_ERROR, "the ALPN list can't be read");
    h->alpn = list;
    return HELLO_OK;
}

static enum hello_verdict pairs(struct str body, struct hello *h, struct str *out)
{
    if (!whole_vec16(body, out) || !is_pairs(*out))
        return bad(h, TLS_ALERT_DECODE_ERROR, "a list of groups or signatures can't be read");
    return HELLO_OK;
}

static enum hello_verdict versions(struct str body, struct hello *h)
{
    struct str list;
    if (!whole_vec8(body, &list) || !is_pairs(list))
        return bad(h, TLS_ALERT_DECODE_ERROR, "the list of versions can't be read");
    h->has_1_3 = pairs_have(list, VERSION_1_3);
    h->has_1_2 = pairs_have(list, VERSION_1_2);
    h->has_older = pairs_have(list, 0x0302) || pairs_have(list, 0x0301);
    return HELLO_OK;
}

static enum hello_verdict extension(unsigned type, struct str body, bool last, struct hello *h)
{
    switch (type) {
    case EXT_SERVER_NAME:
        return server_name(body, h);
    case EXT_ALPN:
        return alpn(body, h);
    case EXT_GROUPS:
        return pairs(body, h, &h->groups);
    case EXT_SIGNATURES:
        return pairs(body, h, &h->signatures);
    case EXT_VERSIONS:
        return versions(body, h);
    case EXT_TICKET:
        h->tickets = true;
        h->resumes = h->resumes || body.n;
        break;
    case EXT_EARLY_DATA:
        h->early_data = true;
        break;
    case EXT_PRE_SHARED_KEY:
        h->resumes = true;
        if (!last)
            return bad(h, TLS_ALERT_ILLEGAL_PARAMETER, "pre_shared_key is not the last extension");
        break;
    default:
        break;
    }
    return HELLO_OK;
}

static enum hello_verdict extensions(struct str rest, struct hello *h)
{
    uint16_t seen[EXTENSIONS_MAX];
    for (size_t n = 0; rest.n; n++) {
        struct str head, body;
        if (!take(&rest, 2, &head) || !take_vec16(&rest, &body))
            return bad(h, TLS_ALERT_DECODE_ERROR, "the extensions can't be read");
        if (n == EXTENSIONS_MAX)
            return bad(h, TLS_ALERT_ILLEGAL_PARAMETER, "more than 128 extensions");
        seen[n] = (uint16_t)pair_at(head, 0);
        for (size_t i = 0; i < n; i++)
            if (seen[i] == seen[n])
                return bad(h, TLS_ALERT_ILLEGAL_PARAMETER, "an extension twice");
        enum hello_verdict v = extension(seen[n], body, rest.n == 0, h);
        if (v != HELLO_OK)
            return v;
    }
    return HELLO_OK;
}

/* --- the message ---------------------------------------------------------------------------------------------- */

static enum hello_verdict body(struct hello *h)
{
    struct str rest = str_skip(h->message, MESSAGE_HEAD), version, random, compression, list = STR_NONE;
    if (!take(&rest, 2, &version) || !take(&rest, 32, &random) || !take_vec8(&rest, &h->session_id) ||
        h->session_id.n > 32 || !take_vec16(&rest, &h->ciphers) || !is_pairs(h->ciphers) ||
        !take_vec8(&rest, &compression) || !compression.n)
        return bad(h, TLS_ALERT_DECODE_ERROR, "the ClientHello can't be read");
    if (!memchr(compression.p, 0, compression.n))
        return bad(h, TLS_ALERT_ILLEGAL_PARAMETER, "no way without compression is offered");
    if (rest.n && (!take_vec16(&rest, &list) || rest.n))
        return bad(h, TLS_ALERT_DECODE_ERROR, "the extensions can't be read");
    unsigned legacy = pair_at(version, 0);
    h->has_1_2 = legacy >= VERSION_1_2;
    h->has_older = legacy < VERSION_1_2;
    h->fallback = pairs_have(h->ciphers, SCSV_FALLBACK);
    return extensions(list, h);
}

enum hello_verdict hello_parse(struct str data, char *room, struct hello *out)
{
    memset(out, 0, offsetof(struct hello, name));
    enum hello_verdict v = gather(data, room, out);
    return v == HELLO_OK ? body(out) : v;
}

/* --- questions -------------------------------------------------------------------------------------------------- */

bool hello_alpn_next(struct str *rest, struct str *name)
{
    return rest->n && take_vec8(rest, name);
}

bool hello_alpn_has(const struct hello *h, struct str name)
{
    struct str rest = h->alpn, one;
    while (hello_alpn_next(&rest, &one))
        if (str_eq(one, name))
            return true;
    return false;
}

bool hello_alpn_starts(const struct hello *h, struct str prefix)
{
    struct str rest = h->alpn, one;
    while (hello_alpn_next(&rest, &one))
        if (str_starts(one, prefix))
            return true;
    return false;
}

/* Cipher suites of TLS 1.2 name the kind of key; those of 1.3 do not. AEAD with ECDHE only. */
static bool takes_suite(const struct hello *h, bool rsa)
{
    static const uint16_t RSA[] = {0xc02f, 0xc030, 0xcca8}, ECDSA[] = {0xc02b, 0xc02c, 0xcca9};
    for (size_t i = 0; i < ARRAY_LEN(RSA); i++)
        if (pairs_have(h->ciphers, rsa ? RSA[i] : ECDSA[i]))
            return true;
    return false;
}

static bool takes_any(struct str list, const uint16_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pairs_have(list, v[i]))
            return true;
    return false;
}

static bool takes_ecdsa(const struct hello *h, unsigned bits, bool tls13)
{
    /* By size: scheme of TLS 1.3, which binds the curve to a hash, and the curve. */
    static const struct { unsigned bits; uint16_t scheme, group; } CURVES[] = {
        {256, 0x0403, 23}, {384, 0x0503, 24}, {521, 0x0603, 25},
    };
    static const uint16_t ANY[] = {0x0403, 0x0503, 0x0603};
    for (size_t i = 0; i < ARRAY_LEN(CURVES); i++) {
        if (CURVES[i].bits != bits)
            continue;
        if (tls13)
            return pairs_have(h->signatures, CURVES[i].scheme);
        return takes_any(h->signatures, ANY, ARRAY_LEN(ANY)) &&
               (!h->groups.n || pairs_have(h->groups, CURVES[i].group)) && takes_suite(h, false);
    }
    return false;
}

bool hello_takes_key(const struct hello *h, enum key_type type, unsigned bits, bool tls13)
{
    static const uint16_t PSS[] = {0x0804, 0x0805, 0x0806}, RSA[] = {0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806};
    switch (type) {
    case KEY_RSA:
        if (tls13)
            return takes_any(h->signatures, PSS, ARRAY_LEN(PSS));
        /* Without a list SHA-1 would be meant (RFC 5246 7.4.1.4.1), which is not done here. */
        return takes_any(h->signatures, RSA, ARRAY_LEN(RSA)) && takes_suite(h, true);
    case KEY_ECDSA:
        return takes_ecdsa(h, bits, tls13);
    case KEY_ED25519:
        return pairs_have(h->signatures, 0x0807) && (tls13 || takes_suite(h, false));
    case KEY_NONE:
        break;
    }
    return false;
}

size_t tls_alert_write(enum tls_alert what, char out[TLS_ALERT_BYTES])
{
    static const char HEAD[] = {RECORD_ALERT, 3, 3, 0, 2, 2 /* fatal */};
    memcpy(out, HEAD, sizeof(HEAD));
    out[sizeof(HEAD)] = (char)what;
    return TLS_ALERT_BYTES;
}
