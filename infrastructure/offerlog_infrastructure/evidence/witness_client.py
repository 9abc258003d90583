"""The operator's side of a witness: sends a checkpoint with its proof, and takes the cosignature."""

import http.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from offerlog_application.evidence.witness import WitnessStatus
from offerlog_application.ports.signing import SignatureCheck
from offerlog_domain.errors import OfferlogError
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.notes import NoteSignature, SignedNote, VerifierKey, read_number
from offerlog_domain.transparency.witness_requests import AddCheckpoint
from offerlog_infrastructure.evidence.signing_keys import check_signature

Prove = Callable[[int], Sequence[bytes]]
"""Returns the proof that the tree of the checkpoint begins with a smaller one, by its number of leaves."""

_LARGEST_ANSWER: Final = 64 << 10
_TRIES: Final = 3
"""Another sender may be faster: the size that the witness knows changes meanwhile."""


class WitnessError(OfferlogError):
    """A witness did not cosign.

    Attributes:
        url: Its address.
    """

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(f"the witness {url} did not cosign: {cause}")
        self.url = url


class WitnessUnreachableError(WitnessError):
    """A witness cannot be reached, or fails; the same call may succeed later."""


class RewrittenLogError(WitnessError):
    """A witness refuses a checkpoint: its tree does not begin with the one that was cosigned before."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    text: str


class WitnessClient:
    """A client of one witness.

    Args:
        url: Where the witness is; `/add-checkpoint` is added.
        key: Its public key, by which its cosignatures are checked.
        check: Checks signatures.
        timeout: Seconds that an answer may take.
    """

    def __init__(
        self, url: str, key: VerifierKey, check: SignatureCheck = check_signature, timeout: float = 10.0
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise WitnessError(url, "an address begins with https:// or http://")
        self._url = url
        self._key = key
        self._check = check
        self._timeout = timeout
        self._opener = build_opener(_NoRedirects)

    @property
    def key(self) -> VerifierKey:
        """The public key of the witness."""
        return self._key

    def cosign(self, signed: SignedCheckpoint, prove: Prove, known: int = 0) -> SignedCheckpoint:
        """Get the cosignature of the witness.

        Args:
            signed: The checkpoint, signed by the log.
            prove: Proves consistency with what the witness knows.
            known: The size that the witness knows, as far as the caller remembers; it corrects a wrong one.

        Returns:
            The checkpoint with the cosignature added, in place of earlier ones of this witness.

        Raises:
            RewrittenLogError: The witness says that the log was rewritten.
            WitnessUnreachableError: The witness cannot be reached, or fails.
            WitnessError: It does not know the log, knows a larger tree, or its answer is false.
        """
        size = signed.checkpoint.size
        for _ in range(_TRIES):
            if known > size:
                raise RewrittenLogError(
                    self._url, f"it has cosigned {known:,} events, and these are {size:,}"
                )
            request = AddCheckpoint(known, tuple(prove(known)), signed)
            reply = self._post(str(request))
            if reply.status == WitnessStatus.COSIGNED:
                return self._take(signed, reply.text)
            if reply.status != WitnessStatus.BEHIND:
                break
            known = self._read_size(reply.text)
        if reply.status == WitnessStatus.INCONSISTENT:
            raise RewrittenLogError(self._url, reply.text)
        if reply.status >= http.client.INTERNAL_SERVER_ERROR or reply.status == WitnessStatus.BEHIND:
            raise WitnessUnreachableError(self._url, f"{reply.status} {reply.text}")
        raise WitnessError(self._url, f"{reply.status} {reply.text}")

    def _take(self, signed: SignedCheckpoint, text: str) -> SignedCheckpoint:
        """Add the cosignatures of this witness; lines of other keys are ignored."""
        try:
            lines = [NoteSignature.parse(line) for line in text.removesuffix("\n").split("\n")]
            note = SignedNote(signed.note.text, tuple(one for one in lines if one.is_by(self._key)))
            time = self._check(SignedCheckpoint(signed.checkpoint, note), self._key)
        except NoteError as error:
            raise WitnessError(self._url, str(error)) from None
        if time is None:
            raise WitnessError(self._url, f"its answer is not signed by {self._key.name}")
        others = tuple(one for one in signed.note.signatures if not one.is_by(self._key))
        return SignedCheckpoint(signed.checkpoint, SignedNote(note.text, (*others, *note.signatures)))

    def _read_size(self, text: str) -> int:
        try:
            return read_number(text.removesuffix("\n"))
        except NoteError:
            raise WitnessError(self._url, f"it does not say which size it knows: {text[:80]!r}") from None

    def _post(self, body: str) -> _Reply:
        request = Request(f"{self._url.rstrip('/')}/add-checkpoint", body.encode(), method="POST")  # noqa: S310 - checked above
        request.add_header("Content-Type", "text/plain; charset=utf-8")
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return _read_reply(answer)
        except HTTPError as error:
            with error:
                return _read_reply(error)
        except (URLError, OSError, http.client.HTTPException) as error:
            raise WitnessUnreachableError(self._url, str(getattr(error, "reason", error))) from None


def _read_reply(answer: http.client.HTTPResponse | HTTPError) -> _Reply:
    text = answer.read(_LARGEST_ANSWER).decode("utf-8", "replace")
    status = answer.status
    return _Reply(0 if status is None else status, text)


class _NoRedirects(HTTPRedirectHandler):
    """A checkpoint goes to the named address alone."""

    def redirect_request(self, *_: object) -> None:
        return None
