"""SYNTHETIC product descriptions: how diaries and receipts write what was bought.

The words are the generator's own. A description is a product's name, in most lines
with an adjective, an invented brand, a quantity or a shop around it; some are only a
general word, many are cut short, some are misspelt.
"""

from __future__ import annotations

import csv
import math
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

__all__ = ["Draw", "Drift", "Product", "describe", "products"]

GENERAL_WORD = 0.07
NAME_ALONE = 0.36
MISSPELT = 0.04

_PRODUCTS = Path(__file__).with_name("demo_products.csv")
# What somebody writes who does not say what it was: by the longest code it begins.
_GENERAL = {
    "01.1": {"en": "groceries", "de": "Lebensmittel"},
    "01.1.2": {"en": "meat", "de": "Fleisch"},
    "01.1.3": {"en": "fish", "de": "Fisch"},
    "01.1.6": {"en": "fruit", "de": "Obst"},
    "01.1.7": {"en": "vegetables", "de": "Gemüse"},
    "01.1.8": {"en": "something sweet", "de": "Süßes"},
    "01.2": {"en": "drinks", "de": "Getränke"},
    "02.1": {"en": "drinks", "de": "Getränke"},
    "03": {"en": "clothes", "de": "Kleidung"},
    "05.6": {"en": "household items", "de": "Haushaltswaren"},
    "06": {"en": "pharmacy", "de": "Apotheke"},
    "07.2.2": {"en": "fuel", "de": "Tanken"},
    "07.3": {"en": "fare", "de": "Fahrkarte"},
    "08.3": {"en": "subscription", "de": "Abo"},
    "09": {"en": "leisure", "de": "Freizeit"},
    "11": {"en": "eating out", "de": "Essen gehen"},
    "12": {"en": "insurance", "de": "Versicherung"},
    "13": {"en": "drugstore", "de": "Drogerie"},
}
_ADJECTIVES = {
    ("en", "grocery"): ("organic", "fresh", "regional", "large", "on offer", "light"),
    ("de", "grocery"): ("Bio", "frisch", "regional", "groß", "im Angebot", "leicht"),
    ("en", "goods"): ("cheap", "new", "reduced", "second choice", "for the family"),
    ("de", "goods"): ("günstig", "neu", "reduziert", "zweite Wahl", "für Familie"),
    ("en", "service"): ("monthly", "two persons", "on account", "for the family"),
    ("de", "service"): ("monatlich", "zwei Personen", "Abschlag", "für Familie"),
}
_BRANDS = {
    "grocery": ("Almhof", "Gutkorb", "Merlow", "Tannegg", "Bellavio", "Ostrana"),
    "goods": ("Norvik", "Lumora", "Havelin", "Piko"),
    "service": ("Stadtwerk Quell", "Fernau", "Linde & Sohn"),
}
_NEW_BRANDS = {
    "grocery": ("Greenfolk", "Zukido", "Nuvo Kitchen", "Pflanzig"),
    "goods": ("Flexaro", "Wavio"),
    "service": ("Klickbox", "Urbanette"),
}
_SIZES = {
    "kg": ("500 g", "1 kg", "250g", "2kg", "1,5 kg"),
    "l": ("1 l", "1L", "0,5 l", "750 ml", "6x1,5 l"),
    "piece": ("2 pc", "x2", "3 Stk", "10er", "1 pack"),
    "": ("1x", "2 x"),
}
# The first of each trade is the usual one.
_SHOPS = {
    "grocery": (
        ("supermarket", ("Korbmarkt", "Tagwerk Markt")),
        ("discounter", ("Sparfuchs", "Preisinsel")),
        ("market", ("Wochenmarkt", "farm stall")),
        ("online", ("Lieferkiste", "Kistl24")),
    ),
    "goods": (
        ("specialist", ("Kontor Weber", "Haus Linde")),
        ("discounter", ("Sparfuchs", "Preisinsel")),
        ("online", ("Allesversand", "Klickhof")),
    ),
    "service": (
        ("service", ("Filiale", "office")),
        ("online", ("Portal Mitte", "app")),
    ),
}
_SERVICES = ("04", "06.2", "07", "08.3", "09.4", "09.6", "10", "11", "12", "13.1.3")
# The key to the right on the keyboard, where a finger slips.
_KEY_BESIDE = dict(zip("asdfghjertuionm", "sdfghjkrtziopmn", strict=True))

Item = TypeVar("Item")


class Draw:
    """Draws by name: the same name gives the same sequence, on every machine.

    Only :meth:`random.Random.random` is used, the one method whose sequence Python
    keeps the same from version to version.

    Parameters
    ----------
    *name : object
        What the draws are for, such as a seed and a period.

    Examples
    --------
    >>> Draw(1, "2026-01").share() == Draw(1, "2026-01").share()
    True
    """

    def __init__(self, *name: object) -> None:
        self.share = random.Random("/".join(map(str, name))).random

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.share() < probability

    def of(self, items: Sequence[Item]) -> Item:
        """Return one of the items, all equally likely."""
        return items[int(self.share() * len(items))]

    def early(self, items: Sequence[Item]) -> Item:
        """Return one of the items, the first the most likely."""
        return items[int(self.share() ** 1.5 * len(items))]


@dataclass(frozen=True)
class Drift:
    """How far a month lies from January 2026, the generator's first.

    Attributes
    ----------
    months : int
        Months since January 2026, at least 0.
    """

    months: int

    @classmethod
    def of(cls, period: str) -> Drift:
        """Return the drift of a month such as ``2026-03``."""
        year, month = period.split("-")
        return cls(max(0, 12 * (int(year) - 2026) + int(month) - 1))

    @property
    def strength(self) -> float:
        """From 0 in January 2026 to 1 in August 2026, and 1 from then on."""
        return min(1.0, self.months / 7)

    @property
    def german(self) -> float:
        """Share of households that write in German."""
        return 0.45 + 0.2 * self.strength

    @property
    def abbreviation(self) -> float:
        """Probability that a long word is cut on a receipt; half of it elsewhere."""
        return 0.10 + 0.14 * self.strength

    @property
    def other_shops(self) -> float:
        """Share of lines bought in other shops than the usual ones."""
        return 0.25 + 0.3 * self.strength

    @property
    def new_brands(self) -> float:
        """Share of the brands that were not known in January 2026."""
        return 0.6 * self.strength

    def growth(self, since: int) -> float:
        """Return how much of its final share a product has, `since` months after.

        It appears with a quarter of its final share and gains a quarter a month.
        """
        age = self.months - since
        return min(1.0, 0.25 * (1 + age)) if age >= 0 else 0.0


@dataclass(frozen=True)
class Product:
    """A product: its code, when it appeared, how common and dear it is, its names.

    Attributes
    ----------
    code : str
        COICOP 2018 subclass.
    since : int
        Month of appearance, counted from January 2026.
    share : int
        How common it is beside the others.
    price : float
        Its middle price, in EUR.
    unit : str
        ``kg``, ``l`` or ``piece`` for what a grocer sells, otherwise empty.
    names : dict of str to list of str
        Language to names, the most common first.
    """

    code: str
    since: int
    share: int
    price: float
    unit: str
    names: dict[str, list[str]]

    @property
    def trade(self) -> str:
        """Who sells it: ``grocery``, ``goods`` or ``service``."""
        if self.unit:
            return "grocery"
        return "service" if self.code.startswith(_SERVICES) else "goods"


@cache
def products() -> tuple[Product, ...]:
    """Return the products of ``demo_products.csv``."""
    with _PRODUCTS.open(encoding="utf-8", newline="") as file:
        return tuple(
            Product(
                row["code"],
                int(row["since"]),
                int(row["share"]),
                float(row["price"]),
                row["unit"],
                {language: row[language].split("|") for language in ("en", "de")},
            )
            for row in csv.DictReader(file)
        )


def describe(draw: Draw, drift: Drift, household_language: str) -> dict[str, str]:
    """Draw a product, and how it is written down.

    Parameters
    ----------
    draw : Draw
        Source of chance.
    drift : Drift
        Of the month.
    household_language : str
        ``en`` or ``de``; one line in twelve is in the other.

    Returns
    -------
    dict of str to str
        shop_type, language, description, amount (EUR) and true_code.
    """
    totals = _cumulative_shares(drift)
    product = products()[bisect(totals, draw.share() * totals[-1])]
    other = "en" if household_language == "de" else "de"
    language = other if draw.chance(0.08) else household_language
    shops = _SHOPS[product.trade]
    elsewhere = draw.chance(drift.other_shops)
    shop_type, shop_names = draw.of(shops[1:]) if elsewhere else shops[0]
    words = list(_words(draw, drift, product, language, shop_names))
    on_receipt = shop_type in ("discounter", "supermarket") and draw.chance(0.45)
    cut = drift.abbreviation if on_receipt else drift.abbreviation / 2
    text = " ".join(_miswritten(draw, word, cut) for word in words)
    # The sum of three uniform draws is close to normal.
    spread = math.exp(0.5 * (draw.share() + draw.share() + draw.share() - 1.5))
    return {
        "shop_type": shop_type,
        "language": language,
        "description": text.upper() if on_receipt else text,
        "amount": f"{product.price * spread:.2f}",
        "true_code": product.code,
    }


@cache
def _cumulative_shares(drift: Drift) -> list[float]:
    return list(accumulate(p.share * drift.growth(p.since) for p in products()))


@cache
def _general_word(code: str) -> dict[str, str] | None:
    prefixes = [prefix for prefix in _GENERAL if code.startswith(prefix)]
    return _GENERAL[max(prefixes, key=len)] if prefixes else None


def _words(
    draw: Draw,
    drift: Drift,
    product: Product,
    language: str,
    shop_names: Sequence[str],
) -> Iterator[str]:
    general = _general_word(product.code)
    if draw.chance(GENERAL_WORD) and general:
        yield from general[language].split()
        return
    name = draw.early(product.names[language]).split()
    if draw.chance(NAME_ALONE):
        yield from name
        return
    if draw.chance(0.35):
        yield from draw.of(_ADJECTIVES[language, product.trade]).split()
    yield from name
    if draw.chance(0.4):
        new = draw.chance(drift.new_brands)
        yield from draw.of((_NEW_BRANDS if new else _BRANDS)[product.trade]).split()
    if draw.chance(0.5):
        yield draw.of(_SIZES[product.unit])
    if draw.chance(0.1):
        yield draw.of(shop_names)


def _miswritten(draw: Draw, word: str, cut: float) -> str:
    """Return a word as it is, cut short, or with a slip of the pen."""
    if len(word) >= 6 and draw.chance(cut):
        return f"{word[: 3 + int(draw.share() * 3)]}."
    if len(word) < 4 or not draw.chance(MISSPELT):
        return word
    at = 1 + int(draw.share() * (len(word) - 2))
    slips = (
        word[:at] + word[at + 1 :],  # a letter left out
        word[:at] + word[at] + word[at:],  # written twice
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],  # two changed places
        word[:at] + _KEY_BESIDE.get(word[at], "e") + word[at + 1 :],
    )
    return draw.of(slips)
