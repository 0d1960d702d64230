"""The chain of `modular_per_tap`, finished by a short joint training on the image. A method of invbench's own."""

from __future__ import annotations

from benchmark.inverses.modular_per_tap import ModularPerTapInverse

__all__ = ["ModularJointInverse"]


class ModularJointInverse(ModularPerTapInverse):
    """The same networks; only their training differs, see `JointLoss`."""

    method = "modular_joint"
