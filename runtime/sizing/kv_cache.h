// What the cache of keys and values takes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/sizing/layout.h"

namespace bundle::sizing {

/// Type of cached keys and values. A value.
struct KvType {
  std::string_view name = "bf16";
  int bytes = 2;
  int group_bytes = 0;  // of the scale that each kKvScaleGroup elements of a vector share

  std::int64_t vector_bytes(std::int64_t elements) const;
};

/// "bf16", "f16", "fp8", "int8", "f32". kNotFound for another.
Result<KvType> kv_type(std::string_view name);

/// Bytes that one rank keeps for one sequence of `tokens` positions, on the stage that keeps most:
/// a GQA rank has its share of the heads, but at least one (with more ranks than heads they are
/// copies); an MLA rank has the whole latent; a layer with a sliding window has the window alone.
std::uint64_t rank_kv_bytes(const ModelShape& shape, const Layout& layout, const KvType& type,
                            std::int64_t tokens);

}  // namespace bundle::sizing
