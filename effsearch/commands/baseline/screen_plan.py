"""What will a search find out before it trains any network by itself, and how long may that take?

A share of the time goes into a supernet of the space and into scoring networks inside the budget with it, the best of
them twice; where there is too little time for one, NASWOT alone is measured.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from effsearch.commands.proxy import step_seconds
from effsearch.commands.watching import minutes_text
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device_names import DeviceKind
from effsearch.proxy_train.supernet_train import SupernetSettings
from effsearch.search.problem import SamplerName
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity, derive_seed
from effsearch.space.small_images import count_removable_strides
from effsearch.space.spec import ModelSpec
from effsearch.space.supernet_work import SupernetPlan

ScreenMode = Literal["auto", "supernet", "zero-cost", "off"]

SUPERNET_SHARE = 0.7  # of the asked time
SECOND_SHARE = 0.06  # of the supernet's time: for second scores of the best networks
NUM_SECOND = 64  # networks that are scored again
LEAST_FOCUS_CORE_SECONDS = 3_600.0  # of a supernet that is trained on for them; see docs/supernet.md
FOCUS_SHARE = 0.25  # of its time, for that
FOCUS_RATE_SHARE = 0.5  # of the learning rate of a fresh supernet
SCORING_SHARE = 0.12  # of the asked time
LEAST_CORE_SECONDS = 240.0  # for a supernet; a younger one ranks no better than counting blocks
ROUND_SECONDS = 45.0
LEAST_ROUNDS = 3  # so that little is lost where it is stopped
START_SECONDS = 8.0  # until workers have loaded what they need
LEAST_MAP = 2  # pixels of the last map at the supernet's size
LEAST_RESOLUTION = 16
MAX_NETWORKS = 4_000
NETWORKS_WITHOUT_TIME = 500  # scored at the most where only --trials bounds a search
NETWORKS_A_TRIAL = 25  # scored for each trial there: NASWOT of so many costs less than one training
CAUTION = 1.15  # a step takes longer beside others than when it was timed


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenPlan:
    """What is screened, and how; stored with the run, because features of the model follow from it."""

    supernet: SupernetPlan
    has_supernet: bool
    num_networks: int
    minutes: float | None  # for the scoring; None: all the networks
    num_second: int = 0  # of the best, that are scored a second time
    second_minutes: float | None = None  # for that scoring; None: all of them
    # How the supernet is trained on for these alone before, and how long that takes; None: not at all.
    focus: SupernetPlan | None = None
    focus_minutes: float | None = None


def check_screen(
    mode: ScreenMode,
    *,
    minutes: float | None,
    screen_minutes: float | None,
    sampler: SamplerName,
    stored: Mapping[str, Any] | None,
) -> None:
    """Refuse, before any image is read, what `plan_screen` could not plan; the arguments are the same.

    Raises:
        UsageError: A supernet was asked for without a time for it, or with one that leaves none for the rest, or a
            screening for a sampler that does not look at it.
    """
    most_minutes = 1e6 if minutes is None else (1 - SCORING_SHARE) * minutes
    if screen_minutes is not None and mode in ("off", "zero-cost"):
        raise UsageError(f"--screen-minutes is for a supernet; leave it out or leave out --screen {mode}")
    if screen_minutes is not None and not 0 < screen_minutes < most_minutes:
        most = "" if minutes is None else f" and below {most_minutes:g}, which is left of --minutes for it"
        raise UsageError(f"--screen-minutes must be above 0{most}, got {screen_minutes:g}")
    if stored is not None:  # which is kept
        return
    if sampler != "thompson" and mode in ("supernet", "zero-cost"):
        raise UsageError(f"--sampler {sampler} does not look at a screening; leave out --screen {mode}")
    if mode == "supernet" and minutes is None and screen_minutes is None:
        raise UsageError("--screen supernet needs a time: give --minutes or --screen-minutes")


def plan_screen(
    mode: ScreenMode,
    images: ImageData,
    examples: list[ModelSpec],
    *,
    has_fixed_strides: bool,
    minutes: float | None,
    screen_minutes: float | None,
    num_trials: int | None,
    num_workers: int,
    device: DeviceKind = "cpu",
    sampler: SamplerName,
    seed: int,
    stored: Mapping[str, Any] | None,
) -> ScreenPlan | None:
    """Say what will be screened; None where nothing is. What was asked has passed `check_screen`.

    Args:
        mode: As the user asked.
        images: The data.
        examples: Networks such as will be drawn, at the target.
        has_fixed_strides: Whether the space keeps its strides.
        minutes: Of the whole search.
        screen_minutes: Asked for the supernet; None takes a share of `minutes`.
        num_trials: Asked for; counts where there are no minutes.
        num_workers: Replicas side by side.
        device: That they train on.
        sampler: Of the search; only our own looks at a screening.
        seed: Of the run.
        stored: Plan of the run that goes on, which is kept.
    """
    if stored is not None:
        return stored_plan(stored)
    if sampler != "thompson" or mode == "off":
        return None
    is_timed = screen_minutes is not None
    if screen_minutes is None and minutes is not None:
        screen_minutes = SUPERNET_SHARE * minutes
    core_seconds = (screen_minutes or 0.0) * 60 * num_workers
    is_asked = mode == "supernet" or (mode == "auto" and is_timed)
    has_supernet = is_asked or (mode == "auto" and core_seconds >= LEAST_CORE_SECONDS)
    supernet = SupernetPlan(
        fidelity=_fidelity(images, examples[0], has_fixed_strides=has_fixed_strides),
        num_steps=1,
        num_rounds=1,
        num_replicas=num_workers if has_supernet else 1,
        sharing="sliced",
        seed=seed,
    )
    focus = focus_minutes = second_minutes = None
    if has_supernet:
        step = CAUTION * step_seconds(
            examples, supernet.fidelity, images, batch_size=SupernetSettings().batch_size, device=device
        )
        seconds = max(0.0, (screen_minutes or 0.0) * 60 - START_SECONDS)
        second_minutes = SECOND_SHARE * seconds / 60
        share = 1 - SECOND_SHARE
        if core_seconds >= LEAST_FOCUS_CORE_SECONDS:
            trained_on = dataclasses.replace(
                supernet, seed=derive_seed(seed, "focus", 0), rate_share=FOCUS_RATE_SHARE
            )
            focus_minutes = FOCUS_SHARE * seconds / 60
            focus = _filling(trained_on, 60 * focus_minutes, seconds_per_step=step)
            share -= FOCUS_SHARE
        supernet = _filling(supernet, share * seconds, seconds_per_step=step)
    return ScreenPlan(
        supernet=supernet,
        has_supernet=has_supernet,
        num_networks=MAX_NETWORKS
        if minutes is not None
        else min(NETWORKS_WITHOUT_TIME, NETWORKS_A_TRIAL * (num_trials or 1)),
        minutes=None if minutes is None else SCORING_SHARE * minutes,
        num_second=NUM_SECOND if has_supernet else 0,
        second_minutes=None if minutes is None else second_minutes,
        focus=focus,
        focus_minutes=focus_minutes,
    )


def stored_plan(stored: Mapping[str, Any]) -> ScreenPlan:
    """Give the plan that a run's settings hold."""
    focus = stored.get("focus")  # runs from before there was any have none
    plans = {
        "supernet": _stored_supernet(stored["supernet"]),
        "focus": None if focus is None else _stored_supernet(focus),
    }
    return ScreenPlan(**{**stored, **plans})


def stored_form(plan: ScreenPlan) -> dict[str, Any]:
    """Give what settings hold of a plan: what earlier versions had not, only where it is not the default."""
    form = _without_defaults(plan)
    plans = {"supernet": plan.supernet, "focus": plan.focus}
    return form | {name: _without_defaults(one) for name, one in plans.items() if one is not None}


def _without_defaults(plan: ScreenPlan | SupernetPlan) -> dict[str, Any]:
    defaults = {one.name: one.default for one in dataclasses.fields(plan)}
    return {name: value for name, value in dataclasses.asdict(plan).items() if value != defaults[name]}


def _stored_supernet(stored: Mapping[str, Any]) -> SupernetPlan:
    return SupernetPlan(**{**stored, "fidelity": Fidelity(**stored["fidelity"])})


def _filling(plan: SupernetPlan, seconds: float, *, seconds_per_step: float) -> SupernetPlan:
    """Give a plan as many steps as fit into a time, and rounds of `ROUND_SECONDS`."""
    num_steps = max(1, int(seconds / seconds_per_step))
    num_rounds = min(num_steps, max(LEAST_ROUNDS, round(seconds / ROUND_SECONDS)))
    return dataclasses.replace(plan, num_steps=num_steps, num_rounds=num_rounds)


def minutes_after(
    plan: ScreenPlan | None, minutes: float | None, *, screen_minutes: float | None
) -> float | None:
    """Give what a screening is meant to leave of a search's time; arguments as in `plan_screen`."""
    if plan is None or minutes is None:
        return minutes
    left = (1 - SCORING_SHARE) * minutes
    if plan.has_supernet:
        left -= SUPERNET_SHARE * minutes if screen_minutes is None else screen_minutes
    return max(0.0, left)


def describe_screen(plan: ScreenPlan | None) -> str:
    """Say what is screened, in one line."""
    if plan is None:
        return "screening: none"
    if not plan.has_supernet:
        return f"screening: NASWOT of up to {plan.num_networks:,} networks, no supernet"
    net = plan.supernet
    text = (
        f"screening: a supernet at {net.fidelity.resolution} px, {net.num_steps:,} steps on each of "
        f"{net.num_replicas} replica(s)"
    )
    if plan.minutes is not None:
        text += f", then {minutes_text(plan.minutes * 60)} of scoring"
    if plan.focus is not None:
        text += f", then {plan.focus.num_steps:,} steps for the best {plan.num_second} alone"
    if plan.num_second:
        text += (
            f", then a second look at {'them' if plan.focus is not None else f'the best {plan.num_second}'}"
        )
    return text


def _fidelity(images: ImageData, example: ModelSpec, *, has_fixed_strides: bool) -> Fidelity:
    """Give the size that a supernet trains at: half the proxy's, and with it as many strides less."""
    resolution = max(min(LEAST_RESOLUTION, images.resolution), images.resolution // 2)
    num_removed = 0
    if not has_fixed_strides:
        num_removed = count_removable_strides(example, resolution=resolution, min_map=LEAST_MAP)
    return Fidelity(
        num_images=len(images.train), num_epochs=1, resolution=resolution, num_removed_strides=num_removed
    )
