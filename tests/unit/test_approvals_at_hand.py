"""What a process keeps at hand: each thing once, for its time, and no more than so many."""

from gateway.approvals.at_hand import AtHand


def test_a_thing_is_taken_once() -> None:
    kept = AtHand[str]()
    kept.put("apr_1", "a", until_ms=10)
    assert [kept.take("apr_1"), kept.take("apr_1")] == ["a", None]


def test_the_newer_takes_the_place_of_the_older() -> None:
    kept = AtHand[str]()
    kept.put("apr_1", "a", until_ms=10)
    kept.put("apr_1", "b", until_ms=10)
    assert kept.take("apr_1") == "b"


def test_beyond_the_most_the_oldest_goes() -> None:
    kept = AtHand[str](most=2)
    for number in range(3):
        kept.put(f"apr_{number}", "a", until_ms=10)
    assert [kept.take(f"apr_{number}") for number in range(3)] == [None, "a", "a"]


def test_what_is_past_its_time_is_let_go_of_wherever_it_stands() -> None:
    kept = AtHand[str]()
    kept.put("apr_1", "a", until_ms=30)
    kept.put("apr_2", "b", until_ms=10)
    kept.drop_due(10)
    assert [kept.take("apr_1"), kept.take("apr_2")] == ["a", None]
