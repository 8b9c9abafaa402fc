"""Which options may be named in a call, and of which type?

For type checkers and editors. What an option means, its default and its bounds are declared with the command of that
name; the tests hold that both have the same names.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict  # Any: images of any library, what a training loop gives

from effsearch.space.budget import Budget
from effsearch.space.coefficients import ScalingCoefficients
from effsearch.space.search_space import SearchSpace

PathName = str | PathLike[str]
Images = str | PathLike[str] | Sequence[Any] | Mapping[str, Any] | Callable[[], Any]
Space = str | PathLike[str] | Mapping[str, Any] | SearchSpace
Budgets = str | Budget | Sequence[Budget]
Numbers = str | float | Sequence[float]
TrainFunction = Callable[..., Any]  # (ModelSpec, Fidelity, seed, ImageData) -> accuracy in [0, 1]


class PlacementOptions(TypedDict, total=False):
    """Where trainings run."""

    workers: int | None
    engine: Literal["local", "ray", "inline"]
    address: str | None
    trial_timeout: float | None  # minutes
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    gpu_share: float | None
    cpus_per_trial: float | None


class ProxyOptions(PlacementOptions, total=False):
    """On what short trainings are done."""

    seed: int
    run: PathName | None
    proxy_resolution: int | None  # pixels
    min_map: int | None  # pixels
    images: int | None
    epochs: int | None


class BaselineOptions(ProxyOptions, total=False):
    """Of `baseline`."""

    budget: Budgets | None
    max_params: str | int | None
    max_activations: str | int | None
    max_latency: str | None  # such as "5ms"
    latency_table: PathName | None
    space: Space
    data: Images
    trials: int | None
    minutes: float | None
    resolution: int | None  # pixels
    classes: int | None
    objective: Literal["accuracy", "reward"]
    reward_exponent: float
    step_time_exponent: float
    params_exponent: float
    multi_objective: Literal["flops", "params", "activations", "latency"] | None
    sampler: Literal["thompson", "tpe", "random", "nsga2", "gp", "evolution"]
    screen: Literal["auto", "supernet", "zero-cost", "off"]
    screen_minutes: float | None
    rungs: int | None
    reduction: int
    warm_start: PathName | None
    anchors: bool
    finalists: int
    seeds: int
    proxy_width: float | None
    train_fn: TrainFunction | None
    storage: str | None


class ScaleOptions(ProxyOptions, total=False):
    """Of `scale`."""

    phi: Numbers | None
    rule: Literal["strict", "official", "solve", "dwr"]
    coefficients: str | Sequence[float] | ScalingCoefficients | None
    budgets: Budgets | None
    dwr_exponent: float
    divisor: int
    floor: bool
    fix_stem_head: bool
    resolution_multiple: int
    max_resolution: int | None  # pixels
    search: Literal["grid", "random"]
    grid_step: float
    tolerance: float
    data: Images | None
    trials: int | None
    minutes: float | None
    seeds: int
    check: bool
    resolution: int | None  # pixels
    classes: int | None
    proxy_width: float | None
    train_fn: TrainFunction | None
    out: PathName | None
    storage: str | None


class AblateOptions(ProxyOptions, total=False):
    """Of `ablate`."""

    factor: Numbers
    arms: str | Sequence[str]
    coefficients: str | PathName | Sequence[float] | None
    data: Images | None
    seeds: int
    longer: int
    minutes: float | None
    tolerance: float


class TrainOptions(TypedDict, total=False):
    """Of `train`."""

    data: Images | None
    recipe: Literal["efficientnet", "efficientnetv2", "fast"]
    epochs: int | None
    batch_size: int | None
    lr: float | None
    resolution: int | None  # pixels
    accumulate: int
    init: PathName | None
    tensorboard: bool
    seed: int
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    run: PathName | None


class PruneOptions(TypedDict, total=False):
    """Of `prune`."""

    budget: str | Budget | None
    max_params: str | int | None
    max_activations: str | int | None
    weights: PathName | None
    data: Images | None
    importance: Literal["taylor", "magnitude", "bn"]
    share: Literal["even", "global"]
    steps: int
    divisor: int
    recipe: Literal["efficientnet", "efficientnetv2", "fast"]
    epochs: int | None
    batch_size: int | None
    lr: float | None
    seed: int
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    run: PathName | None


class ExportOptions(TypedDict, total=False):
    """Of `export`."""

    to: Literal["torch", "safetensors", "onnx", "onnx-int8", "timm", "torchvision", "pycls"]
    out: PathName | None
    weights: PathName | None
    seed: int
    features: bool
    data: Images | None
    calibration_images: int | None


class ValidateOptions(PlacementOptions, total=False):
    """Of `validate`."""

    of: Literal["trainings", "screening"]
    factor: int
    networks: int
    minutes: float | None
    stop_at: float | None
    seed: int | None
    train_fn: TrainFunction | None
