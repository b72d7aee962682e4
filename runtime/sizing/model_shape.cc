#include "runtime/sizing/model_shape.h"

#include <algorithm>

#include "runtime/format/hf_config.h"

namespace bundle::sizing {
namespace {

constexpr const char* kWhere = "config.json";
constexpr const char* kSparse = "DeepseekV32ForCausalLM";

bool is_sparse(const Json& config) {
  const Json* list = find(config, "architectures");
  return list != nullptr && list->is_array() && !list->get_array().empty() &&
         list->get_array()[0] == Json(kSparse);
}

Result<IndexerShape> read_indexer(const Json& config) {
  IndexerShape indexer;
  BUNDLE_TRY(indexer.heads, get_int(config, "index_n_heads", kWhere));
  BUNDLE_TRY(indexer.head_dim, get_int(config, "index_head_dim", kWhere));
  BUNDLE_TRY(indexer.top_k, get_int(config, "index_topk", kWhere));
  const auto most = std::max({indexer.heads, indexer.head_dim, indexer.top_k});
  if (std::min({indexer.heads, indexer.head_dim, indexer.top_k}) < 1 || most > 1 << 20) {
    return bad_input("the sizes of the indexer are out of range", kWhere);
  }
  return indexer;
}

}  // namespace

Result<ModelShape> shape_of_config(const Json& config, std::string name) {
  if (!config.is_object()) return bad_input("it is no JSON object", kWhere);
  ModelShape shape;
  shape.name = std::move(name);
  BUNDLE_TRY(shape.format, weight_format_of(config));
  JsonObject plain = config.get_object();
  plain.erase("quantization_config");
  if (is_sparse(config)) {
    BUNDLE_TRY(shape.indexer, read_indexer(config));
    plain["architectures"] = JsonArray{Json("DeepseekV3ForCausalLM")};
  }
  BUNDLE_TRY(shape.config, format::config_from_json(Json(std::move(plain)), nullptr, 0));
  return shape;
}

}  // namespace bundle::sizing
