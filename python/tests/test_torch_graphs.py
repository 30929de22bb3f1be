"""Random networks through optimize, whose layers' outputs are used again, changed in place and added to each other.

A network is its number: pytest "tests/test_torch_graphs.py::test[17]"; print(Network(17)) in Python shows it.
"""

import copy
import operator
import random

import pytest

torch = pytest.importorskip("torch", reason="no PyTorch")
import kiln.torch  # noqa: E402 after the skip
import models  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

NETWORKS = 1000
ERROR_MOST = 1e-4  # of a whole network, over the RMS of its output
C = 8  # channels of every value, so that any two can be added

LAYERS = [
    lambda: nn.Conv2d(C, C, 3, padding=1),
    lambda: nn.Conv2d(C, C, 1, bias=False),
    lambda: nn.Conv2d(C, C, (3, 5), padding="same", groups=2),
    lambda: nn.Conv2d(C, C, 3, padding=1, groups=C),
    lambda: nn.Conv2d(C, C, 3, padding=2, dilation=2, padding_mode="replicate", bias=False),
    lambda: nn.BatchNorm2d(C),
    lambda: nn.BatchNorm2d(C),
    lambda: nn.ReLU(),
    lambda: nn.ReLU(inplace=True),
    lambda: nn.ReLU6(),
    lambda: nn.SiLU(inplace=True),
    lambda: nn.LeakyReLU(0.1),
    lambda: nn.PReLU(C),
    lambda: nn.Hardswish(),
    lambda: nn.Dropout(),
    lambda: nn.Sequential(nn.Conv2d(C, C, 1), nn.BatchNorm2d(C), nn.ReLU()),
]
CONVOLUTIONS = 5  # of those
ONE = [
    F.relu,
    F.relu_,
    F.relu6,
    F.silu,
    F.gelu,
    torch.sigmoid,
    lambda a: a.relu(),
    lambda a: F.hardtanh(a, 0, 6),
    lambda a: a * 0.5,
    lambda a: torch.cat([F.relu_(a[:, :, :4]), a[:, :, 4:]], 2),  # a part of a is changed in place
]
TWO = [
    operator.add,
    operator.add,
    operator.iadd,
    torch.add,
    lambda a, b: a.add_(b),
    lambda a, b: torch.add(a, b, alpha=0.5),
    lambda a, b: torch.cat([a, b], 1)[:, C // 2 : -C // 2].contiguous(),
    lambda a, b: a * b.mean((2, 3), keepdim=True),  # broadcast
    lambda a, b: a + b[:, :, :1],
]


class Network(nn.Module):
    """Steps, each of which makes a value of earlier ones, mostly of the last."""

    def __init__(self, number):
        super().__init__()
        rng = random.Random(number)
        self.layers, self.steps = nn.ModuleList(), []
        for count in range(1, rng.randint(4, 14)):
            self.steps.append((self._choice(rng), *(max(0, count - 1 - int(rng.expovariate(1))) for _ in range(2))))

    def _choice(self, rng):
        kind = rng.choice(("conv", "conv", "layer", "layer", "again", "one", "two", "two"))
        if kind == "one" or kind == "two":
            return rng.choice(ONE if kind == "one" else TWO)
        if kind != "again" or not self.layers:
            self.layers.append(rng.choice(LAYERS[:CONVOLUTIONS] if kind == "conv" else LAYERS)())
            return len(self.layers) - 1
        return rng.randrange(len(self.layers))

    def forward(self, x):
        values = [x]
        for step, a, b in self.steps:
            if isinstance(step, int):
                values.append(self.layers[step](values[a]))
            else:
                values.append(step(values[a], values[b]) if step in TWO else step(values[a]))
        return values[-1] + values[len(values) // 2]


@pytest.mark.parametrize("number", range(NETWORKS))
@torch.no_grad()
def test(number):
    torch.manual_seed(number)
    network, x = Network(number), torch.randn(2, C, 9, 10)
    models.randomise(network)
    network.train()(torch.randn(4, C, 9, 10))
    network.eval()
    exact = copy.deepcopy(network).double()(x.double())
    form = random.Random(number).choice((torch.contiguous_format, torch.channels_last))
    x = x.to(memory_format=form)
    optimized = kiln.torch.optimize(network, x.clone(), verbose=False)
    faithful = torch.equal(torch.fx.symbolic_trace(network)(x.clone()), network(x.clone()))  # += is + to torch.fx
    assert isinstance(optimized, torch.fx.GraphModule) or not faithful
    before = kiln.torch.stats()["torch"]
    for _ in range(2):
        y = optimized(x.clone())
        assert float((y - exact).abs().max() / exact.square().mean().sqrt()) <= ERROR_MOST
    assert kiln.torch.stats()["torch"] == before
