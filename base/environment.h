// Variables of the environment.
#pragma once

#include <initializer_list>
#include <string>

namespace bundle {

/// The first of these that is set and not empty, or "". Not while another thread sets variables.
std::string from_environment(std::initializer_list<const char*> names);

}  // namespace bundle
