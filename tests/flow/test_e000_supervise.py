"""Processes die, hang and are stopped; clients should hardly notice."""
import contextlib
import json
import os
import pathlib
import signal
import threading
import time

import pytest

import gh


def proc_status(pid):
    return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def test_a_killed_worker_is_replaced_at_once_by_the_spare(served):
    before = served.worker_pids()
    victim = before[0]
    os.kill(victim, signal.SIGKILL)
    status = served.wait_status(lambda s: victim not in [w["pid"] for w in s["workers"]]
                                and sum(w["role"] == "worker" and w["state"] == "active" for w in s["workers"]) == 2
                                and any(w["state"] == "spare" for w in s["workers"]))
    assert served.get("/")[0] == 200
    assert len([w for w in status["workers"] if w["role"] == "worker"]) == 3


def test_only_requests_in_flight_in_the_victim_fail(served):
    """Clients that connect anew are never refused while workers are killed one after the other."""
    stop, failures, done = threading.Event(), [], [0]

    def client():
        while not stop.is_set():
            try:
                status = served.get("/")[0]
                done[0] += 1
                if status != 200:
                    failures.append(status)
            except ConnectionRefusedError as e:
                failures.append(e)
            except Exception:
                in_flight[0] += 1
    in_flight = [0]
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    kills = 6
    for _ in range(kills):
        victim = served.worker_pids()[0]
        os.kill(victim, signal.SIGKILL)
        served.wait_status(lambda s: victim not in [w["pid"] for w in s["workers"]]
                           and sum(w["role"] == "worker" and w["state"] == "active" for w in s["workers"]) == 2
                           and any(w["state"] == "spare" for w in s["workers"]))
    stop.set()
    for t in threads:
        t.join()
    assert not failures
    assert in_flight[0] <= kills * len(threads), f"{in_flight[0]} of {done[0]} failed"


def test_a_stopped_worker_does_not_hold_new_connections_back(served):
    victim = served.worker_pids()[0]
    os.kill(victim, signal.SIGSTOP)
    try:
        for _ in range(30):
            assert served.get("/")[0] == 200
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)  # continued, it might be in time to report the SIGABRT it got for being stuck


def test_a_stuck_worker_is_replaced(served):
    victim = served.worker_pids()[0]
    os.kill(victim, signal.SIGSTOP)
    served.wait_status(lambda s: victim not in [w["pid"] for w in s["workers"] if w["state"] == "active"]
                       and sum(w["role"] == "worker" and w["state"] == "active" for w in s["workers"]) == 2)
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)


@pytest.mark.parametrize("role", ["scout", "admin"])
def test_other_roles_come_back_too_and_traffic_goes_on(served, role):
    victim = next(w["pid"] for w in served.status()["workers"] if w["role"] == role)
    os.kill(victim, signal.SIGKILL)
    assert served.get("/")[0] == 200
    end = time.monotonic() + gh.DEADLINE
    while True:  # the admin itself may be the one that is away: ask until it answers
        status = served.status_or_none()
        pids = [w["pid"] for w in status.get("workers", []) if w["role"] == role]
        if pids and pids != [victim]:
            break
        assert time.monotonic() < end


def test_counters_survive_the_death_of_a_worker(served):
    for _ in range(20):
        served.get("/")

    def total():
        return sum(v for k, v in served.metrics().items() if k.startswith("gatehouse_requests_total"))
    before = total()
    assert before >= 20
    for victim in served.worker_pids():
        os.kill(victim, signal.SIGKILL)
        served.wait_status(lambda s: victim not in [w["pid"] for w in s["workers"]]
                           and sum(w["role"] == "worker" and w["state"] == "active" for w in s["workers"]) == 2)
    assert total() >= before
    served.get("/")
    assert total() >= before + 1


def test_workers_have_no_privileges(served):
    # Those that were just started are still putting them down.
    begun = served.wait_status(lambda s: all(w["state"] in ("active", "spare") for w in s["workers"]))
    for w in begun["workers"]:
        s = proc_status(w["pid"])
        assert int(s["CapEff"], 16) == 0 and int(s["CapPrm"], 16) == 0 and int(s["CapBnd"], 16) == 0, (w, s["CapBnd"])
        assert s["NoNewPrivs"] == "1"
        if os.geteuid() == 0:
            assert s["Uid"].split()[0] != "0", w
        # not dumpable: its files in /proc belong to root (sanitized builds stay dumpable, to find leaks)
        if "asan" not in str(gh.BUILD):
            assert os.stat(f"/proc/{w['pid']}/environ").st_uid == 0


def test_graceful_stop_finishes_what_runs_and_then_exits_with_zero(served):
    with served.connect() as c, served.connect() as idle:
        idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.response()[0] == 200
        c.send("GET /slow/30 HTTP/1.1\r\nHost: a\r\n\r\n")
        c.until(b"\r\n\r\n")
        served.process.send_signal(signal.SIGTERM)
        assert idle.closed(), "idle connections are closed at once"
        assert c.exactly(30) == b"x" * 30
        assert c.closed()
    assert served.stop() == 0


def test_while_draining_answers_say_close_and_readyz_says_no(served):
    with served.connect() as c:
        c.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        assert served.upstream.accepted.acquire(timeout=gh.DEADLINE)
        served.process.send_signal(signal.SIGTERM)
        served.wait_notify("STOPPING=1")
        served.upstream.release.set()
        c.rest()
    assert served.stop() == 0


def test_a_new_connection_brings_its_first_request_to_a_worker_that_ends(upstream):
    # Else the kernel had it, until it speaks or a second has passed.
    settings = "timeouts:\n  silent: 0s\n"
    with gh.Gateway(gh.simple_files(upstream), workers=1, settings=settings) as g, g.connect() as kept, g.connect() as fresh:
        kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert kept.response()[0] == 200
        g.process.send_signal(signal.SIGTERM)
        assert kept.closed()  # so connections have been looked through
        fresh.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        status, headers, _ = fresh.response()
        assert status == 200 and dict(headers)["connection"] == "close"
        assert fresh.closed()


def test_a_stop_does_not_wait_longer_than_the_drain_time(upstream):
    with gh.Gateway(gh.simple_files(upstream), settings="timeouts:\n  drain: 1s\n") as g:
        with g.connect() as c:
            c.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
            assert upstream.accepted.acquire(timeout=gh.DEADLINE)
            assert g.stop() == 0


def test_a_killed_master_leaves_the_workers_serving_and_a_new_one_takes_over(served):
    old = {w["pid"] for w in served.status()["workers"]}
    with served.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response()[0] == 200
        served.process.kill()
        served.process.wait()
        for _ in range(10):
            assert served.get("/")[0] == 200
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response()[0] == 200, "an old connection goes on"
        stop, failed = threading.Event(), []

        def client():
            while not stop.is_set():
                try:
                    if served.get("/")[0] != 200:
                        failed.append("status")
                except Exception as e:
                    failed.append(repr(e))
        t = threading.Thread(target=client)
        t.start()
        served.start()
        stop.set()
        t.join()
        assert not failed
    assert served.get("/")[0] == 200
    served.write("b.yaml", gh.route_yaml("b", "- matches: [{path: {value: /b}}]\n  filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301}}]"))
    served.reload()
    assert served.get("/b")[0] == 301, "no orphan answers any more"
    end = time.monotonic() + gh.DEADLINE
    while any(os.path.exists(f"/proc/{pid}") and proc_status(pid)["State"][0] != "Z" for pid in old):
        assert time.monotonic() < end, "the orphans drained and left"
        served.get("/b")


def test_readiness_is_notified_and_reloads_too(served):
    served.write("b.yaml", gh.route_yaml("b", "- matches: [{path: {value: /b}}]"))
    served.reload()
    text = served.wait_notify("RELOADING=1")
    assert "MONOTONIC_USEC=" in text
    served.wait_notify("READY=1")
    served.process.send_signal(signal.SIGTERM)
    served.wait_notify("STOPPING=1")


def test_usr1_reopens_the_access_log(served):
    served.get("/one")
    end = time.monotonic() + gh.DEADLINE
    while "/one" not in served.access_log.read_text():
        assert time.monotonic() < end
    moved = served.access_log.with_suffix(".1")
    served.access_log.rename(moved)
    served.process.send_signal(signal.SIGUSR1)
    while not served.access_log.exists():
        assert time.monotonic() < end
    n = 0
    while "/two" not in served.access_log.read_text():
        assert time.monotonic() < end
        served.get("/two")
        n += 1
    text = moved.read_text() + served.access_log.read_text()
    assert text.count('/two"') >= 1
    for line in text.splitlines():
        json.loads(line)
