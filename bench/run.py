#!/usr/bin/env python3
"""Measures API-key gateways side by side. See README.md."""
import argparse
import copy
import json
import os
import signal
import statistics
import subprocess
import sys
import time

from harness import keys, phases
from harness.peer import GWBENCH, HOME, Peer, names
from harness.proc import Group, Lock, require_groups, spawn


def options():
    p = argparse.ArgumentParser(description=__doc__)
    near = HOME
    p.add_argument("--peers", default="all", help="comma-separated folder names under peers/, or all; one that is not installed is left out with a note")
    p.add_argument("--keys", default="1,10000,1000000", help="key counts")
    p.add_argument("--modes", default="plain,auth,limit")
    p.add_argument("--limit-keys", default="10000", help="key counts for mode limit")
    p.add_argument("--phases", default="conform,speed,start,revoke,physics")
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--first-rep", type=int, default=0)
    p.add_argument("--inner", default="peer", choices=["peer", "mode"], help="what changes fastest: peers (to rank them) or modes (to compare one peer's modes)")
    p.add_argument("--conns", type=int, default=64)
    p.add_argument("--secs", type=float, default=3)
    p.add_argument("--warm", type=float, default=1)
    p.add_argument("--rate", type=float, default=2000)
    p.add_argument("--lat-secs", type=float, default=5, help="0: no latency run")
    p.add_argument("--arrivals", default="poisson", choices=["poisson", "constant"])
    p.add_argument("--duel", default="", help="for phase duel: PEER:MODE:KEYS,... run side by side in short turns; the first is the yardstick")
    p.add_argument("--rounds", type=int, default=12, help="turns in a duel")
    p.add_argument("--start-keys", default="1,10000,1000000", help="key counts for phase start")
    p.add_argument("--revoke-keys", default="10000,1000000")
    p.add_argument("--revoke-secs", type=float, default=60)
    p.add_argument("--gateway-cpus", default="0")
    p.add_argument("--load-cpus", default="1", help="load generator and upstream")
    p.add_argument("--workers", type=int, default=1, help="worker threads or processes of the gateway")
    p.add_argument("--upstream-port", type=int, default=9001)
    p.add_argument("--port", type=int, default=9100)
    p.add_argument("--aux-port", type=int, default=9110, help="admin, Redis or verifier of a peer")
    p.add_argument("--keys-dir", default=near + "/keys")
    p.add_argument("--work-dir", default=near + "/work")
    p.add_argument("--bin-dir", default=near + "/bin")
    p.add_argument("--cache-dir", default=os.path.join(near, "work", "cache"), help="what peers prepare once and copy for each start")
    p.add_argument("--lock", help="a lock file to hold while measuring")
    p.add_argument("--lock-hold", type=float, default=200, help="give the lock up after this many seconds")
    p.add_argument("--out", default="results.json")
    c = p.parse_args()
    c.gateway_cpus = {int(x) for x in c.gateway_cpus.split(",")}
    c.load_cpus = {int(x) for x in c.load_cpus.split(",")}
    return c


def numbers(text):
    return [int(x) for x in text.split(",") if x]


class Results:
    """A JSON file rewritten after every measurement, so a broken run keeps what it had."""

    def __init__(self, path):
        self.path = path
        self.data = {"machine": {}, "versions": {}, "conform": {}, "speed": [], "start": [], "revoke": [], "physics": [], "duel": [], "left_out": {}}
        if os.path.exists(path):
            with open(path) as f:
                self.data.update(json.load(f))

    def save(self):
        with open(self.path + ".new", "w") as f:
            json.dump(self.data, f, indent=1)
        os.replace(self.path + ".new", self.path)


def machine():
    def sh(c):
        return subprocess.run(c, shell=True, capture_output=True, text=True).stdout.strip()
    return {"cpu": sh("lscpu | sed -n 's/^Model name: *//p'"), "cores": os.cpu_count(), "kernel": os.uname().release,
            "memory_gib": int(sh("awk '/MemTotal/{print $2}' /proc/meminfo")) // (1 << 20), "os": sh(". /etc/os-release; echo $PRETTY_NAME")}


def cases(c, peers):
    """(mode, key count, peer), with the peers or the modes as the inner loop."""
    for_mode = {"plain": [0], "auth": numbers(c.keys), "limit": numbers(c.limit_keys)}
    kinds = [(m, n) for m in c.modes.split(",") for n in for_mode[m]]
    pairs = [(k, p) for k in kinds for p in peers] if c.inner == "peer" else [(k, p) for p in peers for k in kinds]
    for (mode, n), p in pairs:
        trivial = mode == "auth" and n == 1 and p.kind == "baseline"
        if mode in p.spec["modes"] and n <= p.spec.get("max_keys", 10**9) and not trivial:
            yield mode, n, p


def brief(r):
    if "error" in r:
        return r["error"]
    m, f = r["max"], r.get("fixed", {})
    return (f"{m['rps']:8.0f}/s {m['cpu_s'][0] / max(m['done'], 1) * 1e6:8.2f} us/req busy {m['cores'][0]['busy']:.2f} {m['cores'][1]['busy']:.2f} "
            f"ok {m['ok']} 4xx {m['c4xx']} 5xx {m['c5xx']} err {m['errors']} foreign {m['foreign_cores']} tries {m['attempts']} "
            f"p50 {f.get('p50_us')} p99 {f.get('p99_us')} ready {r['ready_s']} s rss {r['memory_loaded']['rss_mib']} MiB")


def main():
    c = options()
    wanted = names() if c.peers == "all" else c.peers.split(",")
    todo = c.phases.split(",")
    res = Results(c.out)
    res.data["machine"] = machine()
    peers = []
    for p in (Peer(n, c) for n in wanted):
        missing = p.missing()
        if missing:
            print(f"left out: {p.name}: {missing}", flush=True)
            res.data["left_out"][p.name] = missing
        else:
            peers.append(p)
    if not peers:
        sys.exit("no peer is installed")
    require_groups()
    for n in {1, *numbers(c.keys), *numbers(c.limit_keys), *numbers(c.start_keys), *numbers(c.revoke_keys)}:
        keys.ensure(c.keys_dir, n)
    up_group = Group("upstream")
    c.upstream_meter = up_group.meter
    up = spawn([GWBENCH, "up", "--port", str(c.upstream_port)], c.load_cpus, up_group)
    time.sleep(0.3)
    if up.poll() is not None:
        sys.exit(f"no upstream: is port {c.upstream_port} in use?")
    lock = Lock(c.lock, c.lock_hold)
    t0 = time.monotonic()

    def say(*a):
        print(f"[{time.monotonic() - t0:6.0f}s]", *a, flush=True)

    # A polite end stops the peer and the upstream too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for p in peers:
            if p.name not in res.data["versions"]:
                res.data["versions"][p.name] = p.version()
        if "conform" in todo:
            for p in peers:
                if p.kind == "baseline":
                    continue
                with lock:
                    try:
                        r = phases.conform(p, 1000)
                    except RuntimeError as e:
                        r = {"error": str(e)}
                res.data["conform"][p.name] = r
                res.save()
                say("conform", p.name, r)
        if "physics" in todo:
            for rep in range(c.reps):
                with lock:
                    r = {"micro": phases.gwbench(c, "micro")}
                    for label, a, b in (("two_cpus", 0, 1), ("one_cpu", 0, 0)):
                        r["pingpong_" + label] = phases.gwbench(c, "pingpong", "--cpu-a", str(a), "--cpu-b", str(b))
                res.data["physics"].append(r)
                res.save()
                say("physics", r)
        if "speed" in todo:
            for rep in range(c.first_rep, c.first_rep + c.reps):
                for mode, n, p in cases(c, peers if rep % 2 == 0 else peers[::-1]):
                    with lock:
                        r = phases.speed(p, mode, n, rep, c)
                    res.data["speed"].append(r)
                    res.save()
                    say(f"rep {rep} {mode:5} n={n:<8} {p.name:20}", brief(r))
        if "start" in todo:
            for rep in range(c.reps):
                for n in numbers(c.start_keys):
                    for p in peers if rep % 2 == 0 else peers[::-1]:
                        if "auth" not in p.spec["modes"] or n > p.spec.get("max_keys", 10**9):
                            continue
                        for way in p.spec.get("starts", [""]):
                            with lock:
                                r = phases.start(p, n, way, rep)
                            res.data["start"].append(r)
                            res.save()
                            say("start", r)
        if "duel" in todo:
            specs = [(a, b, int(n)) for a, b, n in (x.split(":") for x in c.duel.split(","))]
            here = {p.name for p in peers}
            specs = [x for x in specs if x[0] in here]
            if not specs:
                sys.exit("none of the duel's peers is there")
            sides = []
            for i, (name, _, _) in enumerate(specs):
                own = copy.copy(c)
                own.port, own.aux_port, own.work_dir = c.port + 20 * i, c.port + 20 * i + 10, f"{c.work_dir}/duel-{i}"
                sides.append(Peer(name, own))
            rows = []
            with lock:
                phases.duel(sides, specs, c.rounds, c, rows)
            res.data["duel"].append(rows)
            res.save()
            for r in rows:
                ratio = statistics.median(a / b for a, b in zip(r["us"], rows[0]["us"]))
                say(f"duel {r['peer']:18} {r['mode']:6} {r['n']:8} {statistics.median(r['us']):8.2f} us/req  x{ratio:.3f} of {rows[0]['peer']}:{rows[0]['mode']}")
        if "revoke" in todo:
            for rep in range(c.first_rep, c.first_rep + c.reps):
                for n in numbers(c.revoke_keys):
                    for p in peers if rep % 2 == 0 else peers[::-1]:
                        for step in p.spec.get("revoke", []):
                            if n > p.spec.get("max_keys", 10**9):
                                continue
                            with lock:
                                r = phases.revoke(p, step, n, rep, c)
                            res.data["revoke"].append(r)
                            res.save()
                            say("revoke", {k: x for k, x in r.items() if k != "memory_after"})
    finally:
        lock.release()
        up_group.end()
        up.wait()
    res.save()


if __name__ == "__main__":
    sys.exit(main())
