#include "packager/registry/remote_reference.h"

#include "base/url.h"
#include "packager/manifest.h"
#include "packager/reference.h"

namespace bundle::packager::registry {
namespace {

Error no_remote(std::string_view text) {
  return {ErrorCode::kUsage,
          "'" + std::string(text.substr(0, 200)) + "' does not name a bundle in a registry", "",
          "Write REGISTRY/NAME[:TAG], such as registry.example.com/team/model:v1."};
}

bool is_registry(std::string_view host) {
  return host == "localhost" || host.find_first_of(".:") != std::string_view::npos;
}

}  // namespace

std::string RemoteReference::text() const {
  return name() + (digest.empty() ? ':' + tag : '@' + digest);
}

std::string RemoteReference::short_name() const {
  return repository.substr(repository.rfind('/') + 1);
}

Result<RemoteReference> parse_remote(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with("oci://")) rest.remove_prefix(6);
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos || !is_registry(rest.substr(0, slash))) {
    return no_remote(text);
  }
  RemoteReference remote;
  remote.registry = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  if (!parse_url("https://" + remote.registry + '/')) {
    return Error{ErrorCode::kUsage, "'" + remote.registry + "' is no registry's HOST[:PORT]",
                 std::string(text), "A port is a number from 1 to 65535."};
  }
  const auto reference = parse_reference(rest);
  if (!reference || reference->name.empty()) return no_remote(text);
  remote.repository = reference->name;
  remote.digest = reference->digest;
  remote.tag =
      reference->tag.empty() && remote.digest.empty() ? std::string(kDefaultTag) : reference->tag;
  return remote;
}

}  // namespace bundle::packager::registry
