"""The scripts of examples/torch print the same with torch.nn and with kiln.torch."""

import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="no PyTorch")
SCRIPTS = sorted((pathlib.Path(__file__).parents[2] / "examples" / "torch").glob("*.py"))

# Of each script, what it must tell.
TOLD = {
    "batch": "[2, 64, 64, 64] so each kernel makes one map of every image",
    "breakdown": "sum -8\nConv2d: -8.0\n",
    "chain": "output of layer 1 [1, 4, 2, 2]\n[-8, -7]\n[-6, -6]\n[-2, -1]\n[0, -1]\n[-6, -3]\n[-2, -2]\n[-7, -7]\n[-7, -6]\n",
    "shapes": "weight (3, 2, 4, 5)\nbias (3,)\n",
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_prints_the_same(script):
    texts = []
    for nn in "torch.nn", "kiln.torch":
        command = [sys.executable, "-W", "error", script, nn]  # kiln.torch warns of what it leaves to torch
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        texts.append(ran.stdout)
    assert texts[0] == texts[1]
    assert TOLD[script.stem] in texts[0]
