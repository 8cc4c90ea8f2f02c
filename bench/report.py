#!/usr/bin/env python3
"""Tables in Markdown from one or more results files: report.py results.json [more.json ...]"""
import json
import statistics
import sys

BASE = "haproxy28"  # the peer that ratios refer to


def load(paths):
    out = {"versions": {}, "conform": {}, "speed": [], "start": [], "revoke": [], "physics": [], "duel": [], "machine": {}, "left_out": {}}
    for p in paths:
        with open(p) as f:
            d = json.load(f)
        for k, v in d.items():
            if isinstance(v, list):
                out[k] += v
            else:
                out[k].update(v)
    # Runs that shared the machine with much else are left out, and that is said.
    quiet = [r for r in out["speed"] if r.get("max", {}).get("foreign_cores", 0) <= 0.15]
    out["disturbed"] = len(out["speed"]) - len(quiet)
    out["speed"] = quiet
    for r in out["speed"]:
        if r.get("fixed", {}).get("foreign_cores", 0) > 0.15:
            del r["fixed"]
    return out


def mid(values, digits=1):
    """`median (min–max)`"""
    v = [x for x in values if x is not None]
    if not v:
        return "–"
    f = "{:,.%df}" % digits
    m = f.format(statistics.median(v))
    return m if len(v) == 1 else f"{m} ({f.format(min(v))}–{f.format(max(v))})"


def med(values):
    v = [x for x in values if x is not None]
    return statistics.median(v) if v else None


def per_request_us(m):
    """Gateway CPU per request in µs (equal to CPU-seconds per 100k requests, times ten)."""
    return m["cpu_s"][0] / m["done"] * 1e6 if m and m["done"] else None


def table(head, rows):
    if not rows:
        return
    print("| " + " | ".join(head) + " |")
    print("|" + "|".join([" --- "] + [" ---: "] * (len(head) - 1)) + "|")
    for r in rows:
        print("| " + " | ".join(str(x) for x in r) + " |")
    print()


def runs(d, peer, mode, n=None):
    return [r for r in d["speed"] if r["peer"] == peer and r["mode"] == mode and (n is None or r["n"] == n) and "max" in r]


def clean(m):
    return m["ok"] and not (m["c401"] or m["c4xx"] or m["c5xx"] or m["errors"])


def speed_table(d, mode, n, base_cpu):
    rows = []
    names = sorted({r["peer"] for r in d["speed"] if r["mode"] == mode and (n is None or r["n"] == n)})
    for p in names:
        rs = runs(d, p, mode, n)
        bad = [r for r in d["speed"] if r["peer"] == p and r["mode"] == mode and (n is None or r["n"] == n) and "error" in r]
        if not rs:
            rows.append((9e9, [p, "failed: " + bad[0]["error"][:60]] + [""] * 7))
            continue
        mx = [r["max"] for r in rs]
        fx = [r["fixed"] for r in rs if "fixed" in r]
        cpu = med([per_request_us(m) for m in mx])
        flag = "" if all(clean(m) for m in mx) else " (!)"
        rows.append((cpu or 0, [
            p + flag, mid([m["rps"] for m in mx], 0), mid([m["cores"][0]["busy"] * 100 for m in mx], 0),
            mid([per_request_us(m) for m in mx], 2), f"{cpu / base_cpu:.2f}" if cpu and base_cpu else "–",
            mid([per_request_us(f) for f in fx], 1), mid([f["p50_us"] for f in fx], 0), mid([f["p99_us"] for f in fx], 0),
            mid([f["p999_us"] for f in fx], 0)]))
    table(["peer", "max req/s", "gateway core busy %", "CPU µs/req at max", f"× {BASE}", "CPU µs/req at 2,000/s", "p50 µs", "p99 µs", "p99.9 µs"],
          [r for _, r in sorted(rows, key=lambda x: x[0])])


def duels(d):
    spread = lambda v: f"{statistics.median(v):.2f} ({statistics.quantiles(v, n=4)[0]:.2f}–{statistics.quantiles(v, n=4)[2]:.2f})"
    over = lambda r, other: spread([a / b for a, b in zip(r["us"], other["us"])]) if other and other is not r else "–"
    for duel in d["duel"]:
        print(f"### CPU per call, side by side: {len(duel[0]['us'])} short turns each\n")
        first = duel[0]
        named = {(r["peer"], r["mode"], r["n"]): r for r in duel}
        rows = []
        for r in duel:
            plain = next((x for x in duel if x["peer"] == r["peer"] and x["mode"] == "plain"), None)
            rows.append([r["peer"], r["mode"], f"{r['n']:,}", spread(r["us"]), over(r, first), over(r, plain),
                         over(r, named.get((r["peer"], r["mode"], 10000)) if r["n"] > 10000 else None)])
        head = ["peer", "mode", "keys", "CPU µs per call", f"× {first['peer']} {first['mode']} {first['n']:,}", "× own plain", "× own at 10,000"]
        table(head, rows)
        print("Median (quartiles) over the turns; ratios are taken within each turn.\n")


def starts(d):
    """Memory per key from the difference between the smallest and the largest set."""
    counts = sorted({r["n"] for r in d["start"]})
    rows = []
    for p, way in sorted({(r["peer"], r["way"]) for r in d["start"]}):
        of = lambda n: [r for r in d["start"] if (r["peer"], r["way"], r["n"]) == (p, way, n) and "ready_s" in r]
        pss = {n: med([r["memory_ready"]["pss_mib"] for r in of(n)]) for n in counts}
        low, high = counts[0], counts[-1]
        per = f"{(pss[high] - pss[low]) * 1048576 / (high - low):,.0f}" if high > low and pss[low] and pss[high] else "–"
        rows.append([f"{p} ({way})" if way else p] + [f"{pss[n]:,.1f}" if pss[n] else "–" for n in counts] + [per]
                    + [mid([r["ready_s"] for r in of(n)], 2) for n in counts])
    if rows:
        print("### Memory, and start to the first right answer\n")
        table(["peer"] + [f"PSS MiB, {n:,}" for n in counts] + ["bytes per key"] + [f"ready s, {n:,}" for n in counts], rows)


def main():
    d = load(sys.argv[1:])
    cpu = lambda p, mode, n=None: med([per_request_us(r["max"]) for r in runs(d, p, mode, n)])
    counts = sorted({r["n"] for r in d["speed"] if r["mode"] == "auth"})
    lim = sorted({r["n"] for r in d["speed"] if r["mode"] == "limit"})
    peers = sorted({r["peer"] for r in d["speed"]})

    m = d["machine"]
    print(f"{m.get('cpu')}, {m.get('cores')} cores, {m.get('memory_gib')} GiB, {m.get('os')}, Linux {m.get('kernel')}\n")

    if d["disturbed"]:
        print(f"{d['disturbed']} speed runs are left out: other work took more than 0.15 cores meanwhile.\n")
    duels(d)
    if runs(d, BASE, "plain") or any(r["mode"] == "plain" for r in d["speed"]):
        print("### Plain proxy (no key check)\n")
        speed_table(d, "plain", None, cpu(BASE, "plain"))
    for n in counts:
        print(f"### Key check, {n:,} keys\n")
        speed_table(d, "auth", n, cpu(BASE, "auth", n))
    for n in lim:
        print(f"### Key check and per-key limit, {n:,} keys\n")
        speed_table(d, "limit", n, cpu(BASE, "limit", n))

    rows = []
    n = 10000
    for p in peers:
        a, b, c, big = cpu(p, "plain"), cpu(p, "auth", n), cpu(p, "limit", n), cpu(p, "auth", 1000000)
        if not (a or b):
            continue
        f = lambda x: f"{x:.2f}" if x else "–"
        pct = lambda x, y: f"{(x / y - 1) * 100:+.0f} %" if x and y else "–"
        rows.append([p, f(a), f(b), f(c), f(big), pct(b, a), pct(c, b), pct(big, b)])
    if rows:
        print("### What the key check and the limit add (gateway CPU per request, medians)\n")
        table(["peer", "plain µs", "auth µs (10k)", "auth+limit µs (10k)", "auth µs (1M)", "auth / plain", "limit / auth", "1M / 10k keys"], rows)

    starts(d)
    if counts:
        print("### Memory and time to ready of the speed runs\n")
    rows = []
    for p in peers:
        mem = {k: med([r["memory_ready"]["pss_mib"] for r in runs(d, p, "auth", k)]) for k in counts}
        rdy = {k: [r["ready_s"] for r in runs(d, p, "auth", k)] for k in counts}
        if not any(mem.values()):
            continue
        small, big = mem.get(10000), mem.get(1000000)
        per = f"{(big - mem.get(1, 0)) * 1048576 / 999999:,.0f}" if big and mem.get(1) else (
            f"{(small - mem.get(1, 0)) * 1048576 / 9999:,.0f} (10k)" if small and mem.get(1) else "–")
        rows.append([p] + [f"{mem[k]:,.0f}" if mem[k] else "–" for k in counts] + [per] + [mid(rdy[k], 2) for k in counts])
    if rows:
        table(["peer"] + [f"PSS MiB, {k:,}" for k in counts] + ["bytes per key"] + [f"ready s, {k:,}" for k in counts], rows)

    if d["revoke"]:
        print("### Revocation: from the command until the last accepted request\n")
    rows = []
    for n in sorted({r["n"] for r in d["revoke"]}):
        for p in sorted({r["peer"] for r in d["revoke"]}):
            for how in sorted({r["how"] for r in d["revoke"] if r["peer"] == p}):
                rs = [r for r in d["revoke"] if (r["peer"], r["how"], r["n"]) == (p, how, n)]
                if not rs:
                    continue
                good = [r for r in rs if r.get("effective")]
                err = next((r["error"] for r in rs if "error" in r), "never took effect" if not good else "")
                rows.append([f"{p}: {how}", f"{n:,}", mid([r["first_refused_ms"] for r in good], 1), mid([r["command_ms"] for r in good], 1),
                             mid([r["other_worst_us"] / 1000 for r in good], 1), mid([r["cpu_s"] for r in good], 2),
                             sum(r["bad"] + r["lost"] for r in good), err[:50]])
    table(["how", "keys", "first refused, ms", "command returns, ms", "longest stall of other traffic, ms", "CPU s", "broken requests", "note"], rows)

    rows = []
    for k in d["physics"][0]["micro"] if d["physics"] else []:
        rows.append([k, mid([r["micro"][k] for r in d["physics"]], 1)])
    for where in ("one_cpu", "two_cpus") if d["physics"] else ():
        for k in ("trips_per_s", "p50_us", "p99_us"):
            rows.append([f"pingpong {where} {k}", mid([r["pingpong_" + where][k] for r in d["physics"]], 1)])
    if rows:
        print("### Physical limits\n")
        table(["what", "median (min–max)"], rows)

    if d["conform"]:
        print("### Does it do the job\n")
    rows = []
    for p, c in sorted(d["conform"].items()):
        rows.append([p, c.get("valid"), c.get("unknown"), c.get("missing"), c.get("near_miss"), c.get("case_folded"),
                     c.get("key_hidden"), c.get("consumer_named"), str(c.get("limit_20_per_s", "no limiter")).replace("'", ""), c.get("error", "")[:40]])
    table(["peer", "valid", "unknown", "missing", "one letter off", "other case", "key hidden", "consumer named", "100 quick requests at 20/s", "error"], rows)

    print("### Versions\n")
    for p, v in sorted(d["versions"].items()):
        print(f"- {p}: {v}")
    for p, why in sorted(d["left_out"].items()):
        print(f"- {p}: not measured, not installed ({why})")


if __name__ == "__main__":
    main()
