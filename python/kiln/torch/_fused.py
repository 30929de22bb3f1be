"""Convolutions with what follows them: post-ops of the kernel where it runs in Kiln, torch's functions elsewhere."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from kiln._error import invalid
from kiln.torch._engine import APART, Engine
from kiln.torch._modules import OWN, Conv1d, Conv2d, _compiling, _Convolution, description_of


class Post(NamedTuple):
    """A post-op of docs/plan.md: Post("clip", (0.0, 6.0)) is +clip(0,6)."""

    name: str
    numbers: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"+{self.name}" + (f"({','.join(f'{each:.9g}' for each in self.numbers)})" if self.numbers else "")


ADD = Post("add")

# What each is in torch; the operand is the other summand, or prelu's slopes.
IN_TORCH: dict[str, Callable[..., Any]] = {
    "add": lambda v, operand: v + operand,
    "relu": lambda v, _: functional.relu(v),
    "leaky": lambda v, _, a: functional.leaky_relu(v, a),
    "prelu": lambda v, operand: functional.prelu(v, operand),
    "clip": lambda v, _, a, b: torch.clamp(v, a, b),
    "sigmoid": lambda v, _: torch.sigmoid(v),
    "tanh": lambda v, _: torch.tanh(v),
    "silu": lambda v, _: functional.silu(v),
    "gelu": lambda v, _: functional.gelu(v),
    "hardswish": lambda v, _: functional.hardswish(v),
}


class _Fused(_Convolution):
    """What Fused1d and Fused2d share: forward(input) or, with Post("add"), forward(input, add)."""

    posts: Any = ()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_whole"}

    def forward(self, input: Tensor, add: Tensor | None = None) -> Tensor:
        """y[n][oc][oh][ow], to which the post-ops were applied; add is of y's shape."""
        y: Any = None
        if not _compiling():
            engine = self.__dict__.get("_whole") or self._make_whole()
            slopes: Any = self._buffers["slopes"] if type(self) in OWN else self.slopes
            y = engine(input, *self._weights(), add, slopes)
            if isinstance(y, Tensor):
                return y
        if add is None and ADD in self.posts:
            raise invalid("add is missing: this convolution's kernel adds a tensor of its output's shape")
        y = self._conv_forward(input, self.weight, self.bias) if y is None else self._convolve(input)
        for post in self.posts:
            y = IN_TORCH[post.name](y, add if post.name == "add" else self.slopes, *post.numbers)
        return y  # type: ignore[no-any-return]

    def _forget(self) -> None:
        super()._forget()
        self.__dict__.pop("_whole", None)

    def _make_whole(self) -> Engine:
        post = " ".join(map(str, self.posts))
        engine = self.__dict__["_whole"] = Engine(description_of(self, self.accuracy, post))
        return engine

    def extra_repr(self) -> str:
        return " ".join([super().extra_repr(), *map(str, self.posts)])


class Fused1d(_Fused, Conv1d):
    pass


class Fused2d(_Fused, Conv2d):
    pass


class FusedLinear(Fused1d):
    """A torch.nn.Linear as a 1x1 convolution: rows of the input are pixels, in channels last."""

    def forward(self, input: Tensor, add: Tensor | None = None) -> Tensor:
        """y[n][oc] from input[n][ic]; add is of y's shape. Further axes are as n."""
        rows = input if input.dim() == 2 else input.reshape(-1, input.shape[-1])
        y = super().forward(rows.t(), None if add is None else add.reshape(-1, self.out_channels).t()).t()
        return y if input.dim() == 2 else y.reshape(*input.shape[:-1], self.out_channels)


OWN.update((Fused1d, Fused2d, FusedLinear))


def folded(conv: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the BatchNorm behind it, computed in float64."""
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = -norm.running_mean.double() if conv.bias is None else conv.bias.double() - norm.running_mean.double()
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    weight = conv.weight.double() * scale.reshape(-1, *(1,) * (conv.weight.dim() - 1))
    return weight.float().contiguous(), bias.float()


def as_convolution(linear: nn.Linear) -> FusedLinear:
    """A FusedLinear of the same memory."""
    made: Any = FusedLinear(linear.in_features, linear.out_features, 1, device="meta")
    made.weight = nn.Parameter(linear.weight.detach().unsqueeze(2), requires_grad=False)
    made.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)
    made.register_buffer("slopes", None)
    return cast(FusedLinear, made)


def fuse(conv: Any, norm: Any, posts: tuple[Post, ...], slopes: Tensor | None, accuracy: str) -> Any:
    """A torch.nn convolution or Linear, the BatchNorm behind it or None, and post-ops, as one module."""
    if isinstance(conv, nn.Linear):
        conv = as_convolution(conv)
        kind: type[_Convolution] = FusedLinear
    elif isinstance(conv, nn.Conv2d):
        kind = Fused2d if posts else Conv2d
    else:
        kind = Fused1d if posts else Conv1d
    made: Any = kind.from_torch(conv, accuracy)
    if isinstance(conv, _Convolution) and accuracy == "default":
        made.accuracy = conv.accuracy
    if norm is not None:
        with torch.no_grad():
            weight, bias = folded(conv, norm)
        made.weight = nn.Parameter(weight, requires_grad=False)
        made.bias = nn.Parameter(bias, requires_grad=False)
    if issubclass(kind, _Fused):
        made.posts = posts
        made.register_buffer("slopes", slopes)  # of prelu
    return made
