#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <string>

#include "runtime/kernels/cuda/driver/nccl.h"

namespace bundle::kernels::cuda {
namespace {

constexpr const char* kLibraryName = "libnccl.so.2";

// NCCL's C interface, as far as it is used: https://docs.nvidia.com/deeplearning/nccl, version 2.
using NcclGroup = void*;                              // ncclComm_t
enum Result : int { kSuccess = 0, kInProgress = 7 };  // ncclResult_t
enum Type : int { kBytes = 0, kFloat = 7 };           // ncclDataType_t: ncclInt8, ncclFloat32
enum Reduction : int { kSum = 0 };                    // ncclRedOp_t

struct Library {
  Result (*ncclGetVersion)(int*);
  Result (*ncclGetUniqueId)(GroupId*);
  Result (*ncclCommInitRank)(NcclGroup*, int, GroupId, int);
  Result (*ncclCommDestroy)(NcclGroup);
  Result (*ncclCommAbort)(NcclGroup);
  Result (*ncclCommGetAsyncError)(NcclGroup, Result*);
  const char* (*ncclGetErrorString)(Result);
  Result (*ncclAllReduce)(const void*, void*, std::size_t, Type, Reduction, NcclGroup,
                          cudaStream_t);
  Result (*ncclAllGather)(const void*, void*, std::size_t, Type, NcclGroup, cudaStream_t);
  Result (*ncclBroadcast)(const void*, void*, std::size_t, Type, int, NcclGroup, cudaStream_t);
  Result (*ncclSend)(const void*, std::size_t, Type, int, NcclGroup, cudaStream_t);
  Result (*ncclRecv)(void*, std::size_t, Type, int, NcclGroup, cudaStream_t);
  Result (*ncclGroupStart)();
  Result (*ncclGroupEnd)();
};

/// The folder of this shared object, with a slash at its end.
std::string own_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0) return "";
  const std::string path = info.dli_fname == nullptr ? "" : info.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

std::string library_path() {
  const char* path = std::getenv("BUNDLE_NCCL_LIBRARY");
  return path != nullptr && *path != '\0' ? path : own_folder() + kLibraryName;
}

/// Opened once and kept. `problem` says what is wrong with it, if something is.
struct Loaded {
  Library library{};
  std::string problem;

  Loaded() {
    const std::string path = library_path();
    void* opened = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr) {
      const char* reason = ::dlerror();
      problem = "NCCL, which several GPUs need, cannot be loaded: " +
                std::string(reason == nullptr ? path.c_str() : reason) +
                " (BUNDLE_NCCL_LIBRARY names another libnccl.so.2)";
      return;
    }
    find(opened, "ncclGetVersion", library.ncclGetVersion);
    find(opened, "ncclGetUniqueId", library.ncclGetUniqueId);
    find(opened, "ncclCommInitRank", library.ncclCommInitRank);
    find(opened, "ncclCommDestroy", library.ncclCommDestroy);
    find(opened, "ncclCommAbort", library.ncclCommAbort);
    find(opened, "ncclCommGetAsyncError", library.ncclCommGetAsyncError);
    find(opened, "ncclGetErrorString", library.ncclGetErrorString);
    find(opened, "ncclAllReduce", library.ncclAllReduce);
    find(opened, "ncclAllGather", library.ncclAllGather);
    find(opened, "ncclBroadcast", library.ncclBroadcast);
    find(opened, "ncclSend", library.ncclSend);
    find(opened, "ncclRecv", library.ncclRecv);
    find(opened, "ncclGroupStart", library.ncclGroupStart);
    find(opened, "ncclGroupEnd", library.ncclGroupEnd);
    if (problem.empty()) check_version();
  }

  template <typename Function>
  void find(void* opened, const char* name, Function& out) {
    out = reinterpret_cast<Function>(::dlsym(opened, name));
    if (out == nullptr && problem.empty()) problem = std::string("NCCL lacks ") + name;
  }

  void check_version() {
    int version = 0;
    if (library.ncclGetVersion(&version) == kSuccess && version >= kLeastNcclVersion) return;
    problem = "NCCL is of version " + std::to_string(version) + ", and " +
              std::to_string(kLeastNcclVersion) + " or newer is needed";
  }
};

const Loaded& nccl() {
  static const Loaded loaded;
  return loaded;
}

cudaStream_t of_stream(Stream stream) { return static_cast<cudaStream_t>(stream); }

class NcclCollectives final : public Collectives {
 public:
  NcclCollectives(const Library& library, const GroupId& id, int rank, int ranks) : nccl_(library) {
    check(nccl_.ncclCommInitRank(&group_, ranks, id, rank), "joining");
  }
  NcclCollectives(const NcclCollectives&) = delete;
  ~NcclCollectives() override {
    if (group_ == nullptr) return;
    if (problem_.empty()) {
      nccl_.ncclCommDestroy(group_);
    } else {
      nccl_.ncclCommAbort(group_);
    }
  }

  const char* status() const override {
    Result error = kSuccess;
    if (group_ != nullptr && nccl_.ncclCommGetAsyncError(group_, &error) == kSuccess) {
      check(error, "under way");
    }
    return problem_.empty() ? nullptr : problem_.c_str();
  }

  void all_reduce(Stream stream, float* values, std::size_t count) override {
    if (!usable()) return;
    check(nccl_.ncclAllReduce(values, values, count, kFloat, kSum, group_, of_stream(stream)),
          "all-reduce");
  }
  void all_gather(Stream stream, const void* part, void* all, std::size_t bytes) override {
    if (!usable()) return;
    check(nccl_.ncclAllGather(part, all, bytes, kBytes, group_, of_stream(stream)), "all-gather");
  }
  void broadcast(Stream stream, void* memory, std::size_t bytes, int root) override {
    if (!usable()) return;
    check(nccl_.ncclBroadcast(memory, memory, bytes, kBytes, root, group_, of_stream(stream)),
          "broadcast");
  }
  void exchange(Stream stream, const Parcel* out, std::size_t out_count, const Parcel* in,
                std::size_t in_count) override {
    if (!usable()) return;
    check(nccl_.ncclGroupStart(), "exchange");
    for (const Parcel* p = out; p != out + out_count; ++p) {
      check(nccl_.ncclSend(p->memory, p->bytes, kBytes, p->rank, group_, of_stream(stream)),
            "send");
    }
    for (const Parcel* p = in; p != in + in_count; ++p) {
      check(nccl_.ncclRecv(p->memory, p->bytes, kBytes, p->rank, group_, of_stream(stream)),
            "receive");
    }
    check(nccl_.ncclGroupEnd(), "exchange");
  }

  void abort() override {
    if (group_ != nullptr) nccl_.ncclCommAbort(group_);
    group_ = nullptr;
    if (problem_.empty()) problem_ = "NCCL: the group was given up";
  }

 private:
  bool usable() const { return group_ != nullptr && problem_.empty(); }
  void check(Result result, const char* what) const {
    if (result == kSuccess || result == kInProgress || !problem_.empty()) return;
    problem_ = std::string("NCCL, ") + what + ": " + nccl_.ncclGetErrorString(result);
  }

  const Library& nccl_;
  NcclGroup group_ = nullptr;
  mutable std::string problem_;
};

bool tell(const std::string& what, char* problem, std::size_t size) {
  if (what.empty()) return true;
  std::snprintf(problem, size, "%s", what.c_str());
  return false;
}

bool make_id(int, GroupId* id, char* problem, std::size_t size) {
  if (!tell(nccl().problem, problem, size)) return false;
  const Result result = nccl().library.ncclGetUniqueId(id);
  return result == kSuccess ||
         tell(std::string("NCCL: ") + nccl().library.ncclGetErrorString(result), problem, size);
}

Collectives* join(const GroupId& id, int rank, int ranks, char* problem, std::size_t size) {
  if (!tell(nccl().problem, problem, size)) return nullptr;
  auto* group = new NcclCollectives(nccl().library, id, rank, ranks);
  const char* wrong = group->status();
  if (wrong == nullptr) return group;
  tell(wrong, problem, size);
  delete group;
  return nullptr;
}

}  // namespace

const CollectiveTable kNcclCollectives{make_id, join};

}  // namespace bundle::kernels::cuda
