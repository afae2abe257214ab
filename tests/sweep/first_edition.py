"""Folders as the first edition wrote them: everything beside the shards, probabilities as a map."""

import hashlib
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq

from jaxflow.store.record import checked


def rewritten(shard, change):
    """Write a shard's table anew; less the columns of saturated flows, which are of format 5; its sha256."""
    with shard.open("rb") as file:
        table = pq.read_table(file)
    table = change(table.drop([name for name in table.column_names if name.endswith(":saturated")]))
    with shard.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
    return hashlib.sha256(shard.read_bytes()).hexdigest()


def with_settings(manifest, form):
    """A manifest as the first edition wrote it: settings in the place of a question."""
    manifest = {
        name: value for name, value in manifest.items() if name not in ("check", "sweep", "question", "lengths")
    } | {
        "settings": {
            **{name: manifest["question"][name] for name in ("methods", "queries", "layers", "flow")},
            **{name: manifest["question"]["mixing"][name] for name in ("heads", "residual")},
            **manifest["lengths"],
        }
    }
    return manifest | {"format": form}


def last_first_edition(folder):
    """Turn a folder into one as the last version of the first edition wrote it: all but the manifest, and the sweep's
    name in records, is as today."""
    path = folder / "__about__" / "manifest.json"
    fields = with_settings(json.loads(path.read_text("utf-8")), 3)
    path.write_text(json.dumps(checked(fields), indent=1) + "\n", "utf-8")
    for path in folder.glob("__about__/part-*.json"):
        fields = json.loads(path.read_text("utf-8"))
        del fields["check"], fields["sweep"]
        shard = (folder / path.name).with_suffix(".parquet")
        if shard.exists():
            fields["sha256"] = rewritten(shard, lambda table: table)
        path.write_text(json.dumps(checked(fields)) + "\n", "utf-8")


def with_maps(table):
    """A table whose probabilities are maps."""
    place = table.column_names.index("probabilities")
    cells = table["probabilities"].to_pylist()
    pairs = [cell and [(pair["label"], pair["probability"]) for pair in cell] for cell in cells]
    return table.set_column(place, "probabilities", pa.array(pairs, pa.map_(pa.string(), pa.float64())))


def first_edition(folder):
    """Turn a folder into one as the first edition wrote it."""
    about = folder / "__about__"
    for path in about.glob("part-*.json"):
        fields = json.loads(path.read_text("utf-8"))
        del fields["check"], fields["sweep"]
        shard = (folder / path.name).with_suffix(".parquet")
        if shard.exists():
            fields["sha256"] = rewritten(shard, with_maps)
        check = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
        (folder / path.name).write_text(json.dumps(fields | {"check": check}) + "\n", "utf-8")
    manifest = json.loads((about / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(json.dumps(with_settings(manifest, 2), indent=1) + "\n", "utf-8")
    shutil.rmtree(about)
