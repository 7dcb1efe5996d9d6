"""The master itself: what it says to systemd, what it takes over, whom it distrusts."""
import array
import contextlib
import itertools
import json
import fcntl
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import gh

FLOW = pathlib.Path(__file__).resolve().parent


def named_route(name, path):
    return gh.route_yaml(name, f"- matches: [{{path: {{value: {path}}}}}]\n  backendRefs: [{{name: up, port: 80}}]")


class Clients:
    """Threads that connect anew for each request, and one that keeps its connection."""

    def __init__(self, g, n=3):
        self.g, self.failed, self.done, self.stopping = g, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.fresh, daemon=True) for _ in range(n)]
        self.threads.append(threading.Thread(target=self.kept, daemon=True))

    def fresh(self):
        while not self.stopping.is_set():
            try:
                if self.g.get("/")[0] != 200:
                    self.failed.append("status")
                self.done += 1
            except Exception as e:
                self.failed.append(repr(e))

    def kept(self):
        c = None
        while not self.stopping.is_set():
            try:
                c = c or self.g.connect()
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                status, headers, _ = c.response()
                if status != 200:
                    self.failed.append(status)
                if dict(headers).get("connection") == "close":
                    c.close()
                    c = None
            except (EOFError, ConnectionResetError, BrokenPipeError):
                c = None  # an idle connection may be closed at any time; its request was not lost, it is sent again
            except Exception as e:
                self.failed.append("kept: " + repr(e))
                c = None

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join(gh.DEADLINE)


class Manager:
    """Plays systemd: keeps the descriptors of notifications in a store, by name. Made before the start."""

    def __init__(self, g):
        self.g, self.store = g, {}
        g._drain_notify = self.drain

    def drain(self, sock):
        while True:
            try:
                data, ancillary, _, _ = sock.recvmsg(65536, 4096)
            except OSError:
                return
            fds = array.array("i")
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(payload)
            words = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            with self.g.notify_new:
                if "FDSTORE" in words or "FDSTOREREMOVE" in words:
                    old = self.store.pop(words["FDNAME"], None)
                    if old is not None:
                        os.close(old)
                if "FDSTORE" in words:
                    self.store[words["FDNAME"]] = fds[0]
                self.g.notified.append(data.decode())
                self.g.notify_new.notify_all()

    def kinds(self):
        return sorted(name.split("-")[0] for name in self.store)

    def wait_kinds(self, wanted):
        end = time.monotonic() + gh.DEADLINE
        with self.g.notify_new:
            while self.kinds() != wanted:
                left = end - time.monotonic()
                assert left > 0, (self.kinds(), wanted)
                self.g.notify_new.wait(left)

    def close(self):
        for fd in self.store.values():
            os.close(fd)
        self.store = {}


def start_with(g, descriptors, env=None):
    """Starts the master with descriptors {name: number} as systemd would."""
    g.env = {"LISTEN_FDS": str(len(descriptors)), "LISTEN_FDNAMES": ":".join(descriptors), **(env or {})}
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 900) for fd in descriptors.values()]  # free numbers, out of the way of 3...

    def place():
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i, inheritable=True)
    popen = subprocess.Popen

    def with_descriptors(command, **kw):
        return popen(["/bin/sh", "-c", 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"', "sh", *command], preexec_fn=place, close_fds=False, **kw)
    subprocess.Popen = with_descriptors
    try:
        g.start(wait=False)
    finally:
        subprocess.Popen = popen
        for fd in high:
            os.close(fd)


# ---- systemd ----

def test_systemd_hears_of_readiness_status_and_the_watchdog(upstream):
    g = gh.Gateway(gh.simple_files(upstream), env={"WATCHDOG_USEC": "400000"}, start=False)
    with g:
        g.start(wait=False)
        words = dict(line.split("=", 1) for line in g.wait_notify("READY=1").splitlines())
        assert words["MAINPID"] == str(g.process.pid)
        assert words["STATUS"].startswith("generation 1")
        for _ in range(3):
            g.wait_notify("WATCHDOG=1")
        g.write("route.yaml", "kind: [")
        g.reload()
        g.wait_notify("RELOADING=1")
        assert "1 errors" in g.wait_notify("READY=1")


def test_a_manager_that_reads_nothing_holds_nobody_up(upstream):
    with gh.Gateway(gh.simple_files(upstream), start=False) as g:
        g._drain_notify = lambda sock: None
        g.start(wait=False)
        end = time.monotonic() + gh.DEADLINE
        while not g.status_or_none().get("generation"):
            assert time.monotonic() < end
        for i in range(40):  # more notifications than the socket holds
            g.write("b.yaml", named_route("b", f"/b{i}"))
            g.reload()
        assert g.get("/b39")[0] == 200


WHOLE_STORE = ["admin", "bind", "board", "keys", "snapshot", "state", "status"]


def test_the_descriptor_store_gives_a_new_master_everything(upstream):
    """All processes are killed; sockets, counters and the generation come back, and nobody was refused."""
    with gh.Gateway(gh.simple_files(upstream), env={"FDSTORE": "100"}, start=False) as g:
        manager = Manager(g)
        g.start()
        g.write("b.yaml", named_route("b", "/b"))
        g.reload()
        manager.wait_kinds(WHOLE_STORE)
        for _ in range(10):
            g.get("/")
        before, generation = g.metrics(), g.status()["generation"]
        pids = [w["pid"] for w in g.status()["workers"]]
        g.process.kill()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        g.process.wait()
        waiting = g.connect().send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n")  # in the backlog, while nobody is there
        (g.conf / "b.yaml").write_text("this: [is broken")
        start_with(g, manager.store, {"FDSTORE": "100"})
        assert waiting.response()[0] == 200
        g.wait_notify("READY=1")
        assert g.status()["generation"] >= generation
        after = g.metrics()
        for name, value in before.items():
            if name.startswith("gatehouse_requests_total"):
                assert after[name] >= value, name
        assert g.get("/b")[0] == 200, "the last good version of the broken file"
        waiting.close()
        manager.close()


def test_a_generation_without_its_keys_is_made_anew(upstream):
    """Workers could not serve it: the new master loads before they begin, and nobody is refused."""
    with gh.Gateway(gh.simple_files(upstream), env={"FDSTORE": "100"}, start=False) as g:
        manager = Manager(g)
        g.start()
        manager.wait_kinds(WHOLE_STORE)
        generation, pids = g.status()["generation"], [w["pid"] for w in g.status()["workers"]]
        g.process.kill()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        g.process.wait()
        waiting = g.connect().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        start_with(g, {name: fd for name, fd in manager.store.items() if not name.startswith("keys-")}, {"FDSTORE": "100"})
        assert waiting.response()[0] == 200
        g.wait_notify("READY=1")
        assert g.status()["generation"] > generation
        assert "not complete" in g.log()
        waiting.close()
        manager.close()


def flags_of_mapping(pid, name):
    """Of the first mapping of a file with that name: "dd" is left out of core files, "lo" is locked in memory."""
    after = pathlib.Path(f"/proc/{pid}/smaps").read_text().split(name, 1)[1]
    return after.split("VmFlags:", 1)[1].split("\n", 1)[0].split()


def test_only_traffic_workers_have_the_keys(upstream):
    """The master and nobody else holds the image besides them; it is not mapped there."""
    def has_keys(pid):
        maps = "memfd:gatehouse-keys" in pathlib.Path(f"/proc/{pid}/maps").read_text()
        fds = [os.readlink(f) for f in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        return maps, any("memfd:gatehouse-keys" in fd for fd in fds)
    with gh.Gateway(gh.simple_files(upstream)) as g:
        all_serve = g.wait_status(lambda s: all(w["generation"] == 1 for w in s["workers"]))  # the spare may be late
        for w in all_serve["workers"]:
            assert has_keys(w["pid"]) == (w["role"] == "worker", False), w
            if w["role"] == "worker":
                assert {"dd", "lo"} <= set(flags_of_mapping(w["pid"], "memfd:gatehouse-keys"))
        assert has_keys(g.process.pid) == (False, True)
        g.write("b.yaml", named_route("b", "/b"))
        g.reload()
        g.reload()
        all_serve = g.wait_status(lambda s: all(w["generation"] == s["generation"] for w in s["workers"]))
        for w in all_serve["workers"]:
            assert has_keys(w["pid"]) == (w["role"] == "worker", False), w


def test_a_listener_that_leaves_leaves_the_store_too(upstream):
    with gh.Gateway(gh.simple_files(upstream), env={"FDSTORE": "100"}, start=False) as g:
        manager = Manager(g)
        g.start()
        g.write("other.yaml", gh.gateway_yaml("other", "{port2}") + "---\n"
                + gh.route_yaml("o", "- backendRefs: [{name: up, port: 80}]", parent="other"))
        g.reload()
        manager.wait_kinds(sorted(WHOLE_STORE + ["bind"]))
        assert g.get("/", port=g.port2)[0] == 200
        g.remove("other.yaml")
        g.reload()
        manager.wait_kinds(WHOLE_STORE)
        with pytest.raises(OSError):
            g.connect(g.port2)
        manager.close()


def test_sockets_of_a_socket_unit_are_used_and_never_closed(upstream):
    with gh.Gateway(gh.simple_files(upstream), start=False) as g:
        unit = socket.create_server(("0.0.0.0", g.port))
        other = socket.create_server(("127.0.0.1", g.port2))
        early = g.connect().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        start_with(g, {"gatehouse.socket": unit.fileno(), "gatehouse2.socket": other.fileno()})
        unit.close()
        other.close()
        assert early.response()[0] == 200
        g.wait_notify("READY=1")
        g.connect(g.port2).close()
        g.remove("gateway.yaml")
        g.reload()
        g.connect().close()
        g.write("gateway.yaml", gh.gateway_yaml())
        g.reload()
        assert g.get("/")[0] == 200
        early.close()


# ---- upgrade ----

def test_upgrades_in_place_lose_no_request(upstream):
    with gh.Gateway(gh.simple_files(upstream)) as g, Clients(g) as clients:
        for _ in range(3):
            old = set(g.worker_pids())
            g.process.send_signal(signal.SIGUSR2)
            g.wait_notify("READY=1")
            assert not old & set(g.worker_pids())
        assert g.process.poll() is None, "the pid stays"
        clients.stopping.set()
    assert not clients.failed, clients.failed[:5]
    assert clients.done > 0


def test_long_connections_end_on_the_old_program_after_an_upgrade(upstream):
    with gh.Gateway(gh.simple_files(upstream)) as g, g.connect() as c:
        c.send("GET /slow/30 HTTP/1.1\r\nHost: a\r\n\r\n")
        c.until(b"\r\n\r\n")
        g.process.send_signal(signal.SIGUSR2)
        g.wait_notify("READY=1")
        g.write("b.yaml", named_route("b", "/b"))
        g.reload()
        assert g.get("/b")[0] == 200
        assert c.exactly(30) == b"x" * 30


def test_a_program_that_cannot_run_does_not_replace_one_that_does(upstream):
    with gh.Gateway(gh.simple_files(upstream), start=False) as g:
        program = g.root / "bin"
        program.mkdir()
        for name in ("gatehouse", "gatehouse-worker"):
            shutil.copy(gh.BUILD / name, program / name)
        g.command = lambda *args: [str(program / "gatehouse"), *map(str, args)]
        g.start()
        pids = g.worker_pids()
        for broken in (b"#!/bin/sh\nexit 3\n", b"\x7fELF nonsense", None):
            (program / "gatehouse").unlink()
            if broken is not None:
                (program / "gatehouse").write_bytes(broken)
                os.chmod(program / "gatehouse", 0o755)
            seen = g.log().count("this program goes on")
            g.process.send_signal(signal.SIGUSR2)
            end = time.monotonic() + gh.DEADLINE
            while g.log().count("this program goes on") == seen:
                assert time.monotonic() < end, g.log()
            assert g.worker_pids() == pids
            assert g.get("/")[0] == 200


def test_workers_that_drain_hold_no_listener(upstream):
    """A listener that is removed while they finish would take connections that nobody answers."""
    with gh.Gateway({**gh.simple_files(upstream), "other.yaml": gh.gateway_yaml("other", "{port2}")}) as g, g.connect() as c:
        c.send("GET /slow/30 HTTP/1.1\r\nHost: a\r\n\r\n")
        c.until(b"\r\n\r\n")
        g.process.send_signal(signal.SIGUSR2)
        g.wait_notify("READY=1")
        g.connect(g.port2).close()
        g.remove("other.yaml")
        g.reload()
        end = time.monotonic() + gh.DEADLINE
        with pytest.raises(OSError):  # new workers close it a moment after the change is live
            while time.monotonic() < end:
                g.connect(g.port2).close()
        assert any(w["state"] == "draining" for w in g.status()["workers"]), "it was refused because they had ended"


# ---- masters that died ----

def test_twenty_masters_die_and_no_request_is_lost(upstream):
    with gh.Gateway(gh.simple_files(upstream)) as g, Clients(g) as clients:
        for _ in range(8):
            g.process.kill()
            g.process.wait()
            g.start()
        g.write("b.yaml", named_route("b", "/b"))
        g.reload()
        assert g.get("/b")[0] == 200
        clients.stopping.set()
    assert not clients.failed, clients.failed[:5]


def test_a_worker_that_was_stopped_when_its_master_died_is_found_later(upstream):
    with gh.Gateway(gh.simple_files(upstream)) as g:
        victim = g.worker_pids()[0]
        os.kill(victim, signal.SIGSTOP)
        g.process.kill()
        g.process.wait()
        try:
            g.start()
            assert g.get("/")[0] == 200
            assert victim not in [w["pid"] for w in g.status()["workers"] if w["state"] == "active"]
        finally:
            os.kill(victim, signal.SIGCONT)
        end = time.monotonic() + gh.DEADLINE
        while os.path.exists(f"/proc/{victim}") and "\tZ" not in pathlib.Path(f"/proc/{victim}/status").read_text().replace("State:\tZ", "\tZ"):
            assert time.monotonic() < end, "it wakes up, is told to drain, and leaves"


def test_leftovers_in_the_run_directory_do_not_matter(upstream):
    with gh.Gateway(gh.simple_files(upstream), start=False) as g:
        (g.run / "worker-3.sock").write_text("a file")
        (g.run / "worker-x.sock").write_text("")
        (g.run / "admin.sock").write_text("")
        (g.run / "gatehouse.pid").write_text("1\n")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.bind(str(g.run / "worker-1.sock"))
        s.close()
        g.start()
        assert g.get("/")[0] == 200


# ---- the state ----

@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b[:50] + b"X" + b[51:], lambda b: b"", lambda b: b"GHSTATE9" + b[8:]],
                         ids=["cut", "changed", "empty", "other"])
def test_a_damaged_state_is_named_and_the_gateway_starts(upstream, damage):
    with gh.Gateway(gh.simple_files(upstream)) as g:
        g.stop()
        path = g.state / "state"
        path.write_bytes(damage(path.read_bytes()))
        g.start()
        assert g.get("/")[0] == 200
        assert str(path) in g.log()


def test_a_state_directory_that_cannot_be_written_is_no_reason_not_to_serve(upstream):
    with gh.Gateway(gh.simple_files(upstream), start=False) as g:
        g.state.rmdir()
        g.state.write_text("a file where the directory should be")
        g.start()
        assert g.get("/")[0] == 200
        g.write("b.yaml", named_route("b", "/b"))
        g.reload()
        assert g.get("/b")[0] == 200
        assert "state" in g.log()


# ---- settings ----

def test_settings_change_while_serving(upstream):
    with gh.Gateway(gh.simple_files(upstream)) as g:
        text = g.config.read_text()
        for n in (3, 1, 2):
            g.config.write_text(text.replace("workers: 2", f"workers: {n}"))
            g.reload()
            g.wait_status(lambda s: sum(w["role"] == "worker" and w["state"] == "active" for w in s["workers"]) == n
                          and sum(w["state"] == "spare" for w in s["workers"]) == 1)
            assert g.get("/")[0] == 200
        moved = g.root / "other.log"
        g.config.write_text(text.replace("access.log", "other.log"))
        g.reload()
        end = time.monotonic() + gh.DEADLINE
        while not moved.exists() or "/moved" not in moved.read_text():
            assert time.monotonic() < end
            g.get("/moved")
        port = g.admin_port
        g.admin_port = gh.free_port()
        g.config.write_text(text.replace(str(port), str(g.admin_port)))
        end = time.monotonic() + gh.DEADLINE
        while not g.status_or_none():
            assert time.monotonic() < end, g.log()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 1)


def test_a_broken_instance_file_changes_nothing_while_serving_and_a_start_uses_the_last_good_one(upstream):
    with gh.Gateway(gh.simple_files(upstream)) as g:
        good = g.config.read_text()
        g.config.write_text(good + "  workers: many\n  nonsense: 1\n")
        g.reload()
        assert g.get("/")[0] == 200
        assert len(g.worker_pids()) == 2
        g.stop()
        g.start()
        assert g.get("/")[0] == 200
        assert len(g.worker_pids()) == 2
        g.stop()
        (g.state / "state").unlink()
        done = g.ctl("serve", "--config", g.config, "--conf-dir", g.conf, "--state-dir", g.state, "--run-dir", g.run, check=False)
        assert done.returncode == 1
        assert "gatehouse.yaml" in done.stderr
        g.config.write_text(good)


def test_the_admin_address_in_use_is_reported_and_taken_when_free(upstream):
    with gh.Gateway(gh.simple_files(upstream), start=False) as g:
        with socket.create_server(("127.0.0.1", g.admin_port)):
            g.start()
            assert g.get("/")[0] == 200
            assert "admin address" in g.log()
            assert "generation" in g.ctl("status", "--run-dir", g.run).stdout.lower(), "the socket in the run directory is there"
        end = time.monotonic() + gh.DEADLINE
        while not g.status_or_none():
            assert time.monotonic() < end, g.log()


# ---- children are input ----

class Faked:
    """A gateway whose new workers behave as set_mode says; "real" is the real one."""

    def __init__(self, upstream, mode="real"):
        self.g = gh.Gateway(gh.simple_files(upstream), start=False, settings="logLevel: debug\n")
        self.mode = self.g.root / "mode"
        script = self.g.root / "worker"
        script.write_text(
            f"#!{sys.executable}\nimport os, sys\nmode = open({str(self.mode)!r}).read()\n"
            f"if mode == 'real' or sys.argv[1] != 'worker':\n    os.execv({str(gh.BUILD / 'gatehouse-worker')!r}, sys.argv)\n"
            f"sys.path.insert(0, {str(FLOW)!r})\nimport fake_worker\nfake_worker.main(mode)\n")
        os.chmod(script, 0o755)
        plain = self.g.command
        self.g.command = lambda *args: plain(*args) + (["--worker", str(script)] if args[0] == "serve" else [])
        self.set_mode(mode)
        self.g.start(wait=mode == "real")

    def set_mode(self, mode):
        self.mode.write_text(mode)

    def replace_spare(self):
        """The next spare is started in the current mode; returns when it is ready."""
        old = self.spares()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        self.g.wait_status(lambda s: any(w["pid"] not in old for w in s["workers"] if w["role"] == "worker" and w["state"] in ("spare", "starting")))
        wait_log(self.g, f"worker (pid {self.spares()[0]}) is ready")

    def spares(self):
        return [w["pid"] for w in self.g.status()["workers"] if w["role"] == "worker" and w["state"] in ("spare", "starting")]


@pytest.fixture
def faked(upstream):
    f = Faked(upstream)
    with f.g:
        yield f


def wait_log(g, text):
    end = time.monotonic() + gh.DEADLINE
    while text not in g.log():
        assert time.monotonic() < end, (text, g.log())


def wait_served(g, path):
    """Until the backend answers there; workers may come and go meanwhile."""
    end = time.monotonic() + gh.DEADLINE
    answer = None
    while not answer or answer[1].get("x-backend") is None:
        assert time.monotonic() < end, g.log()
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = g.get(path)


def test_a_change_that_a_worker_refuses_is_served_by_nobody(faked):
    g = faked.g
    pids = g.worker_pids()
    faked.set_mode("refuse")
    faked.replace_spare()
    g.write("b.yaml", named_route("b", "/b"))
    wait_log(g, "not to my taste")
    assert g.get("/b")[0] == 200 or g.status()["reload"]["last_failed"]
    assert g.worker_pids() == pids
    assert "not to my taste" in json.dumps(g.status()["reload"])
    faked.set_mode("real")
    g.wait_status(lambda s: any(w["state"] == "spare" for w in s["workers"]))
    g.reload()
    assert g.get("/b")[0] == 200
    assert not g.status()["reload"]["last_failed"]


def test_a_snapshot_that_kills_its_reader_kills_only_the_spare(faked):
    g = faked.g
    pids = g.worker_pids()
    faked.set_mode("crash")
    faked.replace_spare()
    g.write("b.yaml", named_route("b", "/b"))
    wait_log(g, "died while it looked at generation")
    assert g.worker_pids() == pids
    faked.set_mode("real")
    wait_served(g, "/b")  # it is tried again by itself
    assert g.worker_pids() == pids


def test_who_hangs_while_it_looks_at_a_generation_is_ended_and_the_change_tried_again(faked):
    g = faked.g
    pids = g.worker_pids()
    faked.set_mode("hang")
    faked.replace_spare()
    g.write("b.yaml", named_route("b", "/b"))
    wait_log(g, "hung while it looked at generation")
    assert g.worker_pids() == pids
    faked.set_mode("real")
    wait_served(g, "/b")
    assert g.worker_pids() == pids


def test_a_worker_that_is_stopped_does_not_hold_a_change_up(faked):
    g = faked.g
    stopped = g.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    g.write("b.yaml", named_route("b", "/b"))
    wait_served(g, "/b")
    g.wait_status(lambda s: stopped not in [w["pid"] for w in s["workers"]])
    assert "is not served" not in g.log(), "the others said yes"


def test_at_a_start_nothing_is_served_that_no_worker_has_looked_at(upstream):
    f = Faked(upstream, mode="crash-first")
    with f.g as g:
        wait_log(g, "died while it looked at generation 1")
        wait_log(g, "died while it looked at generation 2")  # it is tried again
        f.set_mode("real")
        wait_served(g, "/")
        assert "generation 1:" not in g.log() and "generation 2:" not in g.log(), "neither was committed"


def test_a_generation_that_lets_no_worker_live_is_replaced_unseen(faked):
    g = faked.g
    faked.set_mode("crash-first")  # all that start now die of what is served
    for pid in g.worker_pids() + faked.spares():
        os.kill(pid, signal.SIGKILL)
    wait_log(g, "worker (pid ")
    g.write("b.yaml", named_route("b", "/b"))
    wait_log(g, "is taken without one that has looked at it")
    faked.set_mode("real")
    wait_served(g, "/b")


@pytest.mark.parametrize("mode,word", [("rubbish", "not of the expected form"), ("foreign", "not for it to say")])
def test_a_child_that_talks_rubbish_is_ended_and_nobody_else(faked, mode, word):
    g = faked.g
    pids = g.worker_pids()
    faked.set_mode(mode)
    for pid in faked.spares():
        os.kill(pid, signal.SIGKILL)
    wait_log(g, word)
    assert g.worker_pids() == pids
    assert g.get("/")[0] == 200
    faked.set_mode("real")
    g.wait_status(lambda s: any(w["state"] == "spare" for w in s["workers"]))


def test_workers_that_cannot_start_are_tried_again_for_ever_with_growing_pauses(upstream):
    f = Faked(upstream)
    with f.g as g:
        f.set_mode("rubbish")
        starts = g.log().count("its link")
        for pid in f.spares():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + gh.DEADLINE
        while g.log().count("its link") < starts + 4:
            assert time.monotonic() < deadline
        assert g.log().count("its link") < starts + 30, "not in a tight loop"
        assert g.get("/")[0] == 200
        f.set_mode("real")
        g.wait_status(lambda s: any(w["state"] == "spare" for w in s["workers"]))


# ---- the compiler ----

def compiler_of(g):
    children = pathlib.Path(f"/proc/{g.process.pid}/task/{g.process.pid}/children").read_text().split()
    for pid in children:
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("gatehouse-comp"):
                return int(pid)
    return None


def next_compiler(g, before):
    """The one after `before`, which may still be dying."""
    end = time.monotonic() + gh.DEADLINE
    while (pid := compiler_of(g)) in (None, before):
        assert time.monotonic() < end
    return pid


def test_a_compiler_that_is_killed_costs_one_attempt(upstream):
    many = "---\n".join(named_route(f"r{i}", f"/r{i}") for i in range(3000))
    with gh.Gateway({**gh.simple_files(upstream), "many.yaml": many}) as g:
        pids, before = g.worker_pids(), compiler_of(g)
        g.write("b.yaml", named_route("b", "/b"))
        pid = next_compiler(g, before)
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        os.kill(pid, signal.SIGKILL)
        wait_log(g, "the compiler (pid")
        assert g.get("/")[0] == 200
        end = time.monotonic() + gh.DEADLINE
        while g.status()["reload"]["last_failed"]:  # tried again by itself
            assert time.monotonic() < end, g.log()
        assert g.get("/b")[0] == 200
        assert g.worker_pids() == pids
        assert "NoNewPrivs:\t1" in status
        if os.geteuid() == 0:
            assert "Uid:\t0" not in status


def test_a_compiler_that_dies_over_the_records_of_a_served_generation_is_followed_by_another(upstream):
    # Much to record and little to compile.
    many = "---\n".join(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{i}}}\ndata:\n" +
                        "".join(f"  key-{j}: value-{j}\n" for j in range(50)) for i in range(3000))
    only = "- matches: [{path: {value: /only}}]\n  backendRefs: [{name: up, port: 80}]"
    with gh.Gateway({**gh.simple_files(upstream, rules=only), "many.yaml": many}) as g, g.connect() as c:
        pids, end = g.worker_pids(), time.monotonic() + gh.DEADLINE
        for i in itertools.count():
            before = compiler_of(g)
            g.write("b.yaml", named_route("b", f"/b{i}"))
            pid = next_compiler(g, before)
            status = 0
            while status != 200:
                assert time.monotonic() < end, g.log()
                c.send(f"GET /b{i} HTTP/1.1\r\nHost: a\r\n\r\n")
                status = c.response()[0]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            g.reload()
            if "nothing is told about it" in g.log():
                break
        g.write("c.yaml", named_route("c", "/c"))
        g.reload()
        status = g.status()
        assert {"b", "c"} <= {o["name"] for o in status["objects"]}
        assert not status["reload"]["last_failed"]
        assert g.get("/c")[0] == 200
        assert g.worker_pids() == pids


def test_a_stop_during_a_load_is_not_held_up(upstream):
    many = "---\n".join(named_route(f"r{i}", f"/r{i}") for i in range(3000))
    with gh.Gateway({**gh.simple_files(upstream), "many.yaml": many}) as g:
        before = compiler_of(g)
        g.write("b.yaml", named_route("b", "/b"))
        next_compiler(g, before)
        assert g.stop() == 0


def test_quit_stops_at_once(upstream):
    with gh.Gateway(gh.simple_files(upstream), settings="timeouts:\n  drain: 1h\n") as g, g.connect() as c:
        c.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        assert upstream.accepted.acquire(timeout=gh.DEADLINE)
        assert g.stop(signal.SIGQUIT) == 0
        assert not list(g.run.glob("*.sock")), "nothing is left in the run directory"
        assert not (g.run / "gatehouse.pid").exists()
