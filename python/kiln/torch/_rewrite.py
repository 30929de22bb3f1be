"""The graph of a model, rewritten: convolutions become one with what follows them, and memory formats change."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Sequence

import torch
from torch import Tensor, nn
from torch.fx.graph import Graph
from torch.fx.graph_module import GraphModule
from torch.fx.interpreter import Interpreter
from torch.fx.node import Node, map_arg
from torch.fx.passes.shape_prop import _extract_tensor_metadata

from kiln.torch._fused import as_convolution, fuse
from kiln.torch._graph import CONVOLUTIONS, Chain, Tracer, has_hooks, shape_of
from kiln.torch._state import State

ROUNDS = 5  # of timing two ways, of which the least counts
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # what these do in eval mode


class Unfit(Exception):
    """Why the graph of a model cannot be used."""


class Shapes(Interpreter):
    """Tells nodes the shapes of their tensors, as ShapeProp does, which prints what fails."""

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta["tensor_meta"] = _extract_tensor_metadata(value)
        return value


class Format(nn.Module):
    """A tensor of four axes in a memory format, or as it is: `kept` tells."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.kept = form, True  # the format's name, as torch.save takes no torch.memory_format

    def forward(self, x: Any) -> Any:
        """x[n][c][h][w], copied where it lies otherwise; any other value as it is."""
        if self.kept or type(x) is not Tensor or x.dim() != 4:
            return x
        return x.contiguous(memory_format=getattr(torch, self.form))

    def extra_repr(self) -> str:
        return "kept" if self.kept else self.form


def cloned(arguments: Sequence[Any]) -> list[Any]:
    """The arguments again, so that a model which writes to them does no harm."""
    return [each.clone() if isinstance(each, Tensor) else each for each in arguments]


def traced(model: nn.Module, arguments: Sequence[Any], state: State) -> GraphModule:
    """The model as a graph, whose nodes know the shapes for those arguments."""
    if is_done(model):
        raise Unfit("it is one convolution")
    tracer = Tracer()
    for name, module in model.named_modules():
        if has_hooks(module) and (name == "" or not tracer.is_leaf_module(module, name)):
            raise Unfit(f"{name or 'the model'} has hooks, which a graph leaves out")
    state.restore()
    try:
        graph: GraphModule = GraphModule(model, tracer.trace(model), type(model).__name__)
        changed = state.changed()
        state.restore()
        if any(n.op == "get_attr" and str(n.target).startswith("_tensor_constant") for n in graph.graph.nodes):
            raise Unfit("its forward computes a tensor that would be a constant of the graph")
        if changed:
            raise Unfit(f"its forward changes {changed}")
        Shapes(graph).run(*cloned(arguments))
        state.restore()
    except Unfit:
        raise
    except Exception as error:  # whatever the model's code raises when it meets a proxy
        lines = str(error).strip().splitlines()
        raise Unfit(f"torch.fx cannot trace it: {lines[0] if lines else type(error).__name__}") from error
    return graph


def replace(graph: Graph, node: Node, target: str, args: tuple[Any, ...], nodes: Sequence[Node]) -> None:
    """One call of a module in front of a node, in place of several of which each is the input of the next."""
    with graph.inserting_before(node):
        made = graph.call_module(target, args)
    made.meta = dict(nodes[-1].meta)
    nodes[-1].replace_all_uses_with(made)
    for each in reversed(nodes):
        graph.erase_node(each)


def skip_nothing(model: GraphModule) -> None:
    """Takes out what does nothing in eval mode, behind which more can be seen."""
    modules = dict(model.named_modules())
    for node in list(model.graph.nodes):
        module: Any = modules.get(str(node.target)) if node.op == "call_module" else None
        if type(module) in NOTHING and not module.training and not has_hooks(module) and len(node.args) == 1:
            node.replace_all_uses_with(node.args[0])
            model.graph.erase_node(node)


def fuse_all(model: GraphModule, accuracy: str) -> list[Chain]:
    """Puts convolutions of Kiln's into the graph, each of which took up a chain."""
    skip_nothing(model)
    modules = dict(model.named_modules())
    calls = [node for node in model.graph.nodes if node.op == "call_module" and is_worth(node, modules)]
    named = Counter(str(node.target) for node in calls)
    named.update(str(n.target).rpartition(".")[0] for n in model.graph.nodes if n.op == "get_attr")
    made: dict[Any, str] = {}
    chains = []
    for node in calls:
        chain, name = Chain(node, modules), str(node.target)
        key = (name, id(chain.norm), tuple(chain.posts), id(chain.slopes))
        if key not in made:
            # The module of a name that stands elsewhere as well stays what it was.
            made[key] = name if named[name] == 1 else f"{name}_kiln{len(made)}"
            chains.append(chain)
            chain.fused = fuse(chain.module, chain.norm, tuple(chain.posts), chain.slopes, accuracy)
            modules[made[key]] = chain.fused
            model.add_submodule(made[key], chain.fused)
        args = (node.args[0],) if chain.add is None else (node.args[0], chain.add)
        replace(model.graph, chain.at, made[key], args, chain.nodes)
    return chains


def is_done(module: Any) -> bool:
    return type(module) in CONVOLUTIONS and module.weight.dtype is torch.float32


def is_worth(node: Node, modules: dict[str, nn.Module]) -> bool:
    """Whether what a node calls is a convolution, or a Linear that is slower in torch, as it is with few rows."""
    module: Any = modules[str(node.target)]
    if len(node.args) != 1 or node.kwargs:
        return False
    if type(module) is not nn.Linear or module.weight.dtype is not torch.float32 or has_hooks(module):
        return is_done(module)
    shape = shape_of(node.args[0]) if isinstance(node.args[0], Node) else None
    if shape is None or len(shape) != 2 or 0 in shape:
        return False
    x, ours = torch.ones(shape), as_convolution(module)
    times: dict[Any, list[float]] = {ours: [], module: []}
    for _ in range(ROUNDS):
        for each, told in times.items():
            begin = time.perf_counter()
            each(x)
            told.append(time.perf_counter() - begin)
    return min(times[ours]) < min(times[module])


def is_first(node: Node) -> bool:
    """Whether a node gave a tensor of four axes with the channels first."""
    meta: Any = node.meta.get("tensor_meta")
    return len(getattr(meta, "shape", ())) == 4 and meta.memory_format is torch.contiguous_format


def add_formats(model: GraphModule) -> list[Format]:
    """Puts a Format behind every input that is not in channels_last, and in front of every output that is
    contiguous. All keep what they get. Without such inputs there are none."""
    formats: list[Format] = []

    def call(value: Node, form: str) -> Node:
        name = f"kiln_format_{len(formats)}"
        formats.append(Format(form))
        model.add_submodule(name, formats[-1])
        made: Node = model.graph.call_module(name, (value,))
        return made

    def convert(value: Node) -> Node:
        return call(value, "contiguous_format") if is_first(value) else value

    inputs = [node for node in model.graph.nodes if node.op == "placeholder" and shape_of(node) and is_first(node)]
    for node in list(model.graph.nodes) if inputs else []:
        if node in inputs:
            users = list(node.users)
            with model.graph.inserting_after(node):
                made = call(node, "channels_last")
            made.meta = dict(node.meta)
            for user in users:
                user.replace_input_with(node, made)
        elif node.op == "call_method" and node.target == "view":
            node.target = "reshape"  # which the memory of channels_last may need
        elif node.op == "output":
            with model.graph.inserting_before(node):
                node.args = map_arg(node.args, convert)
    return formats
