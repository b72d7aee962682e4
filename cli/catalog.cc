// bundle catalog: the models, GPUs and machines that sizing knows, and how to tell it of others.
#include "cloud/catalog/catalog.h"

#include <filesystem>
#include <fmt/format.h>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/file.h"
#include "base/http_client.h"
#include "cli/commands.h"
#include "cli/display/table.h"
#include "cli/yaml_document.h"

namespace bundle::cli {
namespace {

Outcome list_models(const catalog::Catalog& catalog) {
  JsonArray list;
  std::vector<std::vector<std::string>> rows;
  for (const catalog::ModelEntry& model : catalog.models()) {
    const Json* published = find(model.document, "published");
    const Json* parameters = published == nullptr ? nullptr : find(*published, "parameters");
    const auto shape = catalog::shape_of(model);
    rows.push_back({model.name, model.hub_id,
                    parameters == nullptr     ? ""
                    : parameters->is_string() ? std::string(parameters->get_string())
                                              : print_json(*parameters),
                    shape ? shape->format.name : "not counted yet"});
    JsonObject entry = model.document.as_object();
    entry["name"] = model.name;
    list.emplace_back(std::move(entry));
  }
  return {JsonObject{{"models", std::move(list)}},
          table({"MODEL", "HUB", "PARAMETERS", "FORMAT"}, rows)};
}

Outcome list_gpus(const catalog::Catalog& catalog) {
  JsonArray list;
  std::vector<std::vector<std::string>> rows;
  for (const sizing::GpuSpec& gpu : catalog.gpus()) {
    rows.push_back({gpu.id, gpu.name,
                    fmt::format("{:.1f}{}", gpu.usable_gib, gpu.usable_estimated ? " (est.)" : ""),
                    fmt::format("{:.0f}", gpu.bandwidth_gb_s), fmt::format("{:.0f}", gpu.bf16),
                    fmt::format("{:.0f}", gpu.fp8), fmt::format("{:.0f}", gpu.link_gb_s)});
    list.push_back(JsonObject{{"id", gpu.id},
                              {"name", gpu.name},
                              {"vendor", gpu.vendor},
                              {"compute_capability", gpu.compute_capability},
                              {"usable_gib", gpu.usable_gib},
                              {"usable_estimated", gpu.usable_estimated},
                              {"bandwidth_gb_s", gpu.bandwidth_gb_s},
                              {"bf16_tflops", gpu.bf16},
                              {"fp8_tflops", gpu.fp8},
                              {"fp4_tflops", gpu.fp4},
                              {"link_gb_s", gpu.link_gb_s},
                              {"most_per_node", gpu.most_per_node}});
  }
  return {JsonObject{{"gpus", std::move(list)}},
          table({"GPU", "NAME", "GIB", "GB/S", "BF16 TFLOPS", "FP8", "LINK GB/S"}, rows)};
}

std::string dollars(const std::optional<double>& price) {
  return price ? fmt::format("{:.2f}", *price) : "?";
}

Json dollars_json(const std::optional<double>& price) {
  return price ? Json(*price) : Json(nullptr);
}

Outcome list_machines(const catalog::Catalog& catalog) {
  JsonArray list;
  std::vector<std::vector<std::string>> rows;
  for (const sizing::MachineSpec& machine : catalog.machines()) {
    rows.push_back({machine.provider, machine.type,
                    std::to_string(machine.gpu_count) + "x " + machine.gpu,
                    dollars(machine.usd_per_hour), dollars(machine.spot_usd_per_hour),
                    machine.region, machine.price_date});
    list.push_back(JsonObject{{"provider", machine.provider},
                              {"machine", machine.type},
                              {"gpu", machine.gpu},
                              {"gpus", machine.gpu_count},
                              {"usd_per_hour", dollars_json(machine.usd_per_hour)},
                              {"spot_usd_per_hour", dollars_json(machine.spot_usd_per_hour)},
                              {"region", machine.region},
                              {"as_of", machine.price_date}});
  }
  return {JsonObject{{"machines", std::move(list)}},
          table({"PROVIDER", "MACHINE", "GPUS", "USD/H", "SPOT", "REGION", "PRICE OF"}, rows)};
}

Result<Outcome> list_catalog(const std::string& what) {
  BUNDLE_TRY(const catalog::Catalog catalog, catalog::Catalog::open());
  if (what == "models") return list_models(catalog);
  if (what == "gpus") return list_gpus(catalog);
  return list_machines(catalog);
}

Result<Json> fetch(const std::string& from) {
  const bool remote = from.starts_with("http://") || from.starts_with("https://");
  if (!remote) return read_document(from);
  HttpRequest request;
  request.url = from;
  BUNDLE_TRY(const HttpResponse response, http_request(request));
  if (response.status != 200) {
    return Error{ErrorCode::kUnreachable, "the server answered " + std::to_string(response.status),
                 from, "Is the address right?"};
  }
  return parse_document(response.body, from);
}

/// Adds to what earlier updates gave; the same entry again replaces it.
Result<Outcome> update_catalog(const std::string& from) {
  BUNDLE_TRY(const Json document, fetch(from));
  BUNDLE_TRY(catalog::Catalog catalog, catalog::Catalog::open());
  BUNDLE_CHECK(catalog.merge(document, from));
  Json kept = JsonObject{};
  const std::string file = catalog::update_file();
  if (std::filesystem::exists(file)) {
    BUNDLE_TRY(kept, read_json_file(file));
  }
  JsonObject counts = catalog::join_documents(kept, document);
  BUNDLE_CHECK(make_directories(Path(file).parent_path()));
  BUNDLE_CHECK(write_file_atomic(file, pretty_json(kept)));
  std::string text;
  for (const auto& [key, count] : counts) {
    text += std::string(text.empty() ? "" : ", ") + print_json(count) + " " + std::string(key);
  }
  counts["file"] = file;
  return Outcome{std::move(counts), "Took " + text + " into " + file + "\n"};
}

}  // namespace

void add_catalog(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, "catalog", "Models, GPUs and machines that sizing knows",
                                  "Examples:\n"
                                  "  bundle catalog list machines\n"
                                  "  bundle catalog update prices.yaml");
  command->require_subcommand(1);
  auto what = std::make_shared<std::string>("models");
  CLI::App* list = add_command(*command, "list", "Show what is known, with prices", "");
  list->add_option("WHAT", *what, "models, gpus or machines")
      ->capture_default_str()
      ->check(CLI::IsMember({"models", "gpus", "machines"}));
  on_run(list, session, [what] { return list_catalog(*what); });
  auto from = std::make_shared<std::string>();
  CLI::App* update = add_command(
      *command, "update", "Add or replace entries, from a file or an address",
      "A document has any of 'models', 'gpus' and 'instances', in JSON or YAML, as docs/sizing.md\n"
      "shows. It is kept in BUNDLE_HOME/catalog/update.json; what is in local.json beside it "
      "wins.");
  update->add_option("FROM", *from, "A file, or an http(s) address")->required();
  on_run(update, session, [from] { return update_catalog(*from); });
}

}  // namespace bundle::cli
