"""One convolution on tensors: a plan for each form of the input, weights packed once, and when not to."""

from __future__ import annotations

import threading
from ctypes import string_at
from typing import Any, NamedTuple, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.nn.functional import pad

from kiln._context import Context
from kiln._error import Error
from kiln._library import Handle
from kiln._plan import Plan, Slot, allocate, pack_weights, run_plan
from kiln.torch._stats import Counts, fell_back

FORMS_MOST = 32  # of the input that one convolution keeps plans and packed weights for
THREADS_MOST = 1024  # of a context: kiln.h
SAMPLE_BYTES = 64  # of the weights that are compared at each run; more would show in its time
AUTOGRAD = ("autograd records it", "call it under torch.no_grad() or torch.inference_mode()")
AXES = {1: "w", 2: "hw"}
SIDES = {"h": ("pt", "pb"), "w": ("pl", "pr")}

_LOCK = threading.Lock()
_contexts: dict[int, Context] = {}

_float32 = torch.float32
_threads = torch.get_num_threads
_grad = torch.is_grad_enabled
_internal: Any = torch._C  # what has no public name, or another one in another version
_tracing = _internal._get_tracing_state
_modes = getattr(_internal, "_len_torch_dispatch_stack", lambda: 0)
_any_autocast = getattr(_internal, "_is_any_autocast_enabled", torch.is_autocast_cpu_enabled)


APART: Any = object()  # what a run returns that cannot take its other summand: it is added behind


class Refused(Exception):
    """Why torch does it: the reason that is counted, and a detail."""


class Misfit(Refused):
    """Likewise, for the parameters as they are now: it is not remembered of the input."""


class Changed(Misfit):
    """Likewise, and all that is known of other inputs is forgotten."""


def _mode_in_force() -> str:
    if _modes():
        return "a dispatch mode is in force"
    if _tracing() is not None:
        return "torch.jit traces it"
    return "autocast is in force" if _any_autocast() else "forward-mode autograd is in force"


class Description(NamedTuple):
    """A convolution but for its tensors. padding: (low, high) for each axis, of zeros."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    accuracy: str = "default"
    post: str = ""  # behind the bias
    pad: tuple[Any, str] | None = None  # what torch's pad does before: amounts and mode


def context_of(threads: int) -> Context:
    """The context of all convolutions on so many threads."""
    threads = min(threads, THREADS_MOST)
    context = _contexts.get(threads)
    if context is None:
        with _LOCK:
            context = _contexts.get(threads)
            if context is None:
                context = _contexts[threads] = Context(threads=threads)
    return context


def dense_strides(shape: Sequence[int], last: bool, batched: bool) -> tuple[int, ...]:
    """Strides of [n][c]... in elements; last: with the channels last in memory."""
    first = 1 if batched else 0
    order = list(range(len(shape)))
    if last:
        order.append(order.pop(first))
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def layout_of(x: Tensor, batched: bool) -> str:
    """Where x lies: "nchw" or "nhwc"; of what is both, the one whose strides it has."""
    shape, strides = x.shape, x.stride()
    layouts = {"nchw": dense_strides(shape, False, batched), "nhwc": dense_strides(shape, True, batched)}
    for layout, dense in layouts.items():
        if strides == dense:
            return layout
    for layout, dense in reversed(layouts.items()):  # of odd strides, such as torch's of one channel
        if all(e == 1 or s == d for e, s, d in zip(shape, strides, dense)):
            return layout
    raise Refused("its input is not dense in memory", f"shape {tuple(shape)}, strides {strides}")


def check_tensor(tensor: Tensor, name: str) -> None:
    """That the tensor is what a kernel can read, but for its shape and strides."""
    if type(tensor) not in (Tensor, Parameter):  # a proxy, or a subclass with a will of its own
        raise Refused(f"its {name} is not a plain tensor", type(tensor).__name__)
    if tensor.device.type != "cpu":
        raise Refused(f"its {name} is not on the CPU", str(tensor.device))
    if tensor.layout is not torch.strided:
        raise Refused(f"its {name} is not strided", str(tensor.layout))
    if tensor.dtype is not _float32:
        raise Refused(f"its {name} is not of float32", str(tensor.dtype))
    if tensor.is_neg():
        raise Refused(f"its {name} is a lazily negated view")


class Packed:
    """The weights of one form, packed, the bias that goes with them, and how to tell that they are still those."""

    __slots__ = ("weight", "bias", "at", "bias_at", "version", "strides", "sample", "alive", "memory", "address")

    def __init__(self, plan: int, size: int, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self.at, self.version, self.strides = weight.data_ptr(), weight._version, weight.stride()
        dense = weight.detach().contiguous()
        span = 1 + sum((extent - 1) * stride for extent, stride in zip(weight.shape, self.strides))
        self.sample = string_at(self.at, min(SAMPLE_BYTES, 4 * span))
        # Held, so that no other tensor can have their addresses.
        self.alive = (weight.detach(), None if bias is None else bias.detach())
        self.bias_at = None if bias is None else bias.data_ptr()
        self.memory, self.address = allocate(size)
        slot = Slot()
        status = pack_weights(plan, dense.data_ptr(), self.address, slot.error_at)
        if status:
            raise Refused("Kiln refuses its weights", str(slot.refusal(status)))

    def fits(self, weight: Tensor, bias: Tensor | None) -> bool:
        return (
            weight is self.weight
            and bias is self.bias
            and weight._version == self.version
            and weight.data_ptr() == self.at
            and (bias is None or bias.data_ptr() == self.bias_at)
            and weight.stride() == self.strides
            and string_at(self.at, len(self.sample)) == self.sample
        )


class Form:
    """What is done for one form of the input."""

    __slots__ = ("handle", "algorithm", "size", "shape", "strides", "slots", "packed", "weight_shape", "bias_shape")

    def __init__(self, plan: Plan, weight: Tensor, bias: Tensor | None, layout: str, batched: bool) -> None:
        self.handle: Handle = plan._held()
        self.algorithm = plan.text.split("|")[1].split()[0]
        self.size = plan.packed_size
        shape = plan._forms[weight.dim()][0]
        self.shape = shape if batched else shape[1:]
        self.strides = dense_strides(self.shape, layout == "nhwc", batched)
        self.slots: list[Slot] = []
        self.packed: Packed | None = None
        self.weight_shape = weight.shape
        self.bias_shape = None if bias is None else bias.shape

    def pack(self, weight: Tensor, bias: Tensor | None) -> Packed:
        check_tensor(weight, "weight")
        if weight.is_inference():
            raise Refused("its weight is an inference tensor, whose changes cannot be seen")
        shape = None
        if bias is not None:
            check_tensor(bias, "bias")
            shape = bias.shape
            if not bias.is_contiguous():
                raise Refused("its bias is not contiguous", f"strides {bias.stride()}")
        if weight.shape != self.weight_shape or shape != self.bias_shape:
            raise Changed("the shapes of its parameters changed")
        self.packed = packed = Packed(self.handle.address, self.size, weight, bias)
        return packed


def padded(x: Tensor, amounts: Any, mode: str) -> Tensor:
    """x with a border, in x's layout."""
    y = pad(x, amounts, mode=mode)
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return y.contiguous(memory_format=torch.channels_last)
    return y


class Engine:
    """Runs a described convolution. A call returns None where torch must do it, counted and warned of, and APART
    where only the sum with add is torch's."""

    __slots__ = ("description", "_pad", "_forms")

    def __init__(self, description: Description) -> None:
        self.description = description
        self._pad = description.pad
        self._forms: dict[Any, Form | Refused] = {}

    def __call__(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        add: Tensor | None = None,
        prelu: Tensor | None = None,
    ) -> Any:
        """y[n][oc][oh][ow] from x[n][ic][ih][iw] and weight[oc][ic / groups][kh][kw]; add is of y's form."""
        try:
            if type(x) is not Tensor:
                check_tensor(x, "input")
            if _modes() or _tracing() is not None or _any_autocast() or forward_ad._current_level >= 0:
                raise Refused(_mode_in_force())
            if _grad() and (x.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)):
                raise Refused(*AUTOGRAD)
            if x.dtype is not _float32 or not x.is_cpu or x.is_neg():  # type: ignore[attr-defined]
                check_tensor(x, "input")
            if self._pad is not None:
                x = padded(x, *self._pad)
            key = (x.shape, x.stride(), _threads())
            form = self._forms.get(key)
            if type(form) is not Form:
                form = self._first(key, x, weight, bias)
            if add is not None:
                check_tensor(add, "other summand")
                if add.shape != form.shape or add.stride() != form.strides or (_grad() and add.requires_grad):
                    return APART
            packed = form.packed
            if packed is None or not packed.fits(weight, bias):
                packed = form.pack(weight, bias)
            y = x.new_empty_strided(form.shape, form.strides)
            try:
                slot = form.slots.pop()
            except IndexError:  # also where another thread took the last one
                slot = Slot()
            args = slot.args
            args.src, args.weights, args.dst = x.data_ptr(), packed.address, y.data_ptr()
            args.bias = packed.bias_at
            args.add = None if add is None else add.data_ptr()
            args.prelu = None if prelu is None else prelu.data_ptr()
            status = run_plan(form.handle.address, slot.args_at, slot.error_at)
            if status:
                raise Refused("Kiln refuses its tensors", str(slot.refusal(status)))
        except Refused as why:
            if isinstance(why, Changed):
                self._forms = {}
            fell_back(*why.args)
            return None
        except (RuntimeError, NotImplementedError) as error:
            # Tensors without memory, such as those of vmap, or that are too large: torch's to do or to refuse.
            fell_back("torch cannot say where its memory is, or make more", str(error).split("\n")[0])
            return None
        form.slots.append(slot)
        Counts.ran += 1
        return y

    def _first(self, key: tuple[Any, ...], x: Tensor, weight: Tensor, bias: Tensor | None) -> Form:
        """The form of an input that was not seen before, or was refused."""
        made = self._forms.get(key)
        if made is None:
            try:
                made = self._make(key[2], x, weight, bias)
            except Misfit:
                raise
            except Refused as why:
                made = why
            with _LOCK:
                while len(self._forms) >= FORMS_MOST:
                    del self._forms[next(iter(self._forms))]
                self._forms[key] = made
        if isinstance(made, Refused):
            raise Refused(*made.args)
        return made

    def _make(self, threads: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Form:
        shapes = f"input {tuple(x.shape)}, weight {tuple(weight.shape)}"
        axes = AXES.get(weight.dim() - 2, "")
        batched = x.dim() == weight.dim()
        if axes == "" or len(self.description.stride) != len(axes) or x.dim() not in (weight.dim(), weight.dim() - 1):
            raise Misfit("its tensors do not fit each other", shapes)
        channels = x.shape[1 if batched else 0]
        if channels != weight.shape[1] * self.description.groups:
            raise Misfit("its tensors do not fit each other", shapes)
        if bias is not None and bias.shape != weight.shape[:1]:
            raise Misfit("its tensors do not fit each other", f"bias {tuple(bias.shape)} of {weight.shape[0]} outputs")
        if x.numel() == 0 or weight.numel() == 0:
            raise Misfit("its tensors are empty", shapes)
        check_tensor(x, "input")
        layout = layout_of(x, batched)
        fields: dict[str, Any] = {"n": x.shape[0] if batched else 1, "g": self.description.groups}
        fields.update(ic=channels, oc=weight.shape[0], layout=layout)
        for i, axis in enumerate(axes):
            fields[f"i{axis}"], fields[f"k{axis}"] = x.shape[i - len(axes)], weight.shape[i + 2]
            fields[f"s{axis}"], fields[f"d{axis}"] = self.description.stride[i], self.description.dilation[i]
            fields.update(zip(SIDES[axis], self.description.padding[i]))
        if self.description.accuracy != "default":
            fields["accuracy"] = self.description.accuracy
        fields["post"] = "+bias " * (bias is not None) + self.description.post
        try:
            plan = Plan(context=context_of(threads), **fields)
        except Error as error:
            raise Refused(f"Kiln refuses it as {error.status}", str(error)) from error
        return Form(plan, weight, bias, layout, batched)
