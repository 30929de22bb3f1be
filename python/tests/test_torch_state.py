"""kiln.torch and what models hold besides plain parameters: swapped and computed weights, buffers, training flags."""

import io
import warnings

import pytest

torch = pytest.importorskip("torch")
import kiln.torch
from torch import nn
from torch.nn.utils import prune


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


class Holder(nn.Module):
    """A convolution, buffers and a body."""

    def __init__(self, run):
        super().__init__()
        self.conv, self.norm, self.run, self.calls = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), run, 0
        self.register_buffer("held", torch.zeros(1, 4, 6, 6))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        return self.run(self, x)


def held(s, x):
    s.held.copy_(s.conv(x))
    return torch.relu(s.held)


def counts(s, x):
    s.count += 1
    return s.conv(x) + s.count


def counts_anew(s, x):
    s.count = s.count + 1
    return s.conv(x) * s.count


def counts_calls(s, x):
    s.calls += 1
    return s.conv(x) * s.calls


def constant(s, x):
    return s.conv(x) + torch.randn(4, 1, 1) * 0 + 1


RUNS = [held, counts, counts_anew, counts_calls, constant, lambda s, x: s.conv(x) + s.count]


@pytest.mark.parametrize("run", RUNS)
def test_what_forward_changes_is_as_in_the_model(run):
    model, x = Holder(run).eval(), torch.randn(1, 4, 8, 8)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    made, table = optimized(model, x)
    assert ("one by one" in table) == (run is not RUNS[-1]), table
    for state in model.state_dict(), made.state_dict():
        assert all(torch.equal(state[key], before[key]) for key in state)
    for _ in range(3):
        x = torch.randn(1, 4, 8, 8)
        assert torch.allclose(made(x), model(x), atol=1e-4)
    for key, value in made.state_dict().items():
        assert torch.allclose(value, model.state_dict()[key], atol=1e-4)


def test_layers_in_training_mode_stay_so():
    model, x = Holder(lambda s, x: s.norm(s.conv(x))).eval(), torch.randn(2, 4, 8, 8)
    model.norm.train()
    before = model.norm.running_mean.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made, table = optimized(model, x)
    assert made.norm.training and not made.conv.training and not made.training and "one by one" not in table
    assert torch.equal(made.norm.running_mean, before) and torch.equal(model.norm.running_mean, before)
    assert torch.allclose(made(x), model(x), atol=1e-4)
    assert torch.allclose(made.norm.running_var, model.norm.running_var, atol=1e-4)


def test_a_large_difference_is_warned_of():
    model, x = Holder(lambda s, x: torch.rand_like(s.conv(x))).eval(), torch.randn(1, 4, 8, 8)
    with pytest.warns(UserWarning, match="kiln.torch.optimize: outputs differ by .* of their RMS"):
        kiln.torch.optimize(model, x, verbose=False)


def test_torch_save():
    model, x = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()).eval(), torch.randn(1, 4, 8, 8)
    made, _ = optimized(model, x, layout="channels_last")
    file = io.BytesIO()
    torch.save(made, file)
    file.seek(0)
    old = torch.__version__.startswith("1.")
    again = torch.load(file) if old else torch.load(file, weights_only=False)
    assert torch.equal(again(x), made(x)) and again(x).is_contiguous()


def test_computed_weights():
    x = torch.randn(1, 4, 8, 8)
    with torch.enable_grad():
        model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.utils.weight_norm(nn.Conv2d(4, 4, 3))).eval()
        prune.l1_unstructured(model[0], "weight", amount=0.5)
        model(x)
        assert not model[0].weight.is_leaf and not model[2].weight.is_leaf
        made, table = optimized(model, x)
    assert "2 of 2" in table and not model[0].weight.is_leaf
    assert torch.allclose(made(x), model(x), atol=1e-4)


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_models_that_cannot_be_copied():
    x = torch.randn(1, 4, 8, 8)
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU()).eval()
    with pytest.raises(kiln.Error, match="0 is a LazyConv2d without parameters yet: run the model once before"):
        kiln.torch.optimize(lazy, x)
    script = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 3)).eval())
    with pytest.raises(kiln.Error, match="model is a RecursiveScriptModule, which torch.jit has compiled"):
        kiln.torch.optimize(script, x)
    with pytest.raises(kiln.Error, match="0 is a RecursiveScriptModule"):
        kiln.torch.optimize(nn.Sequential(script).eval(), x)
    odd = Holder(held).eval()
    odd.file = open(__file__)
    with odd.file, pytest.raises(kiln.Error, match="model cannot be copied by copy.deepcopy"):
        kiln.torch.optimize(odd, x)


class Optional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x, b=None):
        return self.conv(x) if b is None else self.conv(x) + b


def test_nothing_is_printed_of_graphs_that_fail(capfd):
    optimized(Optional().eval(), torch.randn(1, 4, 8, 8))
    assert capfd.readouterr() == ("", "")


def test_outputs_of_float64_stay_contiguous():
    model, x = Holder(lambda s, x: s.conv(x) + s.conv(x).double()).eval(), torch.randn(1, 4, 8, 8)
    made, table = optimized(model, x, layout="channels_last")
    assert made(x).is_contiguous() and made(x).dtype == torch.float64 and "one by one" not in table


def test_infinite_outputs_are_no_difference():
    model, x = Holder(lambda s, x: s.conv(x) / s.held).eval(), torch.randn(1, 4, 8, 8)
    model.held[:, :2] = 1
    _, table = optimized(model, x)
    assert "one by one" not in table and "inf" not in table


def test_a_number_is_no_tensor():
    _, table = optimized(Holder(lambda s, x: s.conv(x) + 1.5).eval(), torch.randn(1, 4, 8, 8))
    assert "what is added is no tensor" in table
