/*
 * peer_name.h - is a peer's certificate for the name that is wanted? RFC 9525, RFC 6125 6.4, RFC 5280 4.2.1.6. Pure.
 *
 * Names are those of subjectAltName; a common name never counts.
 */
#ifndef GH_TLS_PEER_NAME_H
#define GH_TLS_PEER_NAME_H

#include "shared/tls/x509.h"

/* Does a DNS name of the certificate fit `host` (lower case)? "*." stands for exactly one label, the first one, and only
 * before two more. An IP address as text, in brackets or not, is compared with the IP names. */
bool x509_fits_host(const struct x509 *c, struct str host);
/* Is one of the DNS (in any case), URI, e-mail or IP names exactly this? */
bool x509_has_name(const struct x509 *c, struct str name);
/* Lower-case hex, without a leading zero byte. */
void x509_serial_text(struct str serial, struct buf *out);

#endif
