#include "runtime/sizing/gpu.h"

#include <algorithm>

namespace bundle::sizing {

double GpuSpec::peak(const std::string& compute) const {
  double found = bf16;
  if (compute == "fp8") found = fp8;
  if (compute == "fp4") found = fp4 > 0 ? fp4 : fp8;
  if (compute == "int8") found = int8;
  if (found > 0) return found;
  return bf16 > 0 ? bf16 : fp16;
}

std::string GpuSpec::node_label() const {
  std::string label = driver_name;
  std::replace(label.begin(), label.end(), ' ', '-');
  return label;
}

}  // namespace bundle::sizing
