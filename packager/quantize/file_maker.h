// Planned files made: rows are read where they are mapped, rounded on every core, and written to
// their place.
#pragma once

#include <functional>

#include "base/result.h"
#include "packager/quantize/planned_file.h"
#include "runtime/format/checkpoint.h"

namespace bundle::packager::quantize {

/// Tells how many source elements more are done; false asks to stop. From one thread at a time.
using ElementMeter = std::function<bool(std::uint64_t more)>;

/// Writes the whole of `file` to an empty descriptor. Takes some 2 MB a thread beside what is
/// mapped, and lets go of each tensor's pages when it is written. The bytes do not depend on the
/// number of threads (0: one a core). kBadInput for weights that are not finite, kInterrupted when
/// the meter says so.
Status make_file(const PlannedFile& file, const format::Checkpoint& checkpoint, int descriptor,
                 int threads, const ElementMeter& meter);

}  // namespace bundle::packager::quantize
