"""The key sets: N keys of 40 characters, each with a consumer name, the same on every run."""
import hashlib
import os
import random

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def ensure(folder: str, n: int) -> str:
    """The path of the file with n keys (`KEY CONSUMER` lines)."""
    path = os.path.join(folder, f"keys-{n}.txt")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        rng = random.Random(20240501 + n)
        with open(path + ".new", "w") as f:
            for i in range(n):
                key = "gk_live_" + "".join(rng.choices(ALPHABET, k=32))
                f.write(f"{key} c{i:07d}\n")
        os.replace(path + ".new", path)
    return path


def entry(path: str, index: int) -> dict:
    with open(path) as f:
        width = len(f.readline())
        f.seek(index * width)
        key, consumer = f.readline().split()
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"key": key, "consumer": consumer, "index": index, "sha256": digest, "SHA256": digest.upper()}
