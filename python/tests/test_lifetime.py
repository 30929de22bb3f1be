"""Plans and contexts where processes fork and end, where they are copied, and among many threads."""

import copy
import os
import pickle
import subprocess
import sys
import threading

import pytest

import kiln
from reference import assert_close, conv2d, normal
from test_plan import in_threads

TEXT = "conv ic16 ih20 iw20 oc16 kh3 kw3 nchw"
X, W = normal(1, 1, 16, 20, 20), normal(2, 16, 16, 3, 3)
WANT = conv2d(X, W)


def check(plan, packed, context):
    """That what was made before still works, and what is made now."""
    assert_close(plan.run(X, packed), WANT)
    assert_close(kiln.conv2d(X, W, context=context), WANT)
    assert_close(kiln.conv2d(X[:, :, 1:].copy(), W, context=context), WANT[:, :, 1:])
    assert_close(kiln.conv2d(X, W, context=kiln.Context(threads=2, cache="off")), WANT)
    context.close()
    plan.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_goes_on(threads):
    context = kiln.Context(threads=threads, cache="off")
    plan = kiln.Plan(TEXT, context=context)
    packed = plan.pack(W)
    assert_close(plan.run(X, packed), WANT)
    child = os.fork()
    if child == 0:
        try:
            check(plan, packed, context)
            os._exit(0)
        finally:  # no other test runs in it
            os._exit(1)
    assert os.waitpid(child, 0) == (child, 0)
    check(plan, packed, context)


@pytest.mark.parametrize(
    "last",
    [
        "",
        "del context",
        "context.close()",
        "sys.exit(0)",
        "sys.modules.clear()",
        "threading.Thread(target=forever, daemon=True).start(); time.sleep(0.05)",
        "atexit.register(plan.run, x, packed)",
        "cycle = [plan, packed, context]; cycle.append(cycle)",
    ],
)
def test_python_ends_with_plans_alive(last):
    code = f"""
import atexit, sys, threading, time
import numpy, kiln
context = kiln.Context(threads=2, cache="off")
plan = kiln.Plan("{TEXT}", context=context)
x, packed = numpy.ones((1, 16, 20, 20), "f4"), plan.pack(numpy.ones((16, 16, 3, 3), "f4"))
kiln.conv2d(x, numpy.ones((4, 16, 1, 1), "f4"))
def forever():
    while True:
        plan.run(x, packed)
plan.run(x, packed)
{last}
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_what_is_the_library_s_is_not_copied(copied):
    with kiln.Context(cache="off") as context:
        plan = kiln.Plan(TEXT, context=context)
        packed = plan.pack(W)
        for each in (plan, packed, context):
            with pytest.raises(kiln.Error, match="cannot be copied or stored"):
                copied(each)
        assert_close(plan.run(X, packed), WANT)


def test_a_shallow_copy_is_the_same_plan():
    plan = kiln.Plan(TEXT)
    other = copy.copy(plan)
    packed = plan.pack(W)
    plan.close()
    del plan
    assert_close(other.run(X, copy.copy(packed)), WANT)


def test_many_threads_meet_the_same_new_forms():
    """Each makes, uses and drops what the others do; whoever comes second to a form may compile it again."""
    widths = range(3, 9)

    def work(i):
        for width in widths:
            x = X[:, :, :, : width + i % 2].copy()
            assert_close(kiln.conv2d(x, W, context=context), conv2d(x, W))
        with kiln.Context(cache="off") as own:
            kiln.Plan(TEXT, context=own)

    with kiln.Context(threads=2, cache="off") as context:
        in_threads(24, work)
        assert len(context._calls) == len(widths) + 1


def test_contexts_are_closed_while_others_call():
    def work(i):
        for _ in range(20):
            with kiln.Context(cache="off") as context:
                shared[i % 2] = context
                try:
                    assert_close(kiln.conv2d(X, W, context=shared[1 - i % 2]), WANT)
                except kiln.Error as error:
                    assert "closed" in str(error)

    shared = [kiln.default_context(), kiln.default_context()]
    in_threads(4, work)
    assert threading.active_count() == 1
