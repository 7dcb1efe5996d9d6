#!/usr/bin/env python3
"""tls_test.py - TLS towards clients and towards endpoints, as real TLS libraries see it; one behaviour for each test."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import socket
import ssl
import sys
import tempfile
import threading
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import DEADLINE, Backend, Driver, Peer, answers, echo, seen  # noqa: E402

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DIR = tempfile.TemporaryDirectory(prefix="gh-tls-")


def unpack():
    """Files NAME.crt, NAME.key, and NAME.pem with both, of test_certs.h."""
    text = (pathlib.Path(__file__).resolve().parents[2] / "shared/tls/test_certs.h").read_text()
    found = {name: "".join(re.findall(r'"(.*?)\\n"', body)) and "\n".join(re.findall(r'"(.*?)\\n"', body)) + "\n"
             for name, body in re.findall(r"#define PEM_(\w+) \\\n((?:    \".*\n)+)", text)}
    for name, pem in found.items():
        if name.endswith("_KEY"):
            continue
        key = found.get(name + "_KEY", "")
        for suffix, content in (("crt", pem), ("key", key), ("pem", pem + key)):
            pathlib.Path(DIR.name, f"{name.lower()}.{suffix}").write_text(content)


unpack()


def pki(name):
    return os.path.join(DIR.name, name)


def chain(text, cert="ec"):
    return ["--tls", f"{text} cert=" + ",".join(pki(c + ".pem") for c in cert.split(","))]


def client(version=None, cert=None, alpn=None, ciphers=None, ca="ca"):
    c = ssl.create_default_context(cafile=pki(ca + ".crt"))
    c.check_hostname = False
    if version:
        c.minimum_version = c.maximum_version = version
    if cert:
        c.load_cert_chain(pki(cert + ".crt"), pki(cert + ".key"))
    if alpn:
        c.set_alpn_protocols(alpn)
    if ciphers:
        c.set_ciphers(ciphers)
    return c


TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def connect(d, name="a.example.com", context=None, session=None):
    sock = socket.create_connection(("127.0.0.1", d.port))
    sock.settimeout(DEADLINE)
    try:
        return Peer((context or client()).wrap_socket(sock, server_hostname=name, session=session))
    except Exception:
        sock.close()
        raise


def ask(c, path="/", host="a.example.com"):
    c.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    return c.response()


def names(c):
    return [value for kind, value in c.sock.getpeercert()["subjectAltName"] if kind == "DNS"]


class TlsBackend(Backend):
    """Speaks TLS; `seen` has the server names that were asked for, `faults` what went wrong in handshakes."""

    def __init__(self, serve, cert="ec", context=None, ca=None, alpn=("http/1.1",), proxy=0):
        self.context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki(cert + ".crt"), pki(cert + ".key"))
        self.context.sni_callback = lambda sock, name, _context: self.seen.append(name)
        self.context.set_alpn_protocols(list(alpn))
        if ca:
            self.context.load_verify_locations(pki(ca + ".crt"))
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.seen, self.faults, self.heads, self.proxy = [], [], [], proxy
        super().__init__(serve)

    def one(self, peer, number):
        try:
            if self.proxy:
                self.heads.append(self.read_proxy(peer.sock))
            peer.sock = self.context.wrap_socket(peer.sock, server_side=True)
        except (ssl.SSLError, OSError) as e:
            self.faults.append(e)
            peer.close()
            return
        super().one(peer, number)

    def read_proxy(self, sock):
        data = b""
        if self.proxy == 1:
            while not data.endswith(b"\r\n"):
                data += sock.recv(1)
        else:
            while len(data) < 16 or len(data) < 16 + int.from_bytes(data[14:16], "big"):
                data += sock.recv(1)
        return data


HELLO = ["prefix=/ direct=200:hello"]


class Names(unittest.TestCase):
    def test_the_server_name_chooses_the_certificate(self):
        args = chain("name=a.example.com", "ec") + chain("name=*.wild.example.com", "p384") + chain("name=*", "rsa")
        with Driver(*args, rules=HELLO) as d:
            for name, want in (("a.example.com", "*.wild.example.com"), ("x.wild.example.com", "a.example.com"),
                               ("x.y.wild.example.com", "a.example.com"), ("other.org", "b.example.com"), (None, "b.example.com")):
                with connect(d, name) as c:
                    kind = {"*.wild.example.com": 4, "b.example.com": 2}.get(want, 1)
                    self.assertEqual(len(c.sock.getpeercert()["subjectAltName"]), kind, name)
                    self.assertEqual(ask(c)[2], b"hello")

    def test_a_name_nobody_serves_hears_that_and_a_port_of_streams_says_nothing(self):
        with Driver(*chain("name=a.example.com"), rules=HELLO) as d:
            with self.assertRaisesRegex(ssl.SSLError, "UNRECOGNIZED_NAME"):
                connect(d, "b.example.com")
            with self.assertRaisesRegex(ssl.SSLError, "UNRECOGNIZED_NAME"):
                connect(d, None)
            self.assertEqual(d.counters()["tls0_no_server_name"], 2)
        with Backend(echo) as up, Driver("--tls", "name=a.example.com mode=passthrough cluster=up", up=up, rules=()) as d:
            for name in ("b.example.com", None):
                with self.assertRaises((ssl.SSLEOFError, ConnectionError)):
                    connect(d, name)

    def test_a_chain_that_is_refused_gets_no_handshake(self):
        with Driver("--tls", "name=bad.example.com mode=refuse", *chain("name=a.example.com"), rules=HELLO) as d:
            with self.assertRaises(ssl.SSLError):
                connect(d, "bad.example.com")
            with connect(d) as c:
                self.assertEqual(ask(c)[0], 200)

    def test_a_host_of_another_listener_is_misdirected_and_an_unknown_one_not_found(self):
        args = chain("name=a.example.com listener=a") + chain("name=b.example.com listener=b", "rsa")
        rules = ["prefix=/ listener=a host=a.example.com direct=200:a", "prefix=/ listener=b host=b.example.com direct=200:b"]
        with Driver(*args, rules=rules) as d, connect(d) as c:
            self.assertEqual(ask(c)[2], b"a")
            self.assertEqual(ask(c, host="b.example.com")[0], 421)
            self.assertEqual(ask(c, host="zzz.example.com")[0], 404)
            d.reload()
            self.assertEqual(ask(c)[2], b"a")
            self.assertEqual(ask(c, host="b.example.com")[0], 421)

    def test_with_a_nameless_listener_an_unknown_host_is_misdirected(self):
        args = chain("name=a.example.com listener=a") + chain("name=* listener=all", "rsa")
        rules = ["prefix=/ listener=a host=a.example.com direct=200:a", "prefix=/ listener=all host=* direct=200:all"]
        with Driver(*args, rules=rules) as d, connect(d) as c, connect(d, "b.example.com") as other:
            self.assertEqual(ask(c, host="zzz.example.com")[0], 421)
            self.assertEqual(ask(other, host="zzz.example.com")[2], b"all")
            self.assertEqual(ask(other)[0], 421)


class Handshakes(unittest.TestCase):
    def test_the_client_gets_a_certificate_that_it_can_verify(self):
        with Driver(*chain("name=*", "ec,rsa"), rules=HELLO) as d:
            for ciphers, suite in (("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
                                   ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
                                   ("ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305")):
                with connect(d, context=client(TLS12, ciphers=ciphers)) as c:
                    self.assertEqual(c.sock.cipher()[0], suite)
                    self.assertEqual(ask(c)[2], b"hello")

    def test_both_versions_work_and_older_ones_hear_why_not(self):
        with Driver(*chain("name=*"), rules=HELLO) as d:
            for version in (TLS12, TLS13):
                with connect(d, context=client(version)) as c:
                    self.assertEqual(ask(c)[2], b"hello")
            old = client()
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            old.set_ciphers("ALL:@SECLEVEL=0")
            with self.assertRaisesRegex(ssl.SSLError, "PROTOCOL_VERSION"):
                connect(d, context=old)
            with self.assertRaisesRegex(ssl.SSLError, "HANDSHAKE_FAILURE"):
                connect(d, context=client(TLS12, ciphers="AES128-SHA:ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256"))

    def test_alpn_is_the_servers_choice_and_strict(self):
        with Driver(*chain("name=*"), rules=HELLO) as d:
            for offer, want in ((["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (["foo", "http/1.1"], "http/1.1"), (None, None)):
                with connect(d, context=client(alpn=offer)) as c:
                    self.assertEqual(c.sock.selected_alpn_protocol(), want)
            with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
                connect(d, context=client(alpn=["foo", "h3"]))
        with Driver(*chain("name=* alpn=2"), rules=HELLO) as d, connect(d, context=client(alpn=["h2", "http/1.1"])) as c:
            self.assertEqual(c.sock.selected_alpn_protocol(), "http/1.1")

    def test_a_hello_in_single_bytes_is_the_same_hello(self):
        with Driver(*chain("name=a.example.com"), rules=HELLO) as d:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = client().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
            with socket.create_connection(("127.0.0.1", d.port)) as s:
                s.settimeout(DEADLINE)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        for byte in outgoing.read():
                            s.sendall(bytes([byte]))
                        incoming.write(s.recv(65536))
                tls.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
                for byte in outgoing.read():
                    s.sendall(bytes([byte]))
                got = b""
                while b"hello" not in got:
                    incoming.write(s.recv(65536))
                    with contextlib.suppress(ssl.SSLWantReadError):
                        got += tls.read()

    def test_who_says_something_else_or_nothing_is_closed(self):
        with Driver(*chain("name=*"), rules=HELLO) as d:
            with d.connect() as c:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(c.rest(), b"")
            with d.connect() as idle, d.connect() as stalled:
                stalled.send(b"\x16\x03\x01")
                self.assertTrue(idle.closed(DEADLINE))
                self.assertTrue(stalled.closed(DEADLINE))
            counters = d.counters()
            self.assertEqual((counters["tls0_not_tls"], counters["tls0_timeout"]), (1, 2))
            d.until("client_active", 0)

    def test_handshakes_that_are_broken_off_leave_nothing(self):
        with Driver(*chain("name=*"), rules=HELLO) as d:
            bio = ssl.MemoryBIO()
            with contextlib.suppress(ssl.SSLWantReadError):
                client().wrap_bio(ssl.MemoryBIO(), bio, server_hostname="a.example.com").do_handshake()
            hello = bio.read()
            for i in range(200):
                with d.connect() as c:
                    c.send(hello[: (i * 7) % (len(hello) + 1)])
                    if i % 3 == 0:
                        c.reset()
            d.until("client_active", 0)
            d.until("buffer_bytes", 0)
            with connect(d) as c:
                self.assertEqual(ask(c)[2], b"hello")

    def test_renegotiation_is_not_done(self):
        with Driver(*chain("name=*"), rules=HELLO) as d, connect(d, context=client(TLS12)) as c:
            self.assertEqual(ask(c)[0], 200)
            # Python can't renegotiate: a ClientHello where content is due is refused just so.
            raw = socket.socket(fileno=os.dup(c.sock.fileno()))
            raw.sendall(b"\x16\x03\x03\x00\x04\x01\x00\x00\x00")
            with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
                ask(c)
            raw.close()


class ClientCertificates(unittest.TestCase):
    def args(self, auth, more=""):
        return chain(f"name=* auth={auth} ca={pki('ca.crt')} {more}")

    def outcome(self, d, cert, version):
        try:
            with connect(d, context=client(version, cert=cert)) as c:
                return ask(c)[0]
        except (ssl.SSLError, ConnectionError, EOFError):
            return None

    def test_what_is_demanded_holds_in_both_versions(self):
        rows = {
            "none": {None: 200, "client": 200, "client_other": 200},
            "optional": {None: 200, "client": 200, "client_other": None, "client_expired": None},
            "required": {None: None, "client": 200, "client_other": None, "client_expired": None, "ec": None},
            "tolerant": {None: 200, "client": 200, "client_other": 200, "client_expired": 200},
        }
        for auth, row in rows.items():
            with Driver(*self.args(auth), rules=HELLO) as d:
                for cert, want in row.items():
                    for version in (TLS12, TLS13):
                        self.assertEqual(self.outcome(d, cert, version), want, (auth, cert, version))

    def test_revoked_certificates_and_other_names_are_refused(self):
        with Driver(*self.args("required", f"crl={pki('crl.crt')}"), rules=HELLO) as d:
            self.assertEqual(self.outcome(d, "client", TLS13), 200)
            self.assertIsNone(self.outcome(d, "revoked", TLS13))
            self.assertEqual(d.counters()["tls0_revoked"], 1)
        with Driver(*self.args("required", "san=spiffe://cluster.local/ns/default/sa/one"), rules=HELLO) as d:
            self.assertEqual(self.outcome(d, "client", TLS13), 200)
            self.assertIsNone(self.outcome(d, "revoked", TLS13))
            self.assertEqual(d.counters()["tls0_wrong_name"], 1)


class Facts(unittest.TestCase):
    """What endpoints and the log get to know of the client's TLS."""

    VALUES = {"Version": "DOWNSTREAM_TLS_VERSION", "Cipher": "DOWNSTREAM_TLS_CIPHER", "Sni": "REQUESTED_SERVER_NAME",
              "Subject": "DOWNSTREAM_PEER_SUBJECT", "Issuer": "DOWNSTREAM_PEER_ISSUER", "Uri": "DOWNSTREAM_PEER_URI_SAN",
              "Serial": "DOWNSTREAM_PEER_SERIAL", "Print": "DOWNSTREAM_PEER_FINGERPRINT_256", "Cert": "DOWNSTREAM_PEER_CERT"}

    def rules(self):
        return ["prefix=/ cluster=up " + " ".join(f"set=X-{k}:%{v}%" for k, v in self.VALUES.items())]

    def test_the_client_certificate_is_told_and_nobody_can_pretend_one(self):
        der = ssl.PEM_cert_to_DER_cert(pathlib.Path(pki("client.crt")).read_text())
        hashed = hashlib.sha256(der).hexdigest()
        lie = "x-forwarded-client-cert: Hash=00;Subject=\"CN=admin\"\r\n"
        with Backend(echo) as up, Driver(*chain(f"name=* auth=optional ca={pki('ca.crt')}", "spiffe,ec"), up=up, log=True, rules=self.rules()) as d:
            with connect(d, context=client(cert="client")) as c:
                for _ in range(2):
                    c.send(f"GET / HTTP/1.1\r\nHost: a\r\n{lie}\r\n")
                    got = seen(c.response())[1]
                    self.assertEqual(got["x-forwarded-client-cert"],
                                     f"By=spiffe://cluster.local/ns/default/sa/web;Hash={hashed};"
                                     'Subject="CN=client one,O=gatehouse\\\\, test,C=DE";'
                                     "URI=spiffe://cluster.local/ns/default/sa/one;DNS=client.example.com")
                self.assertEqual(got["x-version"], "TLSv1.3")
                self.assertEqual(got["x-cipher"], "TLS_AES_128_GCM_SHA256")
                self.assertEqual(got["x-sni"], "a.example.com")
                self.assertEqual(got["x-subject"], "CN=client one,O=gatehouse\\, test,C=DE")
                self.assertEqual(got["x-issuer"], "CN=test CA,O=gatehouse\\, test,C=DE")
                self.assertEqual(got["x-uri"], "spiffe://cluster.local/ns/default/sa/one")
                self.assertEqual(got["x-serial"], "010101010101434c49454e54")
                self.assertEqual(got["x-print"], hashed)
                self.assertEqual(ssl.PEM_cert_to_DER_cert(urllib.parse.unquote(got["x-cert"])), der)
            with connect(d) as c:
                c.send(f"GET / HTTP/1.1\r\nHost: a\r\n{lie}\r\n")
                got = seen(c.response())[1]
                self.assertNotIn("x-forwarded-client-cert", got)
                self.assertEqual((got["x-version"], got["x-subject"], got["x-cert"]), ("TLSv1.3", "-", "-"))
            d.close()
            lines = [json.loads(x) for x in "".join(d.errors).split("\n") if x.startswith("{")]
            self.assertEqual((lines[0]["tls_version"], lines[0]["tls_cipher"], lines[0]["sni"], lines[0]["client_cert"]),
                             ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "a.example.com", "CN=client one,O=gatehouse\\, test,C=DE"))
            self.assertIsNone(lines[-1]["client_cert"])

    def test_in_plain_text_there_is_nothing_to_tell(self):
        with Backend(echo) as up, Driver(up=up, log=True, rules=self.rules()) as d:
            got = seen(d.get(headers=["x-forwarded-client-cert: Hash=00"]))[1]
            self.assertNotIn("x-forwarded-client-cert", got)
            self.assertEqual((got["x-version"], got["x-sni"]), ("-", "-"))
            d.close()
            self.assertIsNone(json.loads("".join(d.errors))["tls_version"])

    def test_the_log_says_why_an_endpoint_is_not_trusted(self):
        with TlsBackend(echo, cert="expired") as up:
            clusters = {"up": f"127.0.0.1:{up.port};tls_ca={pki('ca.crt')};tls_sni=a.example.com"}
            with Driver(clusters=clusters, log=True) as d:
                status, _, body = d.get()
                self.assertEqual(status, 503)
                self.assertNotIn(b"valid any more", body)
                d.close()
                line = json.loads("".join(d.errors))
                self.assertEqual((line["reason"], line["detail"]), ("upstream_tls", "the peer's certificate is not valid any more"))


class Sessions(unittest.TestCase):
    def turn(self, d):
        d.order("turn")
        assert d.process.stdout.readline() == "turned\n"

    def full(self, d, context, name="a.example.com"):
        with connect(d, name, context) as c:
            self.assertEqual(ask(c)[2], b"hello")
            return c.sock.session, c.sock.session_reused

    def again(self, d, context, session, name="a.example.com"):
        with connect(d, name, context, session) as c:
            self.assertEqual(ask(c)[2], b"hello")
            return c.sock.session_reused

    def test_they_resume_over_reloads_and_new_keys(self):
        for version in (TLS12, TLS13):
            with Driver(*chain("name=*"), rules=HELLO) as d:
                context = client(version)
                session, reused = self.full(d, context)
                self.assertFalse(reused)
                self.assertTrue(self.again(d, context, session))
                d.reload()
                self.assertTrue(self.again(d, context, session))
                self.turn(d)
                self.assertTrue(self.again(d, context, session))
                for _ in range(3):
                    self.turn(d)
                self.assertFalse(self.again(d, context, session))

    def test_they_do_not_cross_server_names_or_client_certificates(self):
        for version in (TLS12, TLS13):
            with Driver(*chain("name=*"), rules=HELLO) as d:
                context = client(version)
                session, _ = self.full(d, context)
                self.assertFalse(self.again(d, context, session, "b.example.com"))
            with Driver(*chain(f"name=* auth=optional ca={pki('ca.crt')}"), rules=HELLO) as d:
                context = client(version, cert="client")
                session, _ = self.full(d, context)
                self.assertFalse(self.again(d, context, session))


def pattern(n):
    return bytes((i * 31 >> 3) & 255 for i in range(65536)) * (n // 65536)


class Bytes(unittest.TestCase):
    def test_large_bodies_go_both_ways_with_slow_readers(self):
        big = pattern(4 << 20)

        def serve(p, _n):
            method, _, fields, body = p.request()
            assert (method, body) == ("POST", big)
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big))
            p.send(big)
        for version in (TLS12, TLS13):
            with Backend(serve) as up, Driver(*chain("name=*"), up=up) as d, connect(d, context=client(version)) as c:
                c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(big))
                c.send(big)
                got = 0
                _, _ = c.head()
                body = c.buffer
                while len(body) < len(big):
                    body += c.sock.recv(1000 if got < 50 else 65536)
                    got += 1
                self.assertEqual(body, big)
                d.until("buffer_bytes", 0)

    def test_a_client_that_ends_its_side_gets_its_answer(self):
        with Backend(echo) as up, Driver(*chain("name=*"), up=up) as d, connect(d) as c:
            c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            raw = socket.socket(fileno=os.dup(c.sock.fileno()))
            raw.shutdown(socket.SHUT_WR)
            raw.close()
            self.assertEqual(seen(c.response())[0], "GET /x")

    def test_an_upload_that_is_cut_off_is_not_taken_for_complete(self):
        ends = []

        def serve(p, _n):
            try:
                p.request()
                ends.append("complete")
            except (EOFError, OSError):
                ends.append("cut")
        with Backend(serve) as up, Driver(*chain("name=*"), up=up) as d:
            with connect(d) as c:
                c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                d.until("exchanges_active", 1)
            d.until("exchanges_active", 0)
            up.accepted.get(timeout=DEADLINE)
        self.assertEqual(ends, ["cut"])

    def test_the_scheme_is_https_for_redirects_and_endpoints(self):
        with Backend(echo) as up, Driver(*chain("name=*"), up=up, rules=["prefix=/old redirect=new.example.com", "prefix=/ cluster=up"]) as d:
            with connect(d) as c:
                self.assertEqual(dict(ask(c, "/old")[1])["location"], f"https://new.example.com:{d.port}/old")
                self.assertEqual(seen(ask(c))[1]["x-forwarded-proto"], "https")

    def test_a_slow_record_does_not_hold_others(self):
        with Driver(*chain("name=*"), rules=HELLO) as d, connect(d) as slow, connect(d) as c:
            raw = socket.socket(fileno=os.dup(slow.sock.fileno()))
            raw.sendall(b"\x17\x03\x03\x40\x00" + bytes(5000))
            for _ in range(20):
                self.assertEqual(ask(c)[0], 200)
            raw.close()


class ProxyHeaders(unittest.TestCase):
    V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
    V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"

    def test_trusted_peers_say_who_the_client_is(self):
        for head in (self.V1, self.V2):
            with Backend(echo) as up, Driver("--trusted", "127.0.0.0/8", up=up) as d, d.connect() as c:
                c.send(head + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(seen(c.response())[1]["x-forwarded-for"], "192.0.2.7")
            with Backend(echo) as up, Driver("--trusted", "127.0.0.1/32", *chain("name=*"), up=up) as d:
                sock = socket.create_connection(("127.0.0.1", d.port))
                for byte in head:
                    sock.sendall(bytes([byte]))
                with Peer(client().wrap_socket(sock, server_hostname="a.example.com")) as c:
                    self.assertEqual(seen(ask(c))[1]["x-forwarded-for"], "192.0.2.7")

    def test_without_a_header_they_are_not_served(self):
        with Driver("--trusted", "127.0.0.0/8", rules=HELLO) as d:
            for text in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXY TCP4 bad\r\n", self.V2[:13] + b"\x99"):
                with d.connect() as c:
                    c.send(text)
                    self.assertEqual(c.rest(), b"")
            self.assertGreaterEqual(d.counters()["proxy_header_errors"], 2)

    def test_nobody_else_is_believed(self):
        with Driver("--trusted", "10.0.0.0/8", rules=HELLO) as d, d.connect() as c:
            c.send(self.V1 + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertNotIn(b"200", c.rest())


class Upstream(unittest.TestCase):
    def cluster(self, up, options):
        return {"up": f"127.0.0.1:{up.port};" + options}

    def good(self, more=""):
        return f"tls_ca={pki('ca.crt')};tls_sni=a.example.com{more}"

    def test_requests_go_over_tls_with_the_name_that_is_configured(self):
        with TlsBackend(echo) as up, Driver(clusters=self.cluster(up, self.good())) as d:
            for i in range(3):
                self.assertEqual(seen(d.get(f"/{i}", host="x"))[0], f"GET /{i}")
            self.assertEqual(up.seen, ["a.example.com"])
            self.assertEqual(up.peers[0].sock.selected_alpn_protocol(), "http/1.1")
            self.assertEqual(d.counters()["tls1_1.3_0"], 1)

    def test_without_a_name_it_is_that_of_the_request_and_connections_are_kept_apart(self):
        with TlsBackend(echo, cert="rsa") as up, Driver(clusters=self.cluster(up, f"tls_ca={pki('ca.crt')}")) as d:
            for host in ("a.example.com", "B.example.com:8443", "a.example.com", "b.example.com"):
                self.assertEqual(d.get(host=host)[0], 200)
            self.assertEqual(up.seen, ["a.example.com", "b.example.com"])
            self.assertEqual(d.get(host="c.example.com")[0], 503)
        with TlsBackend(echo) as up, Driver(clusters=self.cluster(up, f"tls_ca={pki('ca.crt')}")) as d:
            self.assertEqual(d.get(host="127.0.0.1")[0], 200) # an address is verified, but never a server name
            self.assertEqual(up.seen, [None])

    def test_what_cannot_be_trusted_is_not_used(self):
        rows = [("expired", self.good(), "expired"), ("stranger", self.good(), "unknown_ca"), ("spiffe", self.good(), "wrong_name"),
                ("ec", f"tls_ca={pki('ca.crt')};tls_sni=zzz.example.com", "wrong_name"),
                ("ec", f"tls_ca={pki('other_ca.crt')};tls_sni=a.example.com", "unknown_ca")]
        for cert, options, fault in rows:
            with TlsBackend(echo, cert=cert) as up, Driver(clusters=self.cluster(up, options), log=True) as d:
                self.assertEqual(d.get()[0], 503, (cert, fault))
                self.assertGreaterEqual(d.counters()["tls1_" + fault], 1, (cert, fault))
                d.close()
                self.assertIn('"reason":"upstream_tls"', "".join(d.errors).replace(" ", ""))

    def test_it_never_falls_back_to_plain_text(self):
        heard = []

        def serve(p, _n):
            heard.append(p.sock.recv(65536))
            p.send(OK)
        with Backend(serve) as up, Driver(clusters=self.cluster(up, self.good())) as d:
            self.assertEqual(d.get()[0], 503)
        self.assertTrue(heard and all(data[:1] == b"\x16" for data in heard))
        with Backend(serve) as up, Driver(clusters=self.cluster(up, "tls_broken=1")) as d:
            self.assertEqual(d.get()[0], 503)
            self.assertEqual(len(up.peers), 0)

    def test_names_and_insecurity_as_configured(self):
        rows = [("spiffe", self.good(";tls_san=spiffe://cluster.local/ns/default/sa/web"), 200),
                ("spiffe", self.good(";tls_san=spiffe://cluster.local/ns/default/sa/x"), 503),
                ("spiffe", self.good(";tls_identity=web.default.svc"), 200), ("stranger", self.good(";tls_insecure=1"), 200),
                ("chained", f"tls_ca={pki('ca.crt')};tls_sni=c.example.com", 200)]
        for cert, options, status in rows:
            with TlsBackend(echo, cert=cert) as up, Driver(clusters=self.cluster(up, options)) as d:
                self.assertEqual(d.get()[0], status, (cert, options))

    def test_the_client_certificate_is_shown(self):
        with TlsBackend(echo, ca="ca") as up:
            with Driver(clusters=self.cluster(up, self.good(f";tls_cert={pki('client.pem')}"))) as d:
                self.assertEqual(d.get()[0], 200)
                self.assertIn(("commonName", "client one"), [x for r in up.peers[0].sock.getpeercert()["subject"] for x in r])
            with Driver(clusters=self.cluster(up, self.good())) as d:
                self.assertIn(d.get()[0], (502, 503))

    def test_sessions_resume(self):
        for version in (TLS12, TLS13):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.maximum_version = version
            reused = []

            def serve(p, _n):
                reused.append(p.sock.session_reused)
                p.request()
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                with contextlib.suppress(OSError):
                    p.sock.unwrap()
            with TlsBackend(serve, context=context) as up, Driver(clusters=self.cluster(up, self.good())) as d:
                for _ in range(4):
                    self.assertEqual(d.get()[0], 200)
                self.assertEqual(reused, [False, True, True, True], version)

    def test_proxy_headers_come_before_tls_and_tie_connections_to_clients(self):
        for version, mark in ((1, b"PROXY TCP4 127.0.0.1"), (2, b"\r\n\r\n\0\r\nQUIT\n\x21\x11")):
            with TlsBackend(echo, proxy=version) as up, Driver(clusters=self.cluster(up, self.good(f";proxy={version}"))) as d:
                with d.connect() as a, d.connect() as b:
                    for c in (a, b, a, b):
                        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        self.assertEqual(c.response()[0], 200)
                    ports = {c.sock.getsockname()[1] for c in (a, b)}
                self.assertEqual(len(up.heads), 2)
                for head in up.heads:
                    self.assertTrue(head.startswith(mark), head)
                if version == 1:
                    self.assertEqual({int(h.split()[4]) for h in up.heads}, ports)

    def test_an_answer_without_length_needs_an_announced_end(self):
        for announced in (True, False):
            def serve(p, _n, announced=announced):
                p.request()
                p.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
                if announced:
                    with contextlib.suppress(OSError):
                        p.sock.unwrap()
                else:
                    os.close(p.sock.detach())
            with TlsBackend(serve) as up, Driver(clusters=self.cluster(up, self.good())) as d, d.connect() as c:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                if announced:
                    self.assertEqual(c.response()[2], b"all of it")
                else:
                    with self.assertRaises((EOFError, ConnectionError)):
                        c.response()

    def test_large_bodies_go_both_ways(self):
        big = pattern(2 << 20)

        def serve(p, _n):
            assert p.request()[3] == big
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big) + big)
        with TlsBackend(serve) as up, Driver(*chain("name=*"), clusters=self.cluster(up, self.good())) as d, connect(d) as c:
            c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(big) + big)
            self.assertEqual(c.response()[2], big)

    def test_a_handshake_that_stands_still_is_a_timeout(self):
        held = threading.Event()

        def serve(p, _n):
            held.wait(DEADLINE)
        with Backend(serve) as up, Driver(clusters=self.cluster(up, self.good(";connect_ms=300"))) as d:
            self.assertEqual(d.get()[0], 504)
            held.set()

    def test_many_requests_share_few_connections_under_reloads(self):
        with TlsBackend(echo) as up, Driver(clusters=self.cluster(up, self.good())) as d, d.connect() as c:
            for i in range(30):
                c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(seen(c.response())[0], f"GET /{i}")
                if i % 5 == 0:
                    d.reload()
            self.assertEqual(len(up.peers), 1)


class Streams(unittest.TestCase):
    """TLS that is passed through, or terminated, without HTTP."""

    def test_passthrough_touches_nothing(self):
        with TlsBackend(echo, cert="rsa", alpn=("h2", "http/1.1")) as up:
            args = ["--tls", "name=b.example.com mode=passthrough cluster=up"] + chain("name=a.example.com mode=tcp cluster=up")
            with Driver(*args, up=up, rules=()) as d, connect(d, "b.example.com", client(alpn=["http/1.1"])) as c:
                self.assertEqual(names(c), ["a.example.com", "b.example.com"]) # the backend's own certificate
                self.assertEqual(c.sock.selected_alpn_protocol(), "http/1.1")
                self.assertEqual(seen(ask(c))[0], "GET /")
            self.assertEqual(up.seen, ["b.example.com"])

    def test_terminated_tls_goes_on_in_plain_text_and_the_server_may_speak_first(self):
        def serve(p, _n):
            p.send(b"220 hello\r\n")
            assert p.until(b"\r\n") == b"QUIT\r\n"
            p.send(b"221 bye\r\n")
        with Backend(serve) as up, Driver(*chain("name=* mode=tcp cluster=up"), up=up, rules=()) as d, connect(d) as c:
            self.assertEqual(c.until(b"\r\n"), b"220 hello\r\n")
            c.send(b"QUIT\r\n")
            self.assertEqual(c.until(b"\r\n"), b"221 bye\r\n")
            self.assertEqual(c.sock.recv(1), b"") # an end that was announced

    def test_terminated_tls_may_be_tls_again(self):
        clusters = {"up": ""}
        with TlsBackend(echo, cert="rsa", proxy=1) as up:
            clusters = {"up": f"127.0.0.1:{up.port};tls_ca={pki('ca.crt')};proxy=1"}
            with Driver(*chain("name=* mode=tcp cluster=up"), clusters=clusters, rules=()) as d:
                with connect(d, "b.example.com") as c:
                    self.assertEqual(seen(ask(c))[0], "GET /")
                self.assertEqual(up.seen, ["b.example.com"]) # the client's
                self.assertTrue(up.heads[0].startswith(b"PROXY TCP4 127.0.0.1 "))
                with connect(d, "zzz.example.com") as c: # which the endpoint's certificate is not for
                    with self.assertRaises((EOFError, ConnectionError, ssl.SSLError)):
                        ask(c)
                self.assertEqual(d.counters()["tls1_wrong_name"], 1)

    def test_bulk_and_ends_pass(self):
        big = pattern(8 << 20)

        def serve(p, _n):
            assert p.exactly(len(big)) == big
            p.send(big)
        with Backend(serve) as up, Driver(*chain("name=* mode=tcp cluster=up"), up=up, rules=()) as d, connect(d) as c:
            c.send(big) # the backend takes all of it first; one TLS object is not for two threads
            self.assertEqual(c.exactly(len(big)), big)
            self.assertEqual(c.sock.recv(1), b"")

    def test_an_end_that_was_not_announced_is_not_announced(self):
        def serve(p, _n):
            p.until(b"\n")
            p.send(b"half an ans")
            os.close(p.sock.detach())
        with TlsBackend(serve) as up:
            clusters = {"up": f"127.0.0.1:{up.port};tls_ca={pki('ca.crt')}"}
            with Driver(*chain("name=* mode=tcp cluster=up"), clusters=clusters, rules=()) as d:
                context = client()
                context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
                sock = socket.create_connection(("127.0.0.1", d.port))
                sock.settimeout(DEADLINE)
                with Peer(context.wrap_socket(sock, server_hostname="a.example.com", suppress_ragged_eofs=False)) as c:
                    c.send(b"go\n")
                    self.assertEqual(c.exactly(11), b"half an ans")
                    with self.assertRaises(ssl.SSLEOFError):
                        c.sock.recv(1)

    def test_a_rule_without_endpoints_closes_without_an_alert(self):
        with Driver("--tls", "name=* mode=passthrough cluster=none", clusters={"none": ""}, rules=()) as d:
            with self.assertRaises((ssl.SSLEOFError, ConnectionError)):
                connect(d)


if __name__ == "__main__":
    unittest.main()
