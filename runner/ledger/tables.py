"""Every table of the ledger. They are all here, so that whoever opens a ledger knows them all."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

meta = sa.MetaData()
schema_version = sa.Table("schema_version", meta, sa.Column("version", sa.Integer, primary_key=True))


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware instant in UTC, kept as text so that every database gives back the very same."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Refuse an instant without a zone; it would be a guess."""
        if value is not None and value.tzinfo is None:
            raise ValueError("An instant needs its time zone.")
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Give back the aware instant."""
        return None if value is None else datetime.fromisoformat(value)


runs = sa.Table(
    "runs",
    meta,
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("pipeline", sa.String(64), nullable=False),
    sa.Column("period", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("decision", sa.String(16)),
    sa.Column("version", sa.Integer),
    sa.Column("inputs", sa.String(64), nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("trouble", sa.String(32)),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("folder", sa.Text),
    sa.Column("process", sa.JSON, nullable=False),
    sa.Column("kernel", sa.String),  # how its kernel began
    sa.Index("runs_by_period", "pipeline", "period", "started_at"),
    sa.Index("runs_by_status", "status"),
    sa.Index("runs_by_outcome", "pipeline", "status", "started_at"),
    sa.Index("runs_by_time", "pipeline", "started_at"),
)

leases = sa.Table(
    "leases",
    meta,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("until", Instant, nullable=False),
)

claims = sa.Table(
    "claims",
    meta,
    sa.Column("pipeline", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(64), primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.run"), nullable=False),
)

findings = sa.Table(
    "findings",
    meta,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("check", sa.Text, nullable=False),
    sa.Column("level", sa.String(8), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("trouble", sa.String(32)),
    sa.Column("numbers", sa.JSON, nullable=False),
)

figures = sa.Table(
    "figures",
    meta,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),  # int, float or str: which of the next three holds the value
    sa.Column("whole", sa.BigInteger),
    sa.Column("number", sa.Double),
    sa.Column("words", sa.Text),
    sa.Column("unit", sa.String(32), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("rest", sa.JSON, nullable=False),  # label, prior, change, tone and note, as they were shown
)

artifacts = sa.Table(
    "artifacts",
    meta,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("path", sa.String(255), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    meta,
    sa.Column("pipeline", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("recipient", sa.String(255), primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.run"), nullable=False),
    sa.Column("message_id", sa.String(255), nullable=False),
    sa.Column("sent_at", Instant),  # when the server took it, or it lay in the maildir
    sa.Column("state", sa.String(16), nullable=False, server_default="owed"),  # see `runner.ledger.deliveries`
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try_at", Instant),
    sa.Column("holder", sa.String(64)),
    sa.Column("lease_until", Instant),
    sa.Column("error", sa.Text),
)

records = sa.Table(
    "records",
    meta,
    sa.Column("pipeline", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("run", sa.ForeignKey("runs.run"), nullable=False),
    sa.Column("values", sa.JSON, nullable=False),
)

deadlines = sa.Table(
    "deadlines",
    meta,
    sa.Column("pipeline", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(64), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("as_of", sa.String(10), nullable=False),
    sa.Column("experiment", sa.String(64)),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ready_at", Instant, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_try_at", Instant),
    sa.Column("holder", sa.String(64)),
    sa.Column("held_since", Instant),
    sa.Column("lease_until", Instant),
    sa.Column("outcome", sa.String(16), nullable=False, default=""),
    sa.Column("trouble", sa.String(32)),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("run", sa.String(64)),
    sa.Index("deadlines_by_state", "state", "starts_at"),
    sa.Index("deadlines_by_due", "due_at"),
    sa.Index("deadlines_ended", "pipeline", "state", "ended_at"),
    sa.Index("deadlines_of_pipeline", "pipeline", "due_at"),
)

incidents = sa.Table(
    "incidents",
    meta,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("pipeline", sa.String(64), nullable=False),
    sa.Column("period", sa.String(64), nullable=False),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("closed_at", Instant),
    sa.Column("rest", sa.JSON, nullable=False),  # the incident whole, as `Incident.as_dict` describes it
    sa.Column("version", sa.Integer, nullable=False, default=1),
    sa.Index("incidents_by_key", "pipeline", "period"),
    sa.Index("incidents_by_time", "opened_at"),
)

events = sa.Table(
    "incident_events",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("number", sa.ForeignKey("incidents.number"), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("incident_events_by_number", "number"),
)

outbox = sa.Table(
    "outbox",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(255), nullable=False, unique=True),
    sa.Column("incident", sa.Integer),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("person", sa.String(255), nullable=False),  # an engineer's key, or a reader's address
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("channel", sa.String(128), nullable=False),
    sa.Column("message", sa.JSON, nullable=False),
    sa.Column("message_id", sa.String(255), nullable=False),
    sa.Column("owed_at", Instant, nullable=False),
    sa.Column("next_try_at", Instant),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("holder", sa.String(64)),
    sa.Column("lease_until", Instant),
    sa.Column("sent_at", Instant),
    sa.Column("given_up_at", Instant),
    sa.Column("error", sa.Text),
    sa.Column("bundle", sa.String(255)),
    sa.Index("outbox_owed", "next_try_at"),
    sa.Index("outbox_by_incident", "incident"),
    sa.Index("outbox_by_person", "person", "sent_at"),
    sa.Index("outbox_given_up", "given_up_at"),
    sa.Index("outbox_by_kind", "kind", "owed_at"),
)

shifts = sa.Table(
    "shifts",
    meta,
    sa.Column("start", Instant, primary_key=True),
    sa.Column("end", Instant, nullable=False),
    sa.Column("primary", sa.String(64), nullable=False),
    sa.Column("secondary", sa.String(64)),
    sa.Column("because", sa.JSON, nullable=False),
    sa.Index("shifts_by_end", "end"),
)

rules = sa.Table(
    "rota_rules",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("since", Instant, nullable=False),
    sa.Column("rules", sa.Text, nullable=False),  # config/oncall.yml as JSON
)

swaps = sa.Table(
    "swaps",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("rest", sa.JSON, nullable=False),
)

duties = sa.Table(
    "duties",
    meta,
    sa.Column("duty", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(64), primary_key=True),
    sa.Column("opens_at", Instant, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("done_at", Instant),
    sa.Column("done_by", sa.String(255)),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Index("duties_by_due", "due_at"),
)

acts = sa.Table(
    "acts",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("who", sa.String(255), nullable=False),
    sa.Column("what", sa.String(64), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Index("acts_by_time", "at"),
)

probes = sa.Table(
    "probes",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("trouble", sa.String(32)),  # none: it answered
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("by", sa.String(64), nullable=False, server_default="probe"),  # or the name of the run that asked it
    sa.Index("probes_by_source", "source", "at"),
)

loads = sa.Table(
    "loads",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("run", sa.String(64), nullable=False, server_default=""),
    sa.Column("table", sa.String(64), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),  # the one that served it
    sa.Column("first_day", sa.String(10)),
    sa.Column("last_day", sa.String(10)),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("rest", sa.JSON, nullable=False),  # sources that were asked before and why they did not serve, and more
    sa.Index("loads_by_table", "table", "at"),
)

fingerprints = sa.Table(
    "fingerprints",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("run", sa.String(64), nullable=False, server_default=""),
    sa.Column("table", sa.String(64), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Index("fingerprints_by_table", "table", "source", "at"),
)

marks = sa.Table(
    "marks",
    meta,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("at", Instant),
    sa.Column("text", sa.Text),
)

cancellations = sa.Table(
    "cancellations",
    meta,
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("who", sa.String(255), nullable=False),
    sa.Column("because", sa.Text, nullable=False),
)

links = sa.Table(
    "sign_in_links",
    meta,
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256 of the secret: the secret itself is kept nowhere
    sa.Column("who", sa.String(255), nullable=False),  # an address, in small letters
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("used_at", Instant),
    sa.Index("sign_in_links_by_who", "who", "made_at"),
)

sessions = sa.Table(
    "sessions",
    meta,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("who", sa.String(255), nullable=False),
    sa.Column("how", sa.String(16), nullable=False),  # link, open id
    sa.Column("began_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("notice", sa.JSON),  # what the next page says: (tone, text)
    sa.Index("sessions_by_end", "ends_at"),
    sa.Index("sessions_by_who", "who"),
)

tokens = sa.Table(
    "tokens",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("who", sa.String(255), nullable=False),  # who made it, or whose calendar it opens
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("ends_at", Instant),
    sa.Column("used_at", Instant),
    sa.Column("revoked_at", Instant),
)

arrivals = sa.Table(
    "arrivals",
    meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("source", sa.String(255), nullable=False),  # of sources.yml, `warehouse`, or a file of a pipeline
    sa.Column("day", sa.String(10), nullable=False),  # whole up to and with this day
    sa.Column("at", Instant, nullable=False),
    sa.Column("who", sa.String(255), nullable=False),  # the token that said so
    sa.Index("arrivals_by_source", "source", "day"),
)


#: Indexes over the few rows that count of a table with a long past. As text, which every database understands: said as
#: an index with a condition, SQLAlchemy imports all that it knows of PostgreSQL.
PARTIAL = (
    "CREATE UNIQUE INDEX IF NOT EXISTS incidents_open ON incidents (pipeline, period) WHERE closed_at IS NULL",
    "CREATE INDEX IF NOT EXISTS incidents_closed ON incidents (closed_at) WHERE closed_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS deadlines_held ON deadlines (holder, lease_until) WHERE holder IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS deliveries_open ON deliveries (pipeline, period) WHERE sent_at IS NULL",
    "CREATE INDEX IF NOT EXISTS acts_drills ON acts (at) WHERE what = 'drill'",
    "CREATE INDEX IF NOT EXISTS duties_open ON duties (due_at, opens_at) WHERE done_at IS NULL",
    "CREATE INDEX IF NOT EXISTS deliveries_by_run ON deliveries (run)",
    "CREATE INDEX IF NOT EXISTS deliveries_by_reader ON deliveries (lower(recipient), sent_at)",
    "CREATE INDEX IF NOT EXISTS deliveries_by_reader_of ON deliveries (lower(recipient), pipeline, sent_at)",
)
for _text in PARTIAL:
    _table = meta.tables[_text.partition(" ON ")[2].partition(" ")[0]]
    sa.event.listen(_table, "after_create", sa.DDL(_text))  # type: ignore[no-untyped-call]
