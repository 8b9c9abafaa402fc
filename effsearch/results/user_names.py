"""By which names do users know our fields?

Inside, names are exact (`parameters`, `val_accuracy`, `num_trials`); in files, tables and on the command line
they are the ones users know (`params`, `accuracy`, `trials`). This is the one place that knows both.
"""

from collections.abc import Mapping
from typing import Any

USER_NAMES: dict[str, str] = {
    "parameters": "params",
    "val_accuracy": "accuracy",
    "val_accuracy_std": "accuracy_std",
    "val_loss": "loss",
    "train_seconds": "seconds",
    "num_classes": "classes",
    "num_epochs": "epochs",
    "num_images": "images",
    "num_removed_strides": "removed_strides",
    "num_trials": "trials",
    "num_workers": "workers",
}
_FIELD_NAMES = {user_name: field for field, user_name in USER_NAMES.items()}
assert len(_FIELD_NAMES) == len(USER_NAMES), "two fields under one user name"


def to_user_names(record: Mapping[str, Any]) -> dict[str, Any]:  # Any: values of whatever type pass through
    """`record` with the keys that users know; nested mappings are left as they are, order is kept."""
    return {USER_NAMES.get(key, key): value for key, value in record.items()}


def to_field_names(record: Mapping[str, Any]) -> dict[str, Any]:  # Any: values of whatever type pass through
    """The inverse of `to_user_names`."""
    return {_FIELD_NAMES.get(key, key): value for key, value in record.items()}
