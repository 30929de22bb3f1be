"""Conv1d and Conv2d: torch.nn's own, whose forward runs in Kiln where it can."""

from __future__ import annotations

from typing import Any, TypeVar, Union

import torch
from torch import Tensor, nn

from kiln._convolve import ACCURACIES
from kiln._error import chosen
from kiln.torch._engine import Description, Engine

# What an engine is made from: to set one of them is to ask for another.
FIELDS = {"stride", "padding", "dilation", "groups", "padding_mode", "accuracy", "_reversed_padding_repeated_twice"}

OWN: set[type] = set()  # the classes that are Kiln's

Size = Union[int, tuple[int, ...]]  # for all axes, or for each

Module = TypeVar("Module", bound="_Convolution")

_jit: Any = torch.jit  # which exports nothing by mypy's rules
_compiler: Any = getattr(torch, "compiler", None)
_compiling = getattr(_compiler, "is_compiling", lambda: False)


def sides_of(conv: Any) -> tuple[tuple[int, int], ...]:
    """The zeros around the input of a torch.nn convolution, (low, high) for each axis."""
    if conv.padding_mode != "zeros" or conv.padding == "valid":
        return ((0, 0),) * len(conv.kernel_size)
    if conv.padding == "same":
        totals = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((side, side) for side in conv.padding)


def description_of(conv: Any, accuracy: str, post: str = "") -> Description:
    """What a torch.nn convolution does, with post-ops behind its bias."""
    pad = None if conv.padding_mode == "zeros" else (conv._reversed_padding_repeated_twice, conv.padding_mode)
    return Description(conv.stride, sides_of(conv), conv.dilation, conv.groups, accuracy, post, pad)


class _Convolution(nn.modules.conv._ConvNd):
    """What Conv1d and Conv2d share."""

    accuracy = "default"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        accuracy: str = "default",
    ) -> None:
        conv: Any = super()  # torch.nn's Conv1d or Conv2d
        conv.__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        chosen(accuracy, "accuracy", ACCURACIES)
        self.accuracy = accuracy

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in FIELDS:
            self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """All but plans and packed weights, which a copy makes anew."""
        return {name: value for name, value in self.__dict__.items() if name != "_engine"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._forget()

    def _engine_of(self) -> Engine:
        engine: Engine | None = self.__dict__.get("_engine")
        if engine is None:
            engine = Engine(description_of(self, self.accuracy))
            self.__dict__["_engine"] = engine
        return engine

    def repack(self) -> None:
        """Packs the weights again at the next run. Only needed where they were changed behind torch's back, in
        part, as through weight.data or weight.numpy(): what torch counts, and all that replaces them, is seen."""
        self._forget()

    def _forget(self) -> None:
        """Lets go of what was made for the weights and fields as they were."""
        self.__dict__.pop("_engine", None)

    def forward(self, input: Tensor) -> Tensor:
        """y[n][oc][oh][ow] of input[n][ic][ih][iw], or without n; in one dimension without oh and ih."""
        if _jit.is_scripting():
            return self._conv_forward(input, self.weight, self.bias)
        return self._convolve(input)

    def _weights(self) -> tuple[Any, Any]:
        """Weight and bias, without torch's way to attributes, which takes longer."""
        if type(self) in OWN:  # a class made of one of these, as by functional_call, may have others
            parameters: dict[str, Any] = self._parameters
            try:
                return parameters["weight"], parameters["bias"]
            except KeyError:  # they are computed, such as by torch.nn.utils.weight_norm
                pass
        return self.weight, self.bias

    def _convolve(self, input: Tensor) -> Tensor:
        if not _compiling():
            weight, bias = self._weights()
            engine = self.__dict__.get("_engine") or self._engine_of()
            y: Tensor | None = engine(input, weight, bias)
            if y is not None:
                return y
        return self._conv_forward(input, self.weight, self.bias)

    @classmethod
    def from_torch(cls: type[Module], conv: Any, accuracy: str = "default") -> Module:
        """A torch.nn convolution as one of these, which shares its parameters, buffers and hooks."""
        made = cls.__new__(cls)
        made.__dict__.update({k: v.copy() if isinstance(v, dict) else v for k, v in conv.__dict__.items()})
        made.__dict__.pop("_engine", None)
        chosen(accuracy, "accuracy", ACCURACIES)
        made.accuracy = accuracy
        return made

    def extra_repr(self) -> str:
        accuracy = "" if self.accuracy == "default" else f", accuracy={self.accuracy}"
        return str(super().extra_repr()) + accuracy  # type: ignore[no-untyped-call]

    _jit.unused(_convolve)


class Conv1d(_Convolution, nn.Conv1d):
    """torch.nn.Conv1d, run by Kiln: y[n][oc][ow] from x[n][ic][iw], n is optional.

    Arguments, parameters, initialisation and state_dict are torch.nn.Conv1d's. accuracy: "default", "strict", which
    spreads NaN and infinities as the plain sum does, or "fast" (docs/accuracy.md). Memory is used in place,
    contiguous or channels last, and the output has the input's layout. Each form of the input is compiled when
    first seen, and the weights are packed once. What Kiln does not do, torch does: stats() tells.
    """


class Conv2d(_Convolution, nn.Conv2d):
    """torch.nn.Conv2d, run by Kiln: y[n][oc][oh][ow] from x[n][ic][ih][iw], n is optional.

    Arguments, parameters, initialisation and state_dict are torch.nn.Conv2d's. accuracy: "default", "strict", which
    spreads NaN and infinities as the plain sum does, or "fast" (docs/accuracy.md). Memory is used in place,
    contiguous or channels last, and the output has the input's layout. Each form of the input is compiled when
    first seen, and the weights are packed once. What Kiln does not do, torch does: stats() tells.
    """


OWN.update((Conv1d, Conv2d))
