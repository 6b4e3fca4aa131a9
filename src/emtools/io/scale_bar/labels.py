"""Text in pictures, by rapidocr: its models lie in its wheel and run on the processor, offline."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINE_HEIGHT = 48  # that the reader of lines was trained on
_LONGEST_SIDE = 1280  # of what is searched for text at once


class Label(NamedTuple):
    """A line of text in a picture; its box is in rows and columns of the whole picture."""

    text: str
    score: float
    top: float
    bottom: float
    left: float
    right: float

    @property
    def height(self) -> float:
        """Height of the box, about that of the letters."""
        return self.bottom - self.top


@lru_cache(maxsize=1)
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(params={
        "Global.log_level": "critical", "Global.use_cls": False, "Global.text_score": 0.3,
        # One thread: a batch has a process on each core.
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        # The size is chosen here; the reader's own would enlarge every strip to 736 rows.
        "Det.limit_type": "min", "Det.limit_side_len": 32,
    })


def find_labels(
    levels: NDArray[np.uint8], rows: slice, columns: slice, enlarged: float = 1.0
) -> list[Label]:
    """Find lines of text in a part of a picture.

    Parameters
    ----------
    levels
        ``(y, x)``, 0 to 255.
    rows, columns
        The part.
    enlarged
        By how much it is enlarged first: small letters are read better.
    """
    import cv2

    part = levels[rows, columns]
    factor = min(enlarged, _LONGEST_SIDE / max(part.shape))
    # The engine keeps what it was last asked for: each call says all of it.
    read = _engine()(cv2.cvtColor(_resized(part, factor), cv2.COLOR_GRAY2BGR), use_det=True,
                     use_rec=True)
    if getattr(read, "boxes", None) is None or read.txts is None:
        return []
    labels = []
    for box, text, score in zip(read.boxes, read.txts, read.scores, strict=True):
        (left, top), (right, bottom) = box.min(axis=0) / factor, box.max(axis=0) / factor
        labels.append(Label(str(text), float(score), rows.start + float(top),
                            rows.start + float(bottom), columns.start + float(left),
                            columns.start + float(right)))
    return labels


def read_line(line: NDArray[np.uint8]) -> list[str]:
    """Read one line of text several times: as it is, inverted, wider, smoother.

    What only one way of looking shows is not what is written.
    """
    import cv2

    factor = _LINE_HEIGHT / line.shape[0]
    low, high = np.percentile(line, (2, 98))
    contrast = np.clip((line - low) * (255.0 / max(1.0, float(high - low))), 0, 255)
    plain = _resized(line, factor)
    stretched = _resized(contrast.astype(np.uint8), factor)
    seen = [plain, 255 - stretched, _resized(line, factor, 1.25),
            cv2.GaussianBlur(plain, (0, 0), 1.2)]
    # One by one: in a batch, narrow lines are padded to the widest, which changes what is read.
    texts = []
    for one in seen:
        read = _engine()(cv2.cvtColor(np.asarray(one), cv2.COLOR_GRAY2BGR), use_det=False,
                         use_rec=True)
        texts += [str(text) for text in (read.txts or ())]
    return texts


def _resized(line: NDArray[np.uint8], factor: float, wider: float = 1.0) -> NDArray[np.uint8]:
    import cv2

    method = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    return np.asarray(cv2.resize(line, None, fx=factor * wider, fy=factor, interpolation=method))
