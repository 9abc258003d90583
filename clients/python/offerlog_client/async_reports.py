"""The reports, for asyncio.

Those for threads are made from this module by docs/generate.py (`make docs`): the same without `async`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from offerlog_client.answers import ActionMapsReport, BlockedOffers, Funnel, OfferTimes, Performance
from offerlog_client.requests import MetricView, Time, name_range


class AsyncReports:
    """The reports of an organization: a part of the client. They need a key of the role reporter."""

    async def performance(
        self,
        *,
        start: Time | None = None,
        end: Time | None = None,
        last: str | None = None,
        by: str | None = None,
        zone: str | None = None,
        view: MetricView | None = None,
        cohort: str | None = None,
        count_by: str | None = None,
        action_maps: Iterable[str] = (),
        media_type: str | None = None,
    ) -> Performance:
        """Return the Action Map Performance report, with the options of `offerlog report`."""
        asked = name_range(
            start=start, end=end, last=last, zone=zone, action_maps=action_maps, media_type=media_type
        ) | {
            "by": by,
            "view": view,
            "cohort": cohort,
            "count_by": count_by,
        }
        return cast("Performance", await self._ask("GET", "/v1/reports/action-map-performance", asked))

    async def action_maps_report(
        self,
        *,
        start: Time | None = None,
        end: Time | None = None,
        last: str | None = None,
        zone: str | None = None,
        cohort: str | None = None,
        count_by: str | None = None,
        by_version: bool | None = None,
        baseline: int | None = None,
        action_maps: Iterable[str] = (),
        media_type: str | None = None,
    ) -> ActionMapsReport:
        """Return a row for each action map and media type, or for each version with a comparison.

        With a baseline, each version is compared with that one, else with the version before.
        """
        asked = name_range(
            start=start, end=end, last=last, zone=zone, action_maps=action_maps, media_type=media_type
        ) | {
            "cohort": cohort,
            "count_by": count_by,
            "by_version": by_version,
            "baseline": baseline,
        }
        return cast("ActionMapsReport", await self._ask("GET", "/v1/reports/action-maps", asked))

    async def funnel(
        self,
        *,
        start: Time | None = None,
        end: Time | None = None,
        last: str | None = None,
        zone: str | None = None,
        action_maps: Iterable[str] = (),
        media_type: str | None = None,
    ) -> Funnel:
        """Return how far the offers of a time came, and where they ended."""
        asked = name_range(
            start=start, end=end, last=last, zone=zone, action_maps=action_maps, media_type=media_type
        )
        return cast("Funnel", await self._ask("GET", "/v1/reports/funnel", asked))

    async def blocked_offers(
        self,
        *,
        start: Time | None = None,
        end: Time | None = None,
        last: str | None = None,
        zone: str | None = None,
        action_maps: Iterable[str] = (),
        media_type: str | None = None,
    ) -> BlockedOffers:
        """Return which offers were blocked, by reason."""
        asked = name_range(
            start=start, end=end, last=last, zone=zone, action_maps=action_maps, media_type=media_type
        )
        return cast("BlockedOffers", await self._ask("GET", "/v1/reports/blocked-offers", asked))

    async def times(
        self,
        *,
        start: Time | None = None,
        end: Time | None = None,
        last: str | None = None,
        zone: str | None = None,
        action_maps: Iterable[str] = (),
        media_type: str | None = None,
    ) -> OfferTimes:
        """Return the seconds from the offer to each step: median and 90th percentile."""
        asked = name_range(
            start=start, end=end, last=last, zone=zone, action_maps=action_maps, media_type=media_type
        )
        return cast("OfferTimes", await self._ask("GET", "/v1/reports/times", asked))

    async def _ask(
        self,
        method: str,
        path: str,
        asked: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        is_sent_once: bool = False,
    ) -> Any:
        raise NotImplementedError
