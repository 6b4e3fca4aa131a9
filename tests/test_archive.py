"""A result as a file and back: nothing of it is lost, and nothing of it is run."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import emtools
from emtools import Measured
from emtools.errors import ParameterError
from emtools.results.archive import read_archive, write_archive

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-2**53, 2**53) | st.floats() | st.text()
    | st.builds(Measured, st.floats(), st.floats(), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=4), max_leaves=12)


def same(one, other) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype \
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
        return True
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) \
            and all(map(same, one, other))
    return repr(one) == repr(other)


@given(_PLAIN)
def test_values_come_back_as_they_are(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("archive") / "one.emtools"
    write_archive(path, {"value": value})
    assert same(read_archive(path)["value"], value)


@given(npst.arrays(st.sampled_from([np.uint8, np.int64, np.float32, np.float64, "U3", bool]),
                   npst.array_shapes(max_dims=3, max_side=4)))
def test_arrays_come_back_as_they_are(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("archive") / "one.emtools"
    write_archive(path, {"array": array})
    found = read_archive(path)["array"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("measurement", ["chains", "lattice"])
def test_result_comes_back_whole(tmp_path, measurement):
    image, _ = emtools.simulate.chains(shape=(256, 256), pixel_size_nm=0.2, n_chains=2,
                                       n_dots=(5, 6), rng=1)
    result = getattr(emtools, measurement)(image)
    write_archive(tmp_path / "one.emtools", {"result": result})
    found = read_archive(tmp_path / "one.emtools")["result"]
    for name in ("tables", "details", "summary", "parameters", "source"):
        assert same(dict(getattr(result, name)), getattr(found, name)), name
    for (data, core, kind), (own, core_found, kind_found) in zip(
            result.layers, found.layers, strict=True):
        assert kind == kind_found
        assert list(core) == list(core_found)
        assert all(map(np.array_equal, data, own))


def test_what_is_none_is_said(tmp_path):
    (tmp_path / "text.emtools").write_text("no archive")
    with pytest.raises(ParameterError, match="is no file of emtools"):
        read_archive(tmp_path / "text.emtools")
    with zipfile.ZipFile(tmp_path / "other.emtools", "w") as archive:
        archive.writestr("content.json", json.dumps({"a": {"~": "array", "of": "9.npy"}}))
    with pytest.raises(ParameterError, match="is no file of emtools"):
        read_archive(tmp_path / "other.emtools")
    with pytest.raises(ParameterError, match="cannot hold"):
        write_archive(tmp_path / "one.emtools", {"a": object()})
    assert not list(tmp_path.glob("*.part"))
