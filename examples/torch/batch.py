"""What becomes of [Batch, 64, 64, 128] under 64 kernels of 3x3: each spans all 128 channels and makes one map.

The channels come last, so to torch this is a tensor [Batch, 128, 64, 64] in channels_last memory.

python3 examples/torch/batch.py [torch.nn]
"""

import importlib
import sys

import torch

nn = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "kiln.torch")

torch.manual_seed(0)
batch, height, width, channels = shape = 2, 64, 64, 128
images = torch.randn(shape)
conv = nn.Conv2d(channels, 64, kernel_size=3, padding=1).to(memory_format=torch.channels_last)
with torch.no_grad():
    maps = conv(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # views; nothing is copied

print("images  [n][h][w][c]       ", list(images.shape))
print("kernels [oc][ic][kh][kw]   ", list(conv.weight.shape), "so each of 64 kernels spans 128 channels")
print("maps    [n][h][w][oc]      ", list(maps.shape), "so each kernel makes one map of every image")
print("maps lie channels last     ", maps.is_contiguous())
print("products for each output   ", conv.weight[0].numel())

patch = images[1, 10:13, 20:23, :].permute(2, 0, 1)  # what output [1][11][21] sees, as [ic][kh][kw]
with torch.no_grad():
    one = (patch * conv.weight[5]).sum() + conv.bias[5]
print("maps[1][11][21][5] by hand ", f"{one.item():.3f}", "and by Conv2d", f"{maps[1, 11, 21, 5].item():.3f}")
