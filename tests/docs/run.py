"""Runs every block of code of the documents as they tell it: README.md, docs/*.md, examples/**/README.md.

    tests/docs/run.py SOURCE BUILD [PAGE ...]

The build is installed into a prefix; each page runs in a copy of the source folder, its blocks one after another:

    sh         a shell runs it; each command must succeed
    console    the lines behind "$ " are run and must print the others, but for numbers, schedules and blanks;
               "..." stands for anything. Only a command that prints nothing must succeed.
    python     one Python runs them all
    c          a program if it has a main, else the body of a function, or declarations: see PRELUDE
    cmake      what a consumer's CMakeLists.txt says of its program, app
    text       not run

Comments in front of a block say what a reader need not know:

    <!-- not run: REASON -->    it cannot be run here, such as for want of an hour
    <!-- needs: NAME ... -->    commands, files, Python modules or peers of bench without which it is left out
    <!-- first: COMMANDS -->    what a shell runs before it, such as making files of the reader's own
    <!-- file: NAME -->         it is not run but written to this file
    <!-- cc: FLAGS -->          more flags for the compiler
    <!-- output: varies -->     what a console prints depends on the machine: each command must succeed
    <!-- output: exact -->      it does not: numbers count, too

Files of shapes are cut to their smallest, since times are not what is tested. Exit status: 0, 1 where
something failed, 77 where a tool is missing.
"""

import collections
import difflib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from page import Block, blocks_of, broken_links, gaps, pages_of
from session import Session, commands_of

SKIPPED = 77
PRELUDE = """#include <kiln.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
"""
# What the body of a function may speak of.
PARAMETERS = """struct kiln *k, struct kiln_conv conv, struct kiln_options options, struct kiln_plan *plan,
    struct kiln_args args, struct kiln_error error, float *src, float *weights, void *packed, float *dst"""
CMAKE = "cmake_minimum_required(VERSION 3.22)\nproject(docs C)\nadd_executable(app app.c)\n"
APP = "#include <kiln.h>\n#include <stdio.h>\nint main(void) { return puts(kiln_version()) < 0; }\n"
# What may be there and yet not allowed, as in containers.
TRIALS = {"perf": "perf record -q -o perf.data true", "gdb": "gdb -q -batch -ex run -ex kill true 2>&1 | grep exited"}


class Unavailable(Exception):
    """What a block needs and this machine lacks."""


# ---- the place where it happens ----


def smallest(lines):
    """The line of the convolution with the least work."""

    def work(line):
        sizes = collections.defaultdict(lambda: 1, {name: int(n) for name, n in re.findall(r"\b([a-z]+)(\d+)\b", line)})
        return sizes["n"] * sizes["ic"] * sizes["oc"] * sizes["ih"] * sizes["iw"] * sizes["kh"] * sizes["kw"] // sizes["g"]

    return min((line for line in lines if line.startswith("conv")), key=work)


class Place:
    """The installed prefix, and folders that look like the source folder."""

    def __init__(self, source, build, folder):
        self.source, self.build, self.folder, self.prefix = source, build, folder, folder / "prefix"
        subprocess.run(["cmake", "--install", build, "--prefix", self.prefix], check=True, stdout=subprocess.DEVNULL)
        self.libraries = next(self.prefix.glob("**/libkiln.so")).parent
        (folder / "bin").mkdir()
        python = folder / "bin" / "python3"  # no link, by which a virtual environment would not be found
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)

    def commands(self):
        """Those that `kiln help` lists."""
        said = subprocess.run([self.prefix / "bin/kiln", "help"], check=True, capture_output=True, text=True).stdout
        return [name for name in re.findall(r"^  ([a-z]+)  ", said.split("A CONV is")[0], re.MULTILINE) if name != "help"]

    def copy(self, name):
        to = self.folder / name
        shutil.copytree(self.source, to, symlinks=True, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
        for shapes in [*to.glob("bench/shapes/*.txt"), *to.glob("bench/accuracy.txt")]:
            shapes.write_text(smallest(shapes.read_text().split("\n")) + "\n")
        (to / "build/release").mkdir(parents=True)
        for file in self.build.iterdir():  # programs and libraries; not what CMake would take for a build
            if file.is_file() and os.access(file, os.X_OK):
                (to / "build/release" / file.name).symlink_to(file)
        (to / "home").mkdir()
        return to

    def environment(self, copy):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KILN_", "XDG_", "PYTHON"))}
        return kept | {
            "HOME": str(copy / "home"),
            "PATH": f"{self.folder}/bin:{self.prefix}/bin:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(self.libraries),
            "PKG_CONFIG_PATH": str(self.libraries / "pkgconfig"),
            "CMAKE_PREFIX_PATH": str(self.prefix),
            "PYTHONPATH": str(next(self.prefix.glob("**/kiln/__init__.py")).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def has(self, name, copy):
        if name in TRIALS and shutil.which(name):
            return subprocess.run(TRIALS[name], cwd=self.folder, shell=True, capture_output=True).returncode == 0
        if "/" in name:
            return (copy / name).exists()
        return shutil.which(name) or importlib.util.find_spec(name) or [*self.libraries.glob(f"kiln/*-{name}.so")]


# ---- one page ----

MASKS = [
    (r"\| [a-z]+(?: [a-z]+=\w+)* \| (?:sse2|avx2|avx512|neon)\b", "| # | #"),  # a schedule: of this machine
    (r"(?m)^ok +\w+ +\w+ +\w+|machine=\S+", "#"),
    (r"\.[a-z]+(?:_[a-z]+=\w+)*\.(?:sse2|avx2|avx512|neon)\b", ".#.#"),  # the same in the name of a file
    (r"\b[0-9a-f]{32}\b|(?<=kiln-jit-)\w{6}", "#"),
    (r"\b0x[0-9a-f]+\b", "#"),
    (r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", "#"),
    (r"[ \t]+", " "),
]


def lines_of(text, masks):
    for pattern, instead in masks:
        text = re.sub(pattern, instead, text)
    return [line.strip() for line in text.rstrip().split("\n")]


def difference(expected, said, exact):
    """None where what was said is as expected, else a comparison."""
    masks = MASKS[-1:] if exact else MASKS
    wanted, got = lines_of(expected, masks), lines_of(said, masks)
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), ".*") + r"\n" for line in wanted)
    if re.fullmatch(pattern, "\n".join(got) + "\n"):
        return None
    return "\n".join(difflib.unified_diff(wanted, got, "the page", "here", lineterm="")) + "\n" + said


def examples_of(console):
    """[command, expected output] of each line behind a "$ "; a command goes on behind a backslash."""
    found, on = [], False
    for line in console.splitlines(keepends=True):
        begins = line.startswith("$ ")
        if begins or not found:
            found.append([line[2:] if begins else "false # no command: " + line, ""])
        else:
            found[-1][not on] += line
        on = (on or begins) and line.endswith("\\\n")
    return found


class Page:
    def __init__(self, place, path):
        self.place, self.sessions, self.lacks = place, {}, None
        self.folder = place.copy(str(path.relative_to(place.source)).replace("/", "-"))
        self.environment = place.environment(self.folder)

    def session(self, kind):
        if kind not in self.sessions:
            self.sessions[kind] = Session(kind, self.folder, self.environment)
        return self.sessions[kind]

    def execute(self, kind, text):
        good, said = self.session(kind).run(text)
        return None if good else said or "it failed"

    def shell(self, text):
        """Runs commands up to the first that fails."""
        for command in commands_of(text):
            fault = self.execute("sh", command)
            if fault:
                return f"{command}{fault}"
        return None

    def sh(self, block):
        return self.shell(block.text)

    def python(self, block):
        for module in re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE):
            if module != "kiln" and not self.place.has(module, self.folder):
                self.lacks = module
        if self.lacks:  # later blocks go on with this one's names
            raise Unavailable(self.lacks)
        return self.execute("python", block.text)

    def console(self, block):
        for command, expected in examples_of(block.text):
            good, said = self.session("sh").run(command)
            said = said.replace(self.environment["HOME"], "/home/user")
            fault = None if good else said or "it failed"
            if block.marks.get("output") != "varies" and (good or expected):
                fault = difference(expected, said, block.marks.get("output") == "exact")
            if fault:
                return f"$ {command}{fault}"
        return None

    def compile(self, block, program):
        """Compiles, and if there is a main runs it."""
        (self.folder / "block.c").write_text(program)
        runs = "int main(" in program
        flags = f"-std=gnu17 -Wall -Wextra -Werror -Wno-unused -I. {block.marks.get('cc', '')} {'' if runs else '-c'}"
        compiled = self.shell(f"${{CC:-cc}} {flags} -o block block.c $(pkg-config --cflags --libs kiln) -lm\n")
        return compiled or (self.shell("./block\n") if runs else None)

    def c(self, block):
        if "int main(" in block.text:
            return self.compile(block, block.text)
        body = f"{PRELUDE}int block({PARAMETERS});\nint block({PARAMETERS})\n{{\n{block.text}return 0;\n}}\n"
        fault = self.compile(block, body)
        return fault if fault and self.compile(block, PRELUDE + block.text) else None

    def cmake(self, block):
        consumer = self.folder / "consumer"
        consumer.mkdir(exist_ok=True)
        (consumer / "app.c").write_text(APP)
        (consumer / "CMakeLists.txt").write_text(("" if "project(" in block.text else CMAKE) + block.text)
        return self.shell("cmake -S consumer -B consumer/made\ncmake --build consumer/made\nconsumer/made/app\n")

    def text(self, block):
        """Nothing to run."""

    RUNNERS = {"sh": sh, "console": console, "python": python, "c": c, "cmake": cmake, "text": text}

    def run(self, block):
        """Runs a block. A sentence says what is wrong; Unavailable, why it is left out."""
        missing = [name for name in block.marks.get("needs", "").split() if not self.place.has(name, self.folder)]
        if missing:
            raise Unavailable(missing[0])
        fault = self.shell(block.marks.get("first", "") + "\n")
        if fault:
            return fault
        if "file" in block.marks:
            (self.folder / block.marks["file"]).write_text(block.text)
            return None
        if block.tag not in self.RUNNERS:
            return f"a block of {block.tag or 'no language'}: one of {', '.join(self.RUNNERS)}, or a comment that says why not"
        return self.RUNNERS[block.tag](self, block)

    def close(self):
        for session in self.sessions.values():
            session.close()
        shutil.rmtree(self.folder)


# ---- all of them ----


def outcome_of(page, block):
    """("ran" | "text" | "left out" | "failed", why)."""
    if "not run" in block.marks:
        return "left out", block.marks["not run"]
    try:
        fault = page.run(block)
    except Unavailable as missing:
        return "left out", f"there is no {missing} here"
    return ("failed", fault) if fault else ("text" if block.tag == "text" else "ran", "")


def run_page(place, path):
    """Prints what became of a page's blocks, and counts it."""
    name, counts = path.relative_to(place.source), collections.Counter()
    page = Page(place, path)
    for block in blocks_of(path.read_text()):
        outcome, why = outcome_of(page, block)
        counts[outcome] += 1
        if why:
            print(f"{name}:{block.line}: {outcome}: {why.rstrip()}")
    page.close()
    for fault in broken_links(path):
        counts["failed"] += 1
        print(f"{name}: failed: {fault}")
    print(f"{name}: {counts['ran']} ran, {counts['left out']} left out, {counts['failed']} failed", flush=True)
    return counts


# Blocks, and what must become of them: a test that finds no faults would pass whatever the pages say.
SELF_TEST = [
    ("sh", "true", "ran"),
    ("sh", "false\ntrue", "failed"),
    ("sh", "A=1", "ran"),
    ("console", "$ echo $A 2 x\n3 4 x", "ran"),
    ("console", "$ echo x\ny", "failed"),
    ("console", "$ printf 'a\\nb\\nc\\n'\na\n...\nc", "ran"),
    ("console", "$ false", "failed"),
    ("console", "$ ls nowhere\nls: ... No such file or directory", "ran"),
    ("python", "x = 1", "ran"),
    ("python", "assert x == 2", "failed"),
    ("python", "import no_such_module", "left out"),
    ("python", "x", "left out"),
    ("c", "int main(void) { return 0; }", "ran"),
    ("c", "int main(void) { return 1; }", "failed"),
    ("c", "kiln_run(plan, &args, &error);", "ran"),
    ("c", "kiln_jump(plan);", "failed"),
    ("cmake", "find_package(Kiln REQUIRED)\ntarget_link_libraries(app PRIVATE Kiln::kiln)", "ran"),
    ("cmake", "find_package(NoSuch REQUIRED)", "failed"),
    ("text", "anything", "text"),
    ("", "anything", "failed"),
]


def self_test(place):
    page, faults = Page(place, place.source / "self-test.md"), []
    for tag, text, expected in SELF_TEST:
        outcome, why = outcome_of(page, Block(0, tag, text + "\n"))
        if outcome != expected:
            faults.append(f"self-test: {tag} '{text}' {outcome}, not {expected}: {why}")
    page.close()
    tried = place.folder / "links.md"
    tried.write_text("# A `b` c\n[1](links.md#a-b-c) [2](#d) [3](nowhere.md)\n```\n[4](x)\n")
    links = [*broken_links(tried)]
    if len(links) != 2 or blocks_of(tried.read_text())[0].tag:
        faults.append(f"self-test: links: {links}")
    print("\n".join(faults), end="\n" if faults else "")
    return len(faults)


def main():
    source, build, *wanted = sys.argv[1:]
    source, build = pathlib.Path(source).resolve(), pathlib.Path(build).resolve()
    for tool in ["bash", "cmake", "pkg-config", os.environ.get("CC", "cc")]:
        if not shutil.which(tool):
            print(f"skipped: there is no {tool}")
            return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        place = Place(source, build, pathlib.Path(folder))
        total = collections.Counter(failed=0 if wanted else self_test(place))
        for gap in gaps(source, place.commands()):
            total["failed"] += 1
            print(f"failed: {gap}")
        for path in pages_of(source):
            if not wanted or str(path.relative_to(source)) in wanted:
                total += run_page(place, path)
    print(f"{total['ran']} blocks ran, {total['left out']} were left out, {total['failed']} failed")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
