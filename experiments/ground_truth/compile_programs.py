"""Compile programs to Transformers by Tracr, and write their weights and what Tracr itself answers.

    pip install -e '.[programs]'
    python -m experiments.ground_truth.compile_programs

Writes `programs.npz` beside this file, which everything else reads: nothing but this needs Tracr (Lindner et al. 2023).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.ground_truth.programs import BEGIN, BLANK, LENGTH, PROGRAMS, texts_of

RECORDED = 12


def written() -> dict[str, Any]:
    """The programs in RASP, by their names."""
    from tracr.compiler import lib  # pyright: ignore[reportMissingImports]
    from tracr.rasp import rasp  # pyright: ignore[reportMissingImports]

    tokens, places = rasp.tokens, rasp.indices

    def at(place: Any) -> Any:
        return rasp.Aggregate(rasp.Select(places, place, rasp.Comparison.EQ), tokens)

    before, behind = lib.shift_by(1, tokens), lib.shift_by(-1, tokens)
    share = lib.make_frac_prevs(tokens == "x")
    # A key's value stands behind it: where the token before is the one that is asked for.
    lookup = rasp.Select(before, tokens, rasp.Comparison.EQ)
    first = rasp.Aggregate(rasp.Select(places, places, lambda key, query: key == 0), tokens)
    return {
        "two before": lib.shift_by(2, tokens),
        "three before, in two steps": lib.shift_by(2, before),
        "reversed": lib.make_reverse(tokens),
        "neighbours are equal": rasp.SequenceMap(lambda a, b: a == b, before, behind),
        "first is last": rasp.SequenceMap(lambda a, b: a == b, first, at(lib.length - 1)),
        "share of x up to here": share,
        "x was seen": rasp.Map(lambda number: number > 0, share),
        "value of this key": rasp.Aggregate(lookup, tokens),
    }


def compiled(name: str, program: Any) -> dict[str, Any]:
    """A program's weights as Tracr's model holds them, and its answers to some texts."""
    from tracr.compiler import compiling  # pyright: ignore[reportMissingImports]

    vocabulary = PROGRAMS[name].vocabulary
    model = compiling.compile_rasp_to_model(
        program, set(vocabulary), max_seq_len=LENGTH, compiler_bos=BEGIN, compiler_pad=BLANK
    )
    config, encoder, answers = model.model_config, model.input_encoder, model.output_encoder
    tokens = sorted(encoder.encoding_map, key=encoder.encoding_map.get)
    labels, values = model.residual_labels, getattr(answers, "encoding_map", None)
    # The entries of the states that hold the answer: one for each value, or the number itself.
    values = [None] if values is None else sorted(values, key=values.get)
    places = [labels.index(program.label if value is None else f"{program.label}:{value}") for value in values]
    # [text token], without the beginning: Tracr's own output at every position, of as many texts.
    texts = [text.split() for text in texts_of(name, RECORDED, seed=1)]
    recorded = [model.apply([BEGIN, *text]) for text in texts]
    about = {
        "tokens": tokens,
        "values": [str(value) for value in values],
        "heads": config.num_heads,
        "layers": config.num_layers,
        "places": places,
        "texts": [" ".join(text) for text in texts],
        "answers": [[str(answer) for answer in each.decoded[1:]] for each in recorded],
    }
    arrays = {f"{part}/{kind}": np.asarray(w) for part, kinds in model.params.items() for kind, w in kinds.items()}
    states = {f"states/{index}": np.asarray(each.transformer_output[0]) for index, each in enumerate(recorded)}
    return {"about": np.array(json.dumps(about)), **arrays, **states}


def main() -> None:
    """Compile all of them."""
    made = {
        f"{name}|{part}": array
        for name, program in written().items()
        for part, array in compiled(name, program).items()
    }
    np.savez_compressed(Path(__file__).with_name("programs.npz"), allow_pickle=False, **made)


if __name__ == "__main__":
    main()
