"""The library: its structs against kiln.h, where it is found, and what is said where it is not."""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import kiln
from kiln import _library

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "kiln"
ENUMS = {
    "STATUS": _library.STATUSES,
    "TYPE": _library.TYPES,
    "LAYOUT": _library.LAYOUTS,
    "POST": _library.POSTS,
    "EFFORT": _library.EFFORTS,
    "CACHE": _library.CACHES,
    "DUMP": _library.DUMPS,
}


def layout():
    """The lines of tests/layout.txt on the structs and enums of this package, from ctypes."""
    for name, struct in _library.STRUCTS.items():
        yield f"struct {name}: {ctypes.sizeof(struct)} bytes"
        for field in struct._fields_:
            at = getattr(struct, field[0])
            yield f"  {field[0]} at {at.offset}, {at.size} bytes"
    for enum, words in ENUMS.items():
        for value, word in enumerate(words):
            yield f"KILN_{enum}_{word.upper()} = {value}"


def test_structs_and_enums_are_those_of_the_header():
    """tests/layout.txt is made from kiln.h, and compared with it by a test of its own."""
    lines = (ROOT / "tests" / "layout.txt").read_text().splitlines()
    starts = [f"struct {name}:" for name in _library.STRUCTS]
    wanted, inside = [], False
    for line in lines:
        inside = line.startswith("  ") and inside or any(map(line.startswith, starts))
        wanted += [line] * inside
    mine = list(layout())
    assert sorted(line for line in mine if " = " not in line) == sorted(wanted)
    assert [line for line in mine if " = " in line and line not in lines] == []


@pytest.mark.parametrize("struct", [_library.Config, _library.Options])
def test_sizes_are_those_of_the_library(struct):
    """The library names its own size where another is given, and so needs no compiler to be asked."""
    context, made = kiln.Context(), ctypes.c_void_p()
    conv, wrong = _library.Conv(), struct(size=0)
    with pytest.raises(kiln.Error) as told:
        if struct is _library.Config:
            _library.call(_library.lib.kiln_create, ctypes.byref(made), ctypes.byref(wrong))
        else:
            _library.call(_library.lib.kiln_conv_parse, ctypes.byref(conv), b"conv ic1 iw1 oc1 kw1")
            handle = context._held().address
            wanted = (handle, ctypes.byref(conv), ctypes.byref(wrong), ctypes.byref(made))
            _library.call(_library.lib.kiln_compile, *wanted)
    assert int(re.findall(r"\d+", str(told.value))[-1]) == ctypes.sizeof(struct)


def test_fields_are_read_where_the_library_writes_them():
    text = "conv n2 g3 ic6 id4 ih5 iw7 oc9 kd1 kh2 kw3 sd2 sh3 sw4 dd5 dh2 dw3 pf1 pk2 pt3 pb4 pl5 pr6 nchw strict"
    conv = _library.Conv()
    _library.call(_library.lib.kiln_conv_parse, ctypes.byref(conv), (text + " +clip(1,2)").encode())
    assert [f"{name}{getattr(conv, name)}" for name in _library.EXTENTS] == text.split()[1:-2]
    assert (conv.layout, conv.accuracy, conv.post_count) == (0, 1, 1)
    assert (_library.POSTS[conv.post[0].kind], conv.post[0].a, conv.post[0].b) == ("clip", 1, 2)


def test_statuses_are_named_alike():
    name = _library.lib.kiln_status_name
    name.restype = ctypes.c_char_p
    assert tuple(name(i).decode() for i in range(len(_library.STATUSES))) == _library.STATUSES


def test_versions():
    assert kiln.library_version() == kiln.__version__


def python(code, path, **environment):
    environment = {**os.environ, "PYTHONPATH": str(path), **environment}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "library, sentence",
    [
        ("/nowhere/libkiln.so", "ImportError: libkiln cannot be opened: /nowhere/libkiln.so"),
        ("libc.so.6", "ImportError: libkiln cannot be opened: .*undefined symbol: kiln_version"),
    ],
)
def test_a_wrong_library_is_told(library, sentence):
    ran = python("import kiln", PACKAGE.parent, KILN_LIBRARY=library)
    assert ran.returncode == 1 and re.search(sentence, ran.stderr)


def test_the_library_is_found_beside_the_package(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "kiln")
    shutil.copy(_library.lib._name, tmp_path / "kiln" / f"libkiln.so.{_library.ABI}")
    ran = python("import kiln; print(kiln._library.lib._name)", tmp_path, KILN_LIBRARY="")
    assert ran.stdout.strip() == str(tmp_path / "kiln" / f"libkiln.so.{_library.ABI}"), ran.stderr


def test_the_package_installs(tmp_path):
    if subprocess.run([sys.executable, "-c", "import setuptools, wheel, pip"], capture_output=True).returncode:
        pytest.skip("no pip")
    shutil.copytree(PACKAGE, tmp_path / "source" / "kiln")
    shutil.copy(PACKAGE.parent / "pyproject.toml", tmp_path / "source")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    ran = subprocess.run([*pip, "--target", tmp_path / "to", tmp_path / "source"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "to" / "kiln" / "py.typed").exists()
    assert python("import kiln; print(kiln.__file__)", tmp_path / "to").stdout.startswith(str(tmp_path / "to"))
