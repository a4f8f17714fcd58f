"""MiniLM as ONNX files, written by hand from the official weights: model.onnx and model_int8.onnx.

usage: build_onnx.py MODEL_DIR OUT_DIR [REFERENCE_JSON]

MODEL_DIR holds model.safetensors and vocab.txt. The graph has the form torch's exporter gives, so that ONNX Runtime's
own optimiser finds the patterns it fuses. Its only liberty: the row of token type 0 is added to the positions.
REFERENCE_JSON has `items` of `text` and `embedding`; the f32 model must reproduce them, or it is not the real model.
"""
import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WIDTH, HEADS, LAYERS, EPSILON = 384, 12, 6, 1e-12
COSINE_MIN = 0.99999


def read_safetensors(path):
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != WEIGHTS_SHA256:
        sys.exit(f"{path}: SHA-256 is {found}, not that of the official weights")
    start = 8 + int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, t in json.loads(raw[8:start]).items():
        if name != "__metadata__" and t["dtype"] == "F32":
            a, b = t["data_offsets"]
            tensors[name] = np.frombuffer(raw[start + a:start + b], "<f4").reshape(t["shape"])
    return tensors


class Graph:
    """Collects nodes; every method returns the name of its result."""

    def __init__(self, tensors):
        self.tensors, self.nodes, self.constants = tensors, [], {}

    def constant(self, value, dtype=np.float32, name=None):
        value = np.asarray(value, dtype)
        name = name or f"c{value.dtype}_{value.ravel().tolist()}"
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def op(self, kind, *inputs, **attributes):
        out = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=out, **attributes))
        return out

    def weight(self, name, transposed=False):
        value = self.tensors[name]
        return self.constant(np.ascontiguousarray(value.T) if transposed else value, name=name)

    def linear(self, x, name):
        product = self.op("MatMul", x, self.weight(name + ".weight", transposed=True))
        return self.op("Add", self.weight(name + ".bias"), product)

    def layernorm(self, x, name):
        gain, bias = self.weight(name + ".weight"), self.weight(name + ".bias")
        return self.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=EPSILON)

    def heads(self, x, perm):
        shape = self.constant([0, 0, HEADS, WIDTH // HEADS], np.int64)
        return self.op("Transpose", self.op("Reshape", x, shape), perm=perm)

    def attention(self, x, mask, name):
        q = self.heads(self.linear(x, name + ".self.query"), [0, 2, 1, 3])
        k = self.heads(self.linear(x, name + ".self.key"), [0, 2, 3, 1])
        v = self.heads(self.linear(x, name + ".self.value"), [0, 2, 1, 3])
        scores = self.op("Div", self.op("MatMul", q, k), self.constant((WIDTH // HEADS) ** 0.5))
        weights = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        context = self.op("Transpose", self.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        context = self.op("Reshape", context, self.constant([0, 0, WIDTH], np.int64))
        y = self.op("Add", self.linear(context, name + ".output.dense"), x)
        return self.layernorm(y, name + ".output.LayerNorm")

    def gelu(self, x):
        erf = self.op("Erf", self.op("Div", x, self.constant(2 ** 0.5)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.constant(1.0))), self.constant(0.5))

    def mask(self, attention_mask):
        mask = self.op("Unsqueeze", attention_mask, self.constant([1, 2], np.int64))
        absent = self.op("Sub", self.constant(1.0), self.op("Cast", mask, to=TensorProto.FLOAT))
        return self.op("Mul", absent, self.constant(np.finfo(np.float32).min))

    def embeddings(self, ids):
        t = self.tensors
        positions = t["embeddings.position_embeddings.weight"] + t["embeddings.token_type_embeddings.weight"][0]
        table = self.constant(positions[None], name="positions")
        length = self.op("Slice", self.op("Shape", ids), *(self.constant([n], np.int64) for n in (1, 2)))
        axis = self.constant([1], np.int64)
        rows = self.op("Slice", table, self.constant([0], np.int64), length, axis)
        words = self.op("Gather", self.weight("embeddings.word_embeddings.weight"), ids)
        return self.layernorm(self.op("Add", words, rows), "embeddings.LayerNorm")

    def bert(self, ids, attention_mask):
        x, mask = self.embeddings(ids), self.mask(attention_mask)
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            x = self.attention(x, mask, name + ".attention")
            h = self.gelu(self.linear(x, name + ".intermediate.dense"))
            x = self.layernorm(self.op("Add", self.linear(h, name + ".output.dense"), x), name + ".output.LayerNorm")
        return x


def build(tensors):
    g = Graph(tensors)
    last = g.bert("input_ids", "attention_mask")
    g.nodes.append(helper.make_node("Identity", [last], ["last_hidden_state"]))
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "seq"]) for n in ("input_ids", "attention_mask")]
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "seq", WIDTH])
    graph = helper.make_graph(g.nodes, "minilm", ids, [out], list(g.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def check(out_dir, reference):
    from ort_peer import Peer

    items = json.loads(reference.read_text())["items"]
    expected = np.array([i["embedding"] for i in items])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = Peer("ort-f32", 2, out_dir).encode([i["text"] for i in items], 8)
    cosine = float((found * expected).sum(1).min())
    print(f"f32 graph against {len(items)} reference embeddings: cosine min {cosine:.7f}")
    if not cosine >= COSINE_MIN:
        sys.exit(f"the f32 graph is not the real model: cosine must be at least {COSINE_MIN}")


def main(model_dir, out_dir, reference=None):
    model_dir, out_dir = Path(model_dir), Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    full, small = out_dir / "model.onnx", out_dir / "model_int8.onnx"
    shutil.copyfile(model_dir / "vocab.txt", out_dir / "vocab.txt")
    onnx.save(build(read_safetensors(model_dir / "model.safetensors")), full)
    if reference and Path(reference).exists():
        check(out_dir, Path(reference))
    else:
        print("not run: check of the f32 graph (no reference embeddings beside the project)")
    quantize_dynamic(full, small, per_channel=True, weight_type=QuantType.QInt8)


if __name__ == "__main__":
    main(*sys.argv[1:])
