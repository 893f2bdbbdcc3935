//===- TilesSeenTest.cpp - Sessions over pictures whose tiles are seen ----===//
//
// For a model whose layers attend to the tiles of pictures, and whose first
// tokens see pictures that stand behind them: sessions answer what `vlmc run`
// answers, however the prompt is cut, and whatever was asked before.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

#include <fstream>

using namespace vlmc::e2e;

namespace {
class TilesSeenTest : public SessionTest {
protected:
  std::string familyName() const override { return "mllama"; }
  std::string checkpointName() const override { return "published"; }

  struct Asked {
    std::string text;
    std::vector<size_t> pictures;
  };
  static std::vector<Asked> allAsked() {
    return {{"<|image|>What is it?", {0}},
            {"Two: <|image|><|image|> alike? <|image|>no", {1, 0, 1}},
            {"Two: <|image|><|image|> alike? <|image|>no", {1, 0, 0}},
            {"No picture at all.", {}},
            {"<|image|><|begin_of_text|>Begin. <|image|>", {1, 0}},
            {"<|image|><|begin_of_text|>Begin. And end.", {1}}};
  }
  /// What `vlmc run` answers.
  std::string ran(const Asked &asked) const {
    std::string pictures = goldensFolder() + "/clip/pictures/";
    const char *names[] = {"rgb-200x150.png", "jpeg-420-q85-97x131.jpg"};
    std::string list;
    for (size_t i : asked.pictures)
      list += (list.empty() ? "\"" : ", \"") + pictures + names[i] + "\"";
    std::string requests = freshPath("requests.json");
    std::ofstream(requests)
        << R"({"mode": "files", "cases": [{"name": "one", "text": ")"
        << asked.text << R"(", "images": [)" << list
        << R"(], "max_new_tokens": 10}]})";
    Tensors out = runRequests(package, requests);
    if (!out.find("one.text"))
      return "";
    std::vector<char> bytes = out.values<char>("one.text");
    return {bytes.begin(), bytes.end()};
  }
};
} // namespace

TEST_F(TilesSeenTest, SessionsSeeWhatRunSees) {
  Session kept = open();
  for (const Asked &asked : allAsked()) {
    SCOPED_TRACE(asked.text);
    std::string text = ran(asked);
    for (int64_t prefill : {0, 1, 5}) {
      Session session = open(0, prefill);
      ASSERT_EQ(prompt(session, asked.text, asked.pictures), "");
      EXPECT_EQ(answer(session), text) << prefill;
    }
    ASSERT_EQ(prompt(kept, asked.text, asked.pictures), "");
    EXPECT_EQ(answer(kept), text);
  }
}

TEST_F(TilesSeenTest, OtherPicturesMakeOtherTokens) {
  Session session = open();
  auto reused = [&] {
    vlm_stats_t stats{};
    stats.struct_bytes = sizeof(stats);
    vlm_session_stats(session.get(), &stats);
    return stats.reused_tokens;
  };
  const std::string begin = "A long text before the picture: <|image|>";
  ASSERT_EQ(prompt(session, begin + "this?", {0}), "");
  answer(session);
  // The tokens before the picture saw it.
  ASSERT_EQ(prompt(session, begin + "this?", {1}), "");
  EXPECT_EQ(reused(), 0);
  EXPECT_EQ(answer(session), fresh(begin + "this?", {1}));
  // The same one again.
  ASSERT_EQ(prompt(session, begin + "that?", {1}), "");
  EXPECT_GT(reused(), 5);
  EXPECT_EQ(answer(session), fresh(begin + "that?", {1}));
}

TEST_F(TilesSeenTest, AnswersOfABatchShareTheirPictures) {
  std::vector<Wish> wishes;
  for (const Asked &asked : allAsked()) {
    Wish &wish = wishes.emplace_back();
    wish.text = asked.text;
    wish.pictures = asked.pictures;
    wish.options.struct_bytes = sizeof(wish.options);
    wish.options.max_new_tokens = 6;
  }
  wishes[1].options.answers = 3;
  wishes[1].options.temperature = 1;
  std::vector<Heard> heard = together(wishes, 5, 16);
  for (size_t i = 0; i < wishes.size(); ++i) {
    Heard alone = this->alone(wishes[i]);
    ASSERT_EQ(heard[i].answers.size(), alone.answers.size()) << i;
    for (auto &[number, one] : alone.answers)
      EXPECT_EQ(heard[i].answers[number].text, one.text) << i;
  }
}
