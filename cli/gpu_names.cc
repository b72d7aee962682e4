#include "cli/gpu_names.h"

namespace bundle::cli {

std::string gpu_type_on(std::string_view target, const std::string& gpu_type,
                        const catalog::Catalog& catalog) {
  const auto gpu = catalog.gpu(gpu_type);
  if (!gpu) return gpu_type;
  std::string name;
  if (target == "kubernetes") name = (*gpu)->node_label();
  if (target == "skypilot") name = (*gpu)->skypilot_name;
  return name.empty() ? gpu_type : name;
}

}  // namespace bundle::cli
