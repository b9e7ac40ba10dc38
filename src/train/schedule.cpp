#include "train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

using Factor = std::function<double(std::int64_t)>;

/// The numbers that every schedule is made of, and the arguments given to it.
struct Recipe {
  std::string name;
  double peak;
  double total;
  double warmup;
  std::map<std::string, double> arguments;
  double argument(const std::string& key, double otherwise) const {
    const auto found = arguments.find(key);
    return found == arguments.end() ? otherwise : found->second;
  }
  bool has(const std::string& key) const { return arguments.count(key) > 0; }
  /// Share of the steps after the warm-up that lies behind.
  double share_done(double step) const { return (step - warmup) / std::max(1.0, total - warmup); }
};

Factor with_warmup(const Recipe& recipe, std::function<double(double)> after) {
  return [warmup = recipe.warmup, after = std::move(after)](std::int64_t updates) {
    const double step = double(updates);
    return step < warmup ? step / std::max(1.0, warmup) : after(step);
  };
}

double cosine_wave(double cycles, double share) {
  return 0.5 * (1.0 + std::cos(std::numbers::pi * cycles * 2.0 * share));
}

Factor constant(const Recipe&) {
  return [](std::int64_t) { return 1.0; };
}

Factor constant_with_warmup(const Recipe& recipe) {
  return with_warmup(recipe, [](double) { return 1.0; });
}

Factor linear(const Recipe& recipe) {
  return with_warmup(recipe, [total = recipe.total, warmup = recipe.warmup](double step) {
    return std::max(0.0, (total - step) / std::max(1.0, total - warmup));
  });
}

Factor cosine(const Recipe& recipe) {
  return with_warmup(recipe, [recipe, cycles = recipe.argument("num_cycles", 0.5)](double step) {
    return std::max(0.0, cosine_wave(cycles, recipe.share_done(step)));
  });
}

Factor cosine_with_restarts(const Recipe& recipe) {
  return with_warmup(recipe, [recipe, cycles = recipe.argument("num_cycles", 1)](double step) {
    const double share = recipe.share_done(step);
    if (share >= 1.0) return 0.0;
    return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * std::fmod(cycles * share, 1.0))));
  });
}

/// min_lr as a share of the peak, from whichever of the two arguments is given.
double least_share(const Recipe& recipe) {
  if (recipe.has("min_lr") == recipe.has("min_lr_rate"))
    throw UserError(cat("training.lr_scheduler_kwargs: ", recipe.name,
                        " needs one of min_lr and min_lr_rate, found ",
                        recipe.has("min_lr") ? "both" : "neither"));
  if (!recipe.has("min_lr")) return recipe.argument("min_lr_rate", 0);
  if (!(recipe.peak > 0))
    throw UserError(cat("training.learning_rate: found ", recipe.peak, "; ", recipe.name,
                        " with min_lr needs one above 0"));
  return recipe.argument("min_lr", 0) / recipe.peak;
}

Factor cosine_with_min_lr(const Recipe& recipe) {
  return with_warmup(recipe, [recipe, cycles = recipe.argument("num_cycles", 0.5),
                              least = least_share(recipe)](double step) {
    return std::max(0.0, cosine_wave(cycles, recipe.share_done(step)) * (1 - least) + least);
  });
}

/// The same, one step ahead, with a warm-up that begins above zero.
Factor cosine_warmup_with_min_lr(const Recipe& recipe) {
  const double cycles = recipe.argument("num_cycles", 0.5), least = least_share(recipe);
  const bool has_rate = recipe.has("warmup_lr_rate");
  const double rate = recipe.argument("warmup_lr_rate", 0);
  return [=](std::int64_t updates) {
    const double step = double(updates);
    if (step < recipe.warmup)
      return has_rate ? rate + (1.0 - rate) * step / std::max(1.0, recipe.warmup - 1)
                      : (step + 1.0) / std::max(1.0, recipe.warmup);
    return std::max(0.0, cosine_wave(cycles, recipe.share_done(step + 1)) * (1 - least) + least);
  };
}

Factor polynomial(const Recipe& recipe) {
  const double peak = recipe.peak, last = recipe.argument("lr_end", 1e-7);
  const double power = recipe.argument("power", 1);
  if (!(peak > last))
    throw UserError(cat("training.lr_scheduler_kwargs: lr_end is ", last,
                        "; it must be below learning_rate (", peak, ")"));
  return with_warmup(recipe, [=](double step) {
    if (step > recipe.total) return last / peak;
    const double left = 1 - (step - recipe.warmup) / (recipe.total - recipe.warmup);
    return ((peak - last) * std::pow(left, power) + last) / peak;
  });
}

Factor inverse_sqrt(const Recipe& recipe) {
  const double scale = recipe.argument("timescale", recipe.warmup > 0 ? recipe.warmup : 10000.0);
  if (!(scale > 0))
    throw UserError(
        cat("training.lr_scheduler_kwargs: timescale is ", scale, "; it must be above 0"));
  return with_warmup(recipe, [scale, warmup = recipe.warmup](double step) {
    return 1.0 / std::sqrt((step + scale - warmup) / scale);
  });
}

Factor warmup_stable_decay(const Recipe& recipe) {
  if (!recipe.has("num_decay_steps"))
    throw UserError("training.lr_scheduler_kwargs: warmup_stable_decay needs num_decay_steps");
  const double decay = recipe.argument("num_decay_steps", 0), warmup = recipe.warmup;
  const double stable = recipe.argument("num_stable_steps", recipe.total - warmup - decay);
  const double least = recipe.argument("min_lr_ratio", 0);
  const double cycles = recipe.argument("num_cycles", 0.5);
  return [=](std::int64_t updates) {
    const double step = double(updates);
    if (step < warmup) return std::max(0.0, step / std::max(1.0, warmup) * (1 - least) + least);
    if (step < warmup + stable) return 1.0;
    if (step >= warmup + stable + decay) return least;
    const double share = (step - warmup - stable) / std::max(1.0, decay);
    return std::max(0.0, cosine_wave(cycles, share) * (1 - least) + least);
  };
}

struct Kind {
  std::string_view name;
  Factor (*make)(const Recipe&);
  std::array<std::string_view, 4> arguments;
};
constexpr Kind kKinds[] = {
    {"linear", linear, {}},
    {"cosine", cosine, {"num_cycles"}},
    {"cosine_with_restarts", cosine_with_restarts, {"num_cycles"}},
    {"polynomial", polynomial, {"lr_end", "power"}},
    {"constant", constant, {}},
    {"constant_with_warmup", constant_with_warmup, {}},
    {"inverse_sqrt", inverse_sqrt, {"timescale"}},
    {"cosine_with_min_lr", cosine_with_min_lr, {"num_cycles", "min_lr", "min_lr_rate"}},
    {"cosine_warmup_with_min_lr",
     cosine_warmup_with_min_lr,
     {"num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"}},
    {"warmup_stable_decay",
     warmup_stable_decay,
     {"num_decay_steps", "num_stable_steps", "min_lr_ratio", "num_cycles"}},
};

template <class Names>
std::string joined(const Names& names) {
  std::string out;
  for (const std::string_view name : names)
    if (!name.empty()) out += cat(out.empty() ? "" : ", ", name);
  return out.empty() ? "none" : out;
}

const Kind& kind_of(const std::string& name) {
  const auto found = std::ranges::find(kKinds, std::string_view(name), &Kind::name);
  if (found != std::end(kKinds)) return *found;
  std::vector<std::string_view> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  throw UserError(cat("training.lr_scheduler_type: '", printable(name),
                      "' is not supported; known are ", joined(names)));
}

void check_arguments(const Kind& kind, const TrainingConfig& config) {
  for (const auto& [name, value] : config.lr_scheduler_kwargs) {
    const bool known =
        std::ranges::find(kind.arguments, std::string_view(name)) != kind.arguments.end() &&
        !name.empty();
    if (!known)
      throw UserError(cat("training.lr_scheduler_kwargs: ", kind.name, " knows no '",
                          printable(name), "'; it takes ", joined(kind.arguments)));
    if (!std::isfinite(value))
      throw UserError(cat("training.lr_scheduler_kwargs: ", name, " is not a finite number"));
  }
}

}  // namespace

std::int64_t warmup_steps_of(const TrainingConfig& config, std::int64_t total_steps) {
  const double given = config.warmup_steps > 0 ? config.warmup_steps : config.warmup_ratio;
  if (!(given >= 0) || (config.warmup_steps <= 0 && given > 1))
    throw UserError(cat("training.warmup_ratio or warmup_steps: found ", given,
                        "; a ratio lies between 0 and 1, steps are at least 0"));
  if (config.warmup_steps >= 1) return std::int64_t(config.warmup_steps);
  return std::int64_t(std::ceil(double(total_steps) * given));
}

Schedule::Schedule(const TrainingConfig& config, std::int64_t total_steps)
    : name_(config.lr_scheduler_type),
      peak_(config.learning_rate),
      total_steps_(total_steps),
      warmup_steps_(warmup_steps_of(config, total_steps)) {
  if (!(peak_ >= 0) || !std::isfinite(peak_))
    throw UserError(cat("training.learning_rate: found ", peak_, "; expected at least 0"));
  const Kind& kind = kind_of(name_);
  check_arguments(kind, config);
  factor_ = kind.make(
      {name_, peak_, double(total_steps), double(warmup_steps_), config.lr_scheduler_kwargs});
  if (name_ == "cosine_with_restarts") {
    const auto cycles = config.lr_scheduler_kwargs.find("num_cycles");
    cycles_ = cycles == config.lr_scheduler_kwargs.end() ? 1 : cycles->second;
  }
}

std::string Schedule::describe() const {
  std::string out = cat(name_, ", ", total_steps_, " steps");
  if (name_ != "constant") out += cat(", ", warmup_steps_, " of them warm-up");
  if (cycles_ > 0) out += cat(", ", cycles_, cycles_ == 1 ? " cycle" : " cycles");
  return out + cat(", peak ", peak_, ", last ", lr(std::max<std::int64_t>(0, total_steps_ - 1)));
}

std::optional<std::string> Schedule::warning() const {
  if (cycles_ == 1)
    return "cosine_with_restarts with num_cycles 1 never restarts: it is a plain cosine. Set "
           "training.lr_scheduler_kwargs.num_cycles to 2 or more for restarts.";
  if (warmup_steps_ >= total_steps_ && warmup_steps_ > 0 && name_ != "constant")
    return cat("warm-up takes ", warmup_steps_, " of ", total_steps_,
               " steps: the learning rate never reaches its peak");
  return std::nullopt;
}

}  // namespace elenchus
