"""A worker that misbehaves, for tests of the master: test_g000_master.py starts it by `serve --worker`.

It speaks shared/ipc/ipc.h as far as it must: it becomes ready, takes the generation that is served when it starts, and
does at the next offer what `mode` says ("...-first": at the first one it hears of). It has no heartbeat, so the master
ends it after two seconds anyway.
"""
import os
import pathlib
import signal
import socket
import struct
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["NONE"] + [line.split("(")[1].split(",")[0] for line in (TOP / "shared/tbl/message.def").read_text().splitlines()
                    if line.startswith("X(")]
TYPE = {name: i for i, name in enumerate(NAMES)}
SPARE, ACTIVE, DRAINING = 2, 3, 4
REFUSED = -14


def say(link, name, payload, text=b""):
    link.send(struct.pack("<IHHI", 0x47485031, TYPE[name], len(payload), len(text)) + payload + text)


def main(mode):
    link = socket.socket(fileno=3)
    link.setblocking(True)
    offers = 0
    if mode == "rubbish":
        link.send(b"this is no message")
        time.sleep(30)
    if mode == "foreign":  # words of another role
        say(link, "REQUEST", struct.pack("<QII", 1, 2, 0))
        time.sleep(30)
    say(link, "STATE", struct.pack("<II", SPARE, 0))
    while True:
        packet, fds, _, _ = socket.recv_fds(link, 16384, 8)
        if not packet:
            return
        for fd in fds:
            os.close(fd)
        _, kind, size, _ = struct.unpack_from("<IHHI", packet)
        payload = packet[12:12 + size]
        name = NAMES[kind]
        if name == "SNAPSHOT":
            generation = struct.unpack_from("<Q", payload)[0]
            offers += 1
            if mode == "crash-first" or (offers > 1 and mode == "crash"):
                os.kill(os.getpid(), signal.SIGSEGV)
            if offers > 1 and mode == "hang":
                signal.pause()
            if offers > 1 and mode == "refuse":
                say(link, "ACK", struct.pack("<QiI", generation, REFUSED, 0), b"not to my taste")
            else:
                say(link, "ACK", struct.pack("<QiI", generation, 0, 0))
        elif name == "COMMIT":
            say(link, "ACTIVE", payload)
        elif name == "PROMOTE":
            say(link, "STATE", struct.pack("<II", ACTIVE, 0))
        elif name == "DRAIN":
            return
