"""What is left of a trained network inside a budget, with which weights?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.pruning.choose import Choice, Part, Ranking, choose_widths
from effsearch.proxy_train.pruning.importance import Importance, score_channels, settle_norms
from effsearch.proxy_train.pruning.remarks import narrow_words, unspent_words
from effsearch.proxy_train.pruning.units import Unit, Units, find_units
from effsearch.space.budget import Budget
from effsearch.space.cost import Cost, count_cost
from effsearch.space.narrowing import renamed_blocks, widths_of
from effsearch.space.spec import ModelSpec

Share = Literal["even", "global"]

# In which order channels go, where layers need not lose the same share. A change of the loss may be held against what
# is saved by it; the size of weights, which is relative to its layer, may not: that closes the dearest layers
# (`benchmarks/prune.py`).
RANKINGS: dict[Importance, Ranking] = {"taylor": "saving", "magnitude": "plain", "bn": "plain"}


def ranking_of(importance: Importance, share: Share) -> Ranking:
    """Give the order in which channels go: the same share of each layer, or as their importance says."""
    return "even" if share == "even" else RANKINGS[importance]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSettings:
    """How channels are chosen."""

    importance: Importance
    ranking: Ranking
    num_steps: int  # the importance is measured anew before each
    divisor: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is left of a network."""

    model: Network  # in eval mode, its norms' statistics settled
    kept: tuple[str, ...]  # what was left whole, and why
    remarks: tuple[str, ...] = ()  # lines for people: which bound is not spent, and what has all but gone


def prune_network(
    model: Network,
    budget: Budget,
    settings: PruneSettings,
    *,
    score_batches: Iterable[tuple[Tensor, Tensor]],
    norm_batches: Iterable[tuple[Tensor, Tensor]],
    say: Callable[[str], None] = lambda line: None,
) -> Pruned:
    """Take channels out of a network until it is inside a budget.

    Args:
        model: Trained, on the CPU; it is changed.
        budget: Bounds on its cost at its spec's resolution and classes; it is outside.
        settings: How.
        score_batches: Training images that the importance `taylor` looks at, iterable again and again.
        norm_batches: Training images that the norms are settled on after each step, likewise.
        say: Is told how far it is.

    Raises:
        BudgetError: The budget is out of reach.
        SpecError: The network has a structure that cannot be pruned.
    """
    kept: tuple[str, ...] = ()
    start = count_cost(model.spec)
    whole = widths_of(model.spec)  # by the names that layers have by now
    for step in range(1, settings.num_steps + 1):
        bounds = budget_of_step(budget, start, step, settings.num_steps)
        if bounds.allows(count_cost(model.spec)):
            continue
        model.eval()
        found = find_units(model)
        kept = found.kept
        scores = score_channels(model, found.units, settings.importance, score_batches)
        units = [unit for unit in found.units if unit.name in scores]
        choice = choose_widths(
            model.spec,
            [part_of(unit, scores[unit.name], whole=whole[unit.name]) for unit in units],
            bounds,
            divisor=settings.divisor,
            ranking=settings.ranking,
        )
        remove_channels(found, units, scores, choice)
        names = renamed_blocks(model.spec, choice.spec)
        whole = {_renamed(name, names): width for name, width in whole.items()}
        model = rebuilt(model, choice.spec)
        settle_norms(model, norm_batches)
        say(f"step {step} of {settings.num_steps}: {count_cost(model.spec).multiply_adds:,} multiply-adds")
    remarks = unspent_words(count_cost(model.spec), budget, ranking=settings.ranking)
    if settings.ranking != "even":
        remarks += narrow_words(whole, widths_of(model.spec))
    return Pruned(model, kept, tuple(remarks))


def require_reach(model: Network, budget: Budget, settings: PruneSettings) -> None:
    """Refuse a budget that no choice of channels meets, before any image is looked at or any file is made.

    Raises:
        BudgetError: The smallest that can be had is named.
        SpecError: The network has a structure that cannot be pruned.
    """
    found = find_units(model.eval())
    needs_no_images: Importance = "bn" if settings.importance == "bn" else "magnitude"
    scores = score_channels(model, found.units, needs_no_images, ())
    parts = [part_of(unit, scores[unit.name]) for unit in found.units if unit.name in scores]
    choose_widths(model.spec, parts, budget, divisor=settings.divisor, ranking="even")


def budget_of_step(budget: Budget, start: Cost, step: int, num_steps: int) -> Budget:
    """Give the budget that a step comes down to, each by the same share; the last has the budget itself."""
    if step == num_steps:
        return budget
    bounds = {}
    for name, limit in budget.limits().items():
        whole = getattr(start, name)
        bounds[name] = max(limit, int(whole * (limit / whole) ** (step / num_steps)))
    return budget.with_limits(bounds)


def remove_channels(
    found: Units, units: Sequence[Unit], scores: dict[str, list[Tensor]], choice: Choice
) -> None:
    """Take the least important channels of each unit out of the built network, in place."""
    for unit in units:
        num_gone = unit.width - choice.widths[unit.name]
        if not num_gone:
            continue
        for group, of_group in zip(unit.groups, scores[unit.name], strict=True):
            gone = sorted(of_group.argsort(stable=True)[:num_gone].tolist())
            root = group.handle[0].dep
            found.graph.get_pruning_group(root.target.module, root.handler, gone).prune(record_history=False)


def rebuilt(model: Network, spec: ModelSpec) -> Network:
    """Give the network that a spec describes, with the weights of a pruned module of its shapes.

    Args:
        model: A pruned module, whose `spec` is that from before.
        spec: What it has become.
    """
    names = renamed_blocks(model.spec, spec)
    tensors = {_renamed(name, names): tensor for name, tensor in model.state_dict().items()}
    fresh = build_model(spec, seed=0)
    own = fresh.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert shapes == {name: tuple(tensor.shape) for name, tensor in own.items()}, (
        "the spec is of other shapes"
    )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    return fresh.to(next(model.parameters()).device).eval()


def shapes_of(model: Network) -> dict[str, int]:
    """Give the output channels of each layer of a built module, by its name in the module's spec."""
    return {name: len(model.get_submodule(name).weight) for name in widths_of(model.spec)}  # type: ignore[arg-type]  # a tensor


def part_of(unit: Unit, scores: Sequence[Tensor], *, whole: int = 0) -> Part:
    """Give a unit as the choice sees it: the least important channels of all its groups go together.

    Args:
        unit: As it is.
        scores: Importance of the channels of each of its groups.
        whole: Its width before the first of several steps; 0: this one.
    """
    sums = torch.stack([one.detach().double().sort().values for one in scores]).sum(0)
    return Part(unit.name, unit.width, unit.outputs, unit.inputs, tuple(sums.tolist()), whole)


def _renamed(name: str, blocks: dict[str, str]) -> str:
    if not name.startswith("stages."):
        return name
    scope, rest = ".".join(name.split(".")[:3]), name.split(".")[3:]
    return ".".join([blocks[scope], *rest])
