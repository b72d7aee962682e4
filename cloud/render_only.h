// Targets whose engine is run by a person or a pipeline: we write its files, and it does the rest.
#pragma once

#include <functional>
#include <string>

#include "cloud/provider.h"

namespace bundle::cloud {

/// Every operation but render is refused with `remedy`, which says what applies the files.
std::unique_ptr<Provider> make_render_only(
    std::string name, std::string remedy,
    std::function<Result<std::vector<RenderedFile>>(const DeploymentSpec&)> render);

}  // namespace bundle::cloud
