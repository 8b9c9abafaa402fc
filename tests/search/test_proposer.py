from itertools import pairwise

import pytest

from effsearch.search.proposer import LEAST_SHARE, Proposal, Proposer
from effsearch.space.budget import Budget, parse_budget
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import BudgetError
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_text import space_from_yaml

BUDGET = parse_budget("60M-FLOPs")


def make(space: SearchSpace, budget: Budget = BUDGET, *, seed: int = 0, num_startup: int = 5) -> Proposer:
    return Proposer(space, budget, resolution=32, num_classes=10, seed=seed, num_startup=num_startup)


def propose(proposer: Proposer, num_proposals: int) -> list[Proposal]:
    proposals = []
    for index in range(num_proposals):
        proposal = proposer.propose()
        assert proposal is not None
        proposer.tell(proposal, value=index % 3 / 3)
        proposals.append(proposal)
    return proposals


def test_every_proposal_is_new_and_inside_the_budget(macro: SearchSpace) -> None:
    proposals = propose(make(macro), 40)
    assert len({proposal.network for proposal in proposals}) == 40
    for proposal in proposals:
        assert proposal.cost == count_cost(proposal.spec)
        assert BUDGET.allows(proposal.cost)
        assert proposal.network == network_hash(proposal.spec)
        point = macro.point_of(proposal.labels)
        assert macro.spec_at(point, resolution=32, num_classes=10) == proposal.spec


def test_start_up_draws_use_most_of_the_budget(macro: SearchSpace) -> None:
    proposals = propose(make(macro, num_startup=12), 12)
    assert BUDGET.multiply_adds is not None
    assert all(one.cost.multiply_adds >= LEAST_SHARE * BUDGET.multiply_adds for one in proposals)


def test_one_seed_proposes_the_same_and_another_does_not(macro: SearchSpace) -> None:
    one, same, other = ([p.network for p in propose(make(macro, seed=seed), 12)] for seed in (3, 3, 4))
    assert one == same
    assert set(one) != set(other)


def test_networks_marked_or_told_are_never_proposed(widths: SearchSpace) -> None:
    budget = parse_budget("1G-FLOPs")
    specs = [widths.spec_at((index,), resolution=32, num_classes=10) for index in range(6)]
    proposer = make(widths, budget)
    proposer.mark_seen(network_hash(specs[0]))
    proposer.tell_past({"stage1.channels": 16}, value=0.5, network=network_hash(specs[1]))
    proposer.tell_past({"stage1.channels": 24}, value=None, network=network_hash(specs[2]))
    found = {proposal.labels["stage1.channels"] for proposal in propose(proposer, 3)}
    assert found == {32, 40, 48}
    assert proposer.propose() is None


def test_an_exhausted_space_has_no_proposal_while_trainings_are_running(widths: SearchSpace) -> None:
    proposer = make(widths, parse_budget("1G-FLOPs"))
    proposals = [proposer.propose() for _ in range(7)]  # none is told of
    assert [proposal is None for proposal in proposals] == [False] * 6 + [True]


def test_two_encodings_of_one_network_are_proposed_once() -> None:
    space = space_from_yaml(
        "schema_version: 1\nname: s\nstages:\n"
        "  - {channels: [8, 16], repeats: 1, kind: [mbconv, depthwise_separable], expand_ratio: 1}\n"
    )
    proposer = make(space, parse_budget("1G-FLOPs"))
    assert len(propose(proposer, 2)) == 2
    assert proposer.propose() is None


def test_a_space_of_one_network_is_exhausted_after_it() -> None:
    space = space_from_yaml("schema_version: 1\nname: one\nstages: [{channels: 8, repeats: 2}]\n")
    proposer = make(space, parse_budget("1G-FLOPs"))
    assert propose(proposer, 1)[0].labels == {}
    assert proposer.propose() is None


def test_refused_proposals_are_counted(macro: SearchSpace) -> None:
    proposer = make(macro, parse_budget("40M-FLOPs"))
    proposals = propose(proposer, 15)
    assert proposer.num_refused > 0
    assert max(proposal.cost.multiply_adds for proposal in proposals) <= 40_000_000


def test_a_budget_that_nothing_fits_is_refused(macro: SearchSpace) -> None:
    with pytest.raises(BudgetError, match="no candidate of nas-bench-macro fits: the cheapest needs"):
        make(macro, parse_budget("1M-FLOPs")).propose()


def test_the_sampler_uses_what_it_is_told(macro: SearchSpace) -> None:
    """Told that small kernels in the last stage are good, it proposes them far more often than the start-up did."""
    proposer = make(macro, parse_budget("90M-FLOPs"), num_startup=12)
    shares = []
    for _ in range(36):
        proposal = proposer.propose()
        assert proposal is not None
        kernels = [block.kernel_size for block in proposal.spec.stages[2].blocks if block.kind == "mbconv"]
        shares.append(kernels.count(3) / 3)
        proposer.tell(proposal, value=shares[-1])
    thirds = [sum(shares[start:end]) / 12 for start, end in pairwise((0, 12, 24, 36))]
    assert thirds[0] < 0.5
    assert thirds[2] > thirds[0] + 0.3
