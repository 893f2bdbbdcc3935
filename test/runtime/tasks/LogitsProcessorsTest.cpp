//===- LogitsProcessorsTest.cpp - Tests of what changes logits ------------===//
//
// Expected values were read off transformers.generation.logits_process. Whole
// answers by these rules are in test/e2e.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/LogitsProcessors.h"
#include "runtime/tasks/LongRotary.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace vlmc::rt;

namespace {
constexpr float none = -INFINITY;

class Rules : public testing::Test {
protected:
  Rules() {
    facts.rules = &rules;
    facts.end_tokens[0] = 1;
    facts.n_end_tokens = 1;
    rules.numbers = numbers;
    rules.forced_begin = -1;
    rules.decay_start = -1;
  }
  std::vector<float> apply(const std::vector<int64_t> &ids, int64_t prompt,
                           int64_t most = 5) {
    std::vector<float> scores = {-2, 4, 1, 8};
    LogitsProcessors processors(facts, prompt, most);
    if (leaves)
      processors.leaveRepetition();
    processors.apply(ids, scores);
    return scores;
  }
  using Values = std::vector<float>;

  vlm_abi_generation facts{};
  vlm_abi_rules rules{};
  float numbers[3] = {1, 1, 1};
  bool leaves = false;
};
} // namespace

TEST_F(Rules, WithoutAnyLogitsStay) {
  EXPECT_EQ(apply({3, 3}, 1), Values({-2, 4, 1, 8}));
  facts.rules = nullptr;
  EXPECT_EQ(apply({3, 3}, 1), Values({-2, 4, 1, 8}));
}

TEST_F(Rules, PenaltiesCountEachTokenOnceAndNoPlaceholder) {
  numbers[VLM_ABI_REPETITION_PENALTY] = 2;
  EXPECT_EQ(apply({0, 3, 3, 77}, 2), Values({-4, 4, 1, 4}));
  leaves = true; // the request has its own
  EXPECT_EQ(apply({0, 3, 3, 77}, 2), Values({-2, 4, 1, 8}));
  numbers[VLM_ABI_PROMPT_PENALTY] = 2; // tokens of the prompt become likelier
  EXPECT_EQ(apply({0, 1, 3}, 2), Values({-1, 8, 1, 8}));
}

TEST_F(Rules, NoRunOfTokensStandsTwice) {
  rules.ngram = 2;
  EXPECT_EQ(apply({2, 3, 0, 2}, 1), Values({-2, 4, 1, none}));
  EXPECT_EQ(apply({2}, 1), Values({-2, 4, 1, 8}));
  rules.ngram = 1;
  EXPECT_EQ(apply({2, 0}, 1), Values({none, 4, none, 8}));
  rules.ngram = 0;
  rules.prompt_ngram = 2;
  EXPECT_EQ(apply({2, 3, 2, 0, 2}, 2), Values({-2, 4, 1, none}));
}

TEST_F(Rules, SequencesAreFavouredOrForbidden) {
  const int32_t biased[] = {1, 0, 2, 3, 2, 3, 9, 9, 1};
  const float biases[] = {0.5F, 3, 100};
  rules.biased = biased;
  rules.biases = biases;
  rules.n_biased = 9;
  EXPECT_EQ(apply({3}, 1), Values({-1.5F, 4, 4, 8}));
  EXPECT_EQ(apply({0}, 1), Values({-1.5F, 4, 1, 8}));
  const int32_t forbidden[] = {2, 0, 3};
  rules.forbidden = forbidden;
  rules.n_forbidden = 3;
  EXPECT_EQ(apply({0}, 1), Values({-1.5F, 4, 1, none}));
}

TEST_F(Rules, EndsAreHeldForcedAndUrged) {
  rules.min_tokens = 3;
  EXPECT_EQ(apply({0, 0}, 1)[1], none);
  EXPECT_EQ(apply({0, 0, 0}, 1)[1], 4);
  rules.min_new_tokens = 3;
  EXPECT_EQ(apply({0, 0, 0}, 1)[1], none);
  rules.min_tokens = rules.min_new_tokens = 0;
  const int32_t ends[] = {1, 2};
  rules.forced_end = ends;
  rules.n_forced_end = 2;
  EXPECT_EQ(apply({0, 0, 0}, 1, 3), Values({none, 0, 0, none}));
  rules.n_forced_end = 0;
  numbers[VLM_ABI_DECAY_FACTOR] = 1.5F;
  rules.decay_start = 1;
  EXPECT_EQ(apply({0, 0}, 1)[1], 4);
  EXPECT_EQ(apply({0, 0, 0, 0}, 1)[1], 4 * 2.25F);
}

TEST_F(Rules, BeginningsAreForcedOrSuppressed) {
  const int32_t first[] = {3}, all[] = {0, 99};
  rules.suppressed = all;
  rules.n_suppressed = 2;
  rules.first_suppressed = first;
  rules.n_first_suppressed = 1;
  EXPECT_EQ(apply({0, 0}, 2), Values({none, 4, 1, none}));
  EXPECT_EQ(apply({0, 0, 0}, 2), Values({none, 4, 1, 8}));
  rules.forced_begin = 2; // then the token behind it is the first
  EXPECT_EQ(apply({0}, 1), Values({none, none, 0, none}));
  EXPECT_EQ(apply({0, 2}, 1), Values({none, 4, 1, none}));
}

//===----------------------------------------------------------------------===//
// Rotary positions of long sequences
//===----------------------------------------------------------------------===//

namespace {
const float numbers[] = {100, 2, 1.5F};
const float factors[] = {2, 4};
const vlm_abi_rotary longer = {10, numbers, factors, 4, 0};
const vlm_abi_rotary growing = {10, numbers, nullptr, 4, 0};
} // namespace

TEST(LongRotary, GivesRowsToTokensOfLongSequencesOnly) {
  LongRotary rotary(&longer);
  rotary.add(3, 10);
  EXPECT_EQ(rotary.rows(), std::vector<float>(4));
  rotary.clear();
  rotary.add(3, 10);
  rotary.add(3, 11);
  rotary.add(12, 13);
  EXPECT_EQ(rotary.row(), std::vector<int32_t>({-1, 0, 1}));
  // Frequencies 1 / 2 and 1 / (4 * sqrt(100)).
  ASSERT_EQ(rotary.rows().size(), 8U);
  EXPECT_FLOAT_EQ(rotary.rows()[0], 1.5F * std::cos(1.5F));
  EXPECT_FLOAT_EQ(rotary.rows()[5], 1.5F * std::cos(0.3F));
  EXPECT_FLOAT_EQ(rotary.rows()[7], 1.5F * std::sin(0.3F));
}

TEST(LongRotary, TheBaseGrowsWithTheLength) {
  LongRotary rotary(&growing);
  rotary.add(1, 15); // 100 * (2 * 15 / 10 - 1) ^ 2
  EXPECT_FLOAT_EQ(rotary.rows()[1], 1.5F * std::cos(0.05F));
}

TEST(LongRotary, KeysServeWhereFrequenciesAreTheSame) {
  for (const vlm_abi_rotary *facts : {&longer, &growing}) {
    EXPECT_TRUE(LongRotary(facts).isSame(3, 10));
    EXPECT_FALSE(LongRotary(facts).isSame(3, 11));
    EXPECT_TRUE(LongRotary(facts).isSame(12, 12));
  }
  EXPECT_TRUE(LongRotary(&longer).isSame(11, 12));
  EXPECT_FALSE(LongRotary(&growing).isSame(11, 12));
  EXPECT_TRUE(LongRotary().isSame(1, 1000));
}
