"""Runs the tests of this folder on the package beside it: ctest's way in. Exits with 77 where that is not possible.

python/tests/run.py [ARGUMENTS OF PYTEST]
"""

import importlib.util
import os
import pathlib
import sys

SKIPPED = 77  # what ctest takes for a test that was skipped
HERE = pathlib.Path(__file__).parent


def main() -> int:
    missing = [name for name in ("numpy", "pytest") if not importlib.util.find_spec(name)]
    if missing:
        print(f"SKIPPED: {sys.executable} has no {' and no '.join(missing)}: none of the Python package was tested")
        return SKIPPED
    if not importlib.util.find_spec("torch"):
        print(f"{sys.executable} has no torch: what compares with it is left out")
    package = str(HERE.parent)
    sys.path.insert(0, package)
    sys.dont_write_bytecode = True
    os.environ.update(PYTHONPATH=package, PYTHONDONTWRITEBYTECODE="1")
    os.chdir(package)
    import pytest

    status = pytest.main(["-rs", *sys.argv[1:]])
    return SKIPPED if status == pytest.ExitCode.NO_TESTS_COLLECTED else int(status)


sys.exit(main())
