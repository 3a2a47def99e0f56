"""Every message of the plan: complete for an engineer half asleep, and nothing internal for a reader."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.delivery import alerts, messages
from runner.delivery.messages import Message
from runner.plan.oncall import Leg, Swap

NEW_YORK = ZoneInfo("America/New_York")
DUE = datetime(2017, 11, 16, 14, tzinfo=UTC)
SITUATION = alerts.Situation(
    incident=12,
    pipeline="aggregate_profit",
    title="Aggregate profit",
    period="2017-11-15",
    period_text="Wednesday 15 November 2017",
    state="failed",
    sentence="The warehouse could not be reached.",
    due_at=DUE,
    now=DUE - timedelta(minutes=23),
    zone=NEW_YORK,
    promise="by 09:00 next business day",
    readers="investors",
    holds="The report for Tuesday 14 November 2017 is valid.",
    run="20171116T120000-48853c",
    folder="reports/aggregate_profit/2017-11-15/20171116T120000-48853c",
    attempts="2 of 3; the next at 09:12",
    runbook_title="Database connection failures",
    runbook="1. Look whether the database answers.",
    as_of="2017-11-15",
    owners="Engineer B, then Engineer C",
)
QUARTER = timedelta(minutes=15)
COMPANY = "Harbour Grocers"


def of_trouble(**changes):
    return alerts.trouble(replace(SITUATION, **changes), "on-call primary", QUARTER, "engineer_a")


def commands(message):
    return [command for _, command in message.commands]


# --- time in words ---


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than 1 min"),
        (59, "less than 1 min"),
        (60, "1 min"),
        (23 * 60 + 59, "23 min"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (86400, "1 d"),
        (97200, "1 d 3 h"),
        (172_860, "2 d"),
    ],
)
def test_a_span_is_said_in_its_two_largest_units(seconds, words):
    """Whole minutes, cut down: nobody is told that there is more time than there is."""
    assert alerts.span(timedelta(seconds=seconds)) == words


def test_time_left_and_time_over():
    """Before, at and after the deadline."""
    assert alerts.left(DUE, DUE - timedelta(minutes=23)) == "23 min left"
    assert alerts.left(DUE, DUE) == "due now"
    assert alerts.left(DUE, DUE + timedelta(minutes=65)) == "overdue by 1 h 5 min"


def test_time_left_over_a_clock_change_is_real_time():
    """Both instants in the zone itself, an hour of fold between them: two hours, not one."""
    due = datetime(2017, 11, 5, 2, 0, tzinfo=NEW_YORK)
    assert alerts.left(due, datetime(2017, 11, 5, 1, 0, tzinfo=NEW_YORK)) == "2 h left"


def test_an_instant_is_told_on_the_wall_with_its_zone():
    """Summer and winter have their letters; a zone without letters says its distance."""
    assert alerts.local(DUE, NEW_YORK) == "Thursday 16 November 2017, 09:00 EST"
    assert alerts.local(datetime(2017, 7, 3, 13, tzinfo=UTC), NEW_YORK) == "Monday 3 July 2017, 09:00 EDT"
    assert alerts.local(DUE, ZoneInfo("America/Sao_Paulo")).endswith("12:00 UTC-02")


# --- trouble ---


def test_trouble_says_everything_that_is_needed_at_three_in_the_morning():
    """What happened, the deadline and how long, what still holds, the runbook, the owners, and why it came."""
    text = messages.text(of_trouble())
    assert text.startswith("The warehouse could not be reached.")
    flat = " ".join(text.split())
    for part in (
        "Thursday 16 November 2017, 09:00 EST, 23 min left (promised by 09:00 next business day)",
        "Aggregate profit, Wednesday 15 November 2017, for the investors",
        "The report for Tuesday 14 November 2017 is valid.",
        "2 of 3; the next at 09:12",
        "FIRST STEPS: Database connection failures 1. Look whether the database answers.",
        "Engineer B, then Engineer C",
        "You get this as on-call primary. If nobody acknowledges it within 15 min, the next is told.",
    ):
        assert part in flat


def test_trouble_offers_commands_that_can_be_typed():
    """Acknowledge, look, retry: with the project's folder, the addressee, the day and the experiment."""
    message = of_trouble(command="runner --project /srv/reports", experiment="18")
    assert commands(message) == [
        "runner --project /srv/reports ack 12 --by engineer_a",
        "runner --project /srv/reports logs 20171116T120000-48853c",
        "runner --project /srv/reports run aggregate_profit --as-of 2017-11-15 --experiment 18 --again",
    ]


def test_an_undelivered_report_is_sent_and_not_made_anew():
    """It is proven: what is offered is to send it, and its PDF; neither a new run nor loose charts."""
    message = of_trouble(undelivered=True, charts=True)
    assert commands(message)[-1] == "runner deliver 20171116T120000-48853c"
    assert [target for _, target in message.links] == [SITUATION.folder, f"{SITUATION.folder}/aggregate_profit.pdf"]


def test_only_a_held_report_can_be_approved_or_its_pdf_be_sent_by_hand():
    """A failed one has no proven PDF: neither the command nor the path is offered."""
    approve = 'runner approve 20171116T120000-48853c --by engineer_a --because "REASON"'
    pdf = f"{SITUATION.folder}/aggregate_profit.pdf"
    held = of_trouble(state="held", held=True)
    assert approve in commands(held)
    assert pdf in [target for _, target in held.links]
    assert "investors" in next(words for words, target in held.links if target == pdf)
    assert not any("approve" in command for command in commands(of_trouble()))
    assert pdf not in [target for _, target in of_trouble().links]


def test_what_never_started_has_no_run_to_look_at():
    """Without a run there is no log, no file and no approval, and the retry is still offered."""
    message = of_trouble(state="not started", run="", folder="")
    assert commands(message) == [
        "runner ack 12 --by engineer_a",
        "runner run aggregate_profit --as-of 2017-11-15 --again",
    ]
    assert message.links == ()


def test_an_incident_is_opened_at_the_desk_where_there_is_one():
    """Its page is the first link of every message about it; without a desk that can be reached none leads there."""
    at_desk = of_trouble(desk="https://desk.example.com")
    assert at_desk.links[0][1] == f"https://desk.example.com/incidents/{SITUATION.incident}"
    assert [link for link in of_trouble().links if "desk" in link[0]] == []


def test_hostile_names_stay_one_word_of_a_command():
    """An experiment's name that is a command of its own is quoted and stays on its line."""
    command = commands(of_trouble(experiment="18; rm -rf ~\nreboot"))[-1]
    assert "\n" not in command
    assert shlex.split(command)[6] == "18; rm -rf ~ reboot"


def test_nothing_valid_is_said_as_nothing():
    """Where readers have no earlier report, engineers and readers are told so."""
    assert dict(of_trouble(holds="").facts)["Still valid"].startswith("Nothing")
    assert "no earlier report" in dict(alerts.delay(replace(SITUATION, holds=""), DUE, COMPANY).facts)["Still valid"]


@pytest.mark.parametrize(
    ("state", "minutes", "tone"),
    [
        ("at risk", -23, "warn"),
        ("held", -23, "warn"),
        ("held", 1, "stop"),
        ("failed", -23, "stop"),
        ("late", 1, "stop"),
    ],
)
def test_the_tone_is_grave_once_it_failed_or_is_overdue(state, minutes, tone):
    """At risk and held are to be looked at; failed, late and overdue are to be acted on."""
    assert of_trouble(state=state, now=DUE + timedelta(minutes=minutes)).tone == tone


def test_the_subject_tells_state_report_time_and_number():
    """It is what a locked phone shows."""
    assert of_trouble().subject == "Failed: Aggregate profit, Wednesday 15 November 2017, 23 min left [#12]"


def test_escalation_names_those_who_stayed_silent():
    """The next in line learns who did not answer, and gets the same steps."""
    message = alerts.escalation(SITUATION, "on-call secondary", ("Engineer A", "Engineer B"), "engineer_c")
    assert message.headline == (
        "Engineer A and Engineer B did not acknowledge this. The warehouse could not be reached."
    )
    assert message.runbook == SITUATION.runbook
    assert commands(message)[0] == "runner ack 12 --by engineer_c"
    assert "on-call secondary" in message.closing


def test_the_last_reminder_says_that_it_is_the_last():
    """Reminders are counted, and silence after the last is announced."""
    assert "reminder 2 of 3." in alerts.reminder(SITUATION, "on-call primary", 2, 3).closing
    assert "last" not in alerts.reminder(SITUATION, "on-call primary", 2, 3).closing
    assert "the last" in alerts.reminder(SITUATION, "on-call primary", 3, 3).closing


def test_a_hand_off_says_whose_it_was_and_whether_it_was_acknowledged():
    """The new primary knows how it stands."""
    taken = alerts.hand_off(replace(SITUATION, acknowledged_by="Engineer A"), "Engineer A")
    assert "Ask Engineer A how it stands" in taken.closing
    assert "nobody had acknowledged it" in alerts.hand_off(SITUATION, "Engineer A").closing
    assert alerts.hand_off(SITUATION, "Engineer A").headline.startswith("This incident is yours now.")
    assert taken.headline.startswith("Engineer A is at this")


def test_good_news_asks_for_nothing():
    """Recovered and closed have no command and no steps, and are no trouble."""
    for message in (alerts.recovered(SITUATION, "It came."), alerts.closed(SITUATION, "Engineer A", "Holiday.")):
        assert (message.tone, message.commands, message.runbook) == ("good", (), "")
        assert "[#12]" in message.subject


@pytest.mark.parametrize(
    "message",
    [
        lambda s: alerts.trouble(s, "primary", QUARTER),
        lambda s: alerts.escalation(s, "secondary", ("A",)),
        lambda s: alerts.reminder(s, "primary", 1, 3),
        lambda s: alerts.hand_off(s, "A"),
        lambda s: alerts.recovered(s, "It came."),
        lambda s: alerts.closed(s, "A", "So."),
        lambda s: alerts.delay(s, DUE, COMPANY),
        lambda s: alerts.still_late(s, DUE, COMPANY),
        lambda s: alerts.grouped([alerts.trouble(s, "primary", QUARTER)] * 3),
    ],
)
def test_a_drill_says_so_first_in_every_message(message):
    """Its subject begins with the mark and its first line with the words; without a drill neither is there."""
    drill, real = message(replace(SITUATION, drill=True)), message(SITUATION)
    assert drill.subject.startswith("[DRILL] ")
    assert messages.text(drill).startswith("This is a drill. ")
    assert "drill" not in (real.subject + messages.text(real)).lower()


# --- readers ---

PUBLIC = {"title", "period", "period_text", "due_at", "now", "zone", "holds", "drill"}
INTERNAL = sorted({field.name for field in fields(alerts.Situation)} - PUBLIC)


@given(st.fixed_dictionaries({name: st.text(min_size=1) for name in INTERNAL}), st.booleans())
def test_readers_messages_do_not_depend_on_anything_internal(internal, still):
    """Whatever run, error, file, engineer, number, state or command there is, the reader's message is the same."""
    say = alerts.still_late if still else alerts.delay
    assert say(replace(SITUATION, **internal), DUE, COMPANY) == say(SITUATION, DUE, COMPANY)


def test_readers_learn_what_is_late_what_holds_and_when_they_hear_again():
    """In their words, without a command, a link or a page of the runbook."""
    message = alerts.delay(replace(SITUATION, now=DUE), DUE + timedelta(hours=2), COMPANY)
    assert message.headline == "Aggregate profit, Wednesday 15 November 2017, is later than promised."
    assert dict(message.facts) == {
        "Promised": "Thursday 16 November 2017, 09:00 EST",
        "Still valid": "The report for Tuesday 14 November 2017 is valid.",
        "Next word": "By Thursday 16 November 2017, 11:00 EST, or earlier with the report itself.",
    }
    assert message.audience == "readers"
    assert (message.commands, message.links, message.runbook) == ((), (), "")


def test_a_delay_that_is_foreseen_is_not_told_as_past():
    """Before the deadline it will be late."""
    assert "will be later" in alerts.delay(SITUATION, DUE, COMPANY).headline


# --- a flood ---


def flood():
    """Good news, a warning, two grave ones and a drill, in no useful order."""
    return (
        alerts.recovered(SITUATION, "It came."),
        alerts.trouble(
            replace(SITUATION, incident=3, state="at risk", runbook="Wait.", runbook_title="Slow"), "p", QUARTER
        ),
        alerts.trouble(replace(SITUATION, incident=1, drill=True), "p", QUARTER),
        alerts.trouble(replace(SITUATION, incident=4, sentence="The kernel died."), "p", QUARTER),
        alerts.trouble(replace(SITUATION, incident=5), "p", QUARTER),
    )


def test_a_flood_loses_nothing():
    """Each message has its line, and each command, path and section of a runbook is there, once."""
    one = alerts.grouped(flood())
    text = messages.text(one)
    for message in flood():
        assert any(words == f"{message.subject}: {message.headline}" for _, words in one.facts)
        assert set(commands(message)) <= set(commands(one))
        assert {target for _, target in message.links} <= {target for _, target in one.links}
        assert message.runbook in one.runbook
    assert len(commands(one)) == len(set(commands(one)))
    assert text.count("Look whether the database answers.") == 1
    assert text.index("Slow") < text.index("Wait.")


def test_the_gravest_real_trouble_leads_a_flood():
    """The first of the gravest tone is told in full; a drill never goes before real trouble."""
    one = alerts.grouped(flood())
    assert one.subject == f"5 messages, first: {flood()[3].subject}"
    assert one.headline == "5 messages at once. The most urgent: The kernel died."
    assert commands(one)[0] == "runner ack 4 --by NAME"
    assert one.tone == "stop"
    assert set(flood()[3].facts) <= set(one.facts)


def test_a_pager_shows_a_line_for_each_of_a_flood():
    """On a phone, too, every message of the flood is seen."""
    body = messages.short(alerts.grouped(flood()))[1]
    assert [message.subject for message in flood() if message.subject[:60] not in body] == []


def test_a_flood_of_one_is_that_message_and_of_none_an_error():
    """Nothing is wrapped without need."""
    assert alerts.grouped((of_trouble(),)) == of_trouble()
    with pytest.raises(ValueError, match="no messages"):
        alerts.grouped(())


# --- rota, swaps, config, duties, heartbeat ---

SWAP = Swap(
    swap="s7",
    give=Leg("engineer_a", datetime(2017, 11, 6, 14, tzinfo=UTC), datetime(2017, 11, 13, 14, tzinfo=UTC)),
    take=Leg("engineer_c", datetime(2017, 11, 20, 14, tzinfo=UTC), datetime(2017, 11, 27, 14, tzinfo=UTC)),
    offered_by="engineer_a",
    offered_at=datetime(2017, 11, 1, tzinfo=UTC),
    accepted={},
)
TRADE = alerts.Trade(SWAP, NEW_YORK, {"engineer_a": "Engineer A", "engineer_c": "Engineer C"})


def test_a_swap_names_both_spans_and_who_takes_which():
    """Who gives a span is not who takes it."""
    message = alerts.swap_offered(TRADE, "runner swap accept s7 --by engineer_c")
    assert message.headline == "Engineer A offers to swap on-call time with you."
    assert dict(message.facts) == {
        "First": "Engineer C takes Monday 6 November 2017, 09:00 EST to Monday 13 November 2017, 09:00 EST"
        " from Engineer A",
        "In return": "Engineer A takes Monday 20 November 2017, 09:00 EST to Monday 27 November 2017, 09:00 EST"
        " from Engineer C",
        "Swap": "s7",
    }
    assert commands(message) == ["runner swap accept s7 --by engineer_c"]


def test_a_swap_agreed_or_undone_goes_to_both_in_the_same_words():
    """Both are told the whole of it."""
    assert "Engineer A and Engineer C is agreed" in alerts.swap_accepted(TRADE).headline
    assert alerts.swap_undone(TRADE, "Engineer C").headline.startswith("Engineer C has undone")
    assert alerts.swap_accepted(TRADE).facts == alerts.swap_undone(TRADE, "Engineer C").facts


def test_changes_are_told_line_by_line():
    """Each change of the rota or of config is an item, and none is missing."""
    lines = ("You gain Thanksgiving Day.", "You lose 6 November.")
    for message in (alerts.rota_changed("Engineer A", lines), alerts.config_changed(lines)):
        assert [words for _, words in message.facts] == list(lines)
        assert all(f"- {words}" in messages.text(message) for words in lines)


def test_a_duty_is_told_when_due_and_when_overdue():
    """What, when, whose, and how; overdue is grave."""
    task = alerts.Task("Permission audit", DUE, DUE - timedelta(days=1), NEW_YORK, "Engineer D", "1. List the roles.")
    due, over = alerts.duty_open(task), alerts.duty_overdue(replace(task, now=DUE + timedelta(hours=3)))
    assert due.headline == "Permission audit is due, 1 d left."
    assert over.headline == "Permission audit was not done in time: overdue by 3 h."
    assert (due.tone, over.tone) == ("plain", "stop")
    assert "1. List the roles." in messages.text(over)


def test_a_heartbeat_says_when():
    """In UTC, whatever zone the instant came in."""
    assert alerts.heartbeat(DUE.astimezone(NEW_YORK)).headline.endswith("2017-11-16T14:00:00Z.")


def test_every_message_of_the_module_can_be_shown():
    """Each is a Message that has a subject, one line of headline, and all three forms."""
    task = alerts.Task("T", DUE, DUE, NEW_YORK, "A", "")
    every = [
        *flood(),
        alerts.grouped(flood()),
        alerts.heartbeat(DUE),
        alerts.duty_open(task),
        alerts.swap_accepted(TRADE),
    ]
    for message in every:
        assert isinstance(message, Message)
        assert message.subject
        assert "\n" not in message.headline
        assert messages.text(message)
        assert messages.html(message)
        assert messages.short(message)[1]
