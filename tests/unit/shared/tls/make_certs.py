#!/usr/bin/env python3
"""make_certs.py - writes test_certs.h: certificates and keys for tests, valid from 2020 to 2120 unless they say otherwise.

Run by hand when another one is needed (python3-cryptography); the tests read the result only.
"""
import datetime as dt, ipaddress, os, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, ed25519
from cryptography.x509.oid import NameOID, ExtendedKeyUsageOID

FROM, TO = dt.datetime(2020, 1, 1), dt.datetime(2120, 1, 1)
pems = {}

def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "gatehouse, test"),
                      x509.NameAttribute(NameOID.COMMON_NAME, cn)])

def make(what, cn, key, issuer=None, sans=(), ca=False, start=FROM, end=TO, usage=None):
    issuer_name, issuer_key = (issuer[0].subject, issuer[1]) if issuer else (name(cn), key)
    b = (x509.CertificateBuilder().subject_name(name(cn)).issuer_name(issuer_name).public_key(key.public_key())
         .serial_number(int.from_bytes(what.encode()[:12].rjust(12, b"\1"), "big")).not_valid_before(start).not_valid_after(end)
         .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))
    if ca:
        b = b.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
    if usage:
        b = b.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if sans:
        b = b.add_extension(x509.SubjectAlternativeName(list(sans)), critical=False)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    cert = b.sign(issuer_key, algorithm)
    pems[what] = cert.public_bytes(serialization.Encoding.PEM).decode()
    pems[what + "_KEY"] = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return cert, key

p256 = lambda: ec.generate_private_key(ec.SECP256R1())
dns, uri, ip = x509.DNSName, x509.UniformResourceIdentifier, lambda t: x509.IPAddress(ipaddress.ip_address(t))
SERVER, CLIENT = [ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.CLIENT_AUTH]
ca = make("CA", "test CA", p256(), ca=True)
other = make("OTHER_CA", "another CA", p256(), ca=True)
middle = make("MIDDLE", "between", p256(), issuer=ca, ca=True)
make("EC", "ignored.example.com", p256(), ca, [dns("a.example.com"), dns("*.wild.example.com"), ip("127.0.0.1"), ip("::1")], usage=SERVER)
make("RSA", "a.example.com", rsa.generate_private_key(65537, 2048), ca, [dns("a.example.com"), dns("b.example.com")], usage=SERVER)
make("P384", "a.example.com", ec.generate_private_key(ec.SECP384R1()), ca, [dns("a.example.com")], usage=SERVER)
chained = make("CHAINED", "c.example.com", p256(), middle, [dns("c.example.com")], usage=SERVER)
pems["CHAINED"] += pems["MIDDLE"]
make("EXPIRED", "a.example.com", p256(), ca, [dns("a.example.com")], end=dt.datetime(2021, 1, 1), usage=SERVER)
make("FUTURE", "a.example.com", p256(), ca, [dns("a.example.com")], start=dt.datetime(2119, 1, 1), usage=SERVER)
make("STRANGER", "a.example.com", p256(), other, [dns("a.example.com")], usage=SERVER)
make("SPIFFE", "workload", p256(), ca, [uri("spiffe://cluster.local/ns/default/sa/web"), dns("web.default.svc")])
client = make("CLIENT", "client one", p256(), ca, [dns("client.example.com"), uri("spiffe://cluster.local/ns/default/sa/one"), x509.RFC822Name("one@example.com")], usage=CLIENT)
revoked = make("REVOKED", "client two", p256(), ca, [dns("client.example.com")], usage=CLIENT)
make("CLIENT_OTHER", "client of another CA", p256(), other, [dns("client.example.com")], usage=CLIENT)
make("CLIENT_EXPIRED", "client of yesterday", p256(), ca, [dns("client.example.com")], end=dt.datetime(2021, 1, 1), usage=CLIENT)
crl = (x509.CertificateRevocationListBuilder().issuer_name(ca[0].subject).last_update(FROM).next_update(TO)
       .add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(revoked[0].serial_number).revocation_date(FROM).build())
       .sign(ca[1], hashes.SHA256()))
pems["CRL"] = crl.public_bytes(serialization.Encoding.PEM).decode()

out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_certs.h")
with open(out, "w") as f:
    f.write("/*\n * test_certs.h - certificates, keys and a revocation list for tests; written by make_certs.py, which says what each is.\n"
            " * Nothing outside the tests ever trusts any of them.\n */\n#ifndef GH_TEST_CERTS_H\n#define GH_TEST_CERTS_H\n")
    for what, text in pems.items():
        f.write(f"\n#define PEM_{what} \\\n" + " \\\n".join(f'    "{line}\\n"' for line in text.strip().split("\n")) + "\n")
    f.write("\n#endif\n")
