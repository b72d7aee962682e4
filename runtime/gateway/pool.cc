#include "runtime/gateway/pool.h"

#include <algorithm>
#include <charconv>
#include <memory>

namespace bundle::gateway {
namespace {

constexpr int kMostWeight = 1000;
constexpr double kOverFairShare = 1.25;

/// FNV-1a: spreads keys well enough and is the same everywhere.
std::uint64_t hash(std::string_view bytes, std::uint64_t seed = 14695981039346656037ull) {
  for (const char c : bytes) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return seed;
}

template <typename T>
bool read_whole(std::string_view text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

Backend* least_loaded(const std::vector<Backend*>& from) {
  return *std::min_element(from.begin(), from.end(), [](const Backend* a, const Backend* b) {
    return a->in_flight < b->in_flight;
  });
}

/// Rendezvous hashing: each key has an order of replicas that changes little when one comes or
/// goes.
Backend* home_of(std::uint64_t key, const std::vector<Backend*>& from) {
  return *std::max_element(from.begin(), from.end(), [&](const Backend* a, const Backend* b) {
    return hash(a->name(), key) < hash(b->name(), key);
  });
}

/// Replicas of a class share one part of the traffic: those of a revision, or of equal weight.
std::string class_of(const Backend& backend) {
  return backend.group.empty() ? std::to_string(backend.weight) : "/" + backend.group;
}

}  // namespace

Result<Backend> parse_backend(std::string_view text) {
  const auto refuse = [&] {
    return bad_input("'" + std::string(text) + "' is no replica", "",
                     "Write http://HOST:PORT, and after '=' its weight if it has one.");
  };
  Backend backend;
  std::string_view rest = text;
  if (rest.starts_with("http://")) rest.remove_prefix(7);
  if (const std::size_t cut = rest.find_first_of("= \t"); cut != std::string_view::npos) {
    const std::string_view weight = rest.substr(rest.find_last_of("= \t") + 1);
    if (!read_whole(weight, backend.weight)) return refuse();
    rest = rest.substr(0, cut);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || !read_whole(rest.substr(colon + 1), backend.port)) {
    return refuse();
  }
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const bool clean = !host.empty() && host.find_first_of("/?#@[] ") == std::string_view::npos &&
                     backend.port != 0 && backend.weight >= 0 && backend.weight <= kMostWeight;
  if (!clean) return refuse();
  backend.host = host;
  return backend;
}

void Pool::update(const std::vector<Backend>& listed) {
  for (const auto& known : backends_) known->listed = false;
  for (const Backend& wanted : listed) {
    const auto found = std::find_if(backends_.begin(), backends_.end(), [&](const auto& known) {
      return known->name() == wanted.name();
    });
    if (found == backends_.end()) {
      backends_.push_back(std::make_unique<Backend>(wanted));
    } else {
      (*found)->listed = true;
      (*found)->weight = wanted.weight;
      (*found)->group = wanted.group;
    }
  }
  std::erase_if(backends_, [](const auto& known) {
    return !known->listed && known->in_flight == 0 && !known->checking;
  });
  std::erase_if(credits_, [this](const auto& credit) {
    return std::none_of(backends_.begin(), backends_.end(),
                        [&](const auto& one) { return class_of(*one) == credit.first; });
  });
}

std::vector<Backend*> Pool::candidates(const std::vector<Backend*>& tried, const Allowed& allowed) {
  std::vector<Backend*> list;
  for (const auto& one : backends_) {
    const bool again = std::find(tried.begin(), tried.end(), one.get()) != tried.end();
    const bool fits = one->ready && one->listed && one->weight > 0 && !again;
    if (fits && (!allowed || allowed(*one))) list.push_back(one.get());
  }
  return list;
}

/// Smooth weighted round robin over the classes that have a ready replica.
std::string Pool::choose_class(const std::vector<Backend*>& list) {
  std::map<std::string, double> shares;
  for (const Backend* one : list) {
    double& share = shares[class_of(*one)];
    share = one->group.empty() ? share + one->weight : one->weight;
  }
  double total = 0;
  for (const auto& [name, share] : shares) {
    total += share;
    credits_[name] += share;
  }
  const auto chosen = std::max_element(
      shares.begin(), shares.end(),
      [this](const auto& a, const auto& b) { return credits_[a.first] < credits_[b.first]; });
  credits_[chosen->first] -= total;
  return chosen->first;
}

Backend* Pool::pick(std::uint64_t key, const std::vector<Backend*>& tried, const Allowed& allowed) {
  std::vector<Backend*> list = candidates(tried, allowed);
  if (list.empty()) return nullptr;
  const std::string chosen = choose_class(list);
  std::erase_if(list, [&](const Backend* one) { return class_of(*one) != chosen; });
  Backend* home = home_of(key, list);
  std::int64_t running = 0;
  for (const Backend* one : list) running += one->in_flight;
  const double fair =
      kOverFairShare * static_cast<double>(running + 1) / static_cast<double>(list.size());
  return static_cast<double>(home->in_flight + 1) <= std::max(1.0, fair) ? home
                                                                         : least_loaded(list);
}

std::vector<Backend*> Pool::alternatives(const Backend& picked, std::size_t count,
                                         const Allowed& allowed) {
  std::vector<Backend*> list = candidates({}, allowed);
  std::erase_if(list, [&](const Backend* one) { return one == &picked; });
  const std::string own = class_of(picked);
  std::stable_sort(list.begin(), list.end(), [&](const Backend* a, const Backend* b) {
    const bool a_other = class_of(*a) != own, b_other = class_of(*b) != own;
    return a_other != b_other ? b_other : a->in_flight < b->in_flight;
  });
  list.resize(std::min(list.size(), count));
  return list;
}

bool Pool::any_ready(const Backend* except) const {
  return std::any_of(backends_.begin(), backends_.end(), [except](const auto& one) {
    return one.get() != except && one->ready && one->listed && one->weight > 0;
  });
}

bool Pool::any_full() const {
  return std::any_of(backends_.begin(), backends_.end(),
                     [](const auto& one) { return one->full && one->listed; });
}

Backend* Pool::find_address(std::string_view address) {
  const auto found = std::find_if(backends_.begin(), backends_.end(), [&](const auto& one) {
    return !address.empty() && one->address == address;
  });
  return found == backends_.end() ? nullptr : found->get();
}

std::vector<Backend*> Pool::all() {
  std::vector<Backend*> list;
  for (const auto& one : backends_) list.push_back(one.get());
  return list;
}

std::string Pool::progress() const {
  for (const auto& one : backends_) {
    if (one->listed && !one->progress.empty()) return one->progress;
  }
  return "";
}

std::uint64_t prefix_key(std::string_view body) {
  constexpr std::size_t kBytes = 1024;
  const std::size_t at =
      std::min({body.find("\"messages\""), body.find("\"prompt\""), body.size()});
  return hash(body.substr(at, kBytes));
}

}  // namespace bundle::gateway
