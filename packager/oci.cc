#include "packager/oci.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace bundle::packager::oci {

constexpr std::size_t kMostDescriptors = 10000;

JsonObject to_json(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type},
          {"digest", descriptor.digest},
          {"size", static_cast<std::int64_t>(descriptor.size)}};
}

Result<Descriptor> read_descriptor(const Json& value, std::string_view where) {
  Descriptor descriptor;
  BUNDLE_TRY(descriptor.media_type, get_string(value, "mediaType", where));
  BUNDLE_TRY(descriptor.digest, get_string(value, "digest", where));
  BUNDLE_TRY(const std::int64_t size, get_int(value, "size", where));
  if (!is_valid_digest(descriptor.digest)) {
    return bad_input("a digest is not sha256 and 64 hex digits", std::string(where));
  }
  if (size < 0) return bad_input("a size is negative", std::string(where));
  descriptor.size = static_cast<std::uint64_t>(size);
  return descriptor;
}

Result<std::vector<Descriptor>> read_descriptors(const Json& document, std::string_view key,
                                                 std::string_view where) {
  const Json* array = find(document, key);
  if (array == nullptr || !array->is_array()) {
    return bad_input("'" + std::string(key) + "' is not a list", std::string(where));
  }
  if (array->get_array().size() > kMostDescriptors) {
    return bad_input("'" + std::string(key) + "' has over 10000 entries", std::string(where));
  }
  std::vector<Descriptor> descriptors;
  for (const Json& value : array->get_array()) {
    BUNDLE_TRY(Descriptor descriptor, read_descriptor(value, where));
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

std::string annotation(const Json& value, std::string_view key) {
  const Json* annotations = find(value, "annotations");
  const Json* text = annotations == nullptr ? nullptr : find(*annotations, key);
  return text == nullptr || !text->is_string() ? "" : std::string(text->get_string());
}

}  // namespace bundle::packager::oci
