"""What the peers share: one engine, one process, one JSON object a line on stdin and on stdout.

usage: X_peer.py ENGINE THREADS

request                        answer
{"op": "load", ...}            {"version", "setting"}    data and parameters are in place
{"op": "run", ...}             {"seconds"}               one case was done once
{"op": "answers", ...}         {...}                     what the same case answers, for the bench to check

The fields beside `op` are each peer's own and stand at its top. Vectors travel as files of little-endian f32 rows.
"""
import json
import os
import sys
import time


def use_threads(count):
    """Must be called before numpy and the engines are imported: their pools are made then."""
    for name in ("OMP", "OPENBLAS", "MKL", "RAYON"):
        os.environ[f"{name}_NUM_THREADS"] = str(count)


def timed(work):
    start = time.perf_counter()
    work()
    return dict(seconds=time.perf_counter() - start)


def serve(operations):
    """Answers requests until stdin ends. `operations` maps an `op` to a function of the request's other fields."""
    answers, sys.stdout = sys.stdout, sys.stderr  # Libraries print; only answers may reach the bench.
    for line in sys.stdin:
        request = json.loads(line)
        answer = operations[request.pop("op")](**request)
        print(json.dumps(answer), file=answers, flush=True)


def rows(path, width, count=None):
    """The first `count` rows of a file of f32."""
    import numpy as np

    found = np.fromfile(path, "<f4", -1 if count is None else count * width)
    return found.reshape(-1, width)
