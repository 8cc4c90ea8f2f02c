"""Starting a peer inside its own CPU-accounting group, reading its memory, and ending it."""
import fcntl
import os
import signal
import subprocess
import sys
import time

V1 = "/sys/fs/cgroup/cpuacct"
V2 = "/sys/fs/cgroup"


class Group:
    """One cgroup (v1 cpuacct, or v2) that holds every process a peer starts."""

    def __init__(self, name: str):
        base = V1 if os.path.isdir(V1) else V2
        self.path = os.path.join(base, f"gwbench-{os.getpid()}-{name}")
        os.makedirs(self.path, exist_ok=True)
        self.meter = os.path.join(self.path, "cpuacct.usage" if base == V1 else "cpu.stat")

    def join(self):
        with open(os.path.join(self.path, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))

    def pids(self) -> list:
        try:
            with open(os.path.join(self.path, "cgroup.procs")) as f:
                return [int(x) for x in f.read().split()]
        except OSError:
            return []

    def cpu_s(self) -> float:
        with open(self.meter) as f:
            text = f.read()
        if text.startswith("usage_usec"):
            return int(text.split()[1]) / 1e6
        return int(text) / 1e9

    def memory(self) -> dict:
        """Summed over the group, in MiB: RSS counts shared pages in each process, PSS once."""
        rss = pss = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    for line in f:
                        if line.startswith("Rss:"):
                            rss += int(line.split()[1])
                        elif line.startswith("Pss:"):
                            pss += int(line.split()[1])
            except OSError:
                pass
        return {"rss_mib": round(rss / 1024, 2), "pss_mib": round(pss / 1024, 2), "processes": len(self.pids())}

    def end(self):
        for sig, wait in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + wait
            while self.pids() and time.monotonic() < deadline:
                for pid in self.pids():
                    try:
                        os.kill(pid, sig)
                    except ProcessLookupError:
                        pass
                time.sleep(0.05)
        try:
            os.rmdir(self.path)
        except OSError:
            pass


def require_groups():
    """Ends with what to do if CPU time can't be counted by group."""
    base = V1 if os.path.isdir(V1) else V2
    try:
        Group("probe").end()
    except OSError as e:
        sys.exit(f"no control groups: {base} is not writable ({e.strerror}). Run as root, or give this user a delegated "
                 "group (`systemd-run --user --scope -p Delegate=yes`); in a container mount cgroups writable.")


def spawn(cmd, cpus, group=None, **kw):
    def setup():
        os.setsid()
        os.sched_setaffinity(0, cpus)
        if group:
            group.join()
    return subprocess.Popen(cmd, preexec_fn=setup, stdin=subprocess.DEVNULL, **kw)


class Lock:
    """An optional machine-wide lock, given up now and then so that others get a turn."""

    def __init__(self, path, hold_s):
        self.path, self.hold_s, self.file, self.since = path, hold_s, None, 0.0

    def __enter__(self):
        if self.path and self.file is None:
            self.file = open(self.path, "a")
            fcntl.flock(self.file, fcntl.LOCK_EX)
            self.since = time.monotonic()
        return self

    def __exit__(self, *exc):
        if self.file and (exc[0] or time.monotonic() - self.since > self.hold_s):
            self.release()

    def release(self):
        if self.file:
            self.file.close()
            self.file = None
            time.sleep(1.5)
