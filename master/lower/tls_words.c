/* tls_words.c - versions and cipher suites as people write them; see tls_words.h. */
#include "master/lower/tls_words.h"

static const struct {
    const char *word;
    enum tls_word what;
    enum tls_version version;
} VERSIONS[] = {
    {"", TLS_WORD_OK, TLS_VERSION_AUTO},   {"auto", TLS_WORD_OK, TLS_VERSION_AUTO}, {"1.2", TLS_WORD_OK, TLS_VERSION_1_2},
    {"1.3", TLS_WORD_OK, TLS_VERSION_1_3}, {"1.0", TLS_WORD_OLD, TLS_VERSION_1_2},  {"1.1", TLS_WORD_OLD, TLS_VERSION_1_2},
};

/* "TLSv1.2", "TLSV1_2", "TLS_1.2", "1.2" -> "1.2" */
static struct str bare_version(struct str word, char out[8])
{
    if (word.n >= 3 && str_ieq(str_head(word, 3), STR("TLS")))
        word = str_skip(word, 3);
    while (word.n && (word.p[0] == '_' || word.p[0] == ' ' || word.p[0] == '-'))
        word = str_skip(word, 1);
    if (word.n > 1 && ascii_lower(word.p[0]) == 'v')
        word = str_skip(word, 1);
    size_t n = GH_MIN(word.n, (size_t)7);
    for (size_t i = 0; i < n; i++)
        out[i] = word.p[i] == '_' ? '.' : ascii_lower(word.p[i]);
    return word.n > 7 ? word : str_of(out, n);
}

enum tls_word tls_version_word(struct str word, enum tls_version *v)
{
    char text[8];
    struct str bare = bare_version(word, text);
    *v = TLS_VERSION_AUTO;
    for (size_t i = 0; i < ARRAY_LEN(VERSIONS); i++)
        if (str_eqc(bare, VERSIONS[i].word)) {
            *v = VERSIONS[i].version;
            return VERSIONS[i].what;
        }
    return TLS_WORD_UNKNOWN;
}

#define SUITES(key)                                                                                                      \
    {"ECDHE-" key "-AES128-GCM-SHA256", "TLS_ECDHE_" key "_WITH_AES_128_GCM_SHA256", TLS_WORD_OK},                       \
    {"ECDHE-" key "-AES256-GCM-SHA384", "TLS_ECDHE_" key "_WITH_AES_256_GCM_SHA384", TLS_WORD_OK},                       \
    {"ECDHE-" key "-CHACHA20-POLY1305", "TLS_ECDHE_" key "_WITH_CHACHA20_POLY1305_SHA256", TLS_WORD_OK},                 \
    {"ECDHE-" key "-AES128-SHA", "TLS_ECDHE_" key "_WITH_AES_128_CBC_SHA", TLS_WORD_OLD},                                \
    {"ECDHE-" key "-AES256-SHA", "TLS_ECDHE_" key "_WITH_AES_256_CBC_SHA", TLS_WORD_OLD},                                \
    {"ECDHE-" key "-AES128-SHA256", "TLS_ECDHE_" key "_WITH_AES_128_CBC_SHA256", TLS_WORD_OLD},                          \
    {"ECDHE-" key "-AES256-SHA384", "TLS_ECDHE_" key "_WITH_AES_256_CBC_SHA384", TLS_WORD_OLD}

static const struct {
    const char *openssl, *iana;
    enum tls_word what;
} CIPHERS[] = {
    SUITES("RSA"),
    SUITES("ECDSA"),
    {"AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256", TLS_WORD_OLD},
    {"AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384", TLS_WORD_OLD},
    {"AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", TLS_WORD_OLD},
    {"AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", TLS_WORD_OLD},
    {"AES128-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256", TLS_WORD_OLD},
    {"AES256-SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA256", TLS_WORD_OLD},
    {"DES-CBC3-SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", TLS_WORD_OLD},
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", TLS_WORD_FIXED},
    {"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", TLS_WORD_FIXED},
    {"TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", TLS_WORD_FIXED},
};

enum tls_word tls_cipher_word(struct str word, const char **name)
{
    *name = NULL;
    for (size_t i = 0; i < ARRAY_LEN(CIPHERS); i++)
        if (str_ieq(word, str_c(CIPHERS[i].openssl)) || str_ieq(word, str_c(CIPHERS[i].iana))) {
            *name = CIPHERS[i].openssl;
            return CIPHERS[i].what;
        }
    return TLS_WORD_UNKNOWN;
}
