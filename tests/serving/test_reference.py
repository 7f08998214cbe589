"""What a bundle says of the rows it was made on: right on rows made by hand, and counted alike later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Finished, Silent, click_log, small_config
from oracle import fitted

import dagfm
from dagfm.data.dataset import Prepared
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.frames import to_frame
from dagfm.files import MANIFEST, digest
from dagfm.schema import Field, Schema
from dagfm.serving import patches
from dagfm.serving.bundle import read_bundle
from dagfm.serving.reference import NUMBERS, SCORES, TOP, WIDEST, Numbers, Reference, Values, reference_of, tally


def made(
    fields: list[dict[str, Any]], training: pl.DataFrame, rows: Any, scores: Any = None, weights: Any = None
) -> tuple[Encoder, Reference]:
    """An encoder of ``training`` rows, and the distributions of other rows."""
    encoder = fitted(Schema(fields=tuple(Field(**one) for one in fields)), training)
    encoded = encoder.encode(to_frame(rows))
    given = np.linspace(0, 1, len(encoded), dtype=np.float32) if scores is None else np.array(scores, np.float32)
    return encoder, reference_of(encoder, encoded, given, weights)


KNOWN = pl.DataFrame({"a": ["x"] * 5 + ["y"] * 3 + ["z"] * 2})


def test_shares_of_values_unknown_and_missing() -> None:
    rows = {"a": ["x"] * 6 + ["z"] * 3 + ["y"] * 1 + ["new"] * 8 + [None] * 2}
    _, found = made([{"name": "a"}], KNOWN, rows)
    assert found.rows == 20
    values = found.fields["a"]
    assert values == Values(
        cells=20, unknown=0.4, missing=0.1, rest=0.0, rows=(2, 4, 3), names=("x", "z", "y"), top=(0.3, 0.15, 0.05)
    )


def test_rows_count_for_what_they_weigh() -> None:
    _, found = made([{"name": "a"}], KNOWN, {"a": ["x", "y", "new", None]}, weights=np.array([1.0, 5.0, 2.0, 2.0]))
    values = found.fields["a"]
    assert isinstance(values, Values)
    assert values.names == ("y", "x")
    assert values.shares == (0.2, 0.2, 0.0, 0.5, 0.1)
    assert sum(found.scores.shares) == pytest.approx(1)
    assert max(found.scores.bins) == 0.5


def test_rare_values_are_one() -> None:
    tokens = [f"t{index}" for index in range(50) for _ in range(100 - index)]
    _, found = made([{"name": "a"}], pl.DataFrame({"a": tokens}), {"a": tokens})
    values = found.fields["a"]
    assert isinstance(values, Values)
    assert values.names == tuple(f"t{index}" for index in range(TOP))
    assert values.rest == pytest.approx(sum(100 - index for index in range(TOP, 50)) / len(tokens))
    assert sum(values.shares) == pytest.approx(1)


def test_values_of_sequences_count_each() -> None:
    fields = [{"name": "tags", "type": "token_seq", "separator": "|"}]
    _, found = made(fields, pl.DataFrame({"tags": ["a|b", "a"]}), {"tags": ["a|b|new", "", "a"]}, weights=np.ones(3))
    values = found.fields["tags"]
    assert isinstance(values, Values)
    assert values.cells == 5
    assert dict(zip(values.names, values.top, strict=True)) == {"a": 0.4, "b": 0.2}
    assert (values.unknown, values.missing) == (0.2, 0.2)


def test_quantiles_of_numbers() -> None:
    training = pl.DataFrame({"n": [0.0, 10.0]})  # mean 5, standard deviation 5
    rows = {"n": [*map(float, range(1, 101)), *([None] * 25)]}
    _, found = made([{"name": "n", "type": "float"}], training, rows)
    (numbers,) = found.fields["n"]
    assert isinstance(numbers, Numbers)
    assert np.array(numbers.edges) * 5 + 5 == pytest.approx(np.arange(10, 100, 10))
    assert numbers.missing == 0.2
    assert numbers.bins == pytest.approx([0.08] * NUMBERS)


def test_numbers_that_are_all_alike_and_none_at_all() -> None:
    fields = [{"name": "n", "type": "float"}, {"name": "m", "type": "float"}]
    _, found = made(
        fields, pl.DataFrame({"n": [1.0, 2.0], "m": [1.0, 2.0]}), {"n": [3.0] * 4, "m": [None] * 4}, [0.5] * 4
    )
    ((same,), (none,)) = found.fields["n"], found.fields["m"]
    assert isinstance(same, Numbers)
    assert isinstance(none, Numbers)
    assert (len(same.edges), same.bins) == (1, (1.0, 0.0))
    assert (none.edges, none.bins, none.missing) == ((), (0.0,), 1.0)
    assert found.scores.edges == pytest.approx((0.5,), rel=1e-5)
    assert found.scores.bins == (1.0, 0.0)


def test_several_numbers_have_bins_each() -> None:
    wide = [[float(index * row) for index in range(30)] for row in range(40)]
    fields = [{"name": "v", "type": "float_seq", "size": 30}]
    _, found = made(fields, pl.DataFrame({"v": wide}), {"v": wide})
    parts = found.fields["v"]
    assert isinstance(parts, tuple)
    assert len(parts) == WIDEST
    assert len(parts[0].edges) == 1
    assert len(parts[5].edges) == NUMBERS - 1


def test_names_of_what_has_no_token() -> None:
    fields = [
        {"name": "a"},
        {"name": "h", "column": "a", "hash": 5},
        {"name": "c", "cross": ["a", "b"]},
        {"name": "b", "type": "float", "encode": "quantile", "bins": 2},
    ]
    rows = pl.DataFrame({"a": ["x", "y"] * 10, "b": [1.0, 2.0] * 10})
    _, found = made(fields, rows, rows)
    names = {name: values.names for name, values in found.fields.items() if isinstance(values, Values)}
    assert all(name.startswith("row ") for name in (*names["h"], *names["c"]))
    assert all(".." in name for name in names["b"])
    long = pl.DataFrame({"a": ["x" * 5000]})
    _, found = made([{"name": "a"}], long, long)
    values = found.fields["a"]
    assert isinstance(values, Values)
    assert len(values.names[0]) == 100


def test_what_was_counted_is_counted_again(finished: Finished) -> None:
    """The same rows give the shares that the bundle has, and so do any other rows that are the same in shares."""
    scorer = dagfm.load(finished.bundle)
    reference = scorer.bundle.reference
    assert reference is not None
    rows = pl.read_parquet(finished.folder / "valid.parquet")
    assert reference.rows == rows.height
    encoded = scorer.encode(rows)
    counts = reference.split(tally(reference, scorer.schema, encoded, scorer.predict(rows)))
    for (name, part), found in zip(reference.parts(), counts, strict=True):
        assert found.sum() == part.cells, name
        assert found / found.sum() == pytest.approx(
            np.array(part.shares), abs=3 / rows.height if name is None else 1e-8
        )
    assert len(reference.scores.bins) == SCORES
    user = reference.fields["user"]
    assert isinstance(user, Values)
    top = rows["user"].value_counts(sort=True).head(1)
    assert user.names[0] in rows["user"].to_list()
    assert user.top[0] == pytest.approx(top["count"][0] / rows.height)
    group = reference.fields["group"]
    assert isinstance(group, Values)
    assert group.missing == pytest.approx(rows["group"].null_count() / rows.height)


def test_sampled_non_clicks_count_for_those_that_were_left_out(folder: Path) -> None:
    click_log(900).with_columns(amount=pl.lit(1.0)).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["data"] |= {"negatives": {"already_kept": 0.25}, "weight": "amount"}
    run = dagfm.fit(config, "run", progress=Silent())
    reference = run.scorer().bundle.reference
    assert reference is not None
    prepared = Prepared.open(Path(json.loads((run.directory / "prepared.json").read_text())["directory"])).valid
    amounts = prepared.labels + (1 - prepared.labels) * 4
    missing = amounts[prepared.rows.tokens[:, 1] == 1].sum() / amounts.sum()
    group = reference.fields["group"]
    assert isinstance(group, Values)
    assert group.missing == pytest.approx(missing)


def test_it_is_made_the_same_each_time(finished: Finished) -> None:
    scorer = dagfm.load(finished.bundle)
    rows = pl.read_parquet(finished.folder / "valid.parquet")
    once, again = (reference_of(scorer.bundle.encoder, scorer.encode(rows), scorer.predict(rows)) for _ in "ab")
    assert once.model_dump_json() == again.model_dump_json()
    assert Reference.model_validate_json(once.model_dump_json()) == once


def test_a_bundle_of_an_earlier_dagfm_has_none(finished: Finished, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    (bundle / "reference.json").unlink()
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["fingerprint of this manifest"], manifest["files"]["reference.json"]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    assert read_bundle(bundle).reference is None
    rows = pl.read_parquet(finished.test_file)
    assert (dagfm.load(bundle).predict(rows) == dagfm.load(finished.bundle).predict(rows)).all()
    for old, new in ((bundle, finished.bundle), (finished.bundle, bundle)):
        patches.make(old, new, tmp_path / "p")
        patches.apply(old, tmp_path / "p", tmp_path / "result")
        assert digest(tmp_path / "result" / MANIFEST) == digest(new / MANIFEST)
        assert read_bundle(tmp_path / "result").reference == read_bundle(new).reference


@pytest.mark.parametrize(
    "text", ["{}", "[]", "{", '{"rows": 5}', "bins"], ids=["empty", "list", "cut", "other", "bins"]
)
def test_damage_is_told(finished: Finished, tmp_path: Path, text: str) -> None:
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    path = bundle / "reference.json"
    with pytest.raises(dagfm.InputError, match=r"reference\.json"):
        path.write_text(text)
        dagfm.load(bundle)
    if text == "bins":
        whole = json.loads((finished.bundle / "reference.json").read_text())
        whole["scores"]["bins"].pop()
        text = json.dumps(whole)
        path.write_text(text)
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["fingerprint of this manifest"]
    manifest["files"]["reference.json"] = {"bytes": len(text), "sha256": digest(path)}
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(dagfm.InputError, match=r"reference\.json: .*the file is damaged"):
        dagfm.load(bundle)
