"""peers.py - the proxies that bench.py compares, each with the same job.

Every proxy listens on the ports of PORTS and forwards them to one upstream (nginx, answering from memory):

  http    HTTP/1.1 in plain text          -> HTTP/1.1
  https   HTTP/1.1 and HTTP/2 over TLS    -> HTTP/1.1
  h2c     HTTP/2 by prior knowledge       -> HTTP/1.1
  grpc    HTTP/2 by prior knowledge       -> HTTP/2 by prior knowledge
  tcp     bytes                           -> bytes

One process each where the proxy allows it, pinned by the caller, without access logs; gatehouse runs as it ships. A
proxy that can't do a port leaves it out of its dictionary.
"""
import os
import pathlib

PORTS = ("http", "https", "h2c", "grpc", "tcp")


def upstream(bench, root):
    conf = bench.dir / "upstream.conf"
    conf.write_text(f"""
worker_processes 1; pid {bench.dir}/up.pid; error_log {bench.dir}/up.err; daemon off;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {bench.dir}/up-body; client_body_buffer_size 64k; open_file_cache max=100;
  server {{ listen 127.0.0.1:{bench.up["http"]} backlog=4096; root {root};
    location = /post {{ client_max_body_size 10m; proxy_pass_request_body off; return 200 "ok"; }} }}
  server {{ listen 127.0.0.1:{bench.up["h2"]} http2 backlog=4096; root {root}; http2_max_concurrent_streams 256;
    location = /post {{ client_max_body_size 10m; return 200 "ok"; }} }} }}
""")
    return bench.spawn(bench.load_cpu, "nginx", "-c", conf, "-p", bench.dir)


def nginx(bench, port):
    conf = bench.dir / "nginx.conf"
    stream = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    layer4 = ""
    if stream.exists():
        layer4 = f"stream {{ server {{ listen 127.0.0.1:{port['tcp']} backlog=4096; proxy_pass 127.0.0.1:{bench.up['http']}; }} }}"
    else:
        del port["tcp"]
    proxy = """proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;"""
    conf.write_text(f"""
{f"load_module {stream};" if layer4 else ""}
worker_processes 1; pid {bench.dir}/nginx.pid; error_log {bench.dir}/nginx.err; daemon off;
events {{ worker_connections 16384; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;
  client_body_temp_path {bench.dir}/n-body; proxy_temp_path {bench.dir}/n-proxy; client_body_buffer_size 64k;
  client_max_body_size 10m; http2_max_concurrent_streams 256; client_header_timeout 600s;
  ssl_certificate {bench.cert}; ssl_certificate_key {bench.key}; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:s:10m; ssl_session_tickets on; ssl_buffer_size 16k;
  upstream up {{ server 127.0.0.1:{bench.up["http"]}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  upstream up2 {{ server 127.0.0.1:{bench.up["h2"]}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  server {{ listen 127.0.0.1:{port["http"]} backlog=4096; listen 127.0.0.1:{port["https"]} ssl http2 backlog=4096;
    listen 127.0.0.1:{port["h2c"]} http2 backlog=4096;
    location / {{ proxy_pass http://up; {proxy} }} }}
  server {{ listen 127.0.0.1:{port["grpc"]} http2 backlog=4096;
    location / {{ grpc_pass grpc://up2; grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}
{layer4}
""")
    return bench.spawn(bench.proxy_cpu, "nginx", "-c", conf, "-p", bench.dir)


def haproxy(bench, port):
    conf, pem = bench.dir / "haproxy.cfg", bench.dir / "haproxy.pem"
    pem.write_text(bench.cert.read_text() + bench.key.read_text())
    conf.write_text(f"""
global
  nbthread 1
  maxconn 8192
  ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.h2.max-concurrent-streams 256
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout connect 5s
  http-reuse always
frontend f
  option forwardfor
  bind 127.0.0.1:{port["http"]} backlog 4096
  bind 127.0.0.1:{port["h2c"]} proto h2 backlog 4096
  bind 127.0.0.1:{port["https"]} ssl crt {pem} alpn h2,http/1.1 backlog 4096
  default_backend b
frontend g
  option forwardfor
  bind 127.0.0.1:{port["grpc"]} proto h2 backlog 4096
  default_backend b2
frontend t
  mode tcp
  bind 127.0.0.1:{port["tcp"]} backlog 4096
  default_backend bt
backend b
  http-request set-header X-Forwarded-Proto http
  server s 127.0.0.1:{bench.up["http"]} pool-max-conn 512
backend b2
  server s 127.0.0.1:{bench.up["h2"]} proto h2 pool-max-conn 512
backend bt
  mode tcp
  server s 127.0.0.1:{bench.up["http"]}
""")
    return bench.spawn(bench.proxy_cpu, "haproxy", "-f", conf)


def nghttpx(bench, port):
    del port["tcp"]
    front = [f"--frontend=127.0.0.1,{port[p]};no-tls" for p in ("http", "h2c")] + [f"--frontend=127.0.0.1,{port['https']}"]
    # One backend group for a process: gRPC's has its own.
    other = bench.spawn(bench.proxy_cpu, "nghttpx", "--conf=/dev/null", "--workers=1", "--accesslog-file=/dev/null",
                        "--errorlog-file=/dev/null", f"--frontend=127.0.0.1,{port['grpc']};no-tls",
                        f"--backend=127.0.0.1,{bench.up['h2']};;proto=h2", "--frontend-http2-max-concurrent-streams=256",
                        "--backend-read-timeout=600s", "--frontend-http2-read-timeout=600s")
    main = bench.spawn(bench.proxy_cpu, "nghttpx", "--conf=/dev/null", "--workers=1", "--accesslog-file=/dev/null",
                       "--errorlog-file=/dev/null", *front, f"--backend=127.0.0.1,{bench.up['http']}",
                       "--frontend-http2-max-concurrent-streams=256", "--backend-keep-alive-timeout=600s",
                       "--frontend-http2-read-timeout=600s", "--frontend-keep-alive-timeout=600s", bench.key, bench.cert)
    return [main, other]


def indented(path, by):
    return "\n".join(" " * by + line for line in path.read_text().splitlines())


def gatehouse(bench, port):
    base = bench.dir / "gatehouse"
    for d in ("conf.d", "state", "run"):
        (base / d).mkdir(parents=True)
        os.chmod(base / d, 0o777)
    os.chmod(base, 0o755)
    (base / "conf.d/all.yaml").write_text(f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {{name: http, port: {port["http"]}, protocol: HTTP}}
  - {{name: h2c, port: {port["h2c"]}, protocol: HTTP}}
  - {{name: grpc, port: {port["grpc"]}, protocol: HTTP}}
  - {{name: https, port: {port["https"]}, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}
  - {{name: tcp, port: {port["tcp"]}, protocol: TCP}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: all}}
spec:
  parentRefs:
  - {{name: edge, sectionName: http}}
  - {{name: edge, sectionName: h2c}}
  - {{name: edge, sectionName: https}}
  rules: [{{backendRefs: [{{name: up, port: 80}}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: grpc}}
spec:
  parentRefs: [{{name: edge, sectionName: grpc}}]
  rules: [{{backendRefs: [{{name: up2, port: 80}}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {{name: tcp}}
spec:
  parentRefs: [{{name: edge, sectionName: tcp}}]
  rules: [{{backendRefs: [{{name: up, port: 80}}]}}]
---
apiVersion: v1
kind: Secret
metadata: {{name: cert}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{indented(bench.cert, 4)}
  tls.key: |
{indented(bench.key, 4)}
""" + "".join(f"""
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: http, port: 80{protocol}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: ["127.0.0.1"]}}]
ports: [{{name: http, port: {to}}}]
""" for name, protocol, to in (("up", "", bench.up["http"]), ("up2", ", appProtocol: kubernetes.io/h2c", bench.up["h2"]))))
    (base / "gatehouse.yaml").write_text(f"""
apiVersion: gatehouse.dev/v1alpha1
kind: Instance
metadata: {{name: bench}}
spec:
  workers: 1
  adminAddress: 127.0.0.1:{bench.free_port()}
  accessLog: {{path: {base}/access.log}}
""")
    build = pathlib.Path(bench.args.build)
    return bench.spawn(bench.proxy_cpu, build / "gatehouse", "serve", "--config", base / "gatehouse.yaml",
                       "--conf-dir", base / "conf.d", "--state-dir", base / "state", "--run-dir", base / "run")


PEERS = {"nginx": nginx, "haproxy": haproxy, "nghttpx": nghttpx, "gatehouse": gatehouse}
