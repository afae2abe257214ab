"""Batches: which texts go together, how large, by which programs, and what happens where memory runs out."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import jaxflow as jf
from jaxflow._checks import InputError, as_count_or_none
from jaxflow.attribution import EncodedText, attribute_shards
from jaxflow.attribution.items import asked_item, encoded_texts
from jaxflow.running import _engine as engine
from jaxflow.running import _sizes as sizes
from jaxflow.running._executables import Executables
from jaxflow.running._pipeline import Pipeline
from jaxflow.running._sizes import BUCKETS, Sizes, batches_of, device_tokens
from tests.tiny_text_model import LIMIT, model_folder

WORDS = ["the", "key", "to", "cabinets", "is", "on", "table"]


@pytest.fixture(scope="module")
def encoder():
    return jf.load_model(str(model_folder()))


@pytest.fixture
def one_length(monkeypatch):
    """All texts are padded to one length, so that few programs are compiled."""
    monkeypatch.setattr(sizes, "BUCKETS", (LIMIT,))


def device_of(platform, memory=None):
    return SimpleNamespace(id=0, platform=platform, memory_stats=lambda: memory)


def texts_of(count, shortest=1, longest=LIMIT - 2):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(shortest, longest + 1))) for _ in range(count)]


def assert_same(found, expected, atol=1e-6):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.text == other.text
        assert one.relevance.keys() == other.relevance.keys()
        for name, values in one.relevance.items():
            np.testing.assert_allclose(values, other.relevance[name], atol=atol)


def some_sizes():
    for batch_size in (None, 1, 3, 20):
        for packs in (True, False):
            for devices in (1, 4):
                yield Sizes(batch_size, 200, LIMIT, devices, packs)


@pytest.mark.parametrize("sizes", list(some_sizes()), ids=str)
def test_every_text_is_in_one_batch_with_others_of_its_length(encoder, sizes):
    texts = encoded_texts(encoder, texts_of(60), None, max_length=None, truncate=False)
    items = [asked_item(index, text, encoder, (0,)) for index, text in enumerate(texts)]
    made = list(batches_of(items, sizes))
    assert sorted(item.index for batch in made for item in batch) == list(range(60))
    lengths = [[len(item.encoding) for item in batch] for batch in made]
    assert [length for batch in lengths for length in batch] == sorted(
        (len(item.encoding) for item in items), reverse=True
    )
    for batch, each in zip(made, lengths, strict=True):
        assert 2 * min(each) >= max(each)
        length = sizes.length(batch)
        rows = sizes.rows(length, len(batch))
        assert max(each) <= length <= LIMIT
        assert len(batch) <= rows <= max(sizes.most(length), sizes.devices * -(-sizes.most(length) // sizes.devices))
        assert rows % sizes.devices == 0
        packed = sizes.packed(rows, length, sum(each) + rows - len(each))
        assert packed is None or sum(each) + rows - len(each) <= packed < rows * length
        if not sizes.packs:
            assert packed is None


def sizes_of(batch_size, limit, device, devices, *, packs):
    return Sizes(as_count_or_none("batch_size", batch_size), device_tokens(device), limit, devices, packs)


def test_sizes_follow_from_the_device_and_the_length_alone():
    processor, accelerator = device_of("cpu"), device_of("gpu")
    for length in (*BUCKETS, 2560):
        for device in (processor, accelerator):
            made = sizes_of(None, 2048, device, 1, packs=False)
            most = made.most(length)
            assert most == 1 or most * length <= made.tokens < (most + 1) * length
            assert sizes_of(None, 2048, device, 6, packs=False).most(length) == 6 * most
            assert sizes_of(20, 2048, device, 6, packs=False).most(length) == 20
    assert made.tokens > sizes_of(None, 2048, processor, 1, packs=True).tokens
    lengths = (1, 8, 9, 500, 513, 1025, 2000)
    assert [made.bucket(length) for length in lengths] == [8, 8, 16, 512, 576, 1280, 2048]


def test_few_programs_serve_for_texts_of_all_lengths_and_numbers():
    made, shapes = sizes_of(None, 512, device_of("cpu"), 1, packs=True), set()
    rng = np.random.default_rng(1)
    for length in BUCKETS:
        for _ in range(50):
            count = int(rng.integers(1, made.most(length) + 1))
            rows = made.rows(length, count)
            # Never more than four times what is needed, and one more for each of the steps.
            assert count <= rows <= 4 * count + 3
            shapes.add((length, rows))
    assert len(shapes) <= 5 * len(BUCKETS)


def test_room_is_a_share_of_what_the_parameters_leave():
    device = device_of("gpu", {"bytes_limit": 1000, "bytes_in_use": 999})
    assert sizes.room(device, 100) == 300
    assert sizes.room(device, 2000) == 0
    unknown = device_of("tpu")
    assert sizes.room(unknown, 100) is None
    assert sizes.room(jax.devices()[0], 0) > 2**28


def test_each_shape_is_compiled_once_and_told(encoder, one_length):
    fresh, told = replace(encoder), []
    texts = texts_of(9, shortest=12)
    first = jf.attribute(fresh, texts, methods="raw", batch_size=8, compiled=told.append)
    assert [(each.examples, each.tokens) for each in told] == [(8, LIMIT), (1, LIMIT)]
    for each in told:
        assert each.seconds > 0
        assert each.bytes > 0
    again = jf.attribute(fresh, texts, methods="raw", batch_size=8, compiled=told.append)
    assert len(told) == 2
    assert_same(again, first, atol=0)
    jf.attribute(fresh, texts[:1], methods="raw", layers=[1], compiled=told.append)
    assert len(told) == 3


def test_what_fills_up_a_batch_is_a_text_of_one_token(encoder, monkeypatch):
    seen, run = [], Executables.run

    def noted(executables, inputs, program):
        seen.append(inputs.batch)
        return run(executables, inputs, program)

    monkeypatch.setattr(Executables, "run", noted)
    texts = ["the key to the cabinets", "the key is on", "the table is on"]
    result = jf.attribute(encoder, texts, methods="raw", batch_size=8)
    (batch,) = seen
    assert batch.mask.shape == (8, 8)
    assert np.asarray(batch.mask).sum(-1).tolist() == [*map(len, result.tokens), 1, 1, 1, 1, 1]
    assert (np.asarray(batch.input_ids)[3:, 0] == encoder.tokenizer.cls_token_id).all()


class Short:
    """A device with room for so many tokens, at the step that is named."""

    def __init__(self, monkeypatch, step, tokens):
        self.refused, self.tokens = [], tokens
        wrapped = getattr(Pipeline, step)

        def refusing(pipeline, batch, *rest):
            items = batch if isinstance(batch, list) else batch.items
            taken = len(items) * pipeline._sizes.length(items)
            if taken > self.tokens:
                self.refused.append(taken)
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
            return wrapped(pipeline, batch, *rest)

        monkeypatch.setattr(Pipeline, step, refusing)


@pytest.mark.parametrize("step", ["_start", "_begin"])
@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.usefixtures("one_length")
def test_a_batch_too_large_for_the_device_is_halved_and_nothing_is_lost(encoder, monkeypatch, step, batch_size):
    texts = texts_of(16, shortest=12)
    expected = jf.attribute(encoder, texts, methods=("rollout", "flow"), batch_size=4)
    short, told = Short(monkeypatch, step, 4 * LIMIT), []
    found = jf.attribute(encoder, texts, methods=("rollout", "flow"), batch_size=batch_size, progress=told.append)
    assert short.refused
    assert sum(told) == len(texts)
    assert_same(found, expected)
    # It learns from the first: what is larger is not tried over and over.
    assert len(short.refused) <= 6


@pytest.mark.slow
@pytest.mark.usefixtures("one_length")
def test_memory_that_runs_out_when_a_batch_is_finished_costs_nothing_either(encoder, monkeypatch):
    texts, failed = texts_of(20, shortest=12), []
    expected = jf.attribute(encoder, texts, methods="rollout", batch_size=4)
    begin = Pipeline._begin

    def failing(pipeline, batch, worker):
        begun = begin(pipeline, batch, worker)
        if failed or len(batch.items) < 8:
            return begun

        def finish():
            failed.append(batch.items)
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

        return replace(begun, finish=finish)

    monkeypatch.setattr(Pipeline, "_begin", failing)
    assert_same(jf.attribute(encoder, texts, methods="rollout", batch_size=8), expected)
    assert failed


@pytest.mark.slow
@pytest.mark.usefixtures("one_length")
def test_shards_come_in_order_though_a_batch_of_the_first_is_done_again(encoder, monkeypatch):
    texts = texts_of(24, shortest=12)
    encodings = encoder.tokenize(texts)
    each = [EncodedText(text, None, encoding, "here") for text, encoding in zip(texts, encodings, strict=True)]
    expected = jf.attribute(encoder, texts, methods="rollout", batch_size=4)
    short = Short(monkeypatch, "_begin", 4 * LIMIT)
    shards = list(attribute_shards(encoder, [each[:6], each[6:7], each[7:]], methods="rollout", batch_size=8))
    assert short.refused
    assert [len(shard) for shard in shards] == [6, 1, 17]
    assert_same([example for shard in shards for example in shard], expected)


def test_time_for_which_the_device_had_no_batch_is_told(encoder):
    texts = texts_of(6, shortest=12)
    each = [
        EncodedText(text, None, encoding, "here") for text, encoding in zip(texts, encoder.tokenize(texts), strict=True)
    ]

    def shards(seconds):
        for index in range(3):
            time.sleep(seconds)
            yield each[2 * index : 2 * index + 2]

    assert len(list(attribute_shards(encoder, shards(0.0), methods="rollout"))) == 3
    told, start = [], time.perf_counter()
    assert len(list(attribute_shards(encoder, shards(0.3), methods="rollout", idle=told.append))) == 3
    assert min(told) >= 0
    # The reader sleeps for 0.9 s in all; what is less is a batch that was under way and seen at work.
    assert 0.7 < sum(told) < time.perf_counter() - start


@pytest.mark.usefixtures("one_length")
def test_a_text_that_never_fits_is_named_and_other_errors_come_through(encoder, monkeypatch):
    short = Short(monkeypatch, "_start", 16)
    with pytest.raises(
        InputError, match=r"text 2 must fit into the device's memory, got 23 tokens, too many even alone"
    ):
        jf.attribute(encoder, ["the key", "is", "the " * 21], methods="raw", batch_size=2)
    assert short.refused

    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: as if")

    before = threading.active_count()
    monkeypatch.setattr(Pipeline, "_start", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        jf.attribute(encoder, ["the key"])
    assert threading.active_count() == before


@pytest.mark.usefixtures("one_length")
def test_a_program_too_large_for_the_device_is_never_run(encoder, monkeypatch):
    texts, told = texts_of(20, shortest=12), []
    expected = jf.attribute(encoder, texts, methods="rollout", batch_size=4)
    fresh = replace(encoder)
    jf.attribute(fresh, texts, methods="rollout", batch_size=4, compiled=told.append)
    room = max(each.bytes for each in told)
    ran, call = [], Executables.run

    def noted(executables, inputs, program):
        ran.append(executables.of(inputs, program).about.bytes)
        return call(executables, inputs, program)

    monkeypatch.setattr(Executables, "run", noted)
    monkeypatch.setattr(engine, "room", lambda device, parameters: room)
    assert_same(jf.attribute(fresh, texts, methods="rollout"), expected)
    assert max(ran) <= room
    assert len(ran) > 2
