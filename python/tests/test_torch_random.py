"""Random modules against torch's in float64. A case is its number: pytest "tests/test_torch_random.py::test[17]"."""

import pytest

torch = pytest.importorskip("torch", reason="no PyTorch")
import kiln.torch  # noqa: E402 after the skip
import cases  # noqa: E402
from torch import nn  # noqa: E402

CASES = 2400
PROMISE = 2e-5  # docs/accuracy.md: the largest error, over the RMS of the output


def exact_of(ours, case):
    """torch's module in float64, from the state of ours."""
    module = getattr(nn, type(ours).__name__)(**case.arguments)
    module.load_state_dict(ours.state_dict())
    return module.double()


@pytest.mark.parametrize("number", range(CASES))
@torch.no_grad()
def test(number):
    case = cases.make(number)
    torch.manual_seed(number)
    ours = getattr(kiln.torch, f"Conv{case.axes}d")(**case.arguments).eval()
    x = torch.randn(case.shape)
    if case.last:
        x = x.to(memory_format=torch.channels_last)
    before = kiln.torch.stats()
    y, want = ours(x), exact_of(ours, case)(x.double())
    after = kiln.torch.stats()
    assert y.shape == want.shape and y.dtype == torch.float32, case
    assert (after["kiln"], after["torch"]) == (before["kiln"] + 1, before["torch"]), case
    expected = float(ours.weight.square().sum() / len(ours.weight)) ** 0.5  # few outputs may be small by chance
    error = float((y - want).abs().max()) / max(float(want.square().mean().sqrt()), expected)
    assert error <= PROMISE, f"{error:.1e}: {case}"
    if not x.is_contiguous():  # of one channel, or one pixel, it is both
        assert y.is_contiguous(memory_format=torch.channels_last), case
