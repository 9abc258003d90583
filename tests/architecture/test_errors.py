"""Every error of offerlog hangs on one root, and its docstring names it."""

import importlib
import inspect
import pickle
import pkgutil
import re
from collections.abc import Iterator

import pytest

import offerlog_application
import offerlog_domain
import offerlog_infrastructure
from offerlog import open_offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.projections import UnknownProjectionError
from offerlog_application.ports.read_models import TooManySuppressionsError
from offerlog_application.reading.performance_report import ReportTooLargeError
from offerlog_domain.errors import ArgumentError, ArgumentTypeError, OfferlogError

ELSEWHERE = {"offerlog_infrastructure.observability.tracing", "offerlog_infrastructure.cli.__main__"}
"""Modules that need an extra package."""

INTERNAL = {"TableLockedError"}
"""Errors that never reach a caller: an adapter raises them to itself, under a class of the driver's."""


def errors() -> Iterator[type[BaseException]]:
    """Every exception class that a module of the three packages defines."""
    for package in (offerlog_domain, offerlog_application, offerlog_infrastructure):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name in ELSEWHERE or module.name.endswith("traced_requests"):
                continue
            for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if found.__module__ == module.name and issubclass(found, BaseException):
                    yield found


def test_every_error_hangs_on_the_root() -> None:
    """And its name ends in Error, so that nobody takes it for a value."""
    found = list(errors())
    assert len(found) > 40
    for one in found:
        assert one.__name__.endswith("Error"), one
        assert issubclass(one, OfferlogError) or one.__name__ in INTERNAL, one


def test_the_root_names_every_error_of_the_inner_layers() -> None:
    """Whoever reads its docstring knows what may be caught; `EmbeddedError` stands for its subclasses."""
    docstring = inspect.getdoc(OfferlogError) or ""
    for one in errors():
        if not one.__name__.startswith("_") and not one.__module__.startswith("offerlog_infrastructure"):
            assert one.__name__ in docstring or one is OfferlogError, one


def test_the_root_names_the_place_of_every_error() -> None:
    """The names stand before their place, on as many lines as they need."""
    tree = (inspect.getdoc(OfferlogError) or "").partition("::")[2].partition("An error that")[0]
    places: dict[str, str] = {}
    names: list[str] = []
    for word in re.findall(r"\w+Error\b|offerlog_[\w.]+", tree):
        if word.endswith("Error"):
            names.append(word)
        else:
            places |= dict.fromkeys(names, word)
            names = []
    named = [one for one in errors() if one.__name__ in places]
    assert len(named) > 50
    for one in named:
        assert f"{one.__module__}.".startswith(f"{places[one.__name__]}."), one


def test_callers_may_catch_a_wrong_argument_as_python_has_it() -> None:
    """A wrong value is a `ValueError` too."""
    wrong = [one for one in errors() if issubclass(one, ValueError)]
    assert {one.__name__ for one in wrong} >= {"MalformedSignalError", "OrganizationNameError"}
    for limit in (TooManySuppressionsError(), ReportTooLargeError(ReportQuery("default"), "rows", 50_000)):
        copy = pickle.loads(pickle.dumps(limit))  # noqa: S301 - our own
        assert isinstance(limit, ValueError)
        assert (copy.field, str(copy)) == (limit.field, limit.cause)
    with pytest.raises(OfferlogError):
        raise wrong[0](*["x"] * (len(inspect.signature(wrong[0]).parameters)))


def test_an_error_that_is_also_one_of_pythons_reads_as_a_sentence_and_travels() -> None:
    """`KeyError` alone would quote its text; a pool of processes pickles what was raised."""
    # given
    unknown = UnknownProjectionError("nothing", ("current_state", "performance"))
    # then
    assert str(unknown) == "there is no projection 'nothing'; the projections are current_state, performance"
    copy = pickle.loads(pickle.dumps(unknown))  # noqa: S301 - our own
    assert (copy.name, copy.known, str(copy)) == (unknown.name, unknown.known, str(unknown))
    copied = pickle.loads(pickle.dumps(ArgumentTypeError("signals", "a list is needed")))  # noqa: S301 - our own
    assert (copied.argument, str(copied)) == ("signals", "a list is needed")


def test_a_store_is_opened_at_one_place() -> None:
    """Two are a wrong argument."""
    with pytest.raises(ArgumentError, match="give data or database_url, not both"):
        open_offerlog(data="store", database_url="postgresql://nobody@127.0.0.1:1/nothing")
