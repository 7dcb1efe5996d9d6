"""peer_gatehouse.py - gatehouse as it ships, with one worker: access log to a file, all metrics on."""
import os

from lab import free_port

API = "gateway.networking.k8s.io/v1"


def gateway(listeners, name="edge"):
    """A Gateway; listeners: {name: (port, what follows the port)}."""
    rows = "\n".join(f"  - {{name: {n}, port: {port}, {more}}}" for n, (port, more) in listeners.items())
    return f"apiVersion: {API}\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  gatewayClassName: gatehouse\n  listeners:\n{rows}\n"


def route(name, sections, backend, kind="HTTPRoute", more=""):
    """A route of all requests on these listeners to one backend."""
    parents = ", ".join(f"{{name: edge, sectionName: {s}}}" for s in sections)
    return (f"apiVersion: {API}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{parents}]\n{more}"
            f"  rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]\n")


def service(name, port, protocol=""):
    """A Service on port 80 and where it runs."""
    return f"""apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: http, port: 80{", appProtocol: " + protocol if protocol else ""}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: ["127.0.0.1"]}}]
ports: [{{name: http, port: {port}}}]
"""


def secret(cert, key, name="cert"):
    def block(path):
        return "\n".join("    " + line for line in path.read_text().splitlines())
    return (f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n"
            f"  tls.crt: |\n{block(cert)}\n  tls.key: |\n{block(key)}\n")


def folders(lab, name="gatehouse"):
    """Where one instance lives; its configuration goes to conf.d."""
    base = lab.dir / name
    for d in ("conf.d", "state", "run"):
        (base / d).mkdir(parents=True)
        os.chmod(base / d, 0o777)
    os.chmod(base, 0o755)
    return base


def serve(lab, base, log=True, workers=1, cpu="proxy", settings=""):
    """Starts the gateway on what lies in `base`."""
    (base / "gatehouse.yaml").write_text(f"""
apiVersion: gatehouse.dev/v1alpha1
kind: Instance
metadata: {{name: bench}}
spec:
  workers: {workers}
  adminAddress: 127.0.0.1:{free_port()}
  accessLog: {{path: {f"{base}/access.log" if log else '"off"'}}}
{settings}""")
    start = {"proxy": lab.proxy, "load": lab.helper}[cpu]
    return start(lab.build / "gatehouse", "serve", "--config", base / "gatehouse.yaml", "--conf-dir", base / "conf.d",
                 "--state-dir", base / "state", "--run-dir", base / "run")


def start(lab, port, up, name="gatehouse", log=True):
    base = folders(lab, name)
    tls = "tls: {certificateRefs: [{name: cert}]}"
    listeners = {n: (port[n], "protocol: HTTP") for n in ("http", "h2c", "grpc", "ws", "big")}
    listeners["https"] = (port["https"], f"protocol: HTTPS, {tls}")
    listeners["tcp"] = (port["tcp"], "protocol: TCP")
    listeners["sni"] = (port["sni"], "protocol: TLS, tls: {mode: Passthrough}")
    (base / "conf.d/all.yaml").write_text("---\n".join([
        gateway(listeners), route("all", ["http", "h2c", "https"], "up"), route("grpc", ["grpc"], "up2"),
        route("ws", ["ws"], "ws"), route("big", ["big"], "big"), route("tcp", ["tcp"], "up", "TCPRoute"),
        route("sni", ["sni"], "tls", "TLSRoute", "  hostnames: [localhost]\n"), secret(*lab.certificate()),
        service("up", up["http"]), service("up2", up["h2"], "kubernetes.io/h2c"), service("ws", up["ws"]),
        service("tls", up["tls"]), service("big", up["big"])]))
    return [serve(lab, base, log)]


def start_nolog(lab, port, up):
    for n in [n for n in port if n != "http"]:
        port[n] = free_port()
    started = start(lab, port, up, "gatehouse-nolog", log=False)
    for n in [n for n in port if n != "http"]:
        del port[n]
    return started
