"""kiln.torch.optimize: the same outputs from rewritten models, and nothing folded that must not be."""

import copy
import io
import pickle
import threading
import warnings

import pytest

torch = pytest.importorskip("torch")
import kiln.torch
import models
from kiln.torch._fused import Post, fuse
from torch import nn
from torch.nn import functional


@pytest.fixture(autouse=True)
def quiet():
    torch.manual_seed(3)
    kiln.torch.stats(reset=True)
    with torch.no_grad():
        yield


def optimized(model, *example, **kwargs):
    """The optimised model and its table."""
    table = io.StringIO()
    made = kiln.torch.optimize(model, example, file=table, **kwargs)
    return made, table.getvalue()


def folded(table, module):
    """What the table says was folded into a convolution."""
    head, *lines = table.splitlines()
    line = next(line for line in lines if line.split()[:1] == [module])
    return line[head.index("folded") : head.index("why")].strip()


def same(made, model, *example, within=1e-5):
    y, want = made(*example), model(*example)
    assert y.shape == want.shape and y.stride() == want.stride()
    assert (y - want).abs().max() <= within * want.pow(2).mean().sqrt()
    return y


def small(name):
    """A model of the table on an input that is quickly done."""
    model, x = models.make(name)
    return (model, torch.randn(2, 3, 64, 64)) if x.shape[-1] == 224 else (model, x)


EACH = [(name, layout) for name in models.SMALL_MODELS for layout in ("keep", "channels_last")]
EACH += [("resnet18", "auto"), ("resnet50", "channels_last"), ("vgg16", "keep"), ("mobilenet_v2", "channels_last")]


@pytest.mark.parametrize("name, layout", EACH)
def test_models_give_the_same(name, layout):
    model, x = small(name)
    within = 1e-5 if name in models.SMALL_MODELS else 1e-3  # of as many layers, whose errors add up
    before = copy.deepcopy(model.state_dict())
    made, table = optimized(model, x, layout=layout)
    kiln.torch.stats(reset=True)
    same(made, model, x, within=within)
    stats = kiln.torch.stats()
    assert stats["kiln"] > 0 and not stats["torch"]
    assert "replaced one by one" in table if name == "Untraceable" else "one by one" not in table
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    assert not any(isinstance(each, kiln.torch.Conv2d) for each in model.modules())
    if name in models.SMALL_MODELS:
        same(made, model, torch.cat([x, x])[:3])


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_all_that_can_be_folded_is(name):
    model, x = small(name)
    made, table = optimized(model, x)
    left = {type(each).__name__ for each in made.modules()}
    assert not left & {"BatchNorm2d", "ReLU", "ReLU6", "Dropout"}
    assert not [n for n in made.graph.nodes if n.op == "call_function"]
    convolutions = sum(isinstance(each, nn.Conv2d) for each in model.modules())
    assert f"{convolutions} of {convolutions} convolutions run in Kiln" in table


ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.Hardtanh(-0.3, 0.4),
    nn.LeakyReLU(0.3),
    nn.PReLU(),
    nn.PReLU(6),
    nn.SiLU(),
    nn.Hardswish(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.GELU(),
]
FUNCTIONS = [
    functional.relu,
    torch.relu,
    lambda x: functional.relu(x, inplace=True),
    lambda x: x.relu(),
    lambda x: x.relu_(),
    functional.relu6,
    lambda x: functional.hardtanh(x, -0.5),
    lambda x: functional.leaky_relu(x, negative_slope=0.2),
    lambda x: x.clamp(-0.5, 0.7),
    lambda x: torch.clamp(x, min=0),
    lambda x: torch.clamp(x, max=0.5, min=-1),
    functional.silu,
    functional.hardswish,
    torch.sigmoid,
    lambda x: x.tanh(),
    functional.gelu,
]
UNKNOWN = [
    nn.ELU(),
    lambda x: x.clamp(max=0.5),
    lambda x: torch.clamp(x, x.new_zeros(()), x.new_ones(())),
    lambda x: functional.relu(x) + 1,
    nn.Hardtanh(-float("inf"), 0.5),
] + [nn.GELU(approximate="tanh")] * ("approximate" in nn.GELU.__constants__)


class Act(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), act
        self.conv.weight.data.mul_(5)
        self.norm.running_var.uniform_(0.2, 4)
        self.norm.running_mean.normal_()

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


@pytest.mark.parametrize("act", ACTIVATIONS + FUNCTIONS)
def test_activations_are_folded(act):
    model, x = Act(act).eval(), torch.randn(1, 4, 9, 9)
    made, table = optimized(model, x, layout="keep")
    if "Kiln compiles no" not in table:
        assert [n.op for n in made.graph.nodes] == ["placeholder", *["call_module"] * 3, "output"]
    same(made, model, x)
    assert kiln.torch.stats()["torch"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(made.double(), model.double(), x.double(), within=1e-5)


@pytest.mark.parametrize("act", UNKNOWN)
def test_other_activations_are_left(act):
    model, x = Act(act).eval(), torch.randn(1, 4, 9, 9)
    made, table = optimized(model, x)
    assert "BatchNorm" in folded(table, "conv")
    same(made, model, x)


class Body(nn.Module):
    """Two convolutions and a BatchNorm, used as told."""

    def __init__(self, run):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.norm, self.relu, self.run = nn.BatchNorm2d(4), nn.ReLU(), run
        self.norm.running_mean.normal_()
        self.norm.weight.data.uniform_(0.5, 2)
        self.table = nn.Parameter(torch.randn(1, 4, 1, 1))

    def forward(self, x):
        return self.run(self, x)


def in_place_between(m, x):
    x = x * 2
    y = m.b(x)
    x.mul_(3)
    return y + x


def sum_in_place(m, x):
    z = x * 1
    y = z.add_(m.a(x))
    return y + z


# What is done with the layers, and what must be folded into which.
BODIES = {
    "the output is read twice": (lambda m, x: (lambda y: m.norm(y) + y)(m.a(x)), {"a": ""}),
    "a BatchNorm behind two": (lambda m, x: m.norm(m.a(x)) - m.norm(m.b(x)), {"a": "BatchNorm", "b": "BatchNorm"}),
    "a BatchNorm behind ReLU": (lambda m, x: m.norm(m.relu(m.a(x))), {"a": "ReLU"}),
    "a sum that is broadcast": (lambda m, x: m.a(x) + m.table, {"a": ""}),
    "a sum with a number": (lambda m, x: m.a(x) + 1, {"a": ""}),
    "a sum with a factor": (lambda m, x: torch.add(m.a(x), x, alpha=2), {"a": ""}),
    "a sum": (lambda m, x: m.relu(x + m.norm(m.a(x))), {"a": "BatchNorm add ReLU"}),
    "a sum behind ReLU": (lambda m, x: m.relu(m.a(x)).add(x).clamp(-1, 1), {"a": "ReLU add clip"}),
    "a sum with itself": (lambda m, x: (lambda y: y + y)(m.a(x)), {"a": ""}),
    "two sums": (lambda m, x: m.a(x) + x + x, {"a": "add"}),
    "a sum of two": (lambda m, x: m.a(x) + m.norm(m.b(x)), {"a": "add", "b": "BatchNorm"}),
    "one behind another": (lambda m, x: m.b(m.norm(m.a(x))), {"a": "BatchNorm", "b": ""}),
    "one module twice": (lambda m, x: m.a(m.relu(m.a(x))), {"a": "ReLU"}),
    "something in place between": (in_place_between, {"b": ""}),
    "a sum in place": (lambda m, x: (m.a(x).add_(x)), {"a": "add"}),
    "a sum in place of another": (sum_in_place, {"a": ""}),
    "a weight used elsewhere": (lambda m, x: m.norm(m.a(x)) + m.a.weight.sum(), {"a": "BatchNorm"}),
    "views": (lambda m, x: m.a(x).view(x.size(0), -1).view(x.size(0), 4, -1), {"a": ""}),
    "a slice": (lambda m, x: m.b(m.a(x)[:, :, ::2]), {"a": "", "b": ""}),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("layout", ["keep", "channels_last"])
@pytest.mark.filterwarnings("ignore:kiln.torch leaves")
def test_what_the_graph_shows(name, layout):
    run, want = BODIES[name]
    model, x = Body(run).eval(), torch.randn(2, 4, 8, 8)
    made, table = optimized(model, x, layout=layout)
    assert "one by one" not in table
    assert {each: folded(table, each) for each in want} == want
    same(made, model, x)


def test_batch_norm_in_training_mode_is_left():
    model, x = Act(nn.ReLU()).eval(), torch.randn(2, 4, 8, 8)
    model.norm.train()
    made, table = optimized(model, x)
    assert "norm computes its statistics" in table


def test_hooks_on_layers_run():
    model, x, seen = Act(nn.ReLU()).eval(), torch.randn(1, 4, 8, 8), []
    model.norm.register_forward_hook(lambda m, args, y: seen.append("norm"))
    made, table = optimized(model, x)
    seen.clear()
    same(made, Act.forward.__get__(model), x)
    assert seen == ["norm"] * 2 and "norm has hooks" in table
    model.conv.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    made, table = optimized(model, x)
    assert "it has hooks" in table
    same(made, model, x)


def test_hooks_on_a_model_keep_it_as_it_is():
    model, x = Act(nn.ReLU()).eval(), torch.randn(1, 4, 8, 8)
    model.register_forward_hook(lambda m, args, y: y + 1)
    made, table = optimized(model, x)
    assert "replaced one by one, nothing folded: the model has hooks" in table
    assert type(made) is Act and type(made.conv) is kiln.torch.Conv2d
    same(made, model, x)


class Flags(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x, mask=None):
        y = self.conv(x)
        return y if mask is None else y * mask


def test_arguments_that_are_left_out():
    model, x = Flags().eval(), torch.randn(1, 4, 8, 8)
    made, _ = optimized(model, x)
    same(made, model, x)
    made, _ = optimized(model, x, torch.full((1, 4, 1, 1), 2.0))
    same(made, model, x, torch.full((1, 4, 1, 1), 3.0))


class Outputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, pair):
        x, y = pair["x"], pair["y"]
        return {"a": (self.a(x), 3), "b": [torch.relu(self.b(y)), None]}


def test_structures_in_and_out():
    model = Outputs().eval()
    example = {"x": torch.randn(1, 4, 8, 8), "y": torch.randn(2, 4, 7, 7)}
    made, _ = optimized(model, example)
    got, want = made(example), model(example)
    assert torch.allclose(got["a"][0], want["a"][0], atol=1e-5) and got["a"][1] == 3
    assert torch.allclose(got["b"][0], want["b"][0], atol=1e-5) and got["b"][1] is None


class Own(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + 1


def test_what_is_not_done_is_told():
    model = nn.Sequential(Own(4, 4, 3), nn.ConvTranspose2d(4, 4, 3), nn.Conv2d(4, 4, 1)).eval()
    made, table = optimized(model, torch.randn(1, 4, 8, 8))
    assert "a ConvTranspose2d is not done" in table and "a Own is not done" in table
    assert "1 of 3 convolutions run in Kiln" in table
    same(made, model, torch.randn(1, 4, 8, 8))


def test_gradients_of_the_input():
    model, x = Act(nn.SiLU()).eval(), torch.randn(1, 4, 8, 8)
    made, _ = optimized(model, x)
    slopes = []
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in (model, made):
            at = x.clone().requires_grad_()
            each(at).sum().backward()
            slopes.append(at.grad)
        kiln.torch.stats(reset=True)
        made(x)  # whose parameters need none
    assert torch.allclose(*slopes, atol=1e-5)
    assert kiln.torch.stats() == {"kiln": 1, "torch": 0, "reasons": {}}


@pytest.mark.filterwarnings("ignore:kiln.torch leaves")
def test_sums_that_the_kernel_cannot_do():
    conv = nn.Conv2d(4, 4, 3, padding=1).requires_grad_(False)
    posts = Post("relu"), Post("add"), Post("clip", (-1.0, 1.0))
    made = fuse(conv, None, posts, None, "default")
    x = torch.randn(2, 4, 6, 6)
    others = [x, x.contiguous(memory_format=torch.channels_last), x[:1], x[:, :, :1, :1], torch.randn(6), x.double()]
    for other in others:
        y = made(x, other)
        assert torch.allclose(y, torch.clamp(torch.relu(conv(x)) + other, -1, 1), atol=1e-5) and y.dtype == other.dtype
    assert kiln.torch.stats()["kiln"] == len(others) - 1
    assert kiln.torch.stats()["reasons"] == {"its other summand is not of float32": 1}


def pickled(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("twin", [copy.deepcopy, pickled])
def test_copies(twin):
    model, x = small("resnet18")
    made, _ = optimized(model, x)
    other = twin(made)
    same(other, model, x, within=1e-3)
    same(made, model, x, within=1e-3)
    assert other.state_dict().keys() == made.state_dict().keys()


def test_traced_again():
    model, x = small("SiLU")
    made, _ = optimized(model, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(torch.jit.trace(made, x), model, x)
        same(torch.fx.symbolic_trace(made), model, x)
    again, _ = optimized(made, x)
    same(again, model, x)


def test_threads():
    model, x = small("mobilenet_v2")
    made, _ = optimized(model, x)
    want, wrong = model(x), []

    def work():
        with torch.no_grad():
            for _ in range(5):
                if (made(x) - want).abs().max() > 1e-3 * want.abs().max():
                    wrong.append(True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_refusals(capsys):
    model, x = Act(nn.ReLU()), torch.randn(1, 4, 8, 8)
    with pytest.raises(kiln.Error, match="model is in training mode: call model.eval\\(\\) first"):
        kiln.torch.optimize(model, x)
    model.eval()
    with pytest.raises(kiln.Error, match="model is of type function"):
        kiln.torch.optimize(test_refusals, x)
    with pytest.raises(kiln.Error, match="layout is 'nhwc': must be one of auto, keep, channels_last"):
        kiln.torch.optimize(model, x, layout="nhwc")
    with pytest.raises(kiln.Error, match="accuracy is"):
        kiln.torch.optimize(model, x, accuracy="good")
    with pytest.raises(RuntimeError):
        kiln.torch.optimize(model, x[:, :3])
    kiln.torch.optimize(model, x, verbose=False)
    assert capsys.readouterr().out == ""
    kiln.torch.optimize(model, x)
    assert "1 of 1 convolutions run in Kiln" in capsys.readouterr().out


def test_a_single_convolution_is_a_model():
    model, x = nn.Conv1d(4, 4, 3).eval(), torch.randn(1, 4, 8)
    made, table = optimized(model, x)
    same(made, model, x)
    assert "1 of 1" in table and type(made) is kiln.torch.Conv1d


def test_shared_layers_without_a_graph():
    conv, relu = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
    model, x = nn.Sequential(conv, relu, conv, conv).eval(), torch.randn(1, 4, 8, 8)
    model.register_forward_hook(lambda m, args, y: y)
    made, _ = optimized(model, x)
    assert made[0] is made[2] is made[3] and type(made[0]) is kiln.torch.Conv2d
    same(made, model, x)


def test_weight_norm():
    conv = nn.utils.weight_norm(nn.Conv2d(4, 4, 3))
    model, x = nn.Sequential(conv, nn.ReLU()).eval(), torch.randn(1, 4, 8, 8)
    made, table = optimized(model, x)
    assert "it has hooks" in table and "1 of 1" in table
    same(made, model, x)


def test_the_input_stays_in_channels_last():
    model, x = Act(nn.ReLU()).eval(), torch.randn(1, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    made, table = optimized(model, x)
    assert "layout: keep\n" in table
    assert made(x).is_contiguous(memory_format=torch.channels_last)
    same(made, model, x)
    same(made, model, x.contiguous())


def test_inference_mode():
    model, x = Act(nn.ReLU()).eval(), torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        made, _ = optimized(model, x)
        same(made, model, x)
    same(made, model, x)
    assert not kiln.torch.stats()["torch"]

@pytest.mark.parametrize("shape", [(1, 20), (3, 20), (20,), (2, 3, 20)])
def test_linear_layers_are_convolutions(shape):
    linear = nn.Linear(20, 12).requires_grad_(False)
    made = fuse(linear, None, (Post("add"), Post("relu")), None, "default")
    x, other = torch.randn(shape), torch.randn(*shape[:-1], 12)
    want = torch.relu(linear(x) + other)
    for rows in (x, x.t().contiguous().t()) if x.dim() == 2 else (x,):
        y = made(rows, other)
        assert y.shape == want.shape and torch.allclose(y, want, atol=1e-5)
    assert kiln.torch.stats()["torch"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.allclose(copy.deepcopy(made).double()(x.double(), other.double()).float(), want, atol=1e-5)


def test_linear_layers_of_models():
    layers = [nn.Linear(144, 2000), nn.BatchNorm1d(2000), nn.ReLU(), nn.Linear(2000, 5)]
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), *layers).eval(), torch.randn(1, 3, 8, 8)
    made, table = optimized(model, x)
    same(made, model, x)
    same(made, model, torch.randn(7, 3, 8, 8))
    assert "1 of 1 convolutions" in table


def test_a_sum_is_never_with_what_was_added_before():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            return self.conv(x) + x

    fast = kiln.torch.optimize(Residual().eval(), torch.ones(1, 4, 8, 8), verbose=False)
    x = torch.ones(1, 4, 8, 8)
    with torch.no_grad():
        fast(x)
        with pytest.raises(kiln.Error, match="add is missing"):
            fast.conv(x)
