"""Certificates as objects: what a Secret does to the Gateway that names it, and what becomes of it when it breaks."""
import base64
import http.client
import json
import socket
import ssl

import pytest

import gh
from pki import ca, context, pem, secret_yaml

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: https, port: {port}, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: pair}]}}
  - {name: other, port: {port}, protocol: HTTPS, hostname: "*.example.com", tls: {certificateRefs: [{name: wild}]}}
"""


def files():
    return {"gateway.yaml": GATEWAY, "pair.yaml": secret_yaml("pair", "rsa"),
            "wild.yaml": secret_yaml("wild")}


def listeners(status):
    """{listener: {type: condition}} of the Gateway."""
    for o in status["objects"]:
        if o["kind"] == "Gateway" and o.get("status"):
            return {x["name"]: {c["type"]: c for c in x["conditions"]} for x in o["status"]["listeners"]}
    return {}


def is_(status, listener, kind, value):
    return listeners(status).get(listener, {}).get(kind, {}).get("status") == value


def findings(status, name):
    """About the Secret, but for who can read its file: that is the test's doing."""
    return [d["message"] for d in status["diagnostics"] if d["kind"] == "Secret" and d["name"] == name and d["code"] != "WorldReadable"]


def test_a_mismatched_pair_leaves_the_old_one_serving_and_the_status_says_why():
    with gh.Gateway(files()) as g:
        g.wait_status(lambda s: is_(s, "https", "Programmed", "True") and is_(s, "other", "Programmed", "True"))
        g.write("pair.yaml", secret_yaml("pair", "rsa", "b"))
        s = g.wait_status(lambda s: findings(s, "pair"))
        words = "the private key does not belong to the certificate"
        assert any(words in m for m in findings(s, "pair")), findings(s, "pair")
        assert any("last good version" in m for m in findings(s, "pair")), findings(s, "pair")
        resolved = listeners(s)["https"]["ResolvedRefs"]
        assert resolved["status"] == "True" and words in resolved["message"], resolved
        assert is_(s, "https", "Programmed", "True")
        # A restart knows the old pair, too: it is in the state.
        assert g.stop() == 0
        g.start()
        s = g.wait_status(lambda s: listeners(s))
        assert is_(s, "https", "Programmed", "True") and any(words in m for m in findings(s, "pair"))
        g.write("pair.yaml", secret_yaml("pair", "ecdsa"))
        s = g.wait_status(lambda s: not findings(s, "pair"))
        assert words not in listeners(s)["https"]["ResolvedRefs"]["message"]


def test_a_secret_that_appears_and_goes_opens_and_closes_its_listener_alone():
    with gh.Gateway({k: v for k, v in files().items() if k != "pair.yaml"}) as g:
        s = g.wait_status(lambda s: is_(s, "other", "Programmed", "True"))
        assert listeners(s)["https"]["ResolvedRefs"]["reason"] == "InvalidCertificateRef"
        assert is_(s, "https", "Programmed", "False") and is_(s, "https", "Accepted", "True")
        g.write("pair.yaml", files()["pair.yaml"])
        g.wait_status(lambda s: is_(s, "https", "Programmed", "True"))
        g.remove("pair.yaml")
        s = g.wait_status(lambda s: is_(s, "https", "Programmed", "False"))
        assert is_(s, "other", "Programmed", "True")


def test_no_private_key_is_in_what_the_gateway_says():
    key = pem("rsa.key").decode().split("\n")[2]
    with gh.Gateway(files()) as g:
        g.wait_status(lambda s: is_(s, "https", "Programmed", "True"))
        for path in ("/status", "/metrics"):
            assert key not in g.admin(path)[1].decode()
        for command in (["get", "secret", "pair", "-o", "yaml"], ["status"], ["certs"]):
            said = g.ctl(*command, "--run-dir", g.run, check=False)
            assert key not in said.stdout + said.stderr
            assert base64.b64encode(pem("rsa.key")).decode()[100:200] not in said.stdout + said.stderr
        assert key not in g.log()


# ---- with real handshakes ----

SERVED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  tls:
    frontend:
      default: {}
      perPort: [{port: {port2}, tls: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}}]
  listeners:
  - {name: a, port: {port}, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: pair}, {name: ecdsa}]}}
  - {name: wild, port: {port}, protocol: HTTPS, hostname: "*.example.com", tls: {certificateRefs: [{name: wild}]}}
  - {name: bad, port: {port}, protocol: HTTPS, hostname: bad.example.com, tls: {certificateRefs: [{name: nobody}]}}
  - {name: asks, port: {port2}, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: everywhere, namespace: default}
spec:
  parentRefs: [{name: edge}]
  rules: [{matches: [{path: {value: /x}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /y}}}]}]
"""


def served():
    return {**files(), "gateway.yaml": SERVED, "ca.yaml": json.dumps(ca()), "ecdsa.yaml": secret_yaml("ecdsa")}


def shake(port, name, **kw):
    s = socket.create_connection(("127.0.0.1", port), timeout=gh.DEADLINE)
    return context(**kw).wrap_socket(s, server_hostname=name)


def ask(port, name, host=None, path="/x", **kw):
    """The status of one request whose Host is `host` on a connection for `name`."""
    c = http.client.HTTPConnection(name)
    c.sock = shake(port, name, **kw)
    c.request("GET", path, headers={"Host": host or name})
    with c.sock:
        r = c.getresponse()
        r.read()
        return r.status, r.getheader("location")


def test_the_server_name_chooses_the_listener_and_a_stranger_on_it_is_misdirected():
    with gh.Gateway(served()) as g:
        assert ask(g.port, "a.example.com") == (302, f"https://a.example.com:{g.port}/y")
        assert ask(g.port, "w.example.com")[0] == 302
        assert ask(g.port, "a.example.com", path="/other")[0] == 404
        assert ask(g.port, "w.example.com", host="a.example.com")[0] == 421  # another listener's
        assert ask(g.port, "a.example.com", host="w.example.com")[0] == 421
        assert ask(g.port, "a.example.com", host="a.example.org")[0] == 404  # nobody's
        for name in ("bad.example.com", "example.org"):  # neither in plain text, nor by another listener
            with pytest.raises((ssl.SSLError, OSError)):
                shake(g.port, name)


def test_of_two_certificates_of_a_name_the_one_that_the_client_can_verify_is_shown():
    with gh.Gateway(served()) as g:
        for ciphers, name in (("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"), ("ECDHE-RSA-AES128-GCM-SHA256", "rsa")):
            with shake(g.port, "a.example.com", ciphers=ciphers) as s:
                assert s.getpeercert(True) == ssl.PEM_cert_to_DER_cert(pem(name).decode())


def test_who_has_no_valid_client_certificate_gets_no_answer_at_all():
    with gh.Gateway(served()) as g:
        assert ask(g.port2, "a.example.com", client="client")[0] == 302
        for client in (None, "expired"):
            with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
                ask(g.port2, "a.example.com", client=client)


def test_a_new_certificate_is_for_new_connections_and_a_broken_one_for_none():
    with gh.Gateway(served()) as g:
        old, new = (ssl.PEM_cert_to_DER_cert(pem(n).decode()) for n in ("wild", "rsa"))
        kept = http.client.HTTPConnection("w.example.com")
        kept.sock = shake(g.port, "w.example.com")

        def shown():
            c = context()
            c.check_hostname = False  # the other certificate is for another name
            with c.wrap_socket(socket.create_connection(("127.0.0.1", g.port), timeout=gh.DEADLINE),
                               server_hostname="w.example.com") as s:
                return s.getpeercert(True)

        assert shown() == old
        g.write("wild.yaml", secret_yaml("wild", "wild", "rsa"))
        g.wait_status(lambda s: findings(s, "wild"))
        assert shown() == old
        change = g.status()["change"]
        g.write("wild.yaml", secret_yaml("wild", "rsa"))
        g.wait_status(lambda s: s["change"] > change and not findings(s, "wild"))
        assert shown() == new
        kept.request("GET", "/x", headers={"Host": "w.example.com"})
        with kept.sock:
            assert kept.getresponse().status == 302
