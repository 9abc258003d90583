"""The signal that stands for an offer which is asked for in process."""

from pydantic import ValidationError

from offerlog_domain.fast_reading import convert_fast
from offerlog_domain.lifecycle import LIFECYCLES, WEBCHAT, State
from offerlog_domain.signals import (
    WIRE_NAMES,
    MalformedSignalError,
    NativeSignal,
    Signal,
    describe_fault,
    to_native,
)


def build_offer_signal(
    *,
    action_id: str,
    action_map_id: str,
    action_map_version: int | None,
    customer_id: str,
    customer_id_type: str,
    session_id: str,
    timeout_seconds: int | None,
    media_type: str = WEBCHAT.media_type,
) -> NativeSignal:
    """Build the signal of a new offer; every argument is checked as the signal's field of that name is.

    The signal states no time: it happens now.

    Raises:
        MalformedSignalError: Names the wire field of the argument at fault, and the reason.
    """
    if media_type not in LIFECYCLES:
        raise MalformedSignalError(WIRE_NAMES["media_type"], f"give one of {', '.join(LIFECYCLES)}")
    usual = convert_fast(
        {
            "actionId": action_id,
            "actionState": State.OFFERED,
            "actionMediaType": str(media_type),
            "actionMapId": action_map_id,
            "actionMapVersion": action_map_version,
            "customerId": customer_id,
            "customerIdType": customer_id_type,
            "sessionId": session_id,
            "timeoutSeconds": timeout_seconds,
        }
    )
    if usual is not None:
        return usual
    try:
        signal = Signal(
            action_id=action_id,
            state=State.OFFERED,
            media_type=str(media_type),
            action_map_id=action_map_id,
            action_map_version=action_map_version,
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            session_id=session_id,
            timeout_seconds=timeout_seconds,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = "is required" if first["input"] is None else describe_fault(error)
        raise MalformedSignalError(WIRE_NAMES[str(first["loc"][0])], cause) from None
    return to_native(signal)
