"""HNSW indexes beside us. See protocol.py; inner product over unit rows.

load     base, queries: files of f32 rows; width; rows: of `base` to use; k; m; ef_construction
run      what = "build": the graph from nothing; what = "search": ef, calls: all queries in one call, that many times
answers  what = "search", ef: {"ids": k ids a query}; what = "build": {"rows": in the index}
"""
import sys

import protocol

if __name__ == "__main__":
    protocol.use_threads(sys.argv[2])

import numpy as np


class Hnswlib:
    setting = "ip, f32"

    def build(self, base, m, ef_construction, threads):
        import hnswlib
        from importlib.metadata import version

        self.version = f"hnswlib {version('hnswlib')}"
        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), ef_construction=ef_construction, M=m, random_seed=1)
        self.index.add_items(base, num_threads=threads)
        self.threads = threads

    def search(self, queries, k, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k, num_threads=self.threads)[0]

    def rows(self):
        return self.index.get_current_count()


class Faiss:
    setting = "IndexHNSWFlat, inner product"

    def build(self, base, m, ef_construction, threads):
        import faiss

        self.version = f"faiss-cpu {faiss.__version__}"
        faiss.omp_set_num_threads(threads)
        self.index = faiss.IndexHNSWFlat(base.shape[1], m, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = ef_construction
        self.index.add(base)

    def search(self, queries, k, ef):
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, k)[1]

    def rows(self):
        return self.index.ntotal


class Usearch:
    def __init__(self, dtype):
        self.dtype, self.setting = dtype, f"ip, {dtype}"

    def build(self, base, m, ef_construction, threads):
        import usearch
        from usearch.index import Index

        self.version = f"usearch {usearch.__version__}"
        self.index = Index(
            ndim=base.shape[1], metric="ip", dtype=self.dtype, connectivity=m, expansion_add=ef_construction)
        self.index.add(np.arange(len(base)), base, threads=threads)
        self.threads = threads

    def search(self, queries, k, ef):
        self.index.expansion_search = ef
        return self.index.search(queries, k, threads=self.threads).keys

    def rows(self):
        return len(self.index)


ENGINES = {
    "hnswlib": Hnswlib(), "faiss-hnsw": Faiss(), "usearch-hnsw": Usearch("f32"), "usearch-hnsw-i8": Usearch("i8")}
TRIAL_ROWS = 100


def main(name, threads):
    engine, state = ENGINES[name], {}

    def load(base, queries, width, rows, k, m, ef_construction):
        state.update(base=protocol.rows(base, width, rows), queries=protocol.rows(queries, width), k=k)
        state.update(graph=dict(m=m, ef_construction=ef_construction, threads=threads))
        # Imports the engine and starts its threads, neither of which is building.
        engine.build(state["base"][:TRIAL_ROWS], **state["graph"])
        return dict(version=engine.version, setting=f"{engine.setting}, M {m}, efConstruction {ef_construction}")

    def run(what, ef=None, calls=1, **_ours):
        if what == "build":
            return protocol.timed(lambda: engine.build(state["base"], **state["graph"]))
        return protocol.timed(lambda: [engine.search(state["queries"], state["k"], ef) for _ in range(calls)])

    def answers(what, ef=None, **_ours):
        if what == "build":
            return dict(rows=engine.rows())
        return dict(ids=engine.search(state["queries"], state["k"], ef).tolist())

    protocol.serve(dict(load=load, run=run, answers=answers))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
