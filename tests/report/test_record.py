"""run.json as text: exact, valid and readable."""

from __future__ import annotations

import json

import numpy as np

from medreg.report.record import to_json


def test_every_float_comes_back_to_the_last_bit() -> None:
    values = np.random.default_rng(3).normal(size=200) * 10.0 ** np.random.default_rng(4).integers(-300, 300, 200)
    assert json.loads(to_json({"values": values.tolist()}))["values"] == values.tolist()


def test_what_json_cannot_say_is_null() -> None:
    assert json.loads(to_json({"a": float("nan"), "b": [float("inf")], "c": ({"d": float("-inf")},)})) == {
        "a": None,
        "b": [None],
        "c": [{"d": None}],
    }


def test_a_row_of_a_matrix_stands_on_one_line() -> None:
    assert "    [1.5, 0.0, 0.25],\n" in to_json({"matrix": [[1.5, 0.0, 0.25], [0.0, 1.0, 2.0]]})


def test_text_with_brackets_quotes_and_line_breaks_survives_the_layout() -> None:
    nasty = {"a": ["[1,\n 2]", '{"x": "\\n  "}', "µm → °"], "b": {"c": "]\n["}, "d": [], "e": {}}
    assert json.loads(to_json(nasty)) == nasty
