"""What running a model changes of it besides parameters: seen, and taken back."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from kiln._error import invalid

OURS = {"_engine", "_whole"}  # what Kiln's modules keep of their runs

_jit: Any = torch.jit  # which exports nothing by mypy's rules


def version_of(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


class State:
    """The attributes and buffers of a model's modules, and the values of those that are tensors."""

    def __init__(self, model: nn.Module) -> None:
        self.tables: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        for name, module in model.named_modules():
            for table in (module.__dict__, module._buffers) if not isinstance(module, _jit.ScriptModule) else ():
                self.tables.append((name, table, {key: table[key] for key in table if key not in OURS}))
        values = [value for _, _, saved in self.tables for value in saved.values() if isinstance(value, Tensor)]
        self.tensors = [(each, each.clone()) for each in values]
        self.versions = {id(each): version_of(each) for each in values}

    def changed(self) -> str:
        """The name of what is not as it was, or empty."""
        for name, table, saved in self.tables:
            for key in sorted((set(table) | set(saved)) - OURS):
                if table.get(key, self) is not saved.get(key, self):
                    return f"{name}.{key}".lstrip(".")
                tensor = saved.get(key)
                if isinstance(tensor, Tensor) and version_of(tensor) != self.versions[id(tensor)]:
                    return f"{name}.{key}".lstrip(".")
        return ""

    def restore(self) -> None:
        for _, table, saved in self.tables:
            for key in set(table) - set(saved) - OURS:
                del table[key]
            table.update(saved)
        for tensor, value in self.tensors:
            if not torch.equal(tensor, value):  # batch_norm writes without telling the version
                tensor.copy_(value)
            self.versions[id(tensor)] = version_of(tensor)


def copied(model: nn.Module) -> nn.Module:
    """A deep copy, also of modules with weights that torch computed under autograd, such as pruned ones."""
    known: dict[int, Any] = {}
    for name, module in model.named_modules():
        told = f"{name or 'model'} is a {type(module).__name__}"
        if isinstance(module, _jit.ScriptModule):
            raise invalid(f"{told}, which torch.jit has compiled: optimize the model it was made from")
        if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():  # type: ignore[misc]
            raise invalid(f"{told} without parameters yet: run the model once before")
        for each in (*module.__dict__.values(), *module._buffers.values()):
            if isinstance(each, Tensor) and not each.is_leaf:
                known[id(each)] = each.detach().clone()
    try:
        return copy.deepcopy(model, known)
    except Exception as error:  # of attributes that cannot be copied
        raise invalid(f"model cannot be copied by copy.deepcopy: {error}") from error
