"""Two layers, 1 -> 2 -> 4 channels, on integers, on which float32 makes no error.

python3 examples/torch/chain.py [torch.nn]
"""

import importlib
import pathlib
import sys

import numpy
import torch

nn = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "kiln.torch")


def load(name):
    return torch.from_numpy(numpy.load(pathlib.Path(__file__).parents[1] / "chain" / f"{name}.npy"))


def show(title, x):
    print(f"{title} {list(x.shape)}", *x.flatten(0, -2).int().tolist(), sep="\n")


x = load("input")
show("input", x)
for layer, (ic, oc) in enumerate([(1, 2), (2, 4)]):
    conv = nn.Conv2d(ic, oc, kernel_size=2, stride=2, bias=False)
    conv.load_state_dict({"weight": load(f"weights{layer}")})
    with torch.no_grad():
        x = conv(x)
    show(f"output of layer {layer}", x)
    assert torch.equal(x, load(f"output{layer}"))
