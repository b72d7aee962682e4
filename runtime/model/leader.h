// One rank decides and the others follow: whoever calls the first rank's model, calls all of them.
#pragma once

#include <functional>
#include <memory>

#include "runtime/model/model.h"
#include "runtime/model/team.h"

namespace bundle::model {

/// The first rank's model so that every step of it is a step of all ranks. Waits until each of the
/// others has said, by follow(), that it is loaded. `team` must outlive it; the others end when it
/// goes; one that goes before its cache was prepared takes them along with an error. The error of a
/// rank that gave up, with its number, comes from here.
Result<std::unique_ptr<Model>> lead(std::unique_ptr<Model> model, const Team& team);

/// Another rank's part: makes its cache when told so, and runs steps until the first rank's model
/// goes. An error when a rank fails; errors of this one reach the others. `on_prepared` is called
/// once the cache is there: then the first rank serves.
Status follow(Model& model, kernels::Device& device, const Team& team,
              const std::function<void()>& on_prepared = {});

}  // namespace bundle::model
