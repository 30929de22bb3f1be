"""Where one number comes from: output channel 0, top left corner, of the second layer of chain.py.

Every input channel is multiplied with its own kernel, and all products add up to one number.

python3 examples/torch/breakdown.py [torch.nn]
"""

import importlib
import sys

import torch

nn = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "kiln.torch")

x = torch.tensor([[[[1.0, 1], [3, 1]], [[0, 2], [1, 0]]]])  # x[n][ic][h][w]: what the corner's kernels see
w = torch.tensor([[[[-1.0, -1], [-1, -1]], [[0, -1], [0, -1]]]])  # w[oc][ic][kh][kw]

total = 0.0
for channel in range(2):
    for row in range(2):
        for column in range(2):
            value, weight = x[0, channel, row, column].item(), w[0, channel, row, column].item()
            total += value * weight
            print(f"x[0][{channel}][{row}][{column}] * w[0][{channel}][{row}][{column}] = {value:g} * {weight:g}, sum {total:g}")

conv = nn.Conv2d(2, 1, kernel_size=2, stride=2, bias=False)
conv.load_state_dict({"weight": w})
with torch.no_grad():
    print("Conv2d:", conv(x).item())
