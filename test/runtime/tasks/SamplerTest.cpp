// Choosing tokens: limits, penalties, seeds.
#include "runtime/tasks/Sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

using namespace vlmc::rt;

static vlm_generate_options_t optionsOf(float temperature) {
  vlm_generate_options_t options{};
  options.struct_bytes = sizeof(options);
  options.temperature = temperature;
  return options;
}

/// How often each token is chosen in `count` draws from the same logits.
static std::map<int64_t, int> draws(const vlm_generate_options_t &options,
                                    const std::vector<float> &logits,
                                    int count) {
  Sampler sampler(options);
  std::map<int64_t, int> counts;
  for (int i = 0; i < count; ++i) {
    std::vector<float> copy = logits;
    ++counts[sampler.choose(copy)];
  }
  return counts;
}

TEST(Sampler, TakesTheFirstOfTheLikeliest) {
  EXPECT_EQ(draws(optionsOf(0), {1, 3, 3, 2}, 5),
            (std::map<int64_t, int>{{1, 5}}));
}

TEST(Sampler, DrawsByProbability) {
  // Probabilities 1/8, 1/2, 1/4, 1/8.
  std::vector<float> logits = {0, std::log(4.F), std::log(2.F), 0};
  auto counts = draws(optionsOf(1), logits, 8000);
  EXPECT_NEAR(counts[0], 1000, 120);
  EXPECT_NEAR(counts[1], 4000, 180);
  EXPECT_NEAR(counts[2], 2000, 160);
  EXPECT_NEAR(counts[3], 1000, 120);
  // At half the temperature they are squared: 1/22, 16/22, 4/22, 1/22.
  counts = draws(optionsOf(0.5F), logits, 8000);
  EXPECT_NEAR(counts[1], 8000 * 16 / 22, 180);
  EXPECT_NEAR(counts[2], 8000 * 4 / 22, 160);
}

TEST(Sampler, LimitsLeaveTheLikeliest) {
  std::vector<float> logits = {0, std::log(4.F), std::log(2.F), 0};
  auto kept = [&](auto limit) {
    vlm_generate_options_t options = optionsOf(1);
    limit(options);
    std::vector<int64_t> ids;
    for (auto [id, count] : draws(options, logits, 2000))
      ids.push_back(id);
    return ids;
  };
  using Ids = std::vector<int64_t>;
  EXPECT_EQ(kept([](auto &o) { o.top_k = 1; }), (Ids{1}));
  EXPECT_EQ(kept([](auto &o) { o.top_k = 3; }), (Ids{0, 1, 2}));
  EXPECT_EQ(kept([](auto &o) { o.top_k = 99; }), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(kept([](auto &o) { o.top_p = 0.45F; }), (Ids{1}));
  EXPECT_EQ(kept([](auto &o) { o.top_p = 0.55F; }), (Ids{1, 2}));
  EXPECT_EQ(kept([](auto &o) { o.top_p = 1; }), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(kept([](auto &o) { o.min_p = 0.4F; }), (Ids{1, 2}));
  EXPECT_EQ(kept([](auto &o) { o.min_p = 1; }), (Ids{1}));
}

TEST(Sampler, TheSeedSettlesTheAnswer) {
  std::vector<float> logits(50, 0);
  auto answer = [&](uint64_t seed) {
    vlm_generate_options_t options = optionsOf(1);
    options.seed = seed;
    Sampler sampler(options);
    std::vector<int64_t> ids;
    for (int i = 0; i < 12; ++i) {
      std::vector<float> copy = logits;
      ids.push_back(sampler.choose(copy));
    }
    return ids;
  };
  EXPECT_EQ(answer(7), answer(7));
  EXPECT_NE(answer(7), answer(8));
}

TEST(Sampler, PenaltiesMakeTokensLessLikely) {
  vlm_generate_options_t options = optionsOf(0);
  options.repetition_penalty = 2;
  Sampler repeats(options);
  repeats.hold({1, 3});
  std::vector<float> logits = {-3, 4, 2.5F, -1};
  EXPECT_EQ(repeats.choose(logits), 2);
  // Positive ones are divided, negative ones multiplied.
  EXPECT_EQ(logits, (std::vector<float>{-3, 2, 2.5F, -2}));
  options = optionsOf(0);
  options.presence_penalty = 1;
  options.frequency_penalty = 0.25F;
  Sampler counts(options);
  counts.hold({0}); // of the prompt, which does not count here
  std::vector<int64_t> chosen;
  for (int i = 0; i < 4; ++i) {
    std::vector<float> copy = {3, 1.8F, 0};
    chosen.push_back(counts.choose(copy));
  }
  EXPECT_EQ(chosen, (std::vector<int64_t>{0, 1, 0, 0}));
}

TEST(Sampler, RefusesNumbersOutOfRange) {
  auto message = [](auto change) {
    vlm_generate_options_t options = optionsOf(0);
    change(options);
    vlm_status_t *status = checkSampling(options);
    std::string text = vlm_status_message(status);
    vlm_status_destroy(status);
    return text;
  };
  EXPECT_EQ(message([](auto &) {}), "");
  EXPECT_EQ(message([](auto &o) { o.temperature = -1; }),
            "temperature: expected a number from 0 to 1000000, found "
            "-1.000000");
  EXPECT_EQ(message([](auto &o) { o.top_p = NAN; }),
            "top_p: expected a number from 0 to 1, found nan");
  EXPECT_EQ(message([](auto &o) { o.min_p = 2; }),
            "min_p: expected a number from 0 to 1, found 2.000000");
  EXPECT_EQ(message([](auto &o) { o.top_k = -2; }),
            "top_k: expected 0 or more, found -2");
  EXPECT_EQ(message([](auto &o) { o.max_new_tokens = -5; }),
            "max_new_tokens: expected 0 or more, found -5");
}
