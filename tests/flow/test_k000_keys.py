"""Certificates and keys: files that objects name by path, what a bad one does, and where keys never are."""
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import threading
import time

import pytest

import gh

CERTS = gh.TOP / "tests" / "certs"

BY_PATH = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {{port}}, name: https, protocol: HTTPS}}
    hosts: ["*"]
    tls: {{mode: SIMPLE, serverCertificate: {0}/tls.crt, privateKey: {0}/tls.key}}
"""


def ask(g, *words, check=True):
    done = g.ctl(*words, "--run-dir", str(g.run), check=check)
    return done.stdout + done.stderr


def subjects(g):
    return [c["subject"] for c in json.loads(ask(g, "certs", "-o", "json"))]


def wait_subjects(g, wanted):
    """Until the certificates in use are these; nothing but a file outside was touched."""
    change, end = 0, time.monotonic() + gh.DEADLINE
    while subjects(g) != wanted:
        assert time.monotonic() < end, f"{subjects(g)}, not {wanted}\n{g.log()[-3000:]}"
        change = g.status(after=change, wait=1)["change"]


def put(directory, name):
    """The pair `name` of the test certificates as tls.crt and tls.key."""
    directory.mkdir(exist_ok=True)
    for suffix, target in ((".pem", "tls.crt"), (".key.pem", "tls.key")):
        shutil.copy(CERTS / (name + suffix), directory / target)


def by_path(g, directory):
    g.write("gw.yaml", BY_PATH.format(directory))
    g.start()


def test_certificates_that_are_named_by_path_are_live_when_their_files_change():
    with gh.Gateway(start=False) as g:
        certs = g.root / "certs"
        by_path(g, certs)
        assert subjects(g) == [] and "there is no such file" in g.log()
        put(certs, "ecdsa")  # they appear at last
        wait_subjects(g, ["CN=a.example.com"])
        put(certs, "wild")  # written over
        wait_subjects(g, ["CN=*.example.com"])
        put(g.root / "new", "ecdsa")
        os.rename(certs, g.root / "old")
        os.rename(g.root / "new", certs)  # the directory is another one
        wait_subjects(g, ["CN=a.example.com"])


def test_a_mounted_secret_that_is_renewed_is_seen():
    with gh.Gateway(start=False) as g:
        mount = g.root / "mount"
        put(g.root / "mount-1", "ecdsa")
        mount.mkdir()
        os.rename(g.root / "mount-1", mount / "..1")
        os.symlink("..1", mount / "..data")
        for name in ("tls.crt", "tls.key"):
            os.symlink(f"..data/{name}", mount / name)
        by_path(g, mount)
        assert subjects(g) == ["CN=a.example.com"]
        put(mount / "..2", "wild")
        os.symlink("..2", mount / "..tmp")
        os.rename(mount / "..tmp", mount / "..data")
        shutil.rmtree(mount / "..1")
        wait_subjects(g, ["CN=*.example.com"])


def test_half_of_a_pair_and_rubbish_leave_what_serves():
    with gh.Gateway(start=False) as g:
        certs = g.root / "certs"
        put(certs, "ecdsa")
        by_path(g, certs)
        for name, content in (("tls.crt", (CERTS / "wild.pem").read_text()), ("tls.crt", "-----BEGIN"), ("tls.key", "")):
            change = g.status()["change"]
            (certs / name).write_text(content)
            while not any("the version before keeps serving" in d["hint"] for d in g.status()["diagnostics"]):
                change = g.status(after=change, wait=5)["change"]
            assert subjects(g) == ["CN=a.example.com"], (name, content)
        g.process.kill()  # and a cold start still knows it
        g.process.wait()
        for w in list(pathlib.Path(g.run).glob("worker-*.sock")):
            w.unlink()
        g.start()
        assert subjects(g) == ["CN=a.example.com"]
        put(certs, "wild")
        wait_subjects(g, ["CN=*.example.com"])


def handshake(g, context, session=None):
    """A connection in TLS, open; its certificate is of our authority."""
    return context.wrap_socket(socket.create_connection(("127.0.0.1", g.port), gh.DEADLINE), server_hostname="a.example.com",
                               session=session)


def client_context(version):
    context = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
    context.check_hostname = False  # the names of the pairs that are swapped differ
    context.minimum_version = context.maximum_version = version
    return context


def test_no_handshake_fails_while_files_are_swapped_one_after_the_other():
    with gh.Gateway(start=False) as g:
        certs, stop, failed, done = g.root / "certs", threading.Event(), [], []
        put(certs, "ecdsa")
        by_path(g, certs)

        def shake_hands():
            while not stop.is_set():
                try:
                    with handshake(g, client_context(ssl.TLSVersion.TLSv1_3)) as c:
                        done.append(c.getpeercert()["subject"])
                except OSError as e:
                    failed.append(repr(e))
        threads = [threading.Thread(target=shake_hands) for _ in range(2)]
        for t in threads:
            t.start()
        for name, subject in [("wild", "CN=*.example.com"), ("ecdsa", "CN=a.example.com")] * 4:
            shutil.copy(CERTS / (name + ".pem"), certs / "new")
            change = g.status()["change"]
            os.rename(certs / "new", certs / "tls.crt")
            g.status(after=change, wait=gh.DEADLINE)  # a load with half of the pair
            shutil.copy(CERTS / (name + ".key.pem"), certs / "new")
            os.rename(certs / "new", certs / "tls.key")
            wait_subjects(g, [subject])
        stop.set()
        for t in threads:
            t.join(gh.DEADLINE)
        assert not failed, failed[:3]
        assert len(set(done)) == 2, "both certificates were seen"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_resumes_on_every_worker_after_reloads_and_with_the_next_master(version):
    with gh.Gateway(start=False, workers=3) as g:
        put(g.root / "certs", "ecdsa")
        by_path(g, g.root / "certs")
        context = client_context(version)

        def ask(session=None):
            with handshake(g, context, session) as c:
                c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                while c.recv(65536):  # with TLS 1.3 the ticket comes behind the handshake
                    pass
                return c.session_reused, c.session
        _, session = ask()

        def all_resume():
            return all(ask(session)[0] for _ in range(12))
        assert all_resume()
        g.write("x.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80}]}\n")
        g.reload()
        assert all_resume()
        g.process.send_signal(signal.SIGUSR2)
        g.wait_notify("READY=1")
        assert all_resume()
        g.process.kill()
        g.process.wait()
        g.start()
        assert all_resume()


def test_no_key_is_in_a_status_a_log_or_a_file_that_others_may_read():
    secret = (CERTS / "ecdsa.key.pem").read_text().splitlines()[1]  # of the base64
    with gh.Gateway(start=False) as g:
        certs = g.root / "certs"
        put(certs, "ecdsa")
        g.write("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n"
                + "".join("    " + line + "\n" for line in (CERTS / "ecdsa.pem").read_text().splitlines()) + "  tls.key: |\n"
                + "".join("    " + line + "\n" for line in (CERTS / "ecdsa.key.pem").read_text().splitlines()))
        os.chmod(g.conf / "secret.yaml", 0o600)
        by_path(g, certs)
        assert subjects(g) == ["CN=a.example.com"]
        shown = [ask(g, *words, check=False) for words in (
            ["get", "secrets", "-o", "yaml"], ["get", "secrets", "-o", "json"], ["get", "secrets", "-o", "wide"], ["describe", "secret", "s"],
            ["certs"], ["certs", "-o", "json"], ["status"], ["diff", str(g.conf)],
            ["explain", "GET", f"https://a.example.com:{g.port}/"])]
        assert "bytes" in shown[0] and "tls.key" in shown[3]
        for text in [*shown, json.dumps(g.status()), g.log(), g.access_log.read_text() if g.access_log.exists() else ""]:
            assert secret not in text and "PRIVATE KEY" not in text
        for path in g.state.iterdir():
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_udp_socket_is_handed_to_the_next_master(upstream):
    """The port is never free in between, and is given back when nobody wants it."""
    route = ("apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: UDPRoute\nmetadata: {name: u}\nspec:\n  parentRefs: [{name: edge}]\n"
             "  rules: [{backendRefs: [{name: up, port: 80}]}]\n")
    gateway = ("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n  gatewayClassName: gatehouse\n"
               "  listeners: [{name: dns, port: {port}, protocol: UDP}]\n")
    with gh.Gateway({"gw.yaml": gateway, "route.yaml": route, "up.yaml": gh.service_yaml("up", upstream.port)}) as g:
        def is_bound():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with s:
                try:
                    s.bind(("127.0.0.1", g.port))
                    return False
                except OSError:
                    return True
        assert is_bound()
        for _ in range(2):
            g.process.kill()
            g.process.wait()
            assert is_bound(), "the orphans hold it"
            g.start()
            assert is_bound()
        assert "taken over" in g.log()
        g.remove("gw.yaml")
        g.reload()
        end = time.monotonic() + gh.DEADLINE
        while is_bound():  # workers close it when they are told, a moment after the change is live
            assert time.monotonic() < end
