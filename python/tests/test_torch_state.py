"""kiln.torch and what models hold besides plain parameters: swapped and computed weights, buffers, training flags."""

import io

import pytest

torch = pytest.importorskip("torch")
import kiln.torch
from torch import nn


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(4)
    with torch.no_grad():
        yield


def optimized(model, *example, **kwargs):
    """The optimised model and its table."""
    table = io.StringIO()
    return kiln.torch.optimize(model, example, file=table, **kwargs), table.getvalue()


def functional_call(model, state, x):
    if hasattr(torch, "func"):
        return torch.func.functional_call(model, state, (x,))
    from torch.nn.utils.stateless import functional_call

    return functional_call(model, state, (x,))


@pytest.mark.parametrize("fused", [False, True])
def test_parameters_of_a_functional_call(fused):
    x = torch.randn(1, 4, 8, 8)
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()).eval()
    ours = nn.Sequential(kiln.torch.Conv2d.from_torch(model[0]), model[1])
    if fused:
        ours = optimized(model, x)[0]
        ours(x)
    state = {"0.weight": torch.randn(4, 4, 3, 3), "0.bias": torch.randn(4)}
    assert torch.allclose(functional_call(ours, state, x), functional_call(model, state, x), atol=1e-4)
    assert torch.allclose(ours(x), model(x), atol=1e-4)
