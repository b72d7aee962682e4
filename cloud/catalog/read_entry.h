// From the catalogue's documents to entries, checked.
#pragma once

#include <vector>

#include "cloud/catalog/catalog.h"

namespace bundle::catalog {

struct Entries {
  std::vector<sizing::GpuSpec> gpus;
  std::vector<sizing::MachineSpec> machines;
  std::vector<ModelEntry> models;
};

/// kBadInput, naming the entry and key, for a value of the wrong type or out of range, and for a
/// document with none of the three lists.
Result<Entries> read_entries(const Json& document, std::string_view where);

}  // namespace bundle::catalog
