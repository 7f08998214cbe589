"""Changes in all workers at once: nobody switches before everybody has loaded, and who leaves holds nobody up."""

from __future__ import annotations

from typing import Any

import pytest

from dagfm.server.rounds import PATIENCE, Round, Rounds


class Fake:
    """A worker that remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, **message: Any) -> bool:
        self.told.append(message)
        return True

    @property
    def last(self) -> dict[str, Any]:
        return self.told[-1]


def report(digest: str) -> dict[str, Any]:
    return {"versions": [digest], "fresh": [digest], "failures": {}, "digest": digest}


class Stage:
    """Two workers and their rounds."""

    def __init__(self, members: int = 2) -> None:
        self.members = [Fake() for _ in range(members)]
        self.ended: list[tuple[Round, dict[str, Any]]] = []
        self.rounds = Rounds(lambda: list(self.members), lambda one, found: self.ended.append((one, found)))


def test_all_load_before_anybody_switches() -> None:
    stage = Stage()
    one, two = stage.members
    stage.rounds.wish("load", "m", (one, 7))
    assert one.last == two.last == {"do": "prepare", "model": "m"}
    stage.rounds.done(one, report("a"))
    assert one.last["do"] == "prepare"
    stage.rounds.done(two, report("a"))
    assert one.last == two.last == {"do": "commit", "model": "m"}
    stage.rounds.done(one, report("a"))
    assert not stage.ended
    stage.rounds.done(two, report("a"))
    assert one.last == {"ticket": 7, "report": report("a")}
    assert [(found.what, told["digest"]) for found, told in stage.ended] == [("load", "a")]


def test_a_patched_bundle_is_adopted_as_others_are_loaded() -> None:
    stage = Stage()
    one, two = stage.members
    stage.rounds.wish("adopt", "m", (one, 7), {"mark": "b"})
    stage.rounds.wish("adopt", "m", (two, 8), {"mark": "c"})
    assert one.last == two.last == {"do": "adopt", "model": "m", "staged": {"mark": "b"}}
    for phase in ("adopt", "commit"):
        assert one.last["do"] == two.last["do"] == phase
        stage.rounds.done(one, report("b"))
        stage.rounds.done(two, report("b"))
    assert {"ticket": 7, "report": report("b")} in one.told
    assert one.last["staged"] == {"mark": "c"}, "another patch is another change"
    stage.rounds.done(one, report("c"))
    stage.rounds.done(two, report("b"))
    assert one.last["do"] == "abort"


def test_who_found_something_else_stops_the_switch() -> None:
    stage = Stage()
    one, two = stage.members
    stage.rounds.wish("load", "m", (two, 1))
    stage.rounds.done(one, report("a"))
    stage.rounds.done(two, report("b"))
    assert one.last["do"] == "abort"
    stage.rounds.done(one, None)
    stage.rounds.done(two, None)
    assert "different bundles" in two.last["report"]["failures"][""]
    assert not stage.ended[0][1]["versions"]


def test_a_worker_that_is_gone_is_not_waited_for() -> None:
    stage = Stage()
    one, two = stage.members
    stage.rounds.wish("load", "m", (two, 1))
    stage.rounds.done(one, report("a"))
    stage.members.remove(two)
    stage.rounds.leave(two)
    assert one.last["do"] == "commit"
    stage.rounds.done(one, report("a"))
    assert stage.ended
    assert "ticket" not in two.last, "nobody is there to be told"


def test_when_all_are_gone_the_round_is_over() -> None:
    stage = Stage(1)
    (one,) = stage.members
    stage.rounds.wish("unload", "m")
    stage.rounds.wish("load", "m")
    stage.members.clear()
    stage.rounds.leave(one)
    assert [found.what for found, _ in stage.ended] == ["unload", "load"]


def test_changes_are_made_one_after_another_and_equal_ones_once() -> None:
    stage = Stage(1)
    (one,) = stage.members
    stage.rounds.wish("unload", "m", (one, 1))
    stage.rounds.wish("load", "m", (one, 2))
    stage.rounds.wish("load", "m", (one, 3))
    assert [message["do"] for message in one.told] == ["unload"]
    stage.rounds.done(one, report(""))
    assert one.told[1:] == [{"ticket": 1, "report": report("")}, {"do": "prepare", "model": "m"}]
    stage.rounds.done(one, report("a"))
    stage.rounds.done(one, report("a"))
    assert [message.get("ticket") for message in one.told[-2:]] == [2, 3]
    assert len(stage.ended) == 2


def test_who_comes_while_others_load_does_not_switch_with_them() -> None:
    stage = Stage(1)
    (one,) = stage.members
    stage.rounds.wish("load", "m")
    late = Fake()
    stage.members.append(late)
    stage.rounds.done(one, report("a"))
    assert one.last["do"] == "commit"
    assert not late.told
    stage.rounds.done(one, report("a"))
    (ended,) = stage.ended
    assert ended[0].members == [one]
    stage.rounds.wish("load", "m")
    assert late.last["do"] == "prepare"


def test_who_hangs_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    one, two = stage.members
    assert stage.rounds.late() == []
    now = 100.0
    monkeypatch.setattr("dagfm.server.rounds.time.monotonic", lambda: now)
    stage.rounds.wish("load", "m")
    stage.rounds.done(one, report("a"))
    assert stage.rounds.late() == []
    now += PATIENCE
    assert stage.rounds.late() == [two]
    assert stage.rounds.late() == [], "it is told once"
    stage.rounds.leave(two)
    assert one.last["do"] == "commit"
    assert stage.rounds.late() == [], "each phase has its own time"
