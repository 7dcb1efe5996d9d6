#include "worker/hosts.h"

#include <arpa/inet.h>

bool hosts_add(struct board_dns_answer *out, int family, const void *addr)
{
    size_t len = family == 4 ? 4 : 16;
    for (uint32_t i = 0; i < out->n; i++)
        if (out->v[i].family == family && memcmp(out->v[i].addr, addr, len) == 0)
            return false;
    if (out->n == BOARD_DNS_ADDRS)
        return false;
    memset(&out->v[out->n], 0, sizeof(out->v[0]));
    out->v[out->n].family = (uint8_t)family;
    memcpy(out->v[out->n++].addr, addr, len);
    return true;
}

static bool next_word(struct str *line, struct str *word)
{
    *line = str_trim(*line, " \t\r");
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    *word = str_head(*line, n);
    *line = str_skip(*line, n);
    return n > 0;
}

static struct str without_dot(struct str s)
{
    return s.n && s.p[s.n - 1] == '.' ? str_head(s, s.n - 1) : s;
}

/* Adds the address if it is one: zone identifiers and short forms are none. */
static bool add_text(struct board_dns_answer *out, struct str text)
{
    char c[INET6_ADDRSTRLEN];
    unsigned char addr[16];
    if (text.n >= sizeof(c))
        return false;
    memcpy(c, text.p, text.n);
    c[text.n] = '\0';
    if (inet_pton(AF_INET, c, addr) == 1)
        return hosts_add(out, 4, addr);
    return inet_pton(AF_INET6, c, addr) == 1 && hosts_add(out, 6, addr);
}

size_t hosts_lookup(struct str text, struct str name, struct board_dns_answer *out)
{
    struct str line, word, address;
    size_t added = 0;
    name = without_dot(name);
    while (str_split(&text, '\n', &line)) {
        ptrdiff_t comment = str_chr(line, '#');
        line = comment >= 0 ? str_head(line, (size_t)comment) : line;
        if (!next_word(&line, &address))
            continue;
        while (next_word(&line, &word))
            if (str_ieq(without_dot(word), name)) {
                added += add_text(out, address);
                break;
            }
    }
    return added;
}
