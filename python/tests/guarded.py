"""Runs Kiln on arrays that end right in front of an unmapped page, or begin right behind one. The name of each
case is printed before it runs. test_guard.py starts it.

python3 guarded.py RUN [CASE]     RUN: conv2d, plan or torch
"""

import faulthandler
import sys

import numpy

import cases
import kiln
from guard import Guarded
from reference import channels_last

CASES = 100


class Plain:
    """Ordinary memory, to compare with."""

    def output(self, like):
        return numpy.copy(like, "K")

    input = output


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
