"""What was done, in sentences that can go into a paper, with the sources of the methods."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emtools.measure import load
from emtools.population import population
from emtools.report.held import measurements_of
from emtools.report.wording import label, plural, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from emtools.report.held import Held
    from emtools.report.summary import Summary

_SECTION = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)


@dataclass(frozen=True)
class Methods:
    """A section on methods.

    Parameters
    ----------
    paragraphs
        Sentences.
    references
        Sources of the methods, each once.
    """

    paragraphs: tuple[str, ...]
    references: tuple[str, ...]


def methods(
    held: Held, summaries: Sequence[Summary], recipe: Mapping[str, Any], versions: Mapping[str, str]
) -> Methods:
    """Return what was done with a run's images.

    Parameters
    ----------
    held
        The images.
    summaries
        What was summed up.
    recipe
        The complete effective recipe.
    versions
        Of the programs.
    """
    kinds = Counter(held.outcomes.loc[held.outcomes["status"] == "measured", "modality"])
    said = ", ".join(f"{n} {kind or 'of unknown modality'}" for kind, n in kinds.most_common())
    one = held.n_measured == 1
    paragraphs = [f"{plural(held.n_measured, 'image')} ({said}) {'was' if one else 'were'} "
                  "measured with emtools "
                  f"{versions.get('emtools', '')} (Python {versions.get('python', '')})."]
    sources: list[str] = []
    for name in measurements_of(held.records):
        function = load(name).function
        paragraphs.append(f"{name.capitalize()}: {_described(function)}{_changed(name, recipe)}")
        sources += _references(function)
    if any(len(one.population) for one in summaries):
        paragraphs.append(_population(summaries, held))
        sources += _references(population)
    return Methods(tuple(paragraphs), tuple(dict.fromkeys(sources)))


def _sections(function: Callable[..., Any]) -> dict[str, str]:
    parts = _SECTION.split(inspect.getdoc(function) or "")
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def _described(function: Callable[..., Any]) -> str:
    """The description that follows the first line of a docstring."""
    first, _, rest = _sections(function)[""].partition("\n\n")
    return _plain(rest or first)


def _references(function: Callable[..., Any]) -> list[str]:
    """Each source on its own; a full stop ends it, one of an abbreviation does not."""
    said = _plain(_sections(function).get("References", ""))
    return [part for part in re.split(r"(?<=\d|\))\.\s+(?=[A-Z])", said.rstrip(".")) if part]


def _plain(words: str) -> str:
    return re.sub(r"[`*]", "", " ".join(words.split()))


def _changed(name: str, recipe: Mapping[str, Any]) -> str:
    """Parameters that are not the defaults, in the recipe and in its rules."""
    given = recipe.get("parameters", {}).get(name, {})
    changed = _other(name, given)
    ruled = [f"for {rule['files']}{' ' + rule['modality'] if rule['modality'] else ''}: "
             f"{_listed(rule['parameters'][name])}" for rule in recipe.get("rules", ())
             if rule["parameters"].get(name)]
    said = "; ".join(([_listed(changed)] if changed else []) + ruled)
    return f" Parameters other than the defaults: {said}." if said else \
        " All parameters had their defaults."


def _other(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from emtools.model.result import plain

    defaults = {option.name: plain(option.default) for option in load(name).options}
    return {key: value for key, value in given.items()
            if key in defaults and value != defaults[key]}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{label(key)} = {text(value)}" for key, value in values.items())


def _population(summaries: Iterable[Summary], held: Held) -> str:
    said = ("Means, medians and spreads are of the population; their 95 % intervals are from 1000 "
            "bootstrap samples of whole images, since objects of one image share its specimen, "
            "focus and scale. Spreads have the errors of measurement taken off.")
    if any(len(one.survival) for one in summaries):
        said += (" Chains that leave the frame are censored observations of their lengths: the "
                 "distribution is the product-limit estimate over true ends that are seen, so that "
                 "long chains are not counted more often.")
    if any(len(one.compared) for one in summaries):
        said += (" Groups are compared by the means of their images, or of their samples where "
                 "each group has several, with Welch's t and, from six on, its distribution over "
                 "exchanges between the groups; effect sizes are Hedges' g, and p values are "
                 "corrected for the number of comparisons in each table (Holm).")
    if held.n_measured > len(held.records):
        said += f" They are of {len(held.records)} images drawn at random."
    return said
