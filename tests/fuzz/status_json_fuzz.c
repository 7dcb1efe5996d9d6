/* status_json_fuzz.c - the scan of the STATUS image and the reading of a hosts file: any bytes. */
#include "shared/base/base.h"
#include "worker/hosts.h"
#include "worker/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str whole, struct str part)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    struct json_members m;
    if (json_scan(in, &m)) {
        struct buf again = {0};
        must(m.n <= STATUS_MEMBERS);
        buf_addch(&again, '{');
        for (size_t i = 0; i < m.n; i++) {
            must(inside(in, m.v[i].whole) && inside(m.v[i].whole, m.v[i].value) && m.v[i].value.n > 0);
            if (i)
                buf_addch(&again, ',');
            buf_adds(&again, m.v[i].whole);
        }
        buf_addch(&again, '}');
        struct json_members twice; /* what was spliced scans as the same */
        must(json_scan(buf_str(&again), &twice) && twice.n == m.n);
        buf_fini(&again);
    }
    struct str rest = in, element;
    for (size_t n = 0; json_next(&rest, &element); n++)
        must(inside(in, element) && element.n > 0 && n < size);
    struct board_dns_answer a = {0};
    ptrdiff_t space = str_chr(in, ' ');
    hosts_lookup(in, space > 0 ? str_head(in, (size_t)space) : in, &a);
    must(a.n <= BOARD_DNS_ADDRS);
    return 0;
}
