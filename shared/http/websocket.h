/*
 * websocket.h - the key of a WebSocket handshake (RFC 6455 4.1, 4.2.2). HTTP/1.1 has one, HTTP/2 (RFC 8441) has none:
 * who stands between the two makes it up.
 */
#ifndef GH_HTTP_WEBSOCKET_H
#define GH_HTTP_WEBSOCKET_H

#include "shared/base/str.h"

#define WEBSOCKET_KEY_LEN    24
#define WEBSOCKET_ACCEPT_LEN 28

/* Sec-WebSocket-Key of 16 random bytes. */
void websocket_key(const uint8_t random[16], char out[WEBSOCKET_KEY_LEN]);
/* Sec-WebSocket-Accept for a key, as it was received. */
void websocket_accept(struct str key, char out[WEBSOCKET_ACCEPT_LEN]);

#endif
