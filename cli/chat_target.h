// Whom `bundle chat` talks to: a deployment, a URL, or a server of its own for the time being.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/process.h"
#include "base/progress.h"
#include "base/result.h"

namespace bundle::cli {

/// A server that answers; one that was started for this ends with the object.
class ChatTarget {
 public:
  /// A URL, the name of a deployment, else a bundle or path that is served privately on loopback.
  static Result<ChatTarget> open(const std::string& reference, const Progress& progress);
  /// What `other` started is this one's to end.
  ChatTarget(ChatTarget&& other) noexcept
      : url_(std::move(other.url_)),
        server_(std::exchange(other.server_, std::nullopt)),
        folder_(std::move(other.folder_)) {}
  ChatTarget& operator=(ChatTarget&&) = delete;
  ~ChatTarget();

  const std::string& url() const { return url_; }

 private:
  ChatTarget() = default;
  static Result<ChatTarget> start_private(const std::string& reference, const Progress& progress);

  std::string url_;
  std::optional<ProcessIdentity> server_;
  std::unique_ptr<Path> folder_;  // of the private server's files
};

}  // namespace bundle::cli
