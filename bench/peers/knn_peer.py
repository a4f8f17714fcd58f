"""Exact and quantised scans beside us. See protocol.py; inner product over unit rows.

load     base, queries: files of f32 rows; width; rows: of `base` to use; k
run      calls, batch: that many calls of so many queries each, the first ones of `queries`
answers  calls, batch: {"ids": k ids a query}; other fields are for ours, a peer is of one kind
"""
import sys

import protocol

if __name__ == "__main__":
    protocol.use_threads(sys.argv[2])

import numpy as np


class Faiss:
    """`factory` makes an index from a width; `code` turns f32 rows into what the index takes."""

    def __init__(self, factory, setting, code=lambda rows: rows):
        self.factory, self.setting, self.code = factory, setting, code

    def load(self, base, queries, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        self.index = self.factory(faiss, base.shape[1])
        base = self.code(base)
        if not self.index.is_trained:
            self.index.train(base)
        self.index.add(base)
        self.queries = self.code(queries)
        return f"faiss-cpu {faiss.__version__}"

    def search(self, start, count, k):
        return self.index.search(self.queries[start:start + count], k)[1]


class Usearch:
    def __init__(self, metric, setting, code=lambda rows, _: rows):
        self.metric, self.setting, self.code = metric, setting, code

    def load(self, base, queries, threads):
        import usearch
        from usearch.index import MetricKind, search

        largest = np.abs(base).max()
        self.base, self.queries = self.code(base, largest), self.code(queries, largest)
        metric = getattr(MetricKind, self.metric)
        self.one = lambda rows, k: search(self.base, rows, k, metric, exact=True, threads=threads).keys
        return f"usearch {usearch.__version__}"

    def search(self, start, count, k):
        return self.one(self.queries[start:start + count], k).reshape(count, k)


class Numpy:
    setting = "matmul, argpartition"

    def load(self, base, queries, _threads):
        self.base, self.queries = base, queries
        return f"numpy {np.__version__}"

    def search(self, start, count, k):
        scores = -(self.queries[start:start + count] @ self.base.T)
        return np.argpartition(scores, k, axis=1)[:, :k]


def codes(rows, largest):
    """i8 with one step for all rows, as usearch's users do it: the index has no quantiser of its own for this."""
    return np.clip(np.rint(rows * (127 / largest)), -127, 127).astype(np.int8)


def signs(rows, _largest=None):
    return np.packbits(rows > 0, axis=1)


def scalar(faiss, width, kind):
    return faiss.IndexScalarQuantizer(width, getattr(faiss.ScalarQuantizer, kind), faiss.METRIC_INNER_PRODUCT)


ENGINES = {
    "faiss-flat": Faiss(lambda faiss, width: faiss.IndexFlatIP(width), "IndexFlatIP"),
    "faiss-sq8": Faiss(lambda faiss, width: scalar(faiss, width, "QT_8bit"), "QT_8bit"),
    "faiss-sq8-uniform": Faiss(lambda faiss, width: scalar(faiss, width, "QT_8bit_uniform"), "QT_8bit_uniform"),
    "faiss-binary": Faiss(lambda faiss, width: faiss.IndexBinaryFlat(width), "IndexBinaryFlat", signs),
    "usearch-f32": Usearch("IP", "exact, f32"),
    "usearch-i8": Usearch("Cos", "exact, i8", codes),
    "usearch-b1": Usearch("Hamming", "exact, 1 bit", signs),
    "numpy": Numpy(),
}


def main(name, threads):
    engine, state = ENGINES[name], {}

    def load(base, queries, width, rows, k):
        base, queries = protocol.rows(base, width, rows), protocol.rows(queries, width)
        state.update(k=k, queries=len(queries))
        return dict(version=engine.load(base, queries, threads), setting=engine.setting)

    def search(calls, batch, **_ours):
        last = state["queries"] - batch
        return [engine.search(min(call * batch, last), batch, state["k"]) for call in range(calls)]

    def answers(**case):
        return dict(ids=np.concatenate(search(**case)).tolist())

    protocol.serve(dict(load=load, run=lambda **case: protocol.timed(lambda: search(**case)), answers=answers))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
