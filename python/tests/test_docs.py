"""The Python examples of the documents run as they stand, one after another."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["docs/python.md", "README.md"])
def test_examples_run(document, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, document, "exec"), names)


def test_the_comment_on_the_refusal_is_what_is_told(capsys):
    test_examples_run("docs/python.md", capsys)
    assert "x has the shape (1, 64, 56, 56) and strides (802816, 12544, -224, 4): must be dense" in capsys.readouterr().out
