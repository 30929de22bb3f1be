"""Plans: one convolution, compiled once and run many times."""

from __future__ import annotations

import ctypes
from ctypes import addressof, byref
from typing import Any

import numpy
from numpy import ndarray

from kiln._arrays import FLOAT32, Array, Tensor, axes_of, check_apart, check_elements, strides_of
from kiln._context import Context, context_of
from kiln._error import INT_MOST, SIZE_MOST, Error, chosen, encoded, invalid, whole
from kiln._library import DUMPS, EFFORTS, LAYOUTS, POSTS, TEXT_MAX, TYPES, Args, Conv, ErrorStruct, Handle, Options
from kiln._library import call, collect, failed, lib

PACKED_ALIGN = 64  # bytes, of packed weights: kiln.h
WORDS = ("layout", "accuracy", "post", "type")  # fields that are words, not numbers
PAIRS = ("mode", "pad")  # written with a '='; the text form has no others
VECTORS = ("bias", "scale", "add", "prelu")  # tensors that only some post-op reads

run_plan, pack_weights = lib.kiln_run, lib.kiln_pack  # without two look-ups at each call


def conv_text(fields: dict[str, Any]) -> str:
    """The text form of a convolution given as arguments: ic=3, layout="nchw", post="+bias +relu"."""
    words = ["conv"]
    for name, value in fields.items():
        if name in WORDS + PAIRS:
            if not isinstance(value, str) or "|" in value:
                raise invalid(f"{name} is {value!r}: must be a str of words of the text form")
            words.append(f"{name}={value}" if name in PAIRS else value)
        else:
            words.append(f"{name}{whole(value, name, -(2**63), 2**63 - 1)}")
    return " ".join(words)


def read_conv(text: Any) -> Conv:
    """The struct of a text, checked by the library."""
    if not isinstance(text, str):
        raise invalid(f"conv is of type {type(text).__name__}: must be a str")
    conv = Conv()
    call(lib.kiln_conv_parse, byref(conv), encoded(text, "conv"))
    types = [TYPES[t] for t in (conv.src, conv.weights, conv.dst)]
    if set(types) != {"f32"}:
        raise Error("unsupported", f"the types of src, weights and dst are {' '.join(types)}: only f32 is done")
    return conv


def allocate(size: int) -> tuple[Array, int]:
    """Memory, and the address in it from which size bytes are aligned as packed weights must be."""
    memory = numpy.empty(size + PACKED_ALIGN - 1, numpy.uint8)
    return memory, -(-memory.ctypes.data // PACKED_ALIGN) * PACKED_ALIGN


class Packed:
    """Weights in the order that one plan reads; made by Plan.pack."""

    __slots__ = ("_owner", "_memory", "_address")

    def __init__(self, owner: Handle, size: int) -> None:
        self._owner = owner
        self._memory, self._address = allocate(size)


class Slot:
    """The structs of one call, made once: a call that begins takes one, and puts it back at its end."""

    __slots__ = ("args", "args_at", "error", "error_at")

    def __init__(self) -> None:
        self.args, self.error = Args(), ErrorStruct()
        self.args_at, self.error_at = addressof(self.args), addressof(self.error)

    def refusal(self, status: int, **arrays: Array | None) -> Error:
        """The exception for what a call returned: in Python's names where an array is to blame."""
        for name, array in arrays.items():
            if array is not None:
                check_elements(array, name)
        return failed(status, self.error)


class Plan:
    """One convolution, compiled for this machine.

    conv: the text form, such as "conv n1 ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 nhwc +bias +relu" (docs/plan.md), or
    a whole plan line, "conv ... | schedule | isa". Or its fields as arguments: Plan(ic=64, ih=56, iw=56,
    oc=64, kh=3, kw=3, ph=1, pw=1, layout="nhwc", post="+bias +relu").

    schedule, isa, target, scratch_limit, code_budget and effort are those of struct kiln_options.

    Arrays are float32. Whatever the layout, x is indexed x[n][ic][ih][iw] (x[n][ic][iw] in one dimension): with
    "nchw" it is C-contiguous, with "nhwc" a channels-last view, such as a.transpose(0, 3, 1, 2) of
    a[n][ih][iw][ic]. Weights are w[oc][ic / g][kh][kw], C-contiguous. Any number of threads may run one plan.
    """

    def __init__(
        self,
        conv: str | None = None,
        *,
        context: Context | None = None,
        schedule: str | None = None,
        isa: str | None = None,
        target: str | None = None,
        scratch_limit: int = 0,
        code_budget: int = 0,
        effort: str = "estimate",
        **fields: Any,
    ) -> None:
        self._handle: Handle | None = None
        self.text = "not compiled"
        if (conv is None) == (not fields):
            raise invalid("conv must be given either as a text or as fields such as ic=3, and not as both")
        text = conv_text(fields) if conv is None else conv
        self._conv = read_conv(text)
        self._context = context_of(context)
        if schedule is None and "|" in text:
            schedule = text
        self._options = Options(
            size=ctypes.sizeof(Options),
            effort=chosen(effort, "effort", EFFORTS),
            isa=encoded(isa, "isa"),
            target=encoded(target, "target"),
            schedule=encoded(schedule, "schedule"),
            scratch_limit=whole(scratch_limit, "scratch_limit", 0, SIZE_MOST),
            code_budget=whole(code_budget, "code_budget", 0, INT_MOST),
        )
        self._handle = self._compile()
        self._tensors = _tensors(self._conv)
        self._out = out = self._tensors["out"]
        self._forms = {len(s): (s, strides_of(s, axes_of(out.layout, len(s)))) for s in out.shapes}
        self._slots: list[Slot] = []
        self._needs = {POSTS[p.kind] for p in self._conv.post[: self._conv.post_count]} & set(VECTORS)

    def _compile(self) -> Handle:
        context, made = self._context._held(), ctypes.c_void_p()
        call(lib.kiln_compile, context.address, byref(self._conv), byref(self._options), byref(made))
        handle = Handle(made.value or 0, lib.kiln_plan_release)
        self.text = lib.kiln_plan_text(handle.address).decode()
        self.exact: bool = lib.kiln_plan_exact(handle.address)
        self.packed_size: int = lib.kiln_plan_packed_size(handle.address)
        self.scratch_size: int = lib.kiln_plan_scratch_size(handle.address)
        self.tasks: int = lib.kiln_plan_tasks(handle.address)
        return handle

    @property
    def conv(self) -> str:
        """The canonical text of the convolution."""
        room = ctypes.create_string_buffer(TEXT_MAX)
        lib.kiln_conv_print(byref(self._conv), room, TEXT_MAX)
        return room.value.decode()

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(n, oc, oh, ow); (n, oc, ow) in one dimension."""
        return self._out.shapes[0]

    def _held(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise invalid("this plan was closed")
        return handle

    def pack(self, w: Any) -> Packed:
        """Packs w[oc][ic / g][kh][kw] into what this plan reads."""
        handle = self._held()
        w = self._tensors["w"].take(w)
        packed, slot = Packed(handle, self.packed_size), Slot()
        status = pack_weights(handle.address, w.ctypes.data, packed._address, slot.error_at)
        if status:
            raise slot.refusal(status, w=w)
        return packed

    def run(
        self,
        x: Any,
        packed: Packed,
        *,
        bias: Any = None,
        scale: Any = None,
        add: Any = None,
        prelu: Any = None,
        out: Array | None = None,
    ) -> Array:
        """Computes y[n][oc][oh][ow] from x[n][ic][ih][iw] and returns it, in x's layout.

        bias[oc], scale[oc], prelu[oc] and add, of y's shape and layout, are for the post-ops that read them.
        out: memory for y, which may be add itself and overlaps no other input.
        """
        handle = self._held()
        if type(packed) is not Packed or packed._owner is not handle:
            raise invalid("packed is not of this plan: must be what its pack() returned")
        x = self._tensors["x"].take(x)
        extra = [bias, scale, add, prelu]
        for i, name in enumerate(VECTORS):
            if extra[i] is not None or name in self._needs:
                extra[i] = self._extra(name, extra[i])
        shape, strides = self._forms[x.ndim]
        y: Array = ndarray(shape, FLOAT32, None, 0, strides) if out is None else self._out.take_out(out, shape)
        try:
            slot = self._slots.pop()
        except IndexError:  # also where another thread took the last one
            slot = Slot()
        args, x_at, y_at = slot.args, x.ctypes.data, y.ctypes.data
        args.src, args.weights, args.dst = x_at, packed._address, y_at
        for name, array in zip(VECTORS, extra):
            if array is not None:  # what no post-op reads was never set
                setattr(args, name, array.ctypes.data)
        if out is not None:
            inputs = ((extra[0], args.bias), (extra[1], args.scale), (extra[3], args.prelu))
            check_apart(y, y_at, (x, x_at), (None if add is out else extra[2], args.add), *inputs)
        status = run_plan(handle.address, slot.args_at, slot.error_at)
        if status:
            raise slot.refusal(status, x=x, out=y, **dict(zip(VECTORS, extra)))
        self._slots.append(slot)
        return y

    def _extra(self, name: str, value: Any) -> Array:
        """A tensor that is given, or should be."""
        if value is None:
            raise invalid(f"{name} is missing: {self.conv!r} needs it")
        if name not in self._needs:
            raise invalid(f"{name} is given: {self.conv!r} has no post-op that reads it")
        return self._tensors[name].take(value)

    def explain(self) -> str:
        """What runs, why that and not another, and what it costs: as `kiln explain` prints it."""
        self._held()
        return self._collect(lib.kiln_explain).decode()

    def dump(self, what: str) -> str | bytes:
        """"ir", "ir_opt" (after LLVM's passes) or "asm" as a str; "object" or "image" as bytes."""
        self._held()
        dumped = self._collect(lib.kiln_dump, chosen(what, "what", DUMPS))
        return dumped if what in ("object", "image") else dumped.decode()

    def _collect(self, function: Any, *arguments: Any) -> bytes:
        context = self._context._held()
        return collect(function, context.address, byref(self._conv), byref(self._options), *arguments)

    def close(self) -> None:
        """Releases the plan, as soon as no run uses it. Closing twice is allowed; what follows is an Error."""
        self._handle = None

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<kiln.Plan {self.text!r}{'' if self._handle else ', closed'}>"


def _tensors(conv: Conv) -> dict[str, Tensor]:
    """What each tensor of a run must look like. A 1-D convolution may be given in two dimensions, too."""
    out = (ctypes.c_int64 * 3)()
    call(lib.kiln_conv_output, byref(conv), out)
    src, kernel, dst = (conv.id, conv.ih, conv.iw), (conv.kd, conv.kh, conv.kw), tuple(out)
    first = 0
    while first < 2 and src[first] == kernel[first] == dst[first] == 1:
        first += 1
    cuts = sorted({first, min(first, 1)}, reverse=True)
    layout = LAYOUTS[conv.layout]

    def shapes(a: int, b: int, extents: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(a, b, *extents[cut:]) for cut in cuts]

    vector = [(conv.oc,)]
    y = shapes(conv.n, conv.oc, dst)
    return {
        "x": Tensor("x", shapes(conv.n, conv.ic, src), layout),
        "w": Tensor("w", shapes(conv.oc, conv.ic // conv.g, kernel)),
        "bias": Tensor("bias", vector),
        "scale": Tensor("scale", vector),
        "prelu": Tensor("prelu", vector),
        "add": Tensor("add", y, layout),
        "out": Tensor("out", y, layout),
    }
