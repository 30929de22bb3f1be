"""optimize: a model for inference, its convolutions in Kiln with what follows them, in the faster layout."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from typing import Any, Callable, NamedTuple, Sequence, TextIO

import torch
from torch import Tensor, nn
from torch.fx.graph_module import GraphModule

from kiln._convolve import ACCURACIES
from kiln._error import chosen, invalid
from kiln.torch._engine import Refused
from kiln.torch._fused import fuse
from kiln.torch._modules import Conv1d, Conv2d, _Convolution
from kiln.torch._rewrite import ROUNDS, Format, Unfit, add_formats, cloned, fuse_all, is_done, traced
from kiln.torch._state import State, copied

LAYOUTS = ("auto", "keep", "channels_last")
DIFFERENCE_MOST = 1e-2  # of the outputs' RMS, beyond which a rewritten model is not believed


class Row(NamedTuple):
    """A line of the table: a convolution, what runs it, what was folded into it, and why not more."""

    module: str
    runs: str
    folded: str
    why: str


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors of what a model returned, in order."""
    if isinstance(value, Tensor):
        return [value]
    each = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [tensor for part in each for tensor in tensors_of(part)]


def difference(got: Any, want: Any) -> float:
    """The largest difference of two outputs over the RMS; infinite where they are not of the same form."""
    ours, theirs = tensors_of(got), tensors_of(want)
    if [(a.shape, a.dtype) for a in ours] != [(b.shape, b.dtype) for b in theirs]:
        return float("inf")
    most = 0.0
    for a, b in zip(ours, theirs):
        if b.numel() and b.is_floating_point():
            x, y = a.double(), b.double()
            finite = y[y.isfinite()]
            rms = float(finite.pow(2).sum() / max(finite.numel(), 1)) ** 0.5
            same = (x == y) | (x.isnan() & y.isnan())
            each = float((x - y).abs().masked_fill(same, 0.0).max()) / max(rms, 1e-30)
            most = max(most, each if each == each else float("inf"))
    return most


def other_of(value: Any) -> Any:
    """A tensor like another, with other values where they are not integers."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return 0.75 * value.flip(list(range(value.dim()))) + 0.125


def seconds_of(run: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def keep(formats: Sequence[Format], kept: bool) -> None:
    for each in formats:
        each.kept = kept


def forget(model: nn.Module) -> None:
    """Lets go of plans and packed weights."""
    for module in model.modules():
        if isinstance(module, _Convolution):
            module.repack()


class Work:
    """One call of optimize."""

    def __init__(self, model: nn.Module, arguments: Sequence[Any], accuracy: str) -> None:
        self.arguments, self.accuracy = arguments, accuracy
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self.model = copied(model).requires_grad_(False)
        self.modules = dict(model.named_modules())
        self.state = State(self.model)
        self.cases = [(arguments, self.reference(arguments))]
        others = [other_of(each) for each in arguments]
        with contextlib.suppress(Exception):  # of models that only do certain values
            want = self.reference(others)
            if all(bool(each.isfinite().all()) for each in want):
                self.cases.append((others, want))

    def reference(self, arguments: Sequence[Any]) -> list[Tensor]:
        self.state.restore()
        return [each.clone() for each in tensors_of(self.model(*cloned(arguments)))]

    def run(self, model: nn.Module) -> Any:
        self.state.restore()
        return model(*cloned(self.arguments))

    def off(self, model: nn.Module) -> float:
        """The largest difference from the model as it was."""
        most = 0.0
        for arguments, want in self.cases:
            self.state.restore()
            most = max(most, difference(model(*cloned(arguments)), want))
        return most

    def set_modes(self, model: nn.Module) -> None:
        """Each module in the mode it had; new ones are in eval mode."""
        for name, module in model.named_modules():
            module.training = name in self.modules and self.modules[name].training

    def by_graph(self, layout: str) -> GraphModule:
        """The model with its graph rewritten; Unfit where that cannot be, or gives something else."""
        model = traced(self.model, self.arguments, self.state)
        chains = fuse_all(model, self.accuracy)
        formats = add_formats(model)
        model.delete_all_unused_submodules()
        model.graph.lint()
        model.recompile()
        self.set_modes(model)
        self.choose(model, formats, layout)
        for chain in chains:
            self.rows.append(Row(str(chain.conv.target), runs_in(chain.fused), " ".join(chain.names), chain.why))
        return model

    def check(self, model: nn.Module) -> None:
        try:
            off = self.off(model)
        except Exception as error:  # of layers that the new form does not suit
            raise Unfit(f"its rewritten graph fails: {error}") from error
        if off > DIFFERENCE_MOST:
            raise Unfit(f"its rewritten graph is off by {off:.2g} of the RMS")

    def choose(self, model: nn.Module, formats: list[Format], layout: str) -> None:
        """Sets the layout that was asked for, or the faster one, timed in turns."""
        names = {"keep": True, "channels_last": False}
        asked = [layout] if layout != "auto" else list(names) if formats else ["keep"]
        times: dict[str, list[float]] = {name: [] for name in asked}
        for i in range(1 + ROUNDS * (len(asked) > 1)):
            for name in asked:
                keep(formats, names[name])
                if i == 0:
                    self.check(model)
                else:
                    self.state.restore()
                    times[name].append(seconds_of(lambda: model(*cloned(self.arguments))))
        best = min(asked, key=lambda name: min(times[name], default=0))
        told = [f"{name} {1e3 * min(each):.2f} ms" for name, each in times.items() if each]
        self.notes.append(f"layout: {best}" + (f", of {', '.join(told)}" if told else ""))
        if len(asked) > 1:
            keep(formats, names[best])
            forget(model)
            self.run(model)

    def by_modules(self) -> nn.Module:
        """The model with its convolutions replaced one by one, and nothing folded."""
        self.state.restore()
        made: dict[nn.Module, nn.Module] = {}
        holder = nn.Module()
        holder.model = self.model
        for parent in list(holder.modules()):
            for name, child in list(parent._modules.items()):  # which are all, also those shared
                if child is not None and is_done(child):
                    if child not in made:
                        made[child] = fuse(child, None, (), None, self.accuracy)
                    setattr(parent, name, made[child])
        model = holder.model
        assert isinstance(model, nn.Module)
        self.run(model)
        for name, module in model.named_modules():
            if type(module) in (Conv1d, Conv2d):
                self.rows.append(Row(name, runs_in(module), "", ""))
        return model

    def rows_of_the_rest(self) -> None:
        """Lines for the convolutions that no other line is about."""
        told = {row.module for row in self.rows}
        for name, module in self.modules.items():
            if name not in told and isinstance(module, nn.modules.conv._ConvNd):
                self.rows.append(Row(name, "torch", "", why_not(module)))

    def table(self) -> str:
        head = Row("module", "runs in", "folded", "why not more")
        order = {name: i for i, name in enumerate(self.modules)}
        rows = [head, *sorted(self.rows, key=lambda row: order[row.module])]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        convolutions = [row for row in self.rows if not isinstance(self.modules[row.module], nn.Linear)]
        done = sum(not row.runs.startswith("torch") for row in convolutions)
        linear = len(self.rows) - len(convolutions)
        text = [*lines, "", f"{done} of {len(convolutions)} convolutions run in Kiln"]
        text += [f"{linear} linear layers run in Kiln, as 1x1 convolutions: that was faster"] * (linear > 0)
        text += self.notes
        return "\n".join(text)


def runs_in(module: Any) -> str:
    """The algorithm of a module that ran once, or torch with the reason."""
    for engine in (module.__dict__.get("_whole"), module.__dict__.get("_engine")):
        for form in [] if engine is None else engine._forms.values():
            return f"torch: {form.args[0]}" if isinstance(form, Refused) else str(form.algorithm)
    return "torch: it was not called, or not with what Kiln does"


def why_not(module: nn.Module) -> str:
    if type(module) not in (nn.Conv1d, nn.Conv2d, Conv1d, Conv2d):
        return f"a {type(module).__name__} is not done"
    return "it is not called as a module" if is_done(module) else "its parameters are not of float32"


def optimize(
    model: nn.Module,
    example: Any,
    *,
    layout: str = "auto",
    accuracy: str = "default",
    verbose: bool = True,
    file: TextIO | None = None,
) -> nn.Module:
    """A copy of a model in eval mode, for inference, whose convolutions run in Kiln; the model stays as it is.

    example: an input x[n][c][h][w], or a tuple of the model's arguments. It is run, to compile what it needs and to
    compare the outputs; inputs of other shapes are compiled when they come.

    Where torch.fx can trace the model, the kernels also do what follows a convolution and nothing else reads:
    BatchNorm, activations, the sum of a residual; and a Linear is a 1x1 convolution, where that is faster for the
    example. Elsewhere the convolutions are replaced one by one.

    layout: of tensors x[n][c][h][w] between the layers: "keep", that of the input, "channels_last", into which the
    input is copied, or "auto", the faster, timed. Outputs of four axes that were contiguous for the example are so.
    accuracy: as Conv2d's.  verbose: whether a table of what was done is printed, to file, or else to stdout.

    The copy has folded parameters, which require no gradient. It can be copied and pickled.
    """
    if not isinstance(model, nn.Module):
        raise invalid(f"model is of type {type(model).__name__}: must be a torch.nn.Module")
    if model.training:
        raise invalid("model is in training mode: call model.eval() first")
    chosen(accuracy, "accuracy", ACCURACIES)
    chosen(layout, "layout", LAYOUTS)
    arguments = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    with torch.inference_mode(False), torch.no_grad():  # type: ignore[no-untyped-call]
        work = Work(model, arguments, accuracy)
        try:
            made: nn.Module = work.by_graph(layout)
        except Unfit as why:
            work.notes.append(f"replaced one by one, nothing folded: {why}")
            made = work.by_modules()
        off = work.off(made)
        work.state.restore()
        work.rows_of_the_rest()
        work.notes.append(f"largest difference of the output: {off:.2g} of its RMS")
    if off > DIFFERENCE_MOST:
        warnings.warn(f"kiln.torch.optimize: outputs differ by {off:.2g} of their RMS", stacklevel=2)
    if verbose:
        print(work.table(), file=file or sys.stdout)
    return made
