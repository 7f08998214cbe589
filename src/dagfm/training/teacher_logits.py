"""The teacher's logits, written once: of training, validation and test rows and of the recombined pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dagfm.config.boosted import BoostedConfig
from dagfm.data.array_files import write_column
from dagfm.data.batches import Pool
from dagfm.data.dataset import Dataset
from dagfm.data.mapped import blocks, mapped
from dagfm.data.recombine import Recombination
from dagfm.encoding.rows import Float32
from dagfm.files import read_json, write_json
from dagfm.training.calibration import Calibration, calibrate
from dagfm.training.clipping import Clipping, clipping
from dagfm.training.pools import FIELDS, SIDES, draw, kind_of_pool, pool_rows, recombined_chunks
from dagfm.training.reuse import Wanted
from dagfm.training.scoring import Scores, chunks_of, figures, mean_of, score_chunks, scores_of, weighted_mean_of
from dagfm.training.stage import Stage
from dagfm.training.trees import boosted_scores
from dagfm.training.weighing import weigh
from dagfm.training.workshop import Entry, Trained, Workshop, kept_logits

CALIBRATION, WEIGHING = "calibration.json", "weighing.json"
"""What the logits were multiplied by, and what that was worth; and, of several teachers, what each counted."""
POOL_LOGITS = "pool-logits"


@dataclass(frozen=True)
class TeacherLogits:
    """A finished cache of logits; students of any number and shape read it, no teacher is needed any more."""

    directory: Path
    fingerprint: str
    reused: Mapping[str, Any] | None = None
    """The run that it was taken over from, if it was."""

    @classmethod
    def standing(cls, directory: Path) -> TeacherLogits:
        """A cache as it stands, whatever it was made from; raises InputError when it is not finished or damaged."""
        stage, facts = Stage.standing(directory)
        return cls(directory, stage.fingerprint, facts.get("reused"))

    def read(self, part: str) -> Float32:
        """Logits (n,) of the train, valid or test rows, memory-mapped. The test logits are for the report only."""
        return mapped(self.directory / f"{part}.npy")

    @property
    def calibration(self) -> Mapping[str, Any]:
        """What the logits were multiplied by, ``scale``, what the best scale was ``found`` to be worth; where they were
        clipped, between what, ``clip``; and where teachers were weighed, ``weighing``."""
        found: dict[str, Any] = read_json(self.directory / CALIBRATION)
        weighing = self.directory / WEIGHING
        return {**found, "weighing": read_json(weighing)} if weighing.exists() else found

    def pool(self) -> Pool:
        """The recombined rows and their logits, memory-mapped."""
        names = SIDES if (self.directory / f"{SIDES[0]}.npy").exists() else FIELDS
        made_of = Recombination(*(mapped(self.directory / f"{name}.npy") for name in names))
        return Pool(made_of, mapped(self.directory / f"{POOL_LOGITS}.npy"))


def write_teacher_logits(shop: Workshop, teachers: list[Trained], directory: Path) -> TeacherLogits:
    """Phase 2: one pass of every teacher over all rows and the pool, in eval mode; several teachers give their mean, or
    a weighted mean (``distillation.combine``).

    The pool holds ``recombined`` rows per training row and planned epoch, up to the cap: each a training row's context
    fields with another's candidate fields, or a training row with one column of another. Both rows are drawn from the
    training rows, so in proportion to their popularity, unless ``recombined_from`` gives every candidate the same.
    Without ``teachers`` the rows' own scores are the logits. Last, all are multiplied by the scale that calibrates them
    on validation rows, if one does, and clipped at ``distillation.clip``. Memory does not grow with the rows: logits go
    to their file a chunk at a time.
    """
    unlabelled = pool_rows(shop)
    how, sampling = shop.config.distillation, shop.config.data.negatives
    made_from: dict[str, Any] = {"teachers": [teacher.fingerprint for teacher in teachers]}
    if not teachers:
        made_from = {"scores": shop.prepared.content, "negatives": sampling.model_dump() if sampling else None}
    stage = Stage(
        directory,
        {
            "made from": made_from,
            "distillation": {
                "calibrate": how.calibrate,
                **({"clip": how.clip} if how.clip else {}),
                **({"combine": how.combine} if len(teachers) > 1 and how.combine != "mean" else {}),
            },
            "training": {"seed": shop.seed},
            "recombined rows": unlabelled,
            **(kind_of_pool(shop.config) if unlabelled else {}),
        },
    )
    shop.reuse.take([Wanted(stage, f"teacher_logits (seed {shop.seed})")], shop.progress)
    facts = stage.open()
    if facts is not None:
        return TeacherLogits(directory, stage.fingerprint, facts.get("reused"))
    prepared = shop.prepared
    datasets = {"train": prepared.train, "valid": prepared.valid, "test": prepared.test}
    total = sum(map(len, datasets.values())) + unlabelled
    shop.progress.start(f"teacher logits (seed {shop.seed})", total)
    weights = _weights(shop, teachers, directory)
    members = [_scores(shop, teacher) for teacher in teachers]
    scores = mean_of(members) if weights is None else weighted_mean_of(members, weights)
    for name, dataset in datasets.items():
        logits = map(scores, chunks_of(dataset.rows)) if teachers else _own_scores(shop, dataset)
        _write(shop, directory, name, logits, len(dataset))
    names = list(datasets)
    drawn: list[str] = []
    if unlabelled:
        drawn = list(draw(shop, directory, unlabelled))
        made_of = Recombination(*(mapped(directory / f"{name}.npy") for name in drawn))
        rows = recombined_chunks(prepared.train, prepared.encoder, made_of)
        _write(shop, directory, POOL_LOGITS, map(scores, rows), unlabelled)
        names.append(POOL_LOGITS)
    scale, clip = _calibrated(shop, directory)
    for name in names:
        _finish(directory, name, scale, clip)
    shop.progress.finish()
    weighing = [WEIGHING] if (directory / WEIGHING).exists() else []
    stage.finish([*(f"{name}.npy" for name in [*names, *drawn]), CALIBRATION, *weighing], {"rows": total})
    return TeacherLogits(directory, stage.fingerprint)


def scores_entry(shop: Workshop, name: str, logits: TeacherLogits) -> Entry:
    """The line of results of scores that another model made: its figures; of its costs nothing is known."""
    unknown = ("parameters", "multiply_adds", "training_rows_per_second", "scoring_rows_per_second")
    return {
        "name": name,
        "role": "teacher",
        "network": "scores",
        "phase": "teacher_training",
        "seed": shop.seed,
        **dict.fromkeys(unknown),
        "metrics": _figures(shop, logits),
    }


def ensemble_entry(shop: Workshop, members: list[Trained], logits: TeacherLogits) -> Entry:
    """The ensemble's line of results: the (weighted) mean of the members' logits, the sum of their costs."""
    entries = [member.entry for member in members]
    return {
        "name": "ensemble",
        "role": "teacher",
        "network": "+".join(entry["network"] for entry in entries),
        "phase": "teacher_training",
        "seed": shop.seed,
        "parameters": sum(entry["parameters"] for entry in entries),
        "multiply_adds": sum(entry["multiply_adds"] for entry in entries),
        "training_rows_per_second": _together([entry["training_rows_per_second"] for entry in entries]),
        "scoring_rows_per_second": _together([entry["scoring_rows_per_second"] for entry in entries]),
        "metrics": _figures(shop, logits),
    }


def _figures(shop: Workshop, logits: TeacherLogits) -> dict[str, Any]:
    datasets = {"valid": shop.prepared.valid, "test": shop.prepared.test}
    return {part: figures(dataset, logits.read(part), None, shop.sampling) for part, dataset in datasets.items()}


def _scores(shop: Workshop, teacher: Trained) -> Scores:
    boosted = isinstance(teacher.network, BoostedConfig)
    return boosted_scores(shop, teacher) if boosted else scores_of(shop.trained(teacher))


def _together(speeds: list[float | None]) -> float | None:
    """Rows/s of doing one after the other; unknown when one of them is (weights taken over from another run)."""
    known = [speed for speed in speeds if speed is not None]
    return 1 / sum(1 / speed for speed in known) if len(known) == len(speeds) else None


def _own_scores(shop: Workshop, dataset: Dataset) -> Iterator[Float32]:
    """The scores that the rows came with, as logits of what a model is trained on.

    They are of the log as it was given: where training sees fewer of its non-clicks, the odds of a click are larger.
    """
    assert dataset.scores is not None, "preparation writes them where the teacher is scores"
    shift = 0.0 if shop.sampling.everywhere else shop.sampling.shift
    for block in blocks(len(dataset)):
        yield dataset.scores[block] - np.float32(shift) if shift else dataset.scores[block]


def _write(shop: Workshop, directory: Path, name: str, logits: Iterable[Float32], count: int) -> None:
    """Write logits as they are, a chunk in memory at a time, unless an interrupted pass already wrote them whole."""
    if any(path.exists() for path in (_raw(directory, name), directory / f"{name}.npy")):
        shop.progress.advance(count)
        return

    def shown() -> Iterator[Float32]:
        for chunk in logits:
            yield chunk
            shop.progress.advance(len(chunk))

    write_column(_raw(directory, name), np.float32, count, shown())


def _weights(shop: Workshop, teachers: list[Trained], directory: Path) -> list[float] | None:
    """What each of several teachers counts; None where all count alike. Decided once: a pass that goes on finds it."""
    when = shop.config.distillation.combine
    if len(teachers) < 2 or when == "mean":
        return None
    if not (directory / WEIGHING).exists():
        members = [_valid_logits(shop, teacher) for teacher in teachers]
        if not all(np.isfinite(member).all() for member in members):
            return None
        labels, weights = shop.sampling.judged(shop.prepared.valid)
        best = weigh(labels, members, weights, shop.sampling.shift)
        used = when == "weighted" or best.pays
        shares = ", ".join(
            f"{teacher.entry['name']} {share:.2f}" for teacher, share in zip(teachers, best.weights, strict=True)
        )
        told = f"the teachers count {shares}: {best.told}" if used else f"the teachers count alike ({best.told})"
        shop.progress.line(told)
        write_json(directory / WEIGHING, {"used": used, "found": asdict(best)})
    weighing = read_json(directory / WEIGHING)
    return list(weighing["found"]["weights"]) if weighing["used"] else None


def _valid_logits(shop: Workshop, teacher: Trained) -> Float32:
    """A teacher's logits (n,) of the validation rows, kept from its training or made again."""
    kept = kept_logits(teacher.directory, "valid")
    rows = shop.prepared.valid.rows
    return score_chunks(_scores(shop, teacher), chunks_of(rows), len(rows)) if kept is None else kept


def _calibrated(shop: Workshop, directory: Path) -> tuple[float, Clipping | None]:
    """The scale of the logits, from the validation rows', and between what they are clipped, from the training rows';
    on disk, too: what is scaled and clipped already cannot tell it again."""
    if not (directory / CALIBRATION).exists():
        found: dict[str, Any] = {"scale": 1.0}
        logits, when = mapped(_raw(directory, "valid")), shop.config.distillation.calibrate
        if when is not False and np.isfinite(logits).all():
            labels, weights = shop.sampling.judged(shop.prepared.valid)
            best = calibrate(labels, logits, weights, shop.sampling.shift)
            found = {"scale": best.scale if when is True or best.pays else 1.0, "found": asdict(best)}
            shop.progress.line(_told(best, found["scale"]))
        if quantile := shop.config.distillation.clip:
            clip = clipping(mapped(_raw(directory, "train")), quantile, found["scale"])
            found["clip"] = asdict(clip)
            shop.progress.line(f"the teacher's logits are clipped to {clip.low:.4g} and {clip.high:.4g}")
        write_json(directory / CALIBRATION, found)
    found = read_json(directory / CALIBRATION)
    return found["scale"], Clipping(**found["clip"]) if "clip" in found else None


def _told(best: Calibration, scale: float) -> str:
    if scale != 1.0:
        return f"the teacher's logits are multiplied by {scale:.4g}, which calibrates them: {best.told}"
    return f"the teacher's logits stay as they are: times {best.scale:.4g} would be noise ({best.told})"


def _finish(directory: Path, name: str, scale: float, clip: Clipping | None) -> None:
    """Put logits in their place, multiplied by ``scale`` and clipped."""
    raw, final = _raw(directory, name), directory / f"{name}.npy"
    if not raw.exists():
        return
    if scale == 1.0 and clip is None:
        raw.replace(final)
        return
    logits = mapped(raw)
    scaled = (logits[block] * np.float32(scale) for block in blocks(len(logits)))
    write_column(final, np.float32, len(logits), map(clip, scaled) if clip else scaled)
    raw.unlink()


def _raw(directory: Path, name: str) -> Path:
    return directory / f"raw-{name}.npy"
