"""A bundle with smaller weights: what it holds, what is measured, what is refused, and that patches take it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clicks import Finished, Silent, click_log, small_config

import dagfm
from dagfm.encoding.rows import Float32
from dagfm.files import MANIFEST, digest
from dagfm.metrics import auc, logloss
from dagfm.run.held_back import held_back
from dagfm.serving import patches
from dagfm.serving.bundle import Bundle, read_bundle, sizes, write_bundle
from dagfm.serving.comparison import Sample, compared, measured
from dagfm.serving.drawn import drawn
from dagfm.serving.golden import check_golden
from dagfm.serving.quantised import expanded
from dagfm.serving.scorer import Scorer
from dagfm.serving.smaller import export, narrowed


@pytest.fixture(scope="module")
def sample(finished: Finished) -> Sample:
    found = held_back(finished.bundle, dagfm.load(finished.bundle).bundle.encoder)
    assert found is not None
    return found


def names(bundle: Path) -> set[str]:
    return {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
@pytest.mark.parametrize("embedding_only", [False, True])
def test_weights_are_of_the_kind(
    finished: Finished, sample: Sample, tmp_path: Path, kind: str, embedding_only: bool
) -> None:
    new = tmp_path / "small"
    done = export(finished.run, new, kind, embedding_only=embedding_only, sample=sample, allowed=0.05)
    arrays, whole = read_bundle(new, verify=True).arrays, read_bundle(finished.bundle)
    matrices = "float32" if embedding_only or kind == "float32" else "float16"
    for name, array in arrays.items():
        of = {"embedding.weight": kind, "embedding.scales": "float16", "network.head.bias": "float32"}
        assert array.dtype == of.get(name, matrices if array.ndim > 1 else "float32"), name
    assert done.sizes[1] == sizes(new)
    assert done.sizes[1]["embedding"] == {"float32": 4, "float16": 2, "int8": 1}[kind] * whole.table.rows.size + (
        2 * len(whole.table) if kind == "int8" else 0
    )
    assert names(new) == {name for name in names(finished.bundle) if not name.endswith(".index")}
    assert check_golden(dagfm.load(new)) is not None, "it has golden rows of its own"
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_it_is_written_the_same_each_time(finished: Finished, sample: Sample, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(finished.bundle, tmp_path / name, "int8", sample=sample, allowed=0.05)
    assert digest(tmp_path / "a" / MANIFEST) == digest(tmp_path / "b" / MANIFEST)


def test_the_card_says_what_was_measured(finished: Finished, sample: Sample, tmp_path: Path) -> None:
    done = export(finished.bundle, tmp_path / "small", "int8", sample=sample, allowed=0.05)
    card = dagfm.load(tmp_path / "small").card
    told = card["weights"]
    assert (told["kind"], told["embedding_only"]) == ("int8", False)
    assert told["bundle"] == digest(finished.bundle / MANIFEST)
    assert told["measured"] == done.comparison.told()
    assert told["measured"]["on"] == "test rows of the run"
    rows = pl.read_parquet(finished.test_file)
    for when, path in (("before", finished.bundle), ("after", tmp_path / "small")):
        logits = dagfm.load(path).served_logits(rows)
        assert told["measured"][when]["auc"] == pytest.approx(auc(rows["click"], logits), abs=1e-9)
        assert told["measured"][when]["logloss"] == pytest.approx(logloss(rows["click"], logits), abs=1e-7)
    assert {key: card[key] for key in card if key != "weights"} == dict(dagfm.load(finished.bundle).card)


def test_a_loss_is_refused_and_nothing_is_written(finished: Finished, sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    reversed_ = Sample(sample.what, sample.rows, 1 - sample.labels)
    loss = max(_loss(finished, one) for one in (sample, reversed_))
    worse = sample if _loss(finished, sample) == loss else reversed_
    assert loss > 0, "of a sample and its opposite one loses"
    with pytest.raises(dagfm.DagfmError, match="Nothing was written") as refused:
        export(finished.bundle, tmp_path / "empty", "int8", sample=worse, allowed=loss / 2)
    assert not isinstance(refused.value, dagfm.InputError)
    assert "500 test rows of the run AUC goes from" in str(refused.value)
    assert not any((tmp_path / "empty").iterdir())
    export(finished.bundle, tmp_path / "empty", "int8", sample=worse, allowed=loss)


def _loss(finished: Finished, sample: Sample) -> float:
    before = dagfm.load(finished.bundle)
    found = measured(before, Scorer(narrowed(before.bundle, "int8")), sample).measured
    assert found is not None
    return found.loss


def test_figures_that_are_no_numbers_are_a_loss(finished: Finished, sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(dagfm.DagfmError, match="allowed is nan"):
        export(finished.bundle, tmp_path / "small", "float16", sample=sample, allowed=float("nan"))


def test_without_labels_scores_are_compared(finished: Finished, tmp_path: Path) -> None:
    done = export(finished.bundle, tmp_path / "small", "int8")
    assert done.comparison.measured is None
    before, after = (dagfm.load(path) for path in (finished.bundle, tmp_path / "small"))
    rows = drawn(before.bundle, 300)
    found = compared(before, after, rows)
    apart = np.abs(before.served_encoded(rows) - after.served_encoded(rows))
    assert 0 < found.mean < found.largest <= apart.max()
    assert dagfm.load(tmp_path / "small").card["weights"]["measured"]["on"] is None


def test_what_is_small_is_not_made_smaller_but_may_be_widened(finished: Finished, tmp_path: Path) -> None:
    export(finished.bundle, tmp_path / "int8", "int8")
    for kind in ("int8", "float16"):
        with pytest.raises(dagfm.InputError, match=f"are int8 already; make {kind} ones from the float32 bundle"):
            export(tmp_path / "int8", tmp_path / "again", kind)
    done = export(tmp_path / "int8", tmp_path / "wide", "float32")
    assert done.comparison.largest == 0
    wide, small = (read_bundle(tmp_path / name) for name in ("wide", "int8"))
    assert np.array_equal(wide.arrays["embedding.weight"], expanded(small.table))
    assert "embedding.scales" not in wide.arrays
    assert wide.card["weights"]["weights"] == small.card["weights"], "that it was smaller stays known"


def test_what_must_not_be_replaced(finished: Finished, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    with pytest.raises(dagfm.InputError, match="is the bundle itself"):
        export(bundle, tmp_path / "." / "bundle", "int8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(dagfm.InputError, match="is there and is no bundle"):
        export(bundle, tmp_path / "mine", "int8")
    with pytest.raises(dagfm.InputError, match="expected float32, float16, int8"):
        export(bundle, tmp_path / "new", "int4")
    path = bundle / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(dagfm.InputError, match="checksum differs"):
        export(bundle, tmp_path / "new", "int8")
    assert {one.name for one in tmp_path.iterdir()} == {"bundle", "mine"}


def test_patches_go_between_bundles_of_one_kind(finished: Finished, tmp_path: Path) -> None:
    whole = read_bundle(finished.bundle)
    newer = _moved(whole)
    for name, kind in (("int8", "int8"), ("float16", "float16")):
        for when, bundle in (("old", whole), ("new", newer)):
            place = tmp_path / f"{name}-{when}"
            write_bundle(place, narrowed(bundle, kind))
        patches.make(tmp_path / f"{name}-old", tmp_path / f"{name}-new", tmp_path / "p")
        patches.apply(tmp_path / f"{name}-old", tmp_path / "p", tmp_path / "result")
        assert digest(tmp_path / "result" / MANIFEST) == digest(tmp_path / f"{name}-new" / MANIFEST)
    with pytest.raises(dagfm.InputError, match="one kind of weights: export both with the same --weights"):
        patches.make(tmp_path / "int8-old", tmp_path / "float16-new", tmp_path / "none")
    with pytest.raises(dagfm.InputError, match=r"'embedding\.weight' is float32 there and int8 here"):
        patches.make(finished.bundle, tmp_path / "int8-new", tmp_path / "none")


def _moved(bundle: Bundle) -> Bundle:
    table = np.array(bundle.arrays["embedding.weight"])
    table[::7] *= np.float32(1.3)
    return replace(bundle, arrays={**bundle.arrays, "embedding.weight": table})


# The rows of a run --------------------------------------------------------------------------------------------------


def test_the_run_lends_its_test_rows(finished: Finished, sample: Sample) -> None:
    rows = pl.read_parquet(finished.test_file)
    assert sample.what == "test rows of the run"
    assert sample.labels.tolist() == rows["click"].to_list()
    scorer = dagfm.load(finished.bundle)
    assert np.abs(scorer.served_encoded(sample.rows) - scorer.served_logits(rows)).max() <= 1e-6


def test_without_a_run_there_are_none(finished: Finished, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="dagfm")
    encoder = dagfm.load(finished.bundle).bundle.encoder
    alone = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    assert held_back(alone, encoder) is None
    assert "lies in no run" in caplog.text
    gone = Path(shutil.copytree(finished.run, tmp_path / "run"))
    told = json.loads((gone / "prepared.json").read_text())
    (gone / "prepared.json").write_text(json.dumps({**told, "directory": str(tmp_path / "nowhere")}))
    assert held_back(gone / "bundle", encoder) is None
    assert "are gone" in caplog.text
    (gone / "prepared.json").write_text(json.dumps({**told, "content": "of another log"}))
    assert held_back(gone / "bundle", encoder) is None
    assert "are of another fit" in caplog.text


def test_sampled_rows_hidden_fields_and_weights(folder: Path) -> None:
    """What the bundle of such a run serves is judged as the run judges it."""
    log = click_log(1500).with_columns(weight=pl.Series(np.linspace(0.5, 2, 1500)), after=pl.col("click") * 2)
    log.write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["data"] |= {"weight": "weight", "negatives": {"keep": 0.5}}
    config["fields"].append({"name": "after"})
    config["teacher"]["extra_fields"] = ["after"]
    run = dagfm.fit(config, "run", progress=Silent())
    scorer = run.scorer()
    found = held_back(run.bundle, scorer.bundle.encoder)
    assert found is not None
    assert found.weights is not None
    served = scorer.card["metrics"]["test"]
    logits: Float32 = scorer.served_encoded(found.rows)
    assert auc(found.labels, logits, found.weights) == pytest.approx(served["auc"], abs=1e-6)
    assert logloss(found.labels, logits, found.weights) == pytest.approx(served["logloss"], abs=1e-6)
