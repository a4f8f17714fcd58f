#!/usr/bin/env python3
"""Trains a 784-128-10 spiking network on MNIST and writes it as snnTorch would.

    python3 -m venv /path/to/venv && /path/to/venv/bin/pip install numpy
    OMP_NUM_THREADS=1 /path/to/venv/bin/python models/training/mnist_lif.py [IMAGES_FOLDER [OUTPUT]]

Data: the 10,000 images of MNIST's test set (`mnist-t10k-*.gz`), in file order: the first 8,000 train, the last 2,000
test. Both layers are `snntorch.Leaky(beta=0.9, threshold=1, reset_mechanism="subtract")` with its default delayed
reset; the answer is the output that spiked most often in 25 steps, ties by lowest index. Gradients are surrogate
(Neftci et al., "Surrogate gradient learning in spiking neural networks", 2019) through time, the loss is cross entropy
of spike counts. Seeds are fixed; the last bits of the weights depend on the BLAS all the same, so the committed file
is the product and this script its recipe.
"""

import gzip
import json
import struct
import sys
from pathlib import Path

import numpy as np

STEPS, HIDDEN, BETA, THRESHOLD = 25, 128, 0.9, 1.0
TRAIN, EPOCHS, BATCH, RATE = 8000, 14, 64, 2e-3
SLOPE = 5.0
TEST_SEED = 0


def main():
    here = Path(__file__).resolve().parent
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parents[2] / "shared/data/ann"
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else here / "mnist_lif.safetensors"
    images, labels = read_idx(folder / "mnist-t10k-images-idx3-ubyte.gz", 16), read_idx(
        folder / "mnist-t10k-labels-idx1-ubyte.gz", 8
    )
    images = images.reshape(-1, 784)
    network = half(train(images[:TRAIN], labels[:TRAIN]))
    right = accuracy(network, images, labels, range(TRAIN, len(images)))
    print(f"test accuracy of the halved weights: {right:.4f}")
    metadata = {"source": "models/training/mnist_lif.py", "steps": str(STEPS), "test_accuracy": f"{right:.4f}"}
    output.write_bytes(safetensors(state_dict(network), metadata))


def read_idx(path, header):
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def rate_code(intensities, seed, samples):
    """Spikes [STEPS, batch, 784]: what `models::spiking::rate_code` gives for samples of these numbers."""
    base = mix(mix(np.uint32(seed ^ 0x9E3779B9)) + np.asarray(samples, np.uint32))
    base = mix(base[:, None] + np.arange(STEPS, dtype=np.uint32))
    sample, index = np.nonzero(intensities)
    drawn = mix(base[sample] + index[:, None].astype(np.uint32)) >> np.uint32(24)
    spikes = np.zeros((STEPS, *intensities.shape), np.float32)
    spikes[:, sample, index] = (drawn < intensities[sample, index][:, None]).T
    return spikes


def mix(h):
    """lowbias32 (Wellons, "Prospecting for hash functions", 2018)."""
    h = np.atleast_1d(np.asarray(h, np.uint32))
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return h ^ (h >> np.uint32(16))


def layer(current):
    """Potentials and spikes [STEPS, batch, n] of one layer."""
    potential, spikes = np.empty_like(current), np.empty_like(current)
    v = s = np.zeros_like(current[0])
    for t in range(STEPS):
        v = BETA * v + current[t] - THRESHOLD * s
        s = (v > THRESHOLD).astype(np.float32)
        potential[t], spikes[t] = v, s
    return potential, spikes


def back(potential, grad_spikes):
    """Gradient of the current; the reset carries none, the spike that of a fast sigmoid."""
    grad = grad_spikes / (1 + SLOPE * np.abs(potential - THRESHOLD)) ** 2
    for t in range(STEPS - 2, -1, -1):
        grad[t] += BETA * grad[t + 1]
    return grad


def train(images, labels):
    random = np.random.default_rng(1)
    uniform = lambda rows, columns: random.uniform(-1, 1, (rows, columns)).astype(np.float32) / columns**0.5
    network = [uniform(HIDDEN, 784), np.zeros(HIDDEN, np.float32), uniform(10, HIDDEN), np.zeros(10, np.float32)]
    moments = [[np.zeros_like(p), np.zeros_like(p)] for p in network]
    total, step = EPOCHS * (len(images) // BATCH), 0
    for epoch in range(EPOCHS):
        order, loss = random.permutation(len(images)), 0.0
        for first in range(0, len(images) - BATCH + 1, BATCH):
            chosen = order[first : first + BATCH]
            spikes = rate_code(shifted(images[chosen], random), epoch + 1, chosen)
            lost, grads = gradients(network, spikes, labels[chosen])
            loss, step = loss + lost, step + 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / total))
            for parameter, grad, (m, v) in zip(network, grads, moments):
                m += 0.1 * (grad - m)
                v += 0.001 * (grad * grad - v)
                parameter -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        print(f"epoch {epoch + 1}: loss {loss / (len(images) // BATCH):.4f}", flush=True)
    return network


def shifted(images, random):
    """Each image moved by up to one pixel each way."""
    moves = random.integers(-1, 2, (len(images), 2))
    square = images.reshape(-1, 28, 28)
    return np.stack([np.roll(i, m, (0, 1)) for i, m in zip(square, moves)]).reshape(-1, 784)


def gradients(network, spikes, labels):
    w1, b1, w2, b2 = network
    batch = len(labels)
    potential1, spikes1 = layer(spikes @ w1.T + b1)
    potential2, spikes2 = layer(spikes1 @ w2.T + b2)
    logits = spikes2.sum(0)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    loss = -np.log(odds[np.arange(batch), labels] + 1e-9).mean()
    odds[np.arange(batch), labels] -= 1
    grad2 = back(potential2, np.broadcast_to(odds / batch, spikes2.shape))
    grad1 = back(potential1, grad2 @ w2)
    flat = lambda a: a.reshape(-1, a.shape[-1])
    return loss, [
        flat(grad1).T @ flat(spikes),
        flat(grad1).sum(0),
        flat(grad2).T @ flat(spikes1),
        flat(grad2).sum(0),
    ]


def accuracy(network, images, labels, samples):
    w1, b1, w2, b2 = network
    right = 0
    for first in range(samples.start, samples.stop, 200):
        chosen = np.arange(first, min(first + 200, samples.stop))
        spikes = rate_code(images[chosen], TEST_SEED, chosen)
        spikes1 = layer(spikes @ w1.T + b1)[1]
        counts = layer(spikes1 @ w2.T + b2)[1].sum(0)
        right += int((counts.argmax(1) == labels[chosen]).sum())
    return right / len(samples)


def half(network):
    """Weights as the file holds them: f16, which costs nothing next to the i8 they become."""
    return [p.astype(np.float16).astype(np.float32) for p in network]


def state_dict(network):
    tensors = {}
    for n, (weight, bias) in enumerate([network[:2], network[2:]], 1):
        tensors[f"fc{n}.weight"], tensors[f"fc{n}.bias"] = weight, bias
        tensors[f"lif{n}.beta"], tensors[f"lif{n}.threshold"] = np.float32(BETA), np.float32(THRESHOLD)
        tensors[f"lif{n}.reset_mechanism_val"] = np.float32(0)
    return tensors


def safetensors(tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, array in sorted(tensors.items()):
        array = np.asarray(array)
        dtype, name16 = ("<f2", "F16") if array.ndim else ("<f4", "F32")
        # Scalars stay f32: 0.9 is not a half. Tensors go by falling alignment.
        header[name] = [dtype, name16, array]
    names = sorted(tensors, key=lambda name: (header[name][1] == "F16", name))
    for name in names:
        dtype, kind, array = header[name]
        raw = array.astype(dtype).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + data


if __name__ == "__main__":
    main()
