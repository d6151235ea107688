// broker/handle_control.cpp -- PINGREQ, DISCONNECT, AUTH.
#include "broker/client.h"

Next handle_pingreq(Client *c, uint8_t head, Bytes body) {
    Reason r = pingreq_decode(body, head, c->version);
    if (r != Reason::Success) return client_refuse(c, r, reason_text(r));
    char buffer[ENCODE_MAX];
    Writer w{buffer, buffer + sizeof buffer};
    pingresp_encode(&w);
    client_send(c, Bytes(buffer, static_cast<size_t>(w.at - buffer)));
    return Next::Continue;
}

Next handle_disconnect(Client *c, uint8_t head, Bytes body) {
    Disconnect d;
    Reason r = disconnect_decode(body, head, c->version, &d);
    if (r != Reason::Success) return client_refuse(c, r, reason_text(r));
    if (d.props.has & PROP_SESSION_EXPIRY) {
        if (c->expiry_was_zero && d.props.session_expiry_s) // N5-13
            return client_refuse(c, Reason::ProtocolError, "protocol error");
        c->session->expiry_s = d.props.session_expiry_s;
    }
    bool goodbye = d.reason == Reason::Success; // else the will runs [MQTT-3.14.4-3]
    client_end(c, goodbye ? End::Disconnect : End::Lost, goodbye ? "" : reason_text(d.reason));
    return Next::Stop;
}

// No authentication method exists yet, so CONNECT has agreed on none and every
// AUTH is a Protocol Error [MQTT-4.12.0-7].
Next handle_auth(Client *c, uint8_t head, Bytes body) {
    if (!(c->caps & CAP_REASONS))
        return client_refuse(c, Reason::MalformedPacket, "malformed packet");
    Auth a;
    Reason r = auth_decode(body, head, &a);
    if (r == Reason::Success) r = Reason::ProtocolError;
    return client_refuse(c, r, reason_text(r));
}
