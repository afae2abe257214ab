"""What the paper reports of fine-tuning, each as a number with its interval, its test and whether it holds."""

from typing import Any

import numpy as np

from jaxflow.compare import adjusted

LEVEL = 0.05


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a claim.

    It `holds` where the interval lies on the claimed side of 0 and chance is less than one in twenty as far out, after
    correction for the number of claims; `opposite` where the interval lies on the other side, likewise.
    """
    marked, layers = record["marked"], record["layers"]
    top = str(len(layers["jensen_shannon"]))
    rows = []
    for method in ("raw", "rollout", "flow"):
        cell = record["marks"][method][top]
        rows.append(_row(f"{marked} gain relevance at the last layer, {method}", cell["lift change"], 1))
        beside = {**cell["lift change"], "p": cell["alike change"]["p"]}
        beside = {key: value - (cell["alike change"]["mean"] if key != "p" else 0) for key, value in beside.items()}
        rows.append(_row(f"more than others of their kind do, {method}", beside, 1))
    rows.append(_row("deep layers change more than shallow ones", layers["deep_less_shallow"], 1))
    if "syntax" in record:
        apart = record["syntax"]["deep_less_shallow"]
        rows.append(_row("shallow layers follow syntax more than deep ones, after", apart["after"], -1))
        rows.append(_row("fine-tuning changes that difference", apart["change"], 0))
        rows.append(_row("fine-tuning costs arcs of syntax", record["syntax"]["change_all"], -1))
    apart = record["marks_deep_less_shallow"]
    rows.append(_row(f"deep layers look at {marked} more than shallow ones, before", apart["before"], 1))
    rows.append(_row(f"deep layers look at {marked} more than shallow ones, after", apart["after"], 1))
    rows.append(_row("fine-tuning widens that difference", apart["change"], 1))
    rows.append(_row("heads become more focused (entropy falls)", layers["entropy_change_all"], -1))
    corrected = adjusted(np.array([row["p"] for row in rows], float))
    for row, p in zip(rows, corrected, strict=True):
        # Without a test the interval alone decides.
        sure = np.isnan(p) or p < LEVEL
        side = 1 if row["low"] > 0 else (-1 if row["high"] < 0 else 0)
        agrees = side == row["sign"] if row["sign"] else side != 0
        row["p"] = float(p)
        row["verdict"] = ("holds" if agrees else "opposite") if sure and side else "not shown"
    return rows


def _row(claim: str, cell: dict[str, float], sign: int) -> dict[str, Any]:
    return {
        "claim": claim,
        **{key: cell[key] for key in ("mean", "low", "high")},
        "p": cell.get("p", np.nan),
        "sign": sign,
    }
