"""What a process keeps at hand: each thing once, for its time, and no more than so many."""

from gateway.approvals.at_hand import AtHand


def test_a_thing_is_taken_once() -> None:
    kept = AtHand[str]()
    kept.put("apr_1", "a", until_ms=10, now_ms=0)
    assert [kept.take("apr_1"), kept.take("apr_1")] == ["a", None]


def test_the_newer_takes_the_place_of_the_older() -> None:
    kept = AtHand[str]()
    kept.put("apr_1", "a", until_ms=10, now_ms=0)
    kept.put("apr_1", "b", until_ms=10, now_ms=0)
    assert kept.take("apr_1") == "b"


def test_beyond_the_most_the_oldest_goes() -> None:
    kept = AtHand[str](most=2)
    for number in range(3):
        kept.put(f"apr_{number}", "a", until_ms=10, now_ms=0)
    assert [kept.take(f"apr_{number}") for number in range(3)] == [None, "a", "a"]


def test_what_is_over_is_let_go_of() -> None:
    kept = AtHand[str]()
    kept.put("apr_1", "a", until_ms=10, now_ms=0)
    kept.put("apr_2", "b", until_ms=30, now_ms=10)
    assert [kept.take("apr_1"), kept.take("apr_2")] == [None, "b"]


def test_what_is_over_at_once_is_not_kept() -> None:
    kept = AtHand[str]()
    kept.put("apr_1", "a", until_ms=10, now_ms=10)
    assert kept.take("apr_1") is None
