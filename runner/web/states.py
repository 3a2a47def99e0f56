"""Every state that a page shows: its word, its shape and its tone. Colour is never the only sign."""

from __future__ import annotations

from dataclasses import dataclass

#: The shape of a tone, the same in pages, reports and mail.
SHAPES = {"good": "✓", "busy": "●", "warn": "▲", "stop": "■", "held": "◆", "plain": "○", "quiet": "–"}


@dataclass(frozen=True)
class State:
    """A state as it is shown."""

    word: str
    tone: str

    @property
    def shape(self) -> str:
        """The shape beside the word."""
        return SHAPES[self.tone]


_TONES = {
    "good": "met delivered ready pass sent done agreed resolved up ok whole on-time open-duty-done",
    "busy": "under-way running begins trying handing tried-again starting recovering busy",
    "warn": "at-risk warn met-late lapsed interrupted withheld deferred by-hand open sandboxed offered due found",
    "stop": "late failed missed stopped stop not-started refused down overdue given-up found,-overdue",
    "held": "held",
    "plain": "planned owed waits acknowledged",
    "quiet": "withdrawn over undone declined revoked skipped cancelled past",
}
_TONE_OF = {word.replace("-", " "): tone for tone, words in _TONES.items() for word in words.split()}


def state(word: str, tone: str = "") -> State:
    """A state by its word; one that is not known here is shown plainly. A `tone` that is given is taken."""
    return State(word, tone or _TONE_OF.get(word.lower(), "plain"))
