"""Who calls this replica, wired: certificates, tokens at the API servers of its clusters, votes, admins."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from tideover_core.model import Locality
from tideover_core.world import World, located
from tideover_health.signals import Voter
from tideover_identity.caller import Caller, Proof, TrustDomains, corrected
from tideover_identity.callers_server import Callers, Context, UnansweredError
from tideover_identity.permission import cluster_of
from tideover_identity.token import AUDIENCE
from tideover_identity.voter import Pods, vote
from tideover_wire.node import Client

from .config import Cluster, Config
from .run_replica import RunningReplica

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client import Api
    from tideover_discovery.kubernetes.registration import Registered


class Identities:
    """Of all callers of a replica: Envoys on any of their streams, and people at the admin API."""

    def __init__(self, config: Config, replica: RunningReplica) -> None:
        self._config = config
        self._replica = replica
        self._registered: tuple[Registered, ...] = ()
        self._callers = Callers(self._review, trust_domains(config))
        self._pods = Pods()
        self._seen: World | None = None  # what `_pods` are of

    def configure(self, config: Config) -> None:
        """Another configuration counts, from the next call on."""
        self._config = config
        self._callers.domains = trust_domains(config, self._registered)

    def registered(self, rows: Iterable[Registered]) -> None:
        """These clusters are registered by Secrets now."""
        self._registered = tuple(rows)
        self._callers.domains = trust_domains(self._config, self._registered)

    def admins(self) -> Collection[str]:
        """Who may change something, besides the local user."""
        return self._config.admins

    async def author(self, context: Context) -> Caller:
        """Who calls the admin API. Its token is shown only to clusters that an admin of that name is of:
        a cluster could say of any token that it is anybody's."""
        return await self._callers.caller(context, self._clusters_of_admin)

    async def known(self, context: Context, client: Client) -> Client:
        """The client, with what it has proved instead of what it claims."""
        return corrected(client, await self._caller(context, client))

    async def voter(self, context: Context, client: Client) -> Voter:
        """Whose vote the reports on this stream are."""
        caller = await self._caller(context, client)
        world = self._replica.world.value
        if self._seen is not world:
            self._pods.update(world.clusters)
            self._seen = world
        found = vote(caller, client, context.peer(), self._pods)
        place = located(world, corrected(client, caller).vantage)
        locality = found.locality if found.locality != Locality() else place.locality
        return Voter(found.id, found.cluster or place.cluster, locality, found.node)

    async def _caller(self, context: Context, client: Client) -> Caller:
        claimed = client.vantage.cluster
        return await self._callers.caller(context, lambda _: self._clusters_of_client(claimed))

    def _clusters_of_client(self, claimed: str) -> Sequence[str]:
        """The one it says it is in; without that the only one there is. Others never see its token."""
        live = self._live()
        if claimed:
            return [claimed] if claimed in live else []
        return live if len(live) == 1 else []

    def _clusters_of_admin(self, subject: str) -> Sequence[str]:
        found = [cluster_of(admin) for admin in self._config.admins if admin.startswith(f"{subject}@")]
        live = self._live()
        return [cluster for cluster in found if cluster in live]

    def _live(self) -> list[str]:
        return [name for name in self._replica.sources() if self._api(name) is not None]

    def _api(self, cluster: str) -> Api | None:
        facts = self._replica.facts
        source = facts.source(cluster) if facts is not None else None
        found: Api | None = getattr(source, "api", None)
        return found

    async def _review(self, cluster: str, token: str) -> Proof:
        from tideover_discovery.kubernetes.client import ApiError  # slow to import, and there already
        from tideover_discovery.kubernetes.token_review import PATH, answer, question

        api = self._api(cluster)
        if api is None:
            raise UnansweredError("it is not read from an API server")
        try:
            said = await api.send("POST", PATH, question(token, AUDIENCE))
        except ApiError as error:
            raise UnansweredError(error.reason) from None
        return Proof(*answer(said, AUDIENCE))


def trust_domains(config: Config, registered: Iterable[Registered] = ()) -> TrustDomains:
    """Those that clusters name. Only the configuration can make IDs of other domains prove nothing: whoever
    may write Secrets in the hub must not take their votes from others."""
    found: dict[str, list[str]] = {}
    names = {cluster.name for cluster in config.clusters}
    rows: list[Cluster | Registered] = [*config.clusters]
    rows += (row for row in registered if row.name not in names)
    for cluster in rows:
        if cluster.trust_domain:
            found.setdefault(cluster.trust_domain, []).append(cluster.name)
    return TrustDomains(found, others=not any(cluster.trust_domain for cluster in config.clusters))
