#pragma once

namespace bundle::kernels::cuda {

/// A queue of a device's work, made by a Driver.
using Stream = void*;

}  // namespace bundle::kernels::cuda
