// broker/client.h -- one connection's protocol state, from CONNECT to the end.
#pragma once

#include "broker/state.h"

// What a packet handler wants next. After Stop the Client is gone.
enum class Next : uint8_t { Continue, Stop };

void client_on_open(Conn *);
void client_on_data(Conn *, Bytes);
void client_on_drained(Conn *);
void client_on_closed(Conn *, CloseCause);

// Timers of Client.
void client_on_connect_timeout(Client *);
void client_on_keep_alive(Client *);

// How a connection ends; decides about the will (N5-20 of the 5.0 rules).
enum class End : uint8_t {
    Disconnect,   // the client said DISCONNECT 0x00: no will
    Lost,         // everything else, DISCONNECT 0x04 included: the will runs
    TakenOver,    // another connection resumes this session: a delayed will is
                  // dropped, one without delay is sent
    Replaced,     // another connection begins this id anew: the will is sent
    Stopping,     // the broker stops
};

// Ends the connection: will, session (parked, ended, or left to the newcomer
// for TakenOver and Replaced), timers, the Client itself; closes the Conn after
// what was sent before. `why` is for the log; empty: an ordinary goodbye.
void client_end(Client *, End, const char *why);

// Publishes the client's will now, if it would run without delay at this end.
// For a stop, where everybody is to hear of everybody.
void client_publish_will(Client *);

// The peer broke a rule or must go: 5.0 clients get DISCONNECT with `reason`
// first [MQTT-4.13.1-1]; the will runs. Returns Next::Stop for handlers.
Next client_refuse(Client *, Reason, const char *what);

Extra *client_extra(Client *);
// Frees Extra if nothing is in it any more.
void client_tidy(Client *);

// For logs: "(null)" before CONNECT is accepted; "PUBACK" and so on.
Bytes client_id(const Client *);
const char *client_packet_name(PacketType);

// "ID [ADDR:PORT]" for logs; returns `out`.
constexpr size_t CLIENT_TEXT = 160;
const char *client_text(const Client *, char out[CLIENT_TEXT]);

// Sends a small packet that `encode` writes.
void client_send(Client *, Bytes packet);

// DISCONNECT with `reason` to a 5.0 client that is connected; others are told
// nothing [MQTT-3.14.0-1, N5-89].
void client_send_disconnect(Client *, Reason reason);

// The only way an acknowledgement leaves (CONNACK of success, PUBACK, PUBREC,
// PUBCOMP, SUBACK, UNSUBACK): each is a promise that something is kept. Sessions
// live in memory, so it can be given at once; a durable store makes it wait
// here for its batch, in the order of these calls.
void client_promise(Client *, Bytes packet);

// (Re)starts the keep-alive clock.
void client_watch_keep_alive(Client *);

// The gate, then the handler of the packet's type.
Next client_dispatch(Client *, uint8_t head, Bytes body);

// ---- handlers: one for each packet type ------------------------------------

Next handle_connect(Client *, uint8_t head, Bytes body);
Next handle_publish(Client *, uint8_t head, Bytes body);
Next handle_ack(Client *, uint8_t head, Bytes body); // PUBACK to PUBCOMP
Next handle_subscribe(Client *, uint8_t head, Bytes body);
Next handle_unsubscribe(Client *, uint8_t head, Bytes body);
Next handle_pingreq(Client *, uint8_t head, Bytes body);
Next handle_disconnect(Client *, uint8_t head, Bytes body);
Next handle_auth(Client *, uint8_t head, Bytes body);
