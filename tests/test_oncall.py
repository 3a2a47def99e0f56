"""Who is on call: the shipped rota to the hour, each rule by example, and what holds of every rota."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config import yaml
from runner.config.files import OnCall
from runner.plan.oncall import Leg, Rota, Shift, Swap, gaps, holiday_days

SHIPPED = yaml.parse((Path(__file__).parents[1] / "config/oncall.yml").read_text(encoding="utf-8"))[0]
NEW_YORK = ZoneInfo("America/New_York")
PEOPLE = ["ada", "ben", "cleo", "dan"]
PLAIN = {
    "time_zone": "America/New_York",
    "hand_off": "Monday 09:00",
    "rotation": [{"begins": "2017-01-02", "order": PEOPLE}],
}


def rules(**changes) -> OnCall:
    """The rules of a plain rota of four, with some keys changed."""
    return read({**PLAIN, **changes})


def read(data) -> OnCall:
    """Data of `config/oncall.yml` as the model, by way of JSON as the reader of config does it."""
    return OnCall.model_validate_json(json.dumps(data))


def at(text: str, zone: ZoneInfo = NEW_YORK) -> datetime:
    """The instant of a wall-clock time, `2017-11-24 08:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def table(rota: Rota, first: str, last: str) -> list[tuple[str, str, str | None]]:
    """Local start, primary and secondary of each shift of a span."""
    shifts = rota.shifts(at(first), at(last))
    return [(f"{shift.start.astimezone(rota.zone):%m-%d %H:%M}", shift.primary, shift.secondary) for shift in shifts]


def duty(rota: Rota, text: str) -> tuple[str, str | None]:
    """Primary and secondary at a wall-clock time in New York."""
    shift = rota.at(at(text))
    return shift.primary, shift.secondary


def override(begins: str, ends: str, primary: str, because: str = "A conference.") -> dict[str, str]:
    """An entry of `overrides`."""
    return {"begins": begins, "ends": ends, "primary": primary, "because": because}


def away(who: str, begins: str, ends: str, because: str = "holiday") -> dict[str, str]:
    """An entry of `away`."""
    return {"who": who, "begins": begins, "ends": ends, "because": because}


def swapped(give: Leg, take: Leg, **changes) -> Swap:
    """Swap 12, which both accepted."""
    now = datetime(2017, 1, 1, tzinfo=UTC)
    return Swap("12", give, take, give.who, now, {give.who: now, take.who: now}, **changes)


class TestShipped:
    rota = Rota(read(SHIPPED))

    def test_thanksgiving_week_is_split_where_the_rule_cuts_it(self):
        """A has it until Thursday 09:00 with B behind, then B with C: not the week's own C, and no cut at 21:00."""
        assert table(self.rota, "2017-11-13 09:00", "2017-12-04 09:00") == [
            ("11-13 09:00", "engineer_b", "engineer_c"),
            ("11-20 09:00", "engineer_a", "engineer_b"),
            ("11-23 09:00", "engineer_b", "engineer_c"),
            ("11-27 09:00", "engineer_d", "engineer_a"),
        ]

    def test_the_day_after_thanksgiving_and_the_chain_of_rules_behind_it(self):
        """The chain names the rotation's own choice, the rule that overrules it, and why the secondary steps in."""
        shift = self.rota.at(at("2017-11-24 08:00"))
        assert (shift.primary, shift.secondary) == ("engineer_b", "engineer_c")
        assert (shift.start, shift.end) == (at("2017-11-23 09:00"), at("2017-11-27 09:00"))
        assert shift.because == (
            "Rotation of 2 Jan 2017: engineer_c has the week from Mon 20 Nov 2017 09:00.",
            "Holiday rule 'Thanksgiving week': engineer_b until Mon 27 Nov 09:00.",
            "Secondary: engineer_c is next in the order after engineer_b.",
        )

    def test_christmas_and_new_year_over_a_hand_off_and_a_change_of_year(self):
        """D has 24 and 25 December, C the last and the first day of the year; the weeks between go by turns."""
        assert table(self.rota, "2017-12-18 09:00", "2018-01-08 09:00") == [
            ("12-18 09:00", "engineer_c", "engineer_d"),
            ("12-24 09:00", "engineer_d", "engineer_a"),
            ("12-25 09:00", "engineer_d", "engineer_a"),  # the week's own turn is another: another chain of rules
            ("12-26 09:00", "engineer_d", "engineer_a"),
            ("12-31 09:00", "engineer_c", "engineer_d"),
            ("01-01 09:00", "engineer_c", "engineer_d"),
            ("01-02 09:00", "engineer_a", "engineer_b"),
        ]

    @pytest.mark.parametrize("year", range(2017, 2034))
    def test_the_plans_holidays_of_every_year(self, year):
        """Whoever's week it is, D has Christmas Eve and Day and C New Year's Eve and Day, each for 48 hours."""
        for day, who in (("12-24", "engineer_d"), ("12-31", "engineer_c")):
            start = at(f"{year}-{day} 09:00")
            found = self.rota.shifts(start, start + timedelta(hours=48))
            assert {shift.primary for shift in found} == {who}
            assert self.rota.at(start - timedelta(seconds=1)).end == start
            assert self.rota.at(start + timedelta(hours=48)).start == start + timedelta(hours=48)

    def test_the_secondary_is_never_the_primary(self):
        """Not in any shift of 17 years, holidays that fall to the week's secondary included."""
        first, last = datetime(2017, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC)
        shifts = self.rota.shifts(first, last)
        assert [shift for shift in shifts if shift.secondary in {None, shift.primary}] == []
        assert gaps(self.rota, first, last) == ()


class TestRotation:
    def test_each_has_a_week_from_hand_off_to_hand_off_and_the_next_is_secondary(self):
        """The plan's table of four weeks, over and over; a week over a clock change has 167 hours."""
        assert table(Rota(rules()), "2017-02-27 09:00", "2017-04-03 09:00") == [
            ("02-27 09:00", "ada", "ben"),
            ("03-06 09:00", "ben", "cleo"),
            ("03-13 09:00", "cleo", "dan"),
            ("03-20 09:00", "dan", "ada"),
            ("03-27 09:00", "ada", "ben"),
        ]
        week = Rota(rules()).at(at("2017-03-12 12:00"))
        assert week.end - week.start == timedelta(hours=167)

    def test_a_rotation_starts_with_the_first_hand_off_on_or_after_its_day(self):
        """Begun on a Tuesday, the new order starts the Monday after, with its first."""
        rota = Rota(rules(rotation=[{"begins": "2017-05-02", "order": ["dan", "ada"]}, *PLAIN["rotation"]]))
        assert table(rota, "2017-04-24 09:00", "2017-05-22 09:00") == [
            ("04-24 09:00", "ada", "ben"),
            ("05-01 09:00", "ben", "cleo"),
            ("05-08 09:00", "dan", "ada"),
            ("05-15 09:00", "ada", "dan"),
        ]

    def test_before_the_first_rotation_the_cycle_goes_on_backwards(self):
        """Nobody is an answer to no instant; the week before ada's first is dan's."""
        assert duty(Rota(rules()), "2017-01-01 12:00") == ("dan", "ada")
        assert duty(Rota(rules()), "2016-12-05 09:00") == ("ada", "ben")

    def test_one_person_has_no_secondary(self):
        """A rota of one is told of as a gap, and still has a primary."""
        rota = Rota(rules(rotation=[{"begins": "2017-01-02", "order": ["ada"]}]))
        assert duty(rota, "2017-06-01 12:00") == ("ada", None)
        assert (
            rota.at(at("2017-06-01 12:00")).because[-1] == "Secondary: nobody, for the order has no other who is free."
        )

    def test_somebody_who_has_two_turns_of_four_is_never_his_own_secondary(self):
        """The next in the order is the next other person."""
        rota = Rota(rules(rotation=[{"begins": "2017-01-02", "order": ["ada", "ada", "ben", "ada"]}]))
        assert [row[1:] for row in table(rota, "2017-01-02 09:00", "2017-01-30 09:00")] == [
            ("ada", "ben"),
            ("ada", "ben"),
            ("ben", "ada"),
            ("ada", "ben"),
        ]


class TestHolidayRules:
    def rota(self, *entries, **changes):
        return Rota(rules(holidays=list(entries), **changes))

    def test_cuts_are_the_first_times_of_the_week_after_its_begin(self):
        """A cut on the hand-off's weekday before its hour falls on the week's last day."""
        rule = {
            "name": "T",
            "week_of": "Thanksgiving Day",
            "cuts": ["Monday 12:00", "Thursday 09:00", "Monday 08:00"],
            "primary": ["dan", "cleo", "ben", "ada"],
        }
        assert table(self.rota(rule), "2017-11-20 09:00", "2017-11-28 09:00") == [
            ("11-20 09:00", "dan", "ada"),
            ("11-20 12:00", "cleo", "dan"),
            ("11-23 09:00", "ben", "cleo"),
            ("11-27 08:00", "ada", "ben"),
            ("11-27 09:00", "dan", "ada"),
        ]

    def test_the_parts_follow_each_other_in_time_however_the_cuts_are_written(self):
        """The first named has the first part: no part runs backwards, and none is lost."""
        cuts = ["Friday 09:00", "Wednesday 09:00"]
        rule = {"name": "T", "week_of": "Thanksgiving Day", "cuts": cuts, "primary": ["ada", "ben", "dan"]}
        assert [row[:2] for row in table(self.rota(rule), "2017-11-20 09:00", "2017-11-27 09:00")] == [
            ("11-20 09:00", "ada"),
            ("11-22 09:00", "ben"),
            ("11-24 09:00", "dan"),
        ]

    def test_a_holiday_on_the_day_of_the_hand_off_belongs_to_the_week_that_holds_its_noon(self):
        """Labor Day is a Monday: with a hand-off at 09:00 its week begins, at 15:00 the week before holds it."""
        rule = {"name": "L", "week_of": "Labor Day", "primary": ["dan"]}
        assert self.rota(rule).claims(at("2017-08-20 00:00"), at("2017-09-20 00:00"))[0].start == at("2017-09-04 09:00")
        late = self.rota(rule, hand_off="Monday 15:00")
        assert late.claims(at("2017-08-20 00:00"), at("2017-09-20 00:00"))[0].start == at("2017-08-28 15:00")

    def test_of_two_rules_the_later_entry_wins(self):
        """Both are in the chain, the stronger one after the weaker."""
        wide = {"name": "Wide", "begins": "12-20 09:00", "ends": "01-05 09:00", "primary": ["ben"]}
        narrow = {"name": "Narrow", "begins": "12-31 09:00", "ends": "01-02 09:00", "primary": ["cleo"]}
        assert duty(self.rota(wide, narrow), "2018-01-01 12:00") == ("cleo", "dan")
        assert duty(self.rota(narrow, wide), "2018-01-01 12:00") == ("ben", "cleo")
        chain = self.rota(wide, narrow).at(at("2018-01-01 12:00")).because
        assert [text.partition(":")[0] for text in chain[1:3]] == ["Holiday rule 'Wide'", "Holiday rule 'Narrow'"]

    @pytest.mark.parametrize(
        ("calendar", "name", "year", "days"),
        [
            ("US", "Thanksgiving Day", 2017, ["2017-11-23"]),
            ("US", "Christmas Day", 2021, ["2021-12-25"]),  # a Saturday: the Friday is only observed
            ("NYSE", "New Year's Day", 2017, ["2017-01-02"]),  # observed, as the exchange has no other
            ("DE", "Ascension Day", 2008, ["2008-05-01"]),  # shares its day: "Ascension Day; Labor Day"
            ("TR", "Eid al-Fitr", 2017, ["2017-06-25"]),  # days in a row under one name are one holiday
            ("US", "Thanksgiving", 2017, []),
        ],
    )
    def test_a_holiday_is_found_by_its_english_name(self, calendar, name, year, days):
        """By the whole name or a part of it; the day itself rather than the one on which it is observed."""
        assert [day.isoformat() for day in holiday_days(calendar, name, year)] == days


class TestOverridesAndSwaps:
    def test_an_override_beats_a_holiday_rule_and_a_swap_beats_an_override(self):
        """The chain has each of them, weakest first, in one plain sentence."""
        swap = swapped(
            Leg("ada", at("2017-08-02 09:00"), at("2017-08-03 09:00")),
            Leg("ben", at("2017-09-02 09:00"), at("2017-09-03 09:00")),
        )
        rule = {"name": "August", "begins": "08-01 09:00", "ends": "08-04 09:00", "primary": ["dan"]}
        late = override("2017-08-01 21:00", "2017-08-03 21:00", "ada")
        rota = Rota(rules(holidays=[rule], overrides=[late]), (swap,))
        assert table(rota, "2017-08-01 09:00", "2017-08-04 09:00") == [
            ("08-01 09:00", "dan", "ada"),
            ("08-01 21:00", "ada", "ben"),
            ("08-02 09:00", "ben", "cleo"),
            ("08-03 09:00", "ada", "ben"),
            ("08-03 21:00", "dan", "ada"),
        ]
        assert rota.at(at("2017-08-02 12:00")).because == (
            "Rotation of 2 Jan 2017: cleo has the week from Mon 31 Jul 2017 09:00.",
            "Holiday rule 'August': dan until Fri 4 Aug 09:00.",
            "Override: ada until Thu 3 Aug 2017 21:00 (A conference).",
            "Swap 12: ben takes over from ada until Thu 3 Aug 2017 09:00.",
            "Secondary: cleo is next in the order after ben.",
        )

    def test_of_two_overrides_the_later_entry_wins(self):
        """As with holiday rules: what stands further down is stronger."""
        day = ("2017-08-01 09:00", "2017-08-02 09:00")
        assert (
            duty(Rota(rules(overrides=[override(*day, "ada"), override(*day, "ben")])), "2017-08-01 12:00")[0] == "ben"
        )

    @pytest.mark.parametrize("change", [{"accepted": {}}, {"undone_at": datetime(2017, 7, 1, tzinfo=UTC)}])
    def test_only_a_swap_that_both_accepted_and_nobody_undid_changes_the_rota(self, change):
        """An open offer and a swap undone leave every shift as it was."""
        give = Leg("cleo", at("2017-07-31 09:00"), at("2017-08-07 09:00"))
        take = Leg("dan", at("2017-08-07 09:00"), at("2017-08-14 09:00"))
        good = swapped(give, take)
        span = (at("2017-07-01 09:00"), at("2017-09-01 09:00"))
        off = Swap(**{**vars(good), **change})
        assert Rota(rules(), (good,)).shifts(*span) != Rota(rules()).shifts(*span)
        assert Rota(rules(), (off,)).shifts(*span) == Rota(rules()).shifts(*span)

    def test_an_override_by_somebody_outside_the_order_has_the_weeks_own_person_behind_it(self):
        """The secondary is then the first of the order, from the one whose week it is."""
        entries = [override("2017-08-01 09:00", "2017-08-03 09:00", "eve")]
        rota = Rota(rules(overrides=entries))
        assert duty(rota, "2017-08-01 12:00") == ("eve", "cleo")
        assert rota.at(at("2017-08-01 12:00")).because[-1] == "Secondary: cleo is first in the order."
        gone = Rota(rules(overrides=entries, away=[away("cleo", "2017-08-01 09:00", "2017-08-02 09:00")]))
        assert duty(gone, "2017-08-01 12:00") == ("eve", "dan")

    def test_times_that_the_clocks_skip_or_show_twice(self):
        """02:30 on the spring day is 03:00; 01:30 on the autumn day is the first of the two."""
        spring, autumn = "2017-03-12", "2017-11-05"
        entries = [
            override(f"{spring} 02:30", f"{spring} 12:00", "dan"),
            override(f"{autumn} 01:30", f"{autumn} 12:00", "dan"),
        ]
        claims = Rota(rules(overrides=entries)).claims(at("2017-01-01 00:00"), at("2018-01-01 00:00"))
        assert [f"{claim.start:%m-%d %H:%M}" for claim in claims] == ["03-12 07:00", "11-05 05:30"]


class TestAway:
    def test_only_the_part_in_which_somebody_is_away_goes_to_the_next(self):
        """Before and after it the week is his; meanwhile the secondary moves on, too."""
        rota = Rota(rules(away=[away("cleo", "2017-08-02 09:00", "2017-08-03 09:00")]))
        assert table(rota, "2017-07-31 09:00", "2017-08-07 09:00") == [
            ("07-31 09:00", "cleo", "dan"),
            ("08-02 09:00", "dan", "ada"),
            ("08-03 09:00", "cleo", "dan"),
        ]
        assert rota.at(at("2017-08-02 12:00")).because[1:] == (
            "cleo is away until Thu 3 Aug 2017 09:00 (holiday): dan is next in the order.",
            "Secondary: ada is next in the order after dan.",
        )

    def test_who_is_away_steps_in_for_nobody(self):
        """Neither as primary nor as secondary; the chain says whom the order passed over."""
        span = ("2017-08-02 09:00", "2017-08-03 09:00")
        both = Rota(rules(away=[away("cleo", *span), away("dan", *span)]))
        assert duty(both, "2017-08-02 12:00") == ("ada", "ben")
        second = Rota(rules(away=[away("dan", *span), away("ada", *span)]))
        assert duty(second, "2017-08-02 12:00") == ("cleo", "ben")
        assert second.at(at("2017-08-02 12:00")).because[-1] == (
            "Secondary: ben is next in the order after cleo; dan and ada are away."
        )

    def test_being_away_is_stronger_than_a_swap_and_an_override(self):
        """Whatever was agreed: who is away is not called. The stand-in is the next after him, not after the week's."""
        gone = away("ben", "2017-08-01 09:00", "2017-08-02 09:00")
        entry = override("2017-08-01 09:00", "2017-08-03 09:00", "ben")
        assert duty(Rota(rules(overrides=[entry], away=[gone])), "2017-08-01 12:00") == ("cleo", "dan")
        swap = swapped(
            Leg("cleo", at("2017-08-01 09:00"), at("2017-08-03 09:00")),
            Leg("ben", at("2017-07-25 09:00"), at("2017-07-27 09:00")),
        )
        assert duty(Rota(rules(away=[gone]), (swap,)), "2017-08-01 12:00") == ("cleo", "dan")
        assert duty(Rota(rules(away=[gone]), (swap,)), "2017-08-02 12:00") == ("ben", "cleo")

    def test_while_all_are_away_the_chosen_one_stays(self):
        """Somebody must be called, and it is told of as a gap."""
        rota = Rota(rules(away=[away(who, "2017-08-02 09:00", "2017-08-03 09:00") for who in PEOPLE]))
        assert duty(rota, "2017-08-02 12:00") == ("cleo", None)
        span = "from Wed 2 Aug 2017 09:00 to Thu 3 Aug 2017 09:00"
        assert gaps(rota, at("2017-07-31 09:00"), at("2017-08-07 09:00")) == (
            f"Nobody is secondary {span}: only cleo is there.",
            f"cleo is primary {span} although away, for nobody else is there.",
        )


class TestHistory:
    old, new = rules(), rules(rotation=[{"begins": "2017-01-02", "order": PEOPLE[::-1]}])

    def test_new_rules_hold_from_the_end_of_history(self):
        """A shift that has begun is cut there if the rules give it to others now; what was before stays."""
        now = at("2017-08-02 12:00")
        rota = Rota(self.new, history=Rota(self.old).shifts(at("2017-07-24 09:00"), now))
        assert table(rota, "2017-07-17 09:00", "2017-08-14 09:00") == [
            ("07-17 09:00", "dan", "cleo"),  # before the records begin there are the rules alone
            ("07-24 09:00", "ben", "cleo"),
            ("07-31 09:00", "cleo", "dan"),
            ("08-02 12:00", "ben", "ada"),
            ("08-07 09:00", "ada", "dan"),
        ]
        assert rota.at(now - timedelta(hours=1)).end == now == rota.at(now).start

    def test_a_shift_that_goes_on_is_one_shift(self):
        """Seen from before or after the end of history it has its first start and its planned end."""
        now = at("2017-08-02 12:00")
        rota = Rota(self.old, history=Rota(self.old).shifts(at("2017-07-24 09:00"), now))
        for moment in (now - timedelta(hours=1), now, now + timedelta(hours=1)):
            assert rota.at(moment) == Rota(self.old).at(moment)

    def test_before_the_records_a_shift_ends_where_they_begin(self):
        """The first record is never covered by what the rules would have had then."""
        first = at("2017-07-26 12:00")
        rota = Rota(self.new, history=Rota(self.old).shifts(first, at("2017-08-02 12:00")))
        assert rota.at(first - timedelta(hours=1)).end == first
        assert rota.at(first).start == first

    def test_no_gap_is_told_of_in_the_past(self):
        """What nobody can mend is no news: the one-person rota of last year is not reported, next week's is."""
        alone = rules(away=[away(who, "2017-08-02 09:00", "2017-08-03 09:00") for who in PEOPLE[1:]])
        span = (at("2017-07-31 09:00"), at("2017-08-07 09:00"))
        assert len(gaps(Rota(alone), *span)) == 1
        assert gaps(Rota(alone, history=Rota(alone).shifts(*span)), *span) == ()


class TestGaps:
    span = (at("2017-07-01 09:00"), at("2018-07-01 09:00"))

    def test_a_rotation_of_one(self):
        """One person alone is a problem even in a week in which somebody overrides."""
        rota = Rota(rules(rotation=[{"begins": "2017-01-02", "order": ["ada", "ada"]}]))
        assert gaps(rota, *self.span)[0] == (
            "The rotation that begins 2017-01-02 has fewer than two people: nobody can step in."
        )

    def test_a_rule_that_stronger_ones_cover_wholly_is_a_warning(self):
        """An override under two later ones has no effect; left an hour, it has."""
        first = override("2017-08-01 09:00", "2017-08-03 09:00", "ada")
        second = override("2017-08-01 09:00", "2017-08-02 09:00", "ben")
        rota = Rota(rules(overrides=[first, second, override("2017-08-02 09:00", "2017-08-03 09:00", "dan")]))
        assert gaps(rota, *self.span) == (
            (
                "Warning: Override (ada from Tue 1 Aug 2017 09:00 to Thu 3 Aug 2017 09:00) has no effect, "
                "for it is covered by Override (ben), Override (dan)."
            ),
        )
        nearly = Rota(rules(overrides=[first, second, override("2017-08-02 10:00", "2017-08-03 09:00", "dan")]))
        assert gaps(nearly, *self.span) == ()

    def test_a_holiday_rule_under_an_override_is_a_warning_and_under_a_swap_none(self):
        """A swap of a holiday is what two people wanted."""
        rule = {"name": "Christmas", "begins": "12-24 09:00", "ends": "12-26 09:00", "primary": ["ada"]}
        shadow = override("2017-12-24 09:00", "2017-12-26 09:00", "ben")
        (text,) = gaps(Rota(rules(holidays=[rule], overrides=[shadow])), *self.span)
        assert text.startswith("Warning: Holiday rule 'Christmas' (ada from Sun 24 Dec 2017 09:00")
        swap = swapped(
            Leg("ada", at("2017-12-24 09:00"), at("2017-12-26 09:00")),
            Leg("cleo", at("2017-07-31 09:00"), at("2017-08-02 09:00")),
        )
        assert gaps(Rota(rules(holidays=[rule]), (swap,)), *self.span) == ()

    def test_a_rule_of_an_unknown_holiday_is_told(self):
        """A slip in its name would otherwise cost the holiday silently."""
        rule = {"name": "T", "week_of": "Thanksgivin Day", "primary": ["ada"]}
        assert gaps(Rota(rules(holidays=[rule])), *self.span) == (
            "Holiday rule 'T' never comes: the calendar US knows no holiday 'Thanksgivin Day'.",
        )

    def test_a_swap_of_what_an_edit_took_from_its_giver_is_a_warning(self):
        """The swap holds all the same; that it is no exchange any more is told."""
        swap = swapped(
            Leg("cleo", at("2017-07-31 09:00"), at("2017-08-07 09:00")),
            Leg("dan", at("2017-08-07 09:00"), at("2017-08-14 09:00")),
        )
        edited = rules(overrides=[override("2017-08-01 09:00", "2017-08-02 09:00", "ada")])
        found = gaps(Rota(edited, (swap,)), *self.span)
        assert "Warning: in swap 12 cleo gave hours that the rules give to ada by now." in found
        assert gaps(Rota(rules(), (swap,)), *self.span) == ()

    def test_whoever_has_left_holds_nothing_and_that_is_severe(self):
        """A swap with one who left has no effect in either half, nor has an override; both are told while ahead."""
        swap = swapped(
            Leg("cleo", at("2017-07-31 09:00"), at("2017-08-07 09:00")),
            Leg("dan", at("2017-08-07 09:00"), at("2017-08-14 09:00")),
        )
        edited = rules(
            rotation=[{"begins": "2017-01-02", "order": ["ada", "ben", "cleo"]}],
            overrides=[override("2017-09-01 09:00", "2017-09-02 09:00", "dan")],
        )
        rota = Rota(edited, (swap,), known=frozenset(PEOPLE[:3]))
        span = (at("2017-07-24 09:00"), at("2017-10-02 09:00"))
        assert rota.shifts(*span) == replace(rota, rules=edited.model_copy(update={"overrides": ()}), swaps=()).shifts(
            *span
        )
        assert gaps(rota, *self.span) == (
            (
                "Override from Fri 1 Sep 2017 09:00 to Sat 2 Sep 2017 09:00 has no effect: "
                "dan is not in config/people.yml."
            ),
            (
                "Swap 12 has no effect from Mon 31 Jul 2017 09:00 to Mon 7 Aug 2017 09:00 and from "
                "Mon 7 Aug 2017 09:00 to Mon 14 Aug 2017 09:00: dan is not in config/people.yml."
            ),
        )
        assert gaps(rota, at("2017-09-04 09:00"), at("2017-10-02 09:00")) == ()
        assert "dan" in {shift.primary for shift in Rota(edited, (swap,)).shifts(*span)}  # where all are known


#: Both clock changes of 2017: the hand-off, and every boundary, in UTC, around them. Lord Howe moves by half an hour.
WALKS = [
    ("America/New_York", "Sunday 02:30", ["03-05 07:30", "03-12 07:00", "03-19 06:30", "03-26 06:30"]),
    ("America/New_York", "Sunday 01:30", ["10-29 05:30", "11-05 05:30", "11-12 06:30", "11-19 06:30"]),
    ("America/New_York", "Monday 09:00", ["10-23 13:00", "10-30 13:00", "11-06 14:00", "11-13 14:00"]),
    ("Europe/Berlin", "Sunday 02:30", ["03-12 01:30", "03-19 01:30", "03-26 01:00", "04-02 00:30"]),
    ("Europe/Berlin", "Sunday 02:30", ["10-15 00:30", "10-22 00:30", "10-29 00:30", "11-05 01:30"]),
    ("Europe/Berlin", "Friday 17:00", ["03-17 16:00", "03-24 16:00", "03-31 15:00", "04-07 15:00"]),
    ("Australia/Lord_Howe", "Sunday 01:45", ["03-18 14:45", "03-25 14:45", "04-01 14:45", "04-08 15:15"]),
    ("Australia/Lord_Howe", "Sunday 02:15", ["09-16 15:45", "09-23 15:45", "09-30 15:30", "10-07 15:15"]),
    ("Australia/Lord_Howe", "Monday 09:00", ["03-26 22:00", "04-02 22:30", "04-09 22:30", "04-16 22:30"]),
    ("Asia/Kathmandu", "Sunday 02:30", ["03-11 20:45", "03-18 20:45", "03-25 20:45", "04-01 20:45"]),
]


@pytest.mark.parametrize(("zone", "hand_off", "exact"), WALKS)
def test_a_walk_over_the_clock_changes_meets_the_exact_boundaries_alone(zone, hand_off, exact):
    """Every half hour of three weeks lies in the shift that the list says, with the next of the order on duty."""
    rota = Rota(rules(time_zone=zone, hand_off=hand_off))
    bounds = [datetime.fromisoformat(f"2017-{text}").replace(tzinfo=UTC) for text in exact]
    met, moment = [], bounds[0]
    while moment < bounds[-1]:
        shift = rota.at(moment)
        assert shift.start <= moment < shift.end
        met += [] if met and met[-1] == shift else [shift]
        moment += timedelta(minutes=30)
    assert [(shift.start, shift.end) for shift in met] == list(pairwise(bounds))
    turns = [PEOPLE.index(shift.primary) for shift in met]
    assert [(turn - turns[0]) % 4 for turn in turns] == [0, 1, 2]


# What holds of every rota.

ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
WHO = st.sampled_from([*PEOPLE, "eve"])
FIRST, LAST = datetime(2016, 6, 1, tzinfo=UTC), datetime(2019, 6, 1, tzinfo=UTC)
MOMENTS = st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None), timezones=st.just(UTC))
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


@st.composite
def spans(draw, times=CLOCK):
    """Begin and end of an override, in local words."""
    begins = draw(st.dates(FIRST.date(), LAST.date()))
    ends = begins + timedelta(days=draw(st.integers(1, 20)))
    return {"begins": f"{begins} {draw(times)}", "ends": f"{ends} {draw(times)}"}


@st.composite
def holiday_rules(draw, times=CLOCK):
    """A rule of either form."""
    if draw(st.booleans()):
        cuts = draw(st.lists(st.builds("{} {}".format, st.sampled_from(WEEKDAYS), times), max_size=2))
        primary = draw(st.lists(WHO, min_size=len(cuts) + 1, max_size=len(cuts) + 1))
        name = draw(st.sampled_from(["Thanksgiving Day", "New Year's Day", "Labor Day", "Independence Day"]))
        return {"name": "W", "week_of": name, "cuts": cuts, "primary": primary}
    days = st.builds("{:02}-{:02} {}".format, st.integers(1, 12), st.integers(1, 28), times)
    return {"name": "D", "begins": draw(days), "ends": draw(days), "primary": [draw(WHO)]}


@st.composite
def any_rules(draw, times=CLOCK, hand_off=None):
    """Rules of every kind, in any zone, over three years."""
    orders = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=5)
    begins = st.dates(FIRST.date(), LAST.date()).map(str)
    overrides = st.lists(st.tuples(spans(times), WHO), max_size=4)
    absences = st.lists(st.tuples(spans(times), WHO), max_size=6)
    return read(
        {
            "time_zone": draw(st.sampled_from(ZONES)),
            "hand_off": hand_off or f"{draw(st.sampled_from(WEEKDAYS))} {draw(times)}",
            "rotation": draw(
                st.lists(st.fixed_dictionaries({"begins": begins, "order": orders}), min_size=1, max_size=3)
            ),
            "holidays": draw(st.lists(holiday_rules(times), max_size=3)),
            "overrides": [{**span, "primary": who, "because": "So."} for span, who in draw(overrides)],
            "away": [{**span, "who": who} for span, who in draw(absences)],
        }
    )


def people(rota: Rota, moment: datetime) -> tuple[str, str | None]:
    """Primary and secondary at an instant."""
    shift = rota.at(moment)
    return shift.primary, shift.secondary


class TestEveryRota:
    @settings(deadline=None)
    @given(any_rules(), MOMENTS, st.integers(0, 200))
    def test_shifts_are_contiguous_and_half_open_and_what_at_says(self, rules, first, days):
        """They fill a span without gap or overlap, cut to it, and each instant has the people that `at` gives it."""
        rota, last = Rota(rules), first + timedelta(days=days, hours=1)
        shifts = rota.shifts(first, last)
        assert (shifts[0].start, shifts[-1].end) == (first, last)
        assert all(one.end == other.start for one, other in pairwise(shifts))
        for shift in shifts:
            assert shift.start < shift.end
            for moment in (shift.start, shift.end - timedelta(microseconds=1)):
                whole = rota.at(moment)
                assert whole.start <= shift.start < shift.end <= whole.end
                assert whole.same_as(shift)

    @settings(deadline=None)
    @given(any_rules(), st.lists(MOMENTS, min_size=1, max_size=20))
    def test_one_primary_and_another_secondary_at_every_instant(self, rules, moments):
        """There is no secondary only where everybody else of the order is away, or nobody else is in it."""
        rota = Rota(rules)
        for moment in moments:
            shift = rota.at(moment)
            assert shift.start <= moment < shift.end
            assert shift.primary in {*PEOPLE, "eve"}
            assert shift.secondary != shift.primary
            gone = {span.who for span in rota.absences(moment, moment + timedelta(microseconds=1))}
            assert shift.secondary not in gone
            if len(set(PEOPLE) - gone) > 1 and all(set(entry.order) == set(PEOPLE) for entry in rules.rotation):
                assert shift.secondary is not None
                assert shift.primary not in gone

    @settings(deadline=None)
    @given(any_rules(), MOMENTS)
    def test_the_strongest_rule_that_holds_an_instant_chooses(self, rules, moment):
        """Asked one by one, from the strongest down, the rules give whom the rota gives, if he is there."""
        rota, after = Rota(rules), moment + timedelta(microseconds=1)
        if any(span.who for span in rota.absences(moment, after)):
            return
        local = moment.astimezone(rota.zone).replace(tzinfo=None)
        spans = [(datetime.fromisoformat(o.begins), datetime.fromisoformat(o.ends), o.primary) for o in rules.overrides]
        chosen = [who for begins, ends, who in spans if begins <= local < ends]
        near = [b for span in spans for b in span[:2] if abs(b - local) < timedelta(days=2)]
        yearly = [span for span in rota.claims(moment, after) if span.rule.startswith("Holiday")]
        if not near:  # the hours around a bound may be skipped or shown twice
            primary = rota.at(moment).primary
            if chosen:
                assert primary == chosen[-1]
            elif yearly:
                assert primary == yearly[-1].who
            else:
                assert primary == Rota(rules.model_copy(update={"overrides": (), "holidays": ()})).at(moment).primary

    @settings(deadline=None)
    @given(any_rules(times=st.just("09:00")))
    def test_every_boundary_is_the_hand_off_if_every_rule_keeps_to_it(self, rules):
        """Over both clock changes the shifts change at 09:00 on the wall, and at no other hour."""
        rota = Rota(rules)
        for shift in rota.shifts(rota.at(FIRST).start, LAST)[1:]:
            local = shift.start.astimezone(rota.zone)
            assert (local.hour, local.minute, local.second) == (9, 0, 0)

    @settings(deadline=None)
    @given(any_rules(), any_rules(), MOMENTS, st.lists(MOMENTS, min_size=1, max_size=10))
    def test_an_edit_changes_nobody_who_was_on_call(self, old, new, now, moments):
        """With the past frozen, each instant before the edit keeps its people, each one after has the new rules'."""
        rota = Rota(new, history=Rota(old).shifts(min([now - timedelta(days=1), *moments]), now))
        for moment in (*moments, now, now - timedelta(microseconds=1)):
            assert people(rota, moment) == people(Rota(old if moment < now else new), moment)
            assert rota.at(moment).start <= moment < rota.at(moment).end

    @settings(deadline=None)
    @given(any_rules(), MOMENTS, st.lists(st.integers(1, 1000), max_size=8))
    def test_however_often_the_past_is_frozen_it_is_the_same(self, rules, first, hours):
        """Every tick may freeze what has been: no shift falls into pieces, and feeds keep their events."""
        rota, now = Rota(rules), first
        for step in hours:
            now += timedelta(hours=step)
            rota = Rota(rules, history=rota.shifts(first, now))
        assert rota.history == Rota(rules).shifts(first, now)
        end = now + timedelta(days=30)
        assert rota.shifts(first, end) == Rota(rules).shifts(first, end)


def test_frozen_pieces_of_one_shift_are_one():
    """A past that was written down in pieces is read as the shifts that it was."""
    start, hour = at("2017-07-31 09:00"), timedelta(hours=1)
    pieces = tuple(Shift(start + n * hour, start + (n + 1) * hour, "ada", "ben", ("So.",)) for n in range(3))
    rota = Rota(rules(), history=pieces)
    assert rota.at(start + hour) == Shift(start, start + 3 * hour, "ada", "ben", ("So.",))


def test_a_span_that_is_all_frozen_has_no_gap():
    """Whoever looks at a past that is kept is told of nothing that nobody can mend."""
    rota = Rota(OnCall.model_validate_json(json.dumps(SHIPPED)))
    start, end = datetime(2017, 11, 20, 14, tzinfo=UTC), datetime(2019, 1, 7, 14, tzinfo=UTC)
    kept = Rota(rota.rules, history=rota.shifts(start, end))
    assert gaps(kept, start, start + timedelta(days=366)) == ()
