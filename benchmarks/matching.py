"""Rows per second of the weighted match on one core, beside a loop over records.

    python benchmarks/matching.py [--entries 10000 --rows 200000]

A coding index is generated (2 to 6 words an entry, a few words in very many entries,
most in few, as in real ones) and distinct texts to match against it, with words in
another order, words too many and words that the index does not have. Compared are

- the weighted match from text to code (``predict``, ``predict_top``),
- the bare sparse product of all word overlaps, on texts parsed before,
- the peer: the same definition written as a loop over records with an inverted
  index, on fewer rows.

The command fails if an answer differs from the peer's.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from mlstats.coding.matching import WeightedIndex
from mlstats.coding.text import normalise, parse, word_sets

UNIT = 2**20  # word weights are whole multiples of 1 / UNIT
CANDIDATES = 5


class LoopOverRecords:
    """The definition of :class:`WeightedIndex`, one record after the other."""

    def fit(self, texts: pd.Series, codes: pd.Series) -> LoopOverRecords:
        """Count the words, phrases and codes of the dictionary."""
        rows = Counter(zip(parse(texts), codes, strict=True))
        of_phrase: Counter[str] = Counter()
        of_code: Counter[str] = Counter()
        for (phrase, code), count in rows.items():
            of_phrase[phrase] += count
            of_code[code] += count
        codes_of_word: dict[str, Counter[str]] = defaultdict(Counter)
        self.entries = []
        self.entries_of_word: dict[str, list[int]] = defaultdict(list)
        for entry, ((phrase, code), count) in enumerate(rows.items()):
            words = phrase.split()
            preference = (-count / of_phrase[phrase], -of_code[code], code)
            self.entries.append((words, code, preference))
            for word in words:
                codes_of_word[word][code] += 1
                self.entries_of_word[word].append(entry)
        self.weight = {
            word: self._weight(counts, len(of_code))
            for word, counts in codes_of_word.items()
        }
        self.total = [sum(map(self.weight.get, words)) for words, _, _ in self.entries]
        return self

    @staticmethod
    def _weight(counts: Counter[str], n_codes: int) -> float:
        n = sum(counts.values())
        entropy = -sum(c / n * math.log(c / n) for c in counts.values())
        return round(max(1 - entropy / math.log(n_codes), 2**-10) * UNIT) / UNIT

    def top(self, text: str, k: int) -> list[tuple[str, float]]:
        """Return the `k` nearest codes of a normalised text, and similarities."""
        words = set(text.split())
        total = sum(self.weight.get(word, 0.5) for word in words)
        common: dict[int, float] = defaultdict(float)
        for word in words & self.weight.keys():
            for entry in self.entries_of_word[word]:
                common[entry] += self.weight[word]
        best: dict[str, tuple[float, Any]] = {}
        for entry, weight in common.items():
            _, code, preference = self.entries[entry]
            similarity = round(2 * weight / (total + self.total[entry]), 7)
            rank = (-similarity, preference)
            if code not in best or rank < best[code]:
                best[code] = rank
        ranked = sorted((rank, code) for code, rank in best.items())
        return [(code, -rank[0]) for rank, code in ranked[:k]]


def generated(
    entries: int, rows: int, n_codes: int, seed: int
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return the texts and the codes of an index, and distinct texts to match."""
    rng = np.random.default_rng(seed)
    syllables = [c + v for c in "bcdfglmnprstv" for v in "aeiou"]
    n_words = max(entries, 500)
    vocabulary = np.array(
        ["".join(rng.choice(syllables, 3)) + str(i) for i in range(n_words)], object
    )
    zipf = 1 / (np.arange(n_words) + 1.0)
    zipf /= zipf.sum()

    def words(code: int) -> list[str]:
        # Two words in five come from a code's own part of the vocabulary.
        size = rng.integers(2, 7)
        own = (code * 97 + rng.geometric(0.05, size)) % n_words
        common = rng.choice(n_words, size, p=zipf)
        return list(vocabulary[np.where(rng.random(size) < 0.4, own, common)])

    code = rng.zipf(1.3, entries) % n_codes
    index = [" ".join(words(c)) for c in code]
    texts: dict[str, None] = {}
    while len(texts) < rows:
        if rng.random() < 0.2:
            text = index[rng.integers(entries)].split()
        else:
            text = words(int(rng.integers(n_codes)))
        unknown = rng.random(len(text)) < 0.12
        text = [w + "x" if u else w for w, u in zip(text, unknown, strict=True)]
        texts[" ".join(rng.permutation(text))] = None
    return (
        pd.Series(index),
        pd.Series(code).map("{:04d}".format),
        pd.Series(list(texts)),
    )


def timed(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Return the least seconds of some repeats, other work disturbs the rest."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def bare_product(index: pd.Series, texts: pd.Series) -> tuple[float, float]:
    """Return the seconds of all overlaps as one sparse product, in blocks.

    Beside it the number of multiplications that a text needs on average.
    """
    phrases = parse(index).drop_duplicates()
    sets, _ = word_sets(pd.concat([phrases, normalise(texts)]))
    entries, known = sets[: len(phrases)], sets[len(phrases) :]
    by_word = entries.T.tocsr()
    blocks = [known[i : i + 2000] for i in range(0, len(texts), 2000)]
    seconds, _ = timed(lambda: [block @ by_word for block in blocks] and None)
    return seconds, float((known @ entries.sum(axis=0)).mean())


def check_equal(match: WeightedIndex, peer: LoopOverRecords, texts: pd.Series) -> float:
    """Return the peer's seconds; stop where an answer differs."""
    seconds, expected = timed(lambda: [peer.top(t, CANDIDATES) for t in texts], 1)
    codes, scores = match.predict_top(pd.DataFrame({"text": texts}), CANDIDATES)
    for i, wanted in enumerate(expected):
        got = [(c, s) for c, s in zip(codes[i], scores[i], strict=True) if c]
        same = [c for c, _ in got] == [c for c, _ in wanted] and np.allclose(
            [s for _, s in got], [s for _, s in wanted], rtol=0, atol=2e-7
        )
        if not same:
            raise SystemExit(f"The answers to row {i} differ: {got} and {wanted}")
    return seconds


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--entries", type=int, default=10_000)
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--codes", type=int, default=500)
    arguments.add_argument("--peer-rows", type=int, default=2_000)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    index, codes, texts = generated(
        chosen.entries, chosen.rows, chosen.codes, chosen.seed
    )
    X = pd.DataFrame({"text": texts})
    match = WeightedIndex()
    fit, _ = timed(lambda: match.fit(pd.DataFrame({"text": index}), codes))
    one, _ = timed(lambda: match.predict(X))
    five, _ = timed(lambda: match.predict_top(X, CANDIDATES))
    product, work = bare_product(index, texts)
    sample = texts.iloc[: chosen.peer_rows]
    loop = check_equal(match, LoopOverRecords().fit(index, codes), sample)

    table = Table(title=f"{chosen.entries:,} entries, {chosen.codes:,} codes, one core")
    table.add_column("what")
    for name in ("rows", "seconds", "rows/s"):
        table.add_column(name, justify="right")
    for what, rows, seconds in [
        ("fit, from the index's texts", len(index), fit),
        ("weighted match, predict", len(texts), one),
        (f"weighted match, predict_top({CANDIDATES})", len(texts), five),
        ("bare sparse product alone", len(texts), product),
        (f"loop over records, top {CANDIDATES}", len(sample), loop),
    ]:
        table.add_row(what, f"{rows:,}", f"{seconds:.2f}", f"{rows / seconds:,.0f}")
    console = Console()
    console.print(table)
    console.print(f"A text shares {work:,.0f} words with entries on average.")
    console.print(f"Answers equal to the loop's on {len(sample):,} rows.")


if __name__ == "__main__":
    main()
