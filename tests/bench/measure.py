"""measure.py - what a process tree and the machine did: CPU time, memory, system calls, strangers.

CPU time comes from the scheduler's nanoseconds (/proc/PID/task/*/schedstat), not from ticks of 10 ms. Memory is PSS, so that
what processes share counts once. System calls are counted by `perf stat` where the machine has it.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def _fields(path):
    """Fields of /proc/PID/stat behind the name, which may have blanks in it."""
    return pathlib.Path(path).read_text().rsplit(")", 1)[1].split()


def tree(*pids):
    """These processes and their descendants."""
    children, found = {}, list(pids)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                children.setdefault(int(_fields(f"/proc/{entry}/stat")[1]), []).append(int(entry))
    for p in found:
        found.extend(children.get(p, []))
    return found


def cpu_seconds(*pids):
    """User and system time of the trees, children that ended included."""
    total = 0.0
    for p in tree(*pids):
        with contextlib.suppress(OSError, IndexError):
            for task in os.listdir(f"/proc/{p}/task"):
                with contextlib.suppress(OSError):
                    total += int(pathlib.Path(f"/proc/{p}/task/{task}/schedstat").read_text().split()[0]) / 1e9
            fields = _fields(f"/proc/{p}/stat")
            total += (int(fields[13]) + int(fields[14])) / TICK
    return total


def pss_kib(*pids):
    total = 0
    for p in tree(*pids):
        with contextlib.suppress(OSError, TypeError):
            text = pathlib.Path(f"/proc/{p}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
    return total


def machine():
    """(busy, stolen) seconds of all processors since the machine started."""
    v = [int(x) / TICK for x in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return v[0] + v[1] + v[2] + v[5] + v[6], v[7]


class Strangers:
    """Processors that others used while a round ran: programs that are not ours, and the host."""

    def __init__(self):
        self.before = self._now()

    @staticmethod
    def _now():
        # All that this bench started is below it: what it waited for (loads) is in its children's time.
        return time.monotonic(), *machine(), cpu_seconds(os.getpid())

    def seen(self):
        """(others, stolen), in processors."""
        t0, busy0, stolen0, ours0 = self.before
        t1, busy1, stolen1, ours1 = self._now()
        wall = max(t1 - t0, 1e-3)
        return max(0.0, (busy1 - busy0) - (ours1 - ours0)) / wall, (stolen1 - stolen0) / wall


class Syscalls:
    """Counts system calls of process trees while the context is open; `count` stays None where perf can't."""

    def __init__(self, *pids):
        self.pids, self.count, self.perf = pids, None, None

    def __enter__(self):
        if shutil.which("perf"):
            self.perf = subprocess.Popen(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p",
                                          ",".join(map(str, tree(*self.pids)))], stderr=subprocess.PIPE,
                                         stdout=subprocess.DEVNULL, text=True)
            time.sleep(0.15)  # perf says nothing when it begins to count
        return self

    def __exit__(self, *_):
        if not self.perf:
            return
        self.perf.send_signal(signal.SIGINT)
        _, text = self.perf.communicate()
        m = re.search(r"^(\d+),", text, re.M)
        self.count = int(m[1]) if m else None
