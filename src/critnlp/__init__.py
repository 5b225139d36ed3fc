"""critnlp: the free-text eligibility section of a clinical trial as structured, computable JSON.

    nlp = critnlp.load()
    for trial in critnlp.read(["trials.jsonl"]):
        parsed = critnlp.parse(trial, nlp)

The names below are imported on first use, so that `import critnlp` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from critnlp.criteria import split as split
    from critnlp.errors import AnnotationError as AnnotationError
    from critnlp.errors import CritnlpError as CritnlpError
    from critnlp.errors import ModelError as ModelError
    from critnlp.errors import SourceError as SourceError
    from critnlp.pipeline import extract as extract
    from critnlp.pipeline import load as load
    from critnlp.pipeline import model_path as model_path
    from critnlp.pipeline import parse as parse
    from critnlp.pipeline import parse_text as parse_text
    from critnlp.quantities import parse_threshold as parse_threshold
    from critnlp.schema import ParsedTrial as ParsedTrial
    from critnlp.schema import Trial as Trial
    from critnlp.sources import read as read
    from critnlp.staging import parse_staging as parse_staging
    from critnlp.units import normalize_unit as normalize_unit
    from critnlp.windows import parse_window as parse_window

__version__ = "0.1.0"

_HOMES = {
    "split": "criteria",
    "AnnotationError": "errors",
    "CritnlpError": "errors",
    "ModelError": "errors",
    "SourceError": "errors",
    "extract": "pipeline",
    "load": "pipeline",
    "model_path": "pipeline",
    "parse": "pipeline",
    "parse_text": "pipeline",
    "parse_threshold": "quantities",
    "parse_staging": "staging",
    "parse_window": "windows",
    "normalize_unit": "units",
    "ParsedTrial": "schema",
    "Trial": "schema",
    "read": "sources",
}
__all__ = [
    "AnnotationError",
    "CritnlpError",
    "ModelError",
    "ParsedTrial",
    "SourceError",
    "Trial",
    "extract",
    "load",
    "model_path",
    "normalize_unit",
    "parse",
    "parse_staging",
    "parse_text",
    "parse_threshold",
    "parse_window",
    "read",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'critnlp' has no attribute {name!r}")
    return getattr(import_module(f"critnlp.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
