// bundle push, pull and mirror: bundles between the store and registries.
#include "packager/registry/push.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/registry_options.h"
#include "cli/trust_options.h"
#include "packager/registry/pull.h"
#include "packager/signing/trust.h"

namespace bundle::cli {
namespace {

namespace registry = packager::registry;

struct PushArguments {
  std::string reference;
  std::string remote;
  std::uint64_t chunk_bytes = 64u << 20;
  std::vector<std::string> mount_from;
  std::shared_ptr<TransferOptions> transfer;
};

struct PullArguments {
  std::string remote;
  std::string name;
  std::shared_ptr<TransferOptions> transfer;
  std::shared_ptr<packager::signing::TrustOptions> trust;
};

struct MirrorArguments {
  std::string from;
  std::string to;
  bool keep = false;
  std::shared_ptr<TransferOptions> transfer;
  std::shared_ptr<packager::signing::TrustOptions> trust;
};

Outcome pushed(const registry::PushReport& report) {
  std::string text =
      "pushed " + human_bytes(report.size) + ", " + human_bytes(report.transferred) + " of it new";
  if (report.num_mounted > 0) text += ", " + std::to_string(report.num_mounted) + " blobs mounted";
  return {JsonObject{{"reference", report.reference},
                     {"digest", report.digest},
                     {"size", report.size},
                     {"transferred", report.transferred},
                     {"mounted", static_cast<std::int64_t>(report.num_mounted)},
                     {"referrers", static_cast<std::int64_t>(report.num_referrers)}},
          text + "\n" + report.reference + "\n"};
}

Outcome pulled(const registry::PullReport& report) {
  const std::string name = report.name + ':' + report.tag;
  return {JsonObject{{"name", report.name},
                     {"tag", report.tag},
                     {"digest", report.digest},
                     {"size", report.size},
                     {"transferred", report.transferred},
                     {"signatures", static_cast<std::int64_t>(report.num_signatures)}},
          "pulled " + name + ", " + human_bytes(report.size) + ", " +
              human_bytes(report.transferred) + " of it new\n" + report.digest + "\n"};
}

Result<Outcome> push(const PushArguments& arguments, const Session& session) {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto remote, registry::parse_remote(arguments.remote));
  BUNDLE_TRY(const auto bundle, store.resolve(arguments.reference));
  BUNDLE_CHECK(packager::signing::check_undamaged(store, bundle, session.progress()));
  const registry::PushOptions options{arguments.transfer->registry, arguments.transfer->parallel,
                                      arguments.chunk_bytes, arguments.mount_from};
  BUNDLE_TRY(const auto report, registry::push(bundle, store, remote, options, session.progress()));
  return pushed(report);
}

Result<Outcome> pull(const PullArguments& arguments, const Session& session) {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto remote, registry::parse_remote(arguments.remote));
  BUNDLE_TRY(const auto trust, packager::signing::Trust::load(*arguments.trust));
  const registry::PullOptions options{arguments.transfer->registry, arguments.name,
                                      arguments.transfer->parallel};
  BUNDLE_TRY(const auto report, registry::pull(remote, store, options, trust, session.progress()));
  return pulled(report);
}

/// Through the store, so that what both registries have is moved once and a break is no loss.
Result<Outcome> mirror(const MirrorArguments& arguments, const Session& session) {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto from, registry::parse_remote(arguments.from));
  BUNDLE_TRY(const auto to, registry::parse_remote(arguments.to));
  BUNDLE_TRY(const auto trust, packager::signing::Trust::load(*arguments.trust));
  const std::string name = arguments.keep ? "" : "mirror/" + from.repository + ":in-progress";
  const registry::PullOptions pull_options{arguments.transfer->registry, name,
                                           arguments.transfer->parallel};
  BUNDLE_TRY(const auto report,
             registry::pull(from, store, pull_options, trust, session.progress()));
  BUNDLE_TRY(const auto bundle, store.resolve(report.name + ':' + report.tag));
  const registry::PushOptions push_options{
      arguments.transfer->registry, arguments.transfer->parallel, 64u << 20, {}};
  BUNDLE_TRY(const auto result,
             registry::push(bundle, store, to, push_options, session.progress()));
  if (!arguments.keep) BUNDLE_CHECK(store.remove(report.name + ':' + report.tag));
  return pushed(result);
}

}  // namespace

void add_push(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PushArguments>();
  CLI::App* command = add_command(
      app, "push", "Copy a bundle into an OCI registry",
      "Sends only what the registry lacks, with signatures and everything else that refers to\n"
      "the bundle; digests stay. Run again after a break, it goes on. Credentials are those of\n"
      "'docker login' and 'podman login'.\n\n"
      "Example:\n  bundle push smollm2 registry.example.com/team/smollm2:v1");
  command->add_option("REF", arguments->reference, "The bundle")->required();
  command->add_option("REMOTE", arguments->remote, "REGISTRY/NAME[:TAG]")->required();
  command->add_option("--chunk-size", arguments->chunk_bytes, "Blobs over this go in such pieces")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1u << 16}, std::uint64_t{1} << 40))
      ->capture_default_str();
  command
      ->add_option("--mount-from", arguments->mount_from,
                   "A repository of the same registry that has the same layers")
      ->type_name("NAME")
      ->allow_extra_args(false);
  arguments->transfer = add_transfer_options(command);
  on_run(command, session, [arguments, &session] { return push(*arguments, session); });
}

void add_pull(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PullArguments>();
  CLI::App* command = add_command(
      app, "pull", "Fetch a bundle from an OCI registry",
      "Fetches only what the store lacks, checks every byte, and tags it when all is there. Run\n"
      "again after a break, it goes on. With a trust policy or --require-signature the signature\n"
      "is checked before anything else is read.\n\n"
      "Examples:\n"
      "  bundle pull registry.example.com/team/smollm2:v1\n"
      "  bundle pull registry.example.com/team/smollm2@sha256:… --require-signature --key k.pub");
  command->add_option("REMOTE", arguments->remote, "REGISTRY/NAME[:TAG|@DIGEST]")->required();
  command->add_option("--name", arguments->name, "Name in the store, instead of the remote one")
      ->type_name("NAME[:TAG]");
  arguments->transfer = add_transfer_options(command);
  arguments->trust = add_trust_options(command);
  on_run(command, session, [arguments, &session] { return pull(*arguments, session); });
}

void add_mirror(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<MirrorArguments>();
  CLI::App* command = add_command(
      app, "mirror", "Copy a bundle from one registry to another",
      "Signatures and other referrers come along; digests stay.\n\n"
      "Example:\n"
      "  bundle mirror registry.example.com/team/smollm2:v1 mirror.internal:5000/smollm2:v1");
  command->add_option("FROM", arguments->from, "REGISTRY/NAME[:TAG|@DIGEST]")->required();
  command->add_option("TO", arguments->to, "REGISTRY/NAME[:TAG]")->required();
  command->add_flag("--keep", arguments->keep, "Keep the bundle in the local store too");
  arguments->transfer = add_transfer_options(command);
  arguments->trust = add_trust_options(command);
  on_run(command, session, [arguments, &session] { return mirror(*arguments, session); });
}

}  // namespace bundle::cli
