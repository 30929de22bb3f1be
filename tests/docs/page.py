"""Pages of Markdown: their blocks of code, with the comments in front of them, and their links."""

import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^\s*```(\S*)\s*$")
MARK = re.compile(r"<!--\s*(not run|needs|first|file|cc|output):\s*(.*?)\s*-->", re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass
class Block:
    """One fenced block. marks: what the comments directly in front of it say, such as {"needs": "perf"}."""

    line: int
    tag: str
    text: str
    marks: dict = field(default_factory=dict)


def blocks_of(markdown):
    """The blocks of a page, in order. One that is not closed ends with the page."""
    blocks, lines = [], markdown.split("\n")
    between, opened = 0, None  # the line behind the last block; the line of a fence
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if not fence:
            continue
        if opened is None:
            opened = number
            continue
        comments = re.search(r"((?:<!--(?:(?!-->).)*-->\s*)*)\Z", "\n".join(lines[between:opened]), re.DOTALL)
        text = "\n".join(lines[opened + 1 : number]) + "\n"
        blocks.append(Block(opened + 1, FENCE.match(lines[opened])[1], text, dict(MARK.findall(comments[1]))))
        between, opened = number + 1, None
    if opened is not None:
        blocks.append(Block(opened + 1, "", "", {}))
    return blocks


def prose_of(markdown):
    """The page without its blocks, and without code in lines."""
    kept, inside = [], False
    for line in markdown.split("\n"):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(re.sub(r"`[^`]*`", lambda code: code[0] if "#" in line[:1] else "", line))
    return "\n".join(kept)


def anchors_of(markdown):
    """What headings are called in links, as GitHub does it."""
    found = []
    for heading in re.findall(r"^#+\s+(.*)$", prose_of(markdown), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(name if name not in found else f"{name}-{found.count(name)}")
    return found


def broken_links(path):
    """A sentence for each link of a page that leads to no file, or to no heading of it."""
    for groups in LINK.findall(prose_of(path.read_text())):
        link = groups[0] or groups[1]
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path.resolve()
        if not target.exists():
            yield f"the link {link} leads nowhere"
        elif anchor and (target.suffix != ".md" or anchor not in anchors_of(target.read_text())):
            yield f"the link {link} names no heading of {target.name}"


def gaps(root, commands):
    """A sentence for each page that the index of docs lacks, and each command that docs/cli.md lacks."""
    index, cli = (root / "docs/README.md").read_text(), anchors_of((root / "docs/cli.md").read_text())
    for path in root.glob("docs/*.md"):
        if path.name != "README.md" and f"({path.name})" not in index:
            yield f"docs/README.md does not lead to {path.name}"
    for command in commands:
        if command not in cli:
            yield f"docs/cli.md has no heading {command}"


def pages_of(root):
    """README.md, what docs holds, and what examples tell of themselves."""
    return [root / "README.md", *sorted(root.glob("docs/*.md")), *sorted(root.glob("examples/**/README.md"))]
