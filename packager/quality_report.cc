#include "packager/quality_report.h"

#include "packager/referrers.h"

namespace bundle::packager {

Status attach_quality(WriteSession& session, const Descriptor& index, const Json& report) {
  BUNDLE_TRY([[maybe_unused]] const Descriptor kept,
             add_referrer(session, {.artifact_type = std::string(kQualityType),
                                    .subject = index,
                                    .layers = {{std::string(kQualityType), pretty_json(report)}}}));
  return {};
}

}  // namespace bundle::packager
