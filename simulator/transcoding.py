"""Between the text form in which requests are handled and answers are made, and the protobuf form on the wire.

Which of the two a message has on the wire is decided by its row in the protocol's tables: ``protobuf_from``.
"""

from backstay.protocol.framing import fields
from backstay.protocol.wire import find_bytes, find_varint
from backstay.simulator.fields import Fields, Refused
from backstay.simulator.layout import read, write
from backstay.simulator.schema_bodies import ByName, InOrder, Named, Ordered, decode, encode
from backstay.simulator.schema_tables import ANSWER_SCHEMAS, PLACE_ORDER_ID, PLACED, RECORD_SCHEMAS, REQUEST_SCHEMAS

ATTACHED_ORDERS = 4
"""Of a placeOrder: two orders more, from version 218 on; clients write an empty message when there are none."""


def request_to_text(message_id: int, body: bytes, version: int) -> Fields:
    """Return a protobuf request as the text fields behind VERSION; ``Unreadable`` when it is none."""
    if message_id == PLACE_ORDER_ID:
        if find_bytes(body, ATTACHED_ORDERS):
            raise Refused(find_varint(body, 1) or 0, 321, "Error validating request. Attached orders are not simulated")
        layout, placed = PLACED
        named = Named()
        decode(placed, body, named)
        named.record.values["has_underlying"] = "1" if named.record.get("underlying_con_id") else "0"
        return Fields(fields(*write(layout, named.record, version)))
    schema = REQUEST_SCHEMAS.get(message_id)
    if schema is None:
        raise Refused(-1, 320, f"Error reading request. Message id {message_id} has no protobuf form")
    ordered = Ordered()
    decode(schema, body, ordered)
    return Fields(fields(*ordered.values))


def answer_to_protobuf(message_id: int, body: bytes, version: int) -> bytes:
    """Return the protobuf body of an answer whose text fields (without VERSION) are given."""
    known = RECORD_SCHEMAS.get(message_id)
    if known is not None:
        layout, schema = known
        return encode(schema, ByName(read(layout, Fields(body), version)))
    return encode(ANSWER_SCHEMAS[message_id], InOrder(iter(body.decode().split("\0")[:-1])))
