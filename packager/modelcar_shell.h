// A shell for images that KServe mounts as modelcars: it starts them with `sh -c 'ln -s … && sleep
// infinity'`, and a bundle's image has no programs but its server.
#pragma once

#include "packager/layer_writer.h"

namespace bundle::packager {

/// The program in the image; its other names are scripts that call it.
inline constexpr std::string_view kBusyboxPath = "bin/busybox";

/// The layer of that shell, from a statically linked busybox on this host. kBadInput for a program
/// that needs libraries or a loader, which the image does not have where it looks for them.
Result<LayerPlan> shell_plan(const Path& busybox);

/// Writes the busybox of a bundle's shell layer to `file`; false when it has none.
Result<bool> extract_busybox(const StoredBundle& bundle, const Path& file);

}  // namespace bundle::packager
