//===- BeamSearchTest.cpp - Tests of the search by beams ------------------===//
//
// On a language of four words, in which a word depends on the one before alone.
// Whole models are searched in the goldens.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/BeamSearch.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace vlmc::rt;

namespace {
/// Token 0 ends. What is likely behind the begin leads nowhere: its second word
/// is any of three.
class Search : public testing::Test {
protected:
  Search() {
    facts.end_tokens[0] = 0;
    facts.n_end_tokens = 1;
    facts.pad_token = -1;
  }
  std::vector<int64_t> run(const BeamOptions &options, int64_t most,
                           size_t number = 0) {
    std::vector<int64_t> prompt = {4};
    BeamSearch search(facts, options, prompt, most);
    std::vector<std::span<const float>> rows = {behind[4]};
    for (steps = 0;; ++steps) {
      search.take(rows);
      if (search.isOver())
        break;
      rows.clear();
      for (const BeamSearch::Beam &beam : search.running())
        rows.push_back(behind[size_t(beam.ids.back())]);
    }
    auto answer = search.answer(number);
    return {answer.begin(), answer.end()};
  }

  vlm_abi_generation facts{};
  int steps = 0;
  // Logits are logarithms of 100 times the probability.
  static float of(double percent) { return float(std::log(percent)); }
  std::vector<std::vector<float>> behind = {
      {of(25), of(25), of(25),
       of(25)}, // the end, behind which nothing is asked
      {of(30), of(25), of(25), of(20)},
      {of(90), of(4), of(3), of(3)},
      {of(10), of(60), of(10), of(20)},
      {of(5), of(50), of(40), of(5)}};
};
} // namespace

TEST_F(Search, FindsWhatTheGreedyChoiceMisses) {
  BeamOptions options;
  options.beams = 2;
  options.lengthPenalty = 0;
  // 0.4 * 0.9 before 0.5 * 0.3.
  EXPECT_EQ(run(options, 8), (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(run(options, 8, 1), (std::vector<int64_t>{1, 0}));
  EXPECT_LE(steps, 3);
  options.beams = 1;
  EXPECT_EQ(run(options, 8), (std::vector<int64_t>{1, 0}));
}

TEST_F(Search, StopsAsTold) {
  BeamOptions options;
  options.beams = 2;
  options.end = VLM_ABI_BEAMS_FULL;
  EXPECT_EQ(run(options, 50), (std::vector<int64_t>{2, 0}));
  int full = steps;
  options.end = VLM_ABI_BEAMS_IMPOSSIBLE;
  run(options, 50);
  EXPECT_GT(steps, full);
}

TEST_F(Search, LongAnswersWinWithAPenalty) {
  BeamOptions options;
  options.beams = 3;
  options.end = VLM_ABI_BEAMS_IMPOSSIBLE;
  options.lengthPenalty = 30;
  EXPECT_EQ(run(options, 5).size(), 5U);
  options.lengthPenalty = -30;
  EXPECT_EQ(run(options, 5), (std::vector<int64_t>{0}));
}

TEST_F(Search, EndsWhereThereIsNoMore) {
  BeamOptions options;
  options.beams = 3;
  EXPECT_EQ(run(options, 1).size(), 1U);
  EXPECT_EQ(steps, 0);
}

TEST(BeamOptions, AreTheCheckpoints) {
  vlm_abi_generation facts{};
  BeamOptions none = beamOptions(facts);
  EXPECT_EQ(none.beams, 1);
  EXPECT_EQ(none.lengthPenalty, 1);
  EXPECT_EQ(none.end, uint32_t(VLM_ABI_BEAMS_UNLIKELY));
  float penalty = 0.5;
  facts.beams = 4;
  facts.beam_end = VLM_ABI_BEAMS_FULL;
  facts.length_penalty = &penalty;
  BeamOptions own = beamOptions(facts);
  EXPECT_EQ(own.beams, 4);
  EXPECT_EQ(own.lengthPenalty, 0.5);
  EXPECT_EQ(own.end, uint32_t(VLM_ABI_BEAMS_FULL));
}
