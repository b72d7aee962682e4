// What the gateway does with sockets: coroutines that each end by a time, on the executor of the
// socket they are given.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"

namespace bundle::gateway {

/// kUnreachable when the address is taken or is none of this machine.
Result<boost::asio::ip::tcp::acceptor> listen(boost::asio::io_context& context,
                                              const std::string& host, std::uint16_t port);

/// The other side has closed, or broken off.
bool is_gone(boost::asio::ip::tcp::socket& socket);

boost::asio::awaitable<void> sleep(std::chrono::milliseconds time);

/// Resolves and connects. `limit` is for connecting alone.
boost::asio::awaitable<bool> connect(boost::asio::ip::tcp::socket& socket, std::string host,
                                     std::uint16_t port, std::chrono::milliseconds limit);

/// All of `text`, which must stay until it is sent. False after `limit`, or when it broke.
boost::asio::awaitable<bool> send(boost::asio::ip::tcp::socket& socket, std::string_view text,
                                  std::chrono::milliseconds limit);

/// Bytes read; 0 at the end, after `limit` (0: none), or when `watched` is gone (null: nobody is).
boost::asio::awaitable<std::size_t> read_some(boost::asio::ip::tcp::socket& socket,
                                              std::span<char> into,
                                              boost::asio::ip::tcp::socket* watched,
                                              std::chrono::milliseconds limit);

}  // namespace bundle::gateway
