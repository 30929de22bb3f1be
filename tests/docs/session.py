"""Shells and Pythons that run one block after another, keeping their variables, and tell what was printed."""

import os
import signal
import subprocess
import sys
import threading

END = "\x01"  # begins the line that ends a block's output
SECONDS_MOST = 100  # of one block

BASH = r"""while read -r block; do . "$block" </dev/null; printf '\n\1%d\n' $?; done"""
PYTHON = r"""
import sys, traceback
names = {"__name__": "__main__"}
for block in sys.stdin:
    failed = 0
    try:
        exec(compile(open(block.strip()).read(), block.strip(), "exec"), names)
    except BaseException:
        failed = 1
        traceback.print_exc(file=sys.stdout)
    print(f"\n\x01{failed}", flush=True)
"""
ARGUMENTS = {"sh": ["bash", "-c", BASH], "python": [sys.executable, "-c", PYTHON]}


def commands_of(text):
    """The commands of a shell script, whole ones, each of some lines."""
    command = ""
    for line in text.splitlines(keepends=True):
        command += line
        if line.endswith("\\\n"):
            continue
        checked = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True)
        if not checked.returncode and not checked.stderr:  # it warns of the beginning of a here-document
            yield command
            command = ""
    if command.strip():
        yield command


class Session:
    def __init__(self, kind, folder, environment):
        self.file = folder / f".block.{kind}"
        self.process = subprocess.Popen(ARGUMENTS[kind], cwd=folder, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)

    def kill(self):
        """Ends what the block started, too."""
        os.killpg(self.process.pid, signal.SIGKILL)

    def run(self, text):
        """Runs a block: whether nothing in it failed, and what it printed."""
        self.file.write_text(text)
        timer = threading.Timer(SECONDS_MOST, self.kill)
        timer.start()
        said = []
        try:
            print(self.file, file=self.process.stdin, flush=True)
            for line in self.process.stdout:
                if line.startswith(END):
                    return line == END + "0\n", "".join(said)[:-1]
                said.append(line)
        except BrokenPipeError:
            pass
        finally:
            timer.cancel()
        return False, "".join(said) + "it ended the session, or took too long"

    def close(self):
        self.process.communicate()
