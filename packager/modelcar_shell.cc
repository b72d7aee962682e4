#include "packager/modelcar_shell.h"

#include <algorithm>

#include "packager/elf.h"

namespace bundle::packager {
namespace {

/// What modelcars run, and what a person looks around with.
constexpr const char* kNames[] = {"cat", "ln", "ls", "sh", "sleep"};

/// The kernel runs busybox on it, which then takes the place of its shell.
std::string script_for(const std::string& name) {
  return "#!/" + std::string(kBusyboxPath) + " sh\nexec /" + std::string(kBusyboxPath) + " " +
         name + " \"$@\"\n";
}

}  // namespace

Result<LayerPlan> shell_plan(const Path& busybox) {
  BUNDLE_TRY(const ElfFile elf, read_elf(busybox));
  if (!elf.interpreter.empty() || !elf.needed.empty()) {
    return bad_input("the shell is linked dynamically: the image has no libraries for it",
                     busybox.string(), "Name a static busybox, as the package busybox-static has.");
  }
  BUNDLE_TRY(const FileStamp stamp, stamp_file(busybox));
  LayerPlan plan{LayerRole::kShell, {}};
  plan.members.push_back({std::string(kBusyboxPath), kProgramMode, {}, busybox, stamp});
  for (const char* name : kNames) {
    plan.members.push_back({std::string("bin/") + name, kProgramMode, script_for(name)});
  }
  std::ranges::sort(plan.members, {}, &LayerMember::path);
  return plan;
}

Result<bool> extract_busybox(const StoredBundle& bundle, const Path& file) {
  for (const StoredLayer& layer : bundle.layers) {
    if (layer.role != LayerRole::kShell) continue;
    BUNDLE_TRY(const auto members, read_layer(layer.blob));
    BUNDLE_TRY(const MappedFile map, MappedFile::open(layer.blob));
    for (const TarMember& member : members) {
      if (member.path != kBusyboxPath) continue;
      const Bytes program = map.bytes().subspan(member.offset, member.size);
      BUNDLE_CHECK(write_file_atomic(file, as_text(program)));
      return true;
    }
  }
  return false;
}

}  // namespace bundle::packager
