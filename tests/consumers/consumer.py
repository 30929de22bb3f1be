"""The same in Python. Given a folder, the library must come from there, and not from a build by accident."""

import os
import sys

import kiln
import numpy as np

x, w = np.arange(8, dtype=np.float32), np.ones(3, np.float32)
y = kiln.conv1d(x[None, None], w[None, None], padding=1).ravel()
print(f"Python, Kiln {kiln.library_version()}: {y[0]:g} {y[6]:g}")
assert y[0] == 1 and y[6] == 18

with open("/proc/self/maps") as maps:
    libraries = {line.split()[-1] for line in maps if "/libkiln" in line}
strangers = [path for path in libraries if not path.startswith(os.path.realpath(sys.argv[1]))]
assert libraries and not strangers, strangers
