"""Two processes that want one shard, in a folder or in a store."""

import time
from contextlib import closing, contextmanager

from jaxflow.attribution import Question
from jaxflow.inputs.source import InlineSource
from jaxflow.store.record import Record
from jaxflow.sweep import claims, runner, shards


def check_that_one_has_it(one, other):
    """A lease is one process's until it gives it back; none is left."""
    assert one.take("a", "rows")
    assert not one.take("a")
    assert not other.take("a")
    assert (other.rows("a"), other.rows("b")) == ("rows", None)
    assert one.holds("a")
    assert not other.holds("a")
    assert other.others()
    assert not one.others()
    one.give_back("a", done=False)
    assert other.take("a")
    other.give_back("a", done=True)
    assert not other.others()


@contextmanager
def one_stands_still(encoder, place, again, texts):
    """A process whose lease another took over, and the other, each with a shard of its own to write.

    Args:
        encoder: the model.
        place: of results.
        again: the same place, as the other process has it.
        texts: of the sweep.
    """
    question = Question(methods=("raw",))
    sweep = runner.prepare(encoder, InlineSource(texts), place, question)
    rows = [[{"id": 1, "text": "x" * length, "tokens": ["a"] * length}] for length in (3, 4)]
    (cut, *_) = shards.cuts(sweep.source.rows(), encoder, question)
    record = Record(0, 2, cut.sha256(), False, 1, None, 3, 0, 0, {}, ())
    with (
        closing(claims.Claims(place, sweep.manifest, {})) as slow,
        closing(claims.Claims(again, sweep.manifest, {})) as quick,
    ):
        assert slow.is_free(cut)
        assert slow.take(0)
        slow._leases._ended.set()

        def taken_over():
            end = time.monotonic() + 60
            while not (quick.is_free(cut) and quick.take(0)):
                assert time.monotonic() < end
                time.sleep(0.02)
            quick.write(record, rows[1], {})

        yield lambda: slow.write(record, rows[0], {}), taken_over
