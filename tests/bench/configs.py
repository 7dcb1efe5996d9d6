"""configs.py - proxies with many routes: 10 to 100,000 hosts, prefixes, header values or regular expressions, and a reload.

Every proxy marks its answers with the field `x-gen`, so that a client sees which configuration answered. `write(gen)` puts the next
one in place and tells the proxy, as its operators do: gatehouse watches its files, nginx wants SIGHUP, HAProxy's master SIGUSR2.
Routes of kind "paths" are for reloads: one host for ten prefixes.
"""
import os
import shutil
import signal

import peer_gatehouse as gh
import peers
from lab import free_port

HOST, PATH = "host-0.example.com", "/p0/1k"  # what the first route of "paths" answers


def host(i):
    return f"host-{i}.example.com"


def paths(n):
    """[(host, [prefix, ...])], ten prefixes each."""
    return [(host(i), [f"/p{k}" for k in range(min(10, n - i * 10))]) for i in range((n + 9) // 10)]


class Proxy:
    """One proxy with n routes of a kind, all to one backend that ignores the path's first element."""

    def __init__(self, lab, kind, n, backend, name):
        self.lab, self.kind, self.n, self.backend = lab, kind, n, backend
        self.port, self.ws_port, self.name = free_port(), free_port(), name
        self.dir = lab.dir / f"{name}-{kind}-{n}"
        self.process = None

    def start(self, deadline=120):
        """Writes generation 1, starts, and waits for the first answer."""
        self.dir.mkdir(exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.put(1)
        self.process = self.serve()
        self.lab.wait_answer(self.port, self.process, deadline)
        return self

    def stop(self):
        self.lab.end(self.process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def write(self, gen):
        self.put(gen)
        self.tell()

    def tell(self):
        """Nothing to tell: it sees its files change."""


class Gatehouse(Proxy):
    MATCH = {
        "hosts": "  hostnames: [host-{i}.example.com]\n  rules:\n  - {{{use}}}\n",
        "prefix": "  - {{matches: [{{path: {{type: PathPrefix, value: /p{i}}}}}], {use}}}\n",
        "header": "  - {{matches: [{{headers: [{{name: x-tenant, value: value-{i}}}]}}], {use}}}\n",
        "regex": "  - {{matches: [{{path: {{type: RegularExpression, value: \"/p{i}/[a-z0-9]+\"}}}}], {use}}}\n",
    }
    USE = "backendRefs: [{name: up, port: 80}]"

    def serve(self):
        return gh.serve(self.lab, self.dir)

    def put(self, gen):
        conf = self.dir / "conf.d"
        if not conf.exists():
            for d in ("conf.d", "state", "run"):
                (self.dir / d).mkdir()
                os.chmod(self.dir / d, 0o777)
            self.put_all(conf)
        self.put_live(conf, gen)

    def put_all(self, conf):
        listeners = {"http": (self.port, "protocol: HTTP"), "ws": (self.ws_port, "protocol: HTTP")}
        base = [gh.gateway(listeners), gh.service("up", self.backend["http"]), gh.service("ws", self.backend["ws"]), gh.route("ws", ["ws"], "ws")]
        (conf / "base.yaml").write_text("---\n".join(base))
        objects = list(self.objects())
        for i in range(0, len(objects), 100):
            (conf / f"routes-{i // 100}.yaml").write_text("---\n".join(objects[i:i + 100]))

    @staticmethod
    def route(name, hostname, rules):
        hostnames = f"  hostnames: [{hostname}]\n" if hostname else ""
        return (f"apiVersion: {gh.API}\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n"
                f"  parentRefs: [{{name: edge, sectionName: http}}]\n{hostnames}  rules:\n{rules}")

    def objects(self):
        if self.kind == "paths":
            for i, (h, prefixes) in enumerate(paths(self.n)):
                if i:  # the first is the one that changes
                    yield self.route(f"r{i}", h, "".join(self.rule("prefix", p[2:]) for p in prefixes))
        elif self.kind == "hosts":
            for i in range(self.n):
                yield self.route(f"r{i}", host(i), f"  - {{{self.USE}}}\n")
        else:
            for i in range(0, self.n, 16):  # an HTTPRoute has 16 rules at most
                yield self.route(f"r{i}", None, "".join(self.rule(self.kind, k) for k in range(i, min(i + 16, self.n))))

    def rule(self, kind, i):
        return self.MATCH[kind].format(i=i, use=self.USE)

    def put_live(self, conf, gen):
        """The route whose answers the load looks at, written as careful tools do: a name beside it, then a rename."""
        if self.kind != "paths":
            return
        mark = f"filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-gen, value: \"{gen}\"}}]}}}}], "
        rules = "".join(self.MATCH["prefix"].format(i=p[2:], use=mark + self.USE) for p in paths(self.n)[0][1])
        (conf / ".live.new").write_text(self.route("live", host(0), rules))
        (conf / ".live.new").rename(conf / "live.yaml")


class Nginx(Proxy):
    def serve(self):
        return self.lab.proxy("nginx", "-c", self.dir / "nginx.conf", "-p", self.dir)

    def server(self, name, locations):
        return f"  server {{ listen 127.0.0.1:{self.port}; server_name {name}; {locations} }}\n"

    def servers(self):
        to = "{ proxy_pass http://up; }"
        if self.kind == "paths":
            return "".join(self.server(h, " ".join(f"location {p}/ {to}" for p in prefixes)) for h, prefixes in paths(self.n))
        if self.kind == "hosts":
            return "".join(self.server(host(i), "location / " + to) for i in range(self.n))
        form = {"prefix": "location /p{}/ ", "regex": "location ~ ^/p{}/[a-z0-9]+$ "}.get(self.kind)
        if form:
            return self.server("_", " ".join(form.format(i) + to for i in range(self.n)))
        table = "".join(f"    value-{i} up;\n" for i in range(self.n))
        return f"  map $http_x_tenant $to {{\n{table}  }}\n" + self.server("_", "location / { proxy_pass http://$to; }")

    def put(self, gen):
        (self.dir / "nginx.conf").write_text(f"""
worker_processes 1; pid {self.dir}/pid; error_log {self.dir}/err; daemon off;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; server_names_hash_max_size 524288;
  server_names_hash_bucket_size 128; map_hash_max_size 524288; map_hash_bucket_size 128; add_header x-gen {gen};
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  client_body_temp_path {self.dir}/b; proxy_temp_path {self.dir}/t; fastcgi_temp_path {self.dir}/f; uwsgi_temp_path {self.dir}/u;
  scgi_temp_path {self.dir}/s;
  upstream up {{ server 127.0.0.1:{self.backend["http"]}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{self.ws_port}; location / {{ proxy_pass http://127.0.0.1:{self.backend["ws"]};
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 600s; }} }}
{self.servers()}}}
""")

    def tell(self):
        self.process.send_signal(signal.SIGHUP)


class Haproxy(Proxy):
    """Routes in map files, which is HAProxy's cheap way; a reload reads them again."""

    LOOKUP = {"paths": "base,map_beg({m})", "hosts": "req.hdr(host),map_str({m})", "prefix": "path,map_beg({m})",
              "header": "req.hdr(x-tenant),map_str({m})", "regex": "path,map_reg({m})"}

    def serve(self):
        return self.lab.proxy("haproxy", "-W", "-f", self.dir / "haproxy.cfg")

    def keys(self):
        if self.kind == "paths":
            return (h + p + "/" for h, prefixes in paths(self.n) for p in prefixes)
        form = {"hosts": "host-{}.example.com", "prefix": "/p{}/", "header": "value-{}", "regex": "^/p{}/[a-z0-9]+$"}[self.kind]
        return (form.format(i) for i in range(self.n))

    def put(self, gen):
        table = self.dir / "routes.map"
        if not table.exists():
            table.write_text("".join(f"{k} b\n" for k in self.keys()))
        (self.dir / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  timeout connect 5s
  http-reuse always
frontend f
  bind 127.0.0.1:{self.port} backlog 4096
  http-response set-header x-gen {gen}
  use_backend %[{self.LOOKUP[self.kind].format(m=table)}]
frontend w
  bind 127.0.0.1:{self.ws_port}
  default_backend w
backend b
  server s 127.0.0.1:{self.backend["http"]} pool-max-conn 512
backend w
  server s 127.0.0.1:{self.backend["ws"]}
""")

    def tell(self):
        self.process.send_signal(signal.SIGUSR2)


KINDS = {"gatehouse": Gatehouse, "nginx": Nginx, "haproxy": Haproxy}


def backend(lab):
    """Answers every path with 1 KiB, and echoes WebSockets: {name: port}."""
    ports = {"http": free_port(), "ws": peers.echo(lab)}
    conf = lab.dir / "any.conf"
    conf.write_text(f"""
worker_processes 1; pid {lab.dir}/any.pid; error_log {lab.dir}/any.err; daemon off; master_process off;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_body_temp_path {lab.dir}/any-b;
  server {{ listen 127.0.0.1:{ports["http"]} backlog=4096; location / {{ return 200 "{"x" * 1024}"; }} }} }}
""")
    lab.wait_port(ports["http"], lab.helper("nginx", "-c", conf, "-p", lab.dir))
    return ports
