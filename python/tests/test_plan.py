"""Plans and contexts: what they tell, run and refuse; closing them; threads."""

import threading

import numpy
import pytest

import kiln
from reference import assert_close, channels_last, conv2d, normal

TEXT = "conv n1 ic3 ih9 iw8 oc4 kh3 kw3 ph1 pw1 f32 nchw +bias"
X, W, BIAS = normal(1, 1, 3, 9, 8), normal(2, 4, 3, 3, 3), normal(3, 4)
WANT = conv2d(X, W, BIAS, padding=1)


def test_a_text_and_fields_are_the_same():
    by_text = kiln.Plan(TEXT)
    by_fields = kiln.Plan(ic=3, ih=9, iw=8, oc=4, kh=3, kw=3, ph=1, pw=1, layout="nchw", post="+bias")
    assert by_text.conv == by_fields.conv == TEXT
    assert by_text.text == by_fields.text and by_text.text.startswith(TEXT + " | ")
    assert by_text.output_shape == (1, 4, 9, 8)
    assert by_text.packed_size >= W.nbytes and by_text.tasks >= 1 and isinstance(by_text.exact, bool)


def test_run():
    plan = kiln.Plan(TEXT)
    packed = plan.pack(W)
    out = numpy.empty((1, 4, 9, 8), "f4")
    assert_close(plan.run(X, packed, bias=BIAS), WANT)
    assert_close(plan.run(X, packed, bias=BIAS, out=out), WANT)
    assert_close(out, WANT)


def test_channels_last():
    plan = kiln.Plan(TEXT.replace("nchw", "nhwc"))
    y = plan.run(channels_last(X), plan.pack(W), bias=BIAS)
    assert_close(y, WANT)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_add_may_be_the_output():
    plan = kiln.Plan(TEXT + " +add +relu")
    packed, add = plan.pack(W), normal(5, *WANT.shape)
    want = (WANT + add).clip(0)
    assert_close(plan.run(X, packed, bias=BIAS, add=add), want)
    assert plan.run(X, packed, bias=BIAS, add=add, out=add) is not None
    assert_close(add, want)


def test_one_dimension():
    plan = kiln.Plan("conv ic3 iw8 oc4 kw3 nchw")
    x, w = X[:, :, 0].copy(), W[:, :, 0].copy()
    want = conv2d(x[:, :, None], w[:, :, None])
    packed = plan.pack(w)
    assert plan.output_shape == (1, 4, 6)
    assert_close(plan.run(x, packed), want[:, :, 0])
    assert_close(plan.run(x[:, :, None], plan.pack(w[:, :, None])), want)
    assert plan.run(x, packed, out=numpy.empty((1, 4, 6), "f4")).ndim == 3


def test_a_plan_line_is_followed():
    line = kiln.Plan(TEXT, isa="sse2").text
    assert line.endswith("| sse2") or line.endswith("| neon")
    assert kiln.Plan(line).text == line


def test_explain_and_dump():
    plan = kiln.Plan(TEXT)
    assert plan.explain().startswith(plan.text)
    assert "define" in plan.dump("ir") and "define" in plan.dump("ir_opt")
    assert "ret" in plan.dump("asm")
    assert plan.dump("object").startswith(b"\x7fELF") and isinstance(plan.dump("image"), bytes)


def test_a_plan_for_another_machine_is_dumped_but_not_run():
    plan = kiln.Plan(TEXT, target="aarch64")
    assert "fmla" in plan.dump("asm") or "fmul" in plan.dump("asm")
    with pytest.raises(kiln.Error, match="another target") as told:
        plan.pack(W)
    assert told.value.status == "unsupported"


def test_what_is_closed_says_so():
    plan = kiln.Plan(TEXT)
    packed = plan.pack(W)
    assert not repr(plan).endswith("closed>")
    for _ in range(2):
        plan.close()
    for call in (lambda: plan.run(X, packed, bias=BIAS), lambda: plan.pack(W), plan.explain, lambda: plan.dump("ir")):
        with pytest.raises(kiln.Error, match="this plan was closed"):
            call()
    assert repr(plan).endswith("closed>")


def test_a_closed_context_says_so_and_its_plans_go_on():
    with kiln.Context(cache="off") as context:
        plan = kiln.Plan(TEXT, context=context)
        assert_close(kiln.conv2d(X, W, BIAS, padding=1, context=context), WANT)
    context.close()
    assert_close(plan.run(X, plan.pack(W), bias=BIAS), WANT)
    calls = (
        context.stats,
        plan.explain,
        lambda: kiln.Plan(TEXT, context=context),
        lambda: kiln.conv2d(X, W, BIAS, padding=1, context=context),
    )
    for call in calls:
        with pytest.raises(kiln.Error, match="this context was closed"):
            call()
    context._remember("what another thread compiled meanwhile", plan)
    assert not context._calls


def test_the_default_context_is_made_anew():
    kiln.default_context().close()
    assert_close(kiln.conv2d(X, W, BIAS, padding=1), WANT)


def test_contexts():
    with kiln.Context(threads=2, isa="sse2" if "sse2" in kiln.Plan(TEXT, isa="sse2").text else None) as context:
        assert context.stats()["threads"] in (1, 2)  # of one processor there is no second
        x, w = normal(1, 1, 32, 40, 40), normal(2, 32, 32, 3, 3)
        assert_close(kiln.conv2d(x, w, context=context), conv2d(x, w))


def test_the_cache_on_disk(tmp_path):
    for compiles in (1, 0):
        with kiln.Context(cache="on", cache_dir=tmp_path / "kernels") as context:
            kiln.Plan(TEXT, context=context)
            assert context.stats()["compiles"] == compiles


def test_no_more_than_some_forms_are_remembered(monkeypatch):
    monkeypatch.setattr("kiln._context.CALLS_MOST", 3)
    with kiln.Context(cache="off") as context:
        for width in range(1, 7):
            kiln.conv2d(normal(1, 1, 1, 1, width), normal(2, 1, 1, 1, 1), context=context)
        assert len(context._calls) == 3


def in_threads(count, work):
    """Runs work(i) on threads of its own, and raises what any of them raised."""
    wrong, gate = [], threading.Barrier(count)

    def guarded(i):
        try:
            gate.wait()
            work(i)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        raise wrong[0]


def test_threads_share_a_plan_and_a_context():
    plan = kiln.Plan(TEXT)
    packed = plan.pack(W)

    def work(i):
        x = X * numpy.float32(i + 1)
        want = conv2d(x, W, BIAS, padding=1)
        for _ in range(200):
            assert_close(plan.run(x, packed, bias=BIAS), want)
            assert_close(kiln.conv2d(x, W, BIAS, padding=1), want)

    in_threads(4, work)


def test_a_plan_closed_while_others_run_it():
    """The kernel stays until the last of them is done; those that come later are told."""
    x, w = normal(1, 1, 64, 32, 32), normal(2, 64, 64, 3, 3)
    for _ in range(5):
        context = kiln.Context(cache="off")
        plan = kiln.Plan("conv ic64 ih32 iw32 oc64 kh3 kw3 nchw", context=context)
        packed = plan.pack(w)

        def work(i):
            if i == 0:
                plan.run(x, packed)
                context.close()
                plan.close()
                return
            with pytest.raises(kiln.Error, match="closed"):
                while True:
                    plan.run(x, packed)

        in_threads(3, work)
