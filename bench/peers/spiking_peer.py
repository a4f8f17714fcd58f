"""Spiking networks beside us: leaky integrate-and-fire layers, forward only, f32. See protocol.py.

load     layers: neurons of each, the inputs first; batch; steps; beta: decay a step; threshold
         weights: file of f32, each layer's [out][in] matrix and then its biases; spikes: file of u8, [step][batch][in]
run      all steps of the whole batch from rest
answers  {"counts": spikes of each output neuron over all steps, [batch][out]}

`torch` and `snntorch` compute v[t] = beta v[t-1] + W x[t] + b - threshold s[t-1], s[t] = v[t] > threshold. The neurons of
norse and spikingjelly follow other equations, each the one closest to it that its library is known for: the dense
products, nearly all of the work, are the same, the spikes are not.
"""
import sys

import protocol

if __name__ == "__main__":
    protocol.use_threads(sys.argv[2])

import numpy as np
import torch


class Torch:
    """The loop a user without a library would write."""

    setting = "loop over steps"

    def __init__(self):
        self.version = f"torch {torch.__version__}"

    def build(self, linear, beta, threshold):
        self.linear, self.beta, self.threshold = linear, beta, threshold

    def forward(self, spikes):
        batch = spikes.shape[1]
        potential = [torch.zeros(batch, l.out_features) for l in self.linear]
        fired = [torch.zeros_like(v) for v in potential]
        total = torch.zeros_like(potential[-1])
        for step in spikes:
            for i, linear in enumerate(self.linear):
                potential[i] = self.beta * potential[i] + linear(step) - self.threshold * fired[i]
                step = fired[i] = (potential[i] > self.threshold).float()
            total += step
        return total


class SnnTorch(Torch):
    setting = "Leaky, reset by subtraction"

    def __init__(self):
        import snntorch

        self.version = f"snntorch {snntorch.__version__}, torch {torch.__version__}"
        self.neuron = snntorch.Leaky

    def build(self, linear, beta, threshold):
        self.linear = linear
        self.neurons = [self.neuron(beta=beta, threshold=threshold) for _ in linear]

    def forward(self, spikes):
        potential = [neuron.reset_mem() for neuron in self.neurons]
        total = 0
        for step in spikes:
            for i, (linear, neuron) in enumerate(zip(self.linear, self.neurons)):
                step, potential[i] = neuron(linear(step), potential[i])
            total = total + step
        return total


class Norse(Torch):
    setting = "LIFBoxCell"

    def __init__(self):
        import norse.torch
        from importlib.metadata import version

        self.version = f"norse {version('norse')}, torch {torch.__version__}"
        self.norse = norse.torch

    def build(self, linear, beta, threshold):
        self.linear = linear
        # v += dt / tau (x - v): the decay a step is 1 - dt / tau, by which inputs and so the threshold are smaller.
        dt = 1e-3
        rate, threshold = torch.tensor((1 - beta) / dt), torch.tensor(threshold * (1 - beta))
        parameters = self.norse.LIFBoxParameters(tau_mem_inv=rate, v_th=threshold)
        self.cells = [self.norse.LIFBoxCell(parameters, dt=dt) for _ in linear]

    def forward(self, spikes):
        state, total = [None] * len(self.cells), 0
        for step in spikes:
            for i, (linear, cell) in enumerate(zip(self.linear, self.cells)):
                step, state[i] = cell(linear(step), state[i])
            total = total + step
        return total


class SpikingJelly(Torch):
    setting = "LIFNode, multi-step"

    def __init__(self):
        from importlib.metadata import version
        from spikingjelly.activation_based import functional, neuron

        self.version = f"spikingjelly {version('spikingjelly')}, torch {torch.__version__}"
        self.functional, self.neuron = functional, neuron

    def build(self, linear, beta, threshold):
        def node():
            return self.neuron.LIFNode(tau=1 / (1 - beta), decay_input=False, v_threshold=threshold, v_reset=None,
                                       step_mode="m", detach_reset=True)

        self.network = torch.nn.Sequential(*(m for l in linear for m in (l, node()))).eval()

    def forward(self, spikes):
        self.functional.reset_net(self.network)
        return self.network(spikes).sum(0)


ENGINES = {"torch": Torch, "snntorch": SnnTorch, "norse": Norse, "spikingjelly": SpikingJelly}


def dense(path, layers):
    """The layers' weights as modules."""
    values, start, made = torch.from_numpy(np.fromfile(path, "<f4")), 0, []
    for inputs, outputs in zip(layers, layers[1:]):
        linear = torch.nn.Linear(inputs, outputs)
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        linear.weight.copy_(values[start:middle].view(outputs, inputs))
        linear.bias.copy_(values[middle:end])
        made.append(linear)
        start = end
    assert start == len(values), f"{path} has {len(values)} values, the layers take {start}"
    return made


@torch.no_grad()
def main(name, threads):
    torch.set_num_threads(threads)
    engine, state = ENGINES[name](), {}

    def load(layers, batch, steps, beta, threshold, weights, spikes):
        engine.build(dense(weights, layers), beta, threshold)
        spikes = np.fromfile(spikes, np.uint8).reshape(steps, batch, layers[0])
        state["spikes"] = torch.from_numpy(spikes).float()
        engine.forward(state["spikes"])
        return dict(version=engine.version, setting=engine.setting)

    def forward():
        with torch.inference_mode():
            return engine.forward(state["spikes"])

    protocol.serve(dict(
        load=load, run=lambda **_: protocol.timed(forward), answers=lambda **_: dict(counts=forward().tolist())))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
