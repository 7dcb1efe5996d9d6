/* gapi_backend_tls_policy.c - tables and checks of BackendTLSPolicy. */
#include "master/kinds/gapi_backend_tls_policy.h"

#define T struct gapi_policy_target
static const struct field TARGET_FIELDS[] = {
    FIELD_STR(T, group, "group", FIELD_REQUIRED, "API group of the target; empty for a Service", .max = 253),
    FIELD_STR(T, kind, "kind", FIELD_REQUIRED, "Kind of the target: Service", .min = 1, .max = 63),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the target, in the policy's namespace", .min = 1, .max = 253),
    FIELD_STR(T, section, "sectionName", 0,
              "Name of a port of the Service; all its ports when absent. It wins over a policy for all ports", .min = 1,
              .max = 253),
};
#undef T
static const struct schema SCHEMA_TARGET =
    SCHEMA(struct gapi_policy_target, TARGET_FIELDS, NULL, "What the policy is for");

/* ---- what the certificate must say ----------------------------------------------------------- */

static const struct enum_row SAN_TYPES[] = {{"Hostname", GAPI_SAN_HOSTNAME}, {"URI", GAPI_SAN_URI}, {NULL}};

static void check_san_part(struct decoder *d, const struct gapi_san *s, enum gapi_san_type type, const char *key,
                           struct str value)
{
    if (s->type == (int32_t)type && value.n == 0)
        diag_at(d->diags, DIAG_Required, s->node, NULL, "%s is missing", key);
    else if (s->type != (int32_t)type && value.n)
        diag_at_key(d->diags, DIAG_Exclusive, s->node, key, "type and member must agree",
                    "%s does not belong to this type", key);
}

static void check_san(struct decoder *d, void *obj)
{
    struct gapi_san *s = obj;
    if (s->type == 0)
        return;
    check_san_part(d, s, GAPI_SAN_HOSTNAME, "hostname", s->hostname);
    check_san_part(d, s, GAPI_SAN_URI, "uri", s->uri);
    ptrdiff_t colon = str_chr(s->uri, ':');
    if (s->uri.n && (colon <= 0 || (size_t)colon + 1 == s->uri.n))
        diag_at_key(d->diags, DIAG_BadValue, s->node, "uri", "for instance spiffe://cluster.local/ns/default/sa/web",
                    "is no absolute URI");
}

#define T struct gapi_san
static const struct field SAN_FIELDS[] = {
    FIELD_ENUM_REQ(T, type, "type", FIELD_REQUIRED, SAN_TYPES, "Hostname or URI"),
    FIELD_STR(T, hostname, "hostname", 0, "A DNS name, exact or *.suffix", .format = FMT_HOSTNAME, .max = 253),
    FIELD_STR(T, uri, "uri", 0, "A URI, for instance a SPIFFE ID", .max = 253),
};
#undef T
static const struct schema SCHEMA_SAN =
    SCHEMA(struct gapi_san, SAN_FIELDS, check_san, "A name the certificate may have");

static void check_validation(struct decoder *d, void *obj)
{
    struct gapi_backend_validation *v = obj;
    if (v->ca_refs.n && v->well_known.n)
        diag_at_key(d->diags, DIAG_Exclusive, v->node, "wellKnownCACertificates", "keep one of them",
                    "caCertificateRefs and wellKnownCACertificates exclude each other");
    else if (v->ca_refs.n == 0 && v->well_known.n == 0 && !node_get(v->node, "caCertificateRefs"))
        diag_at(d->diags, DIAG_Required, v->node,
                "name a ConfigMap with ca.crt in caCertificateRefs, or write wellKnownCACertificates: System",
                "nothing says which CA is trusted");
    else if (v->ca_refs.n == 0 && v->well_known.n == 0)
        diag_at_key(d->diags, DIAG_Required, v->node, "caCertificateRefs", "or write wellKnownCACertificates: System",
                    "list at least one CA");
}

#define T struct gapi_backend_validation
static const struct field VALIDATION_FIELDS[] = {
    FIELD_LIST(T, ca_refs, "caCertificateRefs", 0, &SCHEMA_GAPI_LOCAL_REF,
               "ConfigMaps (or Secrets) of the same namespace with the CA certificates in key ca.crt", .max = 8),
    FIELD_STR(T, well_known, "wellKnownCACertificates", 0,
              "System trusts the CAs of the machine. Other words are refused in the status", .max = 253),
    FIELD_STR(T, hostname, "hostname", FIELD_REQUIRED,
              "Server name (SNI) that is sent, and the name the certificate must have unless subjectAltNames is there",
              .format = FMT_PRECISE_HOSTNAME, .min = 1, .max = 253),
    FIELD_LIST(T, sans, "subjectAltNames", 0, &SCHEMA_SAN,
               "Names of which the certificate must have one; hostname alone is not compared then", .max = 5),
};
#undef T
static const struct schema SCHEMA_VALIDATION =
    SCHEMA(struct gapi_backend_validation, VALIDATION_FIELDS, check_validation, "How the backend's certificate is checked");

/* ---- the policy ------------------------------------------------------------------------------ */

static bool same_target(const struct gapi_policy_target *a, const struct gapi_policy_target *b)
{
    return str_eq(a->group, b->group) && str_eq(a->kind, b->kind) && str_eq(a->name, b->name);
}

static void check_spec(struct decoder *d, void *obj)
{
    struct gapi_backend_tls_policy_spec *s = obj;
    for (size_t i = 1; i < s->targets.n; i++)
        for (size_t j = 0; j < i; j++) { /* at most 16 */
            const struct gapi_policy_target *a = &s->targets.v[i], *b = &s->targets.v[j];
            if (!same_target(a, b) || (a->section.n && b->section.n && !str_eq(a->section, b->section)))
                continue;
            diag_at(d->diags, DIAG_Exclusive, a->node, "give each of them its own sectionName",
                    "names the same target as targetRefs[%zu]", j);
            break;
        }
    const struct node *options = node_get(s->node, "options");
    for (size_t i = 0; options && i < options->n_kids; i++)
        diag_at(d->diags, DIAG_Ignored, options->kids[i], NULL, "option " STR_FMT " has no effect here",
                STR_ARG(node_key(options->kids[i])));
}

#define T struct gapi_backend_tls_policy_spec
static const struct field SPEC_FIELDS[] = {
    FIELD_LIST(T, targets, "targetRefs", FIELD_REQUIRED, &SCHEMA_TARGET, "Services the policy is for", .min = 1,
               .max = 16),
    FIELD_OBJ(T, validation, "validation", FIELD_REQUIRED, &SCHEMA_VALIDATION,
              "How the backend's certificate is checked"),
    FIELD_STR_MAP(T, options, "options", 0, "Settings of the implementation, by domain-prefixed name; none is known",
                  .max = 16),
};
#undef T
static const struct schema SCHEMA_SPEC =
    SCHEMA(struct gapi_backend_tls_policy_spec, SPEC_FIELDS, check_spec, "The policy");

#define T struct gapi_backend_tls_policy
static const struct field POLICY_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_SPEC, "The policy"),
};
#undef T
const struct schema SCHEMA_BACKEND_TLS_POLICY =
    SCHEMA(struct gapi_backend_tls_policy, POLICY_FIELDS, NULL,
           "Backends of a Service are spoken to in TLS, and their certificates are checked like this. For routes of kind "
           "HTTPRoute and GRPCRoute, and TLSRoute on listeners of mode Terminate");
