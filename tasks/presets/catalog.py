"""The catalog of presets: the task files beside this one, and those that installed packages bring.

A preset is asked for by its name, `captioning` or `tasks/captioning`. Listing them reads YAML and imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import __version__
from ...core.catalog import Catalog
from ...core.errors import ConfigError, PluginError
from ...core.near import nearest
from ...plugins.manager import installed
from ..taskfile import TaskFile, read_taskfile

FOLDER = Path(__file__).parent
OWN = "omniline"
PREFIX = "tasks/"
RUNS = "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A ready task file under its name.

    Attributes:
        name: what commands take.
        path: the YAML file.
        package, version: who brings it.
        rivals: other packages that give the same name, an error when it is used.
    """

    name: str
    path: Path
    package: str
    version: str
    rivals: tuple[str, ...] = ()

    def read(self, overrides: Sequence[str] = ()) -> TaskFile:
        """The task file. Where neither it nor an override says `save`, the bundle goes to `runs/NAME` here.

        Raises:
            PluginError: two packages give the name.
            ConfigError: the file or an override is wrong.
        """
        if self.rivals:
            owners = ", ".join((self.package, *self.rivals))
            raise PluginError(f"the ready task file `{self.name}` is given by more than one package: {owners}")
        file = read_taskfile(self.path, overrides)
        if file.save is not None:
            return file
        return read_taskfile(self.path, [*overrides, f"save={RUNS}/{self.name}"])


def presets(catalog: Catalog | None = None) -> dict[str, Preset]:
    """All presets by name: the shipped ones, then those of other packages.

    >>> all(preset.path.suffix == ".yaml" for preset in presets().values() if preset.package == "omniline")
    True
    """
    own = sorted(FOLDER.glob("*.yaml"))
    found = {path.stem: Preset(name=path.stem, path=path, package=OWN, version=__version__) for path in own}
    known = catalog or installed()
    for name in known.names("tasks"):
        entry = known.parts["tasks"][name]
        others = [owner.package for owner in entry.rivals]
        if name in found:
            others, owner = [entry.owner.package, *others], found[name]
            found[name] = Preset(name=name, path=owner.path, package=OWN, version=__version__, rivals=tuple(others))
        else:
            found[name] = Preset(
                name=name,
                path=Path(entry.part),
                package=entry.owner.package,
                version=entry.owner.version,
                rivals=tuple(others),
            )
    return found


def find_preset(word: str, catalog: Catalog | None = None) -> Preset | None:
    """The preset that a word names, with or without `tasks/` before it; None when there is none.

    >>> find_preset("no-such-task") is None
    True
    """
    return presets(catalog).get(word.removeprefix(PREFIX).removesuffix(".yaml"))


def near_preset(word: str, catalog: Catalog | None = None) -> str | None:
    """The name of a preset that is nearly this word."""
    return nearest(word.removeprefix(PREFIX), presets(catalog))


def read_preset(name: str, overrides: Sequence[str] = (), *, catalog: Catalog | None = None) -> TaskFile:
    """The task file of a preset.

    Args:
        name: with or without `tasks/` before it.
        overrides: `key=value` texts that win over the file.
        catalog: the parts; by default those of the installed packages.

    Raises:
        ConfigError: there is no such preset, or an override is wrong.
    """
    found = find_preset(name, catalog)
    if found is None:
        near = near_preset(name, catalog)
        hint = f"; did you mean `{near}`?" if near else "; `omniline tasks` lists them"
        raise ConfigError(f"there is no ready task `{name}`{hint}")
    return found.read(overrides)


def main_task(file: TaskFile, name: str) -> str:
    """The task that a preset is about: the one of its name, else the first."""
    return name if name in file.entries else next(iter(file.entries))
