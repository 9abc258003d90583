"""The methods for administrators of an organization.

Made from async_organization.py by docs/generate.py (`make docs`); do not edit.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from offerlog_client.answers import (
    ApiKey,
    DeletedTenant,
    KeyringKey,
    ListedWebhook,
    MadeWebhook,
    NewApiKey,
    ReportGivenOut,
    ShownWebhook,
    Subscription,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)


class Organization:
    """Keys, webhooks, subscriptions, issued reports and the end of an organization: a part of the client.

    They need a key of the role admin; subscriptions are also for those who may read events. A request that
    must not be sent twice, such as one that makes a key, is sent once: without an answer, look what is there.
    """

    def api_keys(self) -> list[ApiKey]:
        """List the keys of the organization, without their texts."""
        return cast("list[ApiKey]", self._ask("GET", "/v1/keys")["keys"])

    def create_key(
        self,
        role: str,
        *,
        name: str = "",
        origins: Iterable[str] = (),
        any_origin: bool = False,
        expires: str | None = None,
    ) -> NewApiKey:
        """Make a key. Its text is in this answer alone.

        Args:
            role: The role, such as `reporter`.
            name: A name for people.
            origins: The origins of the pages that may use it, for the roles widget and page.
            any_origin: True for pages of any origin.
            expires: Its end, such as `90d`, or a time; None for never.
        """
        asked = {
            "role": role,
            "name": name,
            "origins": list(origins),
            "any_origin": any_origin,
            "expires": expires,
        }
        return cast("NewApiKey", self._ask("POST", "/v1/keys", body=asked, is_sent_once=True))

    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key; it stays in the list."""
        return cast("ApiKey", self._ask("DELETE", f"/v1/keys/{_quote(key_id)}"))

    def webhooks(self) -> list[ListedWebhook]:
        """List the webhooks of the organization, with lag and counts."""
        return cast("list[ListedWebhook]", self._ask("GET", "/v1/webhooks")["webhooks"])

    def webhook(self, webhook_id: str) -> ShownWebhook:
        """Show a webhook, with the events that wait and those that were given up."""
        return cast("ShownWebhook", self._ask("GET", _place(webhook_id)))

    def create_webhook(
        self,
        url: str,
        *,
        types: Iterable[str] = (),
        action_maps: Iterable[str] = (),
        after: int | None = None,
    ) -> MadeWebhook:
        """Make a webhook. Its secret is in this answer alone.

        Args:
            url: The address of the receiver, with https.
            types: The types of events that it gets, such as `offered`; empty for all.
            action_maps: The ids of the action maps whose events it gets; empty for all.
            after: Begin after this position of the log; None for its end.
        """
        asked = {"url": url, "types": list(types), "action_maps": list(action_maps), "after": after}
        return cast("MadeWebhook", self._ask("POST", "/v1/webhooks", body=asked, is_sent_once=True))

    def test_webhook(self, webhook_id: str) -> WebhookAttempt:
        """Send a test message to a webhook now, and return the result; it takes up to 20 seconds."""
        answer = self._ask("POST", _place(webhook_id, "test"), is_sent_once=True)
        return cast("WebhookAttempt", answer)

    def disable_webhook(self, webhook_id: str) -> Webhook:
        """Send nothing more to a webhook; its place in the log stays."""
        return cast("Webhook", self._ask("POST", _place(webhook_id, "disable")))

    def enable_webhook(self, webhook_id: str, *, skip: bool = False) -> Webhook:
        """Send to a webhook again; with `skip`, not what was recorded up to now."""
        asked = {"skip": "true"} if skip else {}
        return cast("Webhook", self._ask("POST", _place(webhook_id, "enable"), asked))

    def rotate_webhook(self, webhook_id: str, *, keep: str | None = None) -> MadeWebhook:
        """Give a webhook another secret; the former one signs for `keep`, such as `12h`, too."""
        answer = self._ask("POST", _place(webhook_id, "rotate"), {"keep": keep}, is_sent_once=True)
        return cast("MadeWebhook", answer)

    def dead_letters(self, webhook_id: str) -> list[WebhookDelivery]:
        """List the events that were given up for a webhook, up to 1,000."""
        answer = self._ask("GET", _place(webhook_id, "dead-letters"))
        return cast("list[WebhookDelivery]", answer["dead_letters"])

    def send_again(self, webhook_id: str, *, position: int | None = None) -> int:
        """Try the dead letter at a position again, or all; return how many."""
        asked = {"position": position}
        answer = self._ask("POST", _place(webhook_id, "send-again"), asked, is_sent_once=True)
        return cast("int", answer["waiting"])

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook, with all that waits for it."""
        self._ask("DELETE", _place(webhook_id), is_sent_once=True)

    def subscriptions(self) -> list[Subscription]:
        """List the subscriptions to the feed, with cursor and lag."""
        return cast("list[Subscription]", self._ask("GET", "/v1/subscriptions")["subscriptions"])

    def acknowledge(self, name: str, cursor: str | None = None) -> Subscription:
        """Make a subscription, or move its cursor forward; never back."""
        path = f"/v1/subscriptions/{_quote(name)}/cursor"
        return cast("Subscription", self._ask("PUT", path, {"lastEventId": cursor}))

    def delete_subscription(self, name: str) -> None:
        """Delete a subscription."""
        self._ask("DELETE", f"/v1/subscriptions/{_quote(name)}", is_sent_once=True)

    def issued_reports(self) -> Iterator[ReportGivenOut]:
        """Yield the reports that were given out, the oldest first."""
        after: int | None = 0
        while after is not None:
            page = self._ask("GET", "/v1/issued-reports", {"after": after})
            yield from page["reports"]
            after = page["next"]

    def keyring(self) -> list[KeyringKey]:
        """List the keys of the keyring: ids and times alone."""
        return cast("list[KeyringKey]", self._ask("GET", "/v1/keyring")["keys"])

    def delete_organization(self, organization: str) -> DeletedTenant:
        """Delete the organization of the key for good; its name, so that nobody does it by mistake.

        What is not done in one request is done by the next one, as long as the patience lasts.
        """
        asked = {"organization": organization}
        return cast("DeletedTenant", self._ask("DELETE", "/v1/organization", asked))

    def _ask(
        self,
        method: str,
        path: str,
        asked: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        is_sent_once: bool = False,
    ) -> Any:
        raise NotImplementedError


def _place(webhook_id: str, *behind: str) -> str:
    return "/".join(["/v1/webhooks", _quote(webhook_id), *behind])


def _quote(text: str) -> str:
    return quote(text, safe="")
