/*
 * h1_parse_bench.c - nanoseconds per request head of a browser (12 fields): parsed, then the canonical
 * path of its target and a head for the upstream written from it. Prints the best of several rounds; a
 * tool for the eye, no test.
 */
#include "worker/codec/h1_parse.h"
#include "worker/codec/h1_write.h"
#include <stdio.h>
#include <time.h>

static const char request[] =
    "GET /shop/catalog/items/8371?page=2&sort=price HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\n"
    "Referer: https://www.example.com/shop/catalog\r\n"
    "Cookie: session=0a1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark; consent=yes\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "X-Request-Trace: 4bf92f3577b34da6a3ce929d0e0e4736\r\n"
    "\r\n";

/* Of this process: other load on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define TURNS  200000
#define ROUNDS 7

static bool parse(struct h1_head *head, struct http_field *fields, uint16_t n)
{
    const struct h1_limits limits = H1_LIMITS_DEFAULT;
    struct h1_parser p;
    h1_parser_request(&p, head, fields, n, &limits);
    return h1_parse(&p, request, sizeof(request) - 1) == H1_DONE;
}

static size_t forward(const struct h1_head *head, char *out, size_t cap)
{
    char room[HTTP_PATH_ROOM(256)];
    struct str path;
    if (http_path_canonical(head->parts.path, PATH_DEFAULT, room, &path) != URI_OK)
        return 0;
    struct h1_writer w = h1_writer_on(out, cap);
    h1_write_request_line(&w, head->method, path, head->parts.query);
    h1_write_parsed(&w, head->fields, head->n_fields, FIELD_F_NEVER);
    h1_write_end(&w);
    return h1_writer_ok(&w) ? h1_writer_len(&w) : 0;
}

static double best(bool with_forward)
{
    static char out[4096];
    static struct http_field fields[100];
    struct h1_head head;
    double least = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = cpu_ns();
        for (int i = 0; i < TURNS; i++) {
            if (!parse(&head, fields, 100) || (with_forward && !forward(&head, out, sizeof(out))))
                return -1;
            __asm__ volatile("" : : "r"(&head) : "memory");
        }
        double ns = (double)(cpu_ns() - begin) / TURNS;
        least = GH_MIN(least, ns);
    }
    return least;
}

int main(void)
{
    printf("request head of %zu bytes, 12 fields\n", sizeof(request) - 1);
    printf("parse                 %7.1f ns\n", best(false));
    printf("parse, path and write %7.1f ns\n", best(true));
    return 0;
}
