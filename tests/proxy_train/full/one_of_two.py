"""Trains as one of several processes: what a test starts twice. Arguments: folder, then the words of a case."""

import dataclasses
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.full.group import joined
from tests.proxy_train.conftest import SMALL_SPEC
from tests.proxy_train.full.conftest import SHORT, normless, train_small


def main() -> None:
    """Train, and leave each process's weights beside the checkpoints."""
    folder, case = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    model = normless() if case == "normless" else build_model(SMALL_SPEC, seed=0)
    with joined(torch.device("cpu")) as group:
        assert group.size == 2
        assert group.tell("first" if group.is_first else "second") == "first"
        assert group.mean(float(group.rank)) == 0.5
        recipe = dataclasses.replace(SHORT, average_decay=0.9)
        train_small(folder / "run", model=model, recipe=recipe, group=group, num_parts=2)
        weights = {name: one.detach().contiguous() for name, one in model.named_parameters()}
        save_file(weights, folder / f"rank{group.rank}.safetensors")


if __name__ == "__main__":
    main()
