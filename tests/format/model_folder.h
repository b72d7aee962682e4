// A folder with the files of a model, made for one test.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "runtime/format/checkpoint.h"
#include "tests/golden/temp_folder.h"

namespace bundle::format {

class ModelFolder {
 public:
  ModelFolder& write(const std::string& name, std::string_view text) {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
    return *this;
  }
  Path path(const std::string& name = {}) const {
    return name.empty() ? folder_.path() : folder_.path() / name;
  }
  Result<Checkpoint> open(const std::string& name = {}) const {
    BUNDLE_TRY(ModelSource source, ModelSource::open(path(name)));
    return Checkpoint::open(std::move(source));
  }

 private:
  golden::TempFolder folder_;
};

}  // namespace bundle::format
