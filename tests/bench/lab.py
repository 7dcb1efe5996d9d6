"""lab.py - the bench's workplace: a temporary folder, two processors, free ports, and processes that die with it.

Proxies are pinned to one processor and everything else (backends, load generators, this program) to another, so that a
proxy's cost is not the load's. Every child gets SIGTERM from the kernel when this program dies, however it dies.
"""
import ctypes
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def free_port():
    """A port that is free now and lies below those that the kernel gives to clients, which would take it in between."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in _numbers(10000, max(low, 20000)):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("no port is free")


def _numbers(low, high):
    """Below `high`, from a place that differs for each call, so that two benches on a machine seldom meet."""
    span = high - low
    start = int.from_bytes(os.urandom(4), "big") % span
    return (low + (start + i) % span for i in range(span))


class Lab:
    """Use as a context: everything that was started in it has ended when it is left."""

    def __init__(self, build, python=sys.executable):
        self.build, self.python = pathlib.Path(build), python
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="gh-bench-"))
        os.chmod(self.dir, 0o755)
        self.processes = []
        cpus = sorted(os.sched_getaffinity(0))
        self.proxy_cpu, self.load_cpu = cpus[0], cpus[-1]
        os.sched_setaffinity(0, {self.load_cpu})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in reversed(self.processes):
            self.end(p)
        shutil.rmtree(self.dir, ignore_errors=True)

    def tool(self, name):
        """A load generator of this folder; the Makefile builds it."""
        path = self.build / "tests/bench" / name
        if not path.exists():
            raise SystemExit(f"{path} is missing: run make")
        return path

    def _child(self, cpu):
        def prepare():
            os.sched_setaffinity(0, {cpu})
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        return prepare

    def proxy(self, *command, **kw):
        """Starts a process on the proxies' processor."""
        return self._spawn(self.proxy_cpu, command, kw)

    def helper(self, *command, **kw):
        """Starts a backend or a load in the background, on the load's processor."""
        return self._spawn(self.load_cpu, command, kw)

    def _spawn(self, cpu, command, kw):
        log = self.dir / f"{len(self.processes)}-{pathlib.Path(command[0]).name}.log"
        with open(log, "wb") as f:
            p = subprocess.Popen([str(c) for c in command], preexec_fn=self._child(cpu),
                                 **{"stdin": subprocess.DEVNULL, "stdout": f, "stderr": f, **kw})
        p.log = log
        self.processes.append(p)
        return p

    def run(self, *command, timeout=180):
        """Runs a load to its end; what it printed. One that does not end is an error of the row."""
        return subprocess.run([str(c) for c in command], preexec_fn=self._child(self.load_cpu), text=True,
                              capture_output=True, timeout=timeout, check=False)

    def end(self, p, wait=10):
        """SIGTERM, and SIGKILL for what does not heed it."""
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(wait)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        if p in self.processes:
            self.processes.remove(p)

    def wait_answer(self, port, p, deadline=120):
        """Returns when a request is answered, whatever the answer: a port accepts before anybody serves it."""
        self.wait_port(port, p, deadline)
        try:
            with socket.create_connection(("127.0.0.1", port), deadline) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: ready.example\r\nConnection: close\r\n\r\n")
                if s.recv(64).startswith(b"HTTP/1.1 "):
                    return
        except OSError:
            pass
        raise RuntimeError(f"no answer on {port}: {' '.join(map(str, p.args[:2]))}\n{self.said(p)}")

    def said(self, p):
        return pathlib.Path(p.log).read_text(errors="replace")[-2000:]

    def wait_port(self, port, p, deadline=15):
        """Returns when the port accepts; tells what the process said when it never does."""
        end = time.monotonic() + deadline
        while time.monotonic() < end and p.poll() is None:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.002)
        raise RuntimeError(f"nothing listens on {port}: {' '.join(map(str, p.args[:2]))}\n{self.said(p)}")

    def certificate(self):
        """(certificate, key): ECDSA P-256, as the peers' documents advise."""
        cert, key = self.dir / "cert.pem", self.dir / "key.pem"
        if not cert.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "30", "-subj", "/CN=bench.example", "-addext",
                            "subjectAltName=DNS:bench.example,DNS:localhost", "-keyout", key, "-out", cert],
                           check=True, capture_output=True)
        return cert, key
