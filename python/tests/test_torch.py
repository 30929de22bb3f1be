"""kiln.torch.Conv1d and Conv2d: torch.nn's in all that can be seen, and what ran where."""

import copy
import io
import os
import pickle
import subprocess
import sys
import threading
import warnings

import pytest

torch = pytest.importorskip("torch")
import kiln.torch
from torch import nn
from torch.nn import functional


@pytest.fixture(autouse=True)
def counted():
    torch.manual_seed(1)
    kiln.torch.stats(reset=True)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def twins(*args, **kwargs):
    """A convolution of torch's and one of Kiln's with the same parameters."""
    kind = "Conv1d" if kwargs.pop("one", False) else "Conv2d"
    torch.manual_seed(2)
    theirs = getattr(nn, kind)(*args, **kwargs)
    torch.manual_seed(2)
    ours = getattr(kiln.torch, kind)(*args, **kwargs)
    return theirs, ours


def agree(theirs, ours, x, ran=1):
    """That both give the same, in the same layout; ran: how often in Kiln."""
    before = kiln.torch.stats()["kiln"]
    with torch.no_grad():
        want, y = theirs(x), ours(x)
    assert y.shape == want.shape and y.dtype == want.dtype
    assert torch.allclose(y, want, rtol=1e-4, atol=1e-4 * float(want.pow(2).mean().sqrt()))
    assert kiln.torch.stats()["kiln"] - before == ran
    return y


def refused(run, reason):
    """That Kiln leaves what run does to torch for that reason, and warns of it only the first time."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run()
        y = run()
    stats = kiln.torch.stats()
    assert stats["kiln"] == 0 and stats["torch"] == sum(stats["reasons"].values()) > 0
    assert any(reason in each for each in stats["reasons"]), stats
    assert sum("kiln.torch" in str(each.message) for each in told) == len(stats["reasons"])
    return y


CASES = [
    ((3, 8, 3), {}),
    ((3, 8, (3, 5)), {"padding": (1, 2), "stride": (2, 1)}),
    ((8, 8, 3), {"padding": "same", "dilation": 2}),
    ((8, 8, (2, 4)), {"padding": "same"}),
    ((8, 12, 3), {"padding": "valid", "bias": False}),
    ((8, 8, 3), {"groups": 8, "padding": 1}),
    ((8, 16, 1), {"groups": 2, "stride": 2}),
    ((4, 4, 3), {"padding": 2, "padding_mode": "reflect"}),
    ((4, 4, 3), {"padding": (1, 3), "padding_mode": "replicate"}),
    ((4, 4, 5), {"padding": "same", "padding_mode": "circular"}),
    ((1, 1, 3), {"padding": 1}),
]


@pytest.mark.parametrize("args, kwargs", CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_conv2d_is_torchs(args, kwargs, layout):
    theirs, ours = twins(*args, **kwargs)
    x = torch.randn(2, args[0], 11, 9).contiguous(memory_format=layout)
    assert agree(theirs, ours, x).is_contiguous(memory_format=layout)
    if kwargs.get("padding_mode") != "circular":  # which torch 1.13 refuses without a batch
        agree(theirs, ours, x[0])
    assert repr(ours) == repr(theirs)


CASES_1D = [((3, 8, 3), {}), ((8, 4, 4), {"padding": "same"}), ((4, 4, 3), {"groups": 4})]


@pytest.mark.parametrize("args, kwargs", CASES_1D)
def test_conv1d_is_torchs(args, kwargs):
    theirs, ours = twins(*args, **kwargs, one=True)
    x = torch.randn(2, args[0], 20)
    for each in (x, x[0], x.transpose(1, 2).contiguous().transpose(1, 2)):
        y = agree(theirs, ours, each)
        assert y.is_contiguous() == each.is_contiguous()


def test_initialisation_and_checkpoints_are_torchs():
    theirs, ours = twins(4, 6, 3, groups=2)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    for a, b in zip(theirs.parameters(), ours.parameters()):
        assert torch.equal(a, b)
    with torch.no_grad():
        theirs.weight.add_(1)
    x = torch.randn(1, 4, 8, 8)
    agree(ours, ours, x, ran=2)
    assert not ours.load_state_dict(theirs.state_dict()).missing_keys
    agree(theirs, ours, x)
    theirs.load_state_dict(ours.state_dict())
    assert isinstance(ours, nn.Conv2d)


def double(w):
    w.mul_(2)


def data(w):
    w.data.mul_(2)


def storage(w):
    w.data = w.data * 2


@pytest.mark.parametrize("change", [double, data, storage])
def test_changed_weights_are_seen(change):
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)
    agree(theirs, ours, x)
    with torch.no_grad():
        for each in (theirs, ours):
            change(each.weight)
            change(each.bias)
    agree(theirs, ours, x)
    for each in (theirs, ours):
        each.weight = nn.Parameter(torch.ones_like(each.weight))
        each.bias = None
    with torch.no_grad():
        ours(x)  # another form of parameters: torch's once
    agree(theirs, ours, x)


def test_one_changed_weight_behind_torchs_back_needs_repack():
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)
    agree(theirs, ours, x)
    for each in (theirs, ours):
        each.weight.data[5, 3] = 9
    ours.repack()
    agree(theirs, ours, x)


def test_changed_fields_are_seen():
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(1, 4, 9, 9)
    agree(theirs, ours, x)
    for each in (theirs, ours):
        each.stride, each.padding, each.dilation = (2, 2), (2, 2), (2, 2)
    agree(theirs, ours, x)


def test_weights_that_are_computed():
    theirs, ours = twins(4, 6, 3)
    theirs, ours = nn.utils.weight_norm(theirs), nn.utils.weight_norm(ours)
    x = torch.randn(1, 4, 8, 8)
    for _ in range(3):
        with torch.no_grad():
            for each in (theirs, ours):
                each.weight_g.add_(1)
        agree(theirs, ours, x)


def test_weights_in_channels_last():
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)
    agree(theirs, ours, x)
    agree(theirs, ours.to(memory_format=torch.channels_last), x)


def test_accuracy():
    x = torch.randn(1, 4, 12, 12)
    x[0, 0, 0, 0] = float("nan")
    strict = kiln.torch.Conv2d(4, 4, 3, accuracy="strict")
    assert "accuracy=strict" in repr(strict)
    with torch.no_grad():
        y = strict(x)
        assert torch.equal(y.isnan(), strict._conv_forward(x, strict.weight, strict.bias).isnan())
    with pytest.raises(kiln.Error, match="accuracy is 'best': must be one of default, strict, fast"):
        kiln.torch.Conv2d(4, 4, 3, accuracy="best")


def test_autograd_is_torchs():
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)

    def run():
        ours.zero_grad()
        ours(x).sum().backward()

    refused(run, "autograd records it")
    theirs(x).sum().backward()
    assert torch.equal(theirs.weight.grad, ours.weight.grad)
    for each in ours.parameters():
        each.requires_grad_(False)
    ours(x)
    assert kiln.torch.stats()["kiln"] == 1


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda x: x[:, :, ::2], "not dense"),
        (lambda x: x.flip(2)[:, :, :, 1:], "not dense"),
        (lambda x: x[:, :, :1].expand(1, 4, 8, 8), "not dense"),
        (lambda x: x.transpose(2, 3), "not dense"),
        (lambda x: x[:0], "are empty"),
        (lambda x: torch._neg_view(x), "negated"),
        (lambda x: x.to_mkldnn(), "not strided"),
    ],
)
def test_inputs_that_are_torchs(change, reason):
    theirs, ours = twins(4, 6, 3)
    x = change(torch.randn(1, 4, 8, 8))
    with torch.no_grad():
        if reason == "not strided":
            theirs, ours = (each.requires_grad_(False) for each in (theirs, ours))
        y = refused(lambda: ours(x), reason)
        want = theirs(x)
    if y.layout is torch.strided:
        assert torch.allclose(y, want, atol=1e-5)


def test_other_types_and_devices_are_torchs():
    theirs, ours = twins(4, 6, 3, dtype=torch.float64)
    x = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(refused(lambda: ours(x), "not of float32"), theirs(x))
    kiln.torch.stats(reset=True)
    meta = kiln.torch.Conv2d(4, 6, 3, device="meta")
    with torch.no_grad():
        assert refused(lambda: meta(torch.empty(1, 4, 8, 8, device="meta")), "not on the CPU").shape == (1, 6, 6, 6)


def test_parameters_of_another_type_are_torchs_error():
    for each in twins(4, 6, 3, dtype=torch.float64):
        with torch.no_grad(), warnings.catch_warnings(), pytest.raises(RuntimeError):
            warnings.simplefilter("ignore")
            each(torch.randn(1, 4, 8, 8))


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 4, 2, 8), (4, 8), (1, 1, 4, 8, 8), (8,), ()])
def test_wrong_shapes_are_torchs_errors(shape):
    theirs, ours = twins(4, 6, 3)
    said = []
    for each in (theirs, ours):
        with torch.no_grad(), warnings.catch_warnings(), pytest.raises((RuntimeError, ValueError)) as error:
            warnings.simplefilter("ignore")
            each(torch.zeros(shape))
        said.append(str(error.value))
    assert said[0] == said[1]


def test_what_is_no_tensor_is_torchs_error():
    for each in twins(4, 6, 3):
        with warnings.catch_warnings(), pytest.raises(TypeError):
            warnings.simplefilter("ignore")
            each([1.0])


def test_a_bias_of_a_wrong_shape_is_torchs_error():
    ours = kiln.torch.Conv2d(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours(x)
        ours.bias = nn.Parameter(torch.zeros(1000000))
        with pytest.raises(RuntimeError):
            ours(x)
        ours.bias = nn.Parameter(torch.zeros(1))
        with pytest.raises(RuntimeError):
            ours(x)
        ours.bias = nn.Parameter(torch.ones(6))
    agree(copy.deepcopy(ours), ours, x, ran=2)
    ours.weight = nn.Parameter(torch.ones(4))
    with torch.no_grad(), warnings.catch_warnings(), pytest.raises(RuntimeError):
        warnings.simplefilter("ignore")
        ours(x)


def test_weights_that_are_expanded():
    theirs, ours = twins(4, 6, 3, bias=False)
    for each in (theirs, ours):
        each.weight = nn.Parameter(torch.full((1, 1, 1, 1), 0.5).expand(6, 4, 3, 3))
    agree(theirs, ours, torch.randn(1, 4, 8, 8))


def test_other_inputs_keep_their_plans():
    ours = kiln.torch.Conv2d(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours(x)
        kept = next(iter(ours._engine._forms.values()))
        ours(x[:0])
        ours(x[:, :, ::2])
        ours(x)
        assert next(iter(ours._engine._forms.values())) is kept


class Wrapped(torch.Tensor):
    pass


def test_subclasses_are_torchs():
    ours = kiln.torch.Conv2d(4, 6, 3)
    with torch.no_grad():
        y = refused(lambda: ours(torch.randn(1, 4, 8, 8).as_subclass(Wrapped)), "not a plain tensor")
    assert type(y) is Wrapped


def test_tracing_and_scripting():
    theirs, ours = twins(4, 6, 3, padding=1, padding_mode="circular")
    x, other = torch.randn(1, 4, 8, 8), torch.randn(2, 4, 9, 9)
    model = nn.Sequential(ours, nn.ReLU()).eval()
    made = {"script": torch.jit.script(model)}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made["trace"] = torch.jit.trace(model, x)
        made["fx"] = torch.fx.symbolic_trace(model)
        for each in made.values():
            assert torch.allclose(each(other), functional.relu(theirs(other)), atol=1e-5)
    torch.jit.save(made["script"], io.BytesIO())


def test_function_transforms():
    functorch = pytest.importorskip("functorch")
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(3, 2, 4, 8, 8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours(x[0])
        assert torch.allclose(functorch.vmap(ours)(x), functorch.vmap(theirs)(x), atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = (functorch.grad(lambda v: each(v).sum())(x[0]) for each in (theirs, ours))
        assert torch.allclose(a, b)
        tangent = torch.randn_like(x[0])
        a, b = (functorch.jvp(each, (x[0],), (tangent,))[1] for each in (theirs, ours))
        assert torch.allclose(a, b)


def test_compile():
    if not hasattr(torch, "compile"):
        pytest.skip("this torch has no compile")
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        assert torch.allclose(torch.compile(ours, backend="eager", fullgraph=True)(x), theirs(x), atol=1e-5)


def test_autocast_is_torchs():
    theirs, ours = twins(4, 6, 3)
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert refused(lambda: ours(x), "autocast").dtype == theirs(x).dtype


def test_inference_mode():
    theirs, ours = twins(4, 6, 3)
    with torch.inference_mode():
        x = torch.randn(1, 4, 8, 8)
        assert ours(x).is_inference()
        agree(theirs, ours, x)
        born = kiln.torch.Conv2d(4, 6, 3)
        kiln.torch.stats(reset=True)
        refused(lambda: born(x), "inference tensor")


def test_hooks_run():
    seen = []
    ours = kiln.torch.Conv2d(4, 6, 3)
    ours.register_forward_hook(lambda module, args, y: seen.append(tuple(y.shape)))
    with torch.no_grad():
        ours(torch.randn(1, 4, 8, 8))
    assert seen == [(1, 6, 6, 6)]


def pickled(module):
    return pickle.loads(pickle.dumps(module))


def saved(module):
    stored = io.BytesIO()
    torch.save(module, stored)
    stored.seek(0)
    if "weights_only" in torch.load.__kwdefaults__:
        return torch.load(stored, weights_only=False)
    return torch.load(stored)


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, pickled, saved])
def test_copies(twin):
    theirs, ours = twins(4, 6, 3, padding="same")
    x = torch.randn(1, 4, 8, 8)
    agree(theirs, ours, x)
    agree(theirs, twin(ours), x)
    agree(theirs, ours, x)


def test_forms_are_bounded():
    from kiln.torch import _engine

    theirs, ours = twins(1, 1, 1, one=True)
    for length in range(1, 40):
        agree(theirs, ours, torch.randn(1, 1, length))
    assert len(ours._engine._forms) == _engine.FORMS_MOST


def test_threads_follow_torchs():
    from kiln.torch import _engine

    theirs, ours = twins(8, 16, 3)
    x = torch.randn(4, 8, 40, 40)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        agree(theirs, ours, x)
        assert _engine.context_of(threads).stats()["threads"] == min(threads, len(os.sched_getaffinity(0)))


def test_many_threads_call_one_module():
    theirs, ours = twins(8, 8, 3, padding=1)
    inputs = [torch.randn(1, 8, 8 + i % 3, 16) for i in range(16)]
    with torch.no_grad():
        wants = [theirs(x) for x in inputs]
    wrong = []

    def work(i):
        with torch.no_grad():
            for _ in range(50):
                if not torch.allclose(ours(inputs[i]), wants[i], atol=1e-4):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_a_forked_child_runs():
    theirs, ours = twins(8, 8, 3)
    x = torch.randn(1, 8, 8, 8)
    agree(theirs, ours, x)
    child = os.fork()
    if child == 0:
        with torch.no_grad():
            y = ours(x)
            y = ours(torch.randn(1, 8, 12, 12))
        os._exit(0 if y.shape == (1, 8, 10, 10) and kiln.torch.stats()["kiln"] == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_kiln_alone_does_not_need_torch():
    code = "import sys; sys.modules['torch'] = None; import kiln; print(kiln.library_version())"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
