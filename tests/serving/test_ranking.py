"""``rank`` against ``predict`` on the same rows: over random schemas and networks, and through a run's bundle."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clicks import FIELDS, Finished, click_log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scorers import LOG, MORE, scorer_of

import dagfm
from dagfm.kernel.library import versions
from dagfm.serving.bundle import write_bundle
from dagfm.serving.ranking import why_not
from dagfm.serving.scorer import Scorer


def check(scorer: Scorer, contexts: pl.DataFrame, candidates: pl.DataFrame) -> None:
    """``rank`` of every form against ``predict`` on the joined rows."""
    expected = []
    for row in range(contexts.height):
        whole = candidates.drop(set(context_columns(scorer)) - set(candidate_columns(scorer)), strict=False)
        one = contexts[np.full(candidates.height, row)].drop(whole.columns, strict=False)
        expected.append(scorer.predict(whole.hstack(one)))
    found = scorer.rank(contexts, candidates)
    assert found.indices.shape == found.scores.shape == (contexts.height, candidates.height)
    for row, scores in enumerate(expected):
        assert sorted(found.indices[row].tolist()) == list(range(candidates.height))
        np.testing.assert_allclose(found.scores[row], scores[found.indices[row]], rtol=1e-5, atol=1e-6)
        assert (np.diff(found.scores[row]) <= 0).all()


def context_columns(scorer: Scorer) -> list[str]:
    return [one.source for one in scorer.schema if one.cross is None and one.side == "context"]


def candidate_columns(scorer: Scorer) -> list[str]:
    return [one.source for one in scorer.schema if one.cross is None and one.side == "candidate"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(st.sampled_from([one["name"] for one in [*FIELDS, *MORE]]), min_size=2),
    sides=st.sets(st.sampled_from([one["name"] for one in FIELDS])),
    connect=st.sampled_from(["none", "causal", "full"]),
    message=st.sampled_from(["inner", "outer"]),
    first_order=st.booleans(),
    start=st.integers(0, 300),
)
def test_ranking_gives_the_numbers_of_predict(
    names: set[str], sides: set[str], connect: str, message: str, first_order: bool, start: int
) -> None:
    options = {"first_order": True} if first_order else {}
    scorer = scorer_of(names, sides, connect, message, **options)
    if not 0 < scorer.schema.context_size < len(scorer.schema):
        with pytest.raises(dagfm.InputError, match="rank needs fields of both sides"):
            scorer.rank(LOG[:1], LOG[:3])
        return
    check(scorer, LOG[start : start + 3], LOG[start + 3 : start + 20])


SCORER_FIELDS = {"user", "group", "item", "tags", "price", "position"}
CANDIDATE = {"item", "tags", "price", "position"}


@pytest.fixture(params=["none", "full"], ids=["kept", "whole rows"])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return scorer_of(SCORER_FIELDS, CANDIDATE, request.param)


def test_handles_dicts_and_tables_rank_alike(scorer: Scorer) -> None:
    rows = LOG[:50]
    context = {name: rows[name][0] for name in ("user", "group")}
    expected = scorer.rank(context, rows)
    handles = scorer.context(context), scorer.candidates(rows)
    assert len(handles[1]) == 50
    dicts = rows.select("item", "tags", "price", "position").to_dicts()
    for form in ((context, handles[1]), (handles[0], dicts), handles, (rows[:1], rows.to_pandas()), ([context], rows)):
        found = scorer.rank(*form)
        assert found.indices.dtype == np.int64
        assert found.scores.dtype == np.float32
        assert np.array_equal(np.ravel(found.indices), expected.indices)
        np.testing.assert_allclose(np.ravel(found.scores), expected.scores, atol=1e-6)


def test_top_are_the_first_of_all(scorer: Scorer) -> None:
    twice = pl.concat([LOG[:60], LOG[:60]])  # every score twice: the earlier comes first
    context = {"user": "u1", "group": "x"}
    whole = scorer.rank(context, twice)
    assert (np.diff(whole.indices.reshape(-1, 2), axis=1) > 0).all()
    for top in (0, 1, 2, 3, 25, 119, 120, 500):
        found = scorer.rank(context, twice, top)
        assert np.array_equal(found.indices, whole.indices[:top])
        assert np.array_equal(found.scores, whole.scores[:top])
    for bad in (-1, -7, 1.5, True):
        with pytest.raises(dagfm.InputError, match="expected a whole number, 0 or more"):
            scorer.rank(context, twice, bad)


def test_handles_tell_how_many_they_hold(scorer: Scorer) -> None:
    handles = scorer.context(LOG[:3]), scorer.context({"user": "u1", "group": "x"}), scorer.candidates(LOG[:2])
    assert list(map(repr, handles)) == ["<3 contexts>", "<1 context>", "<2 candidates>"]


def test_no_candidates_and_no_contexts(scorer: Scorer) -> None:
    context = {"user": "u1", "group": "x"}
    assert scorer.rank(context, []).indices.shape == (0,)
    assert scorer.rank(context, LOG[:0], top=3).scores.shape == (0,)
    assert scorer.rank(LOG[:0], LOG[:5]).indices.shape == (0, 5)


def test_a_missing_column_is_named_and_the_other_sides_are_not_needed(scorer: Scorer) -> None:
    with pytest.raises(dagfm.InputError, match="context: field 'group' is missing"):
        scorer.rank({"user": "u1"}, LOG[:3])
    with pytest.raises(dagfm.InputError, match="context: column 'user' is missing"):
        scorer.rank({}, LOG[:3])
    with pytest.raises(dagfm.InputError, match="candidates: field 'item' is missing"):
        scorer.rank({"user": "u1", "group": "x"}, LOG[:3].select("user", "group", "tags", "price", "position"))
    with pytest.raises(dagfm.InputError, match=r"candidates: row 2: column 'price'"):
        scorer.candidates([{"item": 1, "tags": "", "price": price, "position": None} for price in (1, "dear")])


def test_handles_of_another_scorer_are_refused(scorer: Scorer) -> None:
    other = scorer_of(SCORER_FIELDS, CANDIDATE, "none")
    context = {"user": "u1", "group": "x"}
    with pytest.raises(dagfm.InputError, match="the candidates are another scorer's"):
        scorer.rank(context, other.candidates(LOG[:3]))
    with pytest.raises(dagfm.InputError, match="the context is another scorer's"):
        scorer.rank(other.context(context), LOG[:3])


def test_what_is_slower_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    reasons = {
        "connect is full": scorer_of(SCORER_FIELDS, CANDIDATE, "full"),
        "is made": scorer_of({"user x item"}, {"item"}, "none"),
        "both sides is the column": scorer_of({"history", "tags", "item", "user"}, {"tags", "item"}, "none"),
    }
    for reason, scorer in reasons.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "dagfm.serving"):
            scorer.rank(LOG[:1], LOG[:3])
            scorer.rank(LOG[:1], LOG[:3])
        (line,) = caplog.messages
        assert "rank scores every candidate as a row of its own" in line
        assert reason in line or not versions()
    network = {"type": "kernel", "connect": "none"}
    assert "messages are kernel" in str(why_not(reasons["connect is full"].schema, network, kernel=True))


@pytest.mark.skipif(not versions() or not hasattr(os, "fork"), reason="the kernel is not built, or no fork here")
def test_a_forked_worker_scores_and_ranks_as_its_parent_does(tmp_path: Path) -> None:
    """What stays with a thread of the parent serves the child; dicts do not need polars, whose threads would not."""
    scorer = scorer_of(SCORER_FIELDS - {"position"}, CANDIDATE - {"position"}, "none")
    row = LOG.row(0, named=True)
    write_bundle(tmp_path / "bundle", scorer.bundle)
    code = f"""
import os
import dagfm
scorer = dagfm.load({str(tmp_path / "bundle")!r})
def scores():
    return [*scorer.predict([{row!r}]).tolist(), *scorer.rank({row!r}, [{row!r}] * 3).scores.tolist()]
expected = scores()
child = os.fork()
if child == 0:
    os._exit(0 if scores() == expected else 3)
print(expected[0], os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    score, status = done.stdout.split()
    assert float(score) == pytest.approx(float(scorer.predict([row])[0]), abs=1e-6)
    assert status == "0"


def test_a_runs_bundle_ranks_as_it_predicts(finished: Finished) -> None:
    check(dagfm.load(finished.bundle), click_log(3, seed=1), click_log(40, seed=2))
