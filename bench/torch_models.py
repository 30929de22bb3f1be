#!/usr/bin/python3
"""Networks end to end: as PyTorch runs them in either of its memory formats, and as kiln.torch.optimize makes them.

The variants take turns, round by round; medians are compared. `ratio` is the time of torch's faster format over
Kiln's faster one. Errors are the largest difference of an output from the same network in float64, over
the RMS of its outputs; `top 5` tells whether the five largest outputs are those of float64, in their order.
Let nothing else run: `core` is the share of the time in which the process had all its processors; one thread of
several that waits for others lowers it, too.

Exit status 1: Kiln's outputs differ, or kiln.torch cannot be imported; without it only torch is timed.
"""

import argparse
import copy
import os
import pathlib
import statistics
import sys
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "python" / "tests")]
if (ROOT / "build" / "release" / "libkiln.so").exists():
    os.environ.setdefault("KILN_LIBRARY", str(ROOT / "build" / "release" / "libkiln.so"))

import torch  # noqa: E402 after the path
from models import IMAGE_MODELS, make  # noqa: E402

try:
    import kiln.torch
except ImportError as error:
    kiln, why = None, error

FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
ERROR_MOST = 1e-4  # of a whole network, against float64; each convolution promises 2e-5
KINDS = {  # of torch's operations, by what their names hold
    "conv": "conv",
    "batch norm": "batch_norm",
    "activations": "clamp hardtanh relu silu sigmoid",
    "linear": "addmm linear",
    "add": "add mul",
    "pool": "pool mean",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = f"of {', '.join(IMAGE_MODELS)}; default %(default)s"
    parser.add_argument("--models", default="resnet50,vgg16,mobilenet_v2", help=models)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each variant; default %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="of torch and Kiln; default %(default)s")
    parser.add_argument("--batch", type=int, default=1, help="images at once; default %(default)s")
    parser.add_argument("--profile", action="store_true", help="also where torch spends its time, by kinds of layers")
    given = parser.parse_args()
    given.models = given.models.split(",")
    for name in given.models:
        if name not in IMAGE_MODELS:
            parser.error(f"--models: {name!r} is not one of {', '.join(IMAGE_MODELS)}")
    for name in ("rounds", "threads", "batch"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} is {getattr(given, name)}: must be at least 1")
    return given


def variants(model, x):
    """What is compared: name, network and input."""
    for name, form in FORMATS.items():
        yield f"torch {name}", copy.deepcopy(model).to(memory_format=form), x.to(memory_format=form)
    if kiln:
        for name, form in FORMATS.items():
            last = x.to(memory_format=form)
            yield f"kiln {name}", kiln.torch.optimize(model, last, verbose=False), last


def measure(runs, rounds):
    """Seconds of each variant in each round, and the share of them that the process ran."""
    seconds = {name: [] for name, _, _ in runs}
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        for name, network, x in runs:
            begin = time.perf_counter()
            network(x)
            seconds[name].append(time.perf_counter() - begin)
    return seconds, (time.process_time() - cpu) / (time.perf_counter() - wall)


def errors(runs, exact):
    """Each variant's largest error, over the RMS of the exact outputs, and whether its top five are the same."""
    rms, top = exact.square().mean().sqrt(), exact.topk(5).indices
    for name, network, x in runs:
        y = network(x)
        yield name, float((y - exact).abs().max() / rms), torch.equal(y.topk(5).indices, top)


def faster(times, whose):
    return min((name for name in times if name.startswith(whose)), key=lambda name: statistics.median(times[name]))


def print_profile(network, x):
    """Shares of the time of one run by kind of operation, each without those that it calls."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            network(x)
    shares = dict.fromkeys([*KINDS, "other"], 0)
    for event in profile.key_averages():
        kinds = (kind for kind, words in KINDS.items() if any(word in event.key for word in words.split()))
        shares[next(kinds, "other")] += event.self_cpu_time_total
    total = sum(shares.values())
    print("  " + ", ".join(f"{kind} {100 * share / total:.1f}%" for kind, share in shares.items()))


def compare(name, given):
    """Prints the row of one network, and returns whether its outputs are right."""
    model, x = make(name)
    x = x.repeat(given.batch, 1, 1, 1) + torch.linspace(0, 1, given.batch)[:, None, None, None]
    exact = copy.deepcopy(model).double()(x.double())
    runs = list(variants(model, x))
    wrong, row = [], {}
    for which, error, same in errors(runs, exact):  # warms, too
        row[which] = error, same
        if which.startswith("kiln") and (error > ERROR_MOST or not same):
            wrong.append(f"{name}: {which} has an error of {error:.1e}, {'the same' if same else 'another'} top 5")
    times, core = measure(runs, given.rounds)
    torch_best = faster(times, "torch")
    best = faster(times, "kiln") if kiln else torch_best
    ratio = statistics.median(a / b for a, b in zip(times[torch_best], times[best]))
    cells = [f"{1e3 * statistics.median(times[which]):12.2f}" for which in times]
    told = f"{ratio:8.2f}  {'same' if row[best][1] else 'OTHER':>5}  {row[best][0]:8.1e}  {row[torch_best][0]:8.1e}"
    print(f"{name:14}{''.join(cells)}{told}  {100 * core / given.threads:4.0f}%", flush=True)
    if given.profile:
        print_profile(*next(run[1:] for run in runs if run[0] == torch_best))
    for fault in wrong:
        print(fault, file=sys.stderr)
    return not wrong


def main():
    given = arguments()
    if not kiln:
        print(f"{why}: only torch is timed", file=sys.stderr)
    torch.set_num_threads(given.threads)
    torch.set_grad_enabled(False)
    warnings.simplefilter("error" if kiln else "default")  # kiln.torch's fall-back is no measurement of Kiln
    if given.threads == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    names = [f"{whose} {form}" for whose in ("torch", "kiln")[: 1 + bool(kiln)] for form in FORMATS]
    print(f"{'ms, median':14}" + "".join(f"{n:>12}" for n in names) + "   ratio  top 5     error   torch's  core")
    right = [compare(name, given) for name in given.models]
    return 0 if kiln and all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
