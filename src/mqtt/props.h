// mqtt/props.h -- the properties of MQTT 5.0 packets.
//
// On the wire a property is an identifier and a value whose type follows from
// the identifier; a packet holds its length and then any number of them:
//
//      +------------+----+-------+----+-------+ ...
//      | length var | id | value | id | value |
//      +------------+----+-------+----+-------+ ...
#pragma once

#include "mqtt/packet.h"
#include "mqtt/reason.h"

struct Reader;

// Bits of Props::has. Repeatable ones (User Property) are found in Props::raw.
enum PropBit : uint32_t {
    PROP_PAYLOAD_FORMAT = 1u << 0,
    PROP_MESSAGE_EXPIRY = 1u << 1,
    PROP_CONTENT_TYPE = 1u << 2,
    PROP_RESPONSE_TOPIC = 1u << 3,
    PROP_CORRELATION_DATA = 1u << 4,
    PROP_SUBSCRIPTION_ID = 1u << 5,
    PROP_SESSION_EXPIRY = 1u << 6,
    PROP_ASSIGNED_CLIENT_ID = 1u << 7,
    PROP_SERVER_KEEP_ALIVE = 1u << 8,
    PROP_AUTH_METHOD = 1u << 9,
    PROP_AUTH_DATA = 1u << 10,
    PROP_REQUEST_PROBLEM_INFO = 1u << 11,
    PROP_WILL_DELAY = 1u << 12,
    PROP_REQUEST_RESPONSE_INFO = 1u << 13,
    PROP_RESPONSE_INFO = 1u << 14,
    PROP_SERVER_REFERENCE = 1u << 15,
    PROP_REASON_STRING = 1u << 16,
    PROP_RECEIVE_MAXIMUM = 1u << 17,
    PROP_TOPIC_ALIAS_MAXIMUM = 1u << 18,
    PROP_TOPIC_ALIAS = 1u << 19,
    PROP_MAXIMUM_QOS = 1u << 20,
    PROP_RETAIN_AVAILABLE = 1u << 21,
    PROP_USER_PROPERTY = 1u << 22,
    PROP_MAXIMUM_PACKET_SIZE = 1u << 23,
    PROP_WILDCARD_AVAILABLE = 1u << 24,
    PROP_SUBSCRIPTION_ID_AVAILABLE = 1u << 25,
    PROP_SHARED_AVAILABLE = 1u << 26,
};

// The properties of one packet: validated (known, allowed in this packet, not
// repeated, in range; strings are UTF-8), defaults filled in. In 3.x empty.
struct Props {
    Bytes raw;            // all of them as they came, without their length
    uint32_t has = 0;     // PropBit of those present
    uint32_t message_expiry_s = NO_EXPIRY;
    uint32_t session_expiry_s = 0;
    uint32_t will_delay_s = 0;
    uint32_t subscription_id = 0;  // 0: none
    uint32_t maximum_packet_size = UINT32_MAX;
    uint16_t receive_maximum = 65535;
    uint16_t topic_alias_maximum = 0;
    uint16_t topic_alias = 0;
    bool request_problem_info = true;
    bool request_response_info = false;
    Bytes response_topic;
    Bytes auth_method;
    Bytes auth_data;
    Bytes reason_string;
};

// Sizes of what publish_forward_props writes, and where it put the expiry.
struct ForwardProps {
    uint32_t size = 0;           // bytes of properties, without their length
    uint16_t expiry_at = 0;      // offset of the 4-byte expiry value + 1; 0: none
};

// The properties of a PUBLISH (or Will) that go on to subscribers, in the
// order received: all but Topic Alias, Subscription Identifier and Will Delay
// [MQTT-3.3.2-4, -15 to -20]. Writes them to `out` (at least props.raw.size()
// bytes) when it is not null; the return value is the same either way.
// An expiry beyond byte 65,534 of the block is moved to its front.
ForwardProps publish_forward_props(const Props &, char *out);

// ---- for the decoders of this room -----------------------------------------

// The places a client can put properties in; a bit each.
enum PropsPlace : uint16_t {
    IN_CONNECT = 1u << 0,
    IN_WILL = 1u << 1,
    IN_PUBLISH = 1u << 2,
    IN_ACK = 1u << 3,  // PUBACK, PUBREC, PUBREL, PUBCOMP
    IN_SUBSCRIBE = 1u << 4,
    IN_UNSUBSCRIBE = 1u << 5,
    IN_DISCONNECT = 1u << 6,
    IN_AUTH = 1u << 7,
};

// Reads length and properties; linear in their size. MalformedPacket: unknown,
// cut short, text that is no UTF-8. ProtocolError: repeated, out of range, or
// not allowed in `place` (MalformedPacket there for SUBSCRIBE and UNSUBSCRIBE,
// as Mosquitto). TopicAliasInvalid: alias 0.
[[nodiscard]] Reason props_decode(Reader *, PropsPlace place, Props *out);
