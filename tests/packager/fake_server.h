// An HTTP server on loopback that answers as a test says: for servers that lie, break off, redirect
// and count.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"

namespace bundle::packager::sample {

struct FakeRequest {
  std::string method;
  std::string target;                          // path and query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct FakeAnswer {
  int status = 200;
  std::map<std::string, std::string> headers = {};
  std::string body = {};
  std::uint64_t endless = 0;  // so many bytes more than `body`, under its Content-Length
  std::uint64_t cut = 0;      // so many bytes of `body` are not sent, though announced
  bool no_length = false;     // no Content-Length: the body ends with the connection
};

/// Serves a file's bytes with ranges, as object stores do.
FakeAnswer serve_bytes(const FakeRequest& request, const std::string& bytes);

/// Each connection has a thread; requests are kept in order of arrival.
class FakeServer {
 public:
  using Handler = std::function<FakeAnswer(const FakeRequest& request)>;

  explicit FakeServer(Handler handler);
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  ~FakeServer();

  /// "127.0.0.1:PORT"; with `name`, another host name for the same place ("localhost:PORT").
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string other_address() const { return "localhost:" + std::to_string(port_); }
  std::vector<FakeRequest> requests() const;

 private:
  void accept_all();
  void serve(int peer);

  Handler handler_;
  Fd listener_;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<FakeRequest> requests_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

}  // namespace bundle::packager::sample
