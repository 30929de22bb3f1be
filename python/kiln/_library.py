"""libkiln itself: where it is found, its structs and its functions, as kiln.h declares them."""

from __future__ import annotations

import ctypes
import os
import pathlib
from ctypes import CFUNCTYPE, POINTER, byref, c_bool, c_char, c_char_p, c_double, c_float, c_int, c_int64
from ctypes import c_size_t, c_uint64, c_void_p
from typing import Any

from kiln._error import Error, invalid

ABI = "0.1"  # the major and minor version of the kiln.h that this file repeats; libkiln's soname ends in it
POST_MAX = 8
ERROR_TEXT = 512
TEXT_MAX = 1024


class ErrorStruct(ctypes.Structure):
    _fields_ = [("status", c_int), ("text", c_char * ERROR_TEXT)]


class Post(ctypes.Structure):
    _fields_ = [("kind", c_int), ("a", c_float), ("b", c_float)]


EXTENTS = "n g ic id ih iw oc kd kh kw sd sh sw dd dh dw pf pk pt pb pl pr".split()
WORDS = "src weights dst layout mode accuracy post_count".split()


class Conv(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        *((name, c_int64) for name in EXTENTS),
        *((name, c_int) for name in WORDS),
        ("post", Post * POST_MAX),
    ]


class Config(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("threads", c_int),
        ("parallel", c_void_p),
        ("parallel_user", c_void_p),
        ("cache_bytes", c_size_t),
        ("isa", c_char_p),
        ("generator", c_char_p),
        ("debug", c_char_p),
        ("log", c_void_p),
        ("log_user", c_void_p),
        ("wisdom", c_char_p),
        ("cache", c_int),
        ("cache_dir", c_char_p),
        ("cache_disk_bytes", c_uint64),
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("effort", c_int),
        ("isa", c_char_p),
        ("target", c_char_p),
        ("schedule", c_char_p),
        ("scratch_limit", c_size_t),
        ("code_budget", c_int),
        ("candidates", c_int),
    ]


class Stats(ctypes.Structure):
    _fields_ = [
        *((name, c_uint64) for name in "hits misses compiles evictions bytes".split()),
        ("compile_ms", c_double),
        ("threads", c_int),
        *((name, c_uint64) for name in "disk_hits disk_misses disk_writes".split()),
    ]


class Args(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in "src weights bias scale add prelu dst".split()]


# The C name of each struct, and the values of each enum in their order.
STRUCTS = {
    "kiln_error": ErrorStruct,
    "kiln_post": Post,
    "kiln_conv": Conv,
    "kiln_config": Config,
    "kiln_options": Options,
    "kiln_stats": Stats,
    "kiln_args": Args,
}
STATUSES = ("ok", "invalid", "unsupported", "memory", "system", "internal")
TYPES = ("f32", "bf16", "f16", "u8", "s8", "s32")
LAYOUTS = ("nchw", "nhwc")
POSTS = ("bias", "scale", "add", "relu", "leaky", "prelu", "clip", "sigmoid", "tanh", "silu", "gelu", "hardswish")
EFFORTS = ("estimate", "wisdom_only")
CACHES = ("default", "off", "read", "on")
DUMPS = ("ir", "ir_opt", "asm", "object", "image")

Sink = CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)

# Addresses are void pointers, which take a plain int: the cheapest thing that ctypes passes.
PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "kiln_version": (c_char_p, []),
    "kiln_conv_init": (None, [c_void_p]),
    "kiln_conv_parse": (c_int, [c_void_p, c_char_p, c_void_p]),
    "kiln_conv_print": (c_size_t, [c_void_p, c_char_p, c_size_t]),
    "kiln_conv_output": (c_int, [c_void_p, c_int64 * 3, c_void_p]),
    "kiln_create": (c_int, [POINTER(c_void_p), c_void_p, c_void_p]),
    "kiln_destroy": (None, [c_void_p]),
    "kiln_stats": (None, [c_void_p, c_void_p]),
    "kiln_compile": (c_int, [c_void_p, c_void_p, c_void_p, POINTER(c_void_p), c_void_p]),
    "kiln_explain": (c_int, [c_void_p, c_void_p, c_void_p, Sink, c_void_p, c_void_p]),
    "kiln_dump": (c_int, [c_void_p, c_void_p, c_void_p, c_int, Sink, c_void_p, c_void_p]),
    "kiln_plan_release": (None, [c_void_p]),
    "kiln_plan_text": (c_char_p, [c_void_p]),
    "kiln_plan_exact": (c_bool, [c_void_p]),
    "kiln_plan_packed_size": (c_size_t, [c_void_p]),
    "kiln_plan_scratch_size": (c_size_t, [c_void_p]),
    "kiln_plan_tasks": (c_size_t, [c_void_p]),
    "kiln_pack": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "kiln_run": (c_int, [c_void_p, c_void_p, c_void_p]),
}


def _places() -> list[str]:
    """What to open, the first that is there: KILN_LIBRARY alone if set, beside the package, the loader's."""
    named = os.environ.get("KILN_LIBRARY")
    if named:
        return [named]
    beside = pathlib.Path(__file__).parent / f"libkiln.so.{ABI}"
    return [str(beside)] * beside.exists() + [beside.name]


def _open() -> ctypes.CDLL:
    place = _places()[0]
    try:
        library = ctypes.CDLL(place)
        for name, (result, arguments) in PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"libkiln cannot be opened: {error}. Put it beside this package ({pathlib.Path(__file__).parent}), "
            "set KILN_LIBRARY to its path, or install it where the system's loader looks"
        ) from error
    _check(library, place)
    return library


def _check(library: ctypes.CDLL, place: str) -> None:
    """That the structs of this file are the library's: another minor version may have others."""
    version = library.kiln_version().decode()
    if version.split(".")[:2] != ABI.split("."):
        raise ImportError(f"{place} is Kiln {version}: this package is for {ABI}.x")
    room = ctypes.create_string_buffer(4 * ctypes.sizeof(Conv))  # more than any libkiln could write
    library.kiln_conv_init(room)
    size = Conv.from_buffer(room).size
    if size != ctypes.sizeof(Conv):
        raise ImportError(f"struct kiln_conv of {place} has {size} bytes: this package knows {ctypes.sizeof(Conv)}")


lib = _open()


def failed(status: int, error: ErrorStruct) -> Error:
    """The exception for a call that returned a status other than OK."""
    return Error(STATUSES[status], error.text.decode("utf-8", "replace"))


def call(function: Any, *arguments: Any) -> None:
    """Calls a function whose last parameter is the error, which is left out here."""
    error = ErrorStruct()
    status = function(*arguments, byref(error))
    if status:
        raise failed(status, error)


def collect(function: Any, *arguments: Any) -> bytes:
    """What a function with a sink and its user in front of the error hands out, in one piece."""
    pieces: list[bytes] = []

    def take(_user: Any, at: int, count: int) -> None:
        pieces.append(ctypes.string_at(at, count))

    call(function, *arguments, Sink(take), None)
    return b"".join(pieces)


class Handle:
    """An object of the library. It goes with its last reference, so a call that holds one is safe from a
    close() on another thread. A copy would be released twice, and one from a file is nowhere."""

    __slots__ = ("address", "_release")

    def __init__(self, address: int, release: Any) -> None:
        self.address = address
        self._release = release

    def __del__(self) -> None:
        self._release(self.address)

    def __reduce__(self) -> Any:
        raise invalid("plans, packed weights and contexts cannot be copied or stored: make them anew")
