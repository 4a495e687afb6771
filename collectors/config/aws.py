"""
What an agent asks an AWS account for.

Before: inputs.py, which lists it. After: collectors/aws.py.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

AwsResource = Literal[
    "ec2.vpcs",
    "ec2.subnets",
    "ec2.network_interfaces",
    "ec2.instances",
    "ec2.addresses",
    "ec2.nat_gateways",
    "ec2.vpc_peering_connections",
    "ec2.transit_gateways",
    "ec2.transit_gateway_attachments",
    "ec2.vpn_connections",
    "ec2.vpn_gateways",
    "ec2.prefix_lists",
    "ec2.zones",
    "elbv2.load_balancers",
    "eks.clusters",
    "directconnect.connections",
    "directconnect.virtual_interfaces",
    "directconnect.gateways",
]
"""Everything that is asked for, by the name its changes have."""


class AwsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="aws"):
    """Networks, interfaces, gateways and links of one AWS account, asked with read-only calls."""

    regions: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,40}$")], ...],
        Meta(
            description="regions to ask; empty: that of the environment or profile; ['all']: every"
            " one the account has enabled"
        ),
    ] = ()
    profile: Annotated[
        str,
        Meta(description="profile of ~/.aws/config; empty: as the environment has credentials"),
    ] = ""
    role_arn: Annotated[
        str,
        Meta(
            pattern=r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/\S{1,512})?$",
            description="role to take on first, of this or another account",
        ),
    ] = ""
    external_id: Annotated[
        str, Meta(max_length=1_224, description="what that role's trust asks for, if anything")
    ] = ""
    endpoint_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/?#@]+(/[!-~]*)?)?$",
            description="where all calls go to instead of AWS; empty: AWS",
        ),
    ] = ""
    interval_s: Annotated[
        float, Meta(ge=1, le=86_400, description="seconds from one question to the next")
    ] = 60.0
    timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="seconds to connect, and to wait for an answer")
    ] = 10.0
    max_calls: Annotated[
        int, Meta(ge=1, le=64, description="listings that are asked for at a time")
    ] = 4
    skip: Annotated[
        tuple[AwsResource, ...],
        Meta(description="what not to ask for, as where no call of a service is allowed"),
    ] = ()

    def __post_init__(self) -> None:
        if "all" in self.regions and len(self.regions) > 1:
            raise ValueError("regions: 'all' stands alone")
        if self.external_id and not self.role_arn:
            raise ValueError("external_id: needs role_arn")
