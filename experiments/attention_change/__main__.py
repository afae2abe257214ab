"""What does fine-tuning change in attention? Pretrained models beside their fine-tuned selves (DeRose et al. 2020).

    scripts/convert_checkpoint.py --package rxnfp-pretrained MODELS/rxnfp-pretrained   # and rxnfp-10k, cloneguard
    python -m experiments.attention_change all --data DIR --models MODELS --out experiments/attention_change/results

DIR holds reactions, sst, ud/EWT and coref, see ../README.md; MODELS/sst2 is a model fine-tuned on SST-2.
Device: CPU, one core of two that other work used as well; about ten processor minutes.
Result (results/): at the last layer reacting atoms have 5.8 times the mean atom's raw attention from [CLS] after
fine-tuning, 2.1 times before; words with sentiment gain by rollout, .99 to 1.10; words of an attack do not gain for
sure. Deep layers change more in all three pairs, shallow ones are the syntactic ones. Entropy of heads rises. Of the
sentiment model's 32 wrong predictions blanking the word that class attention names turns .72, a random word .19;
taking away the five heads that the gradient names .72, five at random .06.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from experiments._figures import save_figure
from experiments._say import ended, say
from experiments.attention_change.made import made_data, made_models
from experiments.attention_change.pairs import PAIRS, QUICK, Pair, Sizes, study
from experiments.attention_change.pictures import figures
from jaxflow import InputError, load_model
from jaxflow.models import TextEncoder, builtin


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 2 on bad input, 130 where it was interrupted."""
    options = _parser().parse_args(arguments)
    return ended(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    chosen = list(PAIRS) if options.pair == "all" else [options.pair]
    if len(chosen) > 1 and (options.model_a or options.model_b):
        raise InputError(
            "pair", "name one pair where `model_a` or `model_b` names its models", "'all'", "name the pair"
        )
    if options.data is None and not options.quick:
        raise InputError(
            "data", "name the folder of the data sets", "none", "name it, or take `quick`, which needs none"
        )
    for name in chosen:
        path = options.out / f"{name}.json"
        if path.is_file():
            say(f"{path} is there already; delete it to measure anew")
            record = json.loads(path.read_text(encoding="utf-8"))
        else:
            record = _measured(PAIRS[name], options)
        for kind, figure in figures(record).items():
            save_figure(figure, options.out / f"{name}-{kind}")
        _tell(record)


def _measured(pair: Pair, options: argparse.Namespace) -> dict[str, Any]:
    data = options.data if options.data is not None else made_data(options.out / "made")
    encoders = _models(pair, options)
    sizes = QUICK if options.quick else Sizes()
    _ = study(pair, encoders, data, options.out, sizes, say, options.head)
    return json.loads((options.out / f"{pair.name}.json").read_text(encoding="utf-8"))


def _models(pair: Pair, options: argparse.Namespace) -> tuple[TextEncoder, TextEncoder]:
    if options.quick and not (options.model_a or options.model_b):
        return made_models(pair, options.data if options.data is not None else options.out / "made")
    names = [
        given or (name if name in builtin.names() else str(options.models / name))
        for given, name in zip((options.model_a, options.model_b), pair.models, strict=True)
    ]
    return load_model(names[0]), load_model(names[1])


def _tell(record: dict[str, Any]) -> None:
    for row in record["claims"]:
        p = "" if row["p"] is None else f", p {row['p']:.2g}"
        say(f"{row['verdict']:>9}: {row['claim']}: {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]{p}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.attention_change",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _ = parser.add_argument("pair", choices=[*PAIRS, "all"], help="which pair of models")
    _ = parser.add_argument("--data", type=Path, help="folder with reactions, sst, ud and coref")
    _ = parser.add_argument("--out", type=Path, required=True, help="where records and figures go")
    _ = parser.add_argument(
        "--models",
        type=Path,
        default=builtin.cache_folder() / "checkpoints",
        help="folder of the models' folders, named as in pairs.py (default: %(default)s)",
    )
    _ = parser.add_argument("--model-a", help="the pretrained model of the pair")
    _ = parser.add_argument("--model-b", help="the fine-tuned one")
    _ = parser.add_argument("--head", type=Path, help="the injection model's ONNX file, for its predictions")
    _ = parser.add_argument("--quick", action="store_true", help="models and texts made here, in under a minute")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
