// Sends finished requests as OpenTelemetry spans: OTLP over HTTP, in JSON.
// (https://opentelemetry.io/docs/specs/otlp/; attribute names are those of its conventions for HTTP
// servers and generative models.)
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/server/request_record.h"

namespace bundle::server {

/// The body of one export.
std::string otlp_document(const std::vector<RequestRecord>& records, const std::string& version);

/// Exports from a thread of its own, a batch a second; a collector that is slow or away costs
/// spans, never requests. Thread-safe.
class TraceExporter {
 public:
  /// `endpoint`: the collector's base URL (http://host:4318), or the whole one of its traces; "":
  /// exports nothing.
  TraceExporter(const std::string& endpoint, std::string version);
  /// Sends what is left, within a second.
  ~TraceExporter();

  bool enabled() const { return !url_.empty(); }
  void add(RequestRecord record);

 private:
  void loop();
  void send(const std::vector<RequestRecord>& batch);

  std::string url_;
  const std::string version_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RequestRecord> waiting_;
  bool stop_ = false;
  bool failing_ = false;
  std::thread thread_;
};

}  // namespace bundle::server
