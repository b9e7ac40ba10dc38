// AdamW against torch's and bitsandbytes', with the same gradients (tests/golden/adamw.safetensors).

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "io/safetensors.h"
#include "train/adamw.h"

namespace elenchus {
namespace {

class AdamWGolden : public testing::Test {
 protected:
  std::vector<float> values(const std::string& name) const {
    std::vector<float> out(std::size_t(file_.at(name).elements()), 0.0f);
    file_.read_f32(file_.at(name), 0, out);
    return out;
  }
  /// The weights after every gradient.
  std::vector<float> trained(const std::string& optim) const {
    const auto stream = Stream::open({}, 2);
    const ParamSet::Entry entries[] = {{"weight", {17, 256}}};
    ParamSet params(*stream, entries);
    const std::vector<float> start = values("start"), gradients = values("gradients");
    std::copy(start.begin(), start.end(), params.values().as<float>());
    TrainingConfig config;
    config.optim = optim;
    config.weight_decay = 0.05;
    AdamW optimizer(*stream, params, config);
    for (std::size_t first = 0; first < gradients.size(); first += start.size()) {
      std::copy_n(gradients.begin() + std::ptrdiff_t(first), start.size(),
                  params.grads().as<float>());
      optimizer.clip_and_step({.learning_rate = 1e-2});
    }
    const auto found = params.values().values<float>();
    return {found.begin(), found.end()};
  }
  /// |a - b| over the way that torch went.
  double distance(const std::vector<float>& a, const std::vector<float>& b) const {
    const std::vector<float> start = values("start"), end = values("torch");
    double difference = 0, way = 0;
    for (std::size_t i = 0; i < start.size(); ++i) {
      difference += std::pow(double(a[i]) - double(b[i]), 2);
      way += std::pow(double(end[i]) - double(start[i]), 2);
    }
    return std::sqrt(difference / way);
  }

 private:
  const SafetensorsFile file_{std::filesystem::path(ELENCHUS_TEST_FOLDER) / "golden" /
                              "adamw.safetensors"};
};

TEST_F(AdamWGolden, GoesTorchsWay) {
  // Twelve steps of 1e-2 from weights around 1: an ulp of these is 1e-5 of a step.
  EXPECT_LT(distance(trained("adamw_torch"), values("torch")), 2e-6);
}

TEST_F(AdamWGolden, InEightBitsIsAsNearToTorchAsBitsandbytes) {
  const std::vector<float> found = trained("adamw_8bit");
  const double ours = distance(found, values("torch")),
               theirs = distance(values("bitsandbytes"), values("torch"));
  EXPECT_NEAR(theirs, 0.0116, 1e-4);
  EXPECT_LT(ours, 1.05 * theirs);
  // The same codes but where bitsandbytes' CPU search is coarser (SteppedSearch).
  EXPECT_LT(distance(found, values("bitsandbytes")), 0.5 * theirs);
}

}  // namespace
}  // namespace elenchus
