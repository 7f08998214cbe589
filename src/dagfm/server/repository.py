"""The models of this process: loading new versions beside the old, and switching to them at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from dagfm.errors import DagfmError, InputError, listed
from dagfm.server.answers import RefusedError
from dagfm.server.canary import check_whole, load_checked
from dagfm.server.models import Change, Model, Served, without_paths
from dagfm.server.settings import Settings
from dagfm.server.snapshots import Snapshots
from dagfm.server.sources import fingerprint, locate
from dagfm.serving.scorer import Scorer

log = logging.getLogger(__name__)


class Repository:
    """Thread-safe: readers take a model as it is now and keep it until they are done."""

    def __init__(self, settings: Settings) -> None:
        self.sources = {name: Path(path) for name, path in settings.models.items()}
        self.unloaded = set(settings.unloaded)
        self._snapshots = Snapshots(None if settings.copies is None else Path(settings.copies))
        self._models: Mapping[str, Model] = MappingProxyType({name: Model(name) for name in settings.models})
        self._prepared: dict[str, Change] = {}
        self._lock = threading.Lock()

    @property
    def models(self) -> Mapping[str, Model]:
        """All models by name, those without a version too."""
        return self._models

    def find(self, name: str, version: str | None = None) -> Served:
        """The version that answers. Raises RefusedError (404) for a name or version that is not served."""
        model = self._models.get(name)
        if model is None:
            raise RefusedError(404, f"model '{name}' is unknown; served: {listed(self._models)}")
        served = model.latest if version is None else model.versions.get(version)
        if served is None and version is not None:
            raise RefusedError(
                404, f"model '{name}' has no version '{version}'; served: {listed(model.versions) or 'none'}"
            )
        if served is None:
            raise RefusedError(404, f"model '{name}' is not loaded")
        return served

    def resume(self, name: str, current: Mapping[str, str]) -> Change | None:
        """Prepare what the other workers serve, ``current`` fingerprints by version, from their copies; None where one
        of these cannot be had any more."""
        versions = {}
        for version, mark in current.items():
            copy = self._snapshots.find(mark)
            if copy is None:
                return None
            versions[version] = Served(name, version, mark, load_checked(copy, mark, verify=False))
        return self._prepare(Model(name, MappingProxyType(versions)))

    def prepare(self, name: str, verify: bool = True) -> Change:
        """Load what lies at the model's place beside what is served; nothing is switched yet.

        A version that fails is told in the new model's ``failures``; what it would have replaced stays. A version
        whose folder is gone is dropped, unless it is the last.
        """
        old = self._models[name]
        versions: dict[str, Served] = {}
        failures: dict[str, str] = {}
        bundles = locate(self.sources[name])
        for label, bundle in bundles.items():
            try:
                mark = fingerprint(bundle)
                version = label or mark
                standing = old.versions.get(version)
                if standing is not None and standing.fingerprint == mark:
                    versions[version] = standing
                    check_whole(bundle)
                    continue
                versions[version] = Served(name, version, mark, self._load(bundle, mark, verify))
            except Exception as error:  # whatever is wrong with a bundle must not end what is served
                failures[label or _mark(bundle)] = _told(name, error, bundle)
                if label in old.versions:
                    versions[label] = old.versions[label]
        if not versions:
            if not bundles:
                failures[""] = "nothing is there to load"
                log.warning("model %s: %s holds no bundle now", name, self.sources[name])
            versions = dict(old.versions)
        ordered = dict(sorted(versions.items(), key=lambda pair: _order(pair[0])))
        return self._prepare(Model(name, MappingProxyType(ordered), failures), tuple(failures))

    def adopt(self, name: str, version: str, base: str, mark: str, folder: Path) -> Change:
        """Prepare the bundle in ``folder``, whose fingerprint is ``mark``, in the place of the version that is the
        bundle ``base``, as ``prepare`` does otherwise."""
        old = self._models[name]
        versions, failures = dict(old.versions), dict(old.failures)
        failures.pop(version, None)
        copy = folder
        try:
            if version not in versions or versions[version].fingerprint != base:
                raise InputError(f"version '{version}' was replaced meanwhile")
            copy = self._snapshots.adopt(folder, mark)
            scorer = load_checked(copy, mark, verify=False)
            if version == base:
                del versions[version]
                version = mark
            versions[version] = Served(name, version, mark, scorer)
        except Exception as error:
            failures[version] = _told(name, error, folder, copy)
        refused = (version,) if version in failures else ()
        return self._prepare(Model(name, MappingProxyType(versions), failures), refused)

    def _prepare(self, model: Model, refused: tuple[str, ...] = ()) -> Change:
        old = self._models[model.name].versions
        change = Change(
            model,
            gone=tuple(version for version in old if version not in model.versions),
            fresh=tuple(version for version, one in model.versions.items() if old.get(version) is not one),
            refused=refused,
        )
        with self._lock:
            self._prepared[model.name] = change
        return change

    def place(self, name: str, version: str, mark: str) -> Path | None:
        """Where a version that is the bundle ``mark`` lies at the model's path; None where another or none is there."""
        bundle = locate(self.sources[name]).get("" if version == mark else version)
        try:
            return bundle if bundle is not None and fingerprint(bundle) == mark else None
        except InputError:
            return None

    def source(self, name: str, version: str, mark: str) -> Path | None:
        """What a version that is the bundle ``mark`` was loaded from; None where that is gone."""
        return self._snapshots.find(mark) or self.place(name, version, mark)

    def _load(self, bundle: Path, mark: str, verify: bool) -> Scorer:
        place = self._snapshots.take(bundle, mark)
        try:
            return load_checked(place, mark, verify)
        except Exception as error:
            self._snapshots.discard(mark)
            # Of the bundle, not of its copy.
            if isinstance(error, DagfmError):
                raise DagfmError(str(error).replace(str(place), str(bundle))) from error
            raise

    def commit(self, name: str) -> Change:
        """Switch to what was prepared. Requests that have begun finish on what they began with."""
        with self._lock:
            change = self._prepared.pop(name)
            self.unloaded.discard(name)
            self._models = MappingProxyType({**self._models, name: change.model})
        for version in change.fresh:
            log.info("model %s: serves version %s", name, version)
        for version in change.gone:
            log.info("model %s: serves version %s no longer", name, version)
        return change

    def abort(self, name: str) -> None:
        """Forget what was prepared."""
        with self._lock:
            self._prepared.pop(name, None)

    def unload(self, name: str) -> Change:
        """Serve nothing under ``name`` until it is loaded again."""
        with self._lock:
            old = self._models[name]
            self.unloaded.add(name)
            self._models = MappingProxyType({**self._models, name: Model(name)})
        log.info("model %s: unloaded", name)
        return Change(self._models[name], gone=tuple(old.versions))


def _told(name: str, error: Exception, *bundles: Path) -> str:
    """Log why what lies at ``bundles`` is not served, and say as much of it as clients may read."""
    told = isinstance(error, DagfmError | OSError)
    log.warning("model %s: not loaded: %s", name, error, exc_info=None if told else error)
    if not told:
        return "it cannot be loaded; the server's log says why"
    return without_paths(error, dict.fromkeys(bundles, "bundle"))


def _mark(bundle: Path) -> str:
    try:
        return fingerprint(bundle)
    except DagfmError:
        return "next"


def _order(version: str) -> tuple[int, int, str]:
    """Numbers by size; a fingerprint is alone."""
    return (1, int(version), "") if version.isdecimal() else (0, 0, version)
