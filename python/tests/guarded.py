"""Runs Kiln on arrays that end right in front of an unmapped page, or begin right behind one: whoever reads or
writes beyond them, or writes to an input, dies, and leaves the case's name. test_guard.py starts it.

python3 guarded.py RUN [CASE]     RUN: conv2d, plan or torch
"""

import ctypes
import faulthandler
import mmap
import sys

import numpy

import cases
import kiln
from reference import channels_last

CASES = 100
PAGE, NOTHING, READ, WRITE = mmap.PAGESIZE, 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
libc.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t


class Plain:
    """Ordinary memory, to compare with."""

    def output(self, like):
        return numpy.copy(like, "K")

    input = output


class Guarded:
    """Memory between unmapped pages; the arrays begin behind the first, or end in front of the second."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.maps = []

    def output(self, like):
        return self._copy(like)[0]

    def input(self, like):
        made, at, room = self._copy(like)
        assert libc.mprotect(at, room, READ) == 0
        return made

    def _copy(self, like):
        """The array with its shape and strides, and its pages."""
        room = -(-like.nbytes // PAGE) * PAGE
        at = libc.mmap(None, room + 2 * PAGE, NOTHING, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert at != ctypes.c_void_p(-1).value
        self.maps.append((at, room + 2 * PAGE))
        at += PAGE
        assert libc.mprotect(at, room, WRITE) == 0
        first = at + room - like.nbytes if self.at_end else at
        memory = (ctypes.c_byte * like.nbytes).from_address(first)
        made = numpy.ndarray(like.shape, like.dtype, memory, 0, like.strides)
        made[...] = like
        return made, at, room

    def close(self):
        for each in self.maps:
            libc.munmap(*each)


def operands(case, last):
    """x, w and bias."""
    given, rng = case.arguments, numpy.random.default_rng(1)
    batch = case.shape[: -case.axes - 1] or (1,)
    x = rng.standard_normal((*batch, *case.shape[-case.axes - 1 :]), "f4")
    w = rng.standard_normal((given["out_channels"], given["in_channels"] // given["groups"], *case.each("kernel_size")), "f4")
    return channels_last(x) if last else x, w, rng.standard_normal(len(w), "f4")


def run_conv2d(case, last, memory):
    x, w, bias = map(memory.input, operands(case, last))
    convolve = (kiln.conv1d, kiln.conv2d)[case.axes - 1]
    options = {name: case.arguments[name] for name in ("stride", "padding", "dilation", "groups")}
    unseen = numpy.full_like(convolve(x, w, bias, **options), numpy.nan)
    return convolve(x, w, bias, **options, out=memory.output(unseen))


def run_plan(case, last, memory):
    x, w, bias = map(memory.input, operands(case, last))
    fields = dict(n=len(x), ic=x.shape[1], oc=len(w), g=case.arguments["groups"], layout="nhwc" if last else "nchw")
    padding = case.arguments["padding"]
    if padding == "same":
        fields["pad"] = padding
    for i, axis in enumerate("hw"[-case.axes :]):
        fields[f"i{axis}"], fields[f"k{axis}"] = x.shape[i + 2], w.shape[i + 2]
        fields[f"s{axis}"], fields[f"d{axis}"] = case.each("stride")[i], case.each("dilation")[i]
        if not isinstance(padding, str):
            fields[f"p{axis}"] = case.each("padding")[i]
    plan = kiln.Plan(**fields, post="+bias +add +relu")
    y = run_conv2d(case, last, Plain())
    y = channels_last(y) if last else y  # which it need not be where x is both
    add, unseen = memory.input(y), memory.output(numpy.full_like(y, numpy.nan))
    return plan.run(x, plan.pack(w), bias=bias, add=add, out=unseen)


def run_torch(case, last, memory):
    import torch

    import kiln.torch

    x, w, bias = (torch.from_numpy(memory.input(each)) for each in operands(case, last))
    module = (kiln.torch.Conv1d, kiln.torch.Conv2d)[case.axes - 1](**{**case.arguments, "bias": True})
    module.weight.data, module.bias.data = w, bias
    before = kiln.torch.stats()["torch"]
    with torch.no_grad():
        y = module(x)
    assert kiln.torch.stats()["torch"] == before, "it ran in torch"
    return y.numpy()


RUNS = {"conv2d": run_conv2d, "plan": run_plan, "torch": run_torch}


def main(name, *numbers):
    faulthandler.enable()
    for number in map(int, numbers or range(CASES)):
        case = cases.make(number)
        for last in (False, True):
            want = RUNS[name](case, last, Plain())
            for at_end in (False, True):
                print(number, case, f"last={last}", f"at_end={at_end}", flush=True)
                memory = Guarded(at_end)
                assert numpy.array_equal(RUNS[name](case, last, memory), want)
                memory.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
