"""The members of a teacher: which of them are finished elsewhere, and the training of the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dagfm.config.boosted import BoostedConfig
from dagfm.config.networks import NetworkConfig
from dagfm.training.boosted import boosted_stages, train_boosted
from dagfm.training.one_phase import take_over
from dagfm.training.phases import teacher_stage, train_teacher
from dagfm.training.reuse import Wanted
from dagfm.training.warm_up import WarmUp
from dagfm.training.workshop import Trained, Workshop


@dataclass(frozen=True)
class Member:
    """One network, or one boosted teacher, with the folder that it belongs in."""

    name: str
    network: NetworkConfig | BoostedConfig
    directory: Path
    warm_up: WarmUp | None = None
    """Weights of another run that it starts from."""
    trained_anew: bool = True
    """Whether it is trained; else the weights of ``warm_up`` are the teacher."""

    def wanted(self, shop: Workshop, replica: int) -> list[Wanted]:
        """The stages that its training consists of."""
        title = f"teacher_training of {self.name} (seed {shop.seed})"
        if isinstance(self.network, BoostedConfig):
            trees, *folds = boosted_stages(shop, self.network, self.directory, replica)
            titles = [f"teacher_training of {self.name}/{stage.directory.name} (seed {shop.seed})" for stage in folds]
            below = [
                Wanted(stage, told, f"{self.name}/{stage.directory.name}")
                for stage, told in zip(folds, titles, strict=True)
            ]
            return [*below, Wanted(trees, title, self.name, below=tuple(folds))]
        if not self.trained_anew:
            return []
        return [Wanted(teacher_stage(shop, self.network, self.directory, self.warm_up, replica), title, self.name)]

    def train(self, shop: Workshop, replica: int) -> Trained:
        """Train it, unless that is done."""
        if isinstance(self.network, BoostedConfig):
            return train_boosted(shop, self.name, self.network, self.directory, replica)
        if not self.trained_anew:
            assert self.warm_up is not None, "the weights that are taken over"
            return take_over(shop, self.name, self.network, "teacher", self.warm_up, self.directory)
        return train_teacher(shop, self.name, self.network, self.directory, self.warm_up, replica)


def train_members(shop: Workshop, members: Iterable[Member]) -> list[Trained]:
    """Phase 1: every member trained, or taken over from where it is finished, whatever it is called there.

    Members that are equal but for their names are numbered, and differ by that in what they draw.
    """
    equal: Counter[str] = Counter()
    numbered: list[tuple[Member, int]] = []
    for member in members:
        network = member.network
        kind = json.dumps([network.definition, network.size, network.training, network.extra_fields], sort_keys=True)
        equal[kind] += 1
        numbered.append((member, equal[kind]))
    # All at once: the first to be trained may empty the folder in which another is finished.
    shop.reuse.take([one for member, replica in numbered for one in member.wanted(shop, replica)], shop.progress)
    return [member.train(shop, replica) for member, replica in numbered]
