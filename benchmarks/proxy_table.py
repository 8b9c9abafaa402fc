"""What do the records of `proxy_rank` come to? Taus with intervals, a page and a plot.

Each record of results/proxy_rank.jsonl is one network under one method: `method`, `split`, `key`, `score` (higher is
better, null where there is none), `core_seconds`, `once_core_seconds` and, where the network was trained, `accuracy`.
Methods are shown in families by their names: `train-...`, `supernet-...`, and all others, which train nothing.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from macro_data import MacroNetwork, Population, Split, load_table, ordered_keys, sample_keys
from matplotlib.figure import Figure
from recording import read_records
from scipy.stats import rankdata

from effsearch.results.plots.style import DARK_COLOURS, GRID, MUTED, SERIES_MARKERS
from effsearch.search.screening.screen_prior import NASWOT_WEIGHT, FloatArray
from effsearch.search.validating.correlation import Correlation, correlate_kendall

NAME = "proxy_rank"
POPULATIONS: tuple[Population, ...] = ("all", "band", "everything")
SPLITS: tuple[Split, ...] = ("held_out", "tuning")

NUM_CHEAP = 200  # networks of each population where a score costs under 2 seconds
MIN_NETWORKS = 10  # for a tau to be shown
NUM_SCREENED = 1_000  # networks whose screening the plot counts
COUNTS: Mapping[
    str, Callable[[MacroNetwork], int]
] = {  # for a few microseconds each: benchmarks/bench_screening.py
    "blocks": lambda network: network.num_blocks,
    "FLOPs": lambda network: network.multiply_adds,
    "params": lambda network: network.parameters,
}
KINDS = ("no training", "short training", "supernet", "rank sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What one method says of some networks, and what it took."""

    name: str
    scores: Mapping[str, float]  # by canonical key; minus infinity where the network could not be scored
    core_seconds: float  # mean for a network
    once_core_seconds: float = 0.0


def read_methods() -> list[Method]:
    """Give all methods that have records, and the combinations of them."""
    methods: dict[str, Method] = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in read_records(NAME):
        if "key" in record:
            groups.setdefault(record["method"], []).append(record)
    for name, records in groups.items():
        methods[name] = Method(
            name=name,
            scores={record["key"]: _number(record["score"]) for record in records},
            core_seconds=statistics.fmean(record["core_seconds"] for record in records),
            once_core_seconds=max(record["once_core_seconds"] for record in records),
        )
        if any("accuracy" in record for record in records):
            accuracies = {record["key"]: _number(record.get("accuracy")) for record in records}
            methods[f"{name}, by accuracy"] = replace(
                methods[name], name=f"{name}, by accuracy", scores=accuracies
            )
    if naswot := read_naswot():
        methods["naswot"] = naswot
    for name, count in COUNTS.items():
        counts = {key: float(count(network)) for key, network in load_table().items()}
        methods[name] = Method(name=name, scores=counts, core_seconds=0.0)
    ordered = sorted(methods.values(), key=lambda method: (KINDS.index(kind_of(method.name)), method.name))
    return ordered + combine_methods(methods)


def read_naswot() -> Method | None:
    """Give NASWOT from its own file."""
    records = read_records("naswot")
    scores = {record["key"]: _number(record["naswot"]) for record in records if "key" in record}
    timed = [record for record in records if record.get("networks")]
    if not scores or not timed:
        return None
    seconds = sum(record["core_seconds"] for record in timed) / sum(record["networks"] for record in timed)
    return Method(name="naswot", scores=scores, core_seconds=seconds)


def combine_methods(methods: Mapping[str, Method]) -> list[Method]:
    """Give the rank sums of NASWOT with the number of blocks, and of whatever learns with one or both of them."""
    extras = [methods[name] for name in ("naswot", "blocks") if name in methods]
    if len(extras) < 2:
        return []
    combined = [rank_sum(extras)]
    for name, method in methods.items():
        if kind_of(name) in ("short training", "supernet") and not name.endswith("by accuracy"):
            combined += [rank_sum([method, extras[0]]), rank_sum([method, *extras])]
        if kind_of(name) == "supernet" and not name.endswith("by accuracy"):
            combined.append(as_searched(method, extras[0]))
    return combined


def as_searched(supernet: Method, naswot: Method) -> Method:
    """Give what a search makes of both: deviations of the one and `NASWOT_WEIGHT` times those of the other."""
    keys = sorted(set(supernet.scores) & set(naswot.scores))

    def deviations(method: Method) -> FloatArray:
        values = np.asarray([method.scores[key] for key in keys])
        return np.asarray((values - values.mean()) / values.std())

    joined = deviations(supernet) + NASWOT_WEIGHT * deviations(naswot)
    return Method(
        name=f"{supernet.name} + {NASWOT_WEIGHT:g} naswot",
        scores=dict(zip(keys, joined.tolist(), strict=True)),
        core_seconds=supernet.core_seconds + naswot.core_seconds,
        once_core_seconds=supernet.once_core_seconds,
    )


def rank_sum(parts: Sequence[Method]) -> Method:
    """Give the sum of the ranks among the networks that all parts have scored."""
    keys = sorted(set.intersection(*(set(part.scores) for part in parts)))
    ranks = sum(rankdata([part.scores[key] for key in keys]) for part in parts)
    return Method(
        name=" + ".join(part.name for part in parts),
        scores=dict(zip(keys, np.asarray(ranks).tolist(), strict=True)) if keys else {},
        core_seconds=sum(part.core_seconds for part in parts),
        once_core_seconds=sum(part.once_core_seconds for part in parts),
    )


def kind_of(method: str) -> str:
    """Give the family that a method is shown in."""
    if " + " in method:
        return "rank sum"
    if method.startswith("train-"):
        return "short training"
    return "supernet" if method.startswith("supernet") else "no training"


def _number(value: float | None) -> float:
    return -math.inf if value is None else float(value)


# ---- table ----


@dataclass(frozen=True, slots=True)
class Tau:
    """Kendall's tau over some networks."""

    correlation: Correlation
    num_networks: int

    def __str__(self) -> str:
        one = self.correlation
        return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}] ({self.num_networks})"


def tau_of(method: Method, split: Split, population: Population) -> Tau | None:
    """Give tau over the beginning of a population's order that a method has scored without a gap."""
    keys: list[str] = []
    for key in sample_keys(split, population, NUM_CHEAP):
        if key not in method.scores:
            break
        keys.append(key)
    if len(keys) < MIN_NETWORKS:
        return None
    scores = np.array([method.scores[key] for key in keys])
    truth = np.array([load_table()[key].mean_accuracy for key in keys])
    return Tau(correlate_kendall(scores, truth), len(keys))


def tau_of_full_training(split: Split, population: Population) -> Tau:
    """Give what one full training of 50 epochs tells about the mean of two others: the mean of the three ways."""
    keys = sample_keys(split, population, NUM_CHEAP)
    runs = np.array([load_table()[key].runs for key in keys])
    ways = [correlate_kendall(runs[:, one], np.delete(runs, one, axis=1).mean(axis=1)) for one in range(3)]
    means = {name: statistics.fmean(getattr(way, name) for way in ways) for name in ("value", "low", "high")}
    return Tau(Correlation(**means), len(keys))


def format_table(methods: Sequence[Method], split: Split) -> str:
    """Give the markdown table of one split."""
    populations = [
        population for population in POPULATIONS if split == "held_out" or population != "everything"
    ]
    heads = ["method", "core-s once", "core-s a network", *populations]
    lines = ["| " + " | ".join(heads) + " |", "|---|---:|---:|" + "---|" * len(populations)]
    full = [str(tau_of_full_training(split, population)) for population in populations]
    lines.append("| " + " | ".join(["one full training (50 epochs)", "", "", *full]) + " |")
    for method in methods:
        taus = [tau_of(method, split, population) for population in populations]
        if any(taus):
            once = f"{method.once_core_seconds:,.0f}"
            cells = [
                method.name,
                once,
                f"{method.core_seconds:.2g}" if method.core_seconds < 10 else f"{method.core_seconds:.0f}",
            ]
            lines.append("| " + " | ".join([*cells, *(str(tau or "") for tau in taus)]) + " |")
    return "\n".join(lines)


def format_page(methods: Sequence[Method]) -> str:
    """Give the page of docs/proxy_rank.md."""
    sizes = {(s, p): len(ordered_keys(s, p)) for s in SPLITS for p in POPULATIONS}
    machine = next((record for record in read_records("naswot") if "cpu" in record), {})
    versions = machine.get("versions", {})
    return f"""# How well does a cheap proxy rank networks?

Kendall's tau with the true mean accuracy of NAS-Bench-Macro networks, its 95 per cent interval (bootstrap over the
networks) and how many networks. `benchmarks/proxy_rank.py table` writes this page from `benchmarks/results/`.
Core-seconds are CPU time on one thread ({machine.get("cpu", "unknown CPU")}, torch {versions.get("torch", "?")}):
those spent once for all networks, and those for each.

The truth is the mean test accuracy over all trainings of a network: three for each key of the table that encodes it.
Settings were chosen on {sizes["tuning", "all"]:,} tuning networks: all at or below 50 M multiply-adds, and half of
the others by a hash of the key. What is reported is the other half:

- `all`: held-out networks, {sizes["held_out", "all"]:,} in all; every one of them costs more than 50 M.
- `band`: held-out networks above 50 and up to 60 M, {sizes["held_out", "band"]:,} in all.
- `everything`: the whole table, {sizes["held_out", "everything"]:,} networks, of which the tuning networks are part:
  for comparison only.

Every method is measured on the first networks of one order, drawn once; {NUM_CHEAP} at most. `one full training` is
what one of the table's own trainings tells about the mean of the two others. Networks that were trained are scored by
the negative cross-entropy on validation images unless accuracy is said. `+` adds ranks among all networks that each
part has scored.

{format_table(methods, "held_out")}

On the tuning networks, on which choices were made (`band`: {sizes["tuning", "band"]:,}):

{format_table(methods, "tuning")}
"""


# ---- plot ----


def draw(methods: Sequence[Method]) -> Figure:
    """Draw tau against the core-seconds that screening 1,000 networks takes, held-out networks.

    Numbers mark the methods that no cheaper one is as good as; their names stand below.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axis, population, title in zip(panels, ("all", "band"), ("above 50 M", "50 to 60 M"), strict=True):
        full = tau_of_full_training("held_out", population).correlation.value
        axis.axhline(full, color=MUTED, linestyle="--", linewidth=1)
        axis.annotate("one full training", (0.01, full), xycoords=("axes fraction", "data"), va="bottom")
        names: list[str] = []
        best = -1.0
        for price, one, method in priced_taus(methods, population):
            kind = KINDS.index(kind_of(method.name))
            axis.errorbar(
                price,
                one.value,
                yerr=[[one.value - one.low], [one.high - one.value]],
                color=DARK_COLOURS[kind],
                marker=SERIES_MARKERS[kind],
                elinewidth=0.8,
            )
            if one.value > best:
                best = one.value
                names.append(f"{len(names) + 1}  {method.name}")
                place = {"xytext": (6, 3), "textcoords": "offset points"}
                axis.annotate(str(len(names)), (price, one.value), weight="bold", **place)
        axis.set_xscale("log")
        axis.set_xlabel(f"core-seconds to screen {NUM_SCREENED:,} networks\n\n" + "\n".join(names))
        axis.set_title(f"Held-out networks, {title}")
        axis.grid(color=GRID)
    panels[0].set_ylabel("Kendall's tau with the true accuracy")
    for index, kind in enumerate(KINDS):
        panels[1].plot([], [], SERIES_MARKERS[index], color=DARK_COLOURS[index], label=kind)
    figure.legend(loc="outside upper center", ncols=len(KINDS), frameon=False)
    return figure


def priced_taus(methods: Sequence[Method], population: Population) -> list[tuple[float, Correlation, Method]]:
    """Give price, tau and method of all that are drawn, the cheapest first and of equals the best first."""
    found = []
    for method in methods:
        tau = tau_of(method, "held_out", population)
        if tau is not None and not method.name.endswith("by accuracy"):
            price = method.once_core_seconds + NUM_SCREENED * method.core_seconds
            found.append((max(1.0, price), tau.correlation, method))  # the axis is logarithmic
    return sorted(found, key=lambda one: (one[0], -one[1].value))
