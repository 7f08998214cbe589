"""What an error suggests."""

from __future__ import annotations

from collections.abc import Iterator

from dagfm.errors import suggestion


def endless() -> Iterator[str]:
    yield "user"
    for number in range(10**6):
        assert number < 10**4, "all of it is looked at"
        yield f"column {number}"


def test_the_nearest_word_is_suggested_and_none_that_is_far() -> None:
    assert suggestion("usr", ["item", "user"]) == " Did you mean 'user'?"
    assert suggestion("price", ["item", "user"]) == ""


def test_what_a_client_sends_costs_little_to_look_at() -> None:
    assert suggestion("usr", endless()) == " Did you mean 'user'?"
    assert suggestion("user" * 10**6, ["user" * 10**6]) == ""
