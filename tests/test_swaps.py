"""A swap is fair, is wanted by both, and holds as a whole or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.errors import UsageError
from runner.plan.oncall import Leg, Rota, Swap
from runner.plan.swaps import accept, decline, propose, undo
from tests.test_oncall import ZONES, at, away, override, rules, table

NOW = at("2017-07-01 12:00")
FIRST, LAST = "2017-07-31 09:00", "2017-08-14 09:00"  # cleo's week and dan's
GIVE = Leg("cleo", at(FIRST), at("2017-08-07 09:00"))
TAKE = Leg("dan", at("2017-08-07 09:00"), at(LAST))
SWAP = Swap("12", GIVE, TAKE, "cleo", NOW, {})
ROTA = Rota(rules())


def leg(who: str, start: str, end: str) -> Leg:
    """A leg in New York's wall-clock times."""
    return Leg(who, at(start), at(end))


def agreed(rota: Rota, swap: Swap, now: datetime = NOW) -> Swap:
    """A swap that one of the two offered and the other accepted."""
    offer = propose(rota, swap, now)
    return accept(rota, offer, next(who for who in swap.people if who != swap.offered_by), now)


def refusal(rota: Rota, swap: Swap, now: datetime = NOW) -> str:
    """What is said against an offer, with the remedy."""
    with pytest.raises(UsageError) as caught:
        propose(rota, swap, now)
    assert caught.value.remedy
    return str(caught.value)


class TestAgreement:
    def test_an_offer_by_one_of_the_two_needs_the_other(self):
        """The offer is his acceptance; with the other's it holds, and both weeks change hands at once."""
        offer = propose(ROTA, SWAP, NOW)
        assert (dict(offer.accepted), offer.offered_at, offer.agreed) == ({"cleo": NOW}, NOW, False)
        assert table(replace(ROTA, swaps=(offer,)), FIRST, LAST) == table(ROTA, FIRST, LAST)
        done = accept(ROTA, offer, "dan", NOW + timedelta(hours=1))
        assert done.agreed
        assert table(replace(ROTA, swaps=(done,)), "2017-07-24 09:00", "2017-08-21 09:00") == [
            ("07-24 09:00", "ben", "cleo"),
            ("07-31 09:00", "dan", "ada"),
            ("08-07 09:00", "cleo", "dan"),
            ("08-14 09:00", "ada", "ben"),
        ]

    def test_an_offer_by_a_third_needs_both(self):
        """Nobody is swapped without having said yes."""
        offer = propose(ROTA, replace(SWAP, offered_by="ada"), NOW)
        assert dict(offer.accepted) == {}
        once = accept(ROTA, offer, "dan", NOW)
        assert not once.agreed
        assert accept(ROTA, once, "cleo", NOW).agreed

    def test_acceptances_that_come_with_the_offer_count_for_nothing(self):
        """Only the two themselves accept."""
        assert dict(propose(ROTA, replace(SWAP, accepted={"dan": NOW}), NOW).accepted) == {"cleo": NOW}

    def test_nobody_else_accepts_declines_or_undoes(self):
        """A swap is the two's own business, be it one's own offer."""
        offer = propose(ROTA, replace(SWAP, offered_by="ada"), NOW)
        with pytest.raises(UsageError, match=r"ada cannot accept swap 12: it is between cleo and dan\."):
            accept(ROTA, offer, "ada", NOW)
        with pytest.raises(UsageError, match="ben cannot decline"):
            decline(offer, "ben", NOW)
        with pytest.raises(UsageError, match="ada cannot undo"):
            undo(agreed(ROTA, SWAP), "ada", NOW)

    def test_accepting_twice_is_accepting_once(self):
        """The first acceptance stands, with its time."""
        done = agreed(ROTA, SWAP)
        assert accept(ROTA, done, "dan", NOW + timedelta(hours=5)) == done

    def test_all_is_checked_again_at_acceptance(self):
        """What was possible when it was offered may not be any more: an absence, an edit, or time itself."""
        offer = propose(ROTA, SWAP, NOW)
        with pytest.raises(UsageError, match="dan is away"):
            accept(Rota(rules(away=[away("dan", "2017-08-01 09:00", "2017-08-02 09:00")])), offer, "dan", NOW)
        edited = rules(overrides=[override("2017-08-01 09:00", "2017-08-02 09:00", "ada")])
        with pytest.raises(UsageError, match="ada is primary from"):
            accept(Rota(edited), offer, "dan", NOW)
        with pytest.raises(UsageError, match="has begun"):
            accept(ROTA, offer, "dan", GIVE.start + timedelta(seconds=1))
        assert accept(replace(ROTA, swaps=(offer,)), offer, "dan", GIVE.start).agreed


class TestEnd:
    def test_undone_before_it_starts_it_leaves_no_trace(self):
        """Both legs go back together."""
        gone = undo(agreed(ROTA, SWAP), "dan", GIVE.start - timedelta(seconds=1))
        assert not gone.agreed
        assert table(replace(ROTA, swaps=(gone,)), FIRST, LAST) == table(ROTA, FIRST, LAST)

    @pytest.mark.parametrize("swap", [SWAP, Swap("12", TAKE, GIVE, "dan", NOW, {})])
    def test_once_the_first_leg_has_started_nothing_is_undone(self, swap):
        """Whichever leg is the first: the other would owe a week."""
        with pytest.raises(UsageError, match=r"has begun and cannot be undone\. Agree on a new swap"):
            undo(agreed(ROTA, swap), "cleo", GIVE.start)

    def test_an_open_offer_is_declined_and_an_agreed_swap_undone(self):
        """Each says which of the two words is the right one."""
        offer = propose(ROTA, SWAP, NOW)
        with pytest.raises(UsageError, match=r"not agreed by both yet\. Decline it"):
            undo(offer, "dan", NOW)
        with pytest.raises(UsageError, match=r"agreed by both\. Undo it"):
            decline(agreed(ROTA, SWAP), "dan", NOW)
        assert decline(offer, "dan", NOW).undone_at == NOW

    def test_whoever_made_an_offer_can_withdraw_it(self):
        """A third may have made it."""
        assert decline(propose(ROTA, replace(SWAP, offered_by="ada"), NOW), "ada", NOW).undone_at == NOW

    def test_what_is_over_stays_over(self):
        """A declined offer is neither accepted nor declined again, an undone swap not undone again."""
        over = decline(propose(ROTA, SWAP, NOW), "dan", NOW)
        for act in (
            lambda: accept(ROTA, over, "dan", NOW),
            lambda: decline(over, "dan", NOW),
            lambda: undo(undo(agreed(ROTA, SWAP), "dan", NOW), "cleo", NOW),
        ):
            with pytest.raises(UsageError, match=r"was declined or undone\. Offer a new one\."):
                act()


class TestRefusals:
    @pytest.mark.parametrize(
        ("give", "take", "said"),
        [
            (GIVE, replace(TAKE, who="cleo"), "cleo cannot swap with the same person. Name two people."),
            (GIVE, replace(TAKE, who="eve"), "Nobody called 'eve' is in the rota. Name two of: ada, ben, cleo, dan."),
            (
                replace(GIVE, end=GIVE.start),
                TAKE,
                "cleo gives, from Mon 31 Jul 2017 09:00 to Mon 31 Jul 2017 09:00, is empty",
            ),
            (
                leg("cleo", "2017-06-05 09:00", "2017-06-12 09:00"),
                TAKE,
                "cleo gives, from Mon 5 Jun 2017 09:00 to Mon 12 Jun 2017 09:00, has begun.",
            ),
            (GIVE, leg("dan", "2017-08-06 09:00", "2017-08-13 09:00"), "The two spans of the swap overlap."),
            (GIVE, leg("dan", "2017-08-07 09:00", "2017-08-14 08:00"), "cleo would give 168 hours and take 167."),
            (
                leg("cleo", "2017-07-31 08:00", "2017-08-07 08:00"),
                TAKE,
                (
                    "cleo cannot give what is not theirs: ben is primary "
                    "from Mon 31 Jul 2017 08:00 to Mon 31 Jul 2017 09:00."
                ),
            ),
            (GIVE, leg("dan", "2017-08-14 09:00", "2017-08-21 09:00"), "dan cannot give what is not theirs: ada is"),
        ],
    )
    def test_a_swap_that_cannot_be_says_why(self, give, take, said):
        """One sentence of what is wrong with the very spans, and one of what to do."""
        assert said in refusal(ROTA, Swap("12", give, take, give.who, NOW, {}))

    @pytest.mark.parametrize(
        ("who", "start", "end"),
        [("dan", "2017-08-01 09:00", "2017-08-01 10:00"), ("cleo", "2017-08-13 21:00", "2017-08-15 09:00")],
    )
    def test_nobody_takes_hours_in_which_he_is_away(self, who, start, end):
        """An hour is enough; each leg is looked at."""
        assert f"{who} is away until" in refusal(Rota(rules(away=[away(who, start, end)])), SWAP)

    def test_being_away_in_what_one_gives_is_why_one_swaps(self):
        """Once it is swapped she can go; an absence already known leaves her nothing to give."""
        rota = Rota(rules(away=[away("cleo", "2017-08-07 09:00", "2017-08-08 09:00")]))
        assert "cleo is away" in refusal(rota, SWAP)
        swapped = agreed(ROTA, SWAP)
        later = Rota(rules(away=[away("cleo", "2017-08-01 09:00", "2017-08-02 09:00")]), (swapped,))
        assert next(row[1] for row in table(later, FIRST, LAST)) == "dan"

    def test_no_two_swaps_have_an_hour_in_common(self):
        """Neither an agreed one nor an open offer; one declined, undone or out of time is no hindrance."""
        other = Swap(
            "13",
            replace(GIVE, end=GIVE.start + timedelta(hours=1)),
            leg("ada", "2017-08-14 09:00", "2017-08-14 10:00"),
            "cleo",
            NOW,
            {},
        )
        assert "Swap 12 of cleo and dan has some of the same hours." in refusal(
            Rota(rules(), (agreed(ROTA, SWAP),)), other
        )
        offer = propose(ROTA, SWAP, NOW)
        assert "Swap 12 of cleo and dan" in refusal(replace(ROTA, swaps=(offer,)), other)
        over = (decline(offer, "dan", NOW), undo(agreed(ROTA, SWAP), "dan", NOW))
        for swap in over:
            assert propose(replace(ROTA, swaps=(swap,)), other, NOW)
        rest = Swap("14", replace(TAKE, end=TAKE.start + timedelta(hours=1)), other.take, "dan", NOW, {})
        assert "Swap 12" in refusal(replace(ROTA, swaps=(offer,)), rest, GIVE.start)
        begun = GIVE.start + timedelta(hours=1)
        assert propose(replace(ROTA, swaps=(offer,)), rest, begun)
        assert "Swap 12" in refusal(replace(ROTA, swaps=(agreed(ROTA, SWAP),)), rest, begun)

    def test_who_has_left_neither_swaps_nor_hinders(self):
        """Dan is not in people.yml any more: his swap keeps no hours from cleo, and nobody can swap with him."""
        rota = replace(ROTA, swaps=(agreed(ROTA, SWAP),), known=frozenset({"ada", "ben", "cleo"}))
        other = replace(SWAP, swap="13", take=leg("ada", "2017-08-14 09:00", "2017-08-21 09:00"))
        assert propose(rota, other, NOW)
        said = refusal(replace(rota, swaps=()), SWAP)
        assert said == "Nobody called 'dan' is in the rota. Name two of: ada, ben, cleo."

    def test_the_frozen_past_is_not_swapped(self):
        """What is written down as history cannot be given, even if the clock that asks is behind."""
        rota = Rota(rules(), history=ROTA.shifts(at("2017-06-05 09:00"), GIVE.start + timedelta(hours=1)))
        assert "has begun" in refusal(rota, SWAP)

    def test_a_week_across_a_clock_change_is_a_week(self):
        """167 real hours for 168: on the wall both are seven days."""
        give, take = (
            leg("ben", "2017-03-06 09:00", "2017-03-13 09:00"),
            leg("cleo", "2017-03-13 09:00", "2017-03-20 09:00"),
        )
        assert give.end - give.start != take.end - take.start
        assert agreed(ROTA, Swap("1", give, take, "ben", NOW, {}), at("2017-03-01 09:00")).agreed


# What holds of every swap.


@st.composite
def swaps(draw):
    """A rota, and a swap of two spans of whole days in two weeks of it, mostly of two people."""
    order = draw(st.permutations(["ada", "ben", "cleo", "dan"]))[: draw(st.integers(2, 4))]
    rota = Rota(rules(time_zone=draw(st.sampled_from(ZONES)), rotation=[{"begins": "2017-01-02", "order": order}]))
    give, take = (draw(st.integers(1, 60)) for _ in range(2))
    begin = draw(st.integers(0, 6))
    days = draw(st.integers(1, 7 - begin))
    legs = []
    for week in (give, take):
        start = datetime(2017, 1, 2, 9) + timedelta(weeks=week, days=begin)  # noqa: DTZ001  a wall-clock time
        bounds = [at(str(bound), rota.zone) for bound in (start, start + timedelta(days=days))]
        legs.append(Leg(rota.at(bounds[0]).primary, *bounds))
    assume(legs[0].who != legs[1].who)
    return rota, Swap("1", *legs, draw(st.sampled_from(order)), NOW, {})


def wall(rota: Rota, shifts) -> list[tuple[str, timedelta]]:
    """Primary and length on the wall clock of each shift."""
    local = [
        (one.primary, *(b.astimezone(rota.zone).replace(tzinfo=None) for b in (one.start, one.end))) for one in shifts
    ]
    return [(who, end - start) for who, start, end in local]


class TestEverySwap:
    start, end, now = at("2017-01-02 09:00"), at("2018-06-04 09:00"), at("2017-01-02 09:00")

    def made(self, rota, swap):
        """The swap, accepted by both, whoever offered it."""
        offer = propose(rota, swap, self.now)
        for who in swap.people:
            offer = accept(replace(rota, swaps=(offer,)), offer, who, self.now)
        return offer

    @settings(deadline=None)
    @given(swaps())
    def test_it_conserves_hours(self, drawn):
        """Each person has as many hours on the wall as before, and the pieces are as long as they were."""
        rota, swap = drawn
        after = replace(rota, swaps=(self.made(rota, swap),))
        bounds = sorted({self.start, self.end, *(b for leg in (swap.give, swap.take) for b in (leg.start, leg.end))})
        totals, lengths = [], []
        for one in (rota, after):
            pieces = wall(one, [s for i in range(len(bounds) - 1) for s in one.shifts(bounds[i], bounds[i + 1])])
            lengths.append(Counter(length for _, length in pieces))
            totals.append(
                {who: sum((length for name, length in pieces if name == who), timedelta()) for who in rota.people}
            )
        assert totals[0] == totals[1]
        assert lengths[0] == lengths[1]

    @settings(deadline=None)
    @given(swaps())
    def test_it_touches_nothing_else_and_nobody_is_on_duty_twice(self, drawn):
        """In each leg the taker is primary, outside both everything is as it was, and the secondary is another."""
        rota, swap = drawn
        after = replace(rota, swaps=(self.made(rota, swap),))
        for shift in after.shifts(self.start, self.end):
            takers = [
                t
                for leg, t in zip((swap.give, swap.take), swap.people[::-1], strict=True)
                if leg.start <= shift.start < leg.end
            ]
            assert shift.secondary not in {None, shift.primary}
            assert shift.primary == (takers[0] if takers else rota.at(shift.start).primary)

    @settings(deadline=None)
    @given(swaps())
    def test_undone_it_was_never(self, drawn):
        """Every shift is as before, reasons included."""
        rota, swap = drawn
        made = self.made(rota, swap)
        gone = undo(made, swap.take.who, self.now)
        assert replace(rota, swaps=(gone,)).shifts(self.start, self.end) == rota.shifts(self.start, self.end)
        assert replace(rota, swaps=(made,)).shifts(self.start, self.end) != rota.shifts(self.start, self.end)
