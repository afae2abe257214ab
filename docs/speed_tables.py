"""The tables of the page on speed, from what the benchmarks committed."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import geometric_mean
from typing import Any

NAMES = {"ortools": "OR-Tools", "scipy": "SciPy", "igraph": "igraph", "networkx": "NetworkX"}
RECORDS = Path(__file__).parent.parent / "scripts" / "results"


def speed_tables() -> dict[str, str]:
    """Every table by name, each above a line that names its command, machine and date."""
    return {
        "flow": _flow(),
        "rows": _rows(),
        "together": _together(),
        "long": _long(),
        "mixings": _mixings(),
        "sweep": _sweep(),
        "encoder": _encoder(),
    }


def _flow() -> str:
    """Exact flow against the fastest library, a row for each graph."""
    rows, told = [], []
    for name, kind in (("flow", "attention"), ("flow_classes", "attention x gradient")):
        record = _read(name)
        told.append(_told(name, record["environment"]))
        graphs: dict[str, list[dict[str, Any]]] = {}
        for row in record["layers"]:
            # Of made-up graphs the page says nothing; models' graphs are called after a model and a length.
            if row["real"] or kind != "attention":
                graphs.setdefault(row["graph"], []).append(row)
        for graph, layers in graphs.items():
            last = layers[-1]
            ratios = [row["ratio"] for row in layers]
            rows.append(
                [
                    f"{graph.rpartition('-')[0]}, {kind}",
                    last["tokens"],
                    f"{last['microseconds']:.0f} µs",
                    NAMES[last["fastest_peer"]],
                    f"{last['ratio']:.0f}",
                    f"{geometric_mean(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f})",
                ]
            )
    head = [
        "graph",
        "tokens",
        "a pair, last layer",
        "fastest library there",
        "faster by",
        "layers 3 and up, geometric mean",
    ]
    return _table(head, rows) + "\n\n".join(told)


def _rows() -> str:
    """One position's flows at every layer, beside the forward pass that they belong to."""
    record = _read("flow")
    rows = []
    for row in record["first_rows"]:
        spent = row["processor_milliseconds"]
        rows.append(
            [
                row["tokens"],
                f"{spent['forward']:.0f} ms",
                f"{spent['rollout'] / spent['forward']:.2f}",
                f"{row['exact_over_forward']:.2f}",
            ]
        )
    head = ["tokens", "forward pass", "rollout, in forward passes", "certified flow, in forward passes"]
    return _table(head, rows) + _told("flow", record["environment"])


def _together() -> str:
    """All positions' flows at all layers, asked for at once and layer by layer."""
    rows, told = [], []
    for name in ("flow", "flow_reactions"):
        record = _read(name)
        told.append(_told(name, record["environment"]))
        rows += [
            [
                row["graph"].rpartition("-")[0],
                row["tokens"],
                row["layers"],
                f"{row['apart']:.0f} µs",
                f"{row['together']:.0f} µs",
                f"{row['times_as_fast']:.1f}",
                f"{100 * row['proven']:.0f} %",
            ]
            for row in record["together"]
            if row["real"]
        ]
    head = [
        "graph",
        "tokens",
        "layers",
        "a pair, layer by layer",
        "a pair, all layers at once",
        "faster by",
        "proven by the layer below",
    ]
    return _table(head, rows) + "\n\n".join(told)


def _long() -> str:
    """One position's flows at every layer of long made-up texts."""
    record = _read("flow_long")
    rows = [
        [
            row["family"],
            f"{row['tokens']:,}",
            f"{row['seconds']:.1f} s",
            f"{row['peak_megabytes']:,.0f} MB",
            f"{row['ratio']:.0f}" if "ratio" in row else "",
        ]
        for row in record["long"]
    ]
    head = ["attention", "tokens", "all layers", "memory of the process", "times as fast as OR-Tools"]
    return _table(head, rows) + _told("flow_long", record["environment"])


def _mixings() -> str:
    """What each mixing and reference costs, in forward passes."""
    record = _read("mixings")
    loads = record["workloads"]
    rows = [
        [name, *(f"{load['forward_passes'][name]:.1f}" for load in loads)]
        for name in loads[0]["forward_passes"]
        if name != "forward pass"
    ]
    return _table(["rollout by a mixing, a reference, or a peer", *(load["name"] for load in loads)], rows) + _told(
        "mixings", record
    )


def _sweep() -> str:
    """A data set from texts to kept rows, beside torch."""
    record, rows = _read("sweep"), []
    names = {
        "end to end, rollout": "jaxflow: rollout",
        "end to end, flow": "jaxflow: certified flow",
        "end to end, all three": "jaxflow: raw, rollout and certified flow",
        "torch + NumPy rollout": "torch and NumPy: rollout, texts in their order",
        "torch sorted + NumPy rollout": "torch and NumPy: rollout, texts sorted by length",
    }
    for name, words in names.items():
        rows.append([words, *(f"{each['seconds'][name]:.1f} s" for each in record["sets"])])
    return _table(["from texts to rows", *(f"{each['count']:,} {each['texts']}" for each in record["sets"])], rows) + (
        _told("sweep", record)
    )


def _encoder() -> str:
    """The forward pass beside torch's."""
    record = _read("encoder")
    rows = [
        [
            load["name"],
            f"{load['best_ms']['ours with attention']:.0f} ms",
            f"{load['best_ms']['torch with attention']:.0f} ms",
            f"{load['ratio_with_attention']:.2f}",
        ]
        for load in record["workloads"]
    ]
    return _table(["forward pass that keeps attention", "jaxflow", "torch", "torch's time over ours"], rows) + _told(
        "encoder", record
    )


def _read(name: str) -> dict[str, Any]:
    return json.loads((RECORDS / f"{name}.json").read_text("utf-8"))


def _told(name: str, about: dict[str, Any]) -> str:
    """Where a table's figures are from."""
    return (
        f"`scripts/results/{name}.json`: `{about['command']}`, {about['cores']} cores of {about['processor']}, "
        f"{about['date']}."
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown; numbers to the right."""

    def lines() -> Iterator[str]:
        titles = list(head)
        yield "| " + " | ".join(titles) + " |"
        yield "| --- |" + " --: |" * (len(titles) - 1)
        for row in rows:
            yield "| " + " | ".join(map(str, row)) + " |"

    return "\n".join(lines()) + "\n\n"
