"""Growth against small tables worked out by hand: days, hours, the two coupon systems, weeks, cohorts."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pandas as pd
import pytest

from runner.metrics import growth
from runner.metrics.growth import MATCHED, NO_DISCOUNT, NO_REDEMPTION, OUTSIDE
from runner.metrics.opening import BUSY
from runner.metrics.periods import Span, one_day
from tests.small_warehouse import line, opened

DAY = date(2017, 3, 15)  # a Wednesday


class TestDaily:
    def test_by_hand(self, tmp_path):
        """Lines, baskets, households, new households, revenue and redemptions of two days."""
        lines = [
            line(1, "2017-03-14 10:00", 1, "1.10"),
            line(1, "2017-03-15 10:00", 2, "2.20"),
            line(1, "2017-03-15 10:00", 2, "3.30", product=2),
            line(2, "2017-03-15 11:00", 3, "4.40"),
            line(1, "2017-03-15 12:00", 4, "5.50"),
        ]
        frame = growth.daily(opened(tmp_path, lines, redemptions=[(1, 1, 1, "2017-03-15"), (1, 2, 1, "2017-03-15")]))
        assert [day.date() for day in frame["day"]] == [date(2017, 3, 14), DAY]
        assert list(frame["lines"]) == [1, 4]
        assert list(frame["baskets"]) == [1, 3]
        assert list(frame["households"]) == [1, 2]
        assert list(frame["new_households"]) == [1, 1]
        assert list(frame["redemptions"]) == [0, 2]
        assert list(frame["revenue"]) == pytest.approx([1.10, 2.20 + 3.30 + 4.40 + 5.50])

    def test_columns_are_those_recorded(self, tmp_path):
        """The frame has the day and exactly what is recorded of it."""
        assert list(growth.daily(opened(tmp_path))) == ["day", *growth.RECORDED]

    def test_later_days_change_nothing(self, tmp_path):
        """A day's row is the same a week later, although the household has come again since."""
        lines = [line(1, "2017-03-14 10:00", 1), line(1, "2017-03-15 10:00", 2), line(2, "2017-03-15 10:00", 3)]
        then = growth.daily(opened(tmp_path, lines[:1]))
        now = growth.daily(opened(tmp_path, lines))
        pd.testing.assert_frame_equal(then, now.head(1))

    def test_the_as_of_day_hides_later_rows(self, tmp_path):
        """Neither a sale nor a redemption of the next day is seen."""
        lines = [line(1, "2017-03-15 23:59:59", 1), line(1, "2017-03-16 00:00:00", 2)]
        frame = growth.daily(opened(tmp_path, lines, as_of=DAY, redemptions=[(1, 1, 1, "2017-03-16")]))
        assert (len(frame), frame["lines"].sum(), frame["redemptions"].sum()) == (1, 1, 0)


def hourly(day, counts, basket):
    """Lines by hour: {hour: how many} on one day."""
    return [line(1, f"{day} {hour:02}:30", basket + hour * 100 + n) for hour, n_ in counts.items() for n in range(n_)]


class TestHours:
    def test_by_hand(self, tmp_path):
        """The usual, least and most of an hour come from the same weekday of the weeks before, zeros included."""
        lines = [
            *hourly("2017-03-15", {9: 3, 17: 1}, 0),
            *hourly("2017-03-08", {9: 2, 17: 4}, 10_000),
            *hourly("2017-03-01", {9: 6}, 20_000),
            *hourly("2017-02-22", {9: 1, 17: 2}, 30_000),
            *hourly("2017-03-14", {9: 50, 3: 7}, 40_000),  # a Tuesday
        ]
        frame = growth.hours(opened(tmp_path, lines), DAY).set_index("hour")
        assert list(frame.index) == list(range(24))
        assert frame.loc[9].tolist() == [3, 2, 1, 6]  # median of 2, 6, 1
        assert frame.loc[17].tolist() == [1, 2, 0, 4]  # median of 4, 0, 2
        assert frame.loc[3].tolist() == [0, 0, 0, 0]

    def test_looks_back_so_many_weeks(self, tmp_path):
        """A same weekday two weeks before is left out when one week is asked for."""
        lines = [*hourly("2017-03-08", {9: 2}, 0), *hourly("2017-03-01", {9: 8}, 10_000)]
        frame = growth.hours(opened(tmp_path, lines), DAY, weeks=1).set_index("hour")
        assert frame.loc[9].tolist() == [0, 2, 2, 2]

    def test_without_history(self, tmp_path):
        """On the first day nothing is usual and nothing can be silent."""
        frame = growth.hours(opened(tmp_path, hourly("2017-03-15", {9: 3}, 0)), DAY)
        assert frame["usual"].isna().all()
        found = growth.completeness(frame)
        assert found.is_whole
        assert math.isnan(found.volume)

    def test_midnight_is_hour_zero_of_its_day(self, tmp_path):
        """A line at midnight belongs to hour 0 of the day that begins, one a second earlier to hour 23."""
        lines = [line(1, "2017-03-14 23:59:59", 1), line(1, "2017-03-15 00:00:00", 2)]
        assert growth.hours(opened(tmp_path, lines), DAY)["lines"].tolist() == [1] + [0] * 23


class TestCompleteness:
    def test_a_silent_hour(self, tmp_path):
        """Noon without a line is silent when it was always busy; an hour that was quiet once before is not."""
        lines = [
            *hourly("2017-03-15", {9: 20}, 0),
            *hourly("2017-03-08", {9: 20, 12: BUSY, 22: BUSY}, 10_000),
            *hourly("2017-03-01", {9: 20, 12: BUSY + 10, 22: BUSY - 1}, 20_000),
        ]
        found = growth.completeness(growth.hours(opened(tmp_path, lines), DAY))
        assert found.silent_hours == (12,)
        assert not found.is_whole
        assert found.volume == pytest.approx(20 / (20 + (BUSY + 5) + (BUSY - 0.5)))

    def test_after_closing_nothing_is_silent(self):
        """On a day that closes at 18:00 the empty hours from then on are in order, and 17:00 is not."""
        frame = pd.DataFrame({"hour": range(24), "lines": [30] * 17 + [0] * 7, "usual": 30.0, "least": 30, "most": 30})
        assert growth.completeness(frame).silent_hours == tuple(range(17, 24))
        assert growth.completeness(frame, closing=18).silent_hours == (17,)

    def test_one_line_breaks_the_silence(self):
        """An hour with a single line is not silent, however few that is; the volume shows it."""
        frame = pd.DataFrame({"hour": range(24), "lines": 1, "usual": 50.0, "least": 40, "most": 60})
        found = growth.completeness(frame)
        assert (found.is_whole, found.volume) == (True, 0.02)

    def test_a_whole_day(self, tmp_path):
        """A day like the one a week before is whole and has the usual volume."""
        lines = [*hourly("2017-03-15", {9: 2, 12: 1}, 0), *hourly("2017-03-08", {9: 2, 12: 1}, 10_000)]
        found = growth.completeness(growth.hours(opened(tmp_path, lines), DAY))
        assert (found.is_whole, found.volume) == (True, 1.0)


#: Campaign 5 runs 10 to 15 March on product 1 (coupon 71); campaign 6 starts the day after.
CAMPAIGNS = {
    "experiments": [(5, "Type A", "2017-03-10", "2017-03-15"), (6, "Type B", "2017-03-16", "2017-03-31")],
    "coupons": [(5, 71, 1), (6, 72, 1), (6, 73, 2)],
}


def one_pair(folder, lines=(), redemptions=(), assignments=((5, 1),), day=DAY):
    """Reconcile a single day and give the only row, as a dict."""
    shop = opened(folder, lines, redemptions=redemptions, assignments=assignments, **CAMPAIGNS)
    (row,) = growth.reconcile(shop, one_day(day)).to_dict("records")
    return row


class TestReconcile:
    def test_in_both_systems(self, tmp_path):
        """A coupon that the till and the coupon system know is matched, with its lines, discount and redemptions."""
        lines = [
            line(1, "2017-03-15 10:00", 1, coupon="1.00"),
            line(1, "2017-03-15 18:00", 2, product=2, coupon="0.55"),
        ]
        row = one_pair(tmp_path, lines, [(1, 71, 5, "2017-03-15")])
        assert (row["status"], row["till_lines"], row["redemptions"]) == (MATCHED, 2, 1)
        assert row["discount"] == pytest.approx(1.55)

    def test_campaign_coupon_at_the_till_alone(self, tmp_path):
        """A coupon on a product of the household's running campaign, without a redemption, is unexplained."""
        row = one_pair(tmp_path, [line(1, "2017-03-15 10:00", 1, coupon="1.00")])
        assert (row["status"], row["redemptions"]) == (NO_REDEMPTION, 0)

    @pytest.mark.parametrize(
        ("sold_at", "product", "assignments"),
        [
            ("2017-03-15 10:00", 2, [(5, 1)]),  # another product
            ("2017-03-15 10:00", 1, [(5, 2)]),  # another household's campaign
            ("2017-03-15 10:00", 1, [(6, 1)]),  # a campaign that starts tomorrow
            ("2017-03-16 10:00", 1, [(5, 1)]),  # a campaign that ended yesterday
            ("2017-03-09 10:00", 1, [(5, 1)]),  # a campaign that starts tomorrow
            ("2017-03-15 10:00", 1, []),  # nobody's campaign
        ],
    )
    def test_no_campaign_covers_it(self, tmp_path, sold_at, product, assignments):
        """A till coupon that no running campaign of that household covers is explained: it came from elsewhere."""
        lines = [line(1, sold_at, 1, product=product, coupon="1.00")]
        day = date.fromisoformat(sold_at[:10])
        assert one_pair(tmp_path, lines, assignments=assignments, day=day)["status"] == OUTSIDE

    @pytest.mark.parametrize("sold_on", ["2017-03-10", "2017-03-15"])
    def test_a_campaign_covers_its_first_and_last_day(self, tmp_path, sold_on):
        """The first and the last day of a campaign belong to it."""
        row = one_pair(
            tmp_path, [line(1, f"{sold_on} 10:00", 1, coupon="1.00")], day=date.fromisoformat(sold_on)
        )  # fmt: skip
        assert row["status"] == NO_REDEMPTION

    def test_one_covered_line_is_enough(self, tmp_path):
        """A household with a foreign and a campaign coupon on one day is unexplained without a redemption."""
        lines = [
            line(1, "2017-03-15 10:00", 1, coupon="1.00"),
            line(1, "2017-03-15 10:00", 1, product=2, coupon="1.00"),
        ]
        row = one_pair(tmp_path, lines)
        assert (row["status"], row["till_lines"]) == (NO_REDEMPTION, 2)

    def test_redeemed_without_a_discount(self, tmp_path):
        """A redemption of a day on which the till gave no coupon discount is unexplained, with no till line."""
        row = one_pair(tmp_path, [line(1, "2017-03-15 10:00", 1)], [(1, 71, 5, "2017-03-15")])
        assert (row["status"], row["till_lines"], row["discount"]) == (NO_DISCOUNT, 0, 0.0)

    def test_another_day_does_not_match(self, tmp_path):
        """The same household's coupon and redemption of different days are two unexplained rows."""
        shop = opened(
            tmp_path, [line(1, "2017-03-14 23:59", 1, coupon="1.00")], assignments=[(5, 1)],
            redemptions=[(1, 71, 5, "2017-03-15")], **CAMPAIGNS,
        )  # fmt: skip
        frame = growth.reconcile(shop, Span(date(2017, 3, 14), DAY))
        assert list(frame["status"]) == [NO_REDEMPTION, NO_DISCOUNT]

    def test_another_household_does_not_match(self, tmp_path):
        """Two households of one day are two rows."""
        shop = opened(
            tmp_path, [line(1, "2017-03-15 10:00", 1, coupon="1.00")],
            redemptions=[(2, 71, 5, "2017-03-15")], **CAMPAIGNS,
        )  # fmt: skip
        assert growth.reconcile(shop, one_day(DAY)).set_index("household_id")["status"].to_dict() == {
            1: OUTSIDE, 2: NO_DISCOUNT,
        }  # fmt: skip

    def test_a_matched_discount_of_the_shop_is_no_coupon(self, tmp_path):
        """A card price or the shop's match alone is no till coupon."""
        lines = [line(1, "2017-03-15 10:00", 1, card="1.00", match="0.50")]
        shop = opened(tmp_path, lines, assignments=[(5, 1)], **CAMPAIGNS)
        assert growth.reconcile(shop, one_day(DAY)).empty

    def test_remainder_by_hand(self):
        """The share of unexplained pairs of each day: two of four, and none of one."""
        days = pd.to_datetime(["2017-03-14"] * 4 + ["2017-03-15"])
        pairs = pd.DataFrame({"day": days, "status": [MATCHED, OUTSIDE, NO_REDEMPTION, NO_DISCOUNT, OUTSIDE]})
        frame = growth.remainder(pairs)
        assert frame[["pairs", "unexplained", "share"]].to_numpy().tolist() == [[4, 2, 0.5], [1, 0, 0.0]]


class TestMissing:
    def test_open_days_without_a_record(self):
        """A day is missing when it was neither recorded nor closed."""
        span = Span(date(2017, 12, 23), date(2017, 12, 27))
        recorded = [date(2017, 12, 23), date(2017, 12, 26)]
        assert growth.missing(recorded, span, {date(2017, 12, 25): "closed"}) == [
            date(2017, 12, 24), date(2017, 12, 27),
        ]  # fmt: skip

    def test_nothing_missing(self):
        """Records beyond the span and of closed days do no harm."""
        span = Span(date(2017, 12, 24), date(2017, 12, 25))
        assert growth.missing(span.back(1).days() + span.days(), span, []) == []


def records(first, count, revenue=float):
    """Rows as the daily report records them; the n-th day (from 0) has the revenue given."""
    days = [first + timedelta(days=n) for n in range(count)]
    return pd.DataFrame(
        {"day": [day.isoformat() for day in days], "revenue": [revenue(n) for n in range(count)],
         "baskets": 2, "new_households": 1}
    )  # fmt: skip


class TestWeekly:
    def test_by_hand(self):
        """Two whole weeks that end on the last day; the three days before them are left out."""
        frame = growth.weekly(records(date(2017, 3, 1), 17), date(2017, 3, 17))
        assert [day.date() for day in frame["week_ending"]] == [date(2017, 3, 10), date(2017, 3, 17)]
        assert list(frame["revenue"]) == [sum(range(3, 10)), sum(range(10, 17))]
        assert (list(frame["days"]), list(frame["baskets"]), list(frame["new"])) == ([7, 7], [14, 14], [7, 7])
        assert math.isnan(frame["growth"][0])
        assert frame["growth"][1] == pytest.approx(91 / 42 - 1)

    def test_growth_over_four_weeks(self):
        """The fifth week is compared with the first, and the four before it with nothing."""
        frame = growth.weekly(records(date(2017, 3, 1), 35, lambda n: 100.0 * (1 + n // 7)), date(2017, 4, 4))
        assert frame["growth_4"].isna().tolist() == [True] * 4 + [False]
        assert frame["growth_4"].iloc[-1] == pytest.approx(500 / 100 - 1)

    def test_a_closed_day_makes_a_week_of_six(self):
        """A day without a record lowers the days of its week and moves no other."""
        rows = records(date(2017, 3, 4), 14).drop(index=3)
        assert list(growth.weekly(rows, date(2017, 3, 17))["days"]) == [6, 7]

    def test_less_than_a_week(self):
        """Six days make no week."""
        assert growth.weekly(records(date(2017, 3, 1), 6), date(2017, 3, 6)).empty


class TestCohorts:
    LINES = (
        line(1, "2017-01-31 12:00", 1),  # before the burn-in's end
        line(1, "2017-02-10 12:00", 2),
        line(2, "2017-02-01 00:00", 3),
        line(3, "2017-02-28 23:59", 4),
        line(3, "2017-03-01 12:00", 5),
        line(2, "2017-04-10 12:00", 6),
        line(3, "2017-04-11 12:00", 7),
        line(4, "2017-04-12 12:00", 8),
    )

    def test_by_hand(self, tmp_path):
        """Two households of February: one came in March, both in April; April's own cohort is not over."""
        frame = growth.cohorts(opened(tmp_path, self.LINES), date(2017, 4, 30), date(2017, 2, 1))
        assert list(frame) == ["cohort", "households", "m0", "m1", "m2"]
        assert [day.date() for day in frame["cohort"]] == [date(2017, 2, 1), date(2017, 4, 1)]
        assert frame.loc[0, ["households", "m0", "m1", "m2"]].tolist() == [2, 1.0, 0.5, 1.0]
        assert frame.loc[1, ["households", "m0"]].tolist() == [1, 1.0]
        assert frame.loc[1, ["m1", "m2"]].isna().all()

    def test_a_month_that_is_not_over_is_unknown(self, tmp_path):
        """A day before the end of April its shares are unknown, though households have come."""
        frame = growth.cohorts(opened(tmp_path, self.LINES), date(2017, 4, 29), date(2017, 2, 1))
        assert frame.loc[0, ["m0", "m1"]].tolist() == [1.0, 0.5]
        assert math.isnan(frame.loc[0, "m2"])
        assert math.isnan(frame.loc[1, "m0"])

    def test_a_month_without_anyone_is_zero(self, tmp_path):
        """A month that is over and saw nobody of the cohort is a share of zero, not a gap."""
        lines = [line(1, "2017-02-01 12:00", 1), line(2, "2017-02-01 12:00", 2), line(2, "2017-04-01 12:00", 3)]
        frame = growth.cohorts(opened(tmp_path, lines), date(2017, 5, 31), date(2017, 1, 1))
        assert frame.loc[0, ["m0", "m1", "m2"]].tolist() == [1.0, 0.0, 0.5]

    def test_nobody_after_the_burn_in(self, tmp_path):
        """Without a cohort after the burn-in there is an empty frame with its two columns."""
        frame = growth.cohorts(opened(tmp_path, self.LINES), date(2017, 4, 30), date(2017, 5, 1))
        assert (frame.empty, list(frame)) == (True, ["cohort", "households"])

    def test_over_the_turn_of_the_year(self, tmp_path):
        """January is the month after December of the year before."""
        lines = [line(1, "2016-12-31 12:00", 1), line(1, "2017-01-01 12:00", 2)]
        frame = growth.cohorts(opened(tmp_path, lines), date(2017, 1, 31), date(2016, 12, 1))
        assert frame.loc[0, ["m0", "m1"]].tolist() == [1.0, 1.0]


def test_active_households(tmp_path):
    """A household with two baskets in the span counts once, one with its basket the day after not at all."""
    lines = [line(1, "2017-03-14 12:00", 1), line(1, "2017-03-15 12:00", 2), line(2, "2017-03-16 00:00", 3)]
    assert growth.active_households(opened(tmp_path, lines), Span(date(2017, 3, 14), DAY)) == 1


def test_active_every_week(tmp_path):
    """Each week's end has the households of the four weeks to it, as asked one by one; weeks of nobody have none."""
    came = {1: "2017-01-18", 2: "2017-02-15", 3: "2017-02-16", 4: "2017-03-15", 5: "2017-03-16"}
    lines = [line(household, f"{day} 12:00", household) for household, day in came.items()]
    shop = opened(tmp_path, [*lines, line(4, "2017-03-14 12:00", 6)])
    spans = [Span(DAY, DAY).back(7 * week).first for week in range(12)][::-1]
    one_by_one = [growth.active_households(shop, Span(end - timedelta(days=27), end)) for end in spans]
    assert growth.active_every_week(shop, DAY, 12) == one_by_one
    assert one_by_one[0] == 0
    assert one_by_one[-1] == 2  # 3 and 4; 2 came 28 days before, 5 comes the day after


def test_burn_in_is_a_quarter():
    """The burn-in is thirteen whole weeks, so weekdays weigh the same before and after it."""
    assert growth.BURN_IN == 13 * 7
