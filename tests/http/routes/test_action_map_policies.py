"""Policies over HTTP: an admin sets and reads them, and later requests obey them."""

import httpx
import pytest

from support.http_site import Site
from support.journeys import an_id

pytest_plugins = ("support.http_site",)

MAP = an_id("map")
PLACE = f"/v1/action-maps/{MAP}/policy"


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def test_a_policy_that_was_set_is_shown_and_noted_with_its_key(site: Site, admin: httpx.Client) -> None:
    """The same again is no second event. The id may be in upper case."""
    # given
    nothing = admin.get(PLACE).json()
    asked = {"suppress_for": {"timedout": "90m", "ignored": 2_592_000}}
    # when
    answers = [admin.put(PLACE, json=asked), admin.put(PLACE.replace(MAP, MAP.upper()), json=asked)]
    # then
    expected = {"action_map_id": MAP, "suppress_for": {"ignored": 2_592_000, "timedout": 5_400}}
    assert nothing == {"action_map_id": MAP, "suppress_for": {}}
    assert [one.status_code for one in answers] == [200, 200]
    assert [one.json() for one in answers] == [expected, expected]
    assert admin.get(PLACE).json() == expected
    organization = admin.get("/v1/keys").json()["keys"][0]["organization"]
    (change,) = site.service.policies.changes(MAP, organization=organization)
    assert change.set_by.startswith("key ")


@pytest.mark.parametrize(
    "times",
    [{"errored": "1d"}, {"ignored": "soon"}, {"ignored": -1}, {"ignored": "11y"}, {"ignored": "1.5"}],
)
def test_a_policy_that_cannot_be_names_its_field(admin: httpx.Client, times: dict[str, object]) -> None:
    """It is a bad request, and nothing is set."""
    answer = admin.put(PLACE, json={"suppress_for": times})
    assert (answer.status_code, answer.json()["field"]) == (400, "suppress_for")
    assert admin.put(PLACE, json={}).status_code == 400
    assert admin.get(PLACE).json()["suppress_for"] == {}
