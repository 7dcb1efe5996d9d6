"""What others' scanners find: testssl.sh and sslscan, of Debian, against a listener with the certificates of the tests."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree

from common import CERTS, gh, https_files, secret_yaml

# What the certificates of the tests are to blame for, not the server: a private authority, a century, no OCSP.
OF_THE_CERTIFICATE = re.compile(r"cert_|DNS_CAA|certificate_transparency|OCSP|intermediate_cert|HSTS|HPKP|banner_|security_headers|cookie|clock|overall_|engine_problem")
STRONG = re.compile(r"TLS_(AES|CHACHA)|ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM|CHACHA20)")


def testssl(port):
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "found.json")
        subprocess.run(["testssl", "--quiet", "--warnings", "off", "--color", "0", "--ip", "127.0.0.1", "--add-ca", str(CERTS / "ca.pem"),
                        "--jsonfile", out, f"a.example.com:{port}"], capture_output=True, timeout=1500, cwd=d, stdin=subprocess.DEVNULL)
        with open(out, encoding="utf-8") as f:
            return json.load(f)


def scan():
    missing = [p for p in ("testssl", "sslscan") if not shutil.which(p)]
    if missing:
        return dict(missing=missing)
    with gh.Upstream() as u:
        files = https_files(u)
        files["gateway.yaml"] = files["gateway.yaml"].replace("[{name: ecdsa}]", "[{name: ecdsa}, {name: rsa}]")
        with gh.Gateway({**files, "rsa.yaml": secret_yaml("rsa", "rsa")}) as g:
            found = [f for f in testssl(g.port)]
            xml_text = subprocess.run(["sslscan", "--xml=-", "--sni-name=a.example.com", f"127.0.0.1:{g.port}"], capture_output=True, timeout=300).stdout
    above = [f"{f['severity']} {f['id']}: {f['finding']}" for f in found if f["severity"] not in ("OK", "INFO", "DEBUG")]
    of_server = [a for a in above if not OF_THE_CERTIFICATE.match(a.split(" ", 1)[1])]
    tree = xml.etree.ElementTree.fromstring(xml_text)
    ciphers = [f"{c.get('sslversion')} {c.get('cipher')}" for c in tree.iter("cipher")]
    enabled = [f"{p.get('type').upper()}v{p.get('version')}" for p in tree.iter("protocol") if p.get("enabled") == "1"]
    return dict(testssl_checks=len(found), testssl_above_info=of_server, of_the_certificate=sorted(set(above) - set(of_server)),
                testssl_other={f["id"]: f["finding"] for f in found if f["id"] in ("cipher_order", "ALPN", "TLS_extensions", "TLS_session_ticket", "FS_ciphers", "fallback_SCSV",
                                                                          "secure_renego", "secure_client_renego", "BREACH", "PFS_ciphers")},
                sslscan_protocols=enabled, sslscan_ciphers=ciphers,
                sslscan_weak=[c for c in ciphers if not STRONG.search(c)], sslscan_other={x.tag: x.attrib for x in tree.iter() if x.tag in ("fallback", "renegotiation", "compression", "heartbleed")
                                                                                           and x.get("vulnerable", "0") != "0" or x.tag in ("fallback", "renegotiation", "compression")})


def scan_faults(r):
    if "missing" in r:
        return ["missing"]
    bad = ["testssl_above_info"] if r["testssl_above_info"] or r["testssl_checks"] < 50 else []
    return bad + (["sslscan_weak"] if r["sslscan_weak"] or not r["sslscan_ciphers"] or set(r["sslscan_protocols"]) != {"TLSv1.2", "TLSv1.3"} else [])
