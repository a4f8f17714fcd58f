"""ONNX Runtime beside us: one engine, one process, one JSON object a line on stdin and on stdout.

usage: ort_peer.py ENGINE THREADS DIR BATCH

ENGINE is ort-f32 or ort-int8, DIR what build_onnx.py wrote, BATCH a batch size or `auto`.

request                                  answer
{"op": "load", "texts": [...]}           {"tokens", "version", "setting"}    the corpus of the runs
{"op": "run"}                            {"seconds"}                         the whole corpus, text in, vectors out
{"op": "one", "text", "times"}           {"p50_ms"}                          one text alone
{"op": "embed", "texts": [...]}          {"vectors": [[...]]}

Texts are sorted by tokens and padded to the longest of their batch. `auto` tries every batch size of BATCHES on the
corpus (its first TRIAL_TEXTS) and keeps the fastest.
"""
import json
import os
import statistics
import sys
import time
from pathlib import Path

MAX_TOKENS, BATCHES, TRIAL_TEXTS = 256, (4, 8, 16, 32), 1000
FILES = {"ort-f32": "model.onnx", "ort-int8": "model_int8.onnx"}

if __name__ == "__main__":
    # Before numpy and the tokenizer start their threads.
    os.environ.update(OMP_NUM_THREADS=sys.argv[2], RAYON_NUM_THREADS=sys.argv[2], TOKENIZERS_PARALLELISM="true")

import numpy as np
import onnxruntime
import tokenizers


class Peer:
    def __init__(self, engine, threads, folder, batch="auto"):
        self.tokenizer = tokenizers.BertWordPieceTokenizer(str(Path(folder) / "vocab.txt"), lowercase=True)
        self.tokenizer.enable_truncation(MAX_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        path = str(Path(folder) / FILES[engine])
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.texts, self.batch = [], None if batch == "auto" else int(batch)

    def encode(self, texts, batch):
        """Unit vectors, one a text, in the order of the texts."""
        tokens = [e.ids for e in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda i: -len(tokens[i]))
        out = np.empty((len(texts), 384), np.float32)
        for start in range(0, len(texts), batch):
            rows = order[start:start + batch]
            ids = np.zeros((len(rows), len(tokens[rows[0]])), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(rows):
                ids[row, :len(tokens[i])] = tokens[i]
                mask[row, :len(tokens[i])] = 1
            hidden = self.session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            pooled = np.einsum("bsd,bs->bd", hidden, mask.astype(np.float32))
            out[rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return out

    def timed(self, texts, batch):
        start = time.perf_counter()
        self.encode(texts, batch)
        return time.perf_counter() - start

    def load(self, texts):
        self.texts = texts
        self.encode(texts[:TRIAL_TEXTS // 4], BATCHES[-1])
        if self.batch is None:
            trials = [{b: self.timed(texts[:TRIAL_TEXTS], b) for b in BATCHES} for _ in range(2)]
            self.batch = min(BATCHES, key=lambda b: min(t[b] for t in trials))
        version = f"onnxruntime {onnxruntime.__version__}, tokenizers {tokenizers.__version__}"
        count = sum(len(e.ids) for e in self.tokenizer.encode_batch(texts))
        return dict(tokens=count, version=version, setting=f"batch {self.batch}")

    def one(self, text, times):
        seconds = [self.timed([text], 1) for _ in range(times)]
        return dict(p50_ms=statistics.median(seconds[times // 5:]) * 1e3)

    def answer(self, request):
        match request["op"]:
            case "load":
                return self.load(request["texts"])
            case "run":
                return dict(seconds=self.timed(self.texts, self.batch))
            case "one":
                return self.one(request["text"], request["times"])
            case "embed":
                return dict(vectors=self.encode(request["texts"], self.batch or BATCHES[0]).tolist())


def main():
    peer = Peer(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
    for line in sys.stdin:
        print(json.dumps(peer.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
