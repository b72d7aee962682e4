#include "runtime/model/latent_heads.h"

namespace bundle::model {
namespace {

using kernels::WeightView;

/// A tensor (heads, rows, cols) as one matrix a head, of the heads of `own`.
Result<std::vector<WeightView>> split_heads(const format::TensorView& tensor, const Part& own) {
  if (needs_scales(tensor.type)) {
    return bad_input("tensor '" + tensor.name + "' has 8-bit elements without scales");
  }
  const WeightView all{tensor.type, tensor.data, tensor.shape[0] * tensor.shape[1],
                       tensor.shape[2]};
  std::vector<WeightView> heads;
  for (std::int64_t h = own.first; h < own.first + own.count; ++h) {
    heads.push_back(rows_of(all, {h * tensor.shape[1], tensor.shape[1]}));
  }
  return heads;
}

/// The bytes of such heads.
PublishedMatrix published_heads(const format::TensorView& tensor, const Part& own) {
  const WeightView all{tensor.type, tensor.data, tensor.shape[0],
                       tensor.shape[1] * tensor.shape[2]};
  PublishedMatrix published;
  published.tensor = &tensor;
  published.rows = rows_of(all, own).data;
  return published;
}

}  // namespace

Result<LatentHeads> LatentHeads::load(WeightLoader& weights, const kernels::LatentShape& shape,
                                      const Published& published, const std::string& self) {
  LatentHeads heads;
  const bool split =
      !weights.has(self + "kv_b_proj.weight") && weights.has(self + "k_b_proj.weight");
  BUNDLE_CHECK(split ? heads.load_split(weights, shape, published, self)
                     : heads.load_joint(weights, shape, published, self));
  return heads;
}

Status LatentHeads::load_joint(WeightLoader& weights, const kernels::LatentShape& shape,
                               const Published& published, const std::string& self) {
  const std::int64_t each = shape.nope_dim + shape.value_dim;
  const Part own{published.first, shape.heads};
  BUNDLE_TRY(PublishedMatrix joint,
             weights.matrix(self + "kv_b_proj.weight", published.heads * each, shape.rank,
                            own.times(each)));
  std::vector<WeightView> keys, values;
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    keys.push_back(rows_of(joint.view, {h * each, shape.nope_dim}));
    values.push_back(rows_of(joint.view, {h * each + shape.nope_dim, shape.value_dim}));
  }
  const std::string& name = joint.tensor->name;
  BUNDLE_CHECK(pack_both(weights, keys, name, key_up_, key_absorb_));
  BUNDLE_TRY(value_up_, weights.pack(values, name));
  // Moved or not, the scales lie where they did.
  if (key_up_->uses_source()) scales_ = std::move(joint.made.scales);
  return weights.loaded(joint, key_up_->uses_source());
}

Status LatentHeads::load_split(WeightLoader& weights, const kernels::LatentShape& shape,
                               const Published& published, const std::string& self) {
  const std::int64_t all = published.heads;
  const Part own{published.first, shape.heads};
  BUNDLE_TRY(const format::TensorView* key,
             weights.tensor(self + "k_b_proj.weight", {all, shape.rank, shape.nope_dim}));
  BUNDLE_TRY(const format::TensorView* value,
             weights.tensor(self + "v_b_proj.weight", {all, shape.value_dim, shape.rank}));
  BUNDLE_TRY(const std::vector<WeightView> keys, split_heads(*key, own));
  BUNDLE_TRY(const std::vector<WeightView> values, split_heads(*value, own));
  BUNDLE_CHECK(pack_both(weights, keys, key->name, key_absorb_, key_up_));
  BUNDLE_TRY(value_up_, weights.pack(values, value->name));
  BUNDLE_CHECK(weights.loaded(published_heads(*key, own), key_absorb_->uses_source()));
  return weights.loaded(published_heads(*value, own), value_up_->uses_source());
}

Status LatentHeads::pack_both(WeightLoader& weights, const std::vector<WeightView>& published,
                              const std::string& where, std::unique_ptr<kernels::Matrix>& straight,
                              std::unique_ptr<kernels::Matrix>& turned) {
  BUNDLE_TRY(straight, weights.pack(published, where));
  std::vector<WeightView> views;
  for (const WeightView& head : published) {
    sources_.push_back(transpose(head));
    views.push_back(sources_.back().view);
  }
  BUNDLE_TRY(turned, weights.pack(views, where));
  if (!turned->uses_source()) sources_.clear();
  return {};
}

}  // namespace bundle::model
