"""Quantisers beside us, and the copy they are held against. See protocol.py.

load     base: file of f32 rows; width; rows: of `base` to use
run      all rows from f32 to codes in memory that is already mapped
answers  count: {"rows": the first `count` rows, encoded and decoded, "code_bytes": of one row}
"""
import sys
from concurrent.futures import ThreadPoolExecutor

import protocol

if __name__ == "__main__":
    protocol.use_threads(sys.argv[2])

import numpy as np


class Faiss:
    def __init__(self, kind):
        self.setting = kind

    def load(self, base, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        kind = getattr(faiss.ScalarQuantizer, self.setting)
        self.quantiser = faiss.ScalarQuantizer(base.shape[1], kind)
        self.quantiser.train(base)
        self.codes = np.zeros((len(base), self.quantiser.code_size), np.uint8)
        self.pointers = faiss.swig_ptr(base), faiss.swig_ptr(self.codes), len(base)
        self.base = base
        return f"faiss-cpu {faiss.__version__}"

    def encode(self):
        self.quantiser.compute_codes_c(*self.pointers)

    def decoded(self, count):
        return self.quantiser.decode(self.codes[:count])


class Numpy:
    """One step for all rows, in the fewest passes numpy offers."""

    setting = "multiply, rint, cast"

    def load(self, base, _threads):
        self.base, self.step = base, np.abs(base).max() / 127
        self.scaled, self.codes = np.zeros_like(base), np.zeros(base.shape, np.int8)
        return f"numpy {np.__version__}"

    def encode(self):
        np.multiply(self.base, 1 / self.step, out=self.scaled)
        np.rint(self.scaled, out=self.scaled)
        np.copyto(self.codes, self.scaled, casting="unsafe")

    def decoded(self, count):
        return self.codes[:count] * self.step


class Copy:
    """memcpy of the f32 rows, a share to each thread: as many bytes as a quantiser reads."""

    setting = "copyto, rows shared out; writes four times a codec's bytes"

    def load(self, base, threads):
        self.base, self.codes = base, np.zeros_like(base)
        shares = zip(np.array_split(self.codes, threads), np.array_split(base, threads))
        self.shares, self.pool = list(shares), ThreadPoolExecutor(threads)
        return f"numpy {np.__version__}"

    def encode(self):
        # numpy lets go of the interpreter while it copies.
        list(self.pool.map(lambda share: np.copyto(*share), self.shares))

    def decoded(self, count):
        return self.codes[:count]


ENGINES = {
    "faiss-sq8": Faiss("QT_8bit"),
    "faiss-sq8-uniform": Faiss("QT_8bit_uniform"),
    "faiss-sq4": Faiss("QT_4bit"),
    "numpy": Numpy(),
    "memcpy": Copy(),
}


def main(name, threads):
    engine = ENGINES[name]

    def load(base, width, rows):
        version = engine.load(protocol.rows(base, width, rows), threads)
        engine.encode()
        return dict(version=version, setting=engine.setting)

    def answers(count, **_ours):
        engine.encode()
        return dict(rows=engine.decoded(count).tolist(), code_bytes=engine.codes[0].nbytes)

    protocol.serve(dict(load=load, run=lambda **_: protocol.timed(engine.encode), answers=answers))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
