// How fast this machine reads memory at this moment: the limit of every decode.
#pragma once

namespace bundle::cli {

/// Gigabytes a second that `threads` threads read together from a buffer far larger than the
/// caches: the best of `passes`, since neighbours on a shared machine only ever slow one down.
double read_bandwidth_gb_s(int threads, int passes);

}  // namespace bundle::cli
