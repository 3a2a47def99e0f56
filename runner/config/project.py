"""A project: a folder whose config/ was read and found to be in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from runner.config.ends import Sources
from runner.config.files import Duty, Experiments, Holidays, OnCall, People, Person, Pipeline, Settings
from runner.config.names import known
from runner.errors import UsageError
from runner.leaks import WATCH, Censor


@dataclass(frozen=True)
class Project:
    """A folder with `config/` and `notebooks/`, read and found to be in order."""

    folder: Path
    settings: Settings
    people: People
    pipelines: Mapping[str, Pipeline]
    sources: Sources = field(default_factory=Sources)
    holidays: Holidays = field(default_factory=Holidays)
    experiments: Experiments = field(default_factory=Experiments)
    oncall: OnCall | None = None
    duties: Mapping[str, Duty] = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)  # file name -> markdown
    censor: Censor = field(default_factory=Censor, compare=False, repr=False)  # whoever loads it knows the environment

    @property
    def reports(self) -> Path:
        """Where finished reports lie: reports/<pipeline>/<period>/<run>/."""
        return self.folder / "reports"

    @property
    def maildir(self) -> Path:
        """Where finished messages lie."""
        return self.folder / self.settings.maildir

    @property
    def ledger(self) -> str:
        """The ledger's database address."""
        text = self.settings.ledger
        return text if "://" in text else f"sqlite:///{self.folder / text}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets of the project, such as `env:TILLS_TOKEN`."""
        heart = self.settings.heartbeat
        channels = [channel for engineer in self.people.engineers.values() for channel in engineer.channels]
        named = [*channels, *([heart.channel] if heart else []), *self.settings.mail.secrets]
        named += [*self.settings.desk.secrets, *self.sources.secrets]
        return tuple(dict.fromkeys(name for name in named if name.startswith("env:")))

    @property
    def hidden(self) -> tuple[str, ...]:
        """The names of the secrets that nothing may show. A login's user is none: often it is the sender's address."""
        return tuple(name for name in (*self.secrets, WATCH) if name != self.settings.mail.user)

    @property
    def written(self) -> Mapping[str, str]:
        """Secrets that stand in config/ itself: the address of a ledger with a password in it."""
        place = self.settings.ledger
        return {"settings.ledger": place} if "://" in place and "@" in place else {}

    @property
    def templates(self) -> tuple[Path, ...]:
        """The project's own folder of templates, if it has one; it comes before those shipped."""
        own = self.folder / "templates"
        return (own,) if own.is_dir() else ()

    def notebook(self, pipeline: Pipeline) -> Path:
        """The notebook of a pipeline."""
        return self.folder / "notebooks" / pipeline.notebook

    def readers(self, pipeline: Pipeline) -> tuple[Person, ...]:
        """Everyone on the pipeline's lists, each address once."""
        people = (person for name in pipeline.readers for person in self.people.readers[name])
        return tuple({person.email.lower(): person for person in people}.values())

    def name_of(self, who: str | None) -> str:
        """An engineer's name for people; the key of one who is no longer in people.yml; nothing of nobody."""
        engineer = self.people.engineers.get(who or "")
        return engineer.name if engineer else who or ""

    def resting_on(self, name: str) -> tuple[Pipeline, ...]:
        """The pipelines that have this one as an input, as written."""
        return self._resting.get(name, ())

    @cached_property
    def _resting(self) -> Mapping[str, tuple[Pipeline, ...]]:
        found: dict[str, tuple[Pipeline, ...]] = {}
        for pipeline in self.pipelines.values():
            for name in dict.fromkeys(pipeline.inputs):
                found[name] = (*found.get(name, ()), pipeline)
        return found

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of this name. Raises UsageError with the nearest name."""
        if name not in self.pipelines:
            raise UsageError(f"No pipeline is called {name!r}.", known(name, self.pipelines))
        return self.pipelines[name]

    def in_order(self) -> tuple[Pipeline, ...]:
        """All pipelines, inputs first, otherwise as written."""
        done: dict[str, Pipeline] = {}

        def place(pipeline: Pipeline) -> None:
            for name in pipeline.inputs:
                place(self.pipelines[name])
            done.setdefault(pipeline.name, pipeline)

        for pipeline in self.pipelines.values():
            place(pipeline)
        return tuple(done.values())
