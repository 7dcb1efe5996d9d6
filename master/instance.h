/*
 * instance.h - the process settings: /etc/gatehouse/gatehouse.yaml, kind Instance of gatehouse.dev/v1alpha1.
 *
 * Read with the same tables as every kind. Every setting has a default that is right for one server.
 * Command line options win over the file. The master itself reads no YAML: at start and on every reload
 * the compiler child reads the file; what the master needs comes back as the flat struct below.
 */
#ifndef GH_MASTER_INSTANCE_H
#define GH_MASTER_INSTANCE_H

#include "master/kinds/schema.h"
#include "master/model/model.h"

struct instance {
    const struct node *node;
    uint32_t workers;              /* 0 = auto: one per processor this process may use */
    struct str user;               /* whom the children become when started as root; "" = nobody's change */
    struct str conf_dir, state_dir, run_dir;
    struct str admin_address;      /* "127.0.0.1:9901"; "" = unix socket only */
    struct str_map labels;         /* istio: ingressgateway */
    struct str ns;                 /* namespace of the instance, istio-system: credentials, root policies */
    struct str cluster_domain;     /* cluster.local */
    struct str_list controllers;   /* GatewayClass controllerNames that are ours */
    struct str address_pool;       /* CIDR or "" */
    enum lb_policy load_balancer;
    struct { bool json; struct str format, path; } access_log; /* path: "stdout", "journal", "off", a file */
    int32_t log_level;             /* enum log_level */
    struct {
        struct str certificate, private_key, root_certificate; /* files of the instance's own identity; "" = none */
        struct str trust_domain;   /* cluster.local */
        struct str root_ns;        /* istio-system: namespace whose objects count for all */
    } mesh;
    struct str_list dns_servers;   /* "192.0.2.1", "[2001:db8::1]:5353"; none = resolv.conf */
    uint32_t metrics_max_series;
    struct model_settings settings;
};

extern const struct schema SCHEMA_INSTANCE;
void instance_defaults(struct instance *in);
/* Parses the text of gatehouse.yaml over the defaults; findings go to ds. False on errors. */
bool instance_parse(struct instance *in, struct arena *a, const struct source *src, struct diags *ds);

#endif
