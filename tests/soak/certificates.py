"""Certificates that change and sessions that resume, under handshakes without end."""
import itertools
import json
import os
import shutil
import signal
import ssl
import threading
import time

from common import (CERTS, Figures, VERSIONS, ask, client_context, connect_tls, counter, der, gh, https_files, percentile, progress,
                    replace_file, secret_yaml)

PAIRS = ["ecdsa", "wild", "rsa"]
SHOWN = {der(name): name for name in PAIRS}

BY_PATH = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: {port}, name: https-files, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, serverCertificate: {root}/pair/tls.crt, privateKey: {root}/pair/tls.key}
  - port: {number: {port3}, name: https-mount, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, serverCertificate: {root}/mount/tls.crt, privateKey: {root}/mount/tls.key}
"""
BY_OBJECT = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  listeners: [{name: https, port: {port2}, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}]
"""


class Shaking:
    """Handshakes one after the other on one port, each followed by a request: new and resumed, TLS 1.2 and 1.3."""

    def __init__(self, port):
        self.port, self.done, self.resumed, self.tried_to_resume, self.failed, self.strange = port, 0, 0, 0, [], 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        kinds = itertools.cycle([(version, again) for version in VERSIONS.values() for again in (False, True)])
        contexts = {version: client_context(version) for version in VERSIONS.values()}
        sessions = {}
        for version, again in kinds:
            if self.stopping.is_set():
                return
            session = sessions.get(version) if again else None
            try:
                with connect_tls(self.port, contexts[version], session) as s:
                    got = ask(s)
                    assert got.startswith(b"HTTP/1.1 "), got[:40]
                    sessions[version] = s.session
                    self.strange += s.getpeercert(True) not in SHOWN
                    self.resumed += s.session_reused
            except (OSError, AssertionError) as e:
                self.failed.append(f"{version.name} {'resumed' if session else 'new'}: {e!r}")
            self.tried_to_resume += session is not None
            self.done += 1

    def close(self):
        self.stopping.set()
        self.thread.join(gh.DEADLINE)


class Store:
    """A pair of files, a mounted secret or a Secret object, and the ways in which each is renewed in the world."""

    def __init__(self, g):
        self.g, self.n = g, 0
        self.pair, self.mount = g.root / "pair", g.root / "mount"
        self.pair.mkdir()
        self.mount.mkdir()
        for suffix, target in self.files():
            shutil.copy(CERTS / (PAIRS[0] + suffix), self.pair / target)
            os.symlink(f"..data/{target}", self.mount / target)
        self.mounted(PAIRS[0])
        self.secret(PAIRS[0])

    @staticmethod
    def files():
        return (".key.pem", "tls.key"), (".pem", "tls.crt")

    def key_first(self, name):
        for suffix, target in self.files():
            replace_file(CERTS / (name + suffix), self.pair / target)

    def certificate_first(self, name):
        for suffix, target in reversed(self.files()):
            replace_file(CERTS / (name + suffix), self.pair / target)

    def in_place(self, name):
        for suffix, target in self.files():
            shutil.copy(CERTS / (name + suffix), self.pair / target)

    def mounted(self, name):
        """As the kubelet renews a volume: a new directory, then a symbolic link is renamed over the old one."""
        self.n += 1
        new, old = self.mount / f"..{self.n}", self.mount / f"..{self.n - 1}"
        new.mkdir()
        for suffix, target in self.files():
            shutil.copy(CERTS / (name + suffix), new / target)
        os.symlink(new.name, self.mount / "..tmp")
        os.rename(self.mount / "..tmp", self.mount / "..data")
        shutil.rmtree(old, ignore_errors=True)

    def secret(self, name):
        self.g.write("pair.yaml", secret_yaml("pair", name))

    # ---- half of a pair, for good ----
    def half_of_files(self, name):
        replace_file(CERTS / (name + ".key.pem"), self.pair / "tls.key")

    def half_of_secret(self, name):
        self.g.write("pair.yaml", secret_yaml("pair", next(p for p in PAIRS if p != name), name))


def shown(port, context):
    with connect_tls(port, context) as s:
        return SHOWN.get(s.getpeercert(True), "?")


def words_of(status):
    return [d["message"] + " " + d["hint"] for d in status["diagnostics"] if "does not belong" in d["message"]]


def swaps(count=1000):
    context = client_context()
    port3 = gh.free_port()
    with gh.Gateway(start=False, words={"port3": port3}) as g:
        g.words["root"] = g.root
        store = Store(g)
        g.write("gw.yaml", BY_PATH)
        g.write("edge.yaml", BY_OBJECT)
        g.start()
        ways = [(store.key_first, g.port), (store.mounted, port3), (store.secret, g.port2), (store.certificate_first, g.port),
                (store.secret, g.port2), (store.in_place, g.port)]
        g.wait_status(lambda s: all(safely_shown(p, context) == PAIRS[0] for p in (g.port, g.port2, port3)))
        shaking = [Shaking(p) for p in (g.port, g.port2, port3)]
        now = {p: PAIRS[0] for p in (g.port, g.port2, port3)}
        live, said, old_again, old_lost, figures = [], [], 0, 0, None
        for i in range(count):
            swap, port = ways[i % len(ways)]
            name = PAIRS[(PAIRS.index(now[port]) + 1 + i // len(ways) % 2) % len(PAIRS)]
            if i % 10 == 4 or i % 10 == 9:  # first a pair that does not match, and it stays
                half, its = (store.half_of_secret, g.port2) if swap == store.secret else (store.half_of_files, g.port)
                other = next(p for p in PAIRS if p not in (now[its],))
                started = time.monotonic()
                half(other)
                g.wait_status(lambda s: any("does not belong" in w for w in words_of(s)))
                said.append(time.monotonic() - started)
                old_lost += sum(shown(its, context) != now[its] for _ in range(4))
                if its == g.port and swap not in (store.key_first, store.certificate_first, store.in_place):
                    store.key_first(now[its])
                    g.wait_status(lambda s: not words_of(s))
            swap(name)
            started = time.monotonic()
            while shown(port, context) != name:
                assert time.monotonic() - started < gh.DEADLINE, f"{swap.__name__}: {name} is not live\n{g.log()[-3000:]}"
            live.append(time.monotonic() - started)
            now[port] = name
            old_again += sum(shown(port, context) != name for _ in range(4))
            if i == min(100, count // 4):
                figures = Figures(g)
            if i % 50 == 49:
                progress(i + 1, "swaps", sum(s.done for s in shaking), "handshakes", sum(len(s.failed) for s in shaking), "failed")
        for s in shaking:
            s.close()
        report = figures.settled().report()
        m = g.metrics()
        gh.release_port(port3)
        return dict(swaps=count, handshakes=sum(s.done for s in shaking), failed=sum(len(s.failed) for s in shaking),
                    strange=sum(s.strange for s in shaking), resumed_of_tried=[sum(s.resumed for s in shaking), sum(s.tried_to_resume for s in shaking)],
                    live_s_median=round(percentile(live, 0.5), 3), live_s_max=round(max(live), 3), live_later_than_1s=sum(t > 1 for t in live),
                    mismatches=len(said), said_s_max=round(max(said), 3), said_later_than_1s=sum(t > 1 for t in said), old_lost=old_lost,
                    old_again=old_again, words=sorted({w for s in shaking for w in s.failed})[:5],
                    counted=counter(m, "gatehouse_tls_handshakes_total"), counted_failures={k: v for k, v in m.items() if "tls_failures" in k and v},
                    figures={k: v for k, v in report.items() if k != "each"})


def safely_shown(port, context):
    try:
        return shown(port, context)
    except OSError:
        return None


def swaps_faults(r):
    bad = [k for k in ("failed", "strange", "old_lost", "old_again") if r[k]]
    bad += [] if r["figures"]["largest_growth_kib"] < 2048 and r["figures"]["most_fds_more"] < 10 and not r["figures"]["gone"] else ["figures"]
    tried = r["resumed_of_tried"]
    bad += [] if tried[0] > 0.95 * tried[1] else ["resumed_of_tried"]
    return bad + [k for k in ("live_later_than_1s", "said_later_than_1s") if r[k] > 0.01 * r["swaps"]]


# ---- resumption ----
TURNED = "the key of session tickets was changed"


class Sessions:
    """`n` sessions of each version, each used again and again; what each phase resumed."""

    def __init__(self, port, n):
        self.port, self.contexts, self.rates = port, {k: client_context(v) for k, v in VERSIONS.items()}, {}
        self.held = {k: [self.shake(k, None)[1] for _ in range(n)] for k in VERSIONS}

    def shake(self, version, session):
        with connect_tls(self.port, self.contexts[version], session) as s:
            assert ask(s).startswith(b"HTTP/1.1 200")
            return s.session_reused, s.session

    def phase(self, name, renew=True):
        for version, sessions in self.held.items():
            resumed = 0
            for i, session in enumerate(sessions):
                again, new = self.shake(version, session)
                resumed += again
                if renew:
                    sessions[i] = new
            self.rates[f"{name}, TLS {version}"] = round(resumed / len(sessions), 4)
        progress(name, self.rates)


def resumption(count=200, workers=4, lifetime=60):
    with gh.Upstream() as u, gh.Gateway(https_files(u), workers=workers, settings=f"logLevel: debug\ntimeouts:\n  tlsTicket: {lifetime}s\n") as g:
        s = Sessions(g.port, count)
        s.phase("at once")
        for i in range(5):
            g.write("extra.yaml", gh.route_yaml("extra", f"- matches: [{{path: {{value: /extra-{i}}}}}]\n  backendRefs: [{{name: up, port: 80}}]"))
            g.reload()
        s.phase("after reloads")
        victims = g.worker_pids()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
            g.wait_status(lambda _: pid not in g.worker_pids() and len(g.worker_pids()) == workers)
        s.phase("after each worker was killed")
        g.process.send_signal(signal.SIGUSR2)
        g.wait_notify("READY=1")
        s.phase("after an upgrade of the master")
        g.process.kill()
        g.process.wait()
        s.phase("while there is no master")
        g.start()
        s.phase("with the next master")
        kept, started = {k: list(v) for k, v in s.held.items()}, time.monotonic()
        keys = g.log().count(TURNED)
        while g.log().count(TURNED) == keys:  # at half of their time, and looked at each ten seconds
            assert time.monotonic() - started < gh.DEADLINE + lifetime
            time.sleep(0.2)
        s.phase("after new ticket keys")
        s.held = kept
        time.sleep(max(0, started + lifetime + 3 - time.monotonic()))
        s.phase("sessions past their time", renew=False)
        return dict(sessions=count, workers=workers, lifetime_s=lifetime, rates=s.rates)


def resumption_faults(r):
    return [k for k, v in r["rates"].items() if (v > 0.95) == k.startswith("sessions past")]
