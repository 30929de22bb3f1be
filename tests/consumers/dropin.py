"""A model that changed one name, torch.nn's Conv2d for Kiln's: it loads the other's checkpoint and says the same."""

import kiln.torch
import torch

torch.manual_seed(1)
theirs = torch.nn.Conv2d(3, 6, 3, padding=1)
mine = kiln.torch.Conv2d(3, 6, 3, padding=1)
mine.load_state_dict(theirs.state_dict())
x = torch.randn(1, 3, 32, 32)
with torch.no_grad():
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-4, atol=1e-5)
print(f"PyTorch {torch.__version__}: {kiln.torch.stats()}")
assert kiln.torch.stats()["kiln"] == 1
