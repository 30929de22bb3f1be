"""A model that changed one name, torch.nn's Conv2d for Kiln's: it loads the other's checkpoint and says the same.
So does a whole model that was optimised."""

import kiln.torch
import torch
from torch import nn

torch.manual_seed(1)


def model(conv2d):
    return nn.Sequential(conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()).eval()


theirs, mine = model(nn.Conv2d), model(kiln.torch.Conv2d)
mine.load_state_dict(theirs.state_dict())
x = torch.randn(1, 3, 32, 32)
with torch.no_grad():
    want = theirs(x)
    for same in (mine, kiln.torch.optimize(theirs, x)):
        before = kiln.torch.stats()["kiln"]
        torch.testing.assert_close(same(x), want, rtol=1e-4, atol=1e-5)
        assert kiln.torch.stats()["kiln"] == before + 1
print(f"PyTorch {torch.__version__}: {kiln.torch.stats()}")
