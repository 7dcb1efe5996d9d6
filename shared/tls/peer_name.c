#include "shared/tls/peer_name.h"
#include <arpa/inet.h>

/* The bytes of an address that is written as text; 0: it is none. */
static size_t address(struct str text, unsigned char out[16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = str_of(text.p + 1, text.n - 2);
    if (text.n == 0 || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n))
        return 0;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(AF_INET, copy, out) == 1 ? 4 : inet_pton(AF_INET6, copy, out) == 1 ? 16 : 0;
}

/* `pattern` in any case, `host` in lower case. A star anywhere else is none that we know. */
static bool fits(struct str pattern, struct str host)
{
    if (str_starts(pattern, STR("*."))) {
        ptrdiff_t dot = str_chr(host, '.');
        if (dot <= 0 || str_chr(str_skip(pattern, 2), '.') < 0)
            return false;
        pattern = str_skip(pattern, 2);
        host = str_skip(host, (size_t)dot + 1);
    }
    return pattern.n && str_chr(pattern, '*') < 0 && str_ieq(pattern, host);
}

bool x509_fits_host(const struct x509 *c, struct str host)
{
    struct str rest = c->names, value;
    enum x509_name_type type;
    unsigned char ip[16];
    size_t ip_n = address(host, ip);
    if (host.n && host.p[host.n - 1] == '.')
        host.n--;
    while (x509_next_name(&rest, &type, &value)) {
        if (type == X509_DNS && !ip_n && fits(value, host))
            return true;
        if (type == X509_IP && ip_n && str_eq(value, str_of((const char *)ip, ip_n)))
            return true;
    }
    return false;
}

bool x509_has_name(const struct x509 *c, struct str name)
{
    struct str rest = c->names, value;
    enum x509_name_type type;
    unsigned char ip[16];
    size_t ip_n = address(name, ip);
    while (x509_next_name(&rest, &type, &value)) {
        if (type == X509_DNS && str_ieq(value, name))
            return true;
        if ((type == X509_URI || type == X509_EMAIL) && str_eq(value, name))
            return true;
        if (type == X509_IP && ip_n && str_eq(value, str_of((const char *)ip, ip_n)))
            return true;
    }
    return false;
}

void x509_serial_text(struct str serial, struct buf *out)
{
    if (serial.n > 1 && serial.p[0] == 0)
        serial = str_skip(serial, 1);
    for (size_t i = 0; i < serial.n; i++)
        buf_addf(out, "%02x", (unsigned char)serial.p[i]);
}
