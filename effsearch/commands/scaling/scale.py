"""effsearch scale: grow a network to a family, by coefficients that are given or searched."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from effsearch.commands.inputs import Base, read_base
from effsearch.commands.scaling.options import ScaleOptions
from effsearch.commands.watching import Watcher
from effsearch.results.certificate import words_of_run
from effsearch.results.json_files import write_json
from effsearch.results.run_files import FAMILY_RECORD
from effsearch.results.spec_files import write_spec_file
from effsearch.space.budget import parse_budgets, short_count
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients, parse_coefficients
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, SpecError, UsageError
from effsearch.space.family import (
    FamilyMember,
    dwr_family,
    dwr_ray,
    official_family,
    solved_family,
    strict_family,
)
from effsearch.space.scaling import DEFAULT_RULES
from effsearch.space.spec import ModelSpec
from effsearch.space.text import to_json

NUM_STEPS = 121  # of the curve of costs over phi
OFF_BY_SOLVED = 0.02  # the same for networks that were to meet a cost
OFF_BY = 0.1  # built cost further from nominal than this is said


def run_scale(options: ScaleOptions, watcher: Watcher) -> dict[str, Any]:
    """Give the family as JSON values, after its spec files are written.

    Raises:
        EffsearchError: The base, the coefficients or a directory cannot be used.
    """
    base = _read_base(options)
    certificate = (
        None if base.run is None else words_of_run(base.run)
    )  # may be unreadable: before any training
    out = options.out or (base.run / "family" if base.run else Path(f"{base.name}-family"))
    coefficients: ScalingCoefficients | None = None
    searched: dict[str, Any] = {}
    notes: list[str] = []
    if options.coefficients is not None and options.needs_coefficients:
        coefficients = parse_coefficients(options.coefficients, tolerance=options.tolerance)
    elif options.coefficients is not None:
        notes.append(
            f"--coefficients {options.coefficients} are ignored: the {options.rule} rule has its own"
        )
    # What is out of reach is said before anything is trained.
    members = make_family(base, coefficients or PAPER_COEFFICIENTS, options)
    _require_writable(out)
    if coefficients is None and options.needs_coefficients:
        from effsearch.commands.scaling.search import search_for_base

        coefficients, searched = search_for_base(options, base, watcher, family=out / FAMILY_RECORD)
        options, unreachable = within_reach(base, coefficients, options)
        notes += unreachable + searched["warnings"]
        members = make_family(base, coefficients, options)
    rows = [_write_member(member, _name(member, base, options), out) for member in members]
    report = {
        "base": base.name,
        "rule": options.rule,
        "coefficients": None if coefficients is None else dataclasses.asdict(coefficients),
        "dwr_exponent": options.dwr_exponent if options.rule == "dwr" else None,
        "build_rules": dataclasses.asdict(options.build),
        "base_multiply_adds": count_cost(base.spec).multiply_adds,
        "certificate": certificate,
        "family": rows,
        "between": _between(base, coefficients or PAPER_COEFFICIENTS, options),
        "notes": notes + _notes(members, options),
        **searched,
    }
    write_json(out / FAMILY_RECORD, report)
    return report


def within_reach(
    base: Base, coefficients: ScalingCoefficients, options: ScaleOptions
) -> tuple[ScaleOptions, list[str]]:
    """Leave out, by name, what searched coefficients cannot build; the search is not lost for it.

    Raises:
        SpecError: Nothing can be built.
    """
    if options.phis is None:
        return options, []
    phis, notes = [], []
    for phi in options.phis:
        try:
            make_family(base, coefficients, dataclasses.replace(options, phis=[phi]))
            phis.append(phi)
        except SpecError as error:
            if phi == options.phis[-1] and not phis:
                raise
            notes.append(f"phi {phi:g} cannot be built with {coefficients}: {error}")
    return dataclasses.replace(options, phis=phis), notes


def make_family(base: Base, coefficients: ScalingCoefficients, options: ScaleOptions) -> list[FamilyMember]:
    """Give the networks that a rule makes of a base.

    Raises:
        EffsearchError: The rule does not fit the base, or a network is out of reach.
    """
    spec, phis, rules = base.spec, list(options.phis or ()), options.build
    if options.rule == "official":
        if rules != DEFAULT_RULES:
            raise UsageError(
                "--rule official gives the published networks: leave out what changes how they are built"
            )
        return official_family(spec, phis)
    if options.rule == "dwr":
        if options.budgets is None:
            return dwr_family(spec, phis, rules, exponent=options.dwr_exponent)
        return solved_family(spec, dwr_ray(options.dwr_exponent), _targets(spec, options), rules)
    if options.rule == "solve":
        return solved_family(spec, coefficients.multipliers, _targets(spec, options), rules)
    return strict_family(spec, coefficients, phis, rules)


def _between(
    base: Base, coefficients: ScalingCoefficients, options: ScaleOptions
) -> list[tuple[float, int, int]]:
    """Give phi, nominal and built cost in small steps, for the picture; nothing for rules that know no such."""
    if options.rule not in ("strict", "dwr") or options.phis is None or len(options.phis) < 2:
        return []
    steps = np.linspace(options.phis[0], options.phis[-1], NUM_STEPS).tolist()
    members = make_family(base, coefficients, dataclasses.replace(options, phis=steps))
    return [
        (round(member.phi, 4), round(member.nominal_multiply_adds), member.cost.multiply_adds)
        for member in members
    ]


def _targets(spec: ModelSpec, options: ScaleOptions) -> list[float]:
    if options.budgets is None:
        return [count_cost(spec).multiply_adds * 2.0**phi for phi in options.phis or ()]
    budgets = parse_budgets(options.budgets)
    if any(budget.multiply_adds is None for budget in budgets):
        raise UsageError(f"--budgets must be in FLOPs, such as 800M,1.6G-FLOPs, got {options.budgets}")
    return [float(budget.multiply_adds or 0) for budget in budgets]


def _read_base(options: ScaleOptions) -> Base:
    base = read_base(options.base, runs_root=options.runs_root)
    spec = dataclasses.replace(
        base.spec,
        num_classes=options.num_classes or base.spec.num_classes,
        resolution=options.resolution or base.spec.resolution,
    )
    cap = options.build.max_resolution
    if cap is not None and cap < spec.resolution:
        raise UsageError(
            f"--max-resolution {cap} is below the base's {spec.resolution}; raise it or lower --resolution"
        )
    return dataclasses.replace(base, spec=spec)


def _notes(members: Sequence[FamilyMember], options: ScaleOptions) -> list[str]:
    """Say where built costs are far from what the rule promises, and what to do."""
    worst = max(members, key=lambda member: abs(member.off))
    meets = options.rule == "solve" or options.budgets is not None
    if abs(worst.off) <= (OFF_BY_SOLVED if meets else OFF_BY):
        return []
    text = f"built cost is up to {abs(worst.off):.0%} off the rule's promise (phi {worst.phi:.3g})"
    if meets:
        capped = any(member.spec.resolution == options.build.max_resolution for member in members)
        return [
            f"{text}: --max-resolution keeps it from coming nearer"
            if capped
            else f"{text}: this base is too small to come nearer; a smaller --divisor may help"
        ]
    text += ": repeats round up, and channels go to multiples"
    ways = {"strict": "; --rule solve meets it", "dwr": "; with --budgets it meets what you ask for"}
    return [text + ways.get(options.rule, "")]


def _name(member: FamilyMember, base: Base, options: ScaleOptions) -> str:
    if options.budgets is None:
        return f"{base.name}-phi{member.phi:g}"
    return f"{base.name}-{short_count(member.nominal_multiply_adds)}"


def _write_member(member: FamilyMember, name: str, out: Path) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    write_spec_file(path, to_json(member.spec))
    return {
        "name": name,
        "phi": member.phi,
        "exponent": member.exponent,
        "multiply_adds": member.cost.multiply_adds,
        "nominal_multiply_adds": round(member.nominal_multiply_adds),
        "off": member.off,
        "params": member.cost.parameters,
        "activations": member.cost.activations,
        "resolution": member.spec.resolution,
        "depth_coefficient": member.multipliers.depth,
        "width_coefficient": member.multipliers.width,
        "blocks": sum(stage.num_blocks for stage in member.spec.stages),
        "spec_path": str(path),
    }


def _require_writable(out: Path) -> None:
    """Find out before any training whether the family can be written at the end."""
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
        if is_new:  # a search that fails leaves no empty folder behind
            out.rmdir()
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror}; give another --out") from None
