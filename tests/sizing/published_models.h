// Configurations of published models with the counts that were checked against their publishers'
// figures (tests/sizing/models.json).
#pragma once

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/format/model_config.h"

namespace bundle::sizing {

struct PublishedModel {
  std::string name;
  format::ModelConfig config;
  std::uint64_t parameters = 0;
  std::uint64_t active = 0;
  std::uint64_t kv_bytes_16bit = 0;
};

inline std::uint64_t count_of(const Json& model, const char* key) {
  return static_cast<std::uint64_t>(get_int(model, key, "models.json").value());
}

inline std::vector<PublishedModel> published_models() {
  const std::string path = std::string(BUNDLE_SOURCE_DIR) + "/tests/sizing/models.json";
  const Json json = read_json_file(path).value();
  std::vector<PublishedModel> models;
  for (const Json& model : json.get_array()) {
    const std::string name = get_string(model, "name", path).value();
    auto config = format::parse_model_config(print_json(*find(model, "config")));
    EXPECT_TRUE(config) << name << ": " << config.error().message();
    if (!config) continue;
    models.push_back({name, *config, count_of(model, "parameters"), count_of(model, "active"),
                      count_of(model, "kv_bytes_16bit")});
  }
  return models;
}

}  // namespace bundle::sizing
