import numpy as np
import pytest

from effsearch.search.coefficients.race import Race, count_owed, rank, round_size

LINE = np.linspace(0, 1, 12)[:, None]


def make_race(*, num_seeds: int = 4, num_finalists: int = 2) -> Race:
    return Race(LINE, num_seeds=num_seeds, num_finalists=num_finalists)


def score_of(candidate: int, replicate: int) -> float:
    return 0.5 + candidate / 50 + 0.001 * ((7 * candidate + 3 * replicate) % 5)


def play(race: Race, *, most: int = 1_000) -> list[tuple[int, int]]:
    """Train with a formula until nothing more comes, one at a time."""
    done: list[tuple[int, int]] = []
    while len(done) < most:
        first = race.next_first()
        following = (first, 0) if first is not None else race.next_again()
        if following is None:
            return done
        race.start(*following)
        race.tell(*following, score_of(*following))
        done.append(following)
    return done


@pytest.mark.parametrize(
    ("num_candidates", "sizes"),
    [(40, [40, 14, 5, 3, 3]), (12, [12, 4, 3, 3, 3]), (2, [2, 2, 2, 2, 2]), (1, [1] * 5)],
)
def test_each_round_has_a_third_of_the_one_before_but_for_the_finalists(
    num_candidates: int, sizes: list[int]
) -> None:
    assert [round_size(num_candidates, index, num_finalists=3) for index in range(5)] == sizes
    assert count_owed(num_candidates, num_seeds=5, num_finalists=3) == sum(sizes[1:])


def test_forty_candidates_cost_a_third_of_the_grid_with_five_seeds() -> None:
    assert 40 + count_owed(40, num_seeds=5, num_finalists=3) == 65


def test_all_are_trained_once_then_the_better_again() -> None:
    done = play(make_race())
    assert done[:12] == [(index, 0) for index in range(12)]
    again = done[12:]
    assert [replicate for _, replicate in again] == [1] * 4 + [2] * 2 + [3] * 2
    assert {candidate for candidate, replicate in again if replicate == 1} == {8, 9, 10, 11}
    assert {candidate for candidate, replicate in again if replicate == 3} <= {9, 10, 11}


def test_a_later_round_takes_only_who_was_in_the_one_before() -> None:
    done = play(make_race(num_seeds=5, num_finalists=1))
    for candidate, replicate in done:
        assert all((candidate, earlier) in done for earlier in range(replicate))


@pytest.mark.parametrize("most", range(1, 21))
def test_an_interrupted_race_goes_on_as_if_it_had_not_been(most: int) -> None:
    whole = play(make_race())
    race = make_race()
    for candidate, replicate in play(make_race(), most=most):
        race.tell(candidate, replicate, score_of(candidate, replicate))
    assert whole[:most] + play(race) == whole


def test_nothing_comes_again_before_anything_is_known() -> None:
    race = make_race()
    race.start(0, 0)
    assert race.next_again() is None
    race.tell(0, 0, 0.5)
    assert race.next_again() == (0, 1)


def test_who_fails_is_not_trained_again_but_keeps_its_scores() -> None:
    race = make_race()
    for index in range(12):
        race.tell(index, 0, None if index == 11 else score_of(index, 0))
    following = race.next_again()
    assert following is not None
    race.tell(*following, None)
    assert 11 not in race.alive
    assert following[0] in race.alive
    assert {candidate for candidate, _ in play(race)}.isdisjoint({11, following[0]})
    assert race.num_started == 12
    assert race.num_trained == sum(map(len, race.scores))


def test_a_round_waits_for_no_stragglers() -> None:
    """With two workers the twelfth first training is still running when a second seed is handed out."""
    race = make_race()
    for index in range(12):
        race.start(index, 0)
        if index < 11:
            race.tell(index, 0, score_of(index, 0))
    assert race.next_again() is not None


def test_candidates_rank_with_their_neighbours() -> None:
    scores = [[score_of(index, 0)] for index in range(12)]
    scores[1][0] += 0.02  # lucky, among the worse
    assert rank(LINE, scores)[0] == 11
    assert rank(LINE, scores).index(1) > 6
