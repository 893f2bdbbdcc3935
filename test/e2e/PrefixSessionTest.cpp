//===- PrefixSessionTest.cpp - Prompts whose tokens see each other --------===//
//
// A prompt is computed in one run, however small the runs are to be, and serves
// another one only as a whole: each of its tokens depends on all of them.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

using namespace vlmc::e2e;

namespace {
class PrefixSessionTest : public SessionTest {
  std::string familyName() const override { return "paligemma"; }
  std::string checkpointName() const override { return "files-gemma2"; }
};
} // namespace

/// Longer than the model's window of 12 and than a page of the cache.
static const std::string kQuestion =
    "<image>what is there to be seen in this picture, how many of them are "
    "there, and what are they doing with the other cats and dogs?";

static vlm_stats_t statsOf(const vlm_session_t *session) {
  vlm_stats_t stats{};
  stats.struct_bytes = sizeof(stats);
  vlm_session_stats(session, &stats);
  return stats;
}

TEST_F(PrefixSessionTest, PromptsOfAnyPieceAreComputedAtOnce) {
  const std::string whole = fresh(kQuestion, {0});
  EXPECT_NE(whole, fresh(kQuestion, {1}));
  for (int64_t prefill : {1, 5, 64}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, kQuestion, {0}), "");
    EXPECT_GT(vlm_session_tokens(session.get()), 64);
    EXPECT_EQ(statsOf(session.get()).steps, 1);
    EXPECT_EQ(answer(session), whole) << prefill;
  }
}

TEST_F(PrefixSessionTest, PicturesStandInFrontWithoutPlaceholders) {
  EXPECT_EQ(fresh(kQuestion.substr(7), {0}), fresh(kQuestion, {0}));
  Session session = open();
  EXPECT_EQ(prompt(session, kQuestion, {0, 1}),
            "expected a placeholder '<image>' in the prompt for each picture, "
            "found 1 placeholder and 2 pictures; write '<image>' where the "
            "picture belongs");
}

TEST_F(PrefixSessionTest, OnlyAWholePromptIsUsedAgain) {
  const std::string longer = kQuestion + " Say it in French.";
  const std::string first = fresh(kQuestion, {0}), second = fresh(longer, {0});
  Session session = open();
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(statsOf(session.get()).reused_tokens,
            vlm_session_tokens(session.get()));
  EXPECT_EQ(answer(session), first);
  const int64_t reused = statsOf(session.get()).reused_tokens;
  ASSERT_EQ(prompt(session, longer, {0}), "");
  EXPECT_EQ(statsOf(session.get()).reused_tokens, reused);
  EXPECT_EQ(answer(session), second);
  ASSERT_EQ(prompt(session, kQuestion, {0}), "");
  EXPECT_EQ(answer(session), first);
}
