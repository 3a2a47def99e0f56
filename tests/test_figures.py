"""Numbers as readers see them: every unit, every sign, and what is never shown."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.notebook.figures import DASH, MINUS, NUMERIC, UNITS, Prior, change_text, day_text, figure, shown, signed

FLOATS = st.floats(-1e9, 1e9, allow_nan=False)


class TestShown:
    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (1234567.4, "usd", "$1,234,567"),
            (1234.5, "usd2", "$1,234.50"),
            (0.005, "usd2", "$0.01"),
            (1234, "count", "1,234"),
            (0.1234, "percent", "12.3%"),
            (12.5, "percent", "1,250.0%"),
            (0.1234, "growth", "+12.3%"),
            (-0.1234, "growth", MINUS + "12.3%"),
            (0.0, "growth", "0.0%"),
            (0.1234, "points", "12.3 pp"),
            (1234.56, "number", "1,234.6"),
            (12.6, "minutes", "13 min"),
            ("2017-11-15", "day", "15 Nov 2017"),
            (date(2017, 3, 1), "day", "1 Mar 2017"),
            (pd.Timestamp("2017-03-01 23:59"), "day", "1 Mar 2017"),
            (np.datetime64("2017-03-01"), "day", "1 Mar 2017"),
            ("as it is", "text", "as it is"),
            (Decimal("12.34"), "usd2", "$12.34"),
            (np.float64(2.0), "number", "2.0"),
            (np.int64(1_000_000), "count", "1,000,000"),
        ],
    )
    def test_units(self, value, unit, text):
        """Each unit has its one text."""
        assert shown(value, unit) == text

    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (-1234, "usd", f"{MINUS}$1,234"), (-0.5, "usd2", f"{MINUS}$0.50"), (-3, "count", f"{MINUS}3"),
            (-0.1, "percent", f"{MINUS}10.0%"), (-0.1, "points", f"{MINUS}10.0 pp"), (-2.5, "number", f"{MINUS}2.5"),
            (-7, "minutes", f"{MINUS}7 min"),
        ],
    )  # fmt: skip
    def test_a_minus_stands_in_front_of_everything(self, value, unit, text):
        """A negative number begins with U+2212, before the currency."""
        assert shown(value, unit) == text
        assert "-" not in text

    @pytest.mark.parametrize("unit", sorted(set(NUMERIC) - {"growth"}))
    @pytest.mark.parametrize("value", [0, 0.0, -0.0, -0.0004, 0.0004])
    def test_zero_has_no_sign(self, value, unit):
        """What rounds to zero is shown as zero, without a sign."""
        assert shown(value, unit) == shown(0, unit)
        assert signed(value, unit) == shown(0, unit)

    @pytest.mark.parametrize("value", [None, math.nan, np.float64("nan"), pd.NaT, np.datetime64("NaT")])
    @pytest.mark.parametrize("unit", UNITS)
    def test_absent_is_a_dash(self, value, unit):
        """Whatever is absent is an en dash in every unit, and never the word nan."""
        assert shown(value, unit) == DASH

    @pytest.mark.parametrize("value", [math.inf, -math.inf])
    @pytest.mark.parametrize("unit", NUMERIC)
    def test_infinity_is_refused(self, value, unit):
        """An infinite value is an error that points to the division behind it."""
        with pytest.raises(ValueError, match="division by zero"):
            shown(value, unit)

    def test_unknown_unit(self):
        """An unknown unit is an error that lists the known ones."""
        with pytest.raises(ValueError, match=r"no unit 'euro'; use one of usd, usd2"):
            shown(1, "euro")

    def test_a_day_that_is_none(self):
        """A text that is no day is refused."""
        with pytest.raises(ValueError, match="yesterday"):
            day_text("yesterday")

    @given(FLOATS, st.sampled_from(["usd2", "number", "percent"]))
    def test_the_text_is_the_value(self, value, unit):
        """Read back, a text is its value to half of the last digit shown."""
        text = shown(value, unit).replace(MINUS, "-")
        number = float(text.translate(str.maketrans("", "", "$,%")))
        scale, half = {"usd2": (1, 0.005), "number": (1, 0.05), "percent": (100, 0.05)}[unit]
        assert number == pytest.approx(value * scale, rel=1e-12, abs=half * 1.0001)

    @given(FLOATS, st.sampled_from([unit for unit in NUMERIC if unit != "growth"]))
    def test_opposite_values_differ_by_the_sign_alone(self, value, unit):
        """The text of -x is that of x with a minus, or both are zero."""
        assert shown(-abs(value), unit).removeprefix(MINUS) == shown(abs(value), unit)


class TestSigned:
    @pytest.mark.parametrize(("value", "text"), [(2, "+2"), (-2, f"{MINUS}2"), (0.2, "0"), (math.nan, DASH)])
    def test_plus_only_above_zero(self, value, text):
        """A plus stands before what is shown as greater than zero."""
        assert signed(value, "count") == text


class TestChange:
    @pytest.mark.parametrize(
        ("value", "before", "unit", "text", "tone"),
        [
            (110, 100, "usd", "+10.0% vs last week", "good"),
            (90, 100, "usd", f"{MINUS}10.0% vs last week", "bad"),
            (100, 100, "usd", "0.0% vs last week", "neutral"),
            (100.01, 100, "usd", "0.0% vs last week", "neutral"),
            (0.35, 0.30, "percent", "+5.0 pp vs last week", "good"),
            (0.30, 0.35, "growth", f"{MINUS}5.0 pp vs last week", "bad"),
            (5, 0, "count", "+5 vs last week", "good"),
            (0, 0, "count", "0 vs last week", "neutral"),
            (50, -100, "usd", "+150.0% vs last week", "good"),
            (-150, -100, "usd", f"{MINUS}50.0% vs last week", "bad"),
            (1, None, "usd", "no last week to compare with", "neutral"),
            (1, math.nan, "usd", "no last week to compare with", "neutral"),
            (1, math.inf, "usd", "no last week to compare with", "neutral"),
        ],
    )
    def test_texts_and_tones(self, value, before, unit, text, tone):
        """Shares change by points, amounts by per cent, and from zero there is no rate."""
        assert change_text(value, unit, Prior(before, "last week")) == (text, tone)

    @pytest.mark.parametrize(
        ("good", "rise", "fall"), [("up", "good", "bad"), ("down", "bad", "good"), ("neither", "neutral", "neutral")]
    )
    def test_which_direction_is_good(self, good, rise, fall):
        """The tone follows what the prior calls good news."""
        prior = Prior(100.0, "before", good)
        assert [change_text(value, "count", prior)[1] for value in (110, 90)] == [rise, fall]


class TestFigure:
    def test_whole(self):
        """A figure holds value, text, change and tone as readers will see them."""
        found = figure("profit", 110.4, label="Profit", unit="usd", prior=Prior(100.0, "Wed 8 Nov"), note="assumed")
        assert found.as_dict() == {
            "name": "profit", "value": 110.4, "text": "$110", "label": "Profit", "unit": "usd", "prior": 100.0,
            "change": "+10.4% vs Wed 8 Nov", "tone": "good", "note": "assumed",
        }  # fmt: skip

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "12", np.float64("nan"), pd.NaT])
    @pytest.mark.parametrize("unit", NUMERIC)
    def test_refuses_what_is_not_finite(self, value, unit):
        """A number that is absent, infinite or a text is refused by name, in every unit of numbers."""
        with pytest.raises(ValueError, match="'profit' has no finite value"):
            figure("profit", value, label="Profit", unit=unit)

    @pytest.mark.parametrize("unit", ["text", "day"])
    def test_refuses_nothing(self, unit):
        """A figure without a value is refused in the units of words as well."""
        with pytest.raises(ValueError, match="'profit' has no"):
            figure("profit", None, label="Profit", unit=unit)

    def test_refuses_an_unknown_unit(self):
        """A misspelt unit is refused."""
        with pytest.raises(ValueError, match="no unit 'dollars'"):
            figure("profit", 1.0, label="Profit", unit="dollars")

    @pytest.mark.parametrize(
        ("value", "unit", "plain"),
        [
            (np.int64(3), "count", 3), (np.float64(0.5), "number", 0.5), (np.float32(0.5), "number", 0.5),
            (True, "count", 1), (Decimal("12.30"), "usd2", 12.3), (date(2017, 11, 15), "day", "2017-11-15"),
            (pd.Timestamp("2017-11-15"), "day", "2017-11-15T00:00:00"), ("words", "text", "words"),
        ],
    )  # fmt: skip
    def test_values_are_plain(self, value, unit, plain):
        """Whatever library a number came from, the figure's value is plain Python that JSON takes."""
        found = figure("x", value, label="X", unit=unit)
        assert (found.value, type(found.value)) == (plain, type(plain))
        assert json.loads(json.dumps(found.as_dict()))["value"] == plain

    def test_the_order_of_a_sum_does_not_show(self):
        """Two sums of the same amounts in another order are the same figure."""
        amounts = [0.1, 0.2, 0.3, 1e6, -1e6 + 0.7]
        one, other = (figure("x", sum(order), label="X").value for order in (amounts, amounts[::-1]))
        assert sum(amounts) != sum(amounts[::-1]), "the example shows what it is about"
        assert one == other

    def test_day_of_a_moment(self):
        """A moment is shown as its day."""
        assert figure("x", datetime(2017, 11, 15, 23, 59), label="X", unit="day").text == "15 Nov 2017"  # noqa: DTZ001
