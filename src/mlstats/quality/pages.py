"""HTML pages that stand alone: the templates and what every page says."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["SYNTHETIC", "render"]

SYNTHETIC: Final = (
    "SYNTHETIC DATA: the units were generated; no figure here says anything about "
    "a real statistic"
)


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlstats.quality", "templates"),
        # Names of methods, columns and domains come from outside.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["SYNTHETIC"] = SYNTHETIC
    return environment


def render(template: str, **values: Any) -> str:
    """Fill a template of the package; every value is escaped.

    Parameters
    ----------
    template : str
        File name in ``quality/templates``.
    **values
        What the template names.
    """
    return _environment().get_template(template).render(**values)
