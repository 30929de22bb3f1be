"""conv1d and conv2d against the plain nest, and against PyTorch where it is installed."""

import random

import numpy
import pytest

import kiln
from reference import assert_close, channels_last, conv2d, normal

try:
    import torch
except ImportError:
    torch = None

CASES = 120


def arguments(seed):
    """Random arguments, with an output left."""
    r = random.Random(seed)
    while True:
        groups = r.choice([1, 1, 1, 2, 3])
        depthwise = r.random() < 0.15
        ic = r.randint(1, 9) if depthwise else groups * r.randint(1, 9)
        groups = ic if depthwise else groups
        oc = groups * r.randint(1, 9)
        kernel = r.randint(1, 4), r.randint(1, 4)
        asked = {
            "stride": r.choice([1, 2, (1, 2), (3, 1)]),
            "padding": r.choice([0, 1, (2, 0), (0, 3)]),
            "dilation": r.choice([1, 1, 2, (1, 3)]),
            "groups": groups,
        }
        x = normal(seed, r.randint(1, 3), ic, r.randint(1, 20), r.randint(1, 20))
        w = normal(seed + 1, oc, ic // groups, *kernel)
        bias = normal(seed + 2, oc) if r.random() < 0.5 else None
        extents = zip(x.shape[2:], kernel, *[v if isinstance(v, tuple) else (v, v) for v in list(asked.values())[1:3]])
        if all(i + 2 * p >= (k - 1) * d + 1 for i, k, p, d in extents):
            return x, w, bias, asked


@pytest.mark.parametrize("seed", range(CASES))
def test_random_arguments(seed):
    x, w, bias, asked = arguments(seed)
    want = conv2d(x, w, bias, **asked)
    if torch:
        of_torch = [None if a is None else torch.from_numpy(a) for a in (x, w, bias)]
        assert_close(torch.nn.functional.conv2d(*of_torch, **asked).numpy(), want)
    assert_close(kiln.conv2d(x, w, bias, **asked), want)
    last = kiln.conv2d(channels_last(x), w, bias, **asked)
    assert_close(last, want)


@pytest.mark.parametrize("convert", [lambda a: a, channels_last])
def test_the_output_has_the_layout_of_the_input(convert):
    x = convert(normal(1, 2, 3, 5, 7))
    y = kiln.conv2d(x, normal(2, 4, 3, 3, 3))
    assert convert(y).strides == y.strides and y.flags.owndata


@pytest.mark.parametrize("convert", [lambda a: a, channels_last])
def test_conv1d(convert):
    x, w, bias = normal(1, 2, 4, 17), normal(2, 6, 2, 3), normal(3, 6)
    want = conv2d(x[:, :, None], w[:, :, None], bias, (1, 2), (0, 1), (1, 2), 2)[:, :, 0]
    assert_close(kiln.conv1d(convert(x), w, bias, stride=2, padding=1, dilation=(2,), groups=2), want)


def test_paddings():
    x, w = normal(1, 1, 3, 9, 8), normal(2, 2, 3, 3, 3)
    assert_close(kiln.conv2d(x, w, padding="valid"), conv2d(x, w))
    assert_close(kiln.conv2d(x, w, padding="same"), conv2d(x, w, padding=1))
    assert_close(kiln.conv2d(x, w, padding=((1, 0), [2, 1])), conv2d(x, w, padding=2)[:, :, 1:-2, :-1])
    assert kiln.conv2d(x, w, padding="same", stride=2).shape == (1, 2, 5, 4)


def test_post_ops_and_accuracy():
    x, w, bias = normal(1, 1, 3, 9, 8), normal(2, 2, 3, 3, 3), normal(3, 2)
    assert_close(kiln.conv2d(x, w, bias, post="+relu", accuracy="strict"), conv2d(x, w, bias).clip(0))
    assert_close(kiln.conv2d(x, w, post="+clip(-1,1)"), conv2d(x, w).clip(-1, 1))


def test_arguments_that_are_equal_are_one():
    context = kiln.Context(cache="off")
    x, w = normal(1, 1, 3, 8, 8), normal(2, 4, 3, 3, 3)
    asked = [1, 1.0, True, numpy.int64(1), (1, 1), [1, 1], numpy.float32(1)]
    ys = [kiln.conv2d(x, w, stride=s, padding=s, context=context) for s in asked]
    assert all((y == ys[0]).all() for y in ys)
    assert context.stats()["compiles"] == 1
    assert len(context._calls) == 2  # of numbers, and of pairs: lists are remembered as such


def test_new_weights_in_the_same_memory_count():
    x, w = normal(1, 1, 3, 8, 8), normal(2, 4, 3, 3, 3)
    before = kiln.conv2d(x, w)
    w *= 2
    assert_close(kiln.conv2d(x, w), 2.0 * before)


@pytest.mark.parametrize("kernel", [64, 1024])  # of channels: packed weights kept from call to call, and not
def test_weights_of_any_size(kernel):
    x, w = normal(1, 1, kernel, 3, 3), normal(2, kernel, kernel, 1, 1)
    for _ in range(2):
        assert_close(kiln.conv2d(x, w), conv2d(x, w))


def test_out():
    x, w = normal(1, 1, 3, 8, 8), normal(2, 4, 3, 3, 3)
    out = numpy.full((1, 4, 6, 6), numpy.nan, "f4")
    assert kiln.conv2d(x, w, out=out) is not None
    assert_close(out, conv2d(x, w))


def test_subclasses_and_read_only_inputs(tmp_path):
    x, w = normal(1, 1, 3, 8, 8), normal(2, 4, 3, 3, 3)
    numpy.save(tmp_path / "x.npy", x)
    mapped = numpy.load(tmp_path / "x.npy", mmap_mode="r")
    w.flags.writeable = False
    assert_close(kiln.conv2d(mapped, w), conv2d(x, w))


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
def test_what_is_not_finite_spreads_under_strict(value):
    x, w = normal(1, 1, 2, 12, 12), normal(2, 3, 2, 3, 3)
    x[0, 1, 5, 6] = value
    finite = numpy.isfinite(kiln.conv2d(x, w, accuracy="strict"))
    assert not finite[:, :, 3:6, 4:7].any()
    assert finite.sum() == finite.size - 3 * 9
    assert not numpy.isfinite(kiln.conv2d(x, w)[:, :, 3:6, 4:7]).any()


@pytest.mark.parametrize("last", [False, True])
def test_under_strict_nan_and_infinities_are_those_of_the_plain_sum(last):
    x, w = normal(1, 2, 5, 12, 12), normal(2, 7, 5, 3, 3)
    x[0, 1, 5, 6] = x[1, 4, 0, 11] = numpy.inf
    x[0, 3, 6, 8] = -numpy.inf  # meets the other infinity
    x[1, 2, 11, 0], w[3, 0, 1, 1] = numpy.nan, numpy.inf
    with numpy.errstate(invalid="ignore"):
        want = conv2d(x, w, padding=1).astype("f4")
    y = kiln.conv2d(channels_last(x) if last else x, w, padding=1, accuracy="strict")
    assert numpy.isnan(want).any() and numpy.isinf(want).any() and numpy.isfinite(want).any()
    numpy.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)


def test_under_strict_no_weight_meets_padding():
    x, w = normal(1, 1, 2, 6, 6), normal(2, 3, 2, 3, 3)
    w[:, 0, 0, 0] = numpy.inf  # the first row and the first column of outputs are without it
    y = kiln.conv2d(x, w, padding=1, accuracy="strict")
    assert numpy.isfinite(y[:, :, 0]).all() and numpy.isfinite(y[:, :, :, 0]).all()
    assert numpy.isinf(y[:, :, 1:, 1:]).all()


class Dlpack:
    """An array that offers nothing but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **asked):
        return self.array.__dlpack__(**asked)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("convert", [lambda a: a, channels_last])
def test_dlpack(convert):
    x, w, bias = convert(normal(1, 1, 3, 8, 8)), normal(2, 4, 3, 3, 3), normal(3, 4)
    assert_close(kiln.conv2d(Dlpack(x), Dlpack(w), Dlpack(bias)), conv2d(x, w, bias))


@pytest.mark.skipif(not torch, reason="no PyTorch")
def test_torch_tensors():
    x, w = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
    want = torch.nn.functional.conv2d(x, w).numpy().astype("f8")
    assert_close(kiln.conv2d(x, w), want)
    y = kiln.conv2d(x.to(memory_format=torch.channels_last), w)
    assert_close(y, want)
    assert torch.from_numpy(y).is_contiguous(memory_format=torch.channels_last)
