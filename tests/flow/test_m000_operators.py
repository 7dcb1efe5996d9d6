"""What operators see and rely on: metrics by the book, the log whatever its sink does, names, the sandbox."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import gh

RELEASE = pathlib.Path(os.environ.get("GATEHOUSE_RELEASE", gh.BUILD))


# ---- a strict reader of both exposition formats ----

def parse_exposition(text, openmetrics=False):
    """{family: (type, {(name, labels): value})}; raises on anything the formats do not allow."""
    assert text.endswith("# EOF\n" if openmetrics else "\n")
    families, current, seen = {}, None, set()
    for line in text[:-1].split("\n"):
        assert line == line.strip() and line, f"blank line or spaces: {line!r}"
        if line == "# EOF":
            continue
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", name), line
            if word == "HELP":
                assert name not in families, f"family twice: {name}"
                families[name] = [None, {}]
                current = name
            else:
                assert word == "TYPE" and name == current and families[name][0] is None, line
                assert rest in ("counter", "gauge", "histogram"), line
                families[name][0] = rest
            continue
        m = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)', line)
        assert m, line
        labels, rest = [], m[2] or ""
        while rest:
            one = re.match(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)', rest)
            assert one, f"labels: {line}"
            labels.append((one[1], one[2]))
            rest = rest[one.end():]
        assert len({k for k, _ in labels}) == len(labels), f"label twice: {line}"
        kind = families[current][0]
        suffixes = {"counter": ("_total",) if openmetrics else ("",), "gauge": ("",),
                    "histogram": ("_bucket", "_sum", "_count")}[kind]
        assert any(m[1] == current + s for s in suffixes), f"{line} is no sample of {current} ({kind})"
        assert kind != "counter" or m[1].endswith("_total"), line
        key = (m[1], tuple(sorted(labels)))
        assert key not in seen, f"series twice: {line}"
        seen.add(key)
        if openmetrics and m[1].endswith("_bucket"):
            assert re.fullmatch(r"\+Inf|.*[.e].*", dict(labels)["le"]), line
        value = float(m[3])
        assert kind == "gauge" or value >= 0, line
        families[current][1][key] = value
    for name, (kind, samples) in families.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return families


def check_histogram(name, samples):
    groups = {}
    for (sample, labels), value in samples.items():
        labels = dict(labels)
        le = labels.pop("le", None)
        group = groups.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if sample.endswith("_bucket"):
            group["buckets"].append((float(le), value))
        else:
            group[sample[len(name):]] = value
    for labels, group in groups.items():
        bounds = [b for b, _ in group["buckets"]]
        values = [v for _, v in group["buckets"]]
        assert bounds == sorted(bounds) and bounds[-1] == float("inf"), (name, labels)
        assert values == sorted(values) and values[-1] == group["_count"], (name, labels)
        assert "_sum" in group


def scrape(g, accept="text/plain"):
    import http.client
    c = http.client.HTTPConnection("127.0.0.1", g.admin_port, timeout=gh.DEADLINE)
    c.request("GET", "/metrics", headers={"Accept": accept})
    r = c.getresponse()
    body = r.read().decode()
    c.close()
    return r.getheader("content-type"), body


def test_both_formats_are_right_to_the_letter(served):
    served.get("/")
    served.get("/", host='x"y')
    kind, text = scrape(served)
    assert kind.startswith("text/plain; version=0.0.4")
    families = parse_exposition(text)
    assert families["gatehouse_route_requests_total"][0] == "counter"
    kind, text = scrape(served, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    open_families = parse_exposition(text, openmetrics=True)
    assert {re.sub("_total$", "", n) for n in families} == set(open_families)


def test_every_metric_is_documented_and_every_documented_one_exists(served):
    served.get("/")
    exists = set(parse_exposition(scrape(served)[1]))
    page = (gh.TOP / "docs/metrics.md").read_text()
    documented = set()
    for name in re.findall(r"^\| (`gatehouse_.*?) \|", page, re.M):
        for one in re.findall(r"`(gatehouse_[a-z0-9_<>]+)`", name):
            documented |= {one.replace("<kind>", k) for k in ("listener", "route", "cluster", "worker")} if "<kind>" in one else {one}
    missing_words = exists - documented
    assert not missing_words, f"not in docs/metrics.md: {sorted(missing_words)}"
    without_dns = {n for n in documented if not n.startswith("gatehouse_dns_")}
    assert not without_dns - exists, f"only in docs/metrics.md: {sorted(without_dns - exists)}"


def test_a_broken_file_has_a_metric_of_its_own(served):
    served.write("broken.yaml", gh.route_yaml("broken", "- matchs: []\n  backendRefs: [{name: up, port: 80}]"))
    served.wait_status(lambda s: s["errors"] > 0)
    m = served.metrics()
    assert [v for k, v in m.items() if k.startswith("gatehouse_config_file_errors{") and k.endswith('broken.yaml"}')] == [1]
    served.remove("broken.yaml")
    served.wait_status(lambda s: s["errors"] == 0)
    assert not [k for k in served.metrics() if k.startswith("gatehouse_config_file_errors{")]


def test_counters_survive_a_killed_worker_and_reloads(served):
    def total(m):
        return sum(v for k, v in m.items() if k.startswith("gatehouse_route_requests_total"))
    for _ in range(20):
        served.get("/")
    before = served.metrics()
    victim = served.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    served.wait_status(lambda s: sum(w["state"] == "active" and w["role"] == "worker" and w["pid"] != victim
                                     for w in s["workers"]) == 2)
    served.reload()
    after = served.metrics()
    assert total(after) >= total(before) >= 20
    assert after["gatehouse_crashes_total"] == before["gatehouse_crashes_total"] + 1
    for name, value in before.items():
        if "_total" in name or "_bucket" in name:
            assert after.get(name, 0) >= value, f"{name} went back"


def test_a_killed_admin_comes_back_with_the_same_numbers(served):
    for _ in range(5):
        served.get("/")
    before, change = served.metrics(), served.status()["change"]
    admin = next(w["pid"] for w in served.status()["workers"] if w["role"] == "admin")
    os.kill(admin, signal.SIGKILL)
    status = served.wait_status(lambda s: any(w["role"] == "admin" and w["pid"] != admin for w in s["workers"]))
    assert status["change"] > change
    assert status["objects"], "the objects are known to the new one"
    after = served.metrics()
    key = next(k for k in before if k.startswith("gatehouse_route_requests_total") and 'code_class="2xx"' in k)
    assert after[key] == before[key] == 5


def test_the_dashboard_needs_nothing_from_elsewhere(served):
    code, body = served.admin("/")
    page = body.decode()
    assert code == 200
    assert not re.search(r'(?:src|href)\s*=|@import|url\(|https?://', page), "a foreign file"
    assert "innerHTML" not in page, "text from configuration must not become markup"


# ---- the access log ----

def read_lines(path, n):
    end = time.monotonic() + gh.DEADLINE
    while time.monotonic() < end:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= n:
            return lines
        threading.Event().wait(0.02)
    raise AssertionError(f"{n} lines wanted, got {lines}")


def with_log(upstream, log_yaml, **kw):
    """A gateway whose accessLog is `log_yaml` and not the default of the scaffolding."""
    g = gh.Gateway(gh.simple_files(upstream), start=False, **kw)
    text = g.config.read_text()
    g.config.write_text(re.sub(r"  accessLog:\n    path: .*\n", "  accessLog:\n" + log_yaml.replace("{root}", str(g.root)), text))
    return g


@pytest.mark.parametrize("form, wanted", [
    ("istio", r'^\[\S+Z\] "GET /x\?y HTTP/1\.1" 200 - - - "-" 0 \d+ \d+ - "127\.0\.0\.1" "t" "\S+" "a\.example\.com" "127\.0\.0\.1:\d+" \S+ - \S+ 127\.0\.0\.1:\d+ - \S+$'),
    ("combined", r'^127\.0\.0\.1 - - \[\d\d/\w+/\d{4}:[\d:]+ \+0000\] "GET /x\?y HTTP/1\.1" 200 \d+ "-" "t"$'),
    ('"%RESPONSE_CODE% %REQ(X-Tenant?User-Agent)% %RESP(X-Backend)%"', r"^200 t up$"),
])
def test_format_strings(upstream, form, wanted):
    with with_log(upstream, f"    path: {{root}}/access.log\n    format: {form}\n") as g:
        g.start()
        g.get("/x?y", headers={"User-Agent": "t"})
        line = read_lines(g.access_log, 1)[0]
        assert re.match(wanted, line), line


def test_a_wrong_format_string_is_refused_with_its_place(upstream):
    g = with_log(upstream, "    format: '%RESPONSE_COD%'\n")
    try:
        done = g.ctl("check", g.conf, "--config", g.config, check=False)
        assert done.returncode == 1
        assert re.search(r"gatehouse\.yaml:\d+:\d+: error: .*spec\.accessLog\.format: .*did you mean %RESPONSE_CODE%", done.stdout + done.stderr)
    finally:
        g.close()


def test_the_log_is_reopened_after_rotation(served):
    served.get("/one")
    read_lines(served.access_log, 1)
    old = served.access_log.with_suffix(".1")
    served.access_log.rename(old)
    served.process.send_signal(signal.SIGUSR1)
    end = time.monotonic() + gh.DEADLINE
    while not served.access_log.exists():
        assert time.monotonic() < end
        threading.Event().wait(0.01)
    def arrived():
        served.get("/two")
        return served.access_log.read_text().count("/two")
    while not arrived():
        assert time.monotonic() < end
        threading.Event().wait(0.01)
    assert "/one" in old.read_text()


def test_a_full_disk_and_a_stopped_reader_cost_lines_and_no_request(upstream):
    with with_log(upstream, "    path: /dev/full\n") as g:
        g.start()
        for _ in range(20):
            assert g.get("/")[0] == 200
        end = time.monotonic() + gh.DEADLINE
        while "access log: No space left" not in g.log():
            assert time.monotonic() < end, g.log()
            threading.Event().wait(0.02)
    fifo = None
    with with_log(upstream, "    path: {root}/fifo\n") as g:
        fifo = g.root / "fifo"
        os.mkfifo(fifo, 0o666)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        g.start()
        payload = {"User-Agent": "x" * 1800}
        with g.connect() as c:
            for i in range(400):  # 800 KiB and more into a pipe of 64 KiB that nobody reads
                c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\nUser-Agent: {payload['User-Agent']}\r\n\r\n")
                assert c.response()[0] == 200
        data = b""
        end = time.monotonic() + gh.DEADLINE
        while data.count(b"\n") < 400 and time.monotonic() < end:  # the reader goes on: nothing is lost yet
            with contextlib.suppress(BlockingIOError):
                data += os.read(reader, 1 << 20)
        lines = [json.loads(line) for line in data.split(b"\n")[:-1]]
        assert [line["path"] for line in lines] == [f"/{i}" for i in range(400)]
        os.close(reader)


# ---- names ----

class Dns(threading.Thread):
    """A name server for every name: .addresses are the A records, None = silence."""

    def __init__(self):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.addresses, self.asked = [], threading.Semaphore(0)
        self.start()

    def run(self):
        while True:
            try:
                q, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            self.asked.release()
            addresses = self.addresses
            if addresses is None:
                continue
            end = q.index(b"\0", 12) + 5
            kind = struct.unpack(">H", q[end - 4:end - 2])[0]
            records = addresses if kind == 1 else []
            answer = q[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0) + q[12:end]
            for a in records:
                answer += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(a)
            self.sock.sendto(answer, peer)


@pytest.fixture
def dns():
    d = Dns()
    yield d
    d.sock.close()


def dns_files(port):
    return {"gateway.yaml": gh.gateway_yaml(), "se.yaml": f"""\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: igw}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: {{port2}}, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside}}
spec:
  hosts: [backend.example]
  ports: [{{number: 80, targetPort: {port}, name: http, protocol: HTTP}}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: vs}}
spec:
  hosts: ["*"]
  gateways: [igw]
  http: [{{route: [{{destination: {{host: backend.example, port: {{number: 80}}}}}}]}}]
"""}


def wait_for_name(g, wanted):
    end = time.monotonic() + gh.DEADLINE
    while True:
        code, _, body = g.get("/", port=g.port2)
        if wanted(code, body):
            return
        assert time.monotonic() < end, (code, body)
        threading.Event().wait(0.05)


def test_names_are_resolved_followed_and_kept(dns):
    with gh.Upstream(name="one") as one, gh.RawServer(lambda c, n: None, host="127.0.0.2") as _:
        two = gh.Upstream.__new__(gh.Upstream)
        with socket.create_server(("127.0.0.3", one.port)) as listener:
            def serve():
                while True:
                    try:
                        s, _ = listener.accept()
                    except OSError:
                        return
                    with s:
                        s.recv(65536)
                        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo")
            threading.Thread(target=serve, daemon=True).start()
            dns.addresses = ["127.0.0.1"]
            with gh.Gateway(dns_files(one.port), settings=f"dnsServers: ['127.0.0.1:{dns.port}']\n") as g:
                wait_for_name(g, lambda code, body: code == 200 and b"one" in body)
                dns.addresses = ["127.0.0.3"]  # the TTL is one second
                wait_for_name(g, lambda code, body: code == 200 and body == b"two")
                dns.addresses = None           # silence: the last good answer stays
                for _ in range(3):
                    assert dns.asked.acquire(timeout=gh.DEADLINE)
                assert g.get("/", port=g.port2)[2] == b"two"
                assert g.metrics()['gatehouse_dns_addresses{name="backend.example"}'] == 1
        del two


def test_a_dead_name_server_does_not_hold_up_a_start(dns):
    dns.addresses = None
    with gh.Gateway(dns_files(9), settings=f"dnsServers: ['127.0.0.1:{dns.port}']\n") as g:
        assert g.get("/", port=g.port2)[0] == 503
        assert g.admin("/readyz")[0] == 200


# ---- privileges ----

def test_the_sandbox_holds_on_this_kernel():
    done = subprocess.run([RELEASE / "gatehouse-worker", "--check-sandbox"], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("built with sanitizers")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to drop from")
def test_children_have_no_privileges_and_no_foreign_descriptors(upstream, monkeypatch):
    monkeypatch.setattr(gh, "BUILD", RELEASE)
    with gh.Gateway(gh.simple_files(upstream), settings="user: nobody\n") as g:
        g.get("/")
        for w in g.status()["workers"]:
            fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{w['pid']}/status").read_text().splitlines() if ":\t" in line)
            assert set(fields["Uid"].split()) == {"65534"}, w
            assert fields["Groups"].strip() == "", w
            assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == int(fields["CapPrm"], 16) == 0, w
            assert fields["NoNewPrivs"] == "1"
            targets = []
            for f in pathlib.Path(f"/proc/{w['pid']}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    targets.append(os.readlink(f))
            files = [t for t in targets if t.startswith("/") and not t.startswith(("/dev/", "/memfd:", "/proc/"))]
            # The machine's authorities, read-only: verifying a backend needs them, and nothing is opened in the sandbox.
            assert set(files) <= {str(g.log_path), str(g.access_log), "/etc/ssl/certs/ca-certificates.crt"}, (w, files)


def test_orders_and_the_snapshot_are_for_the_socket_only(served):
    for path, method in (("/reload", "POST"), ("/drain", "POST"), ("/snapshot", "GET")):
        assert served.admin(path, method=method)[0] == 403
    c = gh.Unix(served.run / "admin.sock")
    c.request("GET", "/snapshot")
    r = c.getresponse()
    assert r.status == 200 and r.read()[:7] == b"THESNAP"


def test_the_manual_pages_name_every_command_and_setting():
    g = gh.Gateway(start=False)
    try:
        page = (gh.TOP / "docs/gatehouse.8").read_text()
        verbs = re.findall(r"^  ([a-z-]+) +\S", g.ctl("--help").stdout, re.M)
        assert len(verbs) > 10
        for verb in verbs:
            assert re.search(rf"\b{verb}\b", page), f"{verb} is not in gatehouse(8)"
        page = (gh.TOP / "docs/gatehouse.yaml.5").read_text()
        fields = re.findall(r"^\s+(\w+)\s+<", g.ctl("explain-field", "instance.spec", "--recursive").stdout, re.M)
        assert len(fields) > 30
        for field in set(fields):
            assert re.search(rf"\b{field}\b", page), f"{field} is not in gatehouse.yaml(5)"
    finally:
        g.close()
