"""The server of coding under load: twenty clients, and batches beside the direct call.

    python benchmarks/serving.py [SECONDS]

Twenty clients on the loopback ask for one text each, first 200 times a second in all,
where a late answer makes the next ones late, then again as soon as they have their
answer. Then batches of 5,000 different texts take turns with the same call to the
champion in this process, once with texts of a diary's line and once with texts as long
as an accident's description. The pilot is the demonstration's, its champion linear.
Clients and server share the machine. Takes about a minute.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["DO_NOT_TRACK"] = "true"

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd

from mlstats import model_store
from mlstats.method import predict_top
from mlstats.settings import Settings
from tests.production_example import appoint, office

CLIENTS, BATCH, TURNS, K = 20, 5_000, 7, 5


@contextmanager
def server(project: Path) -> Iterator[int]:
    """Run ``mlstats serve`` as a process and yield its port."""
    words = [sys.executable, "-m", "mlstats", "-q", "serve", "diaries"]
    process = subprocess.Popen(
        words,
        env={**os.environ, "MLSTATS_PROJECT": str(project)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = next(x for x in process.stdout if x.startswith("http://"))
        yield int(address.rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


def texts(project: Path, n: int, seed: int, lines: int = 1) -> list[dict[str, Any]]:
    """Return records whose texts are all different, of so many lines each."""
    frame = pd.read_csv(project / "data/products_2026-03.csv", dtype=str)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(frame), (n, lines))
    words = [" ".join(row) for row in frame["description"].to_numpy()[chosen]]
    pairs = zip(words, frame["shop_type"].to_numpy()[chosen[:, 0]], strict=True)
    return [
        {"text": f"{text} {seed * n + i}", "auxiliary": {"shop_type": shop}}
        for i, (text, shop) in enumerate(pairs)
    ]


def ask(client: http.client.HTTPConnection, address: str, body: bytes) -> bytes:
    client.request("POST", address, body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {content.decode()}")
    return content


def singles(port: int, project: Path, seconds: float, pace: float = 0.0) -> np.ndarray:
    """Return the seconds that each request took, of all clients.

    With a `pace`, the seconds between two requests of a client, a request's time counts
    from when it was due.
    """
    times: list[list[float]] = [[] for _ in range(CLIENTS)]
    end = time.perf_counter() + seconds

    def work(place: int) -> None:
        bodies = [json.dumps(r).encode() for r in texts(project, 500, place)]
        client = http.client.HTTPConnection("127.0.0.1", port)
        turn = 0
        first = time.perf_counter() + pace * place / CLIENTS
        while (began := time.perf_counter()) < end:
            if pace:
                began = first + turn * pace
                time.sleep(max(0.0, began - time.perf_counter()))
            ask(client, "/v1/code", bodies[turn % len(bodies)])
            times[place].append(time.perf_counter() - began)
            turn += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(CLIENTS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return np.concatenate(times)


def batches(
    port: int, project: Path, settings: Settings, digest: str, lines: int
) -> np.ndarray:
    """Return texts per second of the server and of the direct call, a row per turn."""
    method = model_store.load(digest, settings.confidential).method
    client = http.client.HTTPConnection("127.0.0.1", port)
    rows = []
    for turn in range(TURNS + 1):
        asked = texts(project, BATCH, 100 + turn, lines)
        shops = [r["auxiliary"]["shop_type"] for r in asked]
        columns = {"text": [r["text"] for r in asked], "shop_type": shops}
        body = json.dumps({"columns": columns, "k": K}).encode()
        flat = [{"text": r["text"], **r["auxiliary"]} for r in asked]
        frame = pd.DataFrame(flat)
        began = time.perf_counter()
        content = ask(client, "/v1/code/batch", body)
        served = time.perf_counter() - began
        began = time.perf_counter()
        codes, _ = predict_top(method, frame, K)
        direct = time.perf_counter() - began
        if json.loads(content)["candidates"] != codes.tolist():
            raise SystemExit("the server's codes are not the champion's")
        rows.append((BATCH / served, BATCH / direct))
    return np.array(rows[1:])  # the first turn warms up


def main(seconds: float) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        made = office(project)
        appoint(made.settings, made.linear, "production")
        with server(project) as port:
            singles(port, project, 2)
            told = {
                "200 a second": singles(port, project, seconds, CLIENTS / 200),
                "as fast as answered": singles(port, project, seconds),
            }
            both = {
                lines: batches(port, project, made.settings, made.linear, lines)
                for lines in (1, 8)
            }
    print(f"\n| {CLIENTS} clients | requests/s | median, ms | p99, ms | slowest, ms |")
    print("|---|---:|---:|---:|---:|")
    for name, took in told.items():
        shown = 1000 * np.quantile(took, [0.5, 0.99, 1])
        times = " | ".join(f"{one:.0f}" for one in shown)
        print(f"| {name} | {len(took) / seconds:,.0f} | {times} |")
    print()
    print(f"Batches of {BATCH:,} texts, {K} candidates each; median of {TURNS}:\n")
    print("| lines in a text | server, texts/s | champion itself | ratio | added, us |")
    print("|---:|---:|---:|---:|---:|")
    for lines, found in both.items():
        served, direct = np.median(found, axis=0)
        ratio = np.median(found[:, 0] / found[:, 1])
        added = 1e6 * np.median(1 / found[:, 0] - 1 / found[:, 1])
        print(
            f"| {lines} | {served:,.0f} | {direct:,.0f} | {ratio:.2f} | {added:.1f} |"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
