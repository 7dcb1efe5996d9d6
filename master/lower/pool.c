/*
 * pool.c - see pool.h. Network and broadcast addresses are not dealt out (nor the subnet-router
 * anycast of IPv6), as long as the pool is larger than two addresses.
 */
#include "master/lower/pool.h"
#include <arpa/inet.h>

#define POOL_MAX (UINT64_C(1) << 24) /* more Gateways than that are a slip in the prefix length */

static bool ip_parse(struct str text, int *family, unsigned char ip[16])
{
    char c[INET6_ADDRSTRLEN + 1];
    if (text.n == 0 || text.n >= sizeof(c) || memchr(text.p, '\0', text.n))
        return false;
    memcpy(c, text.p, text.n);
    c[text.n] = '\0';
    *family = strchr(c, ':') ? AF_INET6 : AF_INET;
    return inet_pton(*family, c, ip) == 1;
}

static struct str ip_text(struct arena *a, int family, const unsigned char ip[16])
{
    char c[INET6_ADDRSTRLEN + 1];
    return inet_ntop(family, ip, c, sizeof(c)) ? arena_str(a, str_c(c)) : STR_NONE;
}

struct str ip_canonical(struct arena *a, struct str text)
{
    unsigned char ip[16];
    int family;
    return ip_parse(text, &family, ip) ? ip_text(a, family, ip) : STR_NONE;
}

bool cidr_parse(struct str text, struct model_cidr *out)
{
    int family;
    ptrdiff_t slash = str_chr(text, '/');
    struct str address = slash < 0 ? text : str_head(text, (size_t)slash);
    *out = (struct model_cidr){0};
    if (!ip_parse(address, &family, out->ip))
        return false;
    uint64_t most = family == AF_INET ? 32 : 128, bits = most;
    if (slash >= 0 && (!str_u64(str_skip(text, (size_t)slash + 1), &bits) || bits > most))
        return false;
    for (unsigned i = (unsigned)bits; i < most; i++)
        out->ip[i / 8] &= (unsigned char)~(0x80 >> i % 8);
    out->family = family == AF_INET ? 4 : 6;
    out->bits = (uint8_t)bits;
    return true;
}

static unsigned family_bits(const struct pool *p)
{
    return p->family == AF_INET ? 32 : 128;
}

bool pool_init(struct pool *p, struct arena *a, struct str cidr)
{
    uint64_t bits;
    *p = (struct pool){.arena = a};
    map_init(&p->taken, a);
    if (cidr.n == 0)
        return true;
    ptrdiff_t slash = str_chr(cidr, '/');
    if (slash < 0 || !ip_parse(str_head(cidr, (size_t)slash), &p->family, p->base) ||
        !str_u64(str_skip(cidr, (size_t)slash + 1), &bits) || bits > family_bits(p)) {
        p->family = 0;
        return false;
    }
    p->bits = (unsigned)bits;
    for (unsigned i = p->bits; i < family_bits(p); i++)
        p->base[i / 8] &= (unsigned char)~(0x80 >> i % 8);
    unsigned host_bits = family_bits(p) - p->bits;
    p->n = host_bits >= 24 ? POOL_MAX : UINT64_C(1) << host_bits;
    p->next = p->n > 2 ? 1 : 0;
    if (p->n > 2 && p->family == AF_INET && host_bits < 24)
        p->n--; /* broadcast */
    return true;
}

static struct str nth(const struct pool *p, uint64_t i)
{
    unsigned char ip[16];
    memcpy(ip, p->base, sizeof(ip));
    for (unsigned at = family_bits(p) / 8; at-- > 0 && i; i >>= 8)
        ip[at] |= (unsigned char)i; /* host bits of the base are zero */
    return ip_text(p->arena, p->family, ip);
}

bool pool_take(struct pool *p, struct str address)
{
    unsigned char ip[16];
    int family;
    if (!pool_is(p) || !ip_parse(address, &family, ip) || family != p->family ||
        map_get(&p->taken, address))
        return false;
    for (unsigned i = 0; i < p->bits; i++)
        if ((ip[i / 8] ^ p->base[i / 8]) & 0x80 >> i % 8)
            return false;
    map_put(&p->taken, address, p);
    return true;
}

struct str pool_next(struct pool *p)
{
    while (pool_is(p) && p->next < p->n) {
        struct str address = nth(p, p->next++);
        if (address.n && !map_get(&p->taken, address)) {
            map_put(&p->taken, address, p);
            return address;
        }
    }
    return STR_NONE;
}
