"""Fine-tune a pretrained encoder on a task; the result is a folder that jaxflow and transformers load.

    python -m experiments.finetune sst2 --data DIR --out RUN
    python -m experiments.finetune snli --data DIR --out RUN
    python -m experiments.finetune squad --data DIR --out RUN
    python -m experiments.finetune paraphrase --data DIR --out RUN --columns "#1 String" "#2 String" Quality
    python -m experiments.finetune TASK --quick --out RUN

The last one makes its data. RUN gets model/ (config.json, model.safetensors, tokenizer), checkpoints/ and
training.json; a run that was stopped goes on with the same command.
"""

import argparse
from pathlib import Path

from experiments._say import ended
from experiments.finetune.made import MADE
from experiments.finetune.paraphrase import COLUMNS, FILES, paraphrase
from experiments.finetune.snli import SNLI
from experiments.finetune.squad import SQUAD
from experiments.finetune.sst2 import SST2
from experiments.finetune.task import Task
from experiments.finetune.train import Settings, train
from jaxflow import InputError
from jaxflow._checks import shown

TASKS = {task.name: task for task in (SST2, SNLI, SQUAD)}
QUICK_TRAIN, QUICK_HELD = 96, 32


def main(arguments: list[str] | None = None) -> int:
    """Train; 2 on bad input, 130 where it was interrupted."""
    options = _parser().parse_args(arguments)
    return ended(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    task = _task(options)
    data = options.data
    if data is None:
        if not options.quick:
            way_out = "name it, or take `quick`, which makes them"
            raise InputError("data", "name the folder of the task's files", "none", way_out)
        data = options.out / "made"
        try:
            MADE[options.task](data)
        except OSError as error:
            got = f"{shown(str(options.out))} ({error.strerror})"
            raise InputError("out", "be a folder that can be written", got, "name another") from error
    limit, held = (QUICK_TRAIN, QUICK_HELD) if options.quick else (None, None)
    settings = Settings(
        epochs=task.epochs if options.epochs is None else options.epochs,
        rate=options.rate,
        seed=options.seed,
        tokens=options.tokens,
        dropout=options.dropout,
        limit=limit if options.limit is None else options.limit,
        held=held,
    )
    _ = train(task, data, options.out, options.model, settings)


def _task(options: argparse.Namespace) -> Task:
    if options.task == "paraphrase":
        return paraphrase(tuple(options.columns), tuple(options.files))
    return TASKS[options.task]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("task", choices=(*TASKS, "paraphrase"))
    _ = parser.add_argument("--data", type=Path, help="folder of the task's files")
    _ = parser.add_argument("--out", type=Path, required=True, help="where everything goes")
    _ = parser.add_argument("--model", default="minilm", help="built-in name, folder or hub name of an encoder")
    _ = parser.add_argument("--epochs", type=float, help="passes over the data (default: the task's own)")
    _ = parser.add_argument("--rate", type=float, default=1e-4, help="highest learning rate")
    _ = parser.add_argument("--seed", type=int, default=0)
    _ = parser.add_argument("--tokens", type=int, default=1536, help="tokens of a batch")
    _ = parser.add_argument("--dropout", action="store_true", help="with the model's dropout, a tenth slower")
    _ = parser.add_argument("--limit", type=int, help="so many examples of the data, evenly spaced")
    _ = parser.add_argument("--quick", action="store_true", help="few examples, made here where --data is missing")
    _ = parser.add_argument("--columns", nargs=3, default=COLUMNS, help="paraphrase: text, text and class (0 or 1)")
    _ = parser.add_argument("--files", nargs=2, default=FILES, help="paraphrase: to train on and to judge by")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
