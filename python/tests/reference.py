"""The plain nest over NumPy arrays, in float64, and what tests share. With KILN_GUARDED set, the arrays of all
tests end right in front of an unmapped page."""

import os

import numpy

from guard import Guarded

memory = Guarded(at_end=True)  # kept to the end: any test may hold its arrays
guarded = memory.output if os.environ.get("KILN_GUARDED") else lambda array: array


def pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def conv2d(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n][oc][oh][ow] of x[n][ic][ih][iw] and w[oc][ic / groups][kh][kw], as PyTorch defines it."""
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    oc, icg, kh, kw = w.shape
    x = numpy.pad(x.astype("f8"), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    oh = (x.shape[2] - ((kh - 1) * dh + 1)) // sh + 1
    ow = (x.shape[3] - ((kw - 1) * dw + 1)) // sw + 1
    y = numpy.zeros((x.shape[0], oc, oh, ow))
    for g in range(groups):
        out = slice(g * oc // groups, (g + 1) * oc // groups)
        for i in range(kh):
            for j in range(kw):
                rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
                columns = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
                taps = x[:, g * icg : (g + 1) * icg, rows, columns]
                y[:, out] += numpy.einsum("nchw,oc->nohw", taps, w[out, :, i, j].astype("f8"))
    return y if bias is None else y + bias.astype("f8")[:, None, None]


def channels_last(array):
    """The same elements, indexed alike, with the channels last in memory."""
    axes = (0, *range(2, array.ndim), 1)
    back = (0, array.ndim - 1, *range(1, array.ndim - 1))
    return guarded(numpy.ascontiguousarray(array.transpose(axes)).transpose(back))


def normal(seed, *shape):
    return guarded(numpy.random.default_rng(seed).standard_normal(shape, dtype="f4"))


def assert_close(y, want):
    """Within Kiln's promise, 2e-5 of the output's root mean square, with room for few and small outputs."""
    assert y.shape == want.shape and y.dtype == numpy.float32
    bound = 1e-4 * max(float(numpy.sqrt(numpy.mean(want**2))), 0.1)
    assert numpy.abs(y - want).max() <= bound
