//===- FlamingoSessionTest.cpp - Gated attention to pictures and videos ---===//
//
// Sessions of models whose layers attend to all pictures before a token, whose
// first tokens find all pictures of the prompt alike, and that take videos
// frame by frame: they answer what `vlmc run` does, however the prompt is cut.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

#include <fstream>

using namespace vlmc::e2e;

namespace {
class AheadTest : public SessionTest {
protected:
  std::string familyName() const override { return "open-flamingo"; }
  std::string checkpointName() const override { return "neox"; }

  /// What `vlmc run` answers; `parts` are JSON.
  std::string run(const std::string &parts) const {
    std::string requests = freshPath("requests.json");
    std::ofstream(requests) << R"({"mode": "files", "cases": [{"name": "one",
        "max_new_tokens": 10, "interleaved": [)" +
                                   parts + "]}]}";
    Tensors out = runRequests(package, requests);
    std::vector<char> bytes = out.values<char>("one.text");
    return {bytes.begin(), bytes.end()};
  }
  static std::string part(const std::string &picture) {
    return R"({"image": ")" + goldensFolder() + "/clip/pictures/" + picture +
           "\"}";
  }
};

/// With videos of up to four frames, and up to three media.
class FlamingoVideoTest : public AheadTest {
protected:
  std::string checkpointName() const override { return "video"; }
  void SetUp() override {
    AheadTest::SetUp();
    images.push_back(video({0, 1, 2}));
    images.push_back(video({3, 0}));
  }
  static std::string file(size_t number) {
    return goldensFolder() + "/open-flamingo/frames/" + std::to_string(number) +
           ".png";
  }
  static vlm_image_t *video(const std::vector<size_t> &numbers) {
    std::vector<vlm_image_t *> frames;
    for (size_t number : numbers)
      EXPECT_EQ(take(vlm_image_decode_file(file(number).c_str(), nullptr,
                                           &frames.emplace_back())),
                "");
    vlm_image_t *made = nullptr;
    EXPECT_EQ(take(vlm_image_create_video(frames.data(), frames.size(), &made)),
              "");
    return made;
  }
};
} // namespace

TEST_F(AheadTest, SessionsSeeWhatRunSees) {
  const std::string text = "Animals.<image>1 cats.<image>What's this?";
  const std::string whole =
      run(R"("Animals.", )" + part("rgb-200x150.png") + R"(, "1 cats.", )" +
          part("jpeg-420-q85-97x131.jpg") + R"(, "What's this?")");
  for (int64_t prefill : {0, 1, 7}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, text, {0, 1}), "");
    EXPECT_EQ(answer(session), whole) << prefill;
  }
}

/// Of the tokens before the first picture too, as these find other ones.
TEST_F(AheadTest, OtherPicturesMakeOtherTokens) {
  const std::string text = "Animals.<image>1 cats.<image>What's this?";
  Session session = open();
  for (const std::vector<size_t> &pictures :
       {std::vector<size_t>{0, 1}, {0, 0}, {1, 0}, {0, 1}}) {
    ASSERT_EQ(prompt(session, text, pictures), "");
    EXPECT_EQ(answer(session), fresh(text, pictures));
  }
  ASSERT_EQ(prompt(session, "No picture", {}), "");
  EXPECT_EQ(answer(session), fresh("No picture", {}));
}

TEST_F(FlamingoVideoTest, SessionsSeeWhatRunSees) {
  const std::string frames = R"({"video": [")" + file(0) + R"(", ")" + file(1) +
                             R"(", ")" + file(2) + R"("]})";
  const std::string whole = run(part("rgb-200x150.png") + R"(, "A cat.", )" +
                                frames + R"(, "A video of")");
  for (int64_t prefill : {0, 1, 5}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, "<image>A cat.<image>A video of", {0, 2}), "");
    EXPECT_EQ(answer(session), whole) << prefill;
  }
}

/// What is known of a picture counts for the place where it was alone.
TEST_F(FlamingoVideoTest, VideosOfAnyLengthInAnyPlace) {
  Session session = open();
  const std::string text = "<image>A cat.<image>Two.<image>What's this?";
  std::vector<std::string> answers;
  for (const std::vector<size_t> &media :
       {std::vector<size_t>{0, 2, 3}, {3, 2, 0}, {2, 0, 2}, {0, 2, 3}}) {
    ASSERT_EQ(prompt(session, text, media), "");
    answers.push_back(answer(session));
    EXPECT_EQ(answers.back(), fresh(text, media));
  }
  EXPECT_EQ(answers.front(), answers.back());
}

TEST_F(FlamingoVideoTest, RefusesMoreThanTheModelTellsApart) {
  Session session = open();
  images.push_back(video({0, 1, 2, 3, 0}));
  EXPECT_EQ(prompt(session, "<image>Long", {4}),
            "video: expected up to 4 frames, as many as the model tells apart, "
            "found 5; give fewer frames");
  EXPECT_EQ(prompt(session, "<image><image><image><image>Many", {0, 1, 0, 1}),
            "prompt: expected up to 3 pictures and videos, as many as the "
            "model tells apart, found one more; give fewer");
  EXPECT_EQ(prompt(session, "<image>Short", {3}), "");
}

TEST_F(AheadTest, RefusesVideos) {
  Session session = open();
  vlm_image_t *made = nullptr;
  ASSERT_EQ(take(vlm_image_create_video(images.data(), 1, &made)), "");
  images[0] = made;
  std::string message = prompt(session, "<image>Long", {0});
  EXPECT_NE(message.find(" reads no videos; give pictures"), message.npos)
      << message;
}
