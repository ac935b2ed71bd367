"""Every extension point of omniline, in one place.

A plugin is an importable module whose functions are marked with `hookimpl`. Each returns a mapping from name to part;
what a plugin does not bring, it leaves out. A package offers its plugin by an entry point of the group `omniline`:

    [project.entry-points.omniline]
    depth = "acme_depth.plugin"

The built-in parts come in by the same hooks. A function marked with `hookimpl` whose name is not below is an error of
that plugin. Declarations import no torch: their working halves are named as "module:Class" and imported when a model
or a loader is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ..core.adapter import Adapter
    from ..core.backbone import Backbone
    from ..core.decoder import Decoder
    from ..core.loss import Loss
    from ..core.metric import Metric
    from ..core.modality import Modality
    from ..core.pretrained import Checkpoint
    from ..core.weighting import Weighting

PROJECT = "omniline"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The hooks. `self` is no argument of an implementation: `@hookimpl def adapters(): return {...}`."""

    @hookspec
    def modalities(self) -> Mapping[str, Modality]:  # type: ignore[empty-body]
        """Slot types: an upper-case name such as DEPTH, and the default adapter of each side.

        >>> from omniline import Modality
        >>> {"DEPTH": Modality(source="depth", target="depth")}["DEPTH"].source
        'depth'
        """

    @hookspec
    def adapters(self) -> Mapping[str, type[Adapter]]:  # type: ignore[empty-body]
        """How values enter and leave a model: `adapter=NAME`, or by default of their modality."""

    @hookspec
    def backbones(self) -> Mapping[str, type[Backbone]]:  # type: ignore[empty-body]
        """Networks over tokens, which a model names `<name>-<size>` or `<name>:<argument>`."""

    @hookspec
    def losses(self) -> Mapping[str, type[Loss]]:  # type: ignore[empty-body]
        """What an objective optimises: `loss=NAME`."""

    @hookspec
    def decoders(self) -> Mapping[str, type[Decoder]]:  # type: ignore[empty-body]
        """How a target slot's value is found at predicting: `decoder=NAME`."""

    @hookspec
    def metrics(self) -> Mapping[str, type[Metric]]:  # type: ignore[empty-body]
        """What validation reports per task and slot."""

    @hookspec
    def weightings(self) -> Mapping[str, type[Weighting]]:  # type: ignore[empty-body]
        """How the losses of many tasks are balanced: `fit(weighting=NAME)`."""

    @hookspec
    def checkpoints(self) -> Mapping[str, type[Checkpoint]]:  # type: ignore[empty-body]
        """Formats of other libraries' models: `omniline.load(FOLDER)` reads them, `Model.save(format=NAME)` writes."""

    @hookspec
    def rewards(self) -> Mapping[str, Callable[..., float]]:  # type: ignore[empty-body]
        """Plain functions that judge an answer: `reward=NAME`."""

    @hookspec
    def tasks(self) -> Mapping[str, str]:  # type: ignore[empty-body]
        """Ready task files: a name and the path of a YAML file."""
