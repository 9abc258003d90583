"""The errors of wrong arguments."""

import copy
import pickle

from offerlog_domain.errors import ArgumentError, OfferlogError


def test_an_error_of_an_argument_says_what_is_wrong_and_with_which() -> None:
    """Whoever catches `ValueError` gets it too; it passes between processes."""
    error = ArgumentError("limit", "at least 1")
    for one in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
        assert (str(one), one.argument) == ("at least 1", "limit")
    assert isinstance(error, OfferlogError)
    assert isinstance(error, ValueError)
