"""The typed errors: each names the subject, the reason and what to do."""

from __future__ import annotations


class EmtoolsError(Exception):
    """Base of every error that emtools raises on purpose.

    Parameters
    ----------
    subject
        The file, image or parameter that the error is about.
    reason
        What is wrong with it.
    advice
        What the user can do.
    """

    def __init__(self, subject: str, reason: str, advice: str = "") -> None:
        # All three go to Exception.args so that the error survives pickling between workers.
        super().__init__(subject, reason, advice)
        self.subject = subject
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        text = f"{self.subject}: {self.reason}"
        return f"{text}; {self.advice}" if self.advice else text


class ReadError(EmtoolsError):
    """A file could not be read."""


class CalibrationError(EmtoolsError):
    """An image lacks the calibration that was asked for, or has an impossible one."""


class UnitError(EmtoolsError, ValueError):
    """A unit is unknown, or is of another kind than the one asked for."""


class ImageError(EmtoolsError, ValueError):
    """The pixels are not what the measurement can work on (shape, type, no finite value)."""


class ParameterError(EmtoolsError, ValueError):
    """A parameter of a measurement has an impossible or unknown value."""
