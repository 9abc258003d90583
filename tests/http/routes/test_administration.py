"""What an admin asks of the organization as a whole: its deletion, issued reports, the keyring."""

from collections.abc import Iterator

import httpx
import pytest

from offerlog import ReportQuery, Role
from offerlog_application.erasure import organizations
from offerlog_infrastructure.http.routes import administration
from support.http_site import Site
from support.journeys import journeys

pytest_plugins = ("support.http_site",)


@pytest.fixture
def officer(shared_site: Site) -> Iterator[httpx.Client]:
    """A client whose key may only answer the requests of visitors."""
    with shared_site.client(Role.PRIVACY) as client:
        yield client


def test_issued_reports_are_listed_page_by_page_and_the_keyring_without_counts(shared_site: Site) -> None:
    """For admins; the other tenants of the store have no part in it."""
    # given
    service, name = shared_site.service, shared_site.organization
    service.wait(service.record(journeys(3), organization=name).position)
    issued = [service.issued_reports.issue(ReportQuery(name), f"auditor {n}")[1] for n in range(2)]
    with shared_site.client() as admin:
        # when
        first = admin.get("/v1/issued-reports", params={"limit": 1}).json()
        second = admin.get("/v1/issued-reports", params={"limit": 1, "after": first["next"]}).json()
        keyring = admin.get("/v1/keyring").json()["keys"]
        refused = admin.delete("/v1/organization", params={"organization": "another"})
    # then
    found = [*first["reports"], *second["reports"]]
    assert [one["issued_by"] for one in found] == ["auditor 0", "auditor 1"]
    assert [one["position"] for one in found] == [one.position for one in issued]
    assert [one["current"] for one in keyring] == [True]
    assert set(keyring[0]) == {"key", "current", "made_at", "used_since"}
    assert refused.status_code == 400
    assert "it is not the name of the organization of this key" in refused.text
    with shared_site.client(Role.PRIVACY) as officer:
        for path in ("/v1/issued-reports", "/v1/keyring"):
            assert officer.get(path).status_code == 403
        assert officer.delete("/v1/organization", params={"organization": name}).status_code == 403


def test_an_organization_is_deleted_in_several_requests_of_the_same_key(
    shared_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is revoked at the end, the others at once."""
    # given
    service, name = shared_site.service, shared_site.organization
    service.wait(service.record(journeys(9), organization=name).position)
    monkeypatch.setattr(organizations, "_PAGE", 4)
    monkeypatch.setattr(administration, "_DELETING_SECONDS", 0.0)
    with shared_site.client() as admin, shared_site.client(Role.REPORTER) as reporter:
        # when
        unfinished = admin.delete("/v1/organization", params={"organization": name})
        monkeypatch.undo()
        assert reporter.get("/v1/projections").status_code == 401
        deleted = admin.delete("/v1/organization", params={"organization": name})
        # then
        assert unfinished.status_code == 503
        assert "erased so far: 4 visitors; send the same request again" in unfinished.json()["detail"]
        assert deleted.status_code == 200, deleted.text
        assert deleted.json()["visitors"] == 5
        assert deleted.json()["receipt"] > deleted.json()["last_receipt"]
        assert admin.get("/v1/keyring").status_code == 401
