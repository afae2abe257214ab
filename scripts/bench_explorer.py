"""How long the explorer's page takes to open and to answer, in headless Chromium.

usage: python scripts/bench_explorer.py [--texts 100] [--layers 12] [--heads 12] [--tokens 40] [--single] [--out FILE]
The texts are made up, and attention is drawn at random, about as peaked as a trained model's. Times are medians in
milliseconds: `answered`, from a choice until the browser has painted what follows from it in all views that are in
sight, and `all views`, until those out of sight are drawn too. Other programs on the machine make both longer; beside
them stands `processor`, the time until the answer that all processes and threads of the browser computed, together
(Linux), which is what the answer takes where one core does nothing else.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

from jaxflow.pages.explore import Exploration, Side
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.units import Pooled

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PAINTED = """async changes => {
  const start = performance.now();
  await jaxflow.set(changes);
  await new Promise(seen => requestAnimationFrame(() => setTimeout(seen)));
  return performance.now() - start;
}"""
LOOP = "(() => { let sum = 0; for (let i = 0; i < 1e8; i += 1) sum += i * 0.5; return sum; })()"
CHOICES = [
    {"sentence": 1},
    {"sentence": 50},
    {"position": 5},
    {"word": 7},
    {"trace": "both"},
    {"strength": "flow"},
    {"strength": "attention"},
    {"trace": "all"},
    {"threshold": 0.02},
    {"threshold": None},
    {"heads": "3.1_3.2_12.5"},
    {"head": 4},
    {"layer": 3},
    {"measure": "entropy"},
    {"measure": "to the word"},
    {"map": "layers"},
    {"method": "raw"},
    {"from": 3},
    {"models": "diff"},
    {"view": "rings"},
    {"view": ""},
    {"theme": "dark"},
    {"search": "word7"},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("texts", 100), ("layers", 12), ("heads", 12), ("tokens", 40)):
        _ = parser.add_argument(f"--{name}", type=int, default=value)
    _ = parser.add_argument("--single", action="store_true", help="one model, not two")
    _ = parser.add_argument("--rounds", type=int, default=3, help="how often all is asked; the medians count")
    _ = parser.add_argument("--out", type=Path, help="a JSON file")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = made_up(chosen.texts, (chosen.layers, chosen.heads, chosen.tokens), 1 if chosen.single else 2)
        path = write_explorer(found, Path(folder) / "explorer.html")
        print(f"{path.stat().st_size / 1e6:.1f} MB")
        taken = measure(path, single=chosen.single, rounds=chosen.rounds)
    if chosen.out is not None:
        settings = {name: getattr(chosen, name) for name in ("texts", "layers", "heads", "tokens", "single", "rounds")}
        _ = chosen.out.write_text(
            json.dumps({**provenance("numpy", "playwright"), "settings": settings, **taken}, indent=1) + "\n", "utf-8"
        )


def made_up(texts: int, shape: tuple[int, int, int], models: int) -> Exploration:
    rng = np.random.default_rng(0)
    layers, heads, tokens = shape
    sides = []
    for number in range(models):
        examples, attention = [], []
        for _ in range(texts):
            scores = np.exp(rng.gumbel(size=(layers, heads, tokens, tokens)) * 1.5)
            weights = (scores / scores.sum(-1, keepdims=True)).astype(np.float32)
            attention.append(weights)
            examples.append(made_up_example(weights, rng))
        sides.append(Side(f"model {number + 1}", tuple(examples), tuple(attention), (None,) * texts))
    change = tuple(rng.random((layers, heads)).astype(np.float32) for _ in range(texts)) if models == 2 else ()
    settings = {"heads": "mean", "residual": 0.5, "flow": "auto"}
    return Exploration(tuple(sides), (None,) * texts, settings, change, tuple(rng.random(texts)), texts)


def made_up_example(weights: np.ndarray, rng: np.random.Generator) -> Pooled:
    layers, _, tokens, _ = weights.shape
    names = [f"word{number}" for number in rng.integers(1000, size=tokens - 2)]
    text, offsets = "", [(-1, -1)]
    for name in names:
        offsets.append((len(text), len(text) + len(name)))
        text += f"{name} "
    raw = weights.mean(1)
    mixing = 0.5 * np.eye(tokens) + 0.5 * raw
    rollout = np.stack([np.linalg.multi_dot([*mixing[: layer + 1][::-1], np.eye(tokens)]) for layer in range(layers)])
    every = np.arange(tokens)
    return Pooled(
        text=text.strip(),
        pair=None,
        tokens=("[CLS]", *names, "[SEP]"),
        offsets=(*offsets, (-1, -1)),
        source=(-1, *(0 for _ in names), -1),
        relevance={"raw": raw, "rollout": rollout, "flow": np.sqrt(rollout)},
        queries=dict.fromkeys(("raw", "rollout", "flow"), every),
        certified=1.0,
        saturated={"flow": np.zeros(rollout.shape, bool)},
        prediction=str(rng.integers(2)),
        scores={"0": 0.3, "1": 0.7},
    )


def measure(path: Path, *, single: bool, rounds: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        session = page.context.new_cdp_session(page)
        _ = session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def computed() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

        start = time.perf_counter()
        _ = page.goto(path.as_uri(), wait_until="commit")
        while not page.evaluate("Boolean(window.jaxflow?.context())"):
            time.sleep(0.01)
        opened = 1000 * (time.perf_counter() - start)
        page.wait_for_load_state("load")
        read = 1000 * (time.perf_counter() - start)
        print(f"open: {opened:.0f}; all of it read: {read:.0f}, computed {computed():.0f}")
        before = computed()
        _ = page.evaluate(LOOP)
        loop = computed() - before
        print(f"for comparison, a loop of 100 million additions: computed {loop:.0f}")
        choices = [changes for changes in CHOICES if not (single and "models" in changes)]
        processes = browser_processes()
        found: list[list[tuple[float, float, float]]] = [[] for _ in choices]
        for number in range(rounds):
            # The first round goes on from a page that was just opened; the others from the same as at first.
            if number:
                _ = page.evaluate("jaxflow.set({ ...jaxflow.first }).then(jaxflow.settled)")
            for changes, taken in zip(choices, found, strict=True):
                # What is put off to quiet moments, such as the address, is no part of the answer.
                time.sleep(0.3)
                before, start = processor_time(processes), time.perf_counter()
                answered = page.evaluate(PAINTED, changes)
                spent = processor_time(processes) - before
                _ = page.evaluate("jaxflow.settled()")
                taken.append((answered, 1000 * (time.perf_counter() - start), spent))
        version = browser.version
        browser.close()
    rows = {}
    for changes, taken in zip(choices, found, strict=True):
        name = ", ".join(f"{key} {value}" for key, value in changes.items())
        medians = [round(statistics.median(each)) for each in zip(*taken, strict=True)]
        rows[name] = dict(zip(("answered", "all views", "processor"), medians, strict=True))
        print(f"{name}: {rows[name]}")
    slowest = {key: max(row[key] for row in rows.values()) for key in ("answered", "all views", "processor")}
    print(f"slowest: {slowest}")
    figures = {"open": round(opened), "all read": round(read), "loop of 1e8 additions": round(loop)}
    return {"milliseconds": figures, "choices": rows, "slowest": slowest, "chromium": version}


def browser_processes() -> list[Path]:
    """The processes below this one that are the browser's."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [os.getpid()]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    folders = [Path("/proc") / str(process) for process in found[1:]]
    return [folder for folder in folders if b"chrom" in (folder / "cmdline").read_bytes()]


def processor_time(processes: list[Path]) -> float:
    """Milliseconds that all their threads have run; 0 where the system does not say."""
    total = 0
    for process in processes:
        for task in process.glob("task/*/schedstat"):
            with suppress(OSError):
                total += int(task.read_text().split()[0])
    return total / 1e6


if __name__ == "__main__":
    main()
