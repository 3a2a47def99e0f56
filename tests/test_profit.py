"""Profit against small tables worked out by hand: every expectation is written as the arithmetic behind it."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.metrics import profit
from runner.metrics.periods import Span, one_day
from runner.metrics.profit import Costs, Total
from tests.small_warehouse import COSTS, line, opened

DAY = date(2017, 3, 1)
NEXT = date(2017, 3, 8)
MARCH = Span(DAY, date(2017, 3, 31))

#: Two baskets of one day: bread with a card price and a matched coupon, fuel, and something unlisted with a coupon.
LINES = (
    line(1, "2017-03-01 10:00", 11, "10.00", product=1, card="2.00", coupon="0.50", match="0.50"),
    line(1, "2017-03-01 10:00", 11, "20.00", product=2),
    line(2, "2017-03-01 23:59", 12, "4.00", product=99, coupon="1.00"),
)
REDEMPTIONS = ((2, 555, 1, "2017-03-01"),)
#: A manufacturer's coupon is paid back, so it is no discount of the shop's and adds nothing to the list value.
LIST_VALUE = (10.00 + 2.00 + 0.50) + 20.00 + 4.00
GOODS = 12.50 * 0.6 + 20.00 * 0.9 + 4.00 * 0.5


def near(value):
    """To a millionth of a dollar: what is left of the rounding of sums."""
    return pytest.approx(value, abs=1e-6)


class TestTotal:
    def test_worked_by_hand(self, tmp_path):
        """Each sum of a day of three till lines is the arithmetic written beside it."""
        found = profit.total(opened(tmp_path, LINES, redemptions=REDEMPTIONS), one_day(DAY), COSTS)
        assert asdict(found) == near(
            {
                "list_value": LIST_VALUE,
                "discount": 2.00 + 0.50,
                "revenue": 10.00 + 20.00 + 4.00,
                "goods": GOODS,
                "handling": 2 * 1.00,
                "clearing": 1 * 0.10,
                "baskets": 2,
                "households": 2,
                "lines": 3,
            }
        )
        assert found.margin == near(34.00 - GOODS)
        assert found.profit == near(34.00 - GOODS - 2.00 - 0.10)
        assert found.margin_rate == near((34.00 - GOODS) / 34.00)
        assert found.discount_rate == near(2.50 / LIST_VALUE)

    def test_list_value_less_discount_is_revenue(self, tmp_path):
        """The first line of the statement less the second is the third."""
        found = profit.total(opened(tmp_path, LINES), one_day(DAY), COSTS)
        assert found.list_value - found.discount == near(found.revenue)

    def test_nothing_sold(self, tmp_path):
        """A day without a sale is all zeros, and its rates are nan rather than an error."""
        found = profit.total(opened(tmp_path, LINES), one_day(NEXT), COSTS)
        assert found == Total(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0)
        assert math.isnan(found.margin_rate)
        assert math.isnan(found.discount_rate)

    def test_an_empty_warehouse(self, tmp_path):
        """A warehouse without a single row sums to zero as well."""
        assert profit.total(opened(tmp_path), MARCH, COSTS).profit == 0.0

    def test_a_redemption_costs_clearing_on_a_day_without_sales(self, tmp_path):
        """A coupon that is redeemed while nothing is sold still goes to the clearing house."""
        shop = opened(tmp_path, LINES, redemptions=[*REDEMPTIONS, (1, 556, 1, "2017-03-08"), (1, 557, 2, "2017-03-08")])
        assert profit.total(shop, one_day(NEXT), COSTS).profit == near(-2 * 0.10)

    def test_the_ends_of_a_span_belong_to_it(self, tmp_path):
        """Of four days in a row a span of the two in the middle holds exactly those two."""
        sales = ("1.00", "2.00", "4.00", "8.00")
        shop = opened(tmp_path, [line(1, f"2017-03-0{n + 1} 12:00", n, sold) for n, sold in enumerate(sales)])
        assert profit.total(shop, Span(date(2017, 3, 2), date(2017, 3, 3)), COSTS).revenue == near(2.00 + 4.00)

    def test_a_month_ends_at_midnight(self, tmp_path):
        """A line of the last second of February is February's, one of the first of March is March's."""
        lines = [line(1, "2017-02-28 23:59:59", 1, "3.00"), line(1, "2017-03-01 00:00:00", 2, "5.00")]
        shop = opened(tmp_path, lines)
        assert profit.total(shop, Span(date(2017, 2, 1), date(2017, 2, 28)), COSTS).revenue == near(3.00)
        assert profit.total(shop, MARCH, COSTS).revenue == near(5.00)

    def test_a_basket_of_two_lines_is_served_once(self, tmp_path):
        """Handling is paid a basket, not a till line."""
        shop = opened(tmp_path, LINES[:2])
        assert profit.total(shop, one_day(DAY), Costs(handling=7.0, contact=0, clearing=0)).handling == near(7.0)

    def test_an_unlisted_product_costs_what_the_rest_costs(self, tmp_path):
        """A product without a department is costed by the share `*`."""
        shop = opened(tmp_path, LINES[2:], shares={"*": 0.25, "GROCERY": 0.9})
        assert profit.total(shop, one_day(DAY), COSTS).goods == near(4.00 * 0.25)

    def test_the_as_of_day_hides_later_sales(self, tmp_path):
        """A span that reaches past the as-of day holds only what had been sold by its end."""
        later = line(1, "2017-03-08 09:00", 13, "100.00")
        shop = opened(tmp_path, [*LINES, later], as_of=date(2017, 3, 7), redemptions=[(1, 1, 1, "2017-03-08")])
        found = profit.total(shop, MARCH, COSTS)
        assert (found.revenue, found.clearing) == (near(34.00), 0.0)

    def test_cents_never_drift(self, tmp_path):
        """A thousand lines of ten cents are a hundred dollars exactly, since money is added up as decimals."""
        shop = opened(tmp_path, [line(1, "2017-03-01 12:00", n, "0.10") for n in range(1000)])
        assert profit.total(shop, one_day(DAY), COSTS).revenue == 100.0

    def test_a_missing_rate_is_an_error(self):
        """Costs without a rate raise KeyError, whose text names it."""
        with pytest.raises(KeyError, match="clearing_per_redemption"):
            Costs.of({"handling_per_basket": 1, "contact_per_household": 1})


class TestStatement:
    def test_rows_and_signs(self, tmp_path):
        """Costs and discounts stand as negative numbers, so that each sum is the addition of what is above it."""
        shop = opened(tmp_path, LINES, redemptions=REDEMPTIONS)
        frame = profit.statement({"day": profit.total(shop, one_day(DAY), COSTS)})
        assert list(frame["day"]) == near(
            [LIST_VALUE, -2.50, 34.00, -GOODS, 34.00 - GOODS, -2.00, -0.10, 34.00 - GOODS - 2.10]
        )
        assert frame["day"].iloc[[0, 1]].sum() == near(frame["day"].iloc[2])
        assert frame["day"].iloc[[4, 5, 6]].sum() == near(frame["day"].iloc[7])

    def test_a_column_a_span(self):
        """Each span given is one column under its own name."""
        nothing = Total(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0)
        assert list(profit.statement({"a": nothing, "b": nothing})) == ["item", "a", "b"]

    def test_assumptions_are_marked(self):
        """Every row that rests on an assumed rate says so."""
        frame = profit.statement({})
        assert frame["item"].str.contains("assumed").sum() == 3


class TestDaily:
    def test_each_day_is_its_total(self, tmp_path):
        """A row of the daily frame holds what `total` says of that day."""
        shop = opened(tmp_path, [*LINES, line(3, "2017-03-08 09:00", 13, "7.00")], redemptions=REDEMPTIONS)
        frame = profit.daily(shop, COSTS)
        assert [day.date() for day in frame["day"]] == [DAY, NEXT]
        for row in frame.to_dict("records"):
            whole = profit.total(shop, one_day(row["day"].date()), COSTS)
            for name in (*asdict(whole), "margin", "profit"):
                assert row[name] == near(getattr(whole, name)), name

    def test_two_redemptions_of_a_day_count_twice(self, tmp_path):
        """The join with redemptions neither drops one nor doubles a till line."""
        shop = opened(tmp_path, LINES, redemptions=[*REDEMPTIONS, (1, 556, 2, "2017-03-01")])
        row = profit.daily(shop, COSTS).iloc[0]
        assert (row["clearing"], row["lines"], row["revenue"]) == (near(0.20), 3, near(34.00))


class TestByDepartment:
    def test_worked_by_hand(self, tmp_path):
        """Departments come largest first, the unlisted product as UNKNOWN."""
        frame = profit.by_department(opened(tmp_path, LINES), one_day(DAY))
        assert list(frame["department"]) == ["FUEL", "GROCERY", "UNKNOWN"]
        assert list(frame["margin"]) == near([20 - 20 * 0.9, 10 - 12.5 * 0.6, 4 - 4 * 0.5])
        assert list(frame["discount"]) == near([0, 2.50, 0])

    def test_the_small_ones_are_one_last_row(self, tmp_path):
        """Of fourteen departments eleven keep their names and three are summed as OTHER, last though larger."""
        products = [(n, 1, f"D{n:02}", "National", None, None) for n in range(14)]
        lines = [line(1, "2017-03-01 12:00", 1, f"{20 - n}.00", product=n) for n in range(14)]
        frame = profit.by_department(opened(tmp_path, lines, products=products), one_day(DAY))
        assert list(frame["department"]) == [*(f"D{n:02}" for n in range(11)), "OTHER"]
        assert frame["revenue"].iloc[-1] == near(9 + 8 + 7)
        assert frame["revenue"].sum() == near(sum(range(7, 21)))

    def test_equal_departments_come_by_name(self, tmp_path):
        """Two departments of the same revenue are in the order of their names, the same in each run."""
        lines = [line(1, "2017-03-01 12:00", 1, "5.00", product=n) for n in (1, 2, 3)]
        frame = profit.by_department(opened(tmp_path, lines), one_day(DAY))
        assert list(frame["department"]) == ["FLORAL", "FUEL", "GROCERY"]

    def test_nothing_sold(self, tmp_path):
        """A day without a sale has no department."""
        assert profit.by_department(opened(tmp_path, LINES), one_day(NEXT)).empty


def visits(store, count, day="2017-03-31", household=1):
    """That many baskets of a dollar in one shop on one day."""
    return [line(household, f"{day} 12:00", store * 10_000 + n, "1.00", store=store) for n in range(count)]


#: A sale in another shop long before, so that all thirteen weeks are in the data.
LONG_AGO = line(9, "2016-12-01 12:00", 9, store=9)


class TestByStoreGroup:
    def test_the_edges_of_size(self, tmp_path):
        """Forty baskets a week over 13 weeks are large and one basket less is medium; so with ten and small."""
        sizes = ((1, 520), (2, 519), (3, 130), (4, 129))
        lines = [LONG_AGO, *(line_ for store, count in sizes for line_ in visits(store, count))]
        frame = profit.by_store_group(opened(tmp_path, lines), MARCH).set_index("store_group")
        assert frame["stores"].to_dict() == {"Large": 1, "Medium": 2, "Small": 1}
        assert frame["revenue"].to_dict() == near({"Large": 520.0, "Medium": 519.0 + 130.0, "Small": 129.0})

    def test_a_household_in_two_groups_counts_in_both(self, tmp_path):
        """Households of the groups add up to more than there are when one of them shops in two."""
        lines = [LONG_AGO, *visits(1, 520, household=1), *visits(2, 1, household=1), *visits(3, 1, household=2)]
        frame = profit.by_store_group(opened(tmp_path, lines), MARCH).set_index("store_group")
        assert frame["households"].to_dict() == {"Large": 1, "Small": 2}

    def test_size_looks_back_thirteen_weeks(self, tmp_path):
        """The 91st day counts towards a shop's size and the 92nd does not."""
        first = date(2017, 3, 31) - timedelta(days=90)
        today = line(1, "2017-03-31 12:00", 1)
        lines = [today, *visits(1, 129, first.isoformat())]
        assert list(profit.by_store_group(opened(tmp_path, lines), MARCH)["store_group"]) == ["Medium"]
        before = first - timedelta(days=1)
        lines = [today, *visits(1, 129, before.isoformat())]
        assert list(profit.by_store_group(opened(tmp_path, lines), MARCH)["store_group"]) == ["Small"]

    def test_a_short_history(self, tmp_path):
        """While the data hold two weeks, a week's baskets are those of the two weeks halved."""
        lines = [line(9, "2017-03-18 12:00", 9, store=9), *visits(1, 80), *visits(2, 79), *visits(3, 20)]
        frame = profit.by_store_group(opened(tmp_path, lines), MARCH).set_index("store_group")
        assert frame["stores"].to_dict() == {"Large": 1, "Medium": 2, "Small": 1}

    def test_a_shop_that_closed_is_not_lost(self, tmp_path):
        """Over a year the groups add up to the whole although a shop sold nothing in the last 13 weeks."""
        year = Span(date(2017, 1, 1), date(2017, 12, 31))
        shop = opened(tmp_path, [*visits(1, 3, "2017-01-02"), *visits(2, 5, "2017-12-30")])
        assert profit.by_store_group(shop, year)["revenue"].sum() == near(profit.total(shop, year, COSTS).revenue)


def a_day(day, baskets):
    """Baskets of one day: each a household's list of (product, sales, card discount)."""
    return [
        line(place, f"{day} 12:00", int(day[-2:]) * 1000 + place, f"{sales:.2f}", product, card=f"{card:.2f}")
        for place, (product, sales, card) in enumerate(baskets)
    ]


class TestBridge:
    def test_worked_by_hand(self, tmp_path):
        """Volume, mix and discounts are what the formulas in the docstring give for two departments."""
        before = a_day("2017-03-01", [(1, 100, 0), (2, 100, 0)])  # margins 40 and 10 of list 200: a quarter
        now = a_day("2017-03-08", [(1, 180, 20), (2, 100, 0), (2, 0, 0)])  # list 200 + 100
        found = profit.bridge(opened(tmp_path, before + now), one_day(NEXT), one_day(DAY), COSTS)
        assert found.before == near(40 + 10 - 2)
        assert found.steps == near(
            {
                "volume": (300 - 200) * 0.25,
                "mix": 200 * 0.4 + 100 * 0.1 - 300 * 0.25,
                "discounts": -20,
                "handling": 2 - 3,
                "clearing": 0,
            }
        )
        assert found.after == near((180 - 120) + (100 - 90) - 3)

    def test_a_department_that_appears_is_mix(self, tmp_path):
        """Flowers sold for the first time, without a discount, change the mix and are no discount."""
        before, now = a_day("2017-03-01", [(2, 100, 0)]), a_day("2017-03-08", [(2, 100, 0), (3, 100, 0)])
        found = profit.bridge(opened(tmp_path, before + now), one_day(NEXT), one_day(DAY), COSTS)
        assert found.steps == near(
            {"volume": 100 * 0.1, "mix": 100 * 0.5 - 100 * 0.1, "discounts": 0, "handling": -1, "clearing": 0}
        )

    def test_the_discount_of_a_new_department_is_a_discount(self, tmp_path):
        """What a new department gives away stands in the step of discounts."""
        before, now = a_day("2017-03-01", [(2, 100, 0)]), a_day("2017-03-08", [(2, 100, 0), (3, 70, 30)])
        found = profit.bridge(opened(tmp_path, before + now), one_day(NEXT), one_day(DAY), COSTS)
        assert (found.mix, found.discounts) == (near(40), near(-30))

    def test_a_department_that_vanishes(self, tmp_path):
        """Without its best department the shop loses volume at the old margin, and mix on what is left."""
        before, now = a_day("2017-03-01", [(2, 100, 0), (3, 100, 0)]), a_day("2017-03-08", [(2, 100, 0)])
        found = profit.bridge(opened(tmp_path, before + now), one_day(NEXT), one_day(DAY), COSTS)
        assert (found.volume, found.mix, found.discounts) == (near(-100 * 0.3), near(100 * 0.1 - 100 * 0.3), near(0))

    def test_clearing_is_a_step(self, tmp_path):
        """Two coupons more than before cost two clearings."""
        lines = a_day("2017-03-01", [(1, 10, 0)]) + a_day("2017-03-08", [(1, 10, 0)])
        shop = opened(tmp_path, lines, redemptions=[(1, 1, 1, "2017-03-08"), (1, 2, 1, "2017-03-08")])
        assert profit.bridge(shop, one_day(NEXT), one_day(DAY), COSTS).clearing == near(-0.20)

    @pytest.mark.parametrize("sold_on", ["2017-03-01", "2017-03-08"])
    def test_needs_sales_in_both(self, tmp_path, sold_on):
        """Without sales in either span there is no margin to bridge from or to."""
        shop = opened(tmp_path, a_day(sold_on, [(1, 10, 0)]))
        with pytest.raises(ValueError, match="sales in both spans"):
            profit.bridge(shop, one_day(NEXT), one_day(DAY), COSTS)

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        *[
            st.lists(
                st.tuples(st.sampled_from([1, 2, 3, 99]), st.integers(0, 500), st.integers(0, 90)),
                min_size=1,
                max_size=6,
            ).filter(lambda baskets: any(sales + card for _, sales, card in baskets))
        ]
        * 2
    )
    def test_closes(self, tmp_path, before, now):
        """Whatever was sold, the five steps lead from the profit before to the profit after to the cent."""
        shop = opened(tmp_path, a_day("2017-03-01", before) + a_day("2017-03-08", now))
        found = profit.bridge(shop, one_day(NEXT), one_day(DAY), COSTS)
        assert found.before + sum(found.steps.values()) == near(found.after)
        assert found.before == near(profit.total(shop, one_day(DAY), COSTS).profit)
        assert found.after == near(profit.total(shop, one_day(NEXT), COSTS).profit)
