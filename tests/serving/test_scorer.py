"""Raw rows to probabilities: every kind of table, odd values, and the run's own figures; all without torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from clicks import Finished

import dagfm
from dagfm import metrics
from dagfm.files import MANIFEST, digest
from dagfm.kernel.library import versions


@pytest.fixture(scope="module")
def scorer(finished: Finished) -> dagfm.Scorer:
    return dagfm.load(finished.bundle)


@pytest.fixture(scope="module")
def rows(finished: Finished) -> pl.DataFrame:
    return pl.read_parquet(finished.test_file)


def test_the_scorer_gives_the_runs_own_figures(finished: Finished, scorer: dagfm.Scorer, rows: pl.DataFrame) -> None:
    logits = scorer.logits(rows)
    figures = finished.served["metrics"]["test"]
    assert metrics.auc(rows["click"], logits) == pytest.approx(figures["auc"], abs=1e-6)
    assert metrics.logloss(rows["click"], logits) == pytest.approx(figures["logloss"], abs=1e-6)
    teacher = np.load(finished.run / "teacher_logits" / "test.npy")
    assert metrics.logit_mse(teacher, logits) == pytest.approx(figures["logit_mse"], abs=1e-6)
    assert scorer.card["metrics"] == finished.served["metrics"]


def test_a_scorer_says_what_it_is(scorer: dagfm.Scorer) -> None:
    assert re.fullmatch(r"<dagfm.Scorer student \w+: 6 fields of columns user, .*price.*>", repr(scorer))


def test_every_kind_of_table_scores_alike(scorer: dagfm.Scorer, rows: pl.DataFrame) -> None:
    expected = scorer.predict(rows)
    assert expected.dtype == np.float32
    assert expected.shape == (rows.height,)
    assert ((expected > 0) & (expected < 1)).all()
    dicts = rows.to_dicts()
    given: dict[str, Any] = {
        "lazy": rows.lazy(),
        "pandas": rows.to_pandas(),
        "arrow": rows.to_arrow(),
        "record batch": pa.record_batch(rows.to_arrow().combine_chunks().to_batches()[0]),
        "list of dicts": dicts,
        "dict of columns": rows.to_dict(as_series=False),
        "dict of arrays": {name: rows[name].to_numpy() for name in rows.columns},
        "columns in another order": rows.select(reversed(rows.columns)),
    }  # fmt: skip
    for name, table in given.items():
        assert np.abs(scorer.predict(table) - expected).max() <= 1e-6, name
    one_by_one = np.concatenate([scorer.predict([row]) for row in dicts])
    assert np.abs(one_by_one - expected).max() <= 1e-6
    order = np.random.default_rng(0).permutation(rows.height)
    assert np.abs(scorer.predict(rows[order]) - expected[order]).max() <= 1e-6


def test_rows_beyond_a_chunk_score_alike(scorer: dagfm.Scorer, rows: pl.DataFrame) -> None:
    many = pl.concat([rows] * 20)
    assert np.abs(scorer.predict(many) - np.tile(scorer.predict(rows), 20)).max() <= 1e-6


def test_no_rows_at_all(scorer: dagfm.Scorer, rows: pl.DataFrame) -> None:
    for table in ([], {}, rows[:0]):
        assert scorer.predict(table).shape == (0,)


ROW: dict[str, Any] = {"user": "u1", "group": "x", "item": 3, "tags": "a|b", "price": 1.0, "position": [0.1, 0.2]}


@pytest.mark.parametrize(
    "odd",
    [
        {"user": "nobody"},
        {"user": "nobody", "item": 999, "tags": "z|y|x", "group": "?"},
        {"user": None, "group": None, "item": None, "tags": None, "price": None, "position": None},
        {"user": "", "tags": "", "position": []},
        {"tags": "||"},
        {"item": "3"},
        {"item": 3.0},
        {"price": "1.0"},
        {"price": 10**9},
        {"price": float("nan")},
        {"click": 1, "surplus": {"a": [1]}},
        {"surplus": object()},
    ],
)
def test_odd_values_score(scorer: dagfm.Scorer, odd: dict[str, Any]) -> None:
    (probability,) = scorer.predict([ROW | odd])
    assert 0 <= probability <= 1
    alone, beside = scorer.predict([ROW | odd, ROW])
    assert abs(alone - probability) <= 1e-6
    assert abs(beside - scorer.predict([ROW])[0]) <= 1e-6


def test_values_that_mean_the_same_score_the_same(scorer: dagfm.Scorer) -> None:
    (expected,) = scorer.predict([ROW])
    for same in ({"item": "3"}, {"item": 3.0}, {"tags": ["a", "b"]}, {"price": "1.0"}, {"position": (0.1, 0.2)}):
        assert scorer.predict([ROW | same])[0] == expected


def test_an_unseen_user_scores_as_the_average_one(finished: Finished, scorer: dagfm.Scorer) -> None:
    """The unknown row is the mean of the users' vectors, weighted by how often each was seen."""
    encoder, table = scorer.bundle.encoder, scorer.bundle.arrays["embedding.weight"]
    node = encoder.schema.names.index("user")
    vectors = table[encoder.spans.slice_of(node)]
    counts = encoder.vocabularies["user"].counts.to_numpy()
    assert np.allclose(vectors[0], counts @ vectors[2:] / counts.sum(), atol=1e-5)


@pytest.mark.parametrize("name", list(ROW))
def test_a_missing_field_is_named(scorer: dagfm.Scorer, name: str) -> None:
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(dagfm.InputError, match=f"rows: field '{name}' is missing; columns found"):
        scorer.predict([row])


def test_a_key_that_only_some_rows_lack_is_a_missing_value(scorer: dagfm.Scorer) -> None:
    lacking = {key: value for key, value in ROW.items() if key != "group"}
    _, second = scorer.predict([ROW, lacking])
    assert second == scorer.predict([ROW | {"group": None}])[0]


def test_text_in_a_float_field_names_the_row(scorer: dagfm.Scorer) -> None:
    with pytest.raises(dagfm.InputError, match=r"rows: row 3: .*price.*'dear'"):
        scorer.predict([ROW, ROW, ROW | {"price": "dear"}])
    with pytest.raises(dagfm.InputError, match=r"yesterday: row 1: column 'position' holds 3 numbers, expected 2"):
        scorer.predict([ROW | {"position": [1, 2, 3]}], origin="yesterday")


@pytest.mark.parametrize("rows", [ROW, 5, "text", [5], None])
def test_what_is_no_table_is_refused(scorer: dagfm.Scorer, rows: Any) -> None:
    with pytest.raises(dagfm.InputError, match="rows: "):
        scorer.predict(rows)


def test_a_warm_scorer_scores_the_same(finished: Finished, rows: pl.DataFrame) -> None:
    warm = dagfm.load(finished.bundle)
    warm.warm_up()
    assert np.array_equal(warm.predict(rows), dagfm.load(finished.bundle).predict(rows))


def test_calibration_is_applied(finished: Finished, tmp_path: Path, rows: pl.DataFrame) -> None:
    bundle = dagfm.load(finished.bundle).bundle
    from dataclasses import replace

    from dagfm.serving.scorer import Scorer

    shifted = Scorer(replace(bundle, calibration={"scale": 0.5, "shift": 1.0}))
    logits = shifted.logits(rows).astype(np.float64)
    assert np.allclose(shifted.predict(rows), metrics.sigmoid(0.5 * logits + 1.0), atol=1e-7)


def test_a_run_directory_stands_for_its_bundle(finished: Finished) -> None:
    assert dagfm.load(finished.run).card == dagfm.load(str(finished.bundle)).card


def test_loading_and_scoring_need_neither_torch_nor_pandas(finished: Finished) -> None:
    code = f"""
import sys
for name in ("torch", "pandas", "pyarrow", "yaml", "typer", "rich"):
    sys.modules[name] = None  # importing it raises ImportError
import dagfm
scorer = dagfm.load({str(finished.bundle)!r})
print(float(scorer.predict([{ROW!r}])[0]), *sorted(name for name in sys.modules if name.startswith("dagfm.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    probability, *modules = done.stdout.split()
    assert float(probability) == pytest.approx(float(dagfm.load(finished.bundle).predict([ROW])[0]), abs=1e-7)
    assert {module.split(".")[1] for module in modules} <= {
        "encoding",
        "errors",
        "files",
        "kernel",
        "metrics",
        "schema",
        "serving",
    }


def _copy(finished: Finished, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(finished.bundle, to))


@pytest.mark.parametrize("name", ["weights.safetensors", "calibration.json", "encoder.json", "vocabulary/000.parquet"])
@pytest.mark.parametrize("damage", ["cut", "altered", "missing"])
def test_a_damaged_bundle_is_refused_by_the_files_name(
    finished: Finished, tmp_path: Path, name: str, damage: str
) -> None:
    bundle = _copy(finished, tmp_path / "bundle")
    path, data = bundle / name, (bundle / name).read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-3] if damage == "cut" else data[:-3] + bytes(255 - byte for byte in data[-3:]))
    with pytest.raises(dagfm.InputError) as error:
        dagfm.load(bundle)
    assert str(path) in str(error.value)
    assert "bundle" in str(error.value).replace(str(path), "")


def test_a_bundle_without_indexes_scores_the_same(finished: Finished, tmp_path: Path, rows: pl.DataFrame) -> None:
    """As an earlier dagfm wrote them, or one without the kernel."""
    bundle = _copy(finished, tmp_path / "bundle")
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    indexes = [name for name in files if name.endswith(".index")]
    assert bool(indexes) == bool(versions())
    for name in indexes:
        (bundle / name).unlink()
        del files[name]
    _change_manifest(bundle, files=files)
    found = dagfm.load(bundle).predict(rows)
    assert np.array_equal(found, dagfm.load(finished.bundle).predict(rows))


@pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")
@pytest.mark.parametrize("damage", ["cut", "altered", "emptied"])
def test_a_damaged_index_is_refused_or_reads_nothing_outside(finished: Finished, tmp_path: Path, damage: str) -> None:
    bundle = _copy(finished, tmp_path / "bundle")
    path = bundle / "vocabulary" / "000.index"
    data = path.read_bytes()
    path.write_bytes(data[:-1] if damage == "cut" else b"" if damage == "emptied" else b"\0" + data[1:])
    with pytest.raises(dagfm.InputError, match=r"000\.index"):
        dagfm.load(bundle)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"]["vocabulary/000.index"] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    _change_manifest(
        bundle, files=manifest["files"]
    )  # whoever damaged it vouches for it: its header does not fit either
    with pytest.raises(dagfm.InputError, match=r"000\.index: not an index of tokens"):
        dagfm.load(bundle)


@pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")
def test_an_index_of_nonsense_finds_nothing(finished: Finished, tmp_path: Path) -> None:
    """A large file is not read through at the start: whatever its slots hold, nothing outside of it is read."""
    bundle = _copy(finished, tmp_path / "bundle")
    path = bundle / "vocabulary" / "000.index"
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[64:] = 255
    path.write_bytes(data.tobytes())
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    files["vocabulary/000.index"] = {"bytes": len(data), "sha256": digest(path)}
    _change_manifest(bundle, files=files)
    assert np.isfinite(dagfm.load(bundle).predict([ROW, ROW | {"user": "nobody"}])).all()


def test_large_files_are_read_through_when_asked(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _copy(finished, tmp_path / "bundle")
    path = bundle / "weights.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setattr("dagfm.serving.bundle.LARGE", 100)
    dagfm.load(bundle)
    with pytest.raises(dagfm.InputError, match=r"weights\.safetensors: checksum differs"):
        dagfm.load(bundle, verify=True)


def test_the_table_starts_at_a_cache_line_and_other_readers_read_it(finished: Finished) -> None:
    from safetensors.numpy import load_file

    arrays = dagfm.load(finished.bundle).bundle.arrays
    assert arrays["embedding.weight"].ctypes.data % 64 == 0
    for name, value in load_file(finished.bundle / "weights.safetensors").items():
        assert np.array_equal(arrays[name], value)


def _change_manifest(bundle: Path, **changes: Any) -> None:
    """As somebody with intent would: without the line that vouches for the rest."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["fingerprint of this manifest"]
    (bundle / MANIFEST).write_text(json.dumps(manifest | changes))


def test_a_bundle_of_a_newer_format_is_refused(finished: Finished, tmp_path: Path) -> None:
    bundle = _copy(finished, tmp_path / "bundle")
    _change_manifest(bundle, format=2)
    with pytest.raises(dagfm.InputError, match="bundle format 2, but this dagfm reads up to 1; upgrade dagfm"):
        dagfm.load(bundle)


def test_what_is_no_bundle_is_refused(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(dagfm.InputError, match="not a bundle"):
        dagfm.load(tmp_path)
    with pytest.raises(dagfm.InputError, match=r"nowhere: no such bundle: there is nothing"):
        dagfm.load(tmp_path / "nowhere")
    with pytest.raises(dagfm.InputError, match="expected a bundle, found finished phase"):
        dagfm.load(finished.run / "finetuning" / "student")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "bundle", "format": 1}'])
def test_a_manifest_that_is_something_else_is_refused(finished: Finished, tmp_path: Path, text: str) -> None:
    bundle = _copy(finished, tmp_path / "bundle")
    (bundle / MANIFEST).write_text(text)
    with pytest.raises(dagfm.InputError):
        dagfm.load(bundle)


def test_an_altered_manifest_is_refused(finished: Finished, tmp_path: Path) -> None:
    bundle = _copy(finished, tmp_path / "bundle")
    text = (bundle / MANIFEST).read_text()
    (bundle / MANIFEST).write_text(text.replace('"column": "click"', '"column": "clicks"'))
    assert (bundle / MANIFEST).read_text() != text
    with pytest.raises(dagfm.InputError, match=r"manifest\.json: its text differs"):
        dagfm.load(bundle)


@pytest.mark.parametrize("price", [1e10, 1e30, -1e38, 1e300])
def test_any_finite_number_has_a_probability(finished: Finished, price: float) -> None:
    row = pl.read_parquet(finished.test_file).head(1).to_dicts()[0]
    assert np.isfinite(dagfm.load(finished.bundle).predict([{**row, "price": price}])).all()


def test_arrays_that_do_not_fit_the_network_are_refused(finished: Finished, tmp_path: Path) -> None:
    """Every checksum right, and yet another student's weights."""
    from safetensors.numpy import load_file, save_file

    bundle = _copy(finished, tmp_path / "bundle")
    arrays = load_file(bundle / "weights.safetensors")
    save_file({**arrays, "network.p": arrays["network.p"][:, :-1]}, bundle / "weights.safetensors")
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    path = bundle / "weights.safetensors"
    files["weights.safetensors"] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    _change_manifest(bundle, files=files)
    with pytest.raises(dagfm.InputError, match=r"network\.p has shape .*, expected"):
        dagfm.load(bundle)
