"""Whether groups of images differ: image by image, never dot by dot."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ParameterError
from emtools.population.differences import (
    Difference,
    hedges,
    holm,
    pseudo_values,
    two_estimates,
    two_samples,
)
from emtools.population.frames import as_frames, pool
from emtools.population.lengths import reaches
from emtools.population.summary import quantities
from emtools.population.tables import COMPARISON, checked_confidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.population.frames import Frame, Pooled
    from emtools.population.spread import Quantity

    Floats = NDArray[np.float64]


def compare(
    groups: Mapping[str, Iterable[Frame] | Frame], quantity: str | Sequence[str] = "all", *,
    confidence: float = 0.95, rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Compare the chains of groups of images: before and after, one synthesis and another.

    Dots are nested in chains, chains in images, images in samples; what is compared is one number
    for each image (or for each sample, where every group has several), so that many dots of one
    image do not pass for many independent facts.

    Parameters
    ----------
    groups
        The images of each group, by its name.
    quantity
        Name of one quantity, several of them, or ``all``; those of `population`, where needed in a
        form that has a symmetric error (1 / persistence length, order squared).
    confidence
        Of the intervals; a difference is called one at 1 - `confidence`.
    rng
        For permutations and bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row for each quantity and pair of groups: difference b - a, effect size, p value with
        and without correction, and a verdict in words.

    Raises
    ------
    ParameterError
        If there are fewer than two groups, an empty one, or no such quantity.

    Notes
    -----
    At least six images (or samples) in both groups: all exchanges of images between the groups, or
    4999 of them at random, of Welch's t, which keeps its level for groups of unequal scatter
    (Janssen, Stat. Probab. Lett. 36 (1997) 9); its quantile makes the interval.  Two to five:
    Welch's t.  One image: chains in place of images, and the verdict says so.  Lengths, gaps and
    bending rates, which few chains of one image cannot give, enter as jackknife pseudo-values of
    the images (Tukey 1958; Andersen, Klein & Rosthoj, Biometrika 90 (2003) 15), anew for each of at
    most 999 exchanges, or, of more than sixty images in both groups, with Welch's t; lengths up to
    the same reach in both groups.

    References
    ----------
    Welch, Biometrika 34 (1947) 28; Hedges, J. Educ. Stat. 6 (1981) 107; Holm, Scand. J. Stat. 6
    (1979) 65.
    """
    checked_confidence(confidence)
    if len(groups) < 2:
        raise ParameterError("groups", "needs at least two groups")
    generator = np.random.default_rng(rng)
    frames = {name: as_frames(of, f"group {name!r}") for name, of in groups.items()}
    rows: list[dict[str, Any]] = []
    for a, b in combinations(frames, 2):
        rows += _pair((a, b), (frames[a], frames[b]), quantity, confidence, generator)
    return judged(rows, confidence)


def judged(rows: list[dict[str, Any]], confidence: float) -> pd.DataFrame:
    """Return the table of comparisons: p values corrected for all of them, and verdicts."""
    corrected = holm(np.array([row["p_value"] for row in rows]))
    for row, p_holm in zip(rows, corrected.tolist(), strict=True):
        row["p_holm"] = p_holm
        row["verdict"] = _verdict(row, confidence)
        for working in ("_level", "_reason"):
            del row[working]
    return COMPARISON.frame(rows)


def _pair(
    names: tuple[str, str], frames: tuple[tuple[Frame, ...], tuple[Frame, ...]],
    wanted: str | Sequence[str], confidence: float, rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Return the rows of one pair of groups."""
    pooled = [pool(of) for of in frames]
    reach = [reaches(of) for of in pooled]
    # A mean up to a farther reach is larger: both groups go as far as the shorter one.
    common = {name: min(of[name] for of in reach) for name in reach[0]}
    level = _level(frames)
    if level == "chains":
        apart = [_undirected(quantities(of, rng, common)) for of in pooled]
        known = {a.name: (a, b) for a, b in zip(*apart, strict=True)}
    else:
        # What is chosen on the way (separations, distances, starting values) is chosen once, of all
        # images together: otherwise groups of one kind would differ by it.
        both = pool((*frames[0], *frames[1]))
        known = {of.name: (of, of) for of in _undirected(quantities(both, rng, common))}
    chosen = list(known) if wanted == "all" else [wanted] if isinstance(wanted, str) else wanted
    rows = []
    for name in chosen:
        if name not in known:
            raise ParameterError("quantity", f"unknown: {name!r}",
                                 f"one of {', '.join(known)}, all")
        row = _chains_apart(known[name], pooled, confidence, rng) if level == "chains" else \
            _images_apart(known[name][0], both, (len(frames[0]), level), confidence, rng)
        if name in common:
            row["method"] += f"; mean up to {common[name]:.4g} {row['unit']}".rstrip()
        rows.append(row | _counts(pooled) | {"group_a": names[0], "group_b": names[1],
                                             "_level": level})
    return rows


def _level(frames: tuple[tuple[Frame, ...], tuple[Frame, ...]]) -> str:
    """What the units of the test are: samples, images, or the chains of single images."""
    return level_of([[frame.sample for frame in of] for of in frames])


def level_of(groups: Sequence[Sequence[str]]) -> str:
    """What the units of a test are, by the samples of the images of each group."""
    # One value has no scatter: what is inside the image is all there is to test.
    if any(len(of) == 1 for of in groups):
        return "chains"
    samples = [set(of) for of in groups]
    if all(len(of) > 1 and "" not in of for of in samples):
        return "samples"
    return "images of one sample" if all("" not in of for of in samples) else "images"


def _images_apart(
    quantity: Quantity, both: Pooled, split: tuple[int, str], confidence: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the row of one quantity of two groups of images.

    Parameters
    ----------
    quantity
        Of the images of both groups.
    both
        All images, those of the first group first.
    split
        How many are in the first group, and what the units of the test are.
    confidence, rng
        As in `compare`.
    """
    if quantity.statistic is None:
        none = np.zeros(0)
        return row_of_two(quantity, two_samples(none, none, confidence, rng), (none, none))
    seen = np.zeros(both.n_units, dtype=bool)
    seen[quantity.units] = True
    in_a = np.arange(both.n_units) < split[0]
    members = (seen & in_a, seen & ~in_a)
    found = [_of_images(quantity, mask) for mask in members]
    if split[1] == "samples":
        found = [_of_samples(of, both, mask) for of, mask in zip(found, members, strict=True)]
    values = (found[0][np.isfinite(found[0])], found[1][np.isfinite(found[1])])
    if quantity.image_means or split[1] == "samples":
        test = two_samples(*values, confidence, rng)
    else:
        test = two_estimates(quantity.statistic, members, values, confidence, rng)
    return row_of_two(quantity, test, values, hedges(*values, confidence))


def _undirected(found: list[Quantity]) -> list[Quantity]:
    """Leave out the director: two of them differ by how the stage was turned."""
    return [quantity for quantity in found if quantity.name != "director"]


def _of_images(quantity: Quantity, mask: NDArray[np.bool_]) -> Floats:
    """Return the value of each image of a group: its own, or its pseudo-value in the group."""
    assert quantity.statistic is not None
    if quantity.image_means:
        return quantity.statistic(np.eye(len(mask)))[mask]
    near = quantity.of_group(mask) if quantity.of_group else quantity.statistic
    return pseudo_values(near, mask)


def _of_samples(values: Floats, both: Pooled, mask: NDArray[np.bool_]) -> Floats:
    """Return the mean of the images of each sample."""
    samples = np.array([frame.sample for frame in both.frames])[mask]
    known = np.isfinite(values)
    return np.array([values[known & (samples == name)].mean()
                     for name in np.unique(samples[known])])


def _chains_apart(
    pair: tuple[Quantity, Quantity], pooled: list[Pooled], confidence: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the row of one quantity where a group is a single image: its chains are the units."""
    mixed = pooled[0].by_image != pooled[1].by_image
    values = (_of_parts(pair[0], pooled[0]), _of_parts(pair[1], pooled[1]))
    test = two_samples(*values, confidence, None if mixed else rng)
    poorer = pair[0] if pair[0].statistic is None else pair[1]
    if mixed:  # the spread of images and that of chains are not the same thing
        return row_of_two(poorer, test, values)
    return row_of_two(poorer, test, values, hedges(*values, confidence))


def _of_parts(quantity: Quantity, pooled: Pooled) -> Floats:
    """Return the values of a group's chains, if it is a single image, or of its images."""
    if quantity.statistic is None or quantity.of_frame:
        return np.zeros(0)
    mask = np.zeros(pooled.n_units, dtype=bool)
    mask[quantity.units] = True
    values = _of_images(quantity, mask) if pooled.by_image else \
        pseudo_values(quantity.statistic, mask)
    return values[np.isfinite(values)]


def row_of_two(
    quantity: Quantity, test: Difference, values: tuple[Floats, Floats],
    effect: tuple[float, float, float] = (np.nan, np.nan, np.nan),
) -> dict[str, Any]:
    """Return the row of one quantity of two groups."""
    means = [float(of.mean()) if len(of) else float("nan") for of in values]
    reason = quantity.note if quantity.statistic is None else \
        "a single image has a single value" if quantity.of_frame else ""
    return {
        "quantity": quantity.compared or quantity.name,
        "unit": quantity.compared_unit if quantity.compared else quantity.unit,
        "value_a": means[0], "value_b": means[1],
        "difference": test.difference, "low": test.low, "high": test.high,
        "effect_size": effect[0], "effect_low": effect[1], "effect_high": effect[2],
        "p_value": test.p_value, "method": test.method, "_reason": reason,
    }


def _counts(pooled: list[Pooled]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for suffix, of in zip("ab", pooled, strict=True):
        counts |= {f"images_{suffix}": len(of.frames), f"chains_{suffix}": len(of.chains),
                   f"dots_{suffix}": len(of.dots)}
    return counts


def _verdict(row: Mapping[str, Any], confidence: float) -> str:
    """Say what the numbers allow to say."""
    if not np.isfinite(row["p_value"]):
        return f"not comparable: {row['_reason'] or row['method']}"
    p_value = f"p = {row['p_holm']:.2g}"
    if row["p_holm"] > 1.0 - confidence:
        return f"no difference shown ({p_value})"
    larger, other = ("group_b", "group_a") if row["difference"] > 0 else ("group_a", "group_b")
    said = f"larger in {row[larger]} than in {row[other]} ({p_value})"
    limits = {
        "chains": "; these images differ: with a single image in a group nothing is said of the "
                  "samples or the treatment",
        "images of one sample": "; these samples differ: with a single sample in a group nothing "
                                "is said of the treatment",
        "images": "; samples are not stated: if each group is one sample, these two samples "
                  "differ, and nothing is said of the treatment",
        "samples": "",
    }
    return said + limits[row["_level"]]
