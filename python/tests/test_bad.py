"""Bad input at the border: an exception with a status and a sentence, and never a crash."""

import ctypes
import mmap
import pickle

import numpy
import pytest

import kiln
from reference import assert_close, channels_last, conv2d, normal

try:
    import torch
except ImportError:
    torch = None

X, W, BIAS = normal(1, 2, 4, 8, 8), normal(2, 6, 4, 3, 3), normal(3, 6)
TEXT = "conv n2 ic4 ih8 iw8 oc6 kh3 kw3 nchw +bias"


def misaligned(array):
    memory = numpy.empty(array.nbytes + 1, "u1")
    moved = memory[1:].view("f4").reshape(array.shape)
    moved[...] = array
    return moved


def read_only(*shape):
    array = numpy.empty(shape, "f4")
    array.flags.writeable = False
    return array


class Device:
    def __init__(self, device=(2, 0)):
        self.device = device

    def __dlpack__(self, **_):
        assert self.device == (1, 0), "asked for memory on another device"
        return "no capsule"

    def __dlpack_device__(self):
        return self.device


class Raising(Device):
    def __dlpack_device__(self):
        raise RuntimeError("no device at all")


# Changed arguments of conv2d(X, W, BIAS), and what is told.
BAD = [
    ({"x": X.astype("f8")}, "unsupported", "x is of dtype float64: only float32"),
    ({"x": X.astype("f2")}, "unsupported", "x is of dtype float16"),
    ({"x": X.astype(">f4")}, "unsupported", "x is of dtype >f4"),
    ({"x": X.astype("O")}, "unsupported", "x is of dtype object"),
    ({"x": X.astype("c8")}, "unsupported", "x is of dtype complex64"),
    ({"x": X > 0}, "unsupported", "x is of dtype bool"),
    ({"x": X.astype("U8")}, "unsupported", "x is of dtype <U8"),
    ({"x": X.view([("a", "f4")])}, "unsupported", r"x is of dtype \[\('a', '<f4'\)\]"),
    ({"w": W.astype("f8")}, "unsupported", "w is of dtype float64"),
    ({"w": W.astype("i4")}, "unsupported", "w is of dtype int32"),
    ({"bias": BIAS.astype("f8")}, "unsupported", "bias is of dtype float64"),
    ({"x": X[:, :, ::-1]}, "invalid", r"x has the shape .* and strides \(1024, 256, -32, 4\): must be dense"),
    ({"x": X[:, :, :, ::-1]}, "invalid", "x has the shape .* and strides"),
    ({"x": X[::-1]}, "invalid", "x has the shape .* and strides"),
    ({"x": X[:, :, ::2]}, "invalid", "x has the shape .* and strides"),
    ({"x": X[:, :, 1:]}, "invalid", "x has the shape .* and strides"),
    ({"x": X[:, :, :, 1:]}, "invalid", "x has the shape .* and strides"),
    ({"x": X.transpose(0, 1, 3, 2)}, "invalid", "x has the shape .* and strides"),
    ({"x": X.transpose(2, 1, 0, 3)}, "invalid", "x has the shape .* and strides"),
    ({"x": numpy.broadcast_to(X[:1], X.shape)}, "invalid", "x has the shape .* and strides"),
    ({"x": numpy.broadcast_to(numpy.float32(1), X.shape)}, "invalid", "x has the shape .* and strides"),
    ({"x": numpy.broadcast_to(numpy.float32(1), (2**31, 4, 3, 3))}, "invalid", "x has the shape .* and strides"),
    ({"x": channels_last(X)[:, :2], "w": W[:, :2].copy()}, "invalid", "x has the shape .* and strides"),
    ({"x": misaligned(X)}, "invalid", "x is not aligned: its address must be a multiple of 4"),
    ({"w": misaligned(W)}, "invalid", "w is not aligned"),
    ({"bias": misaligned(BIAS)}, "invalid", "bias is not aligned"),
    ({"w": channels_last(W)}, "invalid", "w has the strides .*: must be C-contiguous"),
    ({"w": W[:, :, ::-1]}, "invalid", "w has the shape .* and strides"),
    ({"w": W[:, :, 1:]}, "invalid", "w has the shape .* and strides"),
    ({"bias": normal(1, 12)[::2]}, "invalid", r"bias has the strides \(8,\): must be dense, here \(4,\)"),
    ({"bias": BIAS[::-1]}, "invalid", r"bias has the strides \(-4,\)"),
    ({"bias": normal(1, 5)}, "invalid", r"bias has the shape \(5,\): must be \(6,\)"),
    ({"bias": BIAS[:, None]}, "invalid", r"bias has the shape \(6, 1\): must be \(6,\)"),
    ({"x": X[:0]}, "invalid", r"x has the shape \(0, 4, 8, 8\): every extent must be at least 1"),
    ({"x": X[:, :, :0]}, "invalid", "every extent must be at least 1"),
    ({"w": W[:0]}, "invalid", r"w has the shape \(0, 4, 3, 3\): every extent"),
    ({"w": W[:, :, :, :0]}, "invalid", r"w has the shape \(6, 4, 3, 0\): every extent"),
    ({"x": X[0]}, "invalid", r"x has the shape \(4, 8, 8\): must have 4 axes"),
    ({"x": X[None]}, "invalid", r"x has the shape \(1, 2, 4, 8, 8\): must have 4 axes"),
    ({"bias": numpy.array(1, "f4")}, "invalid", r"bias has the shape \(\): must be \(6,\)"),
    ({"bias": BIAS[:0]}, "invalid", r"bias has the shape \(0,\): every extent must be at least 1"),
    ({"x": X[0, 0, 0, 0]}, "invalid", "x is of type float32: must be a NumPy array"),
    ({"x": numpy.array(1, "f4")}, "invalid", r"x has the shape \(\): must have 4 axes"),
    ({"w": W[0]}, "invalid", r"w has the shape \(4, 3, 3\): must have 4 axes"),
    ({"w": W[:, :3].copy()}, "invalid", r"w has the shape \(6, 3, 3, 3\) and x \(2, 4, 8, 8\): with groups 1"),
    ({"groups": 2}, "invalid", "with groups 2 the second axis of w must be that of x divided by 2, 2"),
    ({"groups": 0}, "invalid", "groups is 0: must be a whole number from 1"),
    ({"groups": -1}, "invalid", "groups is -1"),
    ({"groups": 1.5}, "invalid", "groups is 1.5"),
    ({"groups": "1"}, "invalid", "groups is '1'"),
    ({"groups": False}, "invalid", "groups is False"),
    ({"groups": None}, "invalid", "groups is None"),
    ({"groups": 4, "w": W[:, :1].copy()}, "invalid", "g is 4: it must divide oc"),
    ({"stride": 0}, "invalid", r"stride \(h\) is 0: must be a whole number from 1"),
    ({"stride": (1, -1)}, "invalid", r"stride \(w\) is -1"),
    ({"stride": (1, 1, 1)}, "invalid", r"stride is \(1, 1, 1\): must be a number, or 2 of them"),
    ({"stride": "2"}, "invalid", r"stride \(h\) is '2'"),
    ({"stride": None}, "invalid", r"stride \(h\) is None"),
    ({"stride": numpy.nan}, "invalid", r"stride \(h\) is nan"),
    ({"stride": numpy.inf}, "invalid", r"stride \(h\) is inf"),
    ({"stride": ([1], [1])}, "invalid", r"stride \(h\) is \[1\]"),
    ({"stride": {}}, "invalid", r"stride \(h\) is {}"),
    ({"stride": numpy.array([1, 1])}, "invalid", r"stride \(h\) is array"),
    ({"stride": 2**32 + 1}, "invalid", r"stride \(h\) is 4294967297"),
    ({"dilation": 0}, "invalid", r"dilation \(h\) is 0"),
    ({"dilation": 9}, "invalid", "to leave an output"),
    ({"padding": -1}, "invalid", r"padding \(h\) is -1"),
    ({"padding": 0.5}, "invalid", r"padding \(h\) is 0.5"),
    ({"padding": None}, "invalid", r"padding \(h\) is None"),
    ({"padding": b"same"}, "invalid", r"padding \(h\) is b'same'"),
    ({"padding": "full"}, "invalid", "padding is 'full': must be 'valid' or 'same'"),
    ({"padding": (1,)}, "invalid", r"padding is \(1,\)"),
    ({"padding": ((1, 2, 3), 1)}, "invalid", r"padding \(h\) is \(1, 2, 3\)"),
    ({"padding": 2**31 - 1, "stride": 1}, "invalid", "bytes"),
    ({"mode": "zero"}, "invalid", "mode is 'zero': must be one of zeros, reflect, replicate, circular"),
    ({"mode": "reflect", "padding": 1}, "unsupported", "padding modes other than zeros"),
    ({"mode": None}, "invalid", "mode is None"),
    ({"accuracy": "exact"}, "invalid", "accuracy is 'exact': must be one of default, strict, fast"),
    ({"post": "relu"}, "invalid", "post is 'relu': must be a str of post-ops, such as '[+]relu'"),
    ({"post": "+nothing"}, "invalid", "nothing"),
    ({"post": "+relu | direct"}, "invalid", "post is"),
    ({"post": "+relu\0"}, "invalid", "zero character"),
    ({"post": 1}, "invalid", "post is 1"),
    ({"post": "+add"}, "invalid", "post-ops that read tensors are for kiln.Plan"),
    ({"post": "+bias", "bias": None}, "invalid", "post-ops that read tensors are for kiln.Plan"),
    ({"post": "+relu " * 8}, "invalid", "post"),
    ({"x": None}, "invalid", "x is of type NoneType: must be a NumPy array, or have __dlpack__"),
    ({"x": X.tolist()}, "invalid", "x is of type list"),
    ({"x": True}, "invalid", "x is of type bool"),
    ({"x": "x.npy"}, "invalid", "x is of type str"),
    ({"x": memoryview(X)}, "invalid", "x is of type memoryview"),
    ({"w": 3}, "invalid", "w is of type int"),
    ({"bias": 1.0}, "invalid", "bias is of type float"),
    ({"x": numpy.ma.masked_greater(X, 1)}, "invalid", "x is a masked array"),
    ({"context": 3}, "invalid", "context is of type int: must be a kiln.Context"),
    ({"x": Device()}, "invalid", "x is on a device of DLPack's kind 2: must be on the CPU, which is 1"),
    ({"x": Device(("cuda", 0))}, "invalid", "x cannot be read through DLPack: .*cuda"),
    ({"x": Device(None)}, "invalid", "x cannot be read through DLPack"),
    ({"x": Device((1, 0))}, "invalid", "x cannot be read through DLPack"),
    ({"w": Raising()}, "invalid", "w cannot be read through DLPack: no device at all"),
    ({"out": read_only(2, 6, 6, 6)}, "invalid", "out is read-only"),
    ({"out": numpy.empty((2, 6, 6, 6), "f8")}, "unsupported", "out is of dtype float64"),
    ({"out": numpy.empty((2, 6, 6, 7), "f4")}, "invalid", r"out has the shape .*: must be \(2, 6, 6, 6\)"),
    ({"out": channels_last(normal(1, 2, 6, 6, 6))}, "invalid", "out has the strides"),
    ({"out": normal(1, 2, 6, 6, 6)[:, :, ::-1]}, "invalid", "out has the strides"),
    ({"out": misaligned(normal(1, 2, 6, 6, 6))}, "invalid", "out is not aligned"),
    ({"out": X.reshape(-1)[: 2 * 6 * 36].reshape(2, 6, 6, 6)}, "invalid", "out overlaps an input"),
    ({"out": True}, "invalid", "out is of type bool"),
    ({"out": []}, "invalid", "out is of type list: must be a NumPy array"),
]


@pytest.mark.parametrize("changed, status, sentence", BAD)
@pytest.mark.parametrize("warm", [False, True])
def test_conv2d(changed, status, sentence, warm):
    """Refused alike whether or not the good form was seen before; and after it the good form works."""
    context = kiln.Context() if not warm else kiln.default_context()
    if warm:
        kiln.conv2d(X, W, BIAS)
    with pytest.raises(kiln.Error, match=sentence) as told:
        kiln.conv2d(**{"x": X, "w": W, "bias": BIAS, "context": context, **changed})
    assert told.value.status == status
    assert_close(kiln.conv2d(X, W, BIAS), conv2d(X, W, BIAS))


def test_misaligned_in_the_place_of_what_was_seen():
    kiln.conv2d(X, W, BIAS)
    for name, array in (("x", X), ("w", W), ("bias", BIAS)):
        with pytest.raises(kiln.Error, match=f"{name} is not aligned"):
            kiln.conv2d(**{"x": X, "w": W, "bias": BIAS, name: misaligned(array)})
    plan = kiln.Plan(TEXT)
    packed = plan.pack(W)
    plan.run(X, packed, bias=BIAS)
    for name, array in (("x", X), ("bias", BIAS)):
        with pytest.raises(kiln.Error, match=f"{name} is not aligned"):
            plan.run(**{"x": X, "packed": packed, "bias": BIAS, name: misaligned(array)})
    with pytest.raises(kiln.Error, match="w is not aligned"):
        plan.pack(misaligned(W))


def test_conv1d_and_conv2d_are_told_apart():
    x1, w1 = normal(1, 1, 3, 8), normal(2, 4, 3, 3)
    kiln.conv1d(x1, w1)
    kiln.conv2d(X, W)
    with pytest.raises(kiln.Error, match="must have 4 axes"):
        kiln.conv2d(x1, w1)
    with pytest.raises(kiln.Error, match="must have 3 axes"):
        kiln.conv1d(X, W)


BAD_PLANS = [
    (["conv"], {}, "invalid", "ic"),
    (["conv ic3 iw8 oc4 kw9"], {}, "invalid", "kw"),
    (["conv ic3 iw8 oc4 kw3 +bias"], {"ic": 3}, "invalid", "either as a text or as fields"),
    ([], {}, "invalid", "either as a text or as fields"),
    ([3], {}, "invalid", "conv is of type int: must be a str"),
    (["conv ic3 iw8\0 oc4 kw3"], {}, "invalid", "zero character"),
    (["conv ic3 iw8 oc4 kw3 \udc80"], {}, "invalid", "."),
    (["conv ic3 iw8 oc4 kw3 | nonsense | sse2"], {}, "invalid", "nonsense"),
    (["conv ic3 iw8 oc4 kw3 f16"], {}, "unsupported", "f16"),
    (["conv ic3 iw8 oc4 kw3 mode=circular pw1"], {}, "unsupported", "padding modes other than zeros"),
    (["conv ic3 iw8 oc4 kw3"], {"isa": "sse9"}, "invalid", "sse9"),
    (["conv ic3 iw8 oc4 kw3"], {"isa": 3}, "invalid", "isa is of type int"),
    (["conv ic3 iw8 oc4 kw3"], {"target": "vax"}, "invalid", "vax"),
    (["conv ic3 iw8 oc4 kw3"], {"schedule": "direct ow=-1"}, "invalid", "ow"),
    (["conv ic3 iw8 oc4 kw3"], {"code_budget": -1}, "invalid", "code_budget is -1"),
    (["conv ic3 iw8 oc4 kw3"], {"code_budget": 2**40}, "invalid", "code_budget is"),
    (["conv ic3 iw8 oc4 kw3"], {"effort": "measure"}, "invalid", "effort is 'measure'"),
    (["conv ic3 iw8 oc4 kw3"], {"effort": "wisdom_only"}, "unsupported", "wisdom"),
    ([], {"ic": 3, "iw": 8, "oc": 4, "kw": 3, "kx": 1}, "invalid", "kx"),
    ([], {"ic": 3, "iw": 8, "oc": 4, "kw": "3"}, "invalid", "kw is '3'"),
    ([], {"ic": 3, "iw": 8, "oc": 4, "kw": 2**70}, "invalid", "kw is"),
    ([], {"ic": 3, "iw": 2**62, "oc": 4, "kw": 3}, "invalid", "."),
    (["conv ic3 iw8 oc4 kw3"], {"context": "default"}, "invalid", "context is of type str: must be a kiln.Context"),
    ([], {"ic": 3, "iw": 8, "oc": 4, "kw": None}, "invalid", "kw is None"),
    ([], {"ic": 3, "iw": 8, "oc": 4, "kw": 3, "layout": 1}, "invalid", "layout is 1"),
]


@pytest.mark.parametrize("arguments, options, status, sentence", BAD_PLANS)
def test_plans(arguments, options, status, sentence):
    with pytest.raises(kiln.Error, match=sentence) as told:
        kiln.Plan(*arguments, **options)
    assert told.value.status == status


def test_out_overlaps_no_input():
    memory = numpy.zeros(1000, "f4")
    out = memory[200:632].reshape(2, 6, 6, 6)
    for begin, end in ((199, 205), (628, 634), (300, 306)):
        with pytest.raises(kiln.Error, match="out overlaps an input"):
            kiln.conv2d(X, W, memory[begin:end], out=out)
    for begin in (0, 500):
        with pytest.raises(kiln.Error, match="out overlaps an input"):
            kiln.conv2d(X, memory[begin : begin + 216].reshape(W.shape), out=out)
    memory[194:200] = memory[632:638] = BIAS
    for begin in (194, 632):  # side by side
        assert_close(kiln.conv2d(X, W, memory[begin : begin + 6], out=out), conv2d(X, W, BIAS))


def test_more_than_memory_holds():
    with pytest.raises(MemoryError):
        kiln.conv2d(X, W, padding=10**6)


OTHERS = {"packed": "another plan's"}  # filled in by the test
BAD_RUNS = [
    ({"x": X[:1]}, r"x has the shape \(1, 4, 8, 8\): must be \(2, 4, 8, 8\)"),
    ({"x": channels_last(X)}, "x has the strides .*: must be dense, here"),
    ({"x": X[:, :, ::-1]}, "x has the strides"),
    ({"packed": W}, "packed is not of this plan"),
    ({"packed": None}, "packed is not of this plan"),
    (OTHERS, "packed is not of this plan"),
    ({"bias": None}, "bias is missing: 'conv n2 .*' needs it"),
    ({"scale": BIAS}, "scale is given: 'conv n2 .*' has no post-op that reads it"),
    ({"add": X}, "add is given"),
    ({"bias": BIAS[:3]}, r"bias has the shape \(3,\): must be \(6,\)"),
    ({"out": read_only(2, 6, 6, 6)}, "out is read-only"),
    ({"out": X}, "out has the shape"),
]


@pytest.mark.parametrize("changed, sentence", BAD_RUNS)
def test_runs(changed, sentence):
    plan, other = kiln.Plan(TEXT), kiln.Plan(TEXT)
    if changed is OTHERS:
        changed = {"packed": other.pack(W)}
    with pytest.raises(kiln.Error, match=sentence):
        plan.run(**{"x": X, "packed": plan.pack(W), "bias": BIAS, **changed})


def test_out_may_be_add_and_no_other_input():
    plan = kiln.Plan("conv n2 ic4 ih8 iw8 oc4 kh1 kw1 nchw +add")
    w, x, add = normal(1, 4, 4, 1, 1), X.copy(), X.copy()
    packed = plan.pack(w)
    assert_close(plan.run(x, packed, add=add, out=add), conv2d(X, w) + X)
    for out in (x, add[:]):
        with pytest.raises(kiln.Error, match="out overlaps an input"):
            plan.run(x, packed, add=add, out=out)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"threads": -1}, "threads is -1"),
        ({"threads": 2000}, "threads is 2000"),
        ({"threads": "2"}, "threads is '2'"),
        ({"isa": "sse9"}, "sse9"),
        ({"cache": "maybe"}, "cache is 'maybe': must be one of default, off, read, on"),
        ({"cache_bytes": -1}, "cache_bytes is -1"),
        ({"cache_dir": "relative"}, "relative"),
        ({"debug": "nonsense"}, "nonsense"),
        ({"wisdom": "/nowhere/at/all"}, "/nowhere/at/all"),
    ],
)
def test_contexts(options, sentence):
    with pytest.raises(kiln.Error, match=sentence):
        kiln.Context(**options)


def test_errors_are_told_and_kept():
    with pytest.raises(kiln.Error) as told:
        kiln.Plan("conv")
    again = pickle.loads(pickle.dumps(told.value))
    assert str(again) == str(told.value) and again.status == "invalid"


@pytest.mark.skipif(not torch, reason="no PyTorch")
def test_tensors_that_cannot_be_read():
    w = torch.from_numpy(W)
    bad = [
        (torch.from_numpy(X).requires_grad_(), "x cannot be read through DLPack: .*gradient"),
        (torch.empty(2, 4, 8, 8, device="meta"), "x cannot be read through DLPack"),
        (torch.empty(2, 4, 8, 8).to_sparse(), "x cannot be read through DLPack"),
        (torch.empty(2, 4, 8, 8, dtype=torch.float64), "x is of dtype float64"),
        (torch.empty(2, 4, 8, 16)[..., ::2], "x has the shape"),
    ]
    for x, sentence in bad:
        with pytest.raises(kiln.Error, match=sentence):
            kiln.conv2d(x, w)


def beside_guards(shape, behind):
    """An array that ends, or begins, at a page that cannot be touched."""
    size, page = 4 * int(numpy.prod(shape)), mmap.PAGESIZE
    inner = -(-size // page) * page
    memory = mmap.mmap(-1, inner + 2 * page)
    whole = numpy.frombuffer(memory, "u1")
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for at in (0, page + inner):
        assert protect(whole.ctypes.data + at, page, 0) == 0
    at = page + (inner - size if behind else 0)
    return whole[at : at + size].view("f4").reshape(shape)


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("shape, kernel", [((1, 3, 7, 5), (5, 3, 3, 3)), ((2, 8, 9, 9), (7, 8, 1, 1))])
@pytest.mark.parametrize("last", [False, True])
def test_no_byte_outside_of_the_arrays_is_touched(behind, shape, kernel, last):
    order = (0, 2, 3, 1) if last else (0, 1, 2, 3)
    back = (0, 3, 1, 2) if last else (0, 1, 2, 3)
    x = beside_guards([shape[i] for i in order], behind).transpose(back)
    w, bias = beside_guards(kernel, behind), beside_guards(kernel[:1], behind)
    x[...], w[...], bias[...] = normal(1, *shape), normal(2, *kernel), normal(3, kernel[0])
    want = conv2d(x, w, bias, padding=1)
    out = beside_guards([want.shape[i] for i in order], behind).transpose(back)
    assert_close(kiln.conv2d(x, w, bias, padding=1, out=out), want)
