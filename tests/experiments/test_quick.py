"""Options that `--quick` decides are refused beside it; they were passed over in silence."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("agreement verb-number", "--texts 3"),
        ("figures", "--number 3"),
        ("flow_training attractors", "--terms rollout"),
        ("flow_training attractors", "--seeds 1"),
        ("ground_truth planted", "--texts 3"),
        ("paper_closer variants", "--texts 3"),
        ("paper_closer dropout", "--steps 3 3"),
        ("saturation", "--models minilm"),
        ("saturation", "--longest 20"),
        ("source_target", "--seeds 1"),
        ("source_target", "--steps 3"),
        ("sst2 train --data FOLDER", "--epochs 2.0"),
        ("verb_number train", "--steps 3"),
        ("verb_number train", "--rate 0.5"),
        ("verb_number train", "--parts 1"),
        ("verb_number train", "--data FOLDER"),
    ],
)
def test_what_quick_decides_is_refused_beside_it(command, option, tmp_path, capsys):
    name, *rest = command.split()
    main = importlib.import_module(f"experiments.{name}.__main__").main
    assert main([*rest, "--quick", "--out", str(tmp_path), *option.split()]) == 2
    said = capsys.readouterr().err
    assert f"--quick must stand without {option.split()[0]}, which it decides, got {option};" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
