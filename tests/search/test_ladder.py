from collections.abc import Mapping

from effsearch.search.ladder import next_promotion

WORTH = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5, "f": 0.4}


def ended(networks: str) -> dict[str, bool]:
    return dict.fromkeys(networks, True)


def promote(*rungs: Mapping[str, bool], reduction: int = 3) -> tuple[str, int] | None:
    return next_promotion(rungs, score=WORTH.__getitem__, reduction=reduction)


def test_nothing_is_promoted_before_enough_have_ended() -> None:
    assert promote({}, {}) is None
    assert promote(ended("ab"), {}) is None
    assert promote(ended("fdb"), {}) == ("b", 1)


def test_running_and_failed_networks_count_for_nothing() -> None:
    assert promote(ended("ef") | {"a": False}, {}) is None
    assert promote(ended("def") | {"a": False}, {}) == ("d", 1)


def test_one_in_so_many_is_promoted_the_best_first_and_each_once() -> None:
    assert promote(ended("fedcba"), {}) == ("a", 1)
    assert promote(ended("fedcba"), {"a": False}) == ("b", 1)  # a is under way
    assert promote(ended("fedcba"), {"a": True, "b": False}) is None
    assert promote(ended("fedcba"), {"a": True, "b": False}, reduction=2) == ("c", 1)


def test_a_network_that_failed_above_is_not_promoted_again() -> None:
    assert promote(ended("abc"), {"a": False}) is None


def test_a_later_network_may_still_overtake() -> None:
    """With six ended two may go up, and neither needs to be the one that went first."""
    assert promote(ended("fedcba"), ended("d")) == ("a", 1)


def test_the_highest_rung_is_served_first() -> None:
    assert promote(ended("abcdef"), ended("bcd"), {}) == ("b", 2)
    assert promote(ended("abcdef"), ended("bcd"), ended("b")) == ("a", 1)


def test_a_network_that_skipped_a_rung_does_not_go_back_to_it() -> None:
    """Finalists are trained at the top however far they had come, and a resumed run finds them there."""
    assert promote(ended("abc"), {}, ended("a")) is None


def test_one_rung_has_nowhere_to_go() -> None:
    assert promote(ended("abcdef")) is None
