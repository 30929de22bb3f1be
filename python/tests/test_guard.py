"""Kiln reads and writes nothing beyond the arrays it is given: guarded.py runs it between unmapped pages."""

import importlib.util
import pathlib
import signal
import subprocess
import sys

import pytest

GUARDED = pathlib.Path(__file__).with_name("guarded.py")
STRAY = """
import ctypes, faulthandler, guard, numpy
array = guard.Guarded({at_end}).{kind}(numpy.zeros({size}, "f4"))
faulthandler.enable()
ctypes.c_float.from_address(array.ctypes.data + {at}).value {does}
"""


def guarded(*command):
    return subprocess.run([sys.executable, *command], cwd=GUARDED.parent, capture_output=True, text=True)


@pytest.mark.parametrize("run", ["conv2d", "plan", "torch"])
def test_stays_within_its_arrays(run):
    if run == "torch" and not importlib.util.find_spec("torch"):
        pytest.skip("no PyTorch")
    ran = guarded(GUARDED, run)
    assert ran.returncode == 0, f"in {ran.stdout.splitlines()[-1:]}:\n{ran.stderr}"


@pytest.mark.parametrize("size", [1, 1024, 1025])
@pytest.mark.parametrize(
    "at_end, kind, at, does",
    [(True, "input", "4 * {size}", ""), (False, "input", -4, ""), (False, "output", -4, "= 1"), (False, "input", 0, "= 1")],
)
def test_who_strays_dies(size, at_end, kind, at, does):
    code = STRAY.format(size=size, at_end=at_end, kind=kind, at=str(at).format(size=size), does=does)
    ran = guarded("-c", code)
    assert ran.returncode == -signal.SIGSEGV and "Fatal Python error: Segmentation fault" in ran.stderr
