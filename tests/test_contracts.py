"""What every measurement has to keep, whichever it is: found by name, run on its example.

A measurement that is added to `emtools.measure` is covered as soon as `examples.EXAMPLES` has an
image for it.
"""

from __future__ import annotations

import inspect
import json
import pickle
import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

from emtools import Image, Measured, batch, read_one, simulate
from emtools.errors import EmtoolsError
from emtools.io.writing import write_image
from emtools.measure import Run, load, names, needed_by
from examples import EXAMPLES, difference, error_of, matched, pulls

NAMES = names()
# Floats without a unit: ratios, probabilities, scores.
DIMENSIONLESS = {"snr", "p_value", "score", "aspect_ratio", "aspect_ratio_err", "tortuosity",
                 "exx", "exx_err", "eyy", "eyy_err", "exy", "exy_err", "counts", "counts_err",
                 "intensity", "k_factor", "haadf", "haadf_err"}
UNIT = re.compile(r".*_(nm|nm2|per_nm|deg|px|percent(_k)?(_err)?|keV|s)$")
DTYPES = {"float": "float64", "int": "int64", "bool": "bool", "str": "str"}
BLANKS = ("constant", "noise", "amorphous", "stripes", "scan_noise", "step")

every = pytest.mark.parametrize("name", NAMES)
# Measurements of pictures; those of spectra have tests of their own for what spectra are.
PLANES = [name for name in NAMES if not load(name).axes]
every_of_planes = pytest.mark.parametrize("name", PLANES)


@cache
def example(name: str, seed: int = 0):
    return EXAMPLES[name].make(seed)


@cache
def measured(name: str, seed: int = 0):
    """The example's result; the phases are given."""
    return load(name)(example(name, seed)[0], **EXAMPLES[name].parameters)


@cache
def unaided(name: str):
    """The example's result without anything told."""
    return load(name)(example(name)[0])


def same(a, b) -> None:
    for name in a.tables:
        pd.testing.assert_frame_equal(a.tables[name], b.tables[name], check_exact=True)


def is_length(option) -> bool:
    return option.type == "float" and option.name.endswith("_nm")


# ---- declarations -------------------------------------------------------------------------------


@every
def test_there_is_an_example(name):
    assert name in EXAMPLES, f"tests/examples.py needs an image for {name}"


@every
def test_parameters_are_keyword_only_typed_and_documented(name):
    measurement = load(name)
    first, *others = inspect.signature(measurement.function).parameters.values()
    assert first.name == "image"
    assert [option.name for option in measurement.options] == [p.name for p in others]
    for parameter, option in zip(others, measurement.options, strict=True):
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter
        assert parameter.annotation is not inspect.Parameter.empty, parameter
        assert option.meaning, f"{option.name} is not in the docstring"
        assert option.meaning[0].isupper(), option
        assert option.meaning.endswith("."), option
        assert option.type in ("float", "int", "bool", "str", "tuple", "Result", "Image", "array",
                               "lines", "numbers"), option
        if option.type == "Image":
            assert parameter.default is None, "a scan may have no such picture"
        if option.type == "Result":
            assert option.name in names(), f"{option.name} is no measurement that could supply it"
            assert parameter.default in (inspect.Parameter.empty, None), option
        if option.type in ("float", "int", "bool", "str"):
            assert parameter.default is not inspect.Parameter.empty, option
        if re.search(r"width|length|gap|diameter|spacing|radius|^(min|max)_d_", option.name):
            assert re.search(r"_(nm|per_nm|px)$", option.name), f"{option.name}: which unit?"


@every
def test_docstring_has_the_sections_of_numpydoc(name):
    doc = inspect.getdoc(load(name).function)
    assert load(name).summary.endswith(".")
    for section in ("Parameters", "Returns", "Raises"):
        assert re.search(rf"^{section}\n-+$", doc, re.MULTILINE), section
    for table in load(name).tables:
        assert f"``{table}``" in doc, f"{table} is not named under Returns"


@every
def test_columns_have_units_and_meanings(name):
    for table in load(name).tables.values():
        assert table.meaning
        assert len(set(table.names())) == len(table.columns)
        for column in table.columns:
            assert len(column.meaning) > 3, column
            assert column.name.isidentifier()
            if column.kind == "float":
                assert UNIT.match(column.name) or column.name in DIMENSIONLESS, column
            if "_err" in column.name and not column.name.endswith("_k_err"):
                value = column.name.replace("_err", "", 1)
                assert value in table.names(), f"{column.name} is the error of no column"
                assert error_of(value) == column.name


@every
def test_modalities_are_those_of_the_model(name):
    known = {"HAADF", "ADF", "BF", "DF", "STEM", "TEM", "SAED", "EDS", "EELS", "SEM", "FFT",
             "4D-STEM"}
    assert set(load(name).modalities) <= known


# ---- results ------------------------------------------------------------------------------------


def check_tables(result, name) -> None:
    declared = load(name).tables
    assert list(result.tables) == list(declared)
    unit = result.summary["unit"]
    for table, frame in result.tables.items():
        assert list(frame.columns) == declared[table].names(unit)
        wanted = [DTYPES[column.kind] for column in declared[table].columns]
        assert [str(dtype) for dtype in frame.dtypes] == wanted
        assert frame.index.equals(pd.RangeIndex(len(frame)))
        identifier = table.removesuffix("s")
        if identifier in frame:
            assert frame[identifier].tolist() == list(range(1, len(frame) + 1))


@every
def test_tables_are_as_declared(name):
    result = measured(name)
    check_tables(result, name)
    assert len(result.tables[EXAMPLES[name].found])
    for frame in result.tables.values():
        for column in frame.select_dtypes("float"):
            assert not np.isinf(frame[column]).any(), column
            if "_err" in column:
                assert not (frame[column] <= 0).any(), f"{column} claims perfection"


@every
def test_identifiers_are_the_same_in_all_tables(name):
    tables = measured(name).tables
    for table, frame in tables.items():
        for owner in tables:
            one = owner.removesuffix("s")
            if one in frame and one != table.removesuffix("s") and one in tables[owner]:
                assert set(frame[one]) <= {0, *tables[owner][one]}


@every
def test_input_is_not_touched(name):
    image, _ = example(name)
    blank, _ = simulate.blank("noise", shape=(96, 96))
    for given in (image, blank) if name in PLANES else (image,):
        data = np.array(given.data)
        mask = np.ones(given.shape[:2], dtype=bool)
        mask[:20, :20] = False
        before = data.tobytes(), mask.tobytes()
        load(name)(Image(data, given.axes, mask=mask, acquisition=given.acquisition))
        assert (data.tobytes(), mask.tobytes()) == before
        assert data.flags.writeable


@every
def test_same_input_same_bits(name):
    image, _ = EXAMPLES[name].make(0)
    same(measured(name), load(name)(image, **EXAMPLES[name].parameters))


@every
def test_a_hyperspy_signal_gives_the_same(name):
    signal = example(name)[0].to_hyperspy()
    same(measured(name), load(name)(signal, **EXAMPLES[name].parameters))


@every
def test_result_is_plain_complete_json(name):
    result = measured(name)
    read = json.loads(result.to_json())
    assert list(read) == ["measurement", "source", "parameters", "summary", "tables"]
    assert read["measurement"] == name
    assert set(read["parameters"]) == {option.name for option in load(name).options}
    assert {"file", "sha256", "signal", "emtools"} <= set(read["source"])
    assert read["summary"]["outcome"] == result.outcome
    for table, frame in result.tables.items():
        assert len(read["tables"][table]) == len(frame)
        for row, there in zip(frame.to_dict("records"), read["tables"][table], strict=True):
            for column, value in row.items():
                if isinstance(value, float) and not np.isfinite(value):
                    assert there[column] is None
                else:
                    assert there[column] == value


@every
def test_result_survives_pickling(name):
    result = measured(name)
    again = pickle.loads(pickle.dumps(result))
    same(result, again)
    assert again.to_json() == result.to_json()
    assert len(again.layers) == len(result.layers)


@every
def test_layers_are_plain_and_say_where_they_live(name):
    layers = measured(name).layers
    assert layers
    assert isinstance(layers, tuple)
    for layer in layers:
        assert type(layer) is tuple
        data, kwargs, kind = layer
        assert kind in ("image", "labels", "points", "shapes", "vectors", "tracks")
        assert {"name", "units", "scale", "metadata"} <= set(kwargs)
        assert kwargs["metadata"]["space"] in ("image", "reciprocal")
        assert len(kwargs["units"]) == len(kwargs["scale"]) == 2
        own = example(name)[0].calibration().unit if name in PLANES else "nm"
        wanted = own if kwargs["metadata"]["space"] == "image" else "1/nm"
        assert set(kwargs["units"]) == {wanted}
        for column in kwargs.get("features", {}).values():
            assert len(column) == len(data)
    assert len({kwargs["name"] for _, kwargs, _ in layers}) == len(layers)


# ---- blank images -------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["HAADF", "TEM"])
@pytest.mark.parametrize("kind", BLANKS)
@every_of_planes
def test_a_blank_image_gives_no_rows(name, kind, modality):
    found = measured(name)
    for pixel_size, seed in ((0.02, 1), (0.05, 2), (0.3, 3), (2.0, 4)):
        image, _ = simulate.blank(kind, shape=(288, 256), pixel_size_nm=pixel_size,
                                  modality=modality, rng=seed)
        result = load(name)(image)
        check_tables(result, name)
        for table, frame in result.tables.items():
            assert len(frame) == 0, (pixel_size, seed, frame)
            assert (frame.dtypes == found.tables[table].dtypes).all()
        assert result.outcome
        assert json.loads(result.to_json())


# ---- units and axes -----------------------------------------------------------------------------


def power_of_length(column: str) -> int:
    """By which power of the pixel size a column grows."""
    for ending, power in (("_per_nm", -1), ("_nm2", 2), ("_nm", 1)):
        if column.endswith(ending):
            return power
    return 0


@every_of_planes
def test_twice_the_pixel_size_is_twice_every_length(name):
    image, _ = example(name)
    unit = image.calibration().unit
    large = image.calibrated(tuple(2.0 * size for size in image.pixel_size(unit)), unit)
    factor = 2.0 if unit == "nm" else 0.5  # of lengths: those of a pattern in 1/nm shrink
    # Those of the measurements that it rests on too.
    parameters = {one: {option.name: option.default * factor ** power_of_length(option.name)
                        for option in load(one).options
                        if option.type == "float" and option.default is not None}
                  for one in needed_by(name)}
    small, twice = unaided(name), Run(large, parameters).result(name)
    for table, frame in small.tables.items():
        assert len(frame) == len(twice.tables[table])
        for column in frame:
            if frame[column].dtype == float:
                np.testing.assert_allclose(
                    twice.tables[table][column],
                    frame[column] * factor ** power_of_length(column), rtol=1e-6, err_msg=column)
            else:
                assert twice.tables[table][column].equals(frame[column]), column
    for key, value in small.summary.items():
        if isinstance(value, Measured) and value.unit == "nm":
            assert twice.summary[key].value == pytest.approx(factor * value.value, rel=1e-6)
            assert twice.summary[key].err == pytest.approx(factor * value.err, rel=1e-6,
                                                           nan_ok=True)


def transposed(name, tables):
    """The tables as the transposed image must give them; angles between two lines do not turn."""
    turned = {}
    for table, frame in tables.items():
        meanings = {one.name: one.meaning for one in load(name).tables[table].columns}
        swapped = frame.rename(columns={"y_nm": "x_nm", "x_nm": "y_nm"})[list(frame.columns)]
        for column in swapped:
            if column.endswith("_deg") and meanings[column].startswith("direction"):
                swapped[column] = (90.0 - swapped[column]) % 180.0
        turned[table] = swapped
    return turned


@every_of_planes
def test_transposed_image_swaps_y_and_x(name):
    image, _ = example(name)
    result = load(name)(image.transposed())
    wanted = transposed(name, unaided(name).tables)
    identifiers = {table.removesuffix("s") for table in wanted}
    for table in wanted:
        found, expected = matched(result.tables, wanted, table)
        assert len(found) == len(expected) == len(wanted[table]) == len(result.tables[table])
        for column in found:
            if column in identifiers:
                continue  # rows may come in another order
            if found[column].dtype == float:
                off = pd.Series(difference(column, found[column], expected[column]))
                scale = np.abs(expected[column]).max()
                assert np.array_equal(np.isnan(found[column]), np.isnan(expected[column])), column
                # An uncertainty is itself estimated from noise: fewer digits of it mean anything.
                # Nor does a twentieth of it in the value.
                close = (2e-3 if "_err" in column or column == "snr" else 1e-4) * scale
                own_err = re.sub(r"_(nm2?|deg|px)$", r"_err_\1", column)
                if own_err != column and own_err in expected:
                    close = np.maximum(close, 0.05 * expected[own_err])
                assert not (np.abs(off) > close).any(), (table, column)
            else:
                assert found[column].tolist() == expected[column].tolist(), column


# ---- truth --------------------------------------------------------------------------------------

SEEDS = 8


@every
def test_simulated_truth_lies_within_the_stated_uncertainty(name):
    """No pull (error over stated 1 sigma) beyond 4, and about 95 % of them within 1.96."""
    collected: dict[tuple[str, str], list[float]] = {}
    for seed in range(SEEDS):
        result, truth = measured(name, seed), example(name, seed)[1]
        for table in result.tables:
            if table in truth and any("_err" in column for column in result.tables[table]):
                for column, values in pulls(result.tables, truth, table).items():
                    collected.setdefault((table, str(column)), []).extend(values.dropna())
    assert collected
    for (table, column), values in collected.items():
        n, largest = len(values), np.abs(values).max()
        inside = float(np.mean(np.abs(values) < 1.96))
        said = f"{table}.{column}: {inside:.0%} of {n} within 1.96, largest {largest:.1f}"
        assert largest < 4.0, said
        assert inside >= 0.8, said


# ---- through the batch --------------------------------------------------------------------------


def test_the_batch_measures_as_the_function_does_whatever_its_workers(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in PLANES:
        write_image(example(name)[0], folder / f"{name}.tif")
    write_image(simulate.blank("noise", shape=(96, 96))[0], folder / "blank.tif")
    tables = {}
    for workers in (1, 2):
        outcome = batch.run(folder, tmp_path / f"by {workers}", effort=batch.Effort(workers))
        tables[workers] = outcome.report.parent / "tables"
    expected = {f"{name}.{table}.csv" for name in NAMES for table in load(name).tables}
    for there in tables.values():
        assert {path.name for path in there.iterdir()} == expected
    for file in expected:
        assert (tables[1] / file).read_bytes() == (tables[2] / file).read_bytes(), file
    for name in PLANES:
        direct = load(name)(read_one(folder / f"{name}.tif"))
        for table, frame in direct.tables.items():
            check_written(pd.read_csv(tables[1] / f"{name}.{table}.csv"), f"{name}.tif", frame)


def check_written(written, file, frame) -> None:
    rows = written[written["file"] == file].reset_index(drop=True)
    assert len(rows) == len(frame)
    for column in frame.select_dtypes("number"):
        np.testing.assert_allclose(rows[column].astype(float), frame[column], rtol=1e-9,
                                   err_msg=column)


@every
def test_wrong_kind_of_object_is_refused(name):
    for thing in (np.zeros((64, 64)), None, "image.tif"):
        with pytest.raises(EmtoolsError, match="emtools Image or a HyperSpy signal"):
            load(name)(thing)


def test_a_measurement_is_found_by_its_name_alone():
    import emtools

    for name in NAMES:
        assert getattr(emtools, name) is load(name).function
