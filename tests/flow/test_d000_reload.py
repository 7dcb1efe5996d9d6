"""A change of configuration is live soon, harms nothing else, and bad input costs only itself."""
import json
import os
import pathlib
import shutil
import signal
import socket
import threading
import time

import pytest

import gh


def named_route(name, path, backend="up"):
    return gh.route_yaml(name, f"- matches: [{{path: {{value: {path}}}}}]\n  backendRefs: [{{name: {backend}, port: 80}}]")


def settled(g, change):
    """The next published status after `change`."""
    return g.status(after=change)


def live(g, path, status=200):
    """Waits until a change made `path` answer `status`."""
    change, end = 0, time.monotonic() + gh.DEADLINE
    while g.get(path)[0] != status:
        now = g.status(after=change, wait=5)
        assert time.monotonic() < end or g.get(path)[0] == status, f"{path} never became {status}: {g.log()[-2000:]}"
        change = now["change"]


@pytest.fixture
def g(upstream):
    files = {"gateway.yaml": gh.gateway_yaml(), "service.yaml": gh.service_yaml("up", upstream.port), "a.yaml": named_route("a", "/a")}
    with gh.Gateway(files) as gateway:
        gateway.upstream = upstream
        yield gateway


def write_in_place(path, text):
    path.write_text(text)


def write_rename(path, text):
    t = path.with_name(path.name + ".tmp")
    t.write_text(text)
    t.rename(path)


def write_pieces(path, text):
    with open(path, "w") as f:
        for i in range(0, len(text), 40):
            f.write(text[i:i + 40])
            f.flush()
            os.fsync(f.fileno())


def write_vim(path, text):
    probe = path.with_name("4913")
    probe.write_text("")
    probe.unlink()
    if path.exists():
        path.rename(path.with_name(path.name + "~"))
    path.write_text(text)
    with_backup = path.with_name(path.name + "~")
    if with_backup.exists():
        with_backup.unlink()


def write_emacs(path, text):
    lock = path.with_name(".#" + path.name)
    os.symlink("someone@somewhere.1", lock)
    path.with_name("#" + path.name + "#").write_text("half: [")
    path.write_text(text)
    lock.unlink()
    path.with_name("#" + path.name + "#").unlink()


def write_sed(path, text):
    t = path.with_name("sedAbCdEf")
    t.write_text(text)
    t.rename(path)


def write_rsync(path, text):
    t = path.with_name("." + path.name + ".aB3dE9")
    t.write_text(text)
    t.rename(path)


def write_hard_link(path, text):
    t = path.parent.parent / "outside.yaml"
    t.write_text(text)
    if path.exists():
        path.unlink()
    os.link(t, path)


def write_unlink_first(path, text):
    if path.exists():
        path.unlink()
    path.write_text(text)


def write_new_directory(path, text):
    d = path.parent / ("sub-" + path.stem)
    d.mkdir(exist_ok=True)
    if path.exists():
        path.unlink()
    (d / path.name).write_text(text)


def write_moved_in_directory(path, text):
    d = path.parent.parent / ("moved-" + path.stem)
    d.mkdir()
    (d / path.name).write_text(text)
    if path.exists():
        path.unlink()
    d.rename(path.parent / d.name)


METHODS = [write_in_place, write_rename, write_pieces, write_vim, write_emacs, write_sed, write_rsync, write_hard_link, write_unlink_first,
           write_new_directory, write_moved_in_directory]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.__name__)
def test_a_file_is_live_however_it_was_written(g, method):
    for path in ("/new", "/newer"):
        method(g.conf / f"b{len(path)}.yaml", g.fill(named_route(f"b{len(path)}", path)))
        live(g, path)
    assert g.get("/a")[0] == 200


def test_a_config_map_mount_is_followed_when_its_data_link_swaps(g):
    mount = g.conf / "mount"
    mount.mkdir()

    def swap(version, path):
        d = mount / f"..{version}"
        d.mkdir()
        (d / "route.yaml").write_text(named_route("mounted", path))
        os.symlink(d.name, mount / "..data_tmp")
        (mount / "..data_tmp").rename(mount / "..data")
        if not (mount / "route.yaml").is_symlink():
            os.symlink("..data/route.yaml", mount / "route.yaml")
    swap("2026_1", "/m1")
    live(g, "/m1")
    swap("2026_2", "/m2")
    live(g, "/m2")
    assert g.get("/m1")[0] == 404


def test_a_removed_file_takes_its_objects_along(g):
    g.write("b.yaml", named_route("b", "/b"))
    live(g, "/b")
    g.remove("b.yaml")
    live(g, "/b", 404)
    assert g.get("/a")[0] == 200


def test_a_touched_file_makes_no_new_generation(g):
    before = g.status()["generation"]
    os.utime(g.conf / "a.yaml")
    g.reload()
    assert g.status()["generation"] == before


@pytest.mark.parametrize("bad", ["kind: [", "\tx: 1\n", "a: b: c\n", "apiVersion: v1\nkind: \"unclosed\n", "\0\0\0", "\xff\xfe"])
def test_a_broken_file_harms_only_itself_and_status_names_the_place(g, bad):
    g.write("b.yaml", named_route("b", "/b"))
    live(g, "/b")
    (g.conf / "b.yaml").write_bytes(bad.encode("latin-1"))
    status = g.wait_status(lambda s: any(d["severity"] == "error" and d["file"].endswith("b.yaml") for d in s["diagnostics"]))
    error = next(d for d in status["diagnostics"] if d["severity"] == "error" and d["file"].endswith("b.yaml"))
    assert error["line"] >= 1 and error["message"]
    assert g.get("/a")[0] == 200
    assert g.get("/b")[0] == 200, "the last good version must keep serving"
    g.write("b.yaml", named_route("b", "/b2"))
    live(g, "/b2")
    assert g.get("/b")[0] == 404


def test_a_broken_object_keeps_its_last_good_version_while_its_neighbours_move_on(g):
    g.write("two.yaml", named_route("one", "/one") + "---\n" + named_route("two", "/two"))
    live(g, "/two")
    g.write("two.yaml", named_route("one", "/uno") + "---\n" + named_route("two", "/dos").replace("backendRefs", "backendRef"))
    live(g, "/uno")
    assert g.get("/two")[0] == 200 and g.get("/dos")[0] == 404
    found = [d for d in g.status()["diagnostics"] if "backendRef" in d["message"] or "backendRef" in d["path"]]
    assert found and found[0]["line"] > 1 and "backendRefs" in found[0]["hint"] + found[0]["message"]


def test_after_a_bad_edit_a_cold_start_still_serves(g):
    g.write("b.yaml", named_route("b", "/b"))
    live(g, "/b")
    assert g.stop() == 0
    (g.conf / "b.yaml").write_text("this: [is broken")
    g.start()
    assert g.get("/b")[0] == 200
    assert any(d["file"].endswith("b.yaml") for d in g.status()["diagnostics"])


def test_fifos_devices_and_directories_named_yaml_are_skipped(g):
    os.mkfifo(g.conf / "pipe.yaml")
    (g.conf / "dir.yaml").mkdir()
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(g.conf / "s.yaml"))
    os.symlink("/etc/passwd", g.conf / "link.yaml")
    os.symlink("loop.yaml", g.conf / "loop.yaml")
    g.write("b.yaml", named_route("b", "/b"))
    live(g, "/b")
    files = {pathlib.Path(d["file"]).name for d in g.status()["diagnostics"]}
    assert {"pipe.yaml", "link.yaml"} <= files
    s.close()


def test_an_alias_bomb_is_refused_by_name_and_nothing_else_notices(g):
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8))
    g.write("bomb.yaml", bomb)
    g.write("b.yaml", named_route("b", "/b"))
    live(g, "/b")
    g.wait_status(lambda s: any(d["file"].endswith("bomb.yaml") and d["code"] == "LimitExceeded" for d in s["diagnostics"]))


def test_two_objects_of_one_name_are_both_named_and_the_first_keeps_serving(g):
    g.write("z.yaml", named_route("a", "/other"))
    status = g.wait_status(lambda s: any(d["code"] == "DuplicateObject" for d in s["diagnostics"]))
    text = json.dumps([d for d in status["diagnostics"] if d["code"] == "DuplicateObject"])
    assert "a.yaml" in text and "z.yaml" in text
    assert g.get("/a")[0] == 200 and g.get("/other")[0] == 404


def test_the_directory_may_vanish_and_come_back(g):
    hidden = g.root / "hidden"
    g.conf.rename(hidden)
    assert g.get("/a")[0] == 200
    hidden.rename(g.conf)
    g.write("b.yaml", named_route("b", "/b"))
    live(g, "/b")


def test_sighup_and_the_reload_command_load_at_once(g):
    generation = g.status()["generation"]
    g.write("b.yaml", named_route("b", "/b"))
    g.reload()
    assert g.get("/b")[0] == 200
    assert g.status()["generation"] > generation
    g.write("c.yaml", named_route("c", "/c"))
    g.process.send_signal(signal.SIGHUP)
    live(g, "/c")


def test_requests_in_flight_and_long_connections_live_through_reloads(g):
    pids = g.worker_pids()
    with g.connect() as hanging, g.connect() as idle, g.connect() as slow:
        idle.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.response()[0] == 200
        hanging.send("GET /a/hang HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.send("GET /a/slow/40 HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.until(b"\r\n\r\n")
        for i in range(10):
            g.write("b.yaml", named_route("b", f"/b{i}"))
            g.reload()
            idle.send(f"GET /b{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.response()[0] == 200, "the connection sees the new configuration"
        assert slow.exactly(40) == b"x" * 40
        g.upstream.release.set()
    assert g.worker_pids() == pids


def held(g):
    """Generations that the traffic workers have mapped, by their own count and by the kernel's."""
    said = max(w["generations_held"] for w in g.status()["workers"] if w["role"] == "worker")
    maps = [pathlib.Path(f"/proc/{pid}/maps").read_text().count("gatehouse-snapshot") for pid in g.worker_pids()]
    return max(said, *maps)


def upgraded(g, n):
    c = g.connect()
    c.send(f"GET /ws/websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Number: {n}\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    assert c.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    return c


def test_long_connections_do_not_keep_old_generations(g):
    def socket_route(generation):
        return gh.route_yaml("ws", f"""- matches: [{{path: {{value: /ws}}}}]
  filters:
  - type: URLRewrite
    urlRewrite: {{hostname: backend-{generation}.example.com, path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}
  - type: RequestHeaderModifier
    requestHeaderModifier: {{set: [{{name: User-Agent, value: agent-{generation}}}]}}
  backendRefs: [{{name: up, port: 80}}]""")

    g.write("ws.yaml", socket_route(0))
    g.reload()
    sockets, downloads = [], []
    for i in range(1, 31):
        sockets.append(upgraded(g, i))
        if i % 10 == 0:
            slow = g.connect()
            slow.send("GET /a/slow/100000 HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.until(b"\r\n\r\n")
            downloads.append(slow)
        g.write("ws.yaml", socket_route(i))
        g.reload()
    end = time.monotonic() + gh.DEADLINE
    while held(g) > 2:
        assert time.monotonic() < end, "old generations stay mapped"
        g.status(after=g.status()["change"], wait=1)
    for c in sockets:
        c.send(b"\x81\x85\x00\x00\x00\x00hello")
        assert c.exactly(7) == b"\x81\x05hello", "it lives on"
        c.close()
    for c in downloads:
        c.close()
    wanted = {f"agent-{i}" for i in range(30)}
    while wanted:
        assert time.monotonic() < end, f"not in the access log: {wanted}"
        for line in g.access_log.read_text().splitlines():
            record = json.loads(line)
            if record["user_agent"] in wanted:
                assert record["route"] == "default/ws/0" and record["status"] == 101
                wanted.remove(record["user_agent"])


def test_a_listener_that_leaves_is_closed_and_one_that_comes_is_opened(g):
    g.write("other.yaml", gh.gateway_yaml("other", "{port2}") + "---\n" + gh.route_yaml("o", "- backendRefs: [{name: up, port: 80}]", parent="other"))
    g.reload()
    assert g.get("/", port=g.port2)[0] == 200
    g.remove("other.yaml")
    g.reload()
    with pytest.raises(OSError):
        g.connect(g.port2)
    assert g.get("/a")[0] == 200


def test_a_port_in_use_is_reported_and_taken_when_it_becomes_free(g):
    with socket.create_server(("127.0.0.1", g.port2)) as blocker:
        g.write("other.yaml", gh.gateway_yaml("other", "{port2}") + "---\n" + gh.route_yaml("o", "- backendRefs: [{name: up, port: 80}]", parent="other"))
        status = g.wait_status(lambda s: any(d["code"] == "PortUnavailable" for d in s["diagnostics"]))
        assert g.get("/a")[0] == 200
    g.wait_status(lambda s: not any(d["code"] == "PortUnavailable" for d in s["diagnostics"]))
    assert g.get("/", port=g.port2)[0] == 200


def test_a_second_master_on_one_run_directory_refuses(g):
    done = g.ctl("serve", "--config", g.config, "--conf-dir", g.conf, "--state-dir", g.state, "--run-dir", g.run, check=False)
    assert done.returncode != 0
    assert "already" in done.stderr + done.stdout or "another" in done.stderr + done.stdout


def test_a_flood_of_files_becomes_a_few_generations(g):
    before = g.status()["generation"]
    for i in range(2000):
        (g.conf / f"many-{i}.yaml").write_text(named_route(f"many-{i}", f"/many-{i}"))
    live(g, "/many-1999")
    g.reload()
    assert g.status()["generation"] - before < 40
