"""What is written down about one finished evaluation?"""

import difflib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, get_args

from effsearch.results.json_files import to_json_text
from effsearch.results.user_names import to_field_names, to_user_names
from effsearch.space.outcome import EvaluationKind, Precision

SCHEMA_VERSION = 1

CONTINUES = (
    "continues"  # the one field of a fidelity that is no number: the fidelity whose weights it goes on from
)
MOST_STAGES = 16
FidelityRecord = Mapping[str, Any]  # Any: a number, or under `CONTINUES` such a record


class ScoreKey(NamedTuple):
    """All that a score depends on; a key that succeeded is never computed again."""

    network_hash: str
    data_fingerprint: str
    settings_hash: str
    fidelity: str
    seed: int


def score_key(
    network_hash: str,
    *,
    data_fingerprint: str,
    settings_hash: str,
    fidelity: FidelityRecord,
    seed: int,
) -> ScoreKey:
    """The key to look up before training; fidelities that are equal as numbers (1 and 1.0) share a key."""
    text = json.dumps(_as_floats(fidelity), sort_keys=True, allow_nan=False)
    return ScoreKey(network_hash, data_fingerprint, settings_hash, text, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One finished evaluation: a score, or the reason why there is none.

    Costs are at the target resolution. `fidelity` holds plain numbers by field name, and the fidelity that it
    continues, if it does; `point` the parameters of the search space (empty for a network that is no point of it),
    `coefficients` alpha, beta and gamma where they were what was tried, `spec` the network in its text form as a JSON
    object.
    """

    kind: EvaluationKind
    name: str  # for people: "trial 12", "efficientnet-b0 (phi -2.1)"
    network_hash: str
    data_fingerprint: str
    settings_hash: str
    fidelity: FidelityRecord
    seed: int
    replicate: int
    multiply_adds: int
    parameters: int
    activations: int
    val_accuracy: float | None  # in [0, 1]; None after a failure
    val_loss: float | None
    train_seconds: float
    failure: str  # "" when it succeeded
    point: Mapping[str, str | int | float]
    coefficients: Mapping[str, float]
    spec: Mapping[str, Any]  # Any: JSON; empty for a screening, whose point says all
    time: str  # ISO 8601, UTC
    features: Mapping[str, float] = field(default_factory=dict)  # known without a separate training
    batch_share: float = 1.0  # of the run's batch; less where memory ran out, and `settings_hash` says so too
    used_kernels: bool | None = None  # in training, by its worker's word; None from before workers said so
    precision: Precision | None = None  # that convolutions had in training; None from before workers said so
    from_checkpoint: bool | None = None  # of a continued fidelity: whether only its last stage was trained

    def __post_init__(self) -> None:
        if self.kind not in get_args(EvaluationKind):
            raise ValueError(
                f"kind must be one of {', '.join(get_args(EvaluationKind))}, got {self.kind!r:.60}"
            )
        for name in ("name", "network_hash", "data_fingerprint", "settings_hash", "failure", "time"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise ValueError(f"{name} must be a text, got {value!r:.60}")
        for name in ("seed", "replicate", "multiply_adds", "parameters", "activations"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} must be a whole number of at least 0, got {value!r:.60}")
        for name in ("point", "coefficients", "spec", "features"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"{name} must be a mapping, got {getattr(self, name)!r}")
        _check_fidelity(self.fidelity)
        _check_values("point", self.point, (str, int, float))
        _check_values("features", self.features, (int, float))
        _check_values("coefficients", self.coefficients, (int, float))
        if isinstance(self.batch_share, bool) or not 0 < self.batch_share <= 1:
            raise ValueError(f"batch_share must be above 0 and at most 1, got {self.batch_share}")
        if not isinstance(self.used_kernels, bool | None):
            raise ValueError(f"used_kernels must be true or false, got {self.used_kernels!r}")
        if not isinstance(self.from_checkpoint, bool | None):
            raise ValueError(f"from_checkpoint must be true or false, got {self.from_checkpoint!r}")
        if self.precision not in (None, *get_args(Precision)):
            raise ValueError(f"precision must be float32 or bfloat16, got {self.precision!r}")
        if self.failure and self.val_accuracy is not None:
            raise ValueError(f"a failure has no accuracy, got {self.val_accuracy} and {self.failure!r}")
        if not self.failure and self.val_accuracy is None and self.kind != "screen":
            raise ValueError("an evaluation needs an accuracy or the reason of its failure, got neither")
        if self.val_accuracy is not None and not 0.0 <= self.val_accuracy <= 1.0:
            raise ValueError(f"val_accuracy must be in [0, 1], got {self.val_accuracy}")
        if self.val_loss is not None and not math.isfinite(self.val_loss):
            raise ValueError(f"val_loss must be finite, got {self.val_loss}")
        if not (math.isfinite(self.train_seconds) and self.train_seconds >= 0):
            raise ValueError(f"train_seconds must be finite and at least 0, got {self.train_seconds}")

    @property
    def key(self) -> ScoreKey:
        """What this evaluation's score depends on."""
        return score_key(
            self.network_hash,
            data_fingerprint=self.data_fingerprint,
            settings_hash=self.settings_hash,
            fidelity=self.fidelity,
            seed=self.seed,
        )

    @property
    def has_succeeded(self) -> bool:
        """Whether there is a score."""
        return not self.failure


def to_line(entry: LedgerEntry) -> str:
    """The entry as one line of JSON, keys as users know them, newline included."""
    record = to_user_names({one.name: getattr(entry, one.name) for one in fields(entry)})
    if not entry.features:
        del record["features"]
    if entry.batch_share == 1:
        del record["batch_share"]
    for name in ("used_kernels", "precision", "from_checkpoint"):
        if record[name] is None:
            del record[name]
    record["fidelity"] = _named(entry.fidelity, to_user_names)
    return to_json_text({"schema_version": SCHEMA_VERSION, **record}) + "\n"


def from_record(record: object) -> LedgerEntry:
    """The entry behind one parsed line, exactly as `to_line` was given it.

    Raises:
        ValueError: The record is not an entry, says what is wrong with it.
    """
    if not isinstance(record, dict):
        raise ValueError(f"must be a JSON object, got {type(record).__name__}")
    values = to_field_names(record)
    version = values.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"schema_version {version} cannot be read, this effsearch knows {SCHEMA_VERSION}; use a newer one"
        )
    values.setdefault("features", {})  # written only where there are some
    values.setdefault("batch_share", 1.0)  # written only where it was less
    values.setdefault("used_kernels", None)
    values.setdefault("precision", None)
    values.setdefault("from_checkpoint", None)
    known = {one.name for one in fields(LedgerEntry)}
    if missing := sorted(known - set(values)):
        raise ValueError(f"lacks {', '.join(to_user_names(dict.fromkeys(missing)))}")
    if unknown := sorted(set(values) - known):
        near = difflib.get_close_matches(unknown[0], to_user_names(dict.fromkeys(known)), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"has unknown keys {', '.join(unknown)}{hint}")
    if isinstance(values["fidelity"], dict):
        values["fidelity"] = _named(values["fidelity"], to_field_names)
    try:
        return LedgerEntry(**values)
    except TypeError as error:  # a comparison met a value of the wrong type
        raise ValueError(f"holds a value of the wrong type ({error})") from error


def _named(fidelity: FidelityRecord, names: Callable[[FidelityRecord], dict[str, Any]]) -> dict[str, Any]:
    """Give a fidelity under other names, and the one that it continues."""
    record = names(fidelity)
    if isinstance(record.get(CONTINUES), Mapping):
        record[CONTINUES] = _named(record[CONTINUES], names)
    return record


def _as_floats(fidelity: FidelityRecord) -> dict[str, Any]:
    return {
        name: _as_floats(value) if name == CONTINUES else float(value) for name, value in fidelity.items()
    }


def _check_values(name: str, values: Mapping[str, Any], kinds: tuple[type, ...]) -> None:
    for key, value in values.items():
        if not isinstance(value, kinds) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{name}: {key} has a value that none can have, {value!r:.60}")


def _check_fidelity(fidelity: object, num_stages: int = 1) -> None:
    if not isinstance(fidelity, Mapping):
        raise ValueError(f"fidelity must be a mapping, got {fidelity!r}")
    if num_stages > MOST_STAGES:
        raise ValueError(f"fidelity: at most {MOST_STAGES} may continue one another")
    for name, value in fidelity.items():
        if name == CONTINUES:
            _check_fidelity(value, num_stages + 1)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"fidelity: {name} must be a finite number, got {value!r}")
