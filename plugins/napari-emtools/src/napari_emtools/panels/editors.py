"""Fields of a form as widgets: what is chosen, switched or typed, and the line it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QWidget

from napari_emtools.panels.base import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_emtools.fields import Field


def editor_of(field: Field) -> QWidget:
    """Return the widget of a switch, a choice, or what is typed."""
    if field.kind == "switch":
        box = QCheckBox()
        box.setChecked(field.option.default is True)
        return box
    if field.kind == "choice":
        combo = choice_of(field.option.choices)
        combo.setCurrentText(field.initial)
        return combo
    line = QLineEdit(field.initial)
    line.setPlaceholderText(field.hint)
    return line


def choice_of(items: Iterable[str]) -> QComboBox:
    """Return a choice that a narrow panel may shorten."""
    combo = QComboBox()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.addItems(list(items))
    return combo


def value_of(field: Field, editor: QWidget) -> Any:
    """Return what the widget of `editor_of` says.

    Raises
    ------
    ParameterError
        If it is no value of the field's kind.
    """
    if isinstance(editor, QCheckBox):
        return editor.isChecked()
    if isinstance(editor, QComboBox):
        return field.value(editor.currentText())
    assert isinstance(editor, QLineEdit)
    return field.value(editor.text())


def add_line(lines: QFormLayout, field: Field, editor: QWidget) -> None:
    """Add a field to a form, with what it means as its tip."""
    tip = wrapped(field.tip)
    editor.setToolTip(tip)
    lines.addRow(field.label, editor)
    lines.labelForField(editor).setToolTip(tip)
