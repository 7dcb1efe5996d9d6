"""The scaffolding of the flow tests: real processes, real sockets, nothing shared between tests.

Gateway    starts `gatehouse serve` on a scratch directory and waits for its READY notification.
Upstream   an HTTP/1.1 backend on a thread that answers with what it was asked.
RawServer  a backend that shows the bytes it got and answers bytes that the test chooses.
Client     a raw client connection with deadlines.

Nothing here sleeps to synchronise: waiting is for a notification, a long poll, or a byte on a socket, each
with a deadline. Ports are chosen by the kernel, or by lot and claimed.
"""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GATEHOUSE_BUILD", TOP / "build"))
DEADLINE = float(os.environ.get("GATEHOUSE_TEST_DEADLINE", "60"))



def eventually(look, what="", deadline=DEADLINE):
    """The first true value of look(), for what can only be looked at: numbers of the kernel, files that others write.
    What can be waited for (statuses, bytes, notifications) is waited for."""
    end = time.monotonic() + deadline
    while not (value := look()):
        assert time.monotonic() < end, f"not within {deadline} s: {what() if callable(what) else what}"
        time.sleep(0.02)
    return value


_claims = {}
_ports = (10000, max(20000, int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])))


def free_port(host="127.0.0.1"):
    """A port for a server that is started later. It is free, below those that the kernel gives to whoever asks for any, and
    claimed by a name that only one process of the machine can have: other runs of these tests don't get it either."""
    for _ in range(10000):
        port = random.randrange(*_ports)
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0gatehouse-test-port-{port}")
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
                s.bind((host, port))
        except OSError:
            claim.close()
            continue
        _claims[port] = claim
        return port
    raise AssertionError("no port is free")


def release_port(port):
    if claim := _claims.pop(port, None):
        claim.close()


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout=DEADLINE):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Gateway:
    """`gatehouse serve` with its own conf dir, state dir, run dir and admin port.

    files: {"name.yaml": text} written before the start. {port} in a text stands for the first listener
    port, {port2} for another; more keys come from `words`.
    """

    def __init__(self, files=None, words=None, settings="", start=True, workers=2, env=None, instance=""):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="gh-"))
        os.chmod(self.root, 0o755)
        self.conf, self.state, self.run = self.root / "conf.d", self.root / "state", self.root / "run"
        self.conf.mkdir()
        self.state.mkdir(mode=0o777)
        self.run.mkdir(mode=0o777)
        self.ports = [free_port() for _ in range(3)]
        self.port, self.port2, self.admin_port = self.ports
        self.words = {"port": self.port, "port2": self.port2, **(words or {})}
        self.log_path = self.root / "log"
        self.config = self.root / "gatehouse.yaml"
        self.config.write_text(
            "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nmetadata:\n  name: test\nspec:\n"
            f"  workers: {workers}\n  adminAddress: 127.0.0.1:{self.admin_port}\n"
            f"  accessLog:\n    path: {self.root}/access.log\n"
            + textwrap.indent(textwrap.dedent(settings), "  "))
        self.access_log = self.root / "access.log"
        self.env = env or {}
        self.process = None
        for name, text in (files or {}).items():
            self.write(name, text)
        if start:
            self.start()

    # ---- files ----
    def fill(self, text):
        for key, value in self.words.items():
            text = text.replace("{" + key + "}", str(value))
        return text

    def write(self, name, text):
        """Writes a configuration file the way careful tools do: a temporary name, then a rename."""
        path = self.conf / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name("." + path.name + ".new")
        temporary.write_text(self.fill(text))
        temporary.rename(path)

    def remove(self, name):
        (self.conf / name).unlink()

    # ---- life ----
    def command(self, *args):
        return [str(BUILD / "gatehouse"), *map(str, args)]

    def start(self, wait=True):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify_path = self.root / "notify"
        with contextlib.suppress(FileNotFoundError):
            notify_path.unlink()
        self.notify.bind(str(notify_path))
        os.chmod(notify_path, 0o777)
        self.notified, self.notify_new = [], threading.Condition()
        threading.Thread(target=self._drain_notify, args=(self.notify,), daemon=True).start()
        env = {**os.environ, "NOTIFY_SOCKET": str(notify_path), **self.env}
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=1:handle_abort=1")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            self.command("serve", "--config", self.config, "--conf-dir", self.conf, "--state-dir", self.state,
                         "--run-dir", self.run),
            stdout=self.log_file, stderr=subprocess.STDOUT, env=env)
        if wait:
            self.wait_notify("READY=1")

    def _drain_notify(self, sock):
        """As systemd does: takes every notification at once. Descriptors in them are dropped by recv, so the
        listening sockets of the descriptor store are not held open by the test."""
        while True:
            try:
                text = sock.recv(65536).decode(errors="replace")
            except OSError:
                return
            with self.notify_new:
                self.notified.append(text)
                self.notify_new.notify_all()

    def wait_notify(self, word, deadline=DEADLINE):
        """The next notification that holds `word` and was not waited for before."""
        end = time.monotonic() + deadline
        with self.notify_new:
            while True:
                for i, text in enumerate(self.notified):
                    if word in text:
                        del self.notified[:i + 1]
                        return text
                left = end - time.monotonic()
                if self.process.poll() is not None:
                    raise AssertionError(f"the master ended with {self.process.returncode}\n{self.log()}")
                if left <= 0:
                    raise AssertionError(f"no {word} within {deadline} s; got {self.notified}\n{self.log()}")
                self.notify_new.wait(min(left, 0.2))

    def stop(self, sig=signal.SIGTERM, deadline=DEADLINE):
        """Ends it and returns the exit code. Sanitizer reports in the log are failures."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(deadline)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the master did not stop within {deadline} s\n{self.log()}")
        return self.process.returncode if self.process else None

    def close(self):
        code = None
        pids = []
        try:
            if self.process and self.process.poll() is None:
                pids = [w["pid"] for w in self.status_or_none().get("workers", [])]
                code = self.stop()
            self.check_log()
        finally:
            if self.process:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.notify.close()
                self.log_file.close()
            for port in self.ports:
                release_port(port)
            shutil.rmtree(self.root, ignore_errors=True)
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, value, tb):
        if kind is not None:
            print("---- log of the gateway ----\n" + self.log()[-8000:])
        try:
            self.close()
        except AssertionError:
            if kind is None:
                raise

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def check_log(self):
        text = self.log()
        for word in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "must failed", "must("):
            assert word not in text, f"{word} in the log:\n{text[-12000:]}"

    # ---- asking ----
    def admin(self, path, method="GET", timeout=DEADLINE):
        c = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=timeout)
        c.request(method, path)
        r = c.getresponse()
        body = r.read()
        c.close()
        return r.status, body

    def status(self, after=None, wait=DEADLINE):
        """/status as an object; with `after`, waits for a change number above it."""
        path = "/status" if after is None else f"/status?after={after}&wait={int(wait)}"
        code, body = self.admin(path, timeout=wait + 5)
        assert code == 200, (code, body)
        return json.loads(body)

    def status_or_none(self):
        try:
            return self.status(wait=2)
        except (OSError, AssertionError, ValueError, http.client.HTTPException):
            return {}

    def wait_status(self, wanted, deadline=DEADLINE):
        """The first status for which wanted(status) is true, following changes by long poll."""
        end = time.monotonic() + deadline
        status = self.status()
        while not wanted(status):
            left = end - time.monotonic()
            assert left > 0, f"no such status within {deadline} s; last: {json.dumps(status)[:3000]}\n{self.log()[-3000:]}"
            status = self.status(after=status["change"], wait=max(1, min(left, 5)))
        return status

    def metrics(self):
        code, body = self.admin("/metrics")
        assert code == 200
        found = {}
        for line in body.decode().split("\n"):
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def worker_pids(self, state="active"):
        return sorted(w["pid"] for w in self.status()["workers"] if w["role"] == "worker" and w["state"] == state)

    def ctl(self, *args, check=True, input=None):
        """Runs a command of the program against this instance; returns the finished process."""
        done = subprocess.run(self.command(*args), capture_output=True, text=True, timeout=60, input=input,
                              env={**os.environ, **self.env})
        if check:
            assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log()[-3000:]}"
        return done

    def reload(self, check=True):
        return self.ctl("reload", "--run-dir", self.run, check=check)

    def connect(self, port=None, timeout=DEADLINE):
        return Client(port or self.port, timeout=timeout)

    def get(self, path="/", host="a.example.com", port=None, method="GET", headers=None, body=None):
        """One request on a new connection: (status, headers as a dict, body)."""
        c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=DEADLINE)
        try:
            c.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def json(self, path="/", **kw):
        code, _, body = self.get(path, **kw)
        assert code == 200, (code, body)
        return json.loads(body)


class Client:
    """A raw TCP client. All reads have a deadline."""

    def __init__(self, port, host="127.0.0.1", timeout=DEADLINE):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def _more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise EOFError(f"closed before {mark!r}; got {self.buffer!r}")
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self._more():
                raise EOFError(f"closed after {len(self.buffer)} of {n} bytes")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def rest(self):
        """Everything up to the end of the connection."""
        with contextlib.suppress(ConnectionResetError):
            while self._more():
                pass
        data, self.buffer = self.buffer, b""
        return data

    def response(self, method="GET"):
        """Reads one response: (status, [(lower name, value)], body). 1xx are skipped but for 101."""
        while True:
            head = self.until(b"\r\n\r\n").decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            status = int(first.split(" ", 2)[1])
            headers = [(k.lower(), v.strip()) for k, v in (line.split(":", 1) for line in lines)]
            if status >= 200 or status == 101:
                break
        fields = dict(headers)
        if method == "HEAD" or status in (101, 204, 304):
            body = b""
        elif "chunked" in fields.get("transfer-encoding", ""):
            body = b""
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    while self.until(b"\r\n") != b"\r\n":
                        pass
                    break
                body += self.exactly(size)
                self.exactly(2)
        elif "content-length" in fields:
            body = self.exactly(int(fields["content-length"]))
        else:
            body = self.rest()
        return status, headers, body

    def closed(self, deadline=DEADLINE):
        """True when the other side ends the connection within the deadline, without sending more."""
        self.sock.settimeout(deadline)
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        self.buffer += data
        return data == b""

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawServer:
    """A backend on a thread: `serve(connection, number)` is called for every accepted connection.

    connection is a Client-like object; what arrives is also kept in .seen (one bytes per connection).
    """

    def __init__(self, serve, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.host, self.port = host, self.listener.getsockname()[1]
        self.serve, self.seen, self.connections = serve, [], []
        self.accepted = threading.Semaphore(0)
        self.closing = False
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            number = len(self.connections)
            c = Client.__new__(Client)
            c.sock, c.buffer, c.number = sock, b"", number
            sock.settimeout(DEADLINE)
            self.connections.append(c)
            self.seen.append(b"")
            original = c._more

            def more(c=c, original=original, number=number):
                before = len(c.buffer)
                ok = original()
                self.seen[number] += c.buffer[before:]
                return ok
            c._more = more
            self.accepted.release()
            threading.Thread(target=self._one, args=(c, number), daemon=True).start()

    def _one(self, c, number):
        try:
            self.serve(c, number)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            with contextlib.suppress(OSError):
                c.close()

    def close(self):
        self.listener.close()
        for c in self.connections:
            with contextlib.suppress(OSError):
                c.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_request(c):
    """One request from a RawServer connection: (method, target, [(name, value)], body, trailers)."""
    head = c.until(b"\r\n\r\n").decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, target, _ = first.split(" ")
    headers = [tuple(x.strip() for x in line.split(":", 1)) for line in lines]
    fields = {k.lower(): v for k, v in headers}
    body, trailers = b"", []
    if "100-continue" in fields.get("expect", ""):
        c.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while True:
            size = int(c.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while (line := c.until(b"\r\n")) != b"\r\n":
                    trailers.append(tuple(x.strip() for x in line.decode("latin-1").split(":", 1)))
                break
            body += c.exactly(size)
            c.exactly(2)
    elif "content-length" in fields:
        body = c.exactly(int(fields["content-length"]))
    return method, target, headers, body, trailers


class Upstream(RawServer):
    """Answers every request with JSON of what was asked. Special paths: /bytes/N, /status/N, /slow/N (N bytes
    dribbled), /hang (never answers), /websocket (RFC 6455 echo), /close (answers without a length)."""

    def __init__(self, name="up", host="127.0.0.1"):
        self.name, self.requests, self.lock = name, [], threading.Lock()
        self.release = threading.Event()
        super().__init__(self._http, host)

    def count(self):
        with self.lock:
            return len(self.requests)

    def _http(self, c, number):
        while True:
            method, target, headers, body, trailers = read_request(c)
            with self.lock:
                self.requests.append((method, target, headers, body))
            path = re.sub(r"^https?://[^/]*", "", target).split("?")[0]
            fields = {k.lower(): v for k, v in headers}
            if fields.get("upgrade", "").lower() == "websocket":
                return self._websocket(c, fields)
            if m := re.fullmatch(r".*/bytes/(\d+)", path):
                self._answer(c, method, 200, b"x" * int(m[1]))
            elif m := re.fullmatch(r".*/status/(\d+)", path):
                self._answer(c, method, int(m[1]), b"status\n")
            elif path.endswith("/hang"):
                self.release.wait(3 * DEADLINE)
                return
            elif m := re.fullmatch(r".*/slow/(\d+)", path):
                n = int(m[1])
                c.send(f"HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n".encode())
                for left in range(n - 1, -1, -1):
                    c.send(b"x")
                    if self.release.wait(0.05):
                        c.send(b"x" * left)
                        break
            elif path.endswith("/close"):
                c.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
                c.close()
                return
            else:
                self._answer(c, method, 200, json.dumps(
                    {"name": self.name, "method": method, "target": target, "headers": headers,
                     "body": body.decode("latin-1"), "trailers": trailers}).encode(), "application/json")

    def _answer(self, c, method, status, body, kind="text/plain"):
        if status in (204, 304):
            c.send(f"HTTP/1.1 {status} Status\r\nx-backend: {self.name}\r\n\r\n".encode())
            return
        head = (f"HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
                f"x-backend: {self.name}\r\n\r\n").encode()
        c.send(head if method == "HEAD" else head + body)

    def _websocket(self, c, fields):
        c.sock.settimeout(None)
        key = fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        c.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while True:
            b0, b1 = c.exactly(2)
            n = b1 & 127
            if n == 126:
                n = int.from_bytes(c.exactly(2), "big")
            elif n == 127:
                n = int.from_bytes(c.exactly(8), "big")
            mask = c.exactly(4) if b1 & 128 else b"\0\0\0\0"
            data = bytes(x ^ mask[i % 4] for i, x in enumerate(c.exactly(n)))
            if b0 & 15 == 8:
                c.send(bytes([0x88, len(data)]) + data)
                return
            head = bytes([b0, n]) if n < 126 else bytes([b0, 126]) + n.to_bytes(2, "big") if n < 65536 else bytes([b0, 127]) + n.to_bytes(8, "big")
            c.send(head + data)


# ---- configuration in few words ----
def gateway_yaml(name="edge", port="{port}", hostname=None, ns="default", extra=""):
    host = f'\n    hostname: "{hostname}"' if hostname else ""
    return textwrap.dedent(f"""\
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata:
          name: {name}
          namespace: {ns}
        spec:
          gatewayClassName: gatehouse
          listeners:
          - name: http
            port: {port}
            protocol: HTTP""") + host + textwrap.indent(extra, "    ") + "\n    allowedRoutes:\n      namespaces:\n        from: All\n"


def service_yaml(name, *ports, ns="default", service_port=80, host="127.0.0.1"):
    """A Service and an EndpointSlice with one endpoint for each port (the address is the same)."""
    family = "IPv6" if ":" in host else "IPv4"
    text = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {ns}}}\nspec:\n  ports: [{{name: http, port: {service_port}}}]\n"
    for i, port in enumerate(ports):
        text += (f"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-{i}\n  namespace: {ns}\n"
                 f"  labels: {{kubernetes.io/service-name: {name}}}\naddressType: {family}\n"
                 f"endpoints:\n- addresses: [\"{host}\"]\nports: [{{name: http, port: {port}}}]\n")
    return text


def route_yaml(name, rules, hostnames=(), parent="edge", ns="default", parent_ns="default"):
    """An HTTPRoute; `rules` is YAML text of the list."""
    hosts = f"  hostnames: [{', '.join(json.dumps(h) for h in hostnames)}]\n" if hostnames else ""
    return (f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: {ns}}}\nspec:\n"
            f"  parentRefs: [{{name: {parent}, namespace: {parent_ns}}}]\n{hosts}  rules:\n"
            + textwrap.indent(textwrap.dedent(rules).strip("\n"), "  ") + "\n")


def simple_files(*upstreams, rules=None, hostnames=(), service="up"):
    """Gateway + one catch-all route + one Service with these upstreams."""
    rules = rules or f"- backendRefs: [{{name: {service}, port: 80}}]"
    return {"gateway.yaml": gateway_yaml(), "route.yaml": route_yaml("all", rules, hostnames),
            "service.yaml": service_yaml(service, *[u.port for u in upstreams])}
