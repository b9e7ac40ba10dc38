#include "train/schedule.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace elenchus {
namespace {

TrainingConfig config_of(const std::string& name, std::map<std::string, double> arguments,
                         double warmup) {
  TrainingConfig config;
  config.learning_rate = 8e-5;
  config.lr_scheduler_type = name;
  config.lr_scheduler_kwargs = std::move(arguments);
  config.warmup_steps = warmup;
  return config;
}

struct Case {
  std::string name;
  std::map<std::string, double> arguments;
  double warmup;
  std::vector<double> rates;  // as transformers gives them
};

TEST(Schedule, EqualsTransformers) {
  const std::int64_t steps[] = {0, 1, 2, 3, 5, 8, 11, 12};
  const Case cases[] = {
      {"linear",
       {},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 6.222222222222223e-05,
        3.555555555555555e-05, 8.888888888888888e-06, 0.0}},
      {"cosine",
       {},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 7.064177772475912e-05,
        3.305407289332279e-05, 2.4122951685636674e-06, 0.0}},
      {"cosine",
       {{"num_cycles", 1.5}},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 2.0000000000000012e-05,
        6.000000000000001e-05, 2.0000000000000032e-05, 0.0}},
      {"cosine_with_restarts",
       {{"num_cycles", 3}},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 2.0000000000000012e-05,
        1.999999999999999e-05, 2.000000000000003e-05, 0.0}},
      {"cosine_with_restarts",
       {},
       0,
       {8e-05, 7.863703305156273e-05, 7.464101615137756e-05, 6.828427124746191e-05,
        5.0352761804100835e-05, 2.0000000000000012e-05, 1.3629669484372722e-06, 0.0}},
      {"polynomial",
       {{"lr_end", 1e-05}, {"power", 2.0}},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 5.234567901234569e-05,
        2.3827160493827162e-05, 1.08641975308642e-05, 1e-05}},
      {"constant", {}, 3, {8e-05, 8e-05, 8e-05, 8e-05, 8e-05, 8e-05, 8e-05, 8e-05}},
      {"constant_with_warmup",
       {},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 8e-05, 8e-05, 8e-05, 8e-05}},
      {"inverse_sqrt",
       {},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 6.196773353931868e-05,
        4.898979485566356e-05, 4.177863742936748e-05, 4e-05}},
      {"inverse_sqrt",
       {{"timescale", 50}},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 7.844645405527362e-05,
        7.627700713964738e-05, 7.427813527082076e-05, 7.364596943186588e-05}},
      {"cosine_with_min_lr",
       {{"min_lr", 1e-05}},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 7.181155550916423e-05,
        3.892231378165744e-05, 1.211075827249321e-05, 1e-05}},
      {"cosine_with_min_lr",
       {{"min_lr_rate", 0.2}},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 7.25134221798073e-05,
        4.244325831465824e-05, 1.7929836134850936e-05, 1.6000000000000003e-05}},
      {"cosine_warmup_with_min_lr",
       {{"min_lr_rate", 0.1}},
       3,
       {2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 7.78289343482927e-05, 6.2e-05,
        2.6000000000000012e-05, 8.000000000000001e-06, 1.0171065651707296e-05}},
      {"cosine_warmup_with_min_lr",
       {{"min_lr_rate", 0.1}, {"warmup_lr_rate", 0.05}},
       3,
       {4.000000000000001e-06, 4.2000000000000004e-05, 8e-05, 7.78289343482927e-05, 6.2e-05,
        2.6000000000000012e-05, 8.000000000000001e-06, 1.0171065651707296e-05}},
      {"warmup_stable_decay",
       {{"num_decay_steps", 5}},
       3,
       {0.0, 2.6666666666666667e-05, 5.333333333333333e-05, 8e-05, 8e-05, 7.236067977499791e-05,
        7.639320225002106e-06, 0.0}},
      {"warmup_stable_decay",
       {{"num_decay_steps", 4}, {"num_stable_steps", 2}, {"min_lr_ratio", 0.1}},
       3,
       {8.000000000000001e-06, 3.2000000000000005e-05, 5.6e-05, 8e-05, 8e-05,
        1.8544155877284293e-05, 8.000000000000001e-06, 8.000000000000001e-06}},

  };
  for (const Case& c : cases) {
    const Schedule schedule(config_of(c.name, c.arguments, c.warmup), 12);
    for (std::size_t i = 0; i < c.rates.size(); ++i)
      EXPECT_NEAR(schedule.lr(steps[i]), c.rates[i], 1e-19 + 1e-14 * c.rates[i])
          << c.name << " at " << steps[i];
  }
}

TEST(Schedule, WarmupIsRoundedUpFromARatio) {
  TrainingConfig config;
  config.warmup_ratio = 0.25;
  EXPECT_EQ(warmup_steps_of(config, 30), 8);
  config.warmup_steps = 0.1;
  EXPECT_EQ(warmup_steps_of(config, 25), 3);
  config.warmup_steps = 5;
  EXPECT_EQ(warmup_steps_of(config, 25), 5);
  config.warmup_steps = 0;
  config.warmup_ratio = 1.5;
  EXPECT_THROW(warmup_steps_of(config, 25), UserError);
}

TEST(Schedule, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(Schedule(config_of("reduce_lr_on_plateau", {}, 0), 10), UserError);
  EXPECT_THROW(Schedule(config_of("cosine", {{"cycles", 2}}, 0), 10), UserError);
  EXPECT_THROW(Schedule(config_of("linear", {{"", 2}}, 0), 10), UserError);
  EXPECT_THROW(Schedule(config_of("polynomial", {{"lr_end", 1}}, 0), 10), UserError);
  EXPECT_THROW(Schedule(config_of("cosine_with_min_lr", {}, 0), 10), UserError);
  EXPECT_THROW(Schedule(config_of("warmup_stable_decay", {}, 0), 10), UserError);
}

TEST(Schedule, RefusesALeastRateOfNoRate) {
  for (const char* name : {"cosine_with_min_lr", "cosine_warmup_with_min_lr"}) {
    TrainingConfig config = config_of(name, {{"min_lr", 1e-6}}, 0);
    config.learning_rate = 0;
    EXPECT_THROW(Schedule(config, 10), UserError);
    config.lr_scheduler_kwargs = {{"min_lr_rate", 0.1}};
    EXPECT_EQ(Schedule(config, 10).lr(5), 0);
  }
}

TEST(Schedule, SaysThatOneCycleRestartsNothing) {
  const Schedule one(config_of("cosine_with_restarts", {{"num_cycles", 1}}, 3), 12);
  ASSERT_TRUE(one.warning());
  EXPECT_NE(one.warning()->find("plain cosine"), std::string::npos);
  EXPECT_FALSE(Schedule(config_of("cosine_with_restarts", {{"num_cycles", 2}}, 3), 12).warning());
  EXPECT_EQ(Schedule(config_of("linear", {}, 3), 12).describe(),
            "linear, 12 steps, 3 of them warm-up, peak 8e-05, last 8.88889e-06");
}

}  // namespace
}  // namespace elenchus
