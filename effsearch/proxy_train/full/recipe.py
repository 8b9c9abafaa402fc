"""How is a network trained properly: which numbers, and who says so?

A recipe is whole: all of a training but for the network, the images, the seed and the device. What users change of
it (`--epochs`, `--batch-size`, `--lr`) makes another recipe, which is what a run stores.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from effsearch.proxy_train.augment import AugmentSettings
from effsearch.space.errors import UsageError

RecipeName = Literal["efficientnet", "efficientnetv2", "fast"]
OptimizerName = Literal["rmsprop", "sgd"]
ScheduleName = Literal["exponential", "one_cycle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What grows over a training, stage by stage in equal steps: (first stage, last stage).

    Source:
        arXiv:2104.00298, section 4.2 and algorithm 1.
    """

    num_stages: int = 1
    first_size_share: float = 1.0  # of the resolution, in the first stage; the last has all of it
    magnitude: tuple[float, float] = (0.0, 0.0)  # of RandAugment, on its scale from 0 to 10 and above
    mixup: tuple[float, float] = (0.0, 0.0)  # alpha of the beta distribution; 0 mixes nothing
    dropout: (
        tuple[float, float] | tuple[()]
    ) = ()  # before the classifier; empty: the network's own throughout

    def __post_init__(self) -> None:
        if self.num_stages < 1:
            raise UsageError(f"num_stages must be at least 1, got {self.num_stages}")
        if not 0 < self.first_size_share <= 1:
            raise UsageError(f"first_size_share must be above 0 and at most 1, got {self.first_size_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All numbers of a training but for the network, the images and the seed."""

    name: RecipeName
    num_epochs: int
    batch_size: int  # of one step, over all its parts and all processes
    learning_rate: float  # peak, for a batch of `reference_batch`; other batches train at it in proportion
    reference_batch: int
    optimizer: OptimizerName
    momentum: float
    square_decay: float = 0.0  # RMSProp's, of the mean of squared gradients
    epsilon: float = 0.0  # RMSProp's, added to that mean before the root is taken
    weight_decay: float  # on the weights of convolutions and linear layers; none on norms and biases
    schedule: ScheduleName
    warmup_epochs: float  # from zero in a straight line ...
    max_warmup_share: float  # ... in a short training at most this share of it
    decay_rate: float = 1.0  # exponential: what the rate is multiplied by ...
    decay_share: float = 1.0  # ... each time this share of the training has passed
    label_smoothing: float = 0.1
    average_decay: float = 0.0  # of the moving average of the weights; 0 means there is none
    max_gradient_norm: float = 0.0  # gradients are clipped to it; 0 means never
    keeps_regularisation: (
        bool  # the network's own dropout, stochastic depth and norm momentum; else 0, 0 and .1
    )
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    num_operations: int = 0  # of RandAugment on each image
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        for name, low, high, option in (
            ("num_epochs", 1, 100_000, "--epochs"),
            ("batch_size", 2, 1_000_000, "--batch-size"),
            ("learning_rate", 0, 1_000, "--lr"),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise UsageError(f"{option} must be from {low:g} to {high:g}, got {value:g}")

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up, for this recipe's own batch."""
        return self.learning_rate * self.batch_size / self.reference_batch


EFFICIENTNET = Recipe(
    name="efficientnet",
    # arXiv:1905.11946, section 5.2: RMSProp with decay .9 and momentum .9, weight decay 1e-5, a rate of .256 for a
    # batch of 4096 that falls to .97 of itself every 2.4 epochs. The rest as tensorflow/tpu, models/official/
    # efficientnet, has it: 350 epochs, epsilon .001, 5 epochs of warm-up, label smoothing .1, moving average .9999.
    num_epochs=350,
    batch_size=256,  # ours: what one device holds; the rate follows
    learning_rate=0.016,
    reference_batch=256,
    optimizer="rmsprop",
    momentum=0.9,
    square_decay=0.9,
    epsilon=1e-3,
    weight_decay=1e-5,
    schedule="exponential",
    warmup_epochs=5.0,
    max_warmup_share=0.1,  # ours, for trainings shorter than the published ones
    decay_rate=0.97,
    decay_share=2.4 / 350,
    label_smoothing=0.1,
    average_decay=0.9999,
    keeps_regularisation=True,
    # RandAugment in place of AutoAugment, whose policies are tables found on ImageNet: two operations of magnitude 9,
    # arXiv:1909.13719's for ResNet-50 on ImageNet.
    num_operations=2,
    progress=Progress(magnitude=(9.0, 9.0)),
)

# arXiv:2104.00298, table 6, columns S, M and L: sizes 128 to 300, 380 and 380; RandAugment, mixup and dropout.
PROGRESS_S = Progress(
    num_stages=4, first_size_share=128 / 300, magnitude=(5.0, 15.0), mixup=(0.0, 0.0), dropout=(0.1, 0.3)
)
PROGRESS_M = Progress(
    num_stages=4, first_size_share=128 / 380, magnitude=(5.0, 20.0), mixup=(0.0, 0.2), dropout=(0.1, 0.4)
)
PROGRESS_L = Progress(
    num_stages=4, first_size_share=128 / 380, magnitude=(5.0, 25.0), mixup=(0.0, 0.5), dropout=(0.1, 0.5)
)
# Up to how many parameters a network is trained as a column says: the geometric means of S's and M's, M's and L's.
COLUMNS = ((34_000_000, PROGRESS_S), (80_000_000, PROGRESS_M))

FAST = Recipe(
    name="fast",
    # Rate and clipping are those of a search's short trainings (`TrainSettings`, which names the run they come from).
    # Ours and not measured against others: 30 epochs, batch 128, weight decay 1e-4, a fifth of the way up.
    num_epochs=30,
    batch_size=128,
    learning_rate=0.2,
    reference_batch=128,
    optimizer="sgd",
    momentum=0.9,
    weight_decay=1e-4,
    schedule="one_cycle",
    warmup_epochs=6.0,
    max_warmup_share=0.2,
    label_smoothing=0.1,
    max_gradient_norm=2.0,
    keeps_regularisation=False,
)


def recipe_of(name: RecipeName, *, num_parameters: int) -> Recipe:
    """Give a recipe by its name; `efficientnetv2` regularises larger networks more.

    Raises:
        UsageError: There is no such recipe.
    """
    if name not in get_args(RecipeName):
        raise UsageError(f"--recipe must be one of {', '.join(get_args(RecipeName))}, got {name!r}")
    if name == "efficientnet":
        return EFFICIENTNET
    return FAST if name == "fast" else _v2_recipe(num_parameters)


def _v2_recipe(num_parameters: int) -> Recipe:
    """Give EfficientNetV2's: the first recipe's optimizer and schedule, and all that grows.

    Source:
        arXiv:2104.00298, section 5.1: 350 epochs, the same RMSProp, rate and average.
    """
    progress = next((column for most, column in COLUMNS if num_parameters <= most), PROGRESS_L)
    return dataclasses.replace(EFFICIENTNET, name="efficientnetv2", progress=progress)
