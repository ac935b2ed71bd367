"""A metric's name, as a task asks for it: `accuracy`, or with settings behind commas, `accuracy,average=macro`."""

from __future__ import annotations

from .catalog import Catalog
from .metric import Metric
from .written import written_settings


def resolve_metric(name: str, catalog: Catalog) -> Metric:
    """The declaration with the settings that its name gives.

    Raises:
        PluginError: no such metric.
        ConfigError: a setting that the metric does not have, or a value that does not suit it.
    """
    base, *written = name.split(",")
    declared = catalog.metric(base.strip())
    return declared(**written_settings(f"the metric `{base.strip()}`", declared, written))


def part_name(name: str, part: str) -> str:
    """What one of several values of a metric is called.

    >>> part_name("sql_execution,seconds=5", "runs"), part_name("bleu", "")
    ('sql_execution_runs,seconds=5', 'bleu')
    """
    base, comma, settings = name.partition(",")
    return f"{base}_{part}{comma}{settings}" if part else name
