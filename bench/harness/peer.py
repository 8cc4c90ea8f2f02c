"""A peer: a folder with `peer.json` and an executable `start` (and perhaps `stop`)."""
import json
import os
import shutil
import socket
import subprocess
import time

from . import keys
from .proc import Group, spawn

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(HOME, "peers")
GWBENCH = os.environ.get("GWBENCH") or os.path.join(HOME, "gwbench", "target", "release", "gwbench")


def names() -> list:
    return sorted(d for d in os.listdir(PEERS) if os.path.exists(os.path.join(PEERS, d, "peer.json")))


class Peer:
    def __init__(self, name: str, cfg):
        # a name with a slash is a folder anywhere: a project brings its own peer that way
        self.dir = os.path.abspath(name) if os.sep in name else os.path.join(PEERS, name)
        self.name, self.cfg = os.path.basename(self.dir), cfg
        with open(os.path.join(self.dir, "peer.json")) as f:
            self.spec = json.load(f)
        self.kind = self.spec["kind"]
        self.port = cfg.upstream_port if self.spec.get("port") == "upstream" else cfg.port
        self.group = self.process = None
        self.way = ""

    def missing(self) -> str:
        """What must be installed before this peer can run, or nothing."""
        need = self.spec.get("needs")
        if not need:
            return ""
        r = subprocess.run(["bash", "-c", need["check"]], capture_output=True, env=self.env("plain", 1, 1))
        return need["else"] if r.returncode else ""

    def version(self) -> str:
        r = subprocess.run(["bash", "-c", self.spec.get("version", "echo ?")], capture_output=True, text=True, env=self.env("plain", 1, 1))
        return " ".join((r.stdout + r.stderr).split())

    def env(self, mode, n, limit) -> dict:
        c = self.cfg
        return dict(os.environ, GW_HOME=HOME, GW_PEERS=PEERS, GW_MODE=mode, GW_N=str(n), GW_LIMIT=str(limit),
                    GW_PORT=str(c.port), GW_AUX=str(c.aux_port), GW_UP=str(c.upstream_port), GW_WORKERS=str(c.workers),
                    GW_WORK=self.work, GW_KEYS=keys.ensure(c.keys_dir, max(n, 1)),
                    GW_BIN=c.bin_dir, GW_CACHE=c.cache_dir, GW_START=self.way)

    @property
    def work(self):
        return os.path.join(self.cfg.work_dir, self.name)

    # -- life
    def start(self, mode: str, n: int, limit: int, timeout: float = 300.0) -> float:
        """Starts and waits for the first right answer; returns the seconds that took."""
        self.mode, self.n, self.limit = mode, n, limit
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        env = self.env(mode, n, limit)
        self.keys_path = env["GW_KEYS"]
        # What is no part of a start, such as filling a store, is done before the clock runs.
        prepare = os.path.join(self.dir, "prepare")
        if os.path.exists(prepare):
            with open(os.path.join(self.work, "prepare.log"), "w") as log:
                if subprocess.run([prepare], env=env, stdout=log, stderr=log, timeout=900).returncode:
                    raise RuntimeError(f"{self.name} could not be prepared, see {self.work}/prepare.log")
        self.group = Group(f"{self.name}-{self.cfg.port}")
        log = open(os.path.join(self.work, "output.log"), "w")
        t0 = time.monotonic()
        self.process = spawn([os.path.join(self.dir, "start")], self.cfg.gateway_cpus, self.group, env=env, stdout=log, stderr=log)
        last = keys.entry(self.keys_path, max(n, 1) - 1)["key"]
        while True:
            status = self.ask(last, timeout=30.0)[0]
            if status == 200:
                return time.monotonic() - t0
            if self.process.poll() is not None and not self.group.pids():
                raise RuntimeError(f"{self.name} ended at start, see {self.work}/output.log")
            if time.monotonic() - t0 > timeout:
                raise RuntimeError(f"{self.name} not ready after {timeout:.0f} s (last status {status})")
            time.sleep(0.01)

    def stop(self):
        script = os.path.join(self.dir, "stop")
        if os.path.exists(script) and self.group:
            subprocess.run([script], env=self.env(self.mode, self.n, self.limit), timeout=20)
        if self.group:
            self.group.end()
        if self.process:
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        self.group = self.process = None

    # -- requests
    def key_text(self, key: str) -> str:
        s = self.spec.get("split", 0)
        return self.spec.get("prefix", "") + (key[:s] + ":" + key[s:] if s else key)

    def request(self, key, path="/v1/items?page=2") -> bytes:
        """The request a client would send with this key (None: without one)."""
        host = "Host: api.example.test\r\nUser-Agent: gwbench/0.1\r\nAccept: */*\r\n"
        if "post" in self.spec:
            body = self.spec["post"]["json"].replace("@", key or "")
            return (f"POST {self.spec['post']['path']} HTTP/1.1\r\n{host}Content-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        line = "" if key is None or self.mode == "plain" else f"{self.spec.get('header', 'X-Api-Key')}: {self.key_text(key)}\r\n"
        return f"GET {path} HTTP/1.1\r\n{host}{line}\r\n".encode()

    def ask(self, key, timeout=5.0) -> tuple:
        """One request on a new connection: (status, whole answer); a verification's no counts as 401."""
        return ask(self.port, self.request(key), timeout)

    def load_args(self) -> list:
        """How gwbench must address this peer."""
        a = ["--port", str(self.port)]
        if self.mode != "plain":
            a += ["--keys", self.keys_path, "--header", self.spec.get("header", "X-Api-Key"),
                  "--prefix", self.spec.get("prefix", ""), "--split", str(self.spec.get("split", 0))]
        if "post" in self.spec:
            a += ["--path", self.spec["post"]["path"], "--post-json", self.spec["post"]["json"]]
        return a


def ask(port, raw: bytes, timeout=5.0) -> tuple:
    data = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as s:
            s.settimeout(timeout)
            s.sendall(raw)
            while True:
                got = s.recv(65536)
                data += got
                head, sep, body = data.partition(b"\r\n\r\n")
                if sep:
                    low = head.lower()
                    at = low.find(b"content-length:")
                    if at >= 0 and len(body) >= int(low[at + 15:].split(b"\r\n")[0]):
                        break
                    if b"chunked" in low and body.endswith(b"0\r\n\r\n") or at < 0 and b"chunked" not in low:
                        break
                if not got:
                    break
    except OSError:
        pass
    status = int(data[9:12]) if data[9:12].isdigit() else 0
    if status == 200 and b'"valid":false' in data:
        status = 429 if b"RATE_LIMITED" in data else 401
    return status, data
