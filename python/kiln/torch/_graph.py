"""What the graph of a model shows: convolutions, and behind each what its kernel can do as well."""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.fx._symbolic_trace import Tracer as BaseTracer
from torch.fx.node import Node
from torch.nn import functional

from kiln._error import Error
from kiln._plan import Plan
from kiln.torch._fused import Post
from kiln.torch._modules import Conv1d, Conv2d, _Convolution

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, Conv1d, Conv2d)  # exactly: a class of its own may do anything
POSTS_MOST = 8  # of one convolution, the bias included: kiln.h
RELU6 = Post("clip", (0.0, 6.0))

Reader = Callable[[Any], "Post | None"]


def clip(low: Any, high: Any) -> Post | None:
    if low == 0 and high is None:
        return Post("relu")
    known = all(isinstance(each, (int, float)) and math.isfinite(each) for each in (low, high))
    return Post("clip", (float(low), float(high))) if known and low <= high else None


def leaky(slope: Any) -> Post | None:
    return Post("leaky", (float(slope),)) if isinstance(slope, (int, float)) and math.isfinite(slope) else None


def gelu(approximate: Any) -> Post | None:
    return Post("gelu") if approximate == "none" else None


def always(post: Post) -> Reader:
    return lambda _: post


MODULES: dict[type, Reader] = {
    nn.ReLU: always(Post("relu")),
    nn.ReLU6: always(RELU6),
    nn.Hardtanh: lambda m: clip(m.min_val, m.max_val),
    nn.LeakyReLU: lambda m: leaky(m.negative_slope),
    nn.PReLU: always(Post("prelu")),
    nn.SiLU: always(Post("silu")),
    nn.Hardswish: always(Post("hardswish")),
    nn.Sigmoid: always(Post("sigmoid")),
    nn.Tanh: always(Post("tanh")),
    nn.GELU: lambda m: gelu(getattr(m, "approximate", "none")),
}

# The parameters behind the input, with their defaults, and what they mean.
NONE: tuple[tuple[str, Any], ...] = ()
LIMITS = (("min", None), ("max", None))
Function = tuple[tuple[tuple[str, Any], ...], Callable[..., "Post | None"]]
FUNCTIONS: dict[Any, Function] = {
    "clamp": (LIMITS, clip),
    torch.clamp: (LIMITS, clip),
    functional.relu6: (NONE, lambda: RELU6),
    functional.hardtanh: ((("min_val", -1.0), ("max_val", 1.0)), clip),
    functional.leaky_relu: ((("negative_slope", 0.01),), leaky),
    functional.gelu: ((("approximate", "none"),), gelu),
    functional.silu: (NONE, lambda: Post("silu")),
    functional.hardswish: (NONE, lambda: Post("hardswish")),
}
for _name in ("relu", "sigmoid", "tanh"):
    for _target in (_name, getattr(torch, _name), getattr(functional, _name)):
        FUNCTIONS[_target] = (NONE, lambda name=_name: Post(name))

ADDS = (operator.add, torch.add, "add")
ADDS_IN_PLACE = (operator.iadd, "add_")
ARGUMENTS = {"clip": 2, "leaky": 1}  # numbers of post-ops that have any
IGNORED = {"inplace"}  # the result is the same, and nothing else sees the input


def has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


@lru_cache(maxsize=None)
def is_compiled(name: str) -> bool:
    """Whether Kiln compiles a post-op, tried on the smallest convolution."""
    try:
        Plan(f"conv ic1 iw1 oc1 kw1 {Post(name, (0.0, 1.0)[: ARGUMENTS.get(name, 0)])}").close()
    except Error as error:
        if error.status != "unsupported":
            raise
        return False
    return True


class Tracer(BaseTracer):
    """Kiln's modules are leaves like torch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _Convolution) or super().is_leaf_module(m, module_qualified_name)


def shape_of(node: Node) -> tuple[int, ...] | None:
    """The shape of what a node gave for the example, where that is a float32 tensor."""
    meta = node.meta.get("tensor_meta")
    if meta is None or not isinstance(getattr(meta, "shape", None), torch.Size) or meta.dtype is not torch.float32:
        return None
    return tuple(meta.shape)


def changes_in_place(node: Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a node may write to a tensor that exists already."""
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "_")
    in_place = name.endswith("_") or name == "setitem" or (name[:1] == "i" and hasattr(operator, f"__{name}__"))
    return in_place or "out" in node.kwargs or any(each is True for each in (*node.args, *node.kwargs.values()))


def post_of_function(node: Node) -> Post | None:
    """The post-op that a function or a method of a tensor is."""
    target: Any = node.target
    if node.op == "call_method" and target.endswith("_") and not target.endswith("__"):
        target = target[:-1]
    if target not in FUNCTIONS:
        return None
    parameters, read = FUNCTIONS[target]
    values = dict(parameters)
    values.update(zip(values, node.args[1:]))
    given = {name: value for name, value in node.kwargs.items() if name not in IGNORED and name != "input"}
    if not set(given) <= set(values):
        return None
    return read(*{**values, **given}.values())


class Chain:
    """A convolution, or a Linear, and what follows it, as far as one kernel does it all."""

    def __init__(self, conv: Node, modules: dict[str, nn.Module]) -> None:
        self.conv, self.modules = conv, modules
        self.module: Any = modules[str(conv.target)]
        self.channels = self.module.weight.shape[0]
        self.nodes = [conv]  # that become one
        self.norm: Any = None
        self.posts: list[Post] = []
        self.add: Node | None = None  # the other summand
        self.at = conv  # where the one stands
        self.slopes: Tensor | None = None
        self.names: list[str] = []
        self.fused: Any = None  # the module that does it all
        self.why = ""  # it is not longer, where that is not plain to see
        while self._extend():
            pass

    def _stop(self, why: str) -> bool:
        self.why = why
        return False

    def _extend(self) -> bool:
        tip = self.nodes[-1]
        if has_hooks(self.module):
            return self._stop("it has hooks")
        if len(tip.users) != 1:
            return self._stop(f"{len(tip.users)} read it") if tip.users else False
        node = next(iter(tip.users))
        if len(self.posts) + 1 == POSTS_MOST or node.op not in ("call_module", "call_function", "call_method"):
            return False
        if not self._take(node, tip):
            return False
        self.nodes.append(node)
        return True

    def _take(self, node: Node, tip: Node) -> bool:
        """Whether the node is one more step of the kernel."""
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d):
                return self._take_norm(module, str(node.target))
            return type(module) in MODULES and self._take_module(module, str(node.target))
        if node.target in ADDS or node.target in ADDS_IN_PLACE:
            return self._take_add(node, tip)
        if node.args[:1] != (tip,) and node.kwargs.get("input") is not tip:
            return False
        post = post_of_function(node)
        return post is not None and self._take_post(post, post.name)

    def _take_post(self, post: Post, name: str) -> bool:
        if not is_compiled(post.name):
            return self._stop(f"Kiln compiles no +{post.name} yet")
        self.posts.append(post)
        self.names.append(name)
        return True

    def _take_module(self, module: Any, name: str) -> bool:
        if has_hooks(module):
            return self._stop(f"{name} has hooks")
        post = MODULES[type(module)](module)
        if post is None:
            return self._stop(f"the parameters of {name}")
        if post.name == "prelu":
            if self.slopes is not None or module.weight.dtype is not torch.float32:
                return False
            self.slopes = module.weight.detach().expand(self.channels).contiguous()
        return self._take_post(post, type(module).__name__)

    def _take_norm(self, norm: Any, name: str) -> bool:
        if self.posts or self.norm is not None:
            return False
        if has_hooks(norm):
            return self._stop(f"{name} has hooks")
        if norm.training or norm.running_mean is None:
            return self._stop(f"{name} computes its statistics")
        if norm.num_features != self.channels:
            return False
        self.norm = norm
        self.names.append("BatchNorm")
        return True

    def _take_add(self, node: Node, tip: Node) -> bool:
        if self.add is not None or node.kwargs or len(node.args) != 2 or node.args[0] is node.args[1]:
            return False
        other: Any = node.args[1] if node.args[0] is tip else node.args[0]
        if node.target in ADDS_IN_PLACE and node.args[0] is not tip:
            return self._stop("the sum is written to another tensor")
        if not isinstance(other, Node):
            return self._stop("what is added is no tensor")
        if shape_of(other) != shape_of(tip) or shape_of(tip) is None:
            return self._stop("what is added has another shape")
        between = list(self.conv.graph.nodes)
        between = between[between.index(self.conv) : between.index(node)]
        if any(changes_in_place(each, self.modules) for each in between if each not in self.nodes):
            return self._stop("something is changed in place before the sum")
        self.add, self.at = other, node
        self.posts.append(Post("add"))
        self.names.append("add")
        return True
