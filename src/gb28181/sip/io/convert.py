"""Between the types of the SIP core and those of the services; the core may know neither `ports` nor the domain."""

from __future__ import annotations

from gb28181.device.model import Address, Route
from gb28181.ports import SipRequest, SipResponse
from gb28181.session.model import Dialog
from gb28181.sip.dialog import Dialog as CoreDialog
from gb28181.sip.message import Response
from gb28181.sip.transaction import RequestArrived
from gb28181.sip.uri import user_of, user_of_address


def public_request(event: RequestArrived, local: Address) -> SipRequest:
    """What the services see of a request.

    Args:
        local: Address of ours that this peer is told.
    """
    transaction, message = event
    flow, first, cseq = transaction.flow, message.first, message.cseq
    return SipRequest(
        method=message.method,
        uri=message.uri,
        uri_user=user_of(message.uri),
        user=user_of_address(first["from"]),
        to_user=user_of_address(first["to"]),
        call_id=first["call-id"],
        from_tag=message.from_tag,
        to_tag=message.to_tag,
        cseq=cseq.number if cseq else 0,
        headers=first,
        content_type=message.content_type,
        body=message.body,
        route=Route(flow.transport, Address(flow.host, flow.port), local, flow.connection),
        key=transaction,
        faults=message.faults,
    )


def public_response(response: Response) -> SipResponse:
    return SipResponse(response.status, response.reason, response.first, response.body, response.faults)


def public_dialog(dialog: CoreDialog, route: Route) -> Dialog:
    return Dialog(
        call_id=dialog.call_id,
        local_uri=dialog.local_uri,
        local_tag=dialog.local_tag,
        remote_uri=dialog.remote_uri,
        remote_tag=dialog.remote_tag,
        target=dialog.target,
        route_set=dialog.route_set,
        cseq=dialog.cseq,
        route=route,
    )


def core_dialog(dialog: Dialog) -> CoreDialog:
    return CoreDialog(
        call_id=dialog.call_id,
        local_uri=dialog.local_uri,
        local_tag=dialog.local_tag,
        remote_uri=dialog.remote_uri,
        remote_tag=dialog.remote_tag,
        target=dialog.target,
        route_set=dialog.route_set,
        cseq=dialog.cseq,
    )
