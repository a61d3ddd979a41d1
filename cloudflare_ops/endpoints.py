"""The four addresses of the API that this operator speaks to, and what a refusal means at each: data for `errors`,
`client` and the metrics.
"""

from enum import Enum


class Endpoint(Enum):
    """The value is the path under the API's base; `{zone}`, `{account}` and `{tunnel}` are filled in by the client."""

    ZONE = "/zones/{zone}"
    RECORDS = "/zones/{zone}/dns_records"
    BATCH = "/zones/{zone}/dns_records/batch"
    TUNNEL = "/accounts/{account}/cfd_tunnel/{tunnel}/configurations"

    @property
    def is_dns(self) -> bool:
        """Whether it belongs to the zone rather than to the account."""
        return self is not Endpoint.TUNNEL
