"""What the plugin knows without a window: desks, edits, forms, layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import emtools
from conftest import SAMPLES
from emtools.errors import ParameterError
from emtools.model.image import plane_image


@pytest.fixture(scope="module")
def image() -> Any:
    return emtools.read_one(SAMPLES / "pbs_chains_detail.hspy")


@pytest.fixture(scope="module")
def result(image: Any) -> Any:
    return emtools.chains(image)


@pytest.fixture
def desk(image: Any) -> Any:
    """A desk over layers that no window shows."""
    from napari.components import ViewerModel

    from napari_emtools.desk import Desk
    from napari_emtools.shown import image_layer

    model = ViewerModel()
    data, shown, _ = image_layer(image)
    model.add_image(data, **shown)
    made = Desk(model)
    made.model = model  # type: ignore[attr-defined]
    return made


def test_desk_shows_corrects_and_goes_back(desk: Any, image: Any, result: Any) -> None:
    from napari_emtools.desk import as_corrected
    from napari_emtools.editing import Editing

    heard: list[tuple[str, str]] = []
    desk.changed.connect(lambda key, name: heard.append((key, name)))
    finding = desk.put(image, result, {})
    editing = Editing(finding)
    editing.removed("chains", [0])
    new = as_corrected(image, result, {}, editing.correction)
    desk.correct(finding, editing.correction, new)
    layers = {layer.metadata["layer"]: layer for layer in desk.layers_of(image, "chains")}
    assert len(layers["chains"].data) == len(result.tables["chains"]) - 1
    assert list(layers["chains"].features["chain"]) == list(new.tables["chains"]["chain"])
    assert desk.step(finding, back=True)
    assert len(layers["chains"].data) == len(result.tables["chains"])  # the same layer, refilled
    assert desk.step(finding, back=False)
    assert not desk.step(finding, back=False)
    assert len(heard) == 4


def test_calibration_takes_results_away(desk: Any, image: Any, result: Any) -> None:
    desk.put(image, result, {})
    assert len(desk.model.layers) == 4
    desk.recalibrate(image.calibrated(0.25, "nm"))
    assert len(desk.model.layers) == 1
    assert not desk.findings
    np.testing.assert_allclose(desk.model.layers[0].scale, 0.25)


def test_edits_keep_their_order_whatever_the_layer_does(image: Any, result: Any) -> None:
    """Places in a layer are those of its rows as they were, also when several are taken out."""
    from napari_emtools.desk import Finding
    from napari_emtools.editing import Editing

    editing = Editing(Finding(image, {}, result, result))
    editing.removed("chains", [0, 2])
    assert editing.chains == [2]
    assert set(editing.drawing.centrelines) == {2}
    with pytest.raises(ParameterError, match="choose two"):
        editing.joined([0])


@pytest.mark.parametrize(("name", "text", "value"), [
    ("max_gap_nm", "1.5", 1.5), ("max_gap_nm", "", 2.0), ("min_dots", "4", 4),
    ("contrast", "dark", "dark")])
def test_what_is_typed_becomes_a_value(name: str, text: str, value: Any) -> None:
    from emtools.measure import load
    from napari_emtools.fields import fields_of

    field = next(one for one in fields_of(load("chains").options) if one.name == name)
    assert field.value(text) == value


def test_labels_that_are_painted_are_the_chains(image: Any, result: Any) -> None:
    from napari_emtools.editing import labels_of

    labels = labels_of(image, result)
    assert set(np.unique(labels)) == {0, *result.tables["chains"]["chain"]}
    again = emtools.chains(image, labels=labels).tables["chains"]
    np.testing.assert_allclose(again["width_nm"], result.tables["chains"]["width_nm"], rtol=0.01)


def test_sheared_plane_keeps_its_shear_in_layers() -> None:
    from emtools.model import Distortion
    from napari_emtools.shown import geometry

    image = replace(plane_image(np.zeros((8, 8)), 0.5),
                    distortion=Distortion(((1.0, 0.02), (0.0, 0.98))))
    own = geometry(image)
    corner = own["affine"][:2, :2] @ (np.array(own["scale"]) * [7, 7])
    np.testing.assert_allclose(corner, image.calibration().vectors(np.array([7.0, 7.0])))


def test_frame_and_its_name_belong_together() -> None:
    from napari_emtools.shown import frame_named, frame_of, image_from

    rng = np.random.default_rng(0)
    stack = image_from(rng.normal(size=(4, 3, 8, 8)), (1, 1, 0.2, 0.2),
                       ("pixel", "pixel", "nm", "nm"), "stack")
    frame = frame_of(stack, (2, 1, 0, 0))
    again = frame_named(stack, frame.source.signal)
    np.testing.assert_array_equal(again.load(), stack.load()[2, 1])
    assert frame_named(stack, "") is stack
