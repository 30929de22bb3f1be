"""Kiln from Python: fixed convolution shapes, compiled once and run many times, on NumPy arrays in place.

    y = kiln.conv2d(x, w, bias, padding=1)                  # a plan per shape, made at first sight

    plan = kiln.Plan("conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 nchw +bias +relu")
    packed = plan.pack(w)                                   # once
    y = plan.run(x, packed, bias=bias)                      # many times

Needs libkiln.so: beside this package, where KILN_LIBRARY says, or where the system's loader looks.
"""

from kiln._context import Context, default_context
from kiln._convolve import conv1d, conv2d
from kiln._error import Error
from kiln._library import lib as _lib
from kiln._plan import Packed, Plan

__version__ = "0.1.0"
__all__ = ["Context", "Error", "Packed", "Plan", "conv1d", "conv2d", "default_context", "library_version"]


def library_version() -> str:
    """The version of libkiln, which may differ in its last number from __version__, this package's."""
    version: bytes = _lib.kiln_version()
    return version.decode()
