#!/usr/bin/env python3
"""make_pki.py - writes pki.h: the certificates of the TLS tests, valid from 2020 to 2119 (needs python3-cryptography).

    python3 tests/unit/shared/tls/make_pki.py > tests/unit/shared/tls/pki.h
"""
import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

BEGIN = datetime.datetime(2020, 1, 1)
END = datetime.datetime(2119, 1, 1)
PAST = datetime.datetime(2020, 6, 1)
SHA = hashes.SHA256()


def name(cn, org=None):
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, org)] if org else []
    return x509.Name(parts + [x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def usage(**on):
    every = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                           "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**{**every, **on})


def make(subject, key, issuer, issuer_key, serial, ca=False, san=(), end=END):
    b = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
         .serial_number(serial).not_valid_before(BEGIN).not_valid_after(end)
         .add_extension(x509.BasicConstraints(ca, None), critical=True)
         .add_extension(usage(key_cert_sign=True, crl_sign=True) if ca else usage(digital_signature=True), critical=True)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))
    if san:
        b = b.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return b.sign(issuer_key, SHA)


def pem(thing):
    if hasattr(thing, "private_bytes"):
        return thing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
    return thing.public_bytes(serialization.Encoding.PEM)


def put_text(word, about, data):
    print(f"/* {about} */\nstatic const char {word}[] =")
    print("\n".join(f'    "{line}\\n"' for line in data.decode().splitlines()) + ";\n")


def put_bytes(word, about, data):
    print(f"/* {about} */\nstatic const unsigned char {word}[] = {{")
    for i in range(0, len(data), 24):
        print("    " + " ".join(f"{b}," for b in data[i:i + 24]))
    print("};\n")


def main():
    new = lambda: ec.generate_private_key(ec.SECP256R1())
    root_key, mid_key, server_key, client_key = new(), new(), new(), new()
    rsa_key = rsa.generate_private_key(65537, 2048)
    root_name, mid_name = name("Test Root", "gatehouse tests"), name("Test Intermediate", "gatehouse tests")
    root = make(root_name, root_key, root_name, root_key, 1, ca=True)
    mid = make(mid_name, mid_key, root_name, root_key, 2, ca=True)
    other_key = new()
    other_name = name("Other Root", "gatehouse tests")
    other = make(other_name, other_key, other_name, other_key, 1, ca=True)
    dns, uri = x509.DNSName, x509.UniformResourceIdentifier
    server = make(name("shop.example.com"), server_key, mid_name, mid_key, 16, san=[
        dns("shop.example.com"), dns("*.wild.example.com"), x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        uri("spiffe://example.com/ns/shop/sa/front")])
    server_rsa = make(name("shop.example.com"), rsa_key, mid_name, mid_key, 17, san=[dns("shop.example.com")])
    client = make(name("client", "gatehouse tests"), client_key, mid_name, mid_key, 18, san=[
        uri("spiffe://example.com/ns/shop/sa/client"), dns("client.example.com")])
    expired = make(name("expired"), client_key, mid_name, mid_key, 19, san=[dns("client.example.com")], end=PAST)
    revoked = make(name("revoked"), client_key, mid_name, mid_key, 20, san=[dns("client.example.com")])
    crl = (x509.CertificateRevocationListBuilder().issuer_name(mid_name).last_update(BEGIN).next_update(END)
           .add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(20).revocation_date(PAST).build())
           .sign(mid_key, SHA))
    staple = (ocsp.OCSPResponseBuilder()
              .add_response(server, mid, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD, BEGIN, END, None, None)
              .responder_id(ocsp.OCSPResponderEncoding.HASH, mid).sign(mid_key, SHA))

    print(f"/* Written by {pathlib.Path(__file__).name}; keys and certificates for tests only. */\n#ifndef TEST_PKI_H\n"
          "#define TEST_PKI_H\n")
    put_text("PKI_ROOT", "the root", pem(root))
    put_text("PKI_OTHER_ROOT", "a root that signed nothing here", pem(other))
    put_text("PKI_MID", "signed by the root, signs all leaves", pem(mid))
    put_text("PKI_SERVER", "ECDSA P-256: shop.example.com, *.wild.example.com, 192.0.2.7, a SPIFFE id; and the chain",
             pem(server) + pem(mid))
    put_text("PKI_SERVER_KEY", "its key", pem(server_key))
    put_text("PKI_SERVER_RSA", "RSA 2048: shop.example.com; and the chain", pem(server_rsa) + pem(mid))
    put_text("PKI_SERVER_RSA_KEY", "its key", pem(rsa_key))
    put_text("PKI_CLIENT", "a client: SPIFFE id and client.example.com; and the chain", pem(client) + pem(mid))
    put_text("PKI_CLIENT_KEY", "the key of the three clients", pem(client_key))
    put_text("PKI_EXPIRED", "a client whose certificate ended in 2020", pem(expired) + pem(mid))
    put_text("PKI_REVOKED", "a client whose certificate is on the list", pem(revoked) + pem(mid))
    put_text("PKI_CRL", "the list of the intermediate", pem(crl))
    put_bytes("PKI_STAPLE", "OCSP: the server's certificate is good", staple.public_bytes(serialization.Encoding.DER))
    print("#endif")


main()
