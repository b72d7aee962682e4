// TLS for the API: what a server presents, and whom it lets in.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "base/result.h"
#include "runtime/server/http_server.h"

namespace bundle::server {

using TlsContext = boost::asio::ssl::context;

/// A context for new connections, TLS 1.2 or newer. kBadInput, naming the file, when one of them
/// cannot be read or key and certificate do not belong together.
Result<std::shared_ptr<TlsContext>> load_tls(const TlsFiles& files);

}  // namespace bundle::server
