#include "train/run_state.h"

#include <limits>
#include <string_view>

namespace elenchus {
namespace {

constexpr std::string_view kWhat = "trainer_state.json: the run's counters";

/// Visits every member but the log, so that writing and reading cannot disagree.
template <class State, class Visitor>
void visit(State& s, Visitor&& v) {
  v("step", s.step);
  v("updates", s.updates);
  v("skipped_in_a_row", s.skipped_in_a_row);
  v("input_tokens", s.input_tokens);
  v("supervised_tokens", s.supervised_tokens);
  v("samples", s.samples);
  v("window_loss", s.window_loss);
  v("last_logged_step", s.last_logged_step);
  v("total_loss", s.total_loss);
  v("total_loss_steps", s.total_loss_steps);
  v("evaluated_step", s.evaluated_step);
  v("adapters_checked", s.adapters_checked);
  v("elapsed_seconds", s.elapsed_seconds);
}

struct Writer {
  Json& out;
  template <class T>
  void operator()(std::string_view name, const T& value) {
    out.set(name, Json(value));
  }
};

struct Reader {
  const Json& in;
  void operator()(std::string_view name, std::int64_t& value) {
    value = in.at(name, kWhat).as_integer(kWhat);
  }
  void operator()(std::string_view name, double& value) {
    const Json& found = in.at(name, kWhat);  // JSON has no NaN: it is written as null
    value = found.is_null() ? std::numeric_limits<double>::quiet_NaN() : found.as_number(kWhat);
  }
  void operator()(std::string_view name, bool& value) {
    value = in.at(name, kWhat).as_boolean(kWhat);
  }
};

}  // namespace

Json RunState::counters() const {
  Json out = Json::Object{};
  visit(*this, Writer{out});
  return out;
}

void RunState::restore_counters(const Json& counters) { visit(*this, Reader{counters}); }

}  // namespace elenchus
