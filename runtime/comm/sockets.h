// TCP sockets of a group: listening, connecting and naming them. None of them blocks.
#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace bundle::comm {

/// A numeric address, of either version.
bool is_numeric_address(const std::string& host);
/// 127.0.0.0/8 and ::1, as numbers.
bool is_loopback_address(const std::string& host);
/// "10.0.0.1:29500", "[::1]:29500".
std::string address_text(const std::string& host, std::uint16_t port);

/// Listens on a numeric address, or on all of this machine's where `host` is empty. Port 0 takes a
/// free one. kUnreachable when the address is taken or not this machine's.
Result<Fd> listen_on(const std::string& host, std::uint16_t port);

/// Begins to connect, from `own_host` where it is not empty; of several addresses of a name, the
/// `attempt`th one round. Looking a name up may take seconds. kUnreachable when there is no such
/// name.
Result<Fd> start_connecting(const std::string& host, std::uint16_t port,
                            const std::string& own_host, int attempt);

/// Whether a socket that can be written is connected: kUnreachable, saying why, when it is not.
Status check_connected(int socket);

/// The next connection that waits, or an empty one.
Fd accept_one(const Fd& listener);

std::uint16_t own_port(const Fd& socket);
/// Numeric; "" when the socket is not connected.
std::string own_host_of(int socket);
std::string peer_host_of(int socket);

/// For a connection that many small messages are to cross: each goes out at once, and a machine
/// that is no longer there is noticed within about fifteen seconds, also while nothing is sent.
void settle_link(const Fd& socket);

}  // namespace bundle::comm
