"""Certificates of tests/certs: as files, as Secrets and ConfigMaps, and as what a client trusts and shows."""
import base64
import json
import ssl

import gh

CERTS = gh.TOP / "tests/certs"


def pem(name):
    """"rsa" is the certificate, "rsa.key" its key."""
    return (CERTS / (name + ".pem")).read_bytes()


def secret(name, cert=None, key=None, kind="kubernetes.io/tls"):
    """A Secret of that name with the certificate `cert` and the key of `key`; without them those that are called like it."""
    cert = cert or name
    data = {"tls.crt": pem(cert), "tls.key": pem((key or cert) + ".key")}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name},
            "data": {k: base64.b64encode(v).decode() for k, v in data.items()}}


def secret_yaml(name, cert=None, key=None, **kw):
    return json.dumps(secret(name, cert, key, **kw))


def ca(name="ca"):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": pem(name).decode()}}


def context(client=None, alpn=(), ciphers=None, **kw):
    """Trusts tests/certs/ca.pem and shows the certificate `client`; `ciphers` are of TLS 1.2, `kw` attributes of the SSLContext."""
    c = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if client:
        c.load_cert_chain(CERTS / (client + ".pem"), CERTS / (client + ".key.pem"))
    if ciphers:
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        c.set_ciphers(ciphers)
    for k, v in kw.items():
        setattr(c, k, v)
    return c
