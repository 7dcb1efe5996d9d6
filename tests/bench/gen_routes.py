#!/usr/bin/env python3
"""Writes a configuration directory of N routes, for measuring loads, reloads and lookups.

A route is a rule with one match and one backend. The shapes:
  hosts    every object has a host name of its own (one in ten a wildcard), rules differ by prefix
  vhosts   N/10 host names with 10 prefixes each (what peers.py gives nginx and HAProxy)
  prefix exact regex    one host, paths differ
  header query          one host and path, the value of one header or parameter differs

    gen_routes.py DIR --routes 50000 --rules 10 --api gateway --shape hosts --per-file 100
"""
import argparse
import os

GATEWAY = """apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  gatewayClassName: gatehouse
  listeners:
  - name: http
    port: {port}
    protocol: HTTP
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: gatehouse
spec:
  controllerName: gatehouse.dev/gateway-controller
"""
ISTIO_GATEWAY = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  selector:
    istio: ingressgateway
  servers:
  - port: {{number: {port}, name: http, protocol: HTTP}}
    hosts: ["*"]
"""
SERVICE = """---
apiVersion: v1
kind: Service
metadata:
  name: app
spec:
  ports:
  - {{name: http, port: 80, targetPort: {upstream}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: app-1
  labels:
    kubernetes.io/service-name: app
addressType: IPv4
ports:
- {{name: http, port: {upstream}}}
endpoints:
- addresses: ["127.0.0.1"]
"""


def value(shape, i, rule):
    if shape in ("hosts", "vhosts"):
        return f"/section-{rule}"
    return {"prefix": f"/api/v1/items/{i}", "exact": f"/api/v1/items/{i}/detail",
            "regex": f"/api/v1/items/{i}/[a-z]+", "header": f"value-{i}", "query": f"value-{i}"}[shape]


def host(shape, n):
    if shape == "hosts":
        return f"host-{n}.example.com" if n % 10 else f"*.wild-{n}.example.com"
    return f"host-{n}.example.com" if shape == "vhosts" else "one.example.com"


def gateway_rule(shape, v):
    if shape in ("header", "query"):
        what, name = ("headers", "x-tenant") if shape == "header" else ("queryParams", "id")
        match = f"    - {what}:\n      - name: {name}\n        value: {v}\n"
    else:
        kind = {"exact": "Exact", "regex": "RegularExpression"}.get(shape, "PathPrefix")
        match = f"    - path:\n        type: {kind}\n        value: {v}\n"
    return f"  - matches:\n{match}    backendRefs:\n    - name: app\n      port: 80\n"


def gateway_object(shape, n, rules, first, tag):
    text = (f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: route-{n}\n"
            f"spec:\n  parentRefs:\n  - name: edge\n  hostnames:\n  - \"{host(shape, n)}\"\n  rules:\n")
    for r in range(rules):
        text += gateway_rule(shape, value(shape, first + r, r))
    if tag:
        text += (f"  - matches:\n    - path:\n        type: PathPrefix\n        value: /{tag}\n"
                 f"    backendRefs:\n    - name: app\n      port: 80\n")
    return text


def istio_rule(shape, v):
    match = {"header": f"headers: {{x-tenant: {{exact: {v}}}}}", "query": f"queryParams: {{id: {{exact: {v}}}}}",
             "exact": f"uri: {{exact: {v}}}", "regex": f"uri: {{regex: \"{v}\"}}"}.get(shape, f"uri: {{prefix: {v}}}")
    return f"  - match:\n    - {match}\n    route:\n    - destination:\n        host: app\n        port: {{number: 80}}\n"


def istio_object(shape, n, rules, first, tag):
    text = (f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: route-{n}\n"
            f"spec:\n  hosts:\n  - \"{host(shape, n)}\"\n  gateways:\n  - edge\n  http:\n")
    for r in range(rules):
        text += istio_rule(shape, value(shape, first + r, r))
    if tag:
        text += f"  - match:\n    - uri: {{prefix: /{tag}}}\n    route:\n    - destination:\n        host: app\n"
    return text


def objects(api, shape, routes, rules, tag=""):
    make = gateway_object if api == "gateway" else istio_object
    for n, first in enumerate(range(0, routes, rules)):
        yield make(shape, n, min(rules, routes - first), first, tag if n == 0 else "")


def write(directory, routes, rules=10, api="gateway", shape="hosts", per_file=100, port=8080, upstream=9000, tag=""):
    """All files; the first object has one more rule for the path /TAG when there is a tag."""
    os.makedirs(directory, exist_ok=True)
    head = (GATEWAY if api == "gateway" else ISTIO_GATEWAY) + SERVICE
    with open(os.path.join(directory, "a-edge.yaml"), "w") as f:
        f.write(head.format(port=port, upstream=upstream))
    batch, number = [], 0
    for text in objects(api, shape, routes, rules, tag):
        batch.append(text)
        if len(batch) == per_file:
            write_batch(directory, number, batch)
            batch, number = [], number + 1
    if batch:
        write_batch(directory, number, batch)


def write_batch(directory, number, batch):
    path = os.path.join(directory, f"routes-{number:06d}.yaml")
    with open(path + ".tmp", "w") as f:
        f.write("---\n".join(batch))
    os.rename(path + ".tmp", path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("directory")
    p.add_argument("--routes", type=int, default=1000)
    p.add_argument("--rules", type=int, default=10, help="of one object")
    p.add_argument("--api", choices=["gateway", "istio"], default="gateway")
    p.add_argument("--shape", choices=["hosts", "vhosts", "prefix", "exact", "regex", "header", "query"], default="hosts")
    p.add_argument("--per-file", type=int, default=100, help="objects")
    p.add_argument("--port", type=int, default=8080)
    p.add_argument("--upstream", type=int, default=9000)
    p.add_argument("--tag", default="")
    a = p.parse_args()
    write(a.directory, a.routes, a.rules, a.api, a.shape, a.per_file, a.port, a.upstream, a.tag)


if __name__ == "__main__":
    main()
