"""Spectra kept as events: the same counts as a dense array, whatever block is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emtools
from emtools.io.events import Events

MARK = 65535


def stream_of(frames: list[list[list[int]]]) -> np.ndarray:
    values = [value for frame in frames for pixel in frame for value in (*pixel, MARK)]
    return np.array(values, dtype=np.uint16)


pixels = st.lists(st.integers(0, 11), max_size=4)
whole = st.lists(st.lists(pixels, min_size=6, max_size=6), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(whole, st.integers(1, 3), st.integers(0, 2), st.integers(0, 3))
def test_counts_are_those_of_the_stream(frames, last_frame, row, channel):
    events = Events.of(stream_of(frames), (2, 3, 12), last_frame)
    dense = np.zeros((2, 3, 12), dtype=np.uint16)
    for frame in frames[:last_frame]:
        for number, pixel in enumerate(frame):
            for value in pixel:
                dense[number // 3, number % 3, value] += 1
    np.testing.assert_array_equal(events[:, :, :], dense)
    block = (slice(row, 2), slice(1, 3), slice(channel, channel + 5))
    np.testing.assert_array_equal(events[block], dense[block])
    twice = (events + events).astype(np.uint16)
    np.testing.assert_array_equal(twice.compute(), 2 * dense)


def test_a_stream_that_stops_in_the_middle_of_a_frame_loses_nothing_before():
    cut = stream_of([[[1], [2], [3], [4], [5], [6]]])[:7]
    events = Events.of(cut, (2, 3, 12), 1)
    assert events[:, :, :].sum() == 4
    assert Events.of(np.zeros(0, np.uint16), (2, 3, 12), 1)[:, :, :].sum() == 0


def test_velox_spectra_are_those_of_rosettasciio(real_data):
    from rsciio.emd import file_reader

    path = real_data / "rosettasciio" / "emd" / "Test SI 16x16 215 kx.emd"
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the real data")
    ours = next(image for image in emtools.read(path) if len(image.shape) == 3)
    theirs = next(s["data"] for s in file_reader(str(path)) if s["data"].shape[-1:] == (4096,)
                  and s["data"].ndim == 3)
    np.testing.assert_array_equal(ours.load(), theirs)
