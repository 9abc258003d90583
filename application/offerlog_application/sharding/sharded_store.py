"""The ports of an installation of several shards as those of one store. What is left out refuses."""

from typing import Any

from offerlog_application.ports.store import Store
from offerlog_application.ports.store_trouble import TroubleCounts
from offerlog_application.sharding.added_counts import AddedCounts
from offerlog_application.sharding.added_offers import AddedOffers
from offerlog_application.sharding.keys_of_shards import MasterKeysOfShards
from offerlog_application.sharding.merged_events import MergedEventSource
from offerlog_application.sharding.merged_signals import MergedRefusals
from offerlog_application.sharding.merged_streams import MergedStreams, SubscriptionsOfShards
from offerlog_application.sharding.merged_visitors import MergedVisitors
from offerlog_application.sharding.organizations_of_shards import AllOrganizationVisitors
from offerlog_application.sharding.ports_of_all import (
    AddedOrganizations,
    AddedRefusals,
    AllChanges,
    AllKinds,
    AllPolicies,
    AllProjections,
)
from offerlog_application.sharding.ports_of_visitors import (
    RoutedHistories,
    RoutedReads,
    RoutedStreams,
)
from offerlog_application.sharding.refused_port import RefusedFigures, RefusedPort
from offerlog_application.sharding.replays_of_shards import ReplaysOfShards
from offerlog_application.sharding.router import Router
from offerlog_application.sharding.webhooks_of_shards import WebhooksOfShards


def make_sharded_store(router: Router) -> Store:
    """Make the ports over all shards; organizations, keys and sessions are those of the home."""
    home = router.home.store
    streams, histories, projections = RoutedStreams(router), RoutedHistories(router), AllProjections(router)
    routed: dict[str, Any] = {
        "log": streams,
        "streams": histories,
        "visitors": histories,
        "reads": RoutedReads(router, streams),
        "offers": AddedOffers(router),
        "recent_visitors": MergedVisitors(router),
        "refusals": MergedRefusals(router),
        "event_source": MergedEventSource(router),
        "stream_source": MergedStreams(router),
        "replays": ReplaysOfShards(router),
        "subscriptions": SubscriptionsOfShards(router),
        "webhooks": (webhooks := WebhooksOfShards(router)),
    }
    refused: dict[str, Any] = {
        name: RefusedPort(what)
        for name, what in {
            "fence": "to stop writers",
            "short_signals": "to list what waits by its action alone",
            "erasures": "to work on the visitors of all shards",
            "archiver": "to archive old events",
        }.items()
    }
    refused["figures"] = RefusedFigures("to read the figures of the store", router, webhooks.all)
    return Store(
        **routed,
        **refused,
        performance=AddedCounts(router),
        refusal_counts=AddedRefusals(router),
        proofs=projections,
        dead_letters=projections,
        rebuilds=projections,
        kinds=AllKinds(router),
        policies=AllPolicies(router),
        organizations=AddedOrganizations(router),
        master_keys=MasterKeysOfShards(router),
        organization_visitors=AllOrganizationVisitors(router),
        changes=AllChanges(router),
        service_log=home.service_log,
        keys=home.keys,
        sessions=home.sessions,
        make_webhook_sender=home.make_webhook_sender,
        troubles=TroubleCounts(),
    )
