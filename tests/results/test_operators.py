import pytest

from effsearch.results.operators import count_operators, operators_words

from .conftest import MakeEntry


def test_only_trainings_that_have_a_score_are_counted(make_entry: MakeEntry) -> None:
    entries = [
        *(make_entry(used_kernels=True) for _ in range(3)),
        make_entry(used_kernels=False),
        make_entry(),
        make_entry(failure="out of memory"),
        make_entry(kind="screen", val_accuracy=None),
    ]
    assert count_operators(entries) == {"kernels": 3, "torch": 1, "unknown": 1}
    assert count_operators([]) == {"kernels": 0, "torch": 0, "unknown": 0}


@pytest.mark.parametrize(
    ("kernels", "torch", "unknown", "words"),
    [
        (3, 0, 0, "all trainings ran on effsearch's kernels"),
        (0, 3, 0, "all trainings ran on torch's operators"),
        (2, 1, 0, "trainings ran on effsearch's kernels (2), torch's operators (1)"),
        (
            2,
            0,
            1,
            "trainings ran on effsearch's kernels (2), not known which (1)",
        ),
        (0, 0, 3, ""),
        (0, 0, 0, ""),
    ],
)
def test_people_are_told_where_any_training_says_so(
    kernels: int, torch: int, unknown: int, words: str
) -> None:
    assert operators_words({"kernels": kernels, "torch": torch, "unknown": unknown}) == words
