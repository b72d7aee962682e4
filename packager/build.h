// `bundle build`: a model on disk becomes a bundle in the store, byte for byte the same wherever
// and whenever it is built.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "packager/quality_report.h"
#include "packager/source_files.h"
#include "packager/store.h"

namespace bundle::packager {

/// What a server would refuse of a model's files (tokenizer, chat template) and of bundle.yaml's
/// runtime section. Asked before anything is written.
using CheckServable =
    std::function<Status(const format::ModelSource& model, const JsonObject& runtime)>;

struct BuildOptions {
  std::string name;             // "NAME[:TAG]"; "" takes bundle.yaml's, else the source's own
  Path server;                  // the runtime to pack; "" takes bundle-server beside this program
  Path shell = {};              // a static busybox for KServe's modelcars; "": no shell
  bool with_cuda = true;        // where the server has the backend for GPUs beside it
  bool with_runtime = true;     // false: weights and config alone, served by an installed server
  FetchSource fetch = {};       // for a model that is not on this host; empty refuses such
  std::string quantize;         // as bundle.yaml's `quantize`, which it replaces; "" leaves that
  MeasureQuality measure = {};  // of quantized weights; empty: no report
  CheckServable check = {};     // empty: the model's own files are checked, no more
};

struct BuiltLayer {
  std::string digest;
  std::uint64_t size = 0;
  std::string media_type;
  std::string role;                // "weights", "config", "shell", "runtime"
  std::vector<std::string> files;  // paths in the image
  bool reused = false;             // the store had it already
};

struct BuildResult {
  std::string name;
  std::string tag;
  std::string digest;
  std::string content_digest;
  std::uint64_t size = 0;
  std::vector<BuiltLayer> layers;
  std::vector<std::string> warnings;  // full sentences for a person
  Json quality;                       // of quantized weights, when it was measured; else null
};

/// Builds `source`: a folder with bundle.yaml, a Hugging Face folder, a bundle.yaml or a .gguf
/// file. The model is opened and checked whole before the first byte is written. On any error the
/// store is as it was; a build that was interrupted goes on where it stopped when run again
/// (quantizing begins anew). A report on quality that cannot be made is a warning.
Result<BuildResult> build(const Path& source, Store& store, const BuildOptions& options,
                          const Progress& progress);

/// The document of `bundle build --output json`.
Json to_json(const BuildResult& result);

}  // namespace bundle::packager
