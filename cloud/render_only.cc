#include "cloud/render_only.h"

namespace bundle::cloud {
namespace {

class RenderOnly final : public Provider {
 public:
  using Render = std::function<Result<std::vector<RenderedFile>>(const DeploymentSpec&)>;

  RenderOnly(std::string name, std::string remedy, Render render)
      : name_(std::move(name)), remedy_(std::move(remedy)), render_(std::move(render)) {}

  std::string_view name() const override { return name_; }
  Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check(spec));
    return render_(spec);
  }

  Result<DeploymentPlan> plan(const DeploymentSpec&) const override { return refusal(); }
  Result<DeploymentStatus> apply(const DeploymentSpec&, const Progress&) override {
    return refusal();
  }
  Result<DeploymentStatus> status(std::string_view) const override { return refusal(); }
  Result<std::vector<DeploymentStatus>> list() const override { return refusal(); }
  Result<DeploymentSpec> specification(std::string_view, std::int64_t) const override {
    return refusal();
  }
  Status logs(std::string_view, const LogOptions&,
              const std::function<bool(std::string_view)>&) const override {
    return refusal();
  }
  Result<DeploymentStatus> rollback(std::string_view, std::int64_t, const Progress&) override {
    return refusal();
  }
  Status remove(std::string_view, const Progress&) override { return refusal(); }

 private:
  Error refusal() const {
    return {ErrorCode::kUsage, "the target '" + name_ + "' writes files and does not apply them",
            "", remedy_};
  }

  std::string name_;
  std::string remedy_;
  Render render_;
};

}  // namespace

std::unique_ptr<Provider> make_render_only(
    std::string name, std::string remedy,
    std::function<Result<std::vector<RenderedFile>>(const DeploymentSpec&)> render) {
  return std::make_unique<RenderOnly>(std::move(name), std::move(remedy), std::move(render));
}

}  // namespace bundle::cloud
