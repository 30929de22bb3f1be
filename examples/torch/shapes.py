"""What parameters a Conv2d has: each output channel has one kernel for each input channel, and one bias.

python3 examples/torch/shapes.py [torch.nn]
"""

import importlib
import sys

import torch

nn = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "kiln.torch")

conv = nn.Conv2d(in_channels=2, out_channels=3, kernel_size=(4, 5))
for name, parameter in conv.named_parameters():
    print(name, tuple(parameter.shape))
print("parameters", sum(parameter.numel() for parameter in conv.parameters()))

with torch.no_grad():
    print("output", tuple(conv(torch.randn(1, 2, 16, 16)).shape))
