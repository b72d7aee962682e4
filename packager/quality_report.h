// How much a bundle's quantized weights differ from those it was made of: measured by whoever has
// an engine, kept as a referrer beside the bundle.
#pragma once

#include <functional>

#include "base/json.h"
#include "base/result.h"
#include "packager/write_session.h"
#include "runtime/format/source.h"

namespace bundle::packager {

inline constexpr std::string_view kQualityType = "application/vnd.bundle.quality.v1+json";

/// Compares the model as it will be served with the one it was made of; gives the report.
using MeasureQuality = std::function<Result<Json>(const format::ModelSource& published,
                                                  const format::ModelSource& quantized)>;

/// Keeps the report beside the bundle whose index is given.
Status attach_quality(WriteSession& session, const Descriptor& index, const Json& report);

}  // namespace bundle::packager
