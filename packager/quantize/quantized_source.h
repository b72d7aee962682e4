// A model source whose weights are being quantized on their way into a bundle.
#pragma once

#include <vector>

#include "base/progress.h"
#include "packager/quantize/planned_file.h"
#include "packager/source_files.h"
#include "packager/write_session.h"
#include "runtime/format/model_config.h"

namespace bundle::packager::quantize {

/// The quantized files and what is packed beside them. The new files lie in the store's temporary
/// folder as long as this does.
struct QuantizedSource {
  std::vector<TemporaryFile> files;
  std::vector<ChosenFile> chosen;  // sorted by name
};

/// Quantizes the weights of `source`, which `checkpoint` and `config` describe. The bytes are the
/// same wherever and whenever it is done, on any number of cores.
Result<QuantizedSource> quantize_source(const BuildSource& source,
                                        const format::Checkpoint& checkpoint,
                                        const format::ModelConfig& config,
                                        Quantization quantization, const WriteSession& session,
                                        const Progress& progress);

}  // namespace bundle::packager::quantize
