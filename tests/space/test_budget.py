import pytest

from effsearch.space.budget import (
    Budget,
    parse_budget,
    parse_budgets,
    parse_latency,
    short_count,
    short_time,
    show_excess,
)
from effsearch.space.cost import Cost
from effsearch.space.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("400M-FLOPs", Budget(multiply_adds=400_000_000)),
        ("400M-MACs", Budget(multiply_adds=400_000_000)),
        ("0.4G-FLOPs", Budget(multiply_adds=400_000_000)),
        (".4b-madds", Budget(multiply_adds=400_000_000)),
        ("400 M FLOPs", Budget(multiply_adds=400_000_000)),
        ("400mflops", Budget(multiply_adds=400_000_000)),
        (" 1T-flops ", Budget(multiply_adds=10**12)),
        ("400000000 MACs", Budget(multiply_adds=400_000_000)),  # the M is of MACs
        ("385814752-FLOPs", Budget(multiply_adds=385_814_752)),
        ("5.3M-params", Budget(parameters=5_300_000)),
        ("5.288548M-params", Budget(parameters=5_288_548)),  # exact, where floats give 5,288,547
        ("6.7M-activations", Budget(activations=6_700_000)),
        ("0.0005k-params", None),
    ],
)
def test_budgets_are_read_exactly(text: str, expected: Budget | None) -> None:
    if expected is None:
        with pytest.raises(BudgetError, match="a budget must be above zero, got 0 parameters"):
            parse_budget(text)
    else:
        assert parse_budget(text) == expected


def test_several_bounds_hold_together() -> None:
    budget = parse_budget("400M-FLOPs", max_params="5.3M", max_activations="7M-activations")
    assert budget == Budget(multiply_adds=400_000_000, parameters=5_300_000, activations=7_000_000)
    assert parse_budget(None, max_params="5M-params") == Budget(parameters=5_000_000)


@pytest.mark.parametrize(
    "text",
    ["", "400", "400M", "M-FLOPs", "-400M-FLOPs", "400X-FLOPs", "400M-FLIPs", "1e9-FLOPs", "4,0G-FLOPs"],
)
def test_budgets_that_cannot_be_read_show_how_to_write_them(text: str) -> None:
    with pytest.raises(BudgetError, match=f"cannot read the budget '{text}': write it like 400M-FLOPs"):
        parse_budget(text)


def test_bounds_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(BudgetError, match="two budgets for parameters: give one of them"):
        parse_budget("5M-params", max_params="4M")
    with pytest.raises(BudgetError, match=r"'4M-FLOPs' does not bound params: write it like 5.3M"):
        parse_budget(None, max_params="4M-FLOPs")
    with pytest.raises(BudgetError, match=r"cannot read the budget 'many': write it like 5.3M"):
        parse_budget(None, max_activations="many")
    with pytest.raises(BudgetError, match="a budget needs at least one bound, such as 400M-FLOPs"):
        parse_budget(None)
    with pytest.raises(BudgetError, match="a budget must be above zero, got 0 multiply_adds"):
        parse_budget("0M-FLOPs")


def test_bounds_are_inclusive() -> None:
    budget = Budget(multiply_adds=100, parameters=10)
    assert budget.allows(Cost(multiply_adds=100, parameters=10, activations=10**9))
    assert not budget.allows(Cost(multiply_adds=101, parameters=10, activations=0))
    assert not budget.allows(Cost(multiply_adds=100, parameters=11, activations=0))


def test_budgets_are_written_as_they_are_read() -> None:
    assert str(parse_budget("0.4G-MACs", max_params="5.3M")) == "400M-FLOPs, 5.3M-params"
    assert parse_budget(str(parse_budget("123.4M-FLOPs"))) == parse_budget("123.4M-FLOPs")


@pytest.mark.parametrize(
    ("count", "text"),
    [(385_814_752, "385.8M"), (7, "7"), (1000, "1k"), (1_500_000, "1.5M"), (2.5e9, "2.5G"), (4e12, "4T")],
)
def test_counts_are_shown_short(count: float, text: str) -> None:
    assert short_count(count) == text


def test_an_excess_names_the_bounds_that_break() -> None:
    cost = Cost(multiply_adds=400, parameters=20, activations=9)
    assert show_excess(cost, Budget(multiply_adds=300, parameters=20)) == "400 multiply-adds (allowed 300)"
    assert show_excess(cost, Budget(multiply_adds=300, parameters=2)).endswith(
        " and 20 parameters (allowed 2)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "200M,400M,800M-FLOPs",
        "800M-FLOPs, 200M-FLOPs, 0.4G-MACs",
        "200M, 400M,.8G FLOPs",
        "800M,400M,200M-madds",
    ],
)
def test_several_budgets_come_ascending_in_the_last_ones_unit(text: str) -> None:
    assert [budget.limits() for budget in parse_budgets(text)] == [
        {"multiply_adds": millions * 10**6} for millions in (200, 400, 800)
    ]


def test_one_budget_is_a_list_of_one() -> None:
    assert parse_budgets("400M-FLOPs") == (Budget(multiply_adds=400_000_000),)
    assert parse_budgets(None, max_params="5M") == (Budget(parameters=5_000_000),)


def test_further_bounds_hold_for_each_of_several_budgets() -> None:
    assert parse_budgets("3M,5M-params", max_activations="7M") == (
        Budget(parameters=3_000_000, activations=7_000_000),
        Budget(parameters=5_000_000, activations=7_000_000),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("200M,400M", "cannot read the budget '400M': write it like 400M-FLOPs"),
        ("200M,,400M-FLOPs", "cannot read the budget ''"),
        ("200M,many-FLOPs", "cannot read the budget 'many-FLOPs'"),
        ("200M-FLOPs,", "cannot read the budget ''"),
        (
            "200M,200M-FLOPs",
            "--budget 200M,200M-FLOPs must be several bounds of one thing, such as 200M,400M-FLOPs",
        ),
        ("5M-params,400M-FLOPs", "must be several bounds of one thing"),
        ("0M,400M-FLOPs", "a budget must be above zero"),
    ],
)
def test_several_budgets_that_do_not_hold_are_refused(text: str, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        parse_budgets(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("5ms", 5_000_000),
        (" 0.5 ms ", 500_000),
        ("800us", 800_000),
        ("800µs", 800_000),
        ("0.02s", 20_000_000),
        ("7ns", 7),
        ("5MS", 5_000_000),
        ("5 Ms", 5_000_000),
        (".005s", 5_000_000),
        ("5000 US", 5_000_000),
        ("5000\u03bcs", 5_000_000),  # the Greek letter, where the other is the sign for micro
        ("5000\u00b5S", 5_000_000),
        ("5.s", 5_000_000_000),
    ],
)
def test_bounds_on_latency_are_read_exactly(text: str, nanoseconds: int) -> None:
    assert parse_latency(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "cannot read the latency '5': write it like 5ms, 800us or 0.02s"),
        ("5 m s", "cannot read the latency"),
        ("5mss", "cannot read the latency"),
        ("0,5ms", "cannot read the latency"),
        ("1e3us", "cannot read the latency"),
        ("5min", "cannot read the latency"),
        ("", "cannot read the latency"),
        ("\u0665ms", "cannot read the latency"),
        ("-5ms", "cannot read the latency"),
        ("ms", "cannot read the latency"),
        ("0ms", "a bound on latency must be above zero, got '0ms'"),
        ("0.1ns", "a bound on latency must be above zero"),
    ],
)
def test_what_is_no_bound_on_latency_is_refused(text: str, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        parse_latency(text)


def test_a_bound_on_latency_stands_beside_others() -> None:
    cost = Cost(multiply_adds=1, parameters=1, activations=1, latency_nanoseconds=4_712_345)
    budget = Budget(multiply_adds=400_000_000, latency_nanoseconds=4_712_344)
    assert str(budget) == "400M-FLOPs, 4.712ms"
    assert not budget.allows(cost)
    assert budget.only("multiply_adds").allows(cost)
    assert budget.with_limits({"latency_nanoseconds": 4_712_345}).allows(cost)
    assert budget.times(2).limits() == {"multiply_adds": 800_000_000, "latency_nanoseconds": 9_424_688}
    assert (
        show_excess(cost, Budget(latency_nanoseconds=1_000)) == "4.712 ms of predicted latency (allowed 1 us)"
    )


def test_a_cost_without_a_latency_never_passes_for_one_inside_a_bound() -> None:
    with pytest.raises(TypeError, match="not supported between"):
        Budget(latency_nanoseconds=1).allows(Cost(multiply_adds=1, parameters=1, activations=1))


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(1, "1 ns"), (999, "999 ns"), (1_000, "1 us"), (4_712_345, "4.712 ms"), (2e9, "2 s")],
)
def test_times_are_written_short(nanoseconds: float, text: str) -> None:
    assert short_time(nanoseconds) == text
