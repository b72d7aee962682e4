#include "packager/registry/blob_upload.h"

#include <algorithm>
#include <charconv>
#include <fcntl.h>
#include <optional>
#include <unistd.h>

#include <boost/json/object.hpp>

#include "base/json.h"
#include "base/sha256.h"

namespace bundle::packager::registry {
namespace {

constexpr int kMostFailures = 8;

/// "0-1023" -> 1024: how much the registry has.
std::optional<std::uint64_t> received(std::string_view range) {
  if (range.starts_with("bytes=")) range.remove_prefix(6);
  if (!range.starts_with("0-")) return std::nullopt;
  std::uint64_t last = 0;
  const auto parsed = std::from_chars(range.data() + 2, range.data() + range.size(), last);
  if (parsed.ec != std::errc() || parsed.ptr != range.data() + range.size()) return std::nullopt;
  return last == 0 ? 0 : last + 1;  // an empty upload is told as "0-0"
}

/// One upload: its location changes with every answer.
class Upload {
 public:
  Upload(Connection& connection, const Descriptor& blob, Fd file, const Path& path,
         const UploadOptions& options, const UploadMeter& meter)
      : connection_(connection),
        blob_(blob),
        file_(std::move(file)),
        path_(path),
        options_(options),
        meter_(meter) {}

  Result<UploadOutcome> run() {
    BUNDLE_TRY(const bool is_there, exists());
    if (is_there) return UploadOutcome::kThere;
    if (!recall()) {
      BUNDLE_TRY(const bool mounted, start());
      if (mounted) return UploadOutcome::kMounted;
    }
    for (int failures = 0; failures < kMostFailures;) {
      const std::uint64_t before = sent_;
      BUNDLE_TRY(const bool done, step());
      if (done) {
        forget();
        return UploadOutcome::kUploaded;
      }
      if (sent_ <= before) ++failures;
    }
    return Error{ErrorCode::kUnreachable, "the registry does not take the blob", blob_.digest,
                 "Try again later; what was sent is kept."};
  }

 private:
  std::function<bool()> go_on() const {
    return [this] { return meter_(0); };
  }

  Result<bool> exists() {
    HttpRequest request;
    request.method = "HEAD";
    request.url = connection_.url("/blobs/" + blob_.digest).text();
    BUNDLE_TRY(const HttpResponse response,
               with_retries([&] { return connection_.send(request, Access::kPush); }, go_on()));
    return response.status == 200;
  }

  /// True when the registry took the blob from another repository.
  Result<bool> start() {
    const std::string from = options_.mount_from.empty() ? "" : options_.mount_from.front();
    HttpRequest request;
    request.method = "POST";
    Url url = connection_.url("/blobs/uploads/");
    if (!from.empty()) {
      url.query = "mount=" + percent_encode(blob_.digest) + "&from=" + percent_encode(from);
    }
    request.url = url.text();
    BUNDLE_TRY(const HttpResponse response,
               with_retries([&] { return connection_.send(request, Access::kPush, {}, {}, from); },
                            go_on()));
    if (response.status == 201) return true;
    if (response.status != 202) {
      return Connection::unexpected(response, "cannot start an upload", blob_.digest);
    }
    BUNDLE_CHECK(move_to(response));
    meter_(-static_cast<std::int64_t>(sent_));
    sent_ = 0;
    return false;
  }

  Status move_to(const HttpResponse& response) {
    BUNDLE_TRY(Url next, resolve_url(location_.host.empty() ? connection_.registry() : location_,
                                     response.header("location")));
    if (connection_.registry().is_secure() && !next.is_secure()) {
      return Error{ErrorCode::kUnreachable,
                   "the registry wants the upload over a connection that is not encrypted",
                   next.origin()};
    }
    location_ = std::move(next);
    const std::string_view least = response.header("oci-chunk-min-length");
    std::from_chars(least.data(), least.data() + least.size(), least_chunk_);
    remember();
    return {};
  }

  /// Sends the next piece, or all of it, or the end. True when the registry has the blob.
  Result<bool> step() {
    const std::uint64_t left = blob_.size - sent_;
    const std::uint64_t chunk = std::max(options_.chunk_bytes, least_chunk_);
    if (sent_ == 0 && left <= chunk) return send_all();
    if (left == 0) return finish();
    return send_chunk(std::min(left, chunk));
  }

  /// A request whose body is a part of the file; counts what goes out.
  Result<HttpResponse> send_part(HttpRequest request, std::uint64_t length) {
    request.headers.emplace_back("Content-Type", "application/octet-stream");
    std::uint64_t out = 0;
    bool stopped = false;
    bool broken = false;
    request.body_size = length;
    request.fill_body = [&](char* buffer, std::size_t room) -> std::size_t {
      const std::size_t wanted = std::min<std::uint64_t>(room, length - out);
      const ssize_t n = ::pread(file_.get(), buffer, wanted, static_cast<off_t>(sent_ + out));
      broken = n < 0 || (n == 0 && wanted > 0);
      if (broken) return kAbort;
      out += static_cast<std::uint64_t>(n);
      stopped = !meter_(n);
      return stopped ? kAbort : static_cast<std::size_t>(n);
    };
    auto response = connection_.send(request, Access::kPush);
    if (stopped) {
      return Error{ErrorCode::kInterrupted, "the upload was stopped", blob_.digest,
                   "Run it again to go on where it stopped."};
    }
    if (broken) return bad_input("a blob cannot be read", path_.string());
    if (!response || response->status / 100 != 2) meter_(-static_cast<std::int64_t>(out));
    return response;
  }

  Result<bool> send_all() {
    HttpRequest request;
    request.method = "PUT";
    request.url = with_digest();
    auto response = send_part(std::move(request), blob_.size);
    if (response && response->status == 201) {
      sent_ = blob_.size;
      return true;
    }
    BUNDLE_CHECK(recover(response));
    return false;
  }

  Result<bool> send_chunk(std::uint64_t length) {
    HttpRequest request;
    request.method = "PATCH";
    request.url = location_.text();
    request.headers.emplace_back("Content-Range",
                                 std::to_string(sent_) + '-' + std::to_string(sent_ + length - 1));
    auto response = send_part(std::move(request), length);
    if (response && (response->status == 202 || response->status == 204)) {
      sent_ += length;
      BUNDLE_CHECK(move_to(*response));
      return false;
    }
    BUNDLE_CHECK(recover(response));
    return false;
  }

  Result<bool> finish() {
    HttpRequest request;
    request.method = "PUT";
    request.url = with_digest();
    auto response = connection_.send(request, Access::kPush);
    if (response && response->status == 201) return true;
    BUNDLE_CHECK(recover(response));
    return false;
  }

  std::string with_digest() const {
    Url url = location_;
    url.query += (url.query.empty() ? "" : "&") + ("digest=" + percent_encode(blob_.digest));
    return url.text();
  }

  /// After a failure: asks how much the registry has, or starts over when it has forgotten.
  Status recover(const Result<HttpResponse>& failure) {
    if (!failure && failure.error().code != ErrorCode::kUnreachable) return failure.error();
    if (!failure && !is_passing(failure)) return failure.error();
    if (failure && !is_passing(failure) && failure->status != 404 && failure->status != 416 &&
        failure->status != 400) {
      return Connection::unexpected(*failure, "cannot upload a blob", blob_.digest);
    }
    if (!ask_status()) {
      forget();
      BUNDLE_TRY(const bool mounted, start());
      if (mounted) return failed("the registry mounted a blob that it had refused", blob_.digest);
    }
    return {};
  }

  /// Sets `sent_` to what the registry has; false when it does not know the upload.
  bool ask_status() {
    HttpRequest request;
    request.url = location_.text();
    const auto response =
        with_retries([&] { return connection_.send(request, Access::kPush); }, go_on());
    if (!response || response->status != 204) return false;
    const auto has = received(response->header("range"));
    if (!has || *has > blob_.size) return false;
    meter_(static_cast<std::int64_t>(*has) - static_cast<std::int64_t>(sent_));
    sent_ = *has;
    if (!response->header("location").empty()) return move_to(*response).has_value();
    return true;
  }

  Path memory_file() const {
    const std::string key =
        connection_.registry().origin() + '/' + connection_.repository() + '@' + blob_.digest;
    return options_.memory / (sha256_hex(key) + ".json");
  }

  void remember() const {
    if (options_.memory.empty()) return;
    const Json document = JsonObject{{"location", location_.text()}};
    (void)write_file_atomic(memory_file(), print_json(document));  // losing it only costs time
  }

  void forget() const {
    std::error_code ignored;
    if (!options_.memory.empty()) std::filesystem::remove(memory_file(), ignored);
  }

  /// Goes on with an upload of an earlier run, if the registry still knows it.
  bool recall() {
    if (options_.memory.empty()) return false;
    const auto document = read_json_file(memory_file().string(), 64u << 10);
    if (!document) return false;
    const auto text = get_string(*document, "location", "");
    auto url = text ? parse_url(*text) : Result<Url>(Error{});
    if (!url || (connection_.registry().is_secure() && !url->is_secure())) return false;
    location_ = *std::move(url);
    return ask_status();
  }

  /// CURL_READFUNC_ABORT, without libcurl's header.
  static constexpr std::size_t kAbort = 0x10000000;

  Connection& connection_;
  const Descriptor& blob_;
  Fd file_;
  const Path& path_;
  const UploadOptions& options_;
  const UploadMeter& meter_;
  Url location_;
  std::uint64_t sent_ = 0;
  std::uint64_t least_chunk_ = 0;
};

}  // namespace

Result<UploadOutcome> upload_blob(Connection& connection, const Descriptor& blob, const Path& file,
                                  const UploadOptions& options, const UploadMeter& meter) {
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error("cannot open a blob", file.string());
  return Upload(connection, blob, std::move(fd), file, options, meter).run();
}

}  // namespace bundle::packager::registry
