// A bundle as one program: launcher, runtime and model in one file that is copied to a host and
// run.
//
// Layout: the launcher (a static ELF program), then the runtime's files and the model's, each at a
// multiple of 4096 so that the server maps weights in place, then a directory of text lines, then a
// trailer of 64 bytes. packager/launcher reads it.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "packager/store.h"
#include "packager/transfer/export_model.h"

namespace bundle::packager {

/// Writes it with mode 0755. `launcher` "" takes bundle-launcher beside this program. kUsage for a
/// bundle without a runtime.
Result<ModelExport> export_executable(const StoredBundle& bundle, const Path& file,
                                      const Path& launcher, bool replace, const Progress& progress);

}  // namespace bundle::packager
