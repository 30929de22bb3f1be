"""conv1d and conv2d: a plan per form of the arguments, found again by one look-up."""

from __future__ import annotations

from typing import Any, Sequence

from numpy import ndarray

from kiln._arrays import FLOAT32, Array, Tensor, array_of, check_apart, check_elements, layout_of
from kiln._context import Context, context_of
from kiln._error import INT_MOST, chosen, invalid, whole
from kiln._plan import Plan, Slot, allocate, pack_weights, run_plan

PACKED_KEPT = 1 << 18  # bytes of packed weights that a call leaves to the next; to allocate more costs
#                        little beside packing them
SIDES = {"h": ("pt", "pb"), "w": ("pl", "pr")}
PADDINGS: dict[str, dict[str, Any]] = {"valid": {}, "same": {"pad": "same"}}
ACCURACIES = ("default", "strict", "fast")
MODES = ("zeros", "reflect", "replicate", "circular")


class _Slot(Slot):
    """A slot with memory for packed weights."""

    __slots__ = ("memory", "packed_at")

    def __init__(self, size: int) -> None:
        super().__init__()
        self.memory, self.packed_at = allocate(size)
        self.args.weights = self.packed_at


class _Call:
    """What conv1d or conv2d does for one form of its arguments."""

    __slots__ = ("handle", "size", "out", "shape", "strides", "slots")

    def __init__(self, plan: Plan, rank: int) -> None:
        self.handle = plan._held()
        self.size = plan.packed_size
        self.out: Tensor = plan._tensors["out"]
        self.shape, self.strides = plan._forms[rank]
        self.slots: list[_Slot] = []

    def __call__(self, x: Array, w: Array, bias: Array | None, out: Array | None) -> Array:
        if out is None:
            y: Array = ndarray(self.shape, FLOAT32, None, 0, self.strides)
        else:
            y = self.out.take_out(out, self.shape)
        try:
            slot = self.slots.pop()
        except IndexError:  # also where another thread took the last one
            slot = _Slot(self.size)
        args, x_at, w_at, y_at = slot.args, x.ctypes.data, w.ctypes.data, y.ctypes.data
        args.src, args.dst = x_at, y_at
        if bias is not None:
            args.bias = bias.ctypes.data
        if out is not None:
            check_apart(y, y_at, (x, x_at), (w, w_at), (bias, args.bias))
        plan = self.handle.address
        status = pack_weights(plan, w_at, slot.packed_at, slot.error_at)
        status = status or run_plan(plan, slot.args_at, slot.error_at)
        if status:
            raise slot.refusal(status, x=x, w=w, bias=bias, out=y)
        if self.size <= PACKED_KEPT:
            self.slots.append(slot)
        return y


def _each(value: Any, name: str, axes: str, least: int) -> list[int]:
    """A number, or one for each axis."""
    items = list(value) if isinstance(value, (tuple, list)) else [value] * len(axes)
    if len(items) != len(axes):
        raise invalid(f"{name} is {value!r}: must be a number, or {len(axes)} of them")
    return [whole(item, f"{name} ({axis})", least, INT_MOST) for axis, item in zip(axes, items)]


def _padding(value: Any, axes: str) -> dict[str, Any]:
    """The words of a padding: "same", "valid", a number, or one for each axis, each of which may be a pair."""
    if isinstance(value, str):
        if value not in PADDINGS:
            raise invalid(f"padding is {value!r}: must be {' or '.join(map(repr, PADDINGS))}, or numbers")
        return PADDINGS[value]
    if not isinstance(value, (tuple, list)):
        value = [value] * len(axes)
    if len(value) != len(axes):
        raise invalid(f"padding is {value!r}: must be a number, or one or a pair for each of {len(axes)} axes")
    words: dict[str, Any] = {}
    for axis, item in zip(axes, value):
        sides = item if isinstance(item, (tuple, list)) else [item, item]
        if len(sides) != 2:
            raise invalid(f"padding ({axis}) is {item!r}: must be a number, or a pair of them")
        for side, number in zip(SIDES[axis], sides):
            words[side] = whole(number, f"padding ({axis})", 0, INT_MOST)
    return words


def _fields(x: Array, w: Array, axes: str, groups: Any) -> dict[str, int]:
    """The sizes of a convolution, from the shapes of its tensors."""
    for name, array in ("x", x), ("w", w):
        if array.ndim != len(axes) + 2:
            raise invalid(f"{name} has the shape {array.shape}: must have {len(axes) + 2} axes")
        check_elements(array, name)
    if layout_of(w, "w") != "nchw":
        raise invalid(f"w has the strides {w.strides}: must be C-contiguous, w[oc][ic / groups]...")
    g = whole(groups, "groups", 1, INT_MOST)
    if w.shape[1] * g != x.shape[1]:
        raise invalid(
            f"w has the shape {w.shape} and x {x.shape}: with groups {g} the second axis of w must be "
            f"that of x divided by {g}, {x.shape[1] / g:g}"
        )
    fields = {"n": x.shape[0], "g": g, "ic": x.shape[1], "oc": w.shape[0]}
    for i, axis in enumerate(axes, 2):
        fields[f"i{axis}"], fields[f"k{axis}"] = x.shape[i], w.shape[i]
    return fields


def _make(
    context: Context, axes: str, x: Array, w: Array, bias: Array | None, stride: Any, padding: Any,
    dilation: Any, groups: Any, mode: Any, accuracy: Any, post: Any,
) -> _Call:  # fmt: skip
    """Checks everything about one form of the arguments, and compiles."""
    fields: dict[str, Any] = _fields(x, w, axes, groups)
    fields.update(zip((f"s{axis}" for axis in axes), _each(stride, "stride", axes, 1)))
    fields.update(zip((f"d{axis}" for axis in axes), _each(dilation, "dilation", axes, 1)))
    fields.update(_padding(padding, axes))
    if bias is not None:
        Tensor("bias", [(w.shape[0],)]).take(bias)
    if not isinstance(post, str) or not all(word.startswith("+") for word in post.split()):
        raise invalid(f"post is {post!r}: must be a str of post-ops, such as '+relu'")
    chosen(accuracy, "accuracy", ACCURACIES)
    chosen(mode, "mode", MODES)
    layout = layout_of(x, "x")
    fields.update(layout=layout, mode=mode, accuracy=accuracy, post="+bias " * (bias is not None) + post)
    if accuracy == "default":
        del fields["accuracy"]
    plan = Plan(context=context, **fields)
    if plan._needs - {"bias"} or ("bias" in plan._needs) != (bias is not None):
        raise invalid(f"post is {post!r}: post-ops that read tensors are for kiln.Plan")
    return _Call(plan, x.ndim)


def _convolve(
    axes: str, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any, mode: Any,
    accuracy: Any, post: Any, out: Any, context: Context | None,
) -> Array:  # fmt: skip
    if type(x) is not ndarray:
        x = array_of(x, "x")
    if type(w) is not ndarray:
        w = array_of(w, "w")
    form = None
    if bias is not None:
        if type(bias) is not ndarray:
            bias = array_of(bias, "bias")
        form = (bias.shape, bias.strides, bias.dtype)
    context = context_of(context)
    key: Any = (
        axes, x.shape, x.strides, x.dtype, w.shape, w.strides, w.dtype, form, stride, padding, dilation, groups,
        mode, accuracy, post,
    )  # fmt: skip
    try:
        made = context._calls.get(key)
    except TypeError:  # some argument has no hash, such as a list
        if any(isinstance(each, list) for each in (stride, padding, dilation)):
            stride, padding, dilation = (tuple(e) if isinstance(e, list) else e for e in (stride, padding, dilation))
            return _convolve(axes, x, w, bias, stride, padding, dilation, groups, mode, accuracy, post, out, context)
        key, made = None, None  # its form is not remembered
    if made is None:
        made = _make(context, axes, x, w, bias, stride, padding, dilation, groups, mode, accuracy, post)
        if key is not None:
            context._remember(key, made)
    return made(x, w, bias, out)


def conv2d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    mode: str = "zeros",
    accuracy: str = "default",
    post: str = "",
    out: Array | None = None,
    context: Context | None = None,
) -> Array:
    """y[n][oc][oh][ow] from x[n][ic][ih][iw], w[oc][ic / groups][kh][kw] and bias[oc], as PyTorch defines it.

    x is C-contiguous, or a channels-last view, a.transpose(0, 3, 1, 2) of a[n][ih][iw][ic]; y is then likewise.
    All are float32: NumPy arrays, or anything with __dlpack__ on the CPU. None is copied.

    stride, dilation: a number or (h, w).  padding: a number, (h, w), ((top, bottom), (left, right)), "valid" or
    "same", which makes every output extent the input's divided by the stride, rounded up.
    mode, accuracy: words of docs/plan.md; "strict" spreads NaN and infinities as the plain sum does.
    post: post-ops behind the bias, such as "+relu".  out: memory for y, which overlaps no input.

    A form of arguments seen for the first time is compiled. Weights are packed at every call: where they stay
    the same, kiln.Plan packs them once.
    """
    return _convolve("hw", x, w, bias, stride, padding, dilation, groups, mode, accuracy, post, out, context)


def conv1d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    mode: str = "zeros",
    accuracy: str = "default",
    post: str = "",
    out: Array | None = None,
    context: Context | None = None,
) -> Array:
    """y[n][oc][ow] from x[n][ic][iw], w[oc][ic / groups][kw] and bias[oc]: conv2d in one dimension."""
    return _convolve("w", x, w, bias, stride, padding, dilation, groups, mode, accuracy, post, out, context)
