"""The journal: what happened, written with the commit that made it true, and told to observers after it."""

from collections.abc import Callable, Mapping

from auto_loop.domain.config import Json
from auto_loop.domain.event import Event
from auto_loop.domain.job import JobId
from auto_loop.ledger.ledger import Ledger
from auto_loop.loop.parts import Observer


class Journal:
    """The events of one loop."""

    def __init__(
        self, study: str, loop: int, ledger: Ledger, observers: tuple[Observer, ...], clock: Callable[[], float]
    ) -> None:
        self._study = study
        self._loop = loop
        self._ledger = ledger
        self._observers = observers
        self._clock = clock
        self._untold: list[Event] = []

    def write(self, kind: str, job: JobId | None, detail: Mapping[str, Json]) -> None:
        """Write an event into the open transaction; `tell` it when that is durable."""
        event = self._event(kind, job, detail)
        self._ledger.record_event(event)
        self._untold.append(event)

    def forget(self) -> None:
        """Tell nobody of what was written since: its transaction came to nothing."""
        self._untold.clear()

    def tell(self) -> None:
        """Tell observers what was written since the last call."""
        for event in self._untold:
            self.show(event)
        self._untold.clear()

    def say(self, kind: str, job: JobId | None, detail: Mapping[str, Json]) -> None:
        """Tell observers at once of something that is not worth a row."""
        self.show(self._event(kind, job, detail))

    def show(self, event: Event) -> None:
        """Tell observers of `event`."""
        for observer in self._observers:
            observer.on_event(event)

    def _event(self, kind: str, job: JobId | None, detail: Mapping[str, Json]) -> Event:
        return Event(kind=kind, at=self._clock(), study=self._study, loop=self._loop, job=job, detail=detail)
