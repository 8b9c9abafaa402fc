"""What are devices and precisions called?

A module of its own, so that a user's options are read without torch.
"""

from typing import Literal

from effsearch.space.outcome import Precision

Device = Literal["auto", "cpu", "cuda"]  # as users say it
DeviceKind = Literal["cpu", "cuda"]  # as it is settled, and as a run stores it
PrecisionName = Literal["auto"] | Precision  # as users say it
