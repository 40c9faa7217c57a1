"""The contract of a pilot: what its data must hold, and what reports may see of them.

:func:`check` tells every broken rule at once, by column, count and row number and
never by value. :func:`safe_view` makes the frame that reports are made from: a
report that embeds its data (Evidently's does) then has nothing to give away.
"""

from __future__ import annotations

from mlstats.contract.rules import ContractResult, check
from mlstats.contract.view import SafeReference, safe_features, safe_view

__all__ = ["ContractResult", "SafeReference", "check", "safe_features", "safe_view"]
