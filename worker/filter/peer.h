/*
 * peer.h - the client's certificate as text: header variables, the access log, and X-Forwarded-Client-Cert as Envoy
 * writes it (SANITIZE_SET: what a client sends under that name is never passed on).
 *
 *   By=spiffe://own;Hash=<SHA-256>;Subject="CN=...";URI=spiffe://...;DNS=a.example.com
 *
 * Texts that every request of a connection needs are made once and kept with the connection (tls_note).
 */
#ifndef GH_FILTER_PEER_H
#define GH_FILTER_PEER_H

#include "worker/filter/filter.h"

/* Puts the field, where the client showed a certificate, and takes away whatever came under its name. False: no memory. */
bool peer_forward(struct filter_ctx *ctx);
/* The value of one of the DOWNSTREAM_TLS_, DOWNSTREAM_PEER_ variables; nothing is added when there is none. */
void peer_var(const struct filter_facts *f, enum header_var id, struct buf *out);
/* The subject, for the log; empty: no certificate. Lives as long as the connection. */
struct str peer_subject(const struct filter_facts *f);

#endif
