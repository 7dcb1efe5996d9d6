#include "master/kinds/istio_common.h"

#include <arpa/inet.h>
#include <stdio.h>

/* ---- names -------------------------------------------------------------------------------- */

static bool alnum(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

static bool label_of(struct str s, bool capitals)
{
    if (s.n == 0 || s.n > 63 || !alnum(s.p[0]) || !alnum(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!alnum(s.p[i]) && s.p[i] != '-')
            return false;
        if (!capitals && s.p[i] >= 'A' && s.p[i] <= 'Z')
            return false;
    }
    return true;
}

bool istio_label_valid(struct str s)
{
    return label_of(s, false);
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_digit(s.p[i]))
            return false;
    return s.n > 0;
}

bool istio_fqdn_valid(struct str s)
{
    if (s.n && s.p[s.n - 1] == '.')
        s.n--;
    if (s.n == 0 || s.n > 255)
        return false;
    struct str rest = s, label = STR_NONE;
    while (str_split(&rest, '.', &label))
        if (!label_of(label, true))
            return false;
    return !all_digits(label);
}

bool istio_wildcard_domain_valid(struct str s)
{
    if (s.n == 0 || s.n > 255)
        return false;
    if (s.p[0] != '*')
        return istio_fqdn_valid(s);
    struct str rest = str_skip(s, 1);
    if (rest.n == 0)
        return true;
    if (rest.p[0] == '.')
        return istio_fqdn_valid(str_skip(rest, 1));
    /* "*foo.com", "*-foo.com": what follows '*' is the end of a label. */
    if (rest.p[0] == '-')
        rest = str_skip(rest, 1);
    return istio_fqdn_valid(rest);
}

bool istio_host_is_partial_wildcard(struct str s)
{
    return s.n > 1 && s.p[0] == '*' && s.p[1] != '.';
}

static bool ip_of(struct str s, int *family)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char addr[16];
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *family = str_chr(s, ':') >= 0 ? AF_INET6 : AF_INET;
    return inet_pton(*family, text, addr) == 1;
}

bool istio_ip_valid(struct str s)
{
    int family;
    return ip_of(s, &family);
}

bool istio_cidr_valid(struct str s)
{
    ptrdiff_t slash = str_chr(s, '/');
    int family;
    uint64_t bits;
    if (slash < 0)
        return istio_ip_valid(s);
    return ip_of(str_head(s, (size_t)slash), &family) && str_u64(str_skip(s, (size_t)slash + 1), &bits) &&
           bits <= (family == AF_INET ? 32 : 128);
}

/* ---- hosts -------------------------------------------------------------------------------- */

static bool wild(struct str s)
{
    return s.n > 0 && s.p[0] == '*';
}

bool istio_host_covers(struct str wide, struct str n)
{
    if (!wild(wide))
        return str_eq(wide, n);
    struct str suffix = str_skip(wide, 1);
    if (wild(n))
        return str_ends(str_skip(n, 1), suffix);
    /* '*' stands for at least one byte: "*.foo.com" is not ".foo.com". */
    return n.n > suffix.n && str_ends(n, suffix);
}

bool istio_host_matches(struct str a, struct str b)
{
    return istio_host_covers(a, b) || istio_host_covers(b, a);
}

bool istio_host_intersect(struct str a, struct str b, struct str *both)
{
    if (istio_host_covers(a, b))
        *both = b;
    else if (istio_host_covers(b, a))
        *both = a;
    else
        return false;
    return true;
}

struct istio_server_host istio_server_host_parse(struct str text, struct str gateway_ns)
{
    struct istio_server_host h = {.host = text};
    ptrdiff_t slash = str_chr(text, '/');
    if (slash < 0)
        return h;
    h.ns = str_head(text, (size_t)slash);
    h.host = str_skip(text, (size_t)slash + 1);
    if (str_eqc(h.ns, "*"))
        h.ns = STR_NONE;
    else if (str_eqc(h.ns, "."))
        h.ns = gateway_ns;
    return h;
}

struct istio_gateway_ref istio_gateway_ref_parse(struct str text, struct str own_ns)
{
    struct istio_gateway_ref r = {.mesh = str_eqc(text, "mesh"), .ns = own_ns, .name = text};
    ptrdiff_t slash = str_chr(text, '/');
    if (slash < 0) {
        /* Legacy "name.ns[.svc...]": names of Gateways hold no dots. */
        ptrdiff_t dot = str_chr(text, '.');
        if (dot > 0) {
            struct str rest = str_skip(text, (size_t)dot + 1);
            r.name = str_head(text, (size_t)dot);
            str_split(&rest, '.', &r.ns);
        }
        return r;
    }
    r.name = str_skip(text, (size_t)slash + 1);
    if (!str_eqc(str_head(text, (size_t)slash), "."))
        r.ns = str_head(text, (size_t)slash);
    return r;
}

/* ---- nodes -------------------------------------------------------------------------------- */

const struct node *istio_get(const struct node *n, const char *name)
{
    const struct node *v = node_get(n, name);
    if (v)
        return v;
    char snake[64];
    size_t at = 0;
    for (const char *p = name; *p && at + 2 < sizeof(snake); p++) {
        if (*p >= 'A' && *p <= 'Z')
            snake[at++] = '_';
        snake[at++] = ascii_lower(*p);
    }
    snake[at] = '\0';
    return node_get(n, snake);
}

const struct node *istio_any(const struct node *n, const char *const *names)
{
    for (; *names; names++) {
        const struct node *v = istio_get(n, *names);
        if (v && v->type != NODE_NULL)
            return v;
    }
    return NULL;
}

const struct node *istio_item(const struct node *n, const char *name, size_t i)
{
    const struct node *list = istio_get(n, name);
    if (!list)
        return n;
    return list->type == NODE_LIST && i < list->n_kids ? list->kids[i] : list;
}

const struct node *istio_at(const struct node *n, const char *name)
{
    const struct node *v = istio_get(n, name);
    return v ? v : n;
}

const struct node *istio_kid(const struct node *n, struct str key)
{
    for (size_t i = 0; n && n->type == NODE_MAP && i < n->n_kids; i++)
        if (str_eq(node_key(n->kids[i]), key))
            return n->kids[i];
    return n;
}

struct str istio_own_namespace(const struct node *n)
{
    struct str ns = node_document(n)->ns;
    return ns.n ? ns : STR("default");
}

/* ---- exportTo ------------------------------------------------------------------------------ */

void istio_export_check(struct decoder *d, const struct node *owner, const struct str_list *list,
                        unsigned flags)
{
    struct str own = istio_own_namespace(owner);
    for (size_t i = 0; i < list->n; i++) {
        struct str v = list->v[i];
        const struct node *at = istio_item(owner, "exportTo", i);
        bool none = str_eqc(v, "~");
        if (none && !(flags & ISTIO_EXPORT_NONE_OK))
            diag_at(d->diags, DIAG_BadValue, at, NULL, "\"~\" (nobody) is only possible in a ServiceEntry");
        else if (!none && !str_eqc(v, "*") && !str_eqc(v, ".") && !istio_label_valid(v))
            diag_at(d->diags, DIAG_BadValue, at, "a namespace, \".\" for the own one, or \"*\" for all",
                    "\"" STR_FMT "\" is no namespace", STR_ARG(v));
        if (list->n > 1 && (none || str_eqc(v, "*")))
            diag_at(d->diags, DIAG_Exclusive, at, NULL, "\"" STR_FMT "\" must stand alone", STR_ARG(v));
        struct str resolved = str_eqc(v, ".") ? own : v;
        for (size_t k = 0; k < i; k++) {
            struct str other = str_eqc(list->v[k], ".") ? own : list->v[k];
            if (!str_eq(other, resolved))
                continue;
            diag_at(d->diags, DIAG_BadValue, at, "\".\" is the object's own namespace",
                    "namespace \"" STR_FMT "\" is named twice", STR_ARG(resolved));
            break;
        }
    }
}

bool istio_exported_to(const struct str_list *list, struct str own, struct str ns)
{
    if (list->n == 0)
        return true;
    for (size_t i = 0; i < list->n; i++) {
        if (str_eqc(list->v[i], "*") || str_eq(list->v[i], ns))
            return true;
        if (str_eqc(list->v[i], ".") && str_eq(own, ns))
            return true;
    }
    return false;
}

/* ---- ports --------------------------------------------------------------------------------- */

enum istio_protocol istio_protocol_of(struct str s)
{
#define NAME(text) text, sizeof(text) - 1
    static const struct {
        const char *name;
        size_t n;
        enum istio_protocol p;
    } NAMES[] = {
        {NAME("HTTP"), ISTIO_PROTO_HTTP},         {NAME("HTTP2"), ISTIO_PROTO_HTTP2}, {NAME("GRPC"), ISTIO_PROTO_GRPC},
        {NAME("GRPC-WEB"), ISTIO_PROTO_GRPC_WEB}, {NAME("HTTPS"), ISTIO_PROTO_HTTPS}, {NAME("TLS"), ISTIO_PROTO_TLS},
        {NAME("TCP"), ISTIO_PROTO_TCP},           {NAME("MONGO"), ISTIO_PROTO_MONGO}, {NAME("REDIS"), ISTIO_PROTO_REDIS},
        {NAME("MYSQL"), ISTIO_PROTO_MYSQL},       {NAME("UDP"), ISTIO_PROTO_UDP},
    };
#undef NAME
    for (size_t i = 0; s.n >= 3 && i < ARRAY_LEN(NAMES); i++) /* asked for each backend of each rule */
        if (s.n == NAMES[i].n && str_ieq(s, str_of(NAMES[i].name, s.n)))
            return NAMES[i].p;
    return ISTIO_PROTO_UNKNOWN;
}

bool istio_protocol_is_http(enum istio_protocol p)
{
    return p >= ISTIO_PROTO_HTTP && p <= ISTIO_PROTO_GRPC_WEB;
}

bool istio_protocol_is_tls(enum istio_protocol p)
{
    return p == ISTIO_PROTO_HTTPS || p == ISTIO_PROTO_TLS;
}

enum istio_protocol istio_protocol_of_port(struct str app_protocol, struct str name)
{
    static const struct { const char *word; enum istio_protocol p; } KUBERNETES[] = {
        {"kubernetes.io/h2c", ISTIO_PROTO_HTTP2}, {"kubernetes.io/ws", ISTIO_PROTO_HTTP}, {"kubernetes.io/wss", ISTIO_PROTO_HTTPS}};
    for (size_t i = 0; app_protocol.n > 0 && i < ARRAY_LEN(KUBERNETES); i++)
        if (str_eqc(app_protocol, KUBERNETES[i].word))
            return KUBERNETES[i].p;
    enum istio_protocol p = istio_protocol_of(app_protocol);
    if (p != ISTIO_PROTO_UNKNOWN)
        return p;
    if (name.n >= 8 && str_ieq(str_head(name, 8), STR("grpc-web")) && (name.n == 8 || (name.n > 9 && name.p[8] == '-')))
        return ISTIO_PROTO_GRPC_WEB;
    ptrdiff_t dash = str_chr(name, '-');
    return istio_protocol_of(dash < 0 ? name : str_head(name, (size_t)dash));
}

static const struct field PORT_SELECTOR_FIELDS[] = {
    FIELD_INT(struct istio_port_selector, number, "number", FIELD_REQUIRED, 1, 65535,
              "Port number of the service, not of its endpoints."),
};
const struct schema SCHEMA_ISTIO_PORT_SELECTOR =
    SCHEMA(struct istio_port_selector, PORT_SELECTOR_FIELDS, NULL, "A port of a service, by number.");

void istio_selector_check(struct decoder *d, const struct node *owner, const char *field,
                          const struct str_map *labels)
{
    const struct node *map = istio_get(owner, field);
    if (map && map->type == NODE_MAP && map->n_kids == 0)
        diag_at(d->diags, DIAG_Suspicious, map, "leave the field out to say so",
                "no labels: every instance or workload is selected");
    for (size_t i = 0; i < labels->n; i++) {
        const struct str_pair *l = &labels->v[i];
        const struct node *at = map ? istio_kid(map, l->key) : owner;
        if (l->key.n == 0)
            diag_at(d->diags, DIAG_BadValue, at, NULL, "a label has no name");
        if (str_chr(l->key, '*') >= 0 || str_chr(l->val, '*') >= 0)
            diag_at(d->diags, DIAG_BadValue, at, "labels are compared as a whole",
                    "wildcards are not possible in a label selector");
    }
}
