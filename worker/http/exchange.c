#include "worker/http/exchange.h"
#include <arpa/inet.h>

size_t address_text(uint8_t family, const uint8_t *address, char *out)
{
    if (family == 4) { /* on every request: without inet_ntop */
        char *at = out;
        for (unsigned i = 0; i < 4; i++) {
            if (i)
                *at++ = '.';
            at += str_put_u64(at, address[i]);
        }
        return (size_t)(at - out);
    }
    if (family != 6 || !inet_ntop(AF_INET6, address, out, PEER_TEXT_MAX))
        return 0;
    return strlen(out);
}
