"""Sweeps that were stopped or damaged go on where they were; those of another run are refused and left alone."""

import dataclasses
from contextlib import closing

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.attribution import Rollout
from jaxflow.inputs.files import open_source
from jaxflow.inputs.source import InlineSource
from jaxflow.store import shards as store
from jaxflow.store.leases import Leases
from jaxflow.sweep import runner
from tests.extending.mixing import ValueNorms
from tests.sweep.folders import contents
from tests.sweep.sweeping import FAST, TEXTS, interrupted_after, swept
from tests.tiny_text_model import LIMIT

pytestmark = pytest.mark.usefixtures("few_sizes")


def test_python_is_told_in_its_own_words_how_a_stopped_sweep_goes_on(encoder, tmp_path, small_shards):
    with pytest.raises(runner.Stopped, match=r"examples are kept in .*; the same call continues"):
        jf.run_sweep(encoder, TEXTS, tmp_path / "out", methods="raw", progress=interrupted_after(2), batch_size=1)
    assert len(jf.run_sweep(encoder, TEXTS, tmp_path / "out", methods="raw")) == len(TEXTS)


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_where_it_was(encoder, tmp_path, small_shards, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(runner, "BEHIND", 0)
    with pytest.raises(runner.Stopped, match=r"2 of 5 examples are kept.*the same call continues"):
        swept(encoder, out, progress=interrupted_after(3))
    kept = (out / "part-00000.parquet").read_bytes()
    with pytest.raises(InputError, match="leave it out, or name another"):
        swept(encoder, out, resume=False)
    told = []
    summary = swept(encoder, out, progress=told.append)
    assert (summary.examples, summary.before, told[-1].examples) == (5, 2, 3)
    assert (out / "part-00000.parquet").read_bytes() == kept
    swept(encoder, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
    again = swept(encoder, out)
    assert (again.examples, again.before) == (5, 5)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_sweep_stopped_before_anything_is_done_leaves_nothing(encoder, tmp_path):
    with pytest.raises(runner.Stopped, match="nothing was finished yet"):
        swept(encoder, tmp_path / "out", progress=interrupted_after(0))
    assert not (tmp_path / "out").exists()


def test_damaged_missing_and_unrecorded_shards_are_made_again(encoder, tmp_path, small_shards):
    out = tmp_path / "out"
    swept(encoder, out, TEXTS + TEXTS)
    before = contents(out)
    paths = [out / f"part-{index:05d}.parquet" for index in range(5)]
    paths[0].write_bytes(before[paths[0].name][:100])
    paths[1].unlink()
    flipped = bytearray(before[paths[2].name])
    flipped[len(flipped) // 2] ^= 1
    paths[2].write_bytes(flipped)
    (out / store.ABOUT / "part-00003.json").write_text("{")
    (out / store.ABOUT / ".jaxflow-part-00003.json-x.tmp").write_text("half")
    # Another process that is at work has looked already.
    with closing(Leases(out)) as leases:
        assert leases.take("part-00003")
        _ = runner.prepare(encoder, InlineSource(TEXTS + TEXTS), out, FAST)
        assert sorted(store.read_records(out)) == [0, 1, 2, 4]
    sweep = runner.prepare(encoder, InlineSource(TEXTS + TEXTS), out, FAST)
    # Nobody reads what is damaged while it is made again.
    assert sorted(store.read_records(out)) == [4]
    summary = sweep.run(2)
    assert (summary.examples, summary.before) == (10, 2)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("changes", "texts", "named"),
    [
        ({"mixing": jf.mixing.Attention(residual=0.25)}, TEXTS, r"residual \(there 0.5, now 0.25\)"),
        ({"queries": None, "truncate": True}, TEXTS, r"queries \(there 0, now all\), truncate"),
        ({"methods": (jf.attribution.Flow("bounds"),)}, TEXTS, r"methods \(there raw,rollout,flow, now flow\)"),
        ({"methods": ("raw",)}, TEXTS, r"methods \(there raw,rollout,flow, now raw\)"),
        ({}, TEXTS[:4], r"the input's content \(other rows are in part-00000"),
        ({}, (*TEXTS[:4], "keyz"), "the input's content"),
        ({}, (*TEXTS, "more"), "the input's content"),
    ],
)
def test_results_of_another_run_are_refused_and_left_alone(encoder, tmp_path, changes, texts, named):
    out = tmp_path / "out"
    swept(encoder, out)
    before = contents(out)
    lengths = {"truncate": changes.get("truncate", False)}
    asked = {name: value for name, value in changes.items() if name not in lengths}
    with pytest.raises(InputError, match=named):
        swept(encoder, out, texts, dataclasses.replace(FAST, **asked), **lengths)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({"mixing": ValueNorms(2.0)}, {"mixing": ValueNorms(3.0)}, r"fields \(there scale 2.0, now scale 3.0\)"),
        (
            {"methods": (Rollout(mixing=ValueNorms(2.0)),)},
            {"methods": (Rollout(mixing=ValueNorms(3.0)),)},
            r"methods \(there fields mixing fields scale 2.0, now fields mixing fields scale 3.0\)",
        ),
    ],
)
def test_values_of_one_name_differ_by_a_field_that_is_named(encoder, tmp_path, first, second, named):
    out = tmp_path / "out"
    swept(encoder, out, TEXTS, dataclasses.replace(FAST, **first))
    with pytest.raises(InputError, match=named):
        swept(encoder, out, TEXTS, dataclasses.replace(FAST, **second), resume=True)


def test_an_input_that_is_cut_short_is_another(encoder, tmp_path, small_shards):
    swept(encoder, tmp_path / "out")
    with pytest.raises(InputError, match="the input's content"):
        swept(encoder, tmp_path / "out", TEXTS[:2])
    (tmp_path / "out" / store.ABOUT / "part-00001.json").unlink()
    with pytest.raises(InputError, match=r"the input's content.*part-00002"):
        swept(encoder, tmp_path / "out", TEXTS[:3])


def test_another_model_of_the_same_name_is_refused_and_a_moved_one_is_not(encoder, tmp_path):
    swept(encoder, tmp_path / "out")
    other = jax.tree.map(lambda x: x + np.float32(1e-7), encoder.module)
    with pytest.raises(InputError, match="differs in the model's weights"):
        swept(dataclasses.replace(encoder, module=other), tmp_path / "out")
    with pytest.raises(InputError, match=r"differs in the model \(there .*, now renamed\)"):
        swept(dataclasses.replace(encoder, module=other, name="renamed"), tmp_path / "out")
    with pytest.raises(InputError, match="differs in the model's config"):
        swept(dataclasses.replace(encoder, max_length=LIMIT - 1), tmp_path / "out")
    assert swept(dataclasses.replace(encoder, name="moved"), tmp_path / "out").before == 5


def test_a_folder_that_another_run_began_meanwhile_is_left_alone(encoder, tmp_path, small_shards):
    first, second = (
        runner.prepare(
            encoder,
            InlineSource(TEXTS),
            tmp_path / "out",
            dataclasses.replace(FAST, mixing=jf.mixing.Attention(residual=residual)),
        )
        for residual in (0.5, 0.25)
    )
    _ = first.run(2)
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match=r"differs in residual|another run began"):
        second.run(2)
    assert contents(tmp_path / "out") == before


def test_what_is_kept_is_said_even_where_the_input_is_gone(encoder, tmp_path, small_shards, monkeypatch):
    monkeypatch.setattr(runner, "BEHIND", 0)
    path = tmp_path / "in.txt"
    path.write_text("\n".join(TEXTS))
    stop = interrupted_after(3)

    def progress(tally):
        path.unlink(missing_ok=True)
        stop(tally)

    with open_source(str(path), None, None) as source:
        sweep = runner.prepare(encoder, source, tmp_path / "out", FAST)
        with pytest.raises(runner.Stopped, match=r"stopped: \d examples are kept in .*the same call"):
            sweep.run(2, progress)
