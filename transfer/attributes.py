"""Search attributes: what the workflow list shows of a transfer, and what it can be found by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.common import (
    SearchAttributeIndexedValueType,
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from transfer.temporal import RPC_TIMEOUT, SHOWN_TO
from transfer.views import Attributes

TRANSFER_STATE = SearchAttributeKey.for_keyword("TransferState")
WAITING_ON = SearchAttributeKey.for_keyword_list("WaitingOn")
CUSTOMER_DOMAIN = SearchAttributeKey.for_keyword("CustomerDomain")
OLD_RESELLER = SearchAttributeKey.for_keyword("OldReseller")
NEW_RESELLER = SearchAttributeKey.for_keyword("NewReseller")
ESCALATED = SearchAttributeKey.for_bool("Escalated")
NEXT_DEADLINE = SearchAttributeKey.for_datetime("NextDeadline")
KEYS: tuple[SearchAttributeKey[Any], ...] = (
    TRANSFER_STATE,
    WAITING_ON,
    CUSTOMER_DOMAIN,
    OLD_RESELLER,
    NEW_RESELLER,
    ESCALATED,
    NEXT_DEADLINE,
)

_INDEXED = {
    SearchAttributeIndexedValueType.KEYWORD: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttributeIndexedValueType.KEYWORD_LIST: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    SearchAttributeIndexedValueType.BOOL: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    SearchAttributeIndexedValueType.DATETIME: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


def search_attributes(attributes: Attributes) -> TypedSearchAttributes:
    """The search attributes a transfer is started with."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(key, value)
            for key, value in _values(attributes)
            if value is not None and value != []
        ]
    )


def search_attribute_changes(
    shown: TypedSearchAttributes, attributes: Attributes
) -> list[SearchAttributeUpdate[Any]]:
    """What has to be upserted so that the server shows ``attributes``; empty if it does already."""
    changes: list[SearchAttributeUpdate[Any]] = []
    for key, value in _values(attributes):
        present = shown.get(key)
        if value is None or value == []:
            if present:
                changes.append(key.value_unset())
        elif not _same(present, value):
            changes.append(key.value_set(value))
    return changes


def _values(attributes: Attributes) -> list[tuple[SearchAttributeKey[Any], Any]]:
    return [
        (TRANSFER_STATE, attributes.TransferState),
        (WAITING_ON, list(attributes.WaitingOn)),
        (CUSTOMER_DOMAIN, attributes.CustomerDomain),
        (OLD_RESELLER, attributes.OldReseller),
        (NEW_RESELLER, attributes.NewReseller),
        (ESCALATED, attributes.Escalated),
        (NEXT_DEADLINE, attributes.NextDeadline),
    ]


def _same(present: Any, value: Any) -> bool:
    if isinstance(value, list):
        return present is not None and list(present) == value
    if isinstance(value, datetime) and isinstance(present, datetime):
        return abs(present - value) < SHOWN_TO
    return bool(present == value)


async def missing_search_attributes(client: Client) -> list[str]:
    """The names that the server does not know: a transfer that sets one would be wedged."""
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    known = answer.custom_attributes
    return [key.name for key in KEYS if known.get(key.name) != _INDEXED[key.indexed_value_type]]


async def register_search_attributes(client: Client) -> list[str]:
    """Register what is missing, and return the names. Calling it again changes nothing."""
    missing = await missing_search_attributes(client)
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={
                    key.name: _INDEXED[key.indexed_value_type]
                    for key in KEYS
                    if key.name in missing
                },
            ),
            timeout=RPC_TIMEOUT,
        )
    return missing
