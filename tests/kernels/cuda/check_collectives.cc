// A group of one rank: that the transport between GPUs is there, works on the driver's stream, and
// may be part of a graph. What several ranks give needs several GPUs, or the emulator
// (gpu_communicator_test.cc).
#include <cstdio>

#include "tests/kernels/cuda/check_tools.h"

namespace bundle::kernels::cuda {
namespace {

CheckResult unchanged(const Subject& subject, const Collectives& group, const std::string& what,
                      const std::vector<float>& got, const std::vector<float>& values) {
  CheckResult result = result_of(subject, "collectives, one rank: " + what,
                                 differs(got.data(), values.data(), values.size()), 0.0);
  if (group.status() != nullptr) result.problem = group.status();
  return result;
}

}  // namespace

std::vector<CheckResult> check_collectives(const Subject& subject) {
  if (subject.collectives == nullptr) return {};
  GroupId id;
  char problem[512] = "";
  if (!subject.collectives->make_id(1, &id, problem, sizeof problem)) {
    std::printf("collectives: not checked: %s\n", problem);
    return {};
  }
  const std::unique_ptr<Collectives> group(
      subject.collectives->join(id, 0, 1, problem, sizeof problem));
  if (group == nullptr) return {{"collectives: a group of one rank", 1.0, 0.0, problem}};
  std::mt19937 random(subject.seed);
  const std::vector<float> values = random_values(4096, random);
  const std::size_t bytes = values.size() * sizeof(float);
  const DeviceArray<float> in(subject, values);
  std::vector<CheckResult> results;
  group->all_reduce(subject.stream, in.get(), values.size());
  results.push_back(unchanged(subject, *group, "all-reduce", in.read(), values));
  const DeviceArray<float> all(subject, unwritten(values.size()));
  group->all_gather(subject.stream, in.get(), all.get(), bytes);
  results.push_back(unchanged(subject, *group, "all-gather", all.read(), values));
  group->broadcast(subject.stream, in.get(), bytes, 0);
  results.push_back(unchanged(subject, *group, "broadcast", in.read(), values));
  const DeviceArray<float> kept(subject, unwritten(values.size()));
  subject.driver.begin_capture(subject.stream);
  group->all_gather(subject.stream, in.get(), kept.get(), bytes);
  const Graph graph = subject.driver.end_capture(subject.stream);
  if (graph == nullptr) return {{"collectives: in a graph", 1.0, 0.0, "not captured"}};
  subject.driver.replay(graph, subject.stream);
  results.push_back(unchanged(subject, *group, "in a graph", kept.read(), values));
  subject.driver.free_graph(graph);
  return results;
}

}  // namespace bundle::kernels::cuda
