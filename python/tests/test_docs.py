"""What docs/python.md says of a refusal; that its examples run is tests/docs's to show."""

import pathlib
import re

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs/python.md"


def test_the_comment_on_the_refusal_is_what_is_told(capsys):
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, DOCUMENT, "exec"), names)
    assert "x has the shape (1, 64, 56, 56) and strides (802816, 12544, -224, 4): must be dense" in capsys.readouterr().out
