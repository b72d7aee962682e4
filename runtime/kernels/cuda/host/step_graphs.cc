#include "runtime/kernels/cuda/host/step_graphs.h"

namespace bundle::kernels::cuda {
namespace {

constexpr std::size_t kMostGraphs = 512;

}  // namespace

void StepGraphs::drop() {
  for (const auto& [shape, graph] : graphs_) {
    if (graph != nullptr) driver_.free_graph(graph);
  }
  graphs_.clear();
}

/// Null when what was captured is of no use; nothing ran then.
Graph StepGraphs::capture(const std::function<void()>& body) {
  const std::uint64_t before = changes_;
  spoilt_ = false;
  capturing_ = true;
  driver_.begin_capture(stream_);
  body();
  Graph graph = driver_.end_capture(stream_);
  capturing_ = false;
  if (graph != nullptr && (spoilt_ || changes_ != before)) {
    driver_.free_graph(graph);
    graph = nullptr;
  }
  return graph;
}

void StepGraphs::run(const StepShape& shape, const std::function<void()>& body) {
  if (valid_for_ != changes_ || graphs_.size() >= kMostGraphs) drop();
  valid_for_ = changes_;
  const auto [seen, first] = graphs_.emplace(shape, nullptr);
  if (!first && seen->second == nullptr) seen->second = capture(body);
  if (seen->second != nullptr) {
    driver_.replay(seen->second, stream_);
  } else {
    body();
  }
}

}  // namespace bundle::kernels::cuda
