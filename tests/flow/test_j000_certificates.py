"""Certificates as objects: what a Secret does to the Gateway that names it, and what becomes of it when it breaks."""
import base64
import json
import pathlib

import gh

CERTS = gh.TOP / "tests/certs"

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


def pem(name):
    return (CERTS / (name + ".pem")).read_bytes()


def secret(name, cert, key, kind="kubernetes.io/tls"):
    data = {"tls.crt": base64.b64encode(cert).decode(), "tls.key": base64.b64encode(key).decode()}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name}, "data": data})


def files():
    return {"gateway.yaml": GATEWAY, "pair.yaml": secret("pair", pem("rsa"), pem("rsa.key")),
            "wild.yaml": secret("wild", pem("wild"), pem("wild.key"))}


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
        g.write("pair.yaml", secret("pair", pem("rsa"), pem("b.key")))
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
        g.write("pair.yaml", secret("pair", pem("ecdsa"), pem("ecdsa.key")))
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
