"""Measurements that rest on others: who supplies what, how often, and what a failure does."""

import numpy as np
import pytest

from emtools import ImageError, ParameterError, Result, simulate
from emtools.measure import Run, _run, load, needed_by
from emtools.measure._discovery import Measurement, measurement, options_of
from emtools.model.image import plane_image
from emtools.tables import Column, Table

TABLES = {"things": Table("a thing", (Column("thing", "int", "number"),))}
calls: list[str] = []


def made(name, rests_on=(), optional=(), fails=False) -> Measurement:
    """A measurement of that name that counts its calls."""
    typed = [f"{one}: Result" for one in rests_on] + [f"{one}: Result | None = None"
                                                       for one in optional]
    star = "*, " if typed else ""
    names = [*rests_on, *optional]
    code = (f"def {name}(image, {star}{', '.join(typed)}):\n"
            f"    return body({{{', '.join(f'{one!r}: {one}' for one in names)}}})\n")

    def body(given):
        calls.append(name)
        if fails:
            raise ImageError("image", "is too small")
        said = {key: None if value is None else value.outcome for key, value in given.items()}
        return Result(name, {"things": TABLES["things"].frame()}, {"outcome": f"{name} of {said}"})

    space = {"Result": Result, "body": body}
    exec(code, space)  # the signature is what is tested
    function = measurement(TABLES, ("TEM",))(space[name])
    return Measurement(name, function, TABLES, ("TEM",), options_of(function), "")


@pytest.fixture
def world(monkeypatch):
    """Replace the measurements by others."""
    calls.clear()

    def put(*measurements):
        known = {one.name: one for one in measurements}
        monkeypatch.setattr(_run, "load", known.__getitem__)

    return put


IMAGE = plane_image(np.ones((32, 32)), 0.1)


def test_each_is_measured_once(world):
    world(made("a"), made("b", ["a"]), made("c", ["a", "b"]))
    run = Run(IMAGE)
    assert "b of" in run.result("c").outcome
    run.result("a")
    run.result("b")
    assert calls == ["a", "b", "c"]


def test_optional_ones_only_on_request(world):
    world(made("a"), made("b", optional=["a"]))
    assert run_outcome(Run(IMAGE)) == "b of {'a': None}"
    assert run_outcome(Run(IMAGE, wanted=("a",))) == "b of {'a': 'a of {}'}"


def run_outcome(run) -> str:
    return run.result("b").outcome


def test_a_failed_one_is_passed_on_empty_and_says_why(world):
    world(made("a", fails=True), made("b", ["a"]))
    run = Run(IMAGE)
    assert "not measurable: is too small" in run.result("b").outcome
    for _ in range(2):
        with pytest.raises(ImageError):
            run.result("a")
    assert calls == ["a", "b"]


def test_circles_are_errors(world):
    world(made("a", ["c"]), made("b", ["a"]), made("c", ["b"]))
    with pytest.raises(ParameterError, match="a -> c -> b -> a"):
        Run(IMAGE).result("a")


def test_parameters_reach_those_it_rests_on_and_are_in_the_result():
    image, _ = simulate.chains(shape=(256, 256), n_chains=1, n_dots=(5, 5), rng=1)
    result = Run(image, {"chains": {"min_dots": 4}, "lattice": {"phases": ("PbS",)}}).result(
        "attachment")
    assert result.parameters["chains"]["min_dots"] == 4
    assert result.parameters["lattice"]["phases"] == ("PbS",)
    assert load("attachment")(image).parameters["chains"]["min_dots"] == 3
    with pytest.raises(ParameterError, match="min_dot"):
        Run(image, {"chains": {"min_dot": 4}}).result("attachment")
    assert needed_by("attachment") == ["attachment", "lattice", "chains"]
    assert needed_by("chains") == ["chains"]
