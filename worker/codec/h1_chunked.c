/*
 * h1_chunked.c - the content of a chunked message (RFC 9112 section 7.1).
 *
 *   SIZE0 -> SIZE -+-> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE0 ...
 *                  |      ^  `(size 0)-> ENDED
 *                  `-> EXT ... ---'
 *
 * Extensions are read by their grammar, bounded, and dropped:
 *   chunk-ext = *( ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] BWS )
 * White space between the size and the first ';' is refused, although the grammar has it: to lax
 * readers it ends the number, to others the line.
 */
#include "shared/http/token.h"
#include "worker/codec/h1_parse.h"

enum phase {
    SIZE0, /* the first digit */
    SIZE,
    EXT_NAME0,
    EXT_NAME,
    EXT_NAMED, /* white space behind a name */
    EXT_VALUE0,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_END, /* behind a value */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    ENDED,
    FAILED
};

#define MAX_SIZE_DIGITS     16
#define MAX_LINE_EXTENSIONS 256  /* bytes in one line */
#define MAX_EXTENSIONS      4096 /* bytes in one message */

static bool fail(struct h1_chunked *c, enum h1_error e)
{
    c->error = e;
    c->phase = FAILED;
    return false;
}

static bool fail_at(struct h1_chunked *c, char byte, enum h1_error otherwise)
{
    return fail(c, byte == '\n' ? H1_E_BARE_LF : otherwise);
}

static bool go(struct h1_chunked *c, enum phase phase)
{
    c->phase = (uint8_t)phase;
    return true;
}

static bool on_size(struct h1_chunked *c, char byte)
{
    int digit = ascii_hex(byte);
    if (digit >= 0) {
        if (++c->line > MAX_SIZE_DIGITS)
            return fail(c, H1_E_CHUNK_SIZE);
        if (c->left > (uint64_t)INT64_MAX >> 4)
            return fail(c, H1_E_CHUNK_TOO_LARGE);
        c->left = c->left << 4 | (uint64_t)digit;
        return go(c, SIZE);
    }
    if (c->phase == SIZE0)
        return fail_at(c, byte, H1_E_CHUNK_SIZE);
    c->line = 0; /* from here on: bytes of extensions */
    if (byte == '\r')
        return go(c, SIZE_LF);
    return byte == ';' ? go(c, EXT_NAME0) : fail_at(c, byte, H1_E_CHUNK_SIZE);
}

/* Behind a name or value, or the white space that follows it. */
static bool on_ext_end(struct h1_chunked *c, char byte, bool after_name)
{
    if (byte == '\r')
        return go(c, SIZE_LF);
    if (byte == ';')
        return go(c, EXT_NAME0);
    if (byte == '=' && after_name)
        return go(c, EXT_VALUE0);
    if (byte == ' ' || byte == '\t')
        return go(c, after_name ? EXT_NAMED : EXT_END);
    return fail_at(c, byte, H1_E_CHUNK_EXTENSION);
}

static bool on_quoted(struct h1_chunked *c, char byte)
{
    if (byte == '"')
        return go(c, EXT_END);
    if (byte == '\\')
        return go(c, EXT_ESCAPED);
    return token_is(byte, TOKEN_QDTEXT) ? true : fail_at(c, byte, H1_E_CHUNK_EXTENSION);
}

static bool on_extension(struct h1_chunked *c, char byte)
{
    bool space = byte == ' ' || byte == '\t', tchar = token_is(byte, TOKEN_TCHAR);
    if (++c->line > MAX_LINE_EXTENSIONS || ++c->extensions > MAX_EXTENSIONS)
        return fail(c, H1_E_CHUNK_EXTENSION_TOO_LONG);
    switch ((enum phase)c->phase) {
    case EXT_NAME0:
        if (space)
            return true;
        return tchar ? go(c, EXT_NAME) : fail_at(c, byte, H1_E_CHUNK_EXTENSION);
    case EXT_NAME:
        return tchar ? true : on_ext_end(c, byte, true);
    case EXT_NAMED:
        return on_ext_end(c, byte, true);
    case EXT_VALUE0:
        if (space)
            return true;
        if (byte == '"')
            return go(c, EXT_QUOTED);
        return tchar ? go(c, EXT_TOKEN) : fail_at(c, byte, H1_E_CHUNK_EXTENSION);
    case EXT_TOKEN:
        return tchar ? true : on_ext_end(c, byte, false);
    case EXT_QUOTED:
        return on_quoted(c, byte);
    case EXT_ESCAPED:
        return token_is(byte, TOKEN_VALUE) ? go(c, EXT_QUOTED)
                                           : fail_at(c, byte, H1_E_CHUNK_EXTENSION);
    default:
        return on_ext_end(c, byte, false);
    }
}

/* One byte of framing; false after an error. */
static bool on_byte(struct h1_chunked *c, char byte)
{
    switch ((enum phase)c->phase) {
    case SIZE0:
    case SIZE:
        return on_size(c, byte);
    case SIZE_LF:
        if (byte != '\n')
            return fail(c, H1_E_BARE_CR);
        return go(c, c->left ? DATA : ENDED);
    case DATA_CR:
        return byte == '\r' ? go(c, DATA_LF) : fail_at(c, byte, H1_E_CHUNK_END);
    case DATA_LF:
        c->line = 0;
        return byte == '\n' ? go(c, SIZE0) : fail(c, H1_E_BARE_CR);
    default:
        return on_extension(c, byte);
    }
}

enum h1_chunk h1_chunked_next(struct h1_chunked *c, const char *data, size_t n, size_t *used,
                              struct str *payload)
{
    size_t at = 0;
    for (;;) {
        *used = at;
        if (c->phase == FAILED)
            return H1_CHUNK_ERROR;
        if (c->phase == ENDED)
            return H1_CHUNK_LAST;
        if (at == n)
            return H1_CHUNK_MORE;
        if (c->phase == DATA) {
            size_t len = c->left < n - at ? (size_t)c->left : n - at;
            *payload = str_of(data + at, len);
            *used = at + len;
            c->left -= len;
            if (c->left == 0)
                c->phase = DATA_CR;
            return H1_CHUNK_DATA;
        }
        on_byte(c, data[at++]);
    }
}
