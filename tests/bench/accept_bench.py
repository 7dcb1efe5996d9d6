#!/usr/bin/env python3
"""accept_bench.py - sharing one listening socket, or SO_REUSEPORT with one socket for each worker?

Two worker processes with a libuv-like level-triggered epoll loop accept connections, hold each for a moment, and are
counted. Three questions: how evenly do connections spread, what does a connection cost, and what happens to new
connections while one worker is stopped (SIGSTOP)? The answer decided how the master opens listeners; see HACKING.md.

  accept_bench.py [--connections N]
"""
import argparse
import os
import select
import signal
import socket
import struct
import time


def worker(listener, shared_counts, index, balance):
    """Accepts until told to end; counts in shared memory (one 8-byte slot for each worker)."""
    ep = select.epoll()
    listener.setblocking(False)
    ep.register(listener.fileno(), select.EPOLLIN)
    held, mine = {}, 0
    while True:
        for fd, _ in ep.poll():
            if fd == listener.fileno():
                if balance:  # a worker above the other yields a little, as net/listener.c does
                    counts = struct.unpack("qq", shared_counts[:16])
                    if counts[index] > counts[1 - index] + 4:
                        ep.modify(listener.fileno(), 0)
                        time.sleep(0.0005)
                        ep.modify(listener.fileno(), select.EPOLLIN)
                try:
                    c, _ = listener.accept()
                except BlockingIOError:
                    continue
                held[c.fileno()] = c
                mine += 1
                shared_counts[index * 8:index * 8 + 8] = struct.pack("q", mine)
                ep.register(c.fileno(), select.EPOLLIN)
            else:
                c = held[fd]
                data = c.recv(64)
                if data:
                    c.send(data)
                else:
                    ep.unregister(fd)
                    del held[fd]
                    c.close()


def run(mode, connections):
    import mmap
    counts = mmap.mmap(-1, 4096)
    first = socket.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if mode == "reuseport":
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind(("127.0.0.1", 0))
    first.listen(1024)
    address = first.getsockname()
    listeners = [first]
    if mode == "reuseport":
        second = socket.socket()
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.bind(address)
        second.listen(1024)
        listeners.append(second)
    else:
        listeners.append(first)
    pids = []
    for i in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                worker(listeners[i], counts, i, mode == "shared+balance")
            finally:
                os._exit(0)
        pids.append(pid)

    def cpu():
        return sum(int(open(f"/proc/{p}/schedstat").read().split()[0]) for p in pids) / 1e3

    def one(timeout=5.0):
        c = socket.create_connection(address, timeout=timeout)
        c.send(b"x")
        c.recv(8)
        return c
    before, held = cpu(), []
    for i in range(connections):
        held.append(one())
        if len(held) > 64:
            held.pop(0).close()
    cost = (cpu() - before) / connections
    spread = struct.unpack("qq", counts[:16])
    for c in held:
        c.close()
    os.kill(pids[0], signal.SIGSTOP)
    waits, lost = [], 0
    for _ in range(100):
        t = time.monotonic()
        try:
            one(timeout=1.0).close()
            waits.append(time.monotonic() - t)
        except TimeoutError:
            lost += 1
    for p in pids:
        os.kill(p, signal.SIGKILL)
        os.waitpid(p, 0)
    for s in set(listeners):
        s.close()
    print(f"{mode:16} spread {spread[0]:6}/{spread[1]:<6} ({abs(spread[0] - spread[1]) / sum(spread) * 100:4.1f} %)   "
          f"{cost:6.1f} us CPU/connection   one stopped: {lost} of 100 waited over 1 s, slowest other {max(waits or [0]) * 1e3:.1f} ms")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--connections", type=int, default=5000)
    args = p.parse_args()
    for mode in ("shared", "shared+balance", "reuseport"):
        run(mode, args.connections)


if __name__ == "__main__":
    main()
