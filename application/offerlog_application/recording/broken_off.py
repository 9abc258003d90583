"""Reasons to break off the try of a group; the writer goes on with a part of it."""

from collections.abc import Mapping

from offerlog_application.ports.event_log import HeldStreams, RefusalsLockedError, SliceElsewhereError
from offerlog_application.recording.submission import Submission
from offerlog_domain.errors import OfferlogError


class HeldByOthersError(OfferlogError):
    """Other writers sit on versions that an append wanted; nothing was stored."""

    def __init__(self, streams: HeldStreams) -> None:
        super().__init__(f"{len(streams.held)} visitor-offers are held, {len(streams.unknown)} may be")
        self.streams = streams


class RefusalsWaitError(OfferlogError):
    """The refusal log is locked, and these submissions need it; nothing was stored."""

    def __init__(self, submissions: set[Submission], error: RefusalsLockedError) -> None:
        super().__init__(f"{len(submissions)} submissions need the refusal log")
        self.submissions = submissions
        self.error = error


class OtherSlicesError(OfferlogError):
    """Some submissions concern visitors of slices that this store does not own; nothing was stored."""

    def __init__(self, errors: Mapping[Submission, SliceElsewhereError]) -> None:
        super().__init__(f"{len(errors)} submissions belong to other stores")
        self.errors = errors
