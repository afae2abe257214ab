"""The table: what one part of the texts chooses, reported on the other, and how far protocols and removals agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments._methods import REFERENCES
from experiments.faithfulness.measure import FUNCTIONALS, SEEDS, SOFT, Row
from jaxflow.evaluation import PROTOCOLS
from jaxflow.statistics.blocks import Blocks
from jaxflow.statistics.tests import adjusted, block_interval, sign_flip

RESAMPLES = 1999
SIGN = {protocol.name: 1 if protocol.faithful == "high" else -1 for protocol in PROTOCOLS}
GRAPH = "graph"
# What every contestant is tested against.
AGAINST = ("random", "position", "column-sums")
# Tests below this corrected p are called clear.
CLEAR = 0.05
# Methods at their last layer that are printed.
SHOWN = 20
# Of each cell of the table: a setting (how tokens are removed) and a protocol.
Cell = tuple[str, str]
Scores = Mapping[str, Float[np.ndarray, "text row"]]


@dataclass(frozen=True)
class Chosen:
    """What the texts that choose say of one cell.

    Attributes:
        layers: each method's best layer.
        means: its mean score there, signed so that high is faithful.
    """

    layers: dict[str, Row]
    means: dict[str, float]

    def best(self, functional: str) -> str:
        """The functional's best mixing; of `GRAPH`, the best of all functionals'."""
        names = [name for name in self.means if " of " in name]
        names = names if functional == GRAPH else [name for name in names if name.startswith(f"{functional} of ")]
        return max(names, key=lambda name: self.means[name])


def chosen(rows: Sequence[Row], scores: Scores, protocol: str) -> Chosen:
    """The best layer of each method; soft measures take that of their hard counterpart."""
    protocol = SOFT.get(protocol, protocol)
    means = SIGN[protocol] * scores[protocol].mean(0)
    layers: dict[str, Row] = {}
    values: dict[str, float] = {}
    for row, mean in zip(rows, means.tolist(), strict=True):
        if mean > values.get(row.method, -np.inf):
            layers[row.method], values[row.method] = row, mean
    return Chosen(layers, values)


def reported_rows(rows: Sequence[Row], choices: Sequence[Chosen]) -> list[Row]:
    """Each method's last layer, and those that a protocol chose."""
    last = {row.method: row for row in rows}
    wanted = {*last.values(), *(row for choice in choices for row in choice.layers.values())}
    return [row for row in rows if row in wanted]


def cell(choice: Chosen, rows: Sequence[Row], scores: Scores, protocol: str, resamples: int) -> dict[str, Any]:
    """One cell of the table, on the texts that are reported on."""
    at = {row: place for place, row in enumerate(rows)}
    last = {row.method: row for row in rows}
    values = scores[protocol]
    who = {name: choice.layers[choice.best(name)] for name in (*FUNCTIONALS, GRAPH)}
    who |= {name: choice.layers[name] for name in REFERENCES if name != "random"}
    columns = {name: values[:, at[row]] for name, row in who.items()}
    columns["random"] = values[:, [at[last[f"random {seed}"]] for seed in range(SEEDS)]].mean(1)
    above = {
        (name, other): SIGN[protocol] * (column - columns[other])
        for name, column in columns.items()
        for other in AGAINST
    }
    interval, p = _tested(list(columns.values()) + list(above.values()), resamples)
    p = dict(zip(above, p[len(columns) :], strict=True))
    # All contestants against one other are one family of tests.
    for other in AGAINST:
        family = [key for key in above if key[1] == other and key[0] not in (other, GRAPH)]
        p |= dict(zip(family, adjusted([p[key] for key in family]), strict=True))
        # The graph's best is one of its functionals.
        p[GRAPH, other] = p[functional_of(who[GRAPH].method), other]
    found: dict[str, Any] = {}
    for place, name in enumerate(columns):
        row = who.get(name)
        found[name] = {
            "method": row.method if row else name,
            "layer": row.layer if row else 0,
            "mean": interval[place],
            "above": {
                other: [*interval[len(columns) + list(above).index((name, other))], p[name, other]]
                for other in AGAINST
                if other != name
            },
        }
    every = {
        name: [values[:, at[last[name]]].mean(), values[:, at[row]].mean(), row.layer]
        for name, row in choice.layers.items()
        if not name.startswith("random ")
    }
    return {"contestants": found, "every method: last layer, best layer, which": every}


def functional_of(method: str) -> str:
    """The functional of a method of the graph, `flow of norms` say."""
    return method.partition(" of ")[0]


def _tested(columns: list[np.ndarray], resamples: int) -> tuple[list[list[float]], list[float]]:
    """Mean and interval of each column, and how likely a mean so far from 0 is by chance."""
    blocks = Blocks()
    for row in np.stack(columns, axis=-1):
        blocks.add(row)
    interval = block_interval(blocks, resamples=resamples)
    means = np.stack([interval.mean, interval.low, interval.high], axis=-1)
    return means.tolist(), sign_flip(blocks, resamples=resamples).tolist()


def signed_means(
    choices: Mapping[Cell, Chosen], rows: Mapping[str, Sequence[Row]], scores: Mapping[str, Scores], texts: slice
) -> tuple[list[str], dict[Cell, np.ndarray]]:
    """Every method's mean at its best layer in each cell, high for faithful: what rankings are made of."""
    names = [name for name in next(iter(choices.values())).layers if not name.startswith("random ")]
    means = {}
    for (setting, protocol), choice in choices.items():
        at = {row: place for place, row in enumerate(rows[setting])}
        places = [at[choice.layers[name]] for name in names]
        means[setting, protocol] = SIGN[protocol] * scores[setting][protocol][texts][:, places].mean(0)
    return names, means


def agreements(
    choices: Mapping[Cell, Chosen], rows: Mapping[str, Sequence[Row]], scores: Mapping[str, Scores]
) -> dict[str, Any]:
    """Spearman's correlation of the rankings of all methods between cells of the table."""
    from scipy.stats import rankdata

    def correlation(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1]) if np.ptp(one) and np.ptp(other) else np.nan

    _, means = signed_means(choices, rows, scores, slice(None))
    halves = [signed_means(choices, rows, scores, slice(start, None, 2))[1] for start in (0, 1)]
    settings, protocols = (list(dict.fromkeys(names)) for names in zip(*choices, strict=True))
    # Special tokens are another question than what stands in a token's place.
    words = [name for name in settings if "special" not in name] or settings
    by_removal = {
        protocol: {
            f"{one} / {other}": correlation(means[one, protocol], means[other, protocol])
            for one, other in combinations(words, 2)
        }
        for protocol in protocols
    }
    special = [(name, kind) for name in settings if (kind := name.split(", ")[0]) != name and kind in settings]
    by_protocol = {
        f"{one} / {other}": np.nanmean([correlation(means[s, one], means[s, other]) for s in words])
        for one, other in combinations(protocols, 2)
    }
    return {
        "methods": len(next(iter(means.values()))),
        "another removal, same protocol": by_removal,
        "special tokens in or out, same protocol": {
            protocol: {one: correlation(means[one, protocol], means[other, protocol]) for one, other in special}
            for protocol in protocols
        },
        "another protocol, same removal": by_protocol,
        "the other half of the texts, same cell": {
            protocol: np.nanmean([correlation(*(half[s, protocol] for half in halves)) for s in words])
            for protocol in protocols
        },
    }


def contestants(record: Mapping[str, Any]) -> list[str]:
    """Who is in a record's table; older ones lack references that came later."""
    cells = next(iter(record["table"].values()))
    return [name for name in next(iter(cells.values()))["contestants"] if name != GRAPH]


def standing(record: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Of each contestant over all cells: mean rank, how often first, and how often clearly above or below another.

    Clearly: the corrected p of the sign-flip test is below .05.
    """
    from scipy.stats import rankdata

    names = contestants(record)
    cells = [
        (sign, record["table"][setting][protocol]["contestants"])
        for setting in record["table"]
        for protocol, sign in SIGN.items()
    ]
    ranks = np.stack([rankdata([-sign * who[name]["mean"][0] for name in names]) for sign, who in cells])
    found = {
        name: {"mean rank": ranks[:, place].mean(), "first": (ranks[:, place] == 1).mean()}
        for place, name in enumerate(names)
    }
    for name in (*names, GRAPH):
        for other in AGAINST:
            # The graph's best has the tests of the functional that it is, which are corrected in every record.
            tests = [
                who[functional_of(who[GRAPH]["method"]) if name == GRAPH else name]["above"][other]
                for _, who in cells
                if other != name
            ]
            clear = [np.sign(mean) for mean, _, _, p in tests if p < CLEAR]
            if tests:
                entry = found.setdefault(name, {})
                entry[f"above {other}"] = clear.count(1) / len(tests)
                entry[f"below {other}"] = clear.count(-1) / len(tests)
    return found


def unchosen(record: Mapping[str, Any]) -> dict[str, float]:
    """Mean rank over all cells of every method at its last layer, best first: nothing is chosen here."""
    from scipy.stats import rankdata

    every = [
        (sign, record["table"][setting][protocol]["every method: last layer, best layer, which"])
        for setting in record["table"]
        for protocol, sign in SIGN.items()
    ]
    names = list(every[0][1])
    ranks = np.mean([rankdata([-sign * each[name][0] for name in names]) for sign, each in every], axis=0)
    return {names[place]: float(ranks[place]) for place in np.argsort(ranks, kind="stable")}


def markdown(record: Mapping[str, Any]) -> str:
    """The best contestant of each cell, the best of the graph against the column sums, and where all stand."""
    settings = record["table"]
    lines = [_row("best; best of the graph above the column sums", *settings), _row(*["---"] * (len(settings) + 1))]
    for protocol, sign in SIGN.items():
        cells = []
        for setting in settings:
            who = settings[setting][protocol]["contestants"]
            best = max((name for name in who if name != GRAPH), key=lambda name: sign * who[name]["mean"][0])
            graph = who[GRAPH]
            above = graph["above"]["column-sums"]
            cells.append(f"{best} {who[best]['mean'][0]:.3f}; {graph['method']}, L{graph['layer']} {above[0]:+.3f}")
        lines.append(_row(protocol, *cells))
    stand = standing(record)
    columns = list(next(iter(stand.values())))
    lines += ["", _row("over all cells", *columns), _row(*["---"] * (len(columns) + 1))]
    for name, each in sorted(stand.items(), key=lambda pair: pair[1].get("mean rank", np.inf)):
        lines.append(_row(name, *(f"{each[column]:.2f}" if column in each else "" for column in columns)))
    ranks = unchosen(record)
    lines += ["", _row(f"last layer, mean rank of {len(ranks)}", "all cells"), _row("---", "---")]
    lines += [_row(name, f"{rank:.1f}") for name, rank in list(ranks.items())[:SHOWN]]
    return "\n".join(lines)


def _row(*entries: str) -> str:
    return f"| {' | '.join(entries)} |"
