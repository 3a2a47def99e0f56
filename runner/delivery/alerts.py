"""Every message that the plan sends, one small function each: this module is the list of them. Pure.

To engineers: trouble, escalation, reminder, hand_off, handed_over, taken_over, recovered, closed; rota_changed,
config_changed; swap_offered, swap_accepted, swap_declined, swap_undone; duty_open, duty_found, duty_overdue, duty_done;
source_down, source_back; can_you_hear; heartbeat.
To readers: delay, still_late, will_not_come. To anybody: grouped; sign_in.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from runner.delivery.messages import TONES, Message
from runner.document.texts import line
from runner.plan.oncall import Leg, Swap

_DRILL = "[DRILL] "
#: Who signs a command, where the addressee's key is not known.
_SOMEBODY = "NAME"


@dataclass(frozen=True)
class Situation:
    """Everything that a message about one incident may say.

    `state` is not started, at risk, late, failed or held; `sentence` says what happened; `promise` is the deadline in
    the words of config. `due_at` and `now` are aware. `holds` is what readers still have that is valid, or nothing.
    `attempts` reads `2 of 3; the next at 09:12`. `command` is how the program is called, quoted for a shell.
    """

    incident: int
    pipeline: str
    title: str
    period: str
    period_text: str
    state: str
    sentence: str
    due_at: datetime
    now: datetime
    zone: ZoneInfo
    promise: str
    readers: str
    holds: str
    run: str = ""
    folder: str = ""
    attempts: str = ""
    runbook_title: str = ""
    runbook: str = ""
    as_of: str = ""
    experiment: str | None = None
    owners: str = ""
    command: str = "runner"
    drill: bool = False
    charts: bool = False  # whether the run left any
    dependents: str = ""  # what rests on this report, and by when that was promised
    held: bool = False  # the run is made and proven, and waits for a person, be it in time or late
    undelivered: bool = False  # the run is made and proven, and does not reach all of its readers
    acknowledged_by: str = ""  # a name
    desk: str = ""  # its address


# --- time in words ---


def span(length: timedelta) -> str:
    """A length of time in its two largest units, cut down to whole minutes: `23 min`, `1 h 5 min`, `2 d 3 h`."""
    minutes = int(length.total_seconds() // 60)
    hours, days = minutes // 60, minutes // 1440
    if minutes < 1:
        return "less than 1 min"
    large = [(days, "d"), (hours % 24, "h")] if days else [(hours, "h"), (minutes % 60, "min")]
    return " ".join(f"{count} {unit}" for count, unit in large if count)


def left(due_at: datetime, now: datetime) -> str:
    """How long is left until a deadline, or how long ago it was."""
    wait = due_at.astimezone(UTC) - now.astimezone(UTC)
    return f"{span(wait)} left" if wait > timedelta(0) else f"overdue by {span(-wait)}" if wait else "due now"


def local(instant: datetime, zone: ZoneInfo) -> str:
    """An instant on the wall, with its zone: `Thursday 16 November 2017, 09:00 EST`."""
    there = instant.astimezone(zone)
    name = there.tzname() or ""
    return f"{there:%A} {there.day} {there:%B %Y, %H:%M} {name if name.isalpha() else f'UTC{name}'}"


# --- trouble, to engineers ---


def trouble(situation: Situation, to: str, acknowledged_within: timedelta, by: str = _SOMEBODY) -> Message:
    """The first word of an incident; `to` is the addressee's role, `by` their key in people.yml."""
    message = _incident(situation, situation.sentence, by)
    silence = f"If nobody acknowledges it within {span(acknowledged_within)}, the next is told."
    if situation.acknowledged_by:
        silence = f"{situation.acknowledged_by} has acknowledged it; nobody else is told."
    return replace(message, closing=f"You get this as {to}. {silence}")


def escalation(situation: Situation, role: str, silent: Sequence[str], by: str = _SOMEBODY) -> Message:
    """The same, to the next in line, because those before stayed silent."""
    names = _and(silent) or "Nobody"
    message = _incident(situation, f"{names} did not acknowledge this. {situation.sentence}", by, "Escalated: ")
    return replace(message, closing=f"You get this as {role}, because {names} did not answer.")


def reminder(situation: Situation, role: str, number: int, of: int, by: str = _SOMEBODY) -> Message:
    """Told again, the `number`-th time of so many, because nobody acknowledged."""
    message = _incident(situation, f"Nobody has acknowledged this yet. {situation.sentence}", by, "Reminder: ")
    last = " It is the last: nobody else will be told." if number >= of else ""
    return replace(message, closing=f"You get this as {role}. This is reminder {number} of {of}.{last}")


def hand_off(situation: Situation, from_name: str, by: str = _SOMEBODY) -> Message:
    """To the new primary, when a shift ends in the middle of an incident."""
    at_it = situation.acknowledged_by
    if at_it:
        message = _incident(
            situation, f"{at_it} is at this, which is open as your shift begins. {situation.sentence}", by
        )
        return replace(
            message, closing=f"You are on call since the hand-off from {from_name}. Ask {at_it} how it stands."
        )
    message = _incident(situation, f"This incident is yours now. {situation.sentence}", by, "Handed to you: ")
    closing = f"You are on call since the hand-off from {from_name}; nobody had acknowledged it."
    return replace(message, closing=closing)


@dataclass(frozen=True)
class Handing:
    """Who handed an incident to whom, and what they said; `answer` is the command to take it with, within a time."""

    by: str
    to: str
    note: str
    within: timedelta = timedelta(0)
    answer: str = ""


def handed_over(message: Message, handing: Handing) -> Message:
    """A message about open trouble, to whoever a colleague hands it to."""
    rest = tuple(pair for pair in message.commands if f" ack {handing.answer.partition(' ack ')[2]}" not in pair[1])
    return replace(
        message,
        subject=_worded(message.subject, "Handed to you: "),
        headline=f"{handing.by} hands this over to you: {_sentence(handing.note)} {message.headline}",
        commands=(("Take it, so that nobody else is woken", handing.answer), *rest),
        closing=f"If you do not take it within {span(handing.within)}, {handing.by} and then the next are told.",
    )


def taken_over(message: Message, handing: Handing) -> Message:
    """To whoever was at it, or waited for an answer: who it is now."""
    said = f" {_sentence(handing.note)}" if handing.note else ""
    what = f"{handing.by} is at it now." if handing.to == handing.by else f"{handing.by} hands it to {handing.to}."
    return replace(
        message,
        subject=_worded(message.subject, "Taken over: "),
        headline=f"{what}{said} {message.headline}",
        runbook_title="",
        runbook="",
        commands=(),
        closing="You get this because you were at it, or waited for an answer. You need not do anything.",
        tone="plain",
    )


def _worded(subject: str, word: str) -> str:
    drill = _DRILL if subject.startswith(_DRILL) else ""
    return f"{drill}{word}{subject.removeprefix(_DRILL)}"


def _sentence(words: str) -> str:
    """What somebody wrote, with an end."""
    words = line(words)
    return words if not words or words[-1] in ".!?…" else f"{words}."


def recovered(situation: Situation, how: str) -> Message:
    """The report is there after all; only for those who were told of the trouble."""
    return _settled(situation, f"{situation.title} has recovered. {how}", "Recovered")


def closed(situation: Situation, by: str, because: str) -> Message:
    """A person closed the incident; only for those who were told of the trouble."""
    return _settled(situation, f"{by} closed this incident. {because}", "Closed")


def _settled(situation: Situation, headline: str, word: str) -> Message:
    due = f"{local(situation.due_at, situation.zone)} (promised {situation.promise})"
    facts = (("Report", _report(situation)), ("Deadline", due), ("Run", situation.run))
    message = Message(
        subject=f"{word}: {_report(situation)} [#{situation.incident}]",
        headline=headline,
        facts=_known(facts),
        closing="You get this because you were told of the trouble. There is nothing left to do.",
        tone="good",
    )
    return _marked(situation, message)


def _incident(situation: Situation, headline: str, by: str, word: str = "") -> Message:
    """What every message about open trouble carries."""
    due = left(situation.due_at, situation.now)
    message = Message(
        subject=f"{word}{situation.state.capitalize()}: {_report(situation)}, {due} [#{situation.incident}]",
        headline=headline,
        facts=_facts(situation),
        runbook_title=situation.runbook_title,
        runbook=situation.runbook,
        commands=tuple(_commands(situation, by)),
        links=tuple(_links(situation)),
        tone="stop" if situation.state in {"late", "failed"} or situation.now >= situation.due_at else "warn",
    )
    return _marked(situation, message)


def _marked(situation: Situation, message: Message) -> Message:
    """A drill says so before anything else."""
    return _drilled_if(message, drill=situation.drill)


def _drilled_if(message: Message, *, drill: bool) -> Message:
    if not drill:
        return message
    return replace(message, subject=_DRILL + message.subject, headline=f"This is a drill. {message.headline}")


def _report(situation: Situation) -> str:
    return f"{situation.title}, {situation.period_text or situation.period}"


def _deadline(situation: Situation) -> str:
    due = f"{local(situation.due_at, situation.zone)}, {left(situation.due_at, situation.now)}"
    return f"{due} (promised {situation.promise})" if situation.promise else due


def _facts(situation: Situation) -> tuple[tuple[str, str], ...]:
    return _known(
        (
            ("Deadline", _deadline(situation)),
            ("Report", f"{_report(situation)}, for {_readers(situation)}"),
            ("Rests on it", situation.dependents),
            ("Still valid", situation.holds or "Nothing: readers have no report of this kind yet."),
            ("Attempts", situation.attempts),
            ("Run", situation.run),
            ("Owners", situation.owners),
        )
    )


def _known(facts: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((label, words) for label, words in facts if words.strip())


def _commands(situation: Situation, by: str) -> Iterable[tuple[str, str]]:
    """What can be typed at three in the morning, as it stands. The run, its day and the names are quoted."""
    who, run, command = _quoted(by), _quoted(situation.run), situation.command
    if not situation.acknowledged_by:
        yield "Acknowledge, so that nobody else is woken", f"{command} ack {situation.incident} --by {who}"
    if situation.run:
        yield "Look at what happened", f"{command} logs {run}"
    if situation.run and situation.held:
        yield "Approve, if the figures are right", f'{command} approve {run} --by {who} --because "REASON"'
        yield "Reject, if they are not", f'{command} reject {run} --by {who} --because "REASON"'
    if situation.run and situation.undelivered:  # made anew it would be no nearer to its readers
        yield "Send it to those who still wait, once the cause is gone", f"{command} deliver {run}"
    elif situation.as_of:
        experiment = f" --experiment {_quoted(situation.experiment)}" if situation.experiment else ""
        wanted = f"{_quoted(situation.pipeline)} --as-of {_quoted(situation.as_of)}{experiment}"
        yield "Try again, once the cause is gone", f"{command} run {wanted} --again"


def _readers(situation: Situation) -> str:
    return f"the {situation.readers}" if situation.readers else "its readers"


def _quoted(word: str) -> str:
    return shlex.quote(line(word))


def _at_desk(about: Situation | Outage) -> Iterable[tuple[str, str]]:
    """The incident's page, where there is a desk that others than its own machine can reach."""
    if about.desk:
        yield "Acknowledge, read on and act at the desk", f"{about.desk}/incidents/{about.incident}"


def _links(situation: Situation) -> Iterable[tuple[str, str]]:
    """The desk, and the run's files. Only of a held or undelivered report is a PDF proven; of others at most charts."""
    yield from _at_desk(situation)
    if not situation.folder:
        return
    proven = situation.held or situation.undelivered
    notebook = "Notebook" if proven else "Notebook as far as it ran"
    yield f"{notebook}, and everything else of the run", situation.folder
    to = f"to {_readers(situation)}"
    if proven:
        unless = "approving" if situation.held else "sending"
        yield (
            f"Deliver by hand, if {unless} fails and an owner agrees: this PDF {to}",
            f"{situation.folder}/{situation.pipeline}.pdf",
        )
    if situation.charts and not situation.undelivered:
        yield f"Deliver by hand: what you have checked of these charts, {to}", f"{situation.folder}/charts"


# --- to readers: in their words, from these fields of a situation and no other ---


def delay(situation: Situation, next_word: datetime | None, company: str) -> Message:
    """To a late report's readers, once. It says nothing that is not theirs: no run, error, file, engineer or number."""
    verb = "is" if situation.now >= situation.due_at else "will be"
    return _reader(situation, f"{_report(situation)}, {verb} later than promised.", "Delayed", next_word, company)


def still_late(situation: Situation, next_word: datetime | None, company: str) -> Message:
    """The next word to the same readers, when the one before promised it."""
    return _reader(situation, f"{_report(situation)}, is not ready yet.", "Still delayed", next_word, company)


def _reader(situation: Situation, headline: str, word: str, next_word: datetime | None, company: str) -> Message:
    zone = situation.zone
    facts = (
        ("Promised", local(situation.due_at, zone)),
        ("Still valid", situation.holds or "There is no earlier report of this kind."),
        ("Next word", _next_word(next_word, zone)),
    )
    message = Message(
        subject=f"{word}: {_report(situation)}",
        headline=headline,
        audience="readers",
        facts=facts,
        closing=f"{company} sends the report as soon as it is complete and checked. You need not do anything.",
    )
    return _marked(situation, message)


def _next_word(at: datetime | None, zone: ZoneInfo) -> str:
    return f"By {local(at, zone)}, or earlier with the report itself." if at else "With the report itself."


def will_not_come(situation: Situation, company: str) -> Message:
    """To readers who were told of a delay, when the report was given up: nobody waits for ever."""
    facts = (
        ("Promised", local(situation.due_at, situation.zone)),
        ("Still valid", situation.holds or "There is no earlier report of this kind."),
    )
    message = Message(
        subject=f"Will not come: {_report(situation)}",
        headline=f"{_report(situation)}, will not be delivered any more. The next one comes at its usual time.",
        audience="readers",
        facts=facts,
        closing=f"You need not do anything. {company}",
    )
    return _marked(situation, message)


# --- a flood ---


def grouped(messages: Sequence[Message]) -> Message:
    """Several messages for one person as one: a line each, the most urgent in full, and every first step and command.

    The most urgent is the first of the gravest tone; real trouble goes before a drill. Raises ValueError on none.
    """
    if not messages:
        raise ValueError("no messages to group")
    if len(messages) == 1:
        return messages[0]
    first, *others = sorted(messages, key=_urgency)
    lines = tuple(("", f"{message.subject}: {message.headline}") for message in (first, *others))
    return Message(
        subject=f"{_drill(first)}{len(messages)} messages, first: {first.subject.removeprefix(_DRILL)}",
        headline=f"{_drilled(first)}{len(messages)} messages at once. The most urgent: {_undrilled(first.headline)}",
        audience="readers" if all(message.audience == "readers" for message in messages) else "engineers",
        facts=(*lines, *first.facts),
        runbook_title=first.runbook_title,
        runbook="\n\n".join(_sections((first, *others))).strip(),
        commands=_once(pair for message in (first, *others) for pair in _told_apart(message)),
        links=_once(pair for message in (first, *others) for pair in message.links),
        closing=first.closing,
        tone=first.tone,
    )


def _urgency(message: Message) -> tuple[bool, int]:
    return message.subject.startswith(_DRILL), list(TONES).index(message.tone) if message.tone in TONES else len(TONES)


def _drill(message: Message) -> str:
    return _DRILL if message.subject.startswith(_DRILL) else ""


def _drilled(message: Message) -> str:
    return "This is a drill. " if _drill(message) else ""


def _undrilled(headline: str) -> str:
    return headline.removeprefix("This is a drill. ")


def _sections(messages: Sequence[Message]) -> Iterable[str]:
    """Each first-steps section once: that of the first message as it stands, the others below their titles."""
    sections = {message.runbook.strip(): line(message.runbook_title) for message in reversed(messages)}
    first = messages[0].runbook.strip()
    yield first
    for section, title in reversed(sections.items()):
        if section not in {"", first}:
            yield f"### {title}\n\n{section}" if title else section


def _told_apart(message: Message) -> Iterable[tuple[str, str]]:
    """A message's commands, each with what it is about: among those of others, `Acknowledge` says too little."""
    return ((f"{what} ({message.subject})", command) for what, command in message.commands)


def _once(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Each second half once, in order: one command, one path."""
    seen: dict[str, str] = {}
    for words, target in pairs:
        seen.setdefault(target, words)
    return tuple((words, target) for target, words in seen.items())


# --- the rota, its swaps, and config ---


@dataclass(frozen=True)
class Trade:
    """A swap as its two people read it: in the zone of the rota, with names for the keys of people.yml.

    `desk` is the address of the desk, where there is one that others can reach.
    """

    swap: Swap
    zone: ZoneInfo
    names: Mapping[str, str]
    desk: str = ""

    def name(self, who: str) -> str:
        """The name of a key."""
        return self.names.get(who, who)

    def leg(self, leg: Leg, takes: str) -> str:
        """One half: who takes which span over from whom."""
        return f"{self.name(takes)} takes {_between(leg, self.zone)} from {self.name(leg.who)}"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Both halves."""
        give, take = self.swap.give, self.swap.take
        return (("First", self.leg(give, take.who)), ("In return", self.leg(take, give.who)), ("Swap", self.swap.swap))

    def links(self, words: str) -> tuple[tuple[str, str], ...]:
        """The swap's page at the desk."""
        return ((words, f"{self.desk.rstrip('/')}/rota/swaps/{self.swap.swap}"),) if self.desk else ()


def _between(leg: Leg, zone: ZoneInfo) -> str:
    return f"{local(leg.start, zone)} to {local(leg.end, zone)}"


def swap_offered(trade: Trade, accept: str, decline: str = "") -> Message:
    """To the one who is asked; `accept` and `decline` are the whole commands."""
    name = trade.name(trade.swap.offered_by)
    answers = (("Accept", accept), ("Decline, or do nothing", decline))
    return Message(
        subject=f"{name} offers you a swap",
        headline=f"{name} offers to swap on-call time with you.",
        facts=trade.facts,
        commands=tuple((what, command) for what, command in answers if command),
        links=trade.links("Answer at the desk"),
        closing="Nothing changes until you both have accepted.",
    )


def swap_accepted(trade: Trade) -> Message:
    """To both: it stands."""
    names = _and((trade.name(trade.swap.give.who), trade.name(trade.swap.take.who)))
    return Message(
        subject=f"Swap agreed: {names}",
        headline=f"The swap between {names} is agreed, and the rota has changed.",
        facts=trade.facts,
        links=trade.links("See it at the desk"),
        closing="Both halves hold, or neither. It can be undone until the first of them starts.",
        tone="good",
    )


def swap_declined(trade: Trade, by: str) -> Message:
    """To the others of an offer: there will be no swap; `by` is the name of the one who declined."""
    return Message(
        subject=f"Swap declined by {by}",
        headline=f"{by} has declined this swap. The rota stays as it is.",
        facts=trade.facts,
        links=trade.links("See it at the desk"),
        closing="Nothing has changed.",
        tone="warn",
    )


def swap_undone(trade: Trade, by: str) -> Message:
    """To both: it no longer stands; `by` is the name of the one who undid it."""
    return Message(
        subject=f"Swap undone by {by}",
        headline=f"{by} has undone this swap. The rota is as it was before.",
        facts=trade.facts,
        links=trade.links("See it at the desk"),
        closing="Both halves are undone together.",
        tone="warn",
    )


def rota_changed(person: str, lines: Sequence[str]) -> Message:
    """To one whose duty an edit of the rota touches; `person` is their name, each line one change."""
    return Message(
        subject="Your on-call time has changed",
        headline=f"{person}, a change of the rota touches you.",
        facts=_bullets(lines),
        closing="You get this because you gain or lose on-call time. What has passed is not changed.",
        tone="warn",
    )


def config_changed(lines: Sequence[str]) -> Message:
    """To those whom an edit of config/ touches: each line one change."""
    return Message(
        subject="The pipelines' configuration has changed",
        headline="A change of config/ is in force and touches what you own or answer for.",
        facts=_bullets(lines),
        closing="You get this because the change names you, or a pipeline of yours.",
    )


def _bullets(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple(("", words) for words in lines)


# --- duties ---


@dataclass(frozen=True)
class Task:
    """A recurring duty that is due: what, when, whose. `how` is markdown; `commands` as in a Message."""

    title: str
    due_at: datetime
    now: datetime
    zone: ZoneInfo
    owner: str
    how: str
    commands: tuple[tuple[str, str], ...] = ()


def duty_open(task: Task) -> Message:
    """To the owner, when a duty can be done."""
    return _duty(task, "Duty", f"{task.title} is due, {left(task.due_at, task.now)}.", "plain")


@dataclass(frozen=True)
class Found:
    """What the software found when it did a duty: a line each, where it is kept, and the runbook's section for it."""

    lines: tuple[str, ...]
    folder: str
    runbook_title: str
    runbook: str
    is_grave: bool = False  # something will break, or is broken


def duty_found(task: Task, found: Found) -> Message:
    """To the owner, when the software did a duty and found what a person must look at."""
    count = len(found.lines)
    return Message(
        subject=f"Found: {task.title}, {count} {'thing' if count == 1 else 'things'} to look at",
        headline=f"{task.title} found what somebody must look at.",
        facts=(*_bullets(found.lines), ("Answer by", local(task.due_at, task.zone)), ("Owner", task.owner)),
        runbook_title=found.runbook_title,
        runbook=found.runbook,
        commands=task.commands,
        links=(("Everything that was seen", found.folder),),
        closing=f"You get this because of a duty of {task.owner}. It is open until somebody says what was done.",
        tone="stop" if found.is_grave else "warn",
    )


def duty_overdue(task: Task) -> Message:
    """To the owner and whoever is on call, when it was not done in time."""
    headline = f"{task.title} was not done in time: {left(task.due_at, task.now)}."
    return _duty(task, "Duty overdue", headline, "stop")


def duty_done(task: Task, by: str) -> Message:
    """To those who were told that it was overdue."""
    return Message(
        subject=f"Done: {task.title}",
        headline=f"{task.title} was done by {by}.",
        facts=(("Due", local(task.due_at, task.zone)),),
        closing="You get this because you were told that it was overdue. There is nothing left to do.",
        tone="good",
    )


def _duty(task: Task, word: str, headline: str, tone: str) -> Message:
    return Message(
        subject=f"{word}: {task.title}, {left(task.due_at, task.now)}",
        headline=headline,
        facts=(("Due", local(task.due_at, task.zone)), ("Owner", task.owner)),
        runbook_title=task.title,
        runbook=task.how,
        commands=task.commands,
        closing=f"You get this because of a duty of {task.owner}. It is open until its evidence is recorded.",
        tone=tone,
    )


# --- sources ---


@dataclass(frozen=True)
class Outage:
    """A source that does not serve us, or did not: `instead` are the sources behind it, `reports` what rests on it.

    `trouble` is what is wrong, in a word or two; `silent` are the names of those who did not answer.
    """

    incident: int
    source: str
    title: str
    sentence: str
    trouble: str
    since: datetime
    now: datetime
    zone: ZoneInfo
    reports: str
    instead: str
    runbook_title: str
    runbook: str
    command: str = "runner"
    drill: bool = False
    acknowledged_by: str = ""
    silent: tuple[str, ...] = ()
    desk: str = ""


def source_down(outage: Outage, role: str, by: str = _SOMEBODY, word: str = "") -> Message:
    """To engineers, while a source does not serve us; again with `word`, or to the next where somebody is silent."""
    first = f"{_and(outage.silent)} did not acknowledge this. " if outage.silent else ""
    who, command = _quoted(by), outage.command
    acknowledge = ("Acknowledge, so that nobody else is woken", f"{command} ack {outage.incident} --by {who}")
    at_it = outage.acknowledged_by
    message = Message(
        subject=f"{'Escalated: ' if outage.silent else word}{_outage(outage)} [#{outage.incident}]",
        headline=f"{first}{outage.sentence}",
        facts=_known(
            (
                ("Source", f"{outage.title} ({outage.source})"),
                ("Since", f"{local(outage.since, outage.zone)}, {span(outage.now - outage.since)} ago"),
                ("Serves instead", outage.instead or "Nothing: no other source has its tables."),
                ("Rests on it", outage.reports),
            )
        ),
        runbook_title=outage.runbook_title,
        runbook=outage.runbook,
        commands=(*(() if at_it else (acknowledge,)), ("Ask it again", f"{command} probe {_quoted(outage.source)}")),
        links=tuple(_at_desk(outage)),
        closing=f"You get this as {role}. {f'{at_it} is at it.' if at_it else 'It closes when it answers.'}",
        tone="stop",
    )
    return _drilled_if(message, drill=outage.drill)


def _outage(outage: Outage) -> str:
    return f"{outage.trouble.capitalize()}: {outage.title}"


def source_back(outage: Outage) -> Message:
    """To those who were told that it was down."""
    message = Message(
        subject=f"Recovered: {outage.title} [#{outage.incident}]",
        headline=outage.sentence,
        facts=(("Was down", f"since {local(outage.since, outage.zone)}, for {span(outage.now - outage.since)}"),),
        closing="You get this because you were told that it was down. There is nothing left to do.",
        tone="good",
    )
    return _drilled_if(message, drill=outage.drill)


# --- drills ---


def can_you_hear(name: str, told: str) -> Message:
    """To engineers who are not on call in a drill: it proves that they can be reached."""
    return Message(
        subject=f"{_DRILL}Nothing to do: can you be reached?",
        headline="This is a drill. You are not on call; this proves that we can reach you.",
        facts=(("Drill", name), ("Told first", told)),
        closing="You get this because a drill reaches every engineer on every channel. There is nothing to do.",
    )


# --- the desk ---


def sign_in(company: str, address: str, ends_at: datetime, zone: ZoneInfo) -> Message:
    """To whoever wants to sign in at the desk, with the address that signs them in."""
    return Message(
        subject=f"Your link to {company}",
        headline=f"Here is your link to sign in to {company}.",
        audience="readers",
        facts=(("Good until", f"{local(ends_at, zone)}, once"),),
        links=((f"Sign in to {company}", address),),
        closing="You get this because somebody asked for it with your address. If it was not you, you need not do "
        "anything: without this mail nobody comes in. Do not pass it on.",
    )


# --- the sign of life ---


def heartbeat(now: datetime) -> Message:
    """What `runner watch` waits for: it goes the whole way that a message about trouble goes."""
    at = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Message(subject="Heartbeat", headline=f"The reporting pipeline was alive at {at}.")


def _and(names: Sequence[str]) -> str:
    *most, last = names or ("",)
    return f"{', '.join(most)} and {last}" if most else last
