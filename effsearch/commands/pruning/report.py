"""What has a pruning come to, in numbers and widths?"""

from collections.abc import Sequence
from typing import Any

from effsearch.commands.pruning.plan import PrunePlan
from effsearch.commands.training.report import make_report as make_train_report
from effsearch.commands.training.settled import TrainPlan
from effsearch.proxy_train.device import Compute
from effsearch.proxy_train.full.checkpoint import EpochRow
from effsearch.proxy_train.full.group import ALONE
from effsearch.proxy_train.full.score import FullScore
from effsearch.results.run_dir import RunDir
from effsearch.space.layers import layers
from effsearch.space.narrowing import INNER, has_width, name_of
from effsearch.space.spec import ModelSpec

INNER_NAMES = {*INNER.values(), "conv1"}
NOT_OUTPUTS = {"squeeze", "excite", "shortcut"}


def make_report(
    run: RunDir,
    plan: PrunePlan,
    train: TrainPlan,
    record: dict[str, Any],
    rows: Sequence[EpochRow],
    test: FullScore,
    compute: Compute,
) -> dict[str, Any]:
    """Give what a pruning came to, as JSON values: a training's report, and what was before it."""
    report = make_train_report(run, train, rows, test, None, None, compute, ALONE)
    best = report["best"]["accuracy"]
    notes = [
        *report["notes"],
        *record.get("remarks", []),
    ]  # which a pruning from before they were made has none of
    if best < record["right_after"]["accuracy"]:
        notes.append(
            "the training afterwards has lost validation accuracy: give more --epochs or a lower --lr; the weights "
            "from before it are checkpoints/pruned.safetensors"
        )
    return report | {
        "notes": notes,
        "source": {"network": plan.base.name, "weights": str(plan.weights)},
        "budget": plan.budget.limits(),
        "importance": plan.settings.importance,
        "share": "even" if plan.settings.ranking == "even" else "global",
        "steps": plan.settings.num_steps,
        "divisor": plan.settings.divisor,
        **record,
    }


def width_rows(before: ModelSpec, after: ModelSpec) -> list[dict[str, Any]]:
    """Give the widths of stem, blocks and head before and after, as JSON values; blocks are named as they were.

    `inner` is the expanded width of a block, `squeezed` that of its squeeze-excite; None where it has none.
    """
    found: dict[str, dict[str, Any]] = {}
    kinds = {
        f"stages.{stage_index}.{block_index}": block.kind
        for stage_index, stage in enumerate(before.stages)
        for block_index, block in enumerate(stage.blocks)
    }
    pairs = [pair for pair in zip(layers(before), layers(after), strict=True) if has_width(pair[0])]
    num_main = {
        scope: sum(old.scope == scope and old.name not in NOT_OUTPUTS for old, _ in pairs)
        for scope in {old.scope for old, _ in pairs}
    }
    for old, new in pairs:
        if name_of(old) == "head.classifier":
            continue
        scope = name_of(old) if old.scope == "head" else old.scope
        row = found.setdefault(
            scope,
            {"part": scope, "kind": kinds.get(scope, ""), "inner": None, "squeezed": None, "out": None},
        )
        widths = [old.out_channels, new.out_channels]
        if old.name == "squeeze":
            row["squeezed"] = widths
        elif old.name in INNER_NAMES and num_main[old.scope] > 1 and row["inner"] is None:
            row["inner"] = widths
        elif old.name not in NOT_OUTPUTS:
            row["out"] = widths  # the last layer's stays
    return list(found.values())
