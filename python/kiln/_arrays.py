"""Arrays as kernels need them: float32, dense, in one of two layouts. Nothing is ever copied."""

from __future__ import annotations

from typing import Any, Sequence

import numpy
from numpy import ndarray
from numpy.ma import MaskedArray

from kiln._error import Error, invalid

Array = ndarray[Any, Any]  # of whatever elements: they are checked
FLOAT32 = numpy.dtype(numpy.float32)
DLPACK_CPU = 1
SEEN_MOST = 64  # forms of one tensor that are remembered; strides of extents of 1 make them many


def array_of(value: Any, name: str) -> Array:
    """The value as an ndarray on the same memory: it is one, or is read through DLPack."""
    if isinstance(value, MaskedArray):
        raise invalid(f"{name} is a masked array, whose mask would be passed over: must be a plain one, such as filled()")
    if isinstance(value, ndarray):
        return value.view(ndarray)
    if not hasattr(value, "__dlpack__"):
        raise invalid(f"{name} is of type {type(value).__name__}: must be a NumPy array, or have __dlpack__")
    try:
        kind = int(value.__dlpack_device__()[0])
    except Exception as error:  # whatever the other library raises, such as for tensors without data
        raise invalid(f"{name} cannot be read through DLPack: {error}") from error
    if kind != DLPACK_CPU:
        raise invalid(f"{name} is on a device of DLPack's kind {kind}: must be on the CPU, which is {DLPACK_CPU}")
    try:
        return numpy.from_dlpack(value)
    except Exception as error:  # likewise, such as for tensors that require a gradient
        raise invalid(f"{name} cannot be read through DLPack: {error}") from error


def axes_of(layout: str, rank: int) -> tuple[int, ...]:
    """The axes of x[n][c][...] in the order of memory."""
    return tuple(range(rank)) if layout == "nchw" else (0, *range(2, rank), 1)


def strides_of(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Strides in bytes of a dense float32 array whose axes lie in memory in that order."""
    strides, step = [0] * len(shape), FLOAT32.itemsize
    for axis in reversed(axes):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def is_dense(array: Array, axes: Sequence[int]) -> bool:
    """Whether the array lies in memory as strides_of says; the stride of an extent of 1 means nothing."""
    want = strides_of(array.shape, axes)
    return all(e == 1 or s == w for e, s, w in zip(array.shape, array.strides, want))


def check_elements(array: Array, name: str) -> None:
    """That the array is of float32, aligned, and not empty."""
    if array.dtype != FLOAT32:
        raise Error("unsupported", f"{name} is of dtype {array.dtype}: only float32, in native order, is done")
    if 0 in array.shape:
        raise invalid(f"{name} has the shape {array.shape}: every extent must be at least 1")
    if not array.flags.aligned:
        raise invalid(f"{name} is not aligned: its address must be a multiple of {FLOAT32.itemsize}")


def layout_of(array: Array, name: str) -> str:
    """The layout of x[n][c][...], "nchw" where it is both."""
    for layout in ("nchw", "nhwc"):
        if is_dense(array, axes_of(layout, array.ndim)):
            return layout
    raise invalid(
        f"{name} has the shape {array.shape} and strides {array.strides}: must be dense, in the order "
        "x[n][c][h][w] (C-contiguous) or x[n][h][w][c] (channels last), such as numpy.ascontiguousarray makes it"
    )


class Tensor:
    """One tensor of a plan, by any of the shapes that it may have, and what it must look like."""

    __slots__ = ("name", "shapes", "layout", "_seen")

    def __init__(self, name: str, shapes: Sequence[tuple[int, ...]], layout: str = "nchw") -> None:
        self.name = name
        self.shapes = tuple(shapes)
        self.layout = layout
        self._seen: set[Any] = set()

    def take(self, value: Any) -> Array:
        """The value as an array that fits. Its alignment is the library's to check at each run."""
        array = value if type(value) is ndarray else array_of(value, self.name)
        key = (array.shape, array.strides, array.dtype)
        if key not in self._seen:
            self._check(array)
            if len(self._seen) < SEEN_MOST:
                self._seen.add(key)
        return array

    def _check(self, array: Array) -> None:
        check_elements(array, self.name)
        if array.shape not in self.shapes:
            allowed = " or ".join(map(str, self.shapes))
            raise invalid(f"{self.name} has the shape {array.shape}: must be {allowed}")
        axes = axes_of(self.layout, array.ndim)
        if not is_dense(array, axes):
            raise invalid(
                f"{self.name} has the strides {array.strides}: must be dense, here {strides_of(array.shape, axes)}"
            )

    def take_out(self, value: Any, shape: tuple[int, ...]) -> Array:
        """An output of the caller's, which must be writable."""
        if not isinstance(value, ndarray):
            raise invalid(f"{self.name} is of type {type(value).__name__}: must be a NumPy array")
        array = self.take(value)
        if array.shape != shape:
            raise invalid(f"{self.name} has the shape {array.shape}: must be {shape}")
        if not array.flags.writeable:
            raise invalid(f"{self.name} is read-only: must be writable")
        return array


def check_apart(out: Array, at: int, *inputs: tuple[Array | None, int | None]) -> None:
    """That an output shares no memory with the inputs, each with its address. All are dense."""
    end = at + out.nbytes
    for array, begin in inputs:
        if array is not None and begin is not None and begin < end and at < begin + array.nbytes:
            raise invalid("out overlaps an input: must be memory of its own")
