// `bundle diff`: what two bundles mean differently, not which bytes differ.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "packager/store.h"

namespace bundle::packager {

/// {"same", "settings": [{"key","from","to"}], "files": […], "tensors": {"added","removed",
/// "changed","same"}, "runtime": {"from","to"}}. Tensors are compared by name, type, shape and
/// bytes, wherever they lie; those in files that both bundles have are equal unread.
Result<Json> diff_bundles(const StoredBundle& from, const StoredBundle& to);

/// The same for a person.
std::string diff_text(const Json& diff);

}  // namespace bundle::packager
