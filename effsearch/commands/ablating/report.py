"""What is written down about an ablation, and what must be said with it?"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effsearch.commands.ablating.plan import AblationPlan
from effsearch.results.certificate import words_of_run
from effsearch.search.ablation import CONFIDENCE, AblationResult, ArmResult, MeanInterval
from effsearch.space.arms import SINGLE_ARMS, Arm
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.rounding import DIVISORS

MOST_UNSAID = 0.02  # of the width, that a correction may take from a rule's proportions without a word


def make_report(
    plan: AblationPlan, result: AblationResult, *, run: Path, spec_paths: Mapping[str, str], plot_path: Path
) -> dict[str, Any]:
    """Give the result as JSON values."""
    return {
        "run": str(run),
        "base": plan.base.name,
        "data": plan.data,
        "seed": plan.settings.seed,
        "factors": list(plan.settings.factors),
        "coefficients": dataclasses.asdict(plan.coefficients),
        "tolerance": plan.settings.tolerance,
        "fidelity": dataclasses.asdict(plan.fidelity),
        "image_resolution": plan.images.resolution,
        "native_resolution": plan.images.native_resolution,
        "confidence": CONFIDENCE,
        "arms": [_arm_row(plan, one, spec_paths[one.arm.title]) for one in result.arms],
        "trainings": result.num_ended,
        "planned": result.num_planned,
        "failures": result.num_failed,
        "stopped_by": result.stopped_by,
        "certificate": None if plan.base.run is None else words_of_run(plan.base.run),
        "notes": plan_notes(plan) + chance_notes(plan, result),
        "plot": str(plot_path),
    }


def plan_notes(plan: AblationPlan) -> list[str]:
    """Say what a reader must know to read the table right."""
    notes = []
    if plan.upsampled:
        largest = min(plan.images.resolution, plan.images.native_resolution)
        names = ", ".join(f"{arm.title} at {plan.trained_resolution(arm)} px" for arm in plan.upsampled)
        notes.append(
            f"the images are {largest} px, so {names} trains on upsampled ones: gamma is not really measured there"
        )
    for twins in twin_arms(plan):
        names = " and ".join(arm.title for arm in twins)
        notes.append(
            f"{names} come to one network, which is trained once: there is nothing between them to compare"
        )
    if corrected := [arm for arm in plan.arms if arm.width_correction != 1]:
        names = ", ".join(f"{arm.title} width x{arm.width_correction:g}" for arm in corrected)
        notes.append(f"whole blocks or pixels miss the cost, so all widths make up the rest: {names}")
    if bent := [arm for arm in corrected if is_bent(arm)]:
        names = ", ".join(arm.title for arm in bent)
        notes.append(
            f"a width corrected by more than {MOST_UNSAID:.0%} bends the proportions of a rule: read {names} as near "
            "it, not as the rule itself"
        )
    if finer := [arm for arm in plan.arms if arm.divisor != DIVISORS[0]]:
        names = ", ".join(f"{arm.title} of {arm.divisor}" for arm in finer)
        notes.append(f"multiples of {DIVISORS[0]} channels miss the cost, so finer ones are taken: {names}")
    return notes


def twin_arms(plan: AblationPlan) -> list[list[Arm]]:
    """Give the arms that come to one network at one size, where there are several."""
    groups: dict[tuple[str, int], list[Arm]] = {}
    for arm in plan.arms:
        groups.setdefault((network_hash(arm.spec), plan.trained_resolution(arm)), []).append(arm)
    return [arms for arms in groups.values() if len(arms) > 1]


def chance_notes(plan: AblationPlan, result: AblationResult) -> list[str]:
    """Say it where no arm may have learned anything."""
    means = [one.mean.mean for one in result.arms if one.mean is not None]
    chance = plan.images.chance_accuracy
    if not means or max(means) > plan.images.learned_from:
        return []
    return [
        f"no arm is better than naming the commonest class always ({chance:.1%}): nothing was learned, so nothing is "
        "compared; train longer with --images, --epochs or --longer"
    ]


def is_bent(arm: Arm) -> bool:
    """Tell whether the correction of the width has changed the proportions in which an arm grows its dimensions."""
    return arm.name not in SINGLE_ARMS and round(abs(arm.width_correction - 1), 9) > MOST_UNSAID


def _arm_row(plan: AblationPlan, one: ArmResult, spec_path: str) -> dict[str, Any]:
    arm, multipliers = one.arm, one.arm.multipliers
    cost = count_cost(arm.spec)
    return {
        "name": arm.name,
        "factor": arm.factor,
        "multipliers": dataclasses.asdict(multipliers),
        "exponent": arm.exponent,
        "blocks": sum(block.kind != "identity" for stage in arm.spec.stages for block in stage.blocks),
        "divisor": None if multipliers.width == 1 else arm.divisor,
        "width_correction": arm.width_correction,
        "spec_path": spec_path,
        "network_hash": network_hash(arm.spec),
        "trained_multiply_adds": arm.multiply_adds,
        "trained_resolution": one.fidelity.resolution,
        "off": arm.off,
        "is_upsampled": arm in plan.upsampled,
        "multiply_adds": cost.multiply_adds,
        "resolution": arm.spec.resolution,
        "params": cost.parameters,
        "activations": cost.activations,
        "replicates": list(one.accuracies),
        "accuracies": list(one.accuracies.values()),
        "failures": one.num_failed,
        **_interval(one.mean),
        "difference": None
        if one.difference is None
        else {
            "against": one.difference.against,
            **_interval(one.difference.interval),
            "pairs": one.difference.interval.num_values,
        },
    }


def _interval(interval: MeanInterval | None) -> dict[str, float | None]:
    if interval is None:
        return {"mean": None, "low": None, "high": None}
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}
