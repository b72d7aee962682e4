// What a server generates, beside what the reference implementation does.
#pragma once

#include "tests/golden/golden_weights.h"
#include "tests/launch/running_server.h"

namespace bundle::launch {

/// Ids that a server, whose model is named "golden", generates greedily behind a prompt.
std::vector<std::int32_t> generate(const RunningServer& server, const golden::Prompt& prompt);

/// Expects the reference's ids up to the first step whose margin is too small to bind.
void expect_greedy(const RunningServer& server, const golden::Prompt& prompt, double tolerance);

}  // namespace bundle::launch
