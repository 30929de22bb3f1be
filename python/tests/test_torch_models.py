"""Whole networks through kiln.torch: as modules in place of torch's, and rewritten by optimize."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="no PyTorch")
import kiln.torch  # noqa: E402 after the skip
import models  # noqa: E402
from torch import nn  # noqa: E402

ERROR_MOST = 1e-4  # of a whole network against float64, over the RMS of its output; torch's own is up to 2e-5
FORMATS = {4: (torch.contiguous_format, torch.channels_last), 3: (torch.contiguous_format,)}


def assert_agrees(y, exact):
    assert y.shape == exact.shape and y.dtype == torch.float32
    assert float((y - exact).abs().max() / exact.square().mean().sqrt()) <= ERROR_MOST
    if y.dim() == 2:
        assert torch.equal(y.topk(5).indices, exact.topk(5).indices)


def convolutions(model, x):
    """How many of them one call of torch's model runs."""
    ran = []
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv1d, nn.Conv2d))]
    hooks = [layer.register_forward_hook(lambda *_: ran.append(1)) for layer in layers]
    model(x)
    for hook in hooks:
        hook.remove()
    return len(ran)


def all_in_kiln(network, x, count, linear=0):
    """The network's output, having seen that it ran so many convolutions in Kiln and none in torch. Linear layers
    may run as convolutions, where that is faster."""
    before = kiln.torch.stats()
    y = network(x)
    after = kiln.torch.stats()
    assert count <= after["kiln"] - before["kiln"] <= count + linear, after
    assert after["torch"] == before["torch"], after["reasons"]
    return y


@pytest.mark.parametrize("name", models.MODELS)
@torch.no_grad()
def test_optimize(name):
    model, x = models.make(name)
    exact = copy.deepcopy(model).double()(x.double())
    count, linear = convolutions(model, x), sum(isinstance(layer, nn.Linear) for layer in model.modules())
    state = {key: value.clone() for key, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    for form in FORMATS[x.dim()]:
        last = x.to(memory_format=form)
        optimized = kiln.torch.optimize(model, last)
        for _ in range(2):
            assert_agrees(all_in_kiln(optimized, last, count, linear), exact)
        assert torch.equal(last, x)
    assert [type(module) for module in model.modules()] == kinds
    now = model.state_dict()
    assert now.keys() == state.keys() and all(torch.equal(now[key], state[key]) for key in state)
    assert_agrees(model(x), exact)


@pytest.mark.parametrize("name", [name for name in models.MODELS if name != "vgg16"])  # which is all plain layers
@torch.no_grad()
def test_modules_in_place_of_those_of_torch(name, monkeypatch):
    theirs, x = models.make(name)
    exact = copy.deepcopy(theirs).double()(x.double())
    count = convolutions(theirs, x)
    for kind in ("Conv1d", "Conv2d"):
        monkeypatch.setattr(nn, kind, getattr(kiln.torch, kind))
    ours = models.MODELS[name][0]().eval()
    monkeypatch.undo()
    ours.load_state_dict(theirs.state_dict())
    for form in FORMATS[x.dim()]:
        assert_agrees(all_in_kiln(ours, x.to(memory_format=form), count), exact)
    back = models.MODELS[name][0]().eval()
    back.load_state_dict(ours.state_dict())
    assert torch.equal(back(x), theirs(x))


@torch.no_grad()
def test_other_inputs_than_the_example():
    """Another size or batch compiles anew; the weights are looked at, not remembered from the example."""
    model, x = models.make("resnet18")
    optimized = kiln.torch.optimize(model, x)
    for shape in (2, 3, 64, 96), (1, 3, 75, 50), (1, 3, 224, 224):
        y = torch.randn(shape)
        assert_agrees(all_in_kiln(optimized, y, convolutions(model, y), 1), copy.deepcopy(model).double()(y.double()))


def test_training_goes_on_in_the_original():
    model, x = models.make("SiLU")
    optimized = kiln.torch.optimize(model, x)
    optimized(x)
    model.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
