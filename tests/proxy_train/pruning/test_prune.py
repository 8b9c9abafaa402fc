"""What is left of a network: its outputs, its count, and the spec that says so."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.measure import check_count, count_parameters
from effsearch.proxy_train.pruning.choose import (
    Part,
    Ranking,
    choose_widths,
    layer_widths,
    prices_of,
    widths_below,
)
from effsearch.proxy_train.pruning.importance import IMPORTANCES, Importance, score_channels, settle_norms
from effsearch.proxy_train.pruning.prune import (
    RANKINGS,
    PruneSettings,
    budget_of_step,
    part_of,
    prune_network,
    rebuilt,
    remove_channels,
    shapes_of,
)
from effsearch.proxy_train.pruning.remarks import narrow_words, unspent_words
from effsearch.proxy_train.pruning.units import Units, find_units, require_torch_pruning
from effsearch.space.budget import Budget
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import BudgetError, UsageError
from effsearch.space.narrowing import narrowed, widths_of
from effsearch.space.presets import load_preset
from effsearch.space.spec import (
    BLOCK_KINDS,
    BlockKind,
    BlockSpec,
    HeadSpec,
    ModelSpec,
    Skip,
    StageSpec,
    StemSpec,
)

Batch = tuple[torch.Tensor, torch.Tensor]


def lived_in(spec: ModelSpec, *, seed: int = 0) -> Network:
    """Give a network whose norms are no identities, as after a training."""
    model = build_model(spec, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, std=0.3, generator=generator)
            module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr, operator]
            module.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr, operator]
    return model


def two_stages(block: BlockSpec) -> ModelSpec:
    return ModelSpec(
        stem=StemSpec(out_channels=24, stride=1),
        stages=(
            StageSpec(out_channels=24, stride=1, blocks=(block, block)),
            StageSpec(out_channels=48, stride=2, blocks=(block, block)),
        ),
        head=HeadSpec(out_channels=64, hidden_features=40),
        resolution=16,
        num_classes=10,
    )


def batch_of(spec: ModelSpec, *, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(4, 3, spec.resolution, spec.resolution, generator=generator)
    return images, torch.randint(0, spec.num_classes, (4,), generator=generator)


def half_of(spec: ModelSpec) -> Budget:
    return Budget(multiply_adds=count_cost(spec).multiply_adds // 2)


def pruned_by_hand(
    spec: ModelSpec, importance: Importance, *, divisor: int, share: float = 0.5, ranking: Ranking = "plain"
) -> tuple[Network, Network, Units, Budget]:
    """Give the module that torch-pruning has pruned, and the one built from the spec that was found for it."""
    model = lived_in(spec)
    found = find_units(model)
    scores = score_channels(model, found.units, importance, [batch_of(spec)])
    units = [unit for unit in found.units if unit.name in scores]
    budget = Budget(multiply_adds=max(1, int(count_cost(spec).multiply_adds * share)))
    parts = [part_of(unit, scores[unit.name]) for unit in units]
    choice = choose_widths(spec, parts, budget, divisor=divisor, ranking=ranking)
    remove_channels(found, units, scores, choice)
    assert narrowed(spec, shapes_of(model)) == choice.spec
    return model, rebuilt(model, choice.spec), found, budget


def holds(module: Network, built: Network, budget: Budget) -> None:
    """Two roads: the pruned module and the spec built anew give equal outputs, and cost what is counted."""
    images, _ = batch_of(built.spec, seed=1)
    with torch.no_grad():
        own, others = module(images), built(images)
    assert torch.allclose(own, others, rtol=1e-5, atol=1e-5 * float(own.abs().max()))
    cost = count_cost(built.spec)
    assert budget.allows(cost)
    assert cost.parameters == count_parameters(built) == count_parameters(module)
    check_count(built.spec)


@pytest.mark.parametrize("importance", IMPORTANCES)
@pytest.mark.parametrize("name", ["mobilenet-v3-small", "resnet-18"])
def test_a_spec_built_anew_gives_the_pruned_module_s_outputs(name: str, importance: Importance) -> None:
    spec = dataclasses.replace(load_preset(name), resolution=32, num_classes=10)
    module, built, _, budget = pruned_by_hand(spec, importance, divisor=8, ranking=RANKINGS[importance])
    holds(module, built, budget)


@pytest.mark.slow
@pytest.mark.parametrize("ranking", ["saving", "plain", "even"])
@pytest.mark.parametrize(
    "name",
    ["resnet-50", "efficientnet-b0", "mobilenet-v1", "mobilenet-v2", "efficientnetv2-b0", "mnasnet-a1"],
)
def test_known_networks_too(name: str, ranking: Ranking) -> None:
    spec = dataclasses.replace(load_preset(name), resolution=32, num_classes=10)
    module, built, _, budget = pruned_by_hand(spec, "taylor", divisor=8, ranking=ranking)
    holds(module, built, budget)


@pytest.mark.parametrize("kind", BLOCK_KINDS)
@pytest.mark.parametrize("skip", ["none", "identity", "pool"])
def test_every_kind_of_block_is_pruned(kind: BlockKind, skip: Skip) -> None:
    spec = two_stages(BlockSpec(kind=kind, skip=skip, expand_ratio=2, se_ratio=0.5))
    is_held = skip == "pool" and kind != "identity"
    share = 0.99 if is_held else 0.6  # of a depthwise-separable network that is held only the head can go
    module, built, found, budget = pruned_by_hand(spec, "taylor", divisor=4, share=share)
    holds(module, built, budget)
    assert bool(found.kept) is is_held
    narrower = [
        after < before
        for before, after in zip(widths_of(spec).values(), widths_of(built.spec).values(), strict=True)
    ]
    if is_held:
        assert "stages.1.0: its shortcut is a pool with channels of zeros" in found.kept[0]
        assert [stage.out_channels for stage in built.spec.stages] == [24, 48]
        assert built.spec.stem.out_channels == 24
    else:
        assert sum(narrower) >= (3 if kind == "identity" else 4)


def prune_drawn(draw: Callable[[np.random.Generator], ModelSpec], *, seed: int, num_draws: int) -> int:
    """Prune networks from anywhere in the schema, hold what comes out, and give how many were in reach."""
    rng = np.random.default_rng(seed)
    num_pruned = 0
    for _ in range(num_draws):
        spec = dataclasses.replace(draw(rng), resolution=12)
        try:
            module, built, _, budget = pruned_by_hand(spec, "magnitude", divisor=1, share=0.7)
        except BudgetError as error:
            assert "the smallest network has" in str(error)  # noqa: PT017 - some draws are refused, most not
            continue
        holds(module, built, budget)
        num_pruned += 1
    return num_pruned


def test_networks_anywhere_in_the_schema_are_pruned_or_refused(
    random_spec: Callable[[np.random.Generator], ModelSpec],
) -> None:
    assert prune_drawn(random_spec, seed=3, num_draws=5) >= 2


@pytest.mark.slow
def test_many_networks_anywhere_in_the_schema_too(
    random_spec: Callable[[np.random.Generator], ModelSpec],
) -> None:
    assert prune_drawn(random_spec, seed=5, num_draws=60) >= 30


def test_more_steps_end_in_the_same_budget() -> None:
    spec = two_stages(BlockSpec(expand_ratio=4))
    batches = [batch_of(spec)]
    for num_steps in (1, 3):
        settings = PruneSettings(importance="taylor", ranking="saving", num_steps=num_steps, divisor=2)
        pruned = prune_network(
            lived_in(spec), half_of(spec), settings, score_batches=batches, norm_batches=batches
        )
        cost = count_cost(pruned.model.spec)
        assert 0.97 * half_of(spec).multiply_adds < cost.multiply_adds <= half_of(spec).multiply_adds  # type: ignore[operator]
        assert not pruned.model.training


def test_the_same_pruning_gives_the_same_bits() -> None:
    spec = two_stages(BlockSpec(expand_ratio=4))
    settings = PruneSettings(importance="taylor", ranking="saving", num_steps=1, divisor=2)
    batches = [batch_of(spec)]
    first, second = (
        prune_network(
            lived_in(spec), half_of(spec), settings, score_batches=batches, norm_batches=batches
        ).model
        for _ in range(2)
    )
    assert first.spec == second.spec
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_channels_without_effect_go_first() -> None:
    spec = ModelSpec(
        stem=StemSpec(out_channels=8, stride=1),
        stages=(StageSpec(out_channels=16, stride=1, blocks=(BlockSpec(expand_ratio=8),)),),
        head=HeadSpec(out_channels=0),
        resolution=8,
        num_classes=10,
    )
    model = lived_in(spec)
    dead = list(range(1, 64, 2))
    with torch.no_grad():
        model.get_submodule("stages.0.0.project").weight[:, dead] = 0  # type: ignore[index]
    images, _ = batch = batch_of(spec)
    with torch.no_grad():
        wanted = model(images)
    whole, parts = count_cost(spec), find_units(model)
    expanded = next(unit for unit in parts.units if unit.name == "stages.0.0.expand")
    scores = score_channels(model, [expanded], "taylor", [batch])[expanded.name][0]
    assert scores[dead].max() == 0 < scores[::2].min()
    alive = narrowed(spec, {"stages.0.0.expand": 32, "stages.0.0.depthwise": 32})
    budget = Budget(multiply_adds=count_cost(alive).multiply_adds)
    assert not budget.allows(whole)
    part = part_of(expanded, [scores])
    choice = choose_widths(spec, [part], budget, divisor=8, ranking="saving")
    remove_channels(parts, [expanded], {expanded.name: [scores]}, choice)
    with torch.no_grad():
        assert torch.allclose(rebuilt(model, choice.spec)(images), wanted, atol=1e-5)


def test_a_layer_of_zeros_has_scores_of_zero() -> None:
    spec = dataclasses.replace(load_preset("mobilenet-v3-small"), resolution=32, num_classes=10)
    model = lived_in(spec)
    for norm in ("stages.1.0.expand_norm", "stages.1.0.depthwise_norm"):
        nn.init.zeros_(model.get_submodule(norm).weight)  # type: ignore[arg-type]
    scores = score_channels(model, find_units(model).units, "bn", [])
    assert torch.equal(scores["stages.1.0.expand"][0], torch.zeros(72))


def test_settled_norms_have_the_statistics_of_their_maps() -> None:
    spec = dataclasses.replace(load_preset("mobilenet-v3-small"), resolution=32, num_classes=10)
    model = lived_in(spec)
    momenta = [module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    batches = [batch_of(spec, seed=seed) for seed in range(3)]
    settle_norms(model, batches)
    maps = torch.stack([model.stem.get_submodule("conv")(images) for images, _ in batches])
    norm = model.get_submodule("stem.conv_norm")
    assert torch.allclose(norm.running_mean, maps.mean((0, 1, 3, 4)), atol=1e-5)  # type: ignore[arg-type]
    assert [module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)] == momenta
    assert not model.training


def test_a_budget_out_of_reach_names_the_smallest_network() -> None:
    spec = dataclasses.replace(load_preset("mobilenet-v3-small"), resolution=32, num_classes=10)
    parts = [
        Part(name, width, frozenset([name]), frozenset(), tuple(float(one) for one in range(width)))
        for name, width in {"head.conv": 576, "head.hidden": 1024}.items()
    ]
    with pytest.raises(
        BudgetError, match=r"multiples of 8 channels.*the smallest network has .* multiply-adds"
    ):
        choose_widths(spec, parts, Budget(multiply_adds=1), divisor=8, ranking="plain")


def test_parts_get_back_what_still_fits() -> None:
    spec = dataclasses.replace(load_preset("mobilenet-v3-small"), resolution=32, num_classes=10)
    parts = [
        Part("head.conv", 576, frozenset(["head.conv"]), frozenset(["head.hidden"]), (0.0,) * 576),
        Part("head.hidden", 1024, frozenset(["head.hidden"]), frozenset(), (1.0,) * 1024),
    ]
    budget = Budget(parameters=count_cost(spec).parameters - 100_000)
    choice = choose_widths(spec, parts, budget, divisor=8, ranking="saving")
    for part in parts:
        if choice.widths[part.name] < part.width:
            widths = choice.widths | {part.name: choice.widths[part.name] + 8}
            assert not budget.allows(count_cost(narrowed(spec, layer_widths(parts, widths))))


def test_a_bound_that_holds_takes_nothing_more() -> None:
    """Wide layers of small maps have the parameters, narrow ones of large maps the multiply-adds."""
    spec = dataclasses.replace(load_preset("mobilenet-v3-small"), resolution=24, num_classes=10)
    model = lived_in(spec)
    found = find_units(model)
    scores = score_channels(model, found.units, "taylor", [batch_of(spec, seed=1)])
    parts = [part_of(unit, scores[unit.name]) for unit in found.units]
    whole = count_cost(spec)
    alone = [
        Budget(multiply_adds=whole.multiply_adds // 2),
        Budget(parameters=int(whole.parameters * 0.4)),
    ]
    both = Budget(multiply_adds=alone[0].multiply_adds, parameters=alone[1].parameters)
    ways = [choose_widths(spec, parts, one, divisor=8, ranking="saving") for one in (*alone, both)]
    cost = count_cost(ways[2].spec)
    assert both.allows(cost)
    assert cost.parameters > 0.8 * int(whole.parameters * 0.4)
    assert cost.multiply_adds > 0.75 * (whole.multiply_adds // 2)


def test_prices_of_bounds_are_of_those_that_do_not_hold() -> None:
    whole = Cost(multiply_adds=100, parameters=10, activations=10)
    assert prices_of(whole, Budget(multiply_adds=50, parameters=10)) == [{"multiply_adds": 1.0}]
    two = prices_of(whole, Budget(multiply_adds=50, parameters=5))
    assert two[0] == {"multiply_adds": 0.5, "parameters": 0.5}
    assert {"multiply_adds": 1.0, "parameters": 0.0} in two
    three = prices_of(whole, Budget(multiply_adds=50, parameters=5, activations=5))
    assert (len(two), len(three)) == (9, 15)
    assert all(sum(one.values()) == 1 for one in (*two, *three))


@pytest.mark.parametrize(
    ("width", "divisor", "below"),
    [
        (32, 8, [24, 16, 8]),
        (20, 8, [16, 8]),
        (8, 8, []),
        (4, 8, []),
        (5, 1, [4, 3, 2, 1]),
        (640, 80, [560, 480, 400, 320, 240, 160, 80]),
    ],
)
def test_widths_come_down_in_multiples_to_an_eighth(width: int, divisor: int, below: list[int]) -> None:
    assert widths_below(width, divisor) == below


@pytest.mark.slow
def test_an_eighth_of_what_there_was_at_first_stays_however_many_steps_there_are() -> None:
    """By one step after another each layer came down to an eighth of an eighth, and so to a single chunk."""
    assert widths_below(72, 8, whole=576) == []
    assert widths_below(144, 8, whole=576) == list(range(136, 71, -8))
    spec = dataclasses.replace(load_preset("mobilenet-v3-small"), resolution=32, num_classes=10)
    cost = count_cost(spec)
    budget = Budget(multiply_adds=cost.multiply_adds // 7, parameters=cost.parameters // 9)
    settings = PruneSettings(importance="magnitude", ranking="saving", num_steps=4, divisor=8)
    batches = [batch_of(spec)]
    pruned = prune_network(lived_in(spec), budget, settings, score_batches=batches, norm_batches=batches)
    assert budget.allows(count_cost(pruned.model.spec))
    before, after = list(widths_of(spec).values()), list(widths_of(pruned.model.spec).values())
    assert all(8 * now >= was for was, now in zip(before, after, strict=True))
    assert min(now / was for was, now in zip(before, after, strict=True)) == 0.125
    assert any("layers keep a fifth of their channels or less, such as" in line for line in pruned.remarks)


def test_a_bound_that_is_not_spent_is_said_with_the_one_that_holds_first() -> None:
    cost = Cost(multiply_adds=80, parameters=100, activations=99)
    budget = Budget(multiply_adds=100, parameters=100, activations=100)
    line = "the bound on FLOPs leaves 20 of 100 unspent: that on params holds first"
    assert unspent_words(cost, budget, ranking="saving") == [line]
    assert unspent_words(cost, budget, ranking="even") == [
        f"{line}; --share global, which chooses layers, may come nearer"
    ]
    assert (
        unspent_words(cost, Budget(multiply_adds=100), ranking="even") == []
    )  # it is as near as chunks allow
    assert unspent_words(cost, Budget(parameters=100, activations=100), ranking="even") == []


def test_layers_that_have_all_but_gone_are_named() -> None:
    before = {"a": 100, "b": 64, "c": 8}
    assert narrow_words(before, {"a": 24, "b": 16, "c": 8}) == []
    (line,) = narrow_words(before, {"a": 20, "b": 8, "c": 8})
    assert line.startswith("2 of 3 layers keep a fifth of their channels or less, such as b, 64 > 8 ")


def test_steps_come_down_by_equal_shares_to_the_budget_itself() -> None:
    start = Cost(multiply_adds=1_600, parameters=100, activations=1)
    budget = Budget(multiply_adds=100, parameters=200)
    bounds = [budget_of_step(budget, start, step, 4) for step in (1, 2, 3, 4)]
    assert [one.multiply_adds for one in bounds] == [800, 400, 200, 100]
    assert {one.parameters for one in bounds} == {200}


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'effsearch\[prune\]'"):
        require_torch_pruning()
