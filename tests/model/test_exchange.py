"""Image <-> HyperSpy signal: nothing is lost, and nothing odd is believed."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emtools.model import Acquisition, Axis, Distortion, Image, Source
from emtools.model.as_read import read_axes
from emtools.model.exchange import from_hyperspy, image_from_dictionary, to_hyperspy

hs = pytest.importorskip("hyperspy.api")

SLOW = settings(max_examples=60, deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

SIZES = st.floats(1e-3, 1e3).map(lambda value: float(f"{value:.6g}"))
NAMES = {1: [("energy",), ("x",)], 2: [("y", "x"), ("x", "energy")],
         3: [("y", "x", "energy"), ("frame", "y", "x")],
         4: [("scan_y", "scan_x", "y", "x"), ("frame", "y", "x", "energy")]}
UNITS = {"energy": ["keV"], "frame": ["px", "s", "nm"]}
DTYPES = ["u1", "u2", "i4", "f2", "f4", "f8", "c8", "?"]
WORDS = st.text("abcXYZ09 µ-", min_size=1, max_size=8)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | WORDS
    | st.lists(st.integers(0, 9), max_size=3),
    lambda children: st.dictionaries(WORDS, children, min_size=1, max_size=3), max_leaves=8,
)


@st.composite
def axes_of(draw, names, shape):
    axes = []
    plane_unit = draw(st.sampled_from(["nm", "1/nm", "px", "mrad"]))
    for name, size in zip(names, shape, strict=True):
        unit = draw(st.sampled_from(UNITS.get(name, [plane_unit])))
        if unit == "px":
            axes.append(Axis(name, size))
            continue
        err = draw(st.none() | SIZES)
        source = draw(st.sampled_from(["file", "user", "calibration", "picture"]))
        if name == "energy" and draw(st.booleans()) and size > 1:
            steps = draw(st.lists(SIZES, min_size=size - 1, max_size=size - 1))
            positions = tuple(np.concatenate([[0.5], 0.5 + np.cumsum(steps)]).tolist())
            mean = float(np.abs(np.mean(np.diff(positions))))
            axes.append(Axis(name, size, mean, unit, positions[0], source=source,
                             pixel_size_err=err, positions=positions))
        else:
            axes.append(Axis(name, size, draw(SIZES), unit, draw(st.floats(-99, 99)) + 0.0,
                             draw(st.booleans()), err, source))
    return tuple(axes)


@st.composite
def images(draw):
    names = draw(st.sampled_from(NAMES[draw(st.integers(1, 4))]))
    shape = tuple(draw(st.integers(2, 4)) for _ in names)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    data = (rng.random(shape) * 100).astype(draw(st.sampled_from(DTYPES)))
    if draw(st.booleans()):
        import dask.array as da

        data = da.from_array(data, chunks=2)
    plane = tuple(size for name, size in zip(names, shape, strict=True) if name in ("y", "x"))
    mask = rng.random(plane) > 0.5 if len(plane) == 2 and draw(st.booleans()) else None
    raw = draw(st.just({}) | st.fixed_dictionaries({
        "metadata": st.dictionaries(WORDS, TREES, max_size=3),
        "original_metadata": st.dictionaries(WORDS, TREES, max_size=3),
    }))
    number = st.none() | SIZES
    return Image(
        data, draw(axes_of(names, shape)), mask,
        Acquisition(draw(st.sampled_from([None, "HAADF", "SAED"])), draw(number), draw(number),
                    draw(st.none() | WORDS), date=draw(st.none() | WORDS)),
        Source(draw(st.none() | WORDS), draw(WORDS), draw(st.integers(0, 5)), "tia",
               fingerprint=str),
        raw, Distortion(((1.0, 0.01), (draw(st.floats(-0.1, 0.1)), 1.02)), 0.003, 0.2),
        tuple(draw(st.lists(WORDS, max_size=3))),
    )


def assert_same(one, other):
    assert one.axes == other.axes
    assert one.acquisition == other.acquisition
    assert one.source == other.source
    assert one.source.fingerprint is other.source.fingerprint
    assert one.distortion == other.distortion
    assert one.audit == other.audit
    assert one.raw_metadata == other.raw_metadata
    assert one.lazy == other.lazy
    assert one.data.dtype == other.data.dtype
    np.testing.assert_array_equal(one.load(), other.load())
    if one.mask is None:
        assert other.mask is None
    else:
        np.testing.assert_array_equal(one.mask, other.mask)


@SLOW
@given(images())
def test_there_and_back_is_the_same_image(image):
    before = copy.deepcopy(dict(image.raw_metadata))
    signal = to_hyperspy(image)
    assert_same(image, from_hyperspy(signal))
    assert dict(image.raw_metadata) == before


@pytest.mark.parametrize(("shape", "kind", "signal_type", "names"), [
    ((6, 7), "Signal2D", "", ["y", "x"]),
    ((3, 6, 7), "Signal2D", "", ["frame", "y", "x"]),
    ((2, 3, 6, 7), "Signal2D", "", ["scan_y", "scan_x", "y", "x"]),
    ((6, 7, 20), "Signal1D", "EDS_TEM", ["y", "x", "energy"]),
    ((6, 7, 20), "Signal1D", "EELS", ["y", "x", "energy"]),
    ((20,), "Signal1D", "EDS_SEM", ["energy"]),
    ((6, 7, 20), "Signal1D", "", ["y", "x", "channel"]),
    ((6, 7), "ComplexSignal2D", "", ["y", "x"]),
])
@pytest.mark.parametrize("lazy", [False, True])
def test_signals_keep_class_type_and_dimensions(shape, kind, signal_type, names, lazy):
    dtype = complex if kind.startswith("Complex") else np.uint16
    signal = getattr(hs.signals, kind)(np.arange(np.prod(shape)).reshape(shape).astype(dtype))
    if signal_type:
        signal.axes_manager[-1].units = "eV"
        signal.axes_manager[-1].scale = 10.0
        signal.set_signal_type(signal_type)
    signal.metadata.General.title = "a title"
    signal.original_metadata.set_item("Vendor.Entry (s)", [1, 2])
    signal = signal.as_lazy() if lazy else signal
    image = Image.from_hyperspy(signal)
    assert [axis.name for axis in image.axes] == names
    assert image.lazy == lazy
    back = image.to_hyperspy()
    assert type(back) is type(signal)
    assert back.metadata.Signal.signal_type == signal.metadata.Signal.signal_type
    assert back.axes_manager.navigation_shape == signal.axes_manager.navigation_shape
    assert back.original_metadata.as_dictionary() == signal.original_metadata.as_dictionary()
    if signal_type:
        assert image.axis("energy").pixel_size == pytest.approx(0.01)
        assert image.axis("energy").unit == "keV"
    assert_same(image, from_hyperspy(back))


def test_the_signal_can_be_changed_without_changing_the_image():
    image = Image(np.ones((4, 4)), (Axis("y", 4, 0.5, "nm"), Axis("x", 4, 0.5, "nm")))
    signal = image.to_hyperspy()
    signal.data[:] = 7
    signal.axes_manager[0].scale = 9
    assert image.load().max() == 1


def test_what_was_changed_on_the_way_counts():
    image = Image(np.ones((8, 8)), (Axis("y", 8, 0.5, "nm", source="user", pixel_size_err=0.1),
                                    Axis("x", 8, 0.5, "nm", source="user")),
                  mask=np.ones((8, 8), bool), audit=("before",))
    cropped = from_hyperspy(image.to_hyperspy().isig[:4, :4])
    assert cropped.shape == (4, 4)
    assert cropped.mask is None
    assert cropped.audit[0] == "before"
    assert any("mask was dropped" in note for note in cropped.audit)
    scaled = image.to_hyperspy()
    scaled.axes_manager[0].scale = 2.0
    assert from_hyperspy(scaled).axis("x").pixel_size == 2.0
    assert from_hyperspy(scaled).axis("x").source == "file"


def test_saved_by_hyperspy_and_read_again(tmp_path):
    from emtools import io

    image = Image(np.arange(64.0).reshape(8, 8),
                  (Axis("y", 8, 0.5, "nm", flipped=True), Axis("x", 8, 0.25, "nm")),
                  mask=np.eye(8, dtype=bool), distortion=Distortion(((1, 0.1), (0, 1)), 0.1, 0.2),
                  acquisition=Acquisition("HAADF", 300.0))
    image.to_hyperspy().save(tmp_path / "a.hspy")
    again = io.read_one(tmp_path / "a.hspy")
    assert again.axes == image.axes
    assert again.distortion == image.distortion
    assert again.acquisition == image.acquisition
    np.testing.assert_array_equal(again.mask, image.mask)


def axis(scale=1.0, unit="nm", **more):
    return {"name": "a", "size": 4, "scale": scale, "offset": 0.0, "units": unit,
            "navigate": False, **more}


@pytest.mark.parametrize(("scale", "unit", "said"), [
    (1e17, "nm", "absurd"), (1e-20, "m", "absurd"), (0.0, "nm", "zero"),
    (float("nan"), "nm", "not a number"), (float("inf"), "nm", "not a number"),
    (-float("inf"), "nm", "not a number"), (1e9, "1/nm", "absurd"),
    (0.016, "cm", "on the detector"),
    (1e-3, "Angle", "no unit of length"), (1.0, "units1", "no unit of length"),
    (8.0, "", "without a unit"), (8.0, "<undefined>", "without a unit"), (1.0, "", "no pixel size"),
    (1.0, "pix", "no pixel size"), ("many", "nm", "not a number"), (None, "nm", "not a number"),
])
def test_what_is_no_calibration_is_replaced_and_said(scale, unit, said):
    axes, notes = read_axes([axis(scale, unit)] * 2, (4, 4))
    assert [one.unit for one in axes] == ["px", "px"]
    assert [one.pixel_size for one in axes] == [1.0, 1.0]
    assert len(notes) == 1
    assert said in notes[0]
    assert notes[0].startswith("y, x: ")
    assert "px" in notes[0]


def test_negative_step_is_a_flipped_axis():
    (y, x), notes = read_axes([axis(-2.0, offset=10.0), axis(2.0)], (4, 4))
    assert (y.pixel_size, y.flipped, y.source) == (2.0, True, "file")
    assert not x.flipped
    assert y.coordinates().tolist() == [10.0, 8.0, 6.0, 4.0]
    assert notes == []


def test_odd_planes_are_said():
    _, notes = read_axes([axis(2.0, "A"), axis(1.0, "nm")], (4, 4))
    assert any("not square" in note for note in notes)
    assert any("'A'" in note for note in notes)
    _, notes = read_axes([axis(2.0, "nm"), axis(1.0, "1/nm")], (4, 4))
    assert any("y is in nm but x in 1/nm" in note for note in notes)


def test_metre_is_a_plain_length():
    (y, _), _ = read_axes([axis(2.3928e-11, "m")] * 2, (4, 4))
    assert y.pixel_size == pytest.approx(0.023928, rel=1e-12)


def test_uneven_positions():
    raw = {"name": "E", "units": "eV", "navigate": False, "axis": [1000.0, 1010.0, 1030.0]}
    (energy,), notes = read_axes([raw], (3,))
    assert energy.positions == pytest.approx((1.0, 1.01, 1.03))
    assert energy.name == "energy"
    assert notes == []
    (energy,), notes = read_axes([{**raw, "axis": [1.0, 3.0, 2.0]}], (3,))
    assert energy.unit == "px"
    assert "one direction" in notes[0]


def test_axes_that_do_not_fit_the_data_are_not_used():
    axes, notes = read_axes([axis()], (4, 5))
    assert [one.size for one in axes] == [4, 5]
    assert "no pixel size" in notes[0]


def test_grey_and_colour_pictures_with_fields():
    fields = np.dtype([(name, "u1") for name in "RGBA"])
    pixels = np.zeros((4, 4), fields)
    for name in "RGB":
        pixels[name] = np.arange(16).reshape(4, 4)
    grey = image_from_dictionary({"data": pixels, "axes": [axis(), axis()]})
    np.testing.assert_array_equal(grey.load(), pixels["R"])
    assert grey.audit == ()
    pixels["G"] = 200
    colour = image_from_dictionary({"data": pixels, "axes": [axis(), axis()]})
    assert colour.load().dtype == np.uint8
    assert "colour picture" in colour.audit[0]


def test_masks_and_calibrations_given_by_the_user_survive():
    image = Image(np.ones((4, 4)), (Axis("y", 4), Axis("x", 4))).calibrated(0.2, "nm", err=0.01)
    image = replace(image, mask=np.eye(4, dtype=bool))
    again = from_hyperspy(to_hyperspy(image))
    assert again.axis("x").source == "user"
    assert again.axis("x").relative_err == pytest.approx(0.01)
    assert again.audit == image.audit
