"""
AWS: what networks, interfaces, gateways and links an account has.

    regions, resources → pages → objects, trimmed → listing.py

Every call only reads. One that is denied or fails loses its own listing and no
other. A scope is an account and region, ``123456789012/eu-west-1``. Some calls
go on at a time; the answers are shipped in the order of the questions.

Before: aws_resources.py (what is asked). After: listing.py.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from collectors.aws_resources import RESOURCES, kept
from collectors.batch import Batcher
from collectors.config import AwsInput
from collectors.listing import Listing, ListingError, follow_listings
from collectors.ship import Shipper

_RENEW_S: Final = 300
"""A role is taken on again this long before it ends."""
_DETAIL: Final = 300

Objects = list[tuple[str, bytes]]


def follow(config: AwsInput, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
    """Ask an account at an interval until ``stop`` is set; what it does not answer is counted."""
    name = config.role_arn or config.profile or "aws"
    ask = _Account(config).ask
    follow_listings(name, ask, batcher, shipper, stop, interval_s=config.interval_s)


class _Account:
    """Credentials and clients of one account, and what to ask them."""

    def __init__(self, config: AwsInput) -> None:
        self._config = config
        self._session: Any = None
        self._renew_s = float("inf")
        self._clients: dict[tuple[str, str], Any] = {}
        self._name = ""

    def ask(self, stop: threading.Event) -> Iterator[Listing]:
        """All listings of all regions."""
        with _told():
            jobs = [
                (region, name, self._client(name.partition(".")[0], region))
                for region in self._open()
                for name in RESOURCES
                if name not in self._config.skip
            ]
        pool = ThreadPoolExecutor(self._config.max_calls, "aws")
        try:
            answers = deque(pool.submit(_list, client, name, stop) for _, name, client in jobs)
            for region, name, _ in jobs:
                yield Listing(f"{self._name}/{region}", name, _objects(answers.popleft()))
        finally:
            pool.shutdown(cancel_futures=True)

    def _open(self) -> tuple[str, ...]:
        """Have credentials, know the account; its regions."""
        if self._session is None or time.time() >= self._renew_s:
            self._clients = {}
            self._session = self._log_in()
            self._name = self._number()
        if self._config.regions != ("all",):
            return self._config.regions or (self._home(self._session),)
        answer = self._client("ec2", self._home(self._session)).describe_regions()
        return tuple(sorted(region["RegionName"] for region in answer["Regions"]))

    def _log_in(self) -> Any:
        from boto3.session import Session  # noqa: PLC0415 agents without this input lack it

        config = self._config
        session = Session(profile_name=config.profile or None)
        if not config.role_arn:
            return session
        wanted = {"RoleArn": config.role_arn, "RoleSessionName": "crosspane"}
        if config.external_id:
            wanted["ExternalId"] = config.external_id
        sts = self._connect(session, "sts", self._home(session))
        given = sts.assume_role(**wanted)["Credentials"]
        self._renew_s = given["Expiration"].timestamp() - _RENEW_S
        return Session(
            given["AccessKeyId"],
            given["SecretAccessKey"],
            given["SessionToken"],
            region_name=self._home(session),
        )

    def _number(self) -> str:
        """Number of the account: as it says itself, else as the owner of its networks."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        home = self._home(self._session)
        try:
            return str(self._client("sts", home).get_caller_identity()["Account"])
        except ClientError:
            vpcs = self._client("ec2", home).describe_vpcs()["Vpcs"]
            if not vpcs:
                raise
            return str(vpcs[0]["OwnerId"])

    def _home(self, session: Any) -> str:
        """Region of calls that are of none: the session's, else the first that is asked."""
        named = [region for region in self._config.regions if region != "all"]
        region = session.region_name or next(iter(named), "")
        if not region:
            raise ListingError("NoRegion", "set regions, or AWS_DEFAULT_REGION in the environment")
        return str(region)

    def _client(self, service: str, region: str) -> Any:
        client = self._clients.get((service, region))
        if client is None:
            client = self._connect(self._session, service, region)
            self._clients[service, region] = client
        return client

    def _connect(self, session: Any, service: str, region: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415

        settings = Config(
            connect_timeout=self._config.timeout_s,
            read_timeout=self._config.timeout_s,
            retries={"mode": "standard"},
            max_pool_connections=self._config.max_calls,
            user_agent_extra="crosspane",
        )
        url = self._config.endpoint_url or None
        return session.client(service, region_name=region, endpoint_url=url, config=settings)


def _list(client: Any, name: str, stop: threading.Event) -> Objects:
    """All objects of a resource; some of them when the agent ends meanwhile."""
    resource = RESOURCES[name]
    found: Objects = []
    with _told():
        for answer in _pages(client, resource.operation, resource.page):
            for item in _at(answer, resource.path):
                if stop.is_set():
                    return found
                whole = _whole(client, name, item)
                if whole is not None:
                    uid = whole.get(resource.uid) or whole.get("PublicIp", "")
                    found.append((uid, msgspec.json.encode(kept(whole, resource))))
    return found


def _pages(client: Any, operation: str, page: int | None, **wanted: str) -> Iterator[Any]:
    if client.can_paginate(operation):
        sizes = {"PageSize": page} if page else {}
        yield from client.get_paginator(operation).paginate(PaginationConfig=sizes, **wanted)
        return
    answer = getattr(client, operation)(**wanted)
    yield answer
    while token := answer.get("nextToken"):
        answer = getattr(client, operation)(nextToken=token, **wanted)
        yield answer


def _at(answer: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """What lies at the end of a path of keys through objects and lists."""
    for item in answer.get(path[0], ()):
        if len(path) == 1:
            yield item
        else:
            yield from _at(item, path[1:])


def _whole(client: Any, name: str, item: Any) -> Any:
    """Complete an object that its list names only; None if it is gone meanwhile."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        if name == "eks.clusters":
            return client.describe_cluster(name=item)["cluster"]
        if name == "ec2.prefix_lists" and item.get("OwnerId") != "AWS":
            wanted = {"PrefixListId": item["PrefixListId"]}
            pages = _pages(client, "get_managed_prefix_list_entries", 100, **wanted)
            return item | {"Entries": [entry for page in pages for entry in page["Entries"]]}
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise
    return item


_GONE: Final = ("ResourceNotFoundException", "InvalidPrefixListID.NotFound")


def _objects(answer: "Future[Objects]") -> Iterator[tuple[str, bytes]]:
    yield from answer.result()


@contextmanager
def _told() -> Iterator[None]:
    """Tell what goes wrong in a call as a `ListingError`."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        raise ListingError(error.response["Error"]["Code"], _line(error)) from error
    except BotoCoreError as error:
        raise ListingError(type(error).__name__, _line(error)) from error


def _line(error: Exception) -> str:
    """What an error says, in one line of a log."""
    return " ".join(str(error).split())[:_DETAIL]
