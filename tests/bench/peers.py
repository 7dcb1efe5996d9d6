"""peers.py - the proxies that are compared, each with the same job; one process with one thread, pinned by lab.py.

Every proxy listens on the ports of PORTS and forwards them to backends that lab's other processor runs:

  http    HTTP/1.1 in plain text          -> HTTP/1.1          https   HTTP/1.1 and HTTP/2 over TLS  -> HTTP/1.1
  h2c     HTTP/2 by prior knowledge       -> HTTP/1.1          grpc    HTTP/2 by prior knowledge     -> the same
  ws      HTTP/1.1 with an upgrade        -> the same          tcp     bytes                         -> bytes
  sni     TLS that is passed through by its server name        -> TLS
  big     HTTP/2 by prior knowledge       -> HTTP/1.1 of a backend of its own, with a lower priority: greedy neighbours

A peer that can't do a port deletes it from the dictionary. The peers run without access logs; gatehouse as it ships.
"""
import pathlib
import shutil
import subprocess

import peer_envoy
import peer_gatehouse
from lab import free_port

PORTS = ("http", "https", "h2c", "grpc", "ws", "tcp", "sni", "big")
STREAM = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def echo(lab):
    """The port of a backend that echoes WebSocket messages."""
    p = lab.helper(lab.tool("ws_load"), "serve", stdout=subprocess.PIPE, text=True)
    return int(p.stdout.readline().split()[1])


def backends(lab):
    """One nginx that answers from memory (HTTP/1.1, HTTP/2, TLS) and the WebSocket echo: {name: port}."""
    up, (cert, key) = {n: free_port() for n in ("http", "h2", "tls", "big")}, lab.certificate()
    root, conf = lab.dir / "www", lab.dir / "backend.conf"
    root.mkdir()
    for name, n in (("1k", 1024), ("64k", 65536), ("1m", 1 << 20)):
        (root / name).write_bytes(b"x" * n)
    with open(root / "1g", "wb") as f:
        f.truncate(1 << 30)  # a hole: nothing is read from a disk
    conf.write_text(f"""
worker_processes 1; pid {lab.dir}/up.pid; error_log {lab.dir}/up.err; daemon off; master_process off;
events {{ worker_connections 9000; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {lab.dir}/up-body; client_body_buffer_size 64k; open_file_cache max=100; client_max_body_size 10m;
  ssl_certificate {cert}; ssl_certificate_key {key}; ssl_session_cache shared:u:10m;
  server {{ listen 127.0.0.1:{up["http"]} backlog=4096; listen 127.0.0.1:{up["tls"]} ssl backlog=4096; root {root};
    location = /post {{ return 200 "ok"; }} }}
  server {{ listen 127.0.0.1:{up["h2"]} http2 backlog=4096; root {root}; http2_max_concurrent_streams 256;
    location = /post {{ return 200 "ok"; }} }} }}
""")
    lab.wait_port(up["http"], lab.helper("nginx", "-c", conf, "-p", lab.dir))
    big = lab.dir / "big.conf"
    big.write_text(f"""
worker_processes 1; pid {lab.dir}/big.pid; error_log {lab.dir}/big.err; daemon off; master_process off;
events {{ worker_connections 4000; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000000; client_body_temp_path {lab.dir}/big-body;
  server {{ listen 127.0.0.1:{up["big"]} backlog=4096; root {root}; }} }}
""")
    lab.wait_port(up["big"], lab.helper("nice", "-n", "10", "nginx", "-c", big, "-p", lab.dir))
    up["ws"] = echo(lab)
    return up


def nginx(lab, port, up):
    conf, (cert, key) = lab.dir / "nginx.conf", lab.certificate()
    stream = ""
    if STREAM.exists():
        stream = f"""stream {{ proxy_timeout 600s;
  server {{ listen 127.0.0.1:{port["tcp"]} backlog=4096; proxy_pass 127.0.0.1:{up["http"]}; }}
  map $ssl_preread_server_name $to {{ localhost 127.0.0.1:{up["tls"]}; }}
  server {{ listen 127.0.0.1:{port["sni"]} backlog=4096; ssl_preread on; proxy_pass $to; }} }}"""
    else:
        del port["tcp"], port["sni"]
    forwarded = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;"
    proxy = f'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; {forwarded}'
    keep = "keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s;"
    conf.write_text(f"""
{f"load_module {STREAM};" if stream else ""}
worker_processes 1; pid {lab.dir}/nginx.pid; error_log {lab.dir}/nginx.err; daemon off;
events {{ worker_connections 9000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;
  client_body_temp_path {lab.dir}/n-body; proxy_temp_path {lab.dir}/n-proxy; client_body_buffer_size 64k;
  client_max_body_size 10m; http2_max_concurrent_streams 256; client_header_timeout 600s;
  ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:s:10m; ssl_session_tickets on; ssl_buffer_size 16k;
  upstream up {{ server 127.0.0.1:{up["http"]}; {keep} }}
  upstream big {{ server 127.0.0.1:{up["big"]}; {keep} }}
  upstream up2 {{ server 127.0.0.1:{up["h2"]}; {keep} }}
  server {{ listen 127.0.0.1:{port["http"]} backlog=4096; listen 127.0.0.1:{port["https"]} ssl http2 backlog=4096;
    listen 127.0.0.1:{port["h2c"]} http2 backlog=4096;
    location / {{ proxy_pass http://up; {proxy} }} }}
  server {{ listen 127.0.0.1:{port["big"]} http2; location / {{ proxy_pass http://big; proxy_max_temp_file_size 0; {proxy} }} }}
  server {{ listen 127.0.0.1:{port["ws"]} backlog=4096;
    location / {{ proxy_pass http://127.0.0.1:{up["ws"]}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade; proxy_set_header Host $host; proxy_read_timeout 600s; {forwarded} }} }}
  server {{ listen 127.0.0.1:{port["grpc"]} http2 backlog=4096;
    location / {{ grpc_pass grpc://up2; grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}
{stream}
""")
    return [lab.proxy("nginx", "-c", conf, "-p", lab.dir)]


def haproxy(lab, port, up):
    conf, pem = lab.dir / "haproxy.cfg", lab.dir / "haproxy.pem"
    pem.write_text("".join(p.read_text() for p in lab.certificate()))
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
  timeout tunnel 600s
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
frontend h
  option forwardfor
  bind 127.0.0.1:{port["big"]} proto h2 backlog 4096
  default_backend bb
frontend w
  option forwardfor
  bind 127.0.0.1:{port["ws"]} backlog 4096
  default_backend bw
frontend t
  mode tcp
  bind 127.0.0.1:{port["tcp"]} backlog 4096
  default_backend bt
frontend s
  mode tcp
  bind 127.0.0.1:{port["sni"]} backlog 4096
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend bs if {{ req.ssl_sni localhost }}
backend b
  http-request set-header X-Forwarded-Proto http
  server s 127.0.0.1:{up["http"]} pool-max-conn 512
backend b2
  server s 127.0.0.1:{up["h2"]} proto h2 pool-max-conn 512
backend bb
  server s 127.0.0.1:{up["big"]}
backend bw
  server s 127.0.0.1:{up["ws"]}
backend bt
  mode tcp
  server s 127.0.0.1:{up["http"]}
backend bs
  mode tcp
  server s 127.0.0.1:{up["tls"]}
""")
    return [lab.proxy("haproxy", "-f", conf)]


def nghttpx(lab, port, up):
    """One process for each kind of backend: a backend group belongs to the whole process."""
    del port["tcp"], port["sni"], port["big"]
    cert, key = lab.certificate()

    def start(fronts, *backend):
        return lab.proxy("nghttpx", "--conf=/dev/null", "--workers=1", "--accesslog-file=/dev/null", "--errorlog-file=/dev/null",
                         *fronts, *backend, "--frontend-http2-max-concurrent-streams=256", "--backend-keep-alive-timeout=600s",
                         "--backend-read-timeout=600s", "--frontend-http2-read-timeout=600s",
                         "--frontend-keep-alive-timeout=600s", key, cert)

    def plain(*names):
        return [f"--frontend=127.0.0.1,{port[n]};no-tls" for n in names]
    return [start([*plain("http", "h2c"), f"--frontend=127.0.0.1,{port['https']}"], f"--backend=127.0.0.1,{up['http']}"),
            start(plain("grpc"), f"--backend=127.0.0.1,{up['h2']};;proto=h2"),
            start(plain("ws"), f"--backend=127.0.0.1,{up['ws']}")]


def h2o(lab, port, up):
    """Debian's h2o: no HTTP/2 in plain text, none to backends, and upgrades are not passed on by default."""
    for name in ("h2c", "grpc", "ws", "tcp", "sni", "big"):
        del port[name]
    conf, (cert, key) = lab.dir / "h2o.conf", lab.certificate()
    conf.write_text(f"""
num-threads: 1
max-connections: 8192
pid-file: {lab.dir}/h2o.pid
error-log: {lab.dir}/h2o.err
user: root
http2-idle-timeout: 600
http1-request-timeout: 600
listen: {{host: 127.0.0.1, port: {port["http"]}}}
listen: {{host: 127.0.0.1, port: {port["https"]}, ssl: {{certificate-file: {cert}, key-file: {key}}}}}
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:{up["http"]}/"
        proxy.timeout.keepalive: 600000
        proxy.preserve-host: ON
""")
    return [lab.proxy("h2o", "-m", "worker", "-c", conf)]


# name: (starts it, where its program is)
PEERS = {
    "nginx": (nginx, lambda lab: shutil.which("nginx")),
    "haproxy": (haproxy, lambda lab: shutil.which("haproxy")),
    "nghttpx": (nghttpx, lambda lab: shutil.which("nghttpx")),
    "h2o": (h2o, lambda lab: shutil.which("h2o")),
    "envoy": (peer_envoy.start, peer_envoy.program),
    "gatehouse": (peer_gatehouse.start, lambda lab: lab.build / "gatehouse"),
    # The same without an access log: what the log costs.
    "gatehouse-nolog": (peer_gatehouse.start_nolog, lambda lab: lab.build / "gatehouse"),
}
VERSIONS = {"nginx": ["-v"], "haproxy": ["-v"], "nghttpx": ["-v"], "h2o": ["-v"], "envoy": ["--version"], "gatehouse": ["--version"]}


def version(lab, name):
    """One line of what a peer says about itself."""
    program = PEERS[name][1](lab)
    said = lab.run(program, *VERSIONS.get(name, ["--version"]))
    return about(said.stdout + said.stderr)


def about(said):
    """The first line that says something, without where on this machine the program lies and where its makers are on the web."""
    lines = said.strip().splitlines() or ["?"]
    words = [pathlib.PurePath(w).name if w.startswith("/") else w for w in lines[0].split() if "://" not in w]
    return " ".join(words).removesuffix(" -")
