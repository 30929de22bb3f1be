"""Random convolutions for tests, each made from its number alone: make(17) is the same one today and tomorrow."""

import random
from dataclasses import dataclass

MODES = ("reflect", "replicate", "circular")


@dataclass(frozen=True)
class Case:
    axes: int
    arguments: dict  # of torch.nn.Conv1d or Conv2d
    shape: tuple  # of the input
    last: bool  # channels last in memory

    def each(self, name):
        """An argument as a number for each axis."""
        value = self.arguments[name]
        return value if isinstance(value, tuple) else (value,) * self.axes

    def __str__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"Conv{self.axes}d({arguments}) on {self.shape}, channels {'last' if self.last else 'first'}"


def channels(rng):
    """Input channels, output channels and groups: dense, depthwise (also with a multiplier), or grouped."""
    kind, groups = rng.choice(("dense", "dense", "depthwise", "grouped")), 1
    if kind == "dense":
        return rng.choice((1, 2, 3, 4, 5, 8, 16, 17, 31, 40)), rng.choice((1, 2, 3, 6, 8, 15, 16, 33, 48)), groups
    if kind == "depthwise":
        groups = rng.choice((2, 3, 8, 16, 19, 32))
        return groups, groups * rng.choice((1, 1, 1, 2)), groups
    groups = rng.choice((2, 3, 4))
    return groups * rng.choice((1, 2, 5, 8)), groups * rng.choice((1, 3, 4, 8)), groups


def padding(rng, reach, stride):
    """The argument, and what it adds on either side of each axis whose kernel reaches over so many elements."""
    kind = rng.choice(("none", "half", "numbers", "numbers", "valid", "same"))
    if kind == "same" and set(stride) == {1}:
        return "same", [(r - 1) // 2 for r in reach]
    if kind in ("half", "numbers"):
        sides = [r // 2 if kind == "half" else rng.randint(0, r + 1) for r in reach]
        return tuple(sides), sides
    return "valid" if kind == "valid" else 0, [0] * len(reach)


def one_of(rng, value):
    """One number for all axes, sometimes, where they are equal."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 and rng.random() < 0.5 else value


def make(number):
    rng = random.Random(number)
    axes = rng.choice((1, 2, 2, 2, 2))
    each = lambda *values: tuple(rng.choice(values) for _ in range(axes))  # noqa: E731 a name for what follows
    ic, oc, groups = channels(rng)
    kernel, stride, dilation = each(1, 1, 2, 3, 3, 3, 4, 5, 7), each(1, 1, 1, 2, 3), each(1, 1, 1, 1, 2, 3)
    if rng.random() < 0.4:  # what most networks have, with more room for Winograd and others that want it
        kernel, stride, dilation = (rng.choice((1, 3, 5)),) * axes, (rng.choice((1, 1, 2)),) * axes, (1,) * axes
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    pad, sides = padding(rng, reach, stride)
    least = [max(r - 2 * p, p + 1, 1) for r, p in zip(reach, sides)]  # p + 1: what reflection needs
    image = tuple(extent + rng.randint(0, 14) for extent in least)
    batch = rng.choice(((), (1,), (1,), (2,), (3,)))
    modes = MODES if batch else MODES[:2]  # circular padding without a batch is refused by torch itself
    arguments = {
        "in_channels": ic, "out_channels": oc, "kernel_size": one_of(rng, kernel), "stride": one_of(rng, stride),
        "padding": one_of(rng, pad), "dilation": one_of(rng, dilation), "groups": groups, "bias": rng.random() < 0.6,
        "padding_mode": rng.choice(modes) if rng.random() < 0.15 else "zeros",
    }  # fmt: skip
    return Case(axes, arguments, (*batch, ic, *image), bool(batch) and axes == 2 and rng.random() < 0.5)
