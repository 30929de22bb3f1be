"""Kiln in PyTorch: drop-in convolutions, and whole models optimised for inference.

    conv = kiln.torch.Conv2d(64, 128, 3, padding=1)         # as torch.nn.Conv2d, checkpoints included
    fast = kiln.torch.optimize(model.eval(), example)       # convolutions replaced, BatchNorm, ReLU, ... folded

docs/pytorch.md tells more. Needs torch, which `import kiln` alone does not.
"""

from kiln.torch._modules import Conv1d, Conv2d
from kiln.torch._optimize import optimize
from kiln.torch._stats import stats

__all__ = ["Conv1d", "Conv2d", "optimize", "stats"]
