"""Small sweeps of a tiny model."""

from jaxflow.attribution import Question
from jaxflow.inputs.source import InlineSource, as_source
from jaxflow.sweep import runner

TEXTS = ("The key to the cabinets is on the table.", "Unbelievable!", "no", "is it on the table", "keys")
FAST = Question(flow="bounds")


def swept(encoder, folder, texts=TEXTS, question=FAST, *, progress=lambda _: None, **options):
    source = InlineSource(texts) if isinstance(texts, tuple) else as_source(texts)
    return runner.prepare(encoder, source, folder, question, **options).run(2, progress)


def interrupted_after(examples):
    def progress(tally):
        if tally.examples > examples:
            raise KeyboardInterrupt

    return progress
