// How one copy of a model is spread over GPUs.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "runtime/sizing/model_shape.h"

namespace bundle::sizing {

/// `tp` ranks share every layer, `pp` stages share the layers. Within the `tp` ranks, experts are
/// spread over `ep` of them (and each expert is cut into tp / ep pieces), and attention runs `dp`
/// times on different requests, each on tp / dp ranks (data-parallel attention).
struct Layout {
  std::int64_t tp = 1;
  std::int64_t pp = 1;
  std::int64_t ep = 1;
  std::int64_t dp = 1;

  std::int64_t gpus() const { return tp * pp; }
  std::int64_t attention_ranks() const { return tp / dp; }
  bool operator==(const Layout&) const = default;
};

/// "TP8 EP8", "TP4 PP2".
std::string layout_text(const Layout& layout);

/// kUsage when ranks do not divide each other, heads do not divide over the attention's ranks (an
/// expert or a head is never split unevenly), or there are more stages than layers.
Status check_layout(const ModelShape& shape, const Layout& layout);

/// Layers of stage `stage`: the first ones get one more when they do not divide.
struct LayerRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};
LayerRange stage_layers(std::int64_t layers, std::int64_t stages, std::int64_t stage);

}  // namespace bundle::sizing
