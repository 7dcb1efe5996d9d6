#!/usr/bin/env python3
"""make_ocsp - writes ocsp_sample.h: responses of a responder for a certificate, for ocsp_test and the fuzzer.

Run by hand, seldom: keys are new each time. The clock of the tests stands at 1800000000 (2027-01-15).
"""
import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.utcfromtimestamp(1800000000)
HOUR = datetime.timedelta(hours=1)


def make(cn, serial, key, ca=None):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    b = x509.CertificateBuilder().subject_name(name).issuer_name(ca[0].subject if ca else name).public_key(key.public_key())
    b = b.serial_number(serial).not_valid_before(NOW - 24 * HOUR).not_valid_after(NOW + 24000 * HOUR)
    return b.sign(ca[1] if ca else key, hashes.SHA256())


keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]
ca = make("CA", 1, keys[0]), keys[0]
other = make("other CA", 1, keys[1]), keys[1]
leaf, neighbour, namesake = make("a", 4660, keys[2], ca), make("b", 4661, keys[3], ca), make("a", 4660, keys[3], other)


def response(cert=leaf, issuer=ca, status=ocsp.OCSPCertStatus.GOOD, since=-HOUR, until=HOUR, algorithm=None,
             how=ocsp.OCSPResponderEncoding.HASH):
    revoked = status == ocsp.OCSPCertStatus.REVOKED
    b = ocsp.OCSPResponseBuilder().add_response(cert, issuer[0], algorithm or hashes.SHA256(), status, NOW + since, None if until is None else NOW + until,
                                                NOW - HOUR if revoked else None, None).responder_id(how, issuer[0])
    return b.sign(issuer[1], hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def c(name, data):
    rows = [", ".join(f"0x{x:02x}" for x in data[i:i + 20]) for i in range(0, len(data), 20)]
    return f"static const unsigned char {name}[] = {{\n    " + ",\n    ".join(rows) + "};\n"


parts = {
    "OCSP_LEAF": leaf.public_bytes(serialization.Encoding.DER), "OCSP_GOOD": response(),
    "OCSP_GOOD_SHA1": response(algorithm=hashes.SHA1(), how=ocsp.OCSPResponderEncoding.NAME),
    "OCSP_GOOD_SHA384": response(algorithm=hashes.SHA384()), "OCSP_ENDLESS": response(until=None),
    "OCSP_EXPIRED": response(since=-2 * HOUR, until=datetime.timedelta(0)), "OCSP_FUTURE": response(since=HOUR, until=2 * HOUR),
    "OCSP_REVOKED": response(status=ocsp.OCSPCertStatus.REVOKED), "OCSP_UNKNOWN": response(status=ocsp.OCSPCertStatus.UNKNOWN),
    "OCSP_NEIGHBOUR": response(neighbour), "OCSP_NAMESAKE": response(namesake, other),
    "OCSP_ERROR": ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(serialization.Encoding.DER),
}
head = "/* made by make_ocsp.py */\n#ifndef GH_TEST_OCSP_SAMPLE_H\n#define GH_TEST_OCSP_SAMPLE_H\n"
path = pathlib.Path(__file__).resolve().parent / "ocsp_sample.h"
path.write_text(head + "".join(c(k, v) for k, v in parts.items()) + "#endif\n")
