"""Networks that the tests of kiln.torch and bench/torch_models.py run, written out in torch.nn.

make(name) returns one with seeded random weights, in eval mode. IMAGE_MODELS are the networks as published,
for 224x224; SMALL_MODELS are a few layers each, with what is easily done wrong in rewriting a graph.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def unit(ic, oc, kernel, stride=1, groups=1, act=None):
    """The layers of a convolution that keeps the size, its BatchNorm and an activation."""
    layers = [nn.Conv2d(ic, oc, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(oc)]
    return layers if act is None else [*layers, act(inplace=True)]


class Residual(nn.Module):
    def __init__(self, main, shortcut=(), act=None):
        super().__init__()
        self.main, self.shortcut, self.act = nn.Sequential(*main), nn.Sequential(*shortcut), act

    def forward(self, x):
        y = self.main(x)
        y += self.shortcut(x)
        return y if self.act is None else self.act(y)


# ---- ResNet ----


def basic(ic, width, stride):
    return width, [*unit(ic, width, 3, stride, act=nn.ReLU), *unit(width, width, 3)]


def bottleneck(ic, width, stride):
    first = unit(ic, width, 1, act=nn.ReLU)
    middle = unit(width, width, 3, stride, act=nn.ReLU)
    return 4 * width, [*first, *middle, *unit(width, 4 * width, 1)]


def resnet(block, *depths):
    layers, ic = [*unit(3, 64, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)], 64
    for stage, depth in enumerate(depths):
        for i in range(depth):
            stride = 2 if stage and not i else 1
            oc, main = block(ic, 64 << stage, stride)
            shortcut = unit(ic, oc, 1, stride) if (stride, ic) != (1, oc) else ()
            layers.append(Residual(main, shortcut, nn.ReLU(inplace=True)))
            ic = oc
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ic, 1000))


# ---- VGG-16 ----


def vgg16():
    layers, ic = [], 3
    for width, depth in (64, 2), (128, 2), (256, 3), (512, 3), (512, 3):
        for _ in range(depth):
            layers += [nn.Conv2d(ic, width, 3, padding=1), nn.ReLU(inplace=True)]
            ic = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten()]
    for i, o in (512 * 49, 4096), (4096, 4096):
        layers += [nn.Linear(i, o), nn.ReLU(inplace=True), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(4096, 1000))


# ---- MobileNetV2 ----


def inverted(ic, oc, stride, expand):
    wide = expand * ic
    widen = unit(ic, wide, 1, act=nn.ReLU6) if expand > 1 else []
    main = [*widen, *unit(wide, wide, 3, stride, wide, nn.ReLU6), *unit(wide, oc, 1)]
    return Residual(main) if (stride, ic) == (1, oc) else nn.Sequential(*main)


def mobilenet_v2():
    layers, ic = unit(3, 32, 3, 2, act=nn.ReLU6), 32
    table = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    for expand, oc, depth, stride in table:
        for i in range(depth):
            layers.append(inverted(ic, oc, 1 if i else stride, expand))
            ic = oc
    layers += [*unit(ic, 1280, 1, act=nn.ReLU6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(1280, 1000))


# ---- small ones ----


class Twice(nn.Module):
    """One module at two places, the second time on another size; its weights again in another module."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.other = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3)
        self.other.weight = self.conv.weight

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        return self.other(self.conv(F.max_pool2d(x, 2)))


class Used(nn.Module):
    """The convolution's own output is needed beside what BatchNorm, or ReLU, makes of it."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.b, self.relu = nn.Conv2d(8, 8, 1), nn.ReLU()

    def forward(self, x):
        a = self.a(x)
        b = self.b(self.norm(a) + a)
        return self.relu(b) - b


class InPlace(nn.Module):
    """relu_ changes what the name y stands for, too."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3)

    def forward(self, x):
        y = self.conv(x)
        return y + 2 * F.relu_(y)


class Functional(nn.Module):
    """Modules inside Sequential, activations as functions and as methods."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16))
        self.deep = nn.Sequential(nn.Conv2d(16, 16, (1, 5), padding=(0, 2), groups=4))
        self.last = nn.Conv2d(16, 8, 2, dilation=2)

    def forward(self, x):
        return F.relu6(self.last(self.deep(F.relu(self.stem(x))).relu()))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.silu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class SiLU(nn.Module):
    """Residuals and squeeze-and-excite with SiLU, as EfficientNet has them; a residual on either side."""

    def __init__(self):
        super().__init__()
        wide = [*unit(8, 32, 1, act=nn.SiLU), *unit(32, 32, 3, groups=32, act=nn.SiLU), SqueezeExcite(32)]
        self.a = Residual([*wide, *unit(32, 8, 1)])
        self.b = nn.Sequential(*unit(8, 8, 3, act=nn.SiLU))
        self.c = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        x = self.a(x)
        return F.silu(torch.add(x, self.c(x + self.b(x))))


class Branches(nn.Module):
    """Concatenated branches of other sizes, a BatchNorm in front, one without statistics, a padding mode."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm2d(8)
        self.a = nn.Sequential(nn.Conv2d(8, 8, 3, padding="same"), nn.BatchNorm2d(8, track_running_stats=False))
        self.b = nn.Conv2d(8, 4, 3, padding=1, padding_mode="reflect")
        self.c = nn.Sequential(nn.Conv2d(8, 4, 1), nn.LeakyReLU(0.1), nn.BatchNorm2d(4, affine=False))

    def forward(self, x):
        x = self.first(x)
        return torch.cat([self.a(x), self.b(x), self.c(x)], 1)


class Untraceable(nn.Module):
    """Control flow on values: no graph shows it, the convolutions can be replaced nevertheless."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Sequential(*unit(8, 8, 3, act=nn.ReLU)), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        x = self.a(x)
        return self.b(x) if x.sum() > 0 else x


def stack_1d():
    layers, ic = [], 8
    for oc, kernel, stride, dilation in (16, 9, 2, 1), (16, 3, 1, 2), (16, 3, 1, 4), (8, 1, 1, 1):
        layers += [nn.Conv1d(ic, oc, kernel, stride, dilation=dilation), nn.BatchNorm1d(oc), nn.ReLU()]
        ic = oc
    return nn.Sequential(*layers)


# Name: what makes it, and the shape of its input.
IMAGE_MODELS = {
    "resnet18": (lambda: resnet(basic, 2, 2, 2, 2), (1, 3, 224, 224)),
    "resnet50": (lambda: resnet(bottleneck, 3, 4, 6, 3), (1, 3, 224, 224)),
    "vgg16": (vgg16, (1, 3, 224, 224)),
    "mobilenet_v2": (mobilenet_v2, (1, 3, 224, 224)),
}
SMALL_MODELS = {
    **{each.__name__: (each, (2, 8, 17, 14)) for each in (Twice, Used, InPlace, Functional, SiLU, Branches, Untraceable)},
    "stack_1d": (stack_1d, (2, 8, 60)),
}
MODELS = {**IMAGE_MODELS, **SMALL_MODELS}


@torch.no_grad()
def randomise(model):
    """Weights that keep the size of what passes through, and BatchNorms with something to do."""
    for layer in model.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            layer.weight *= math.sqrt(6)  # from a variance of 1 / (3 fan_in) to 2 / fan_in, for ReLU
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.momentum = 1.0  # the statistics become those of the next input
            if layer.affine:
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.2)


@torch.no_grad()
def make(name):
    """A model of the table, always with the same weights, in eval mode, and an input for it."""
    build, shape = MODELS[name]
    torch.manual_seed(len(name))
    model = build()
    randomise(model)
    if any(isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) for layer in model.modules()):
        model.train()(torch.randn(4, *(min(extent, 64) for extent in shape[1:])))
    return model.eval(), torch.randn(shape)
