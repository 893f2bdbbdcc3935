//===- VideoSessionTest.cpp - Several pictures and videos in sessions -----===//
//
// A picture alone is cut into tiles, several are one tile each, so what a
// session knows of a picture depends on those beside it; a video is frames.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

using namespace vlmc::e2e;

namespace {
class VideoSessionTest : public SessionTest {
protected:
  /// Pictures 2 and 3 are videos: of all frames, and of two of them.
  void SetUp() override {
    SessionTest::SetUp();
    images.push_back(video({7, 8, 9, 10, 11}));
    images.push_back(video({9, 8}));
  }
  static vlm_image_t *video(const std::vector<int> &numbers) {
    std::string folder = goldensFolder() + "/llava-onevision/frames/f";
    std::vector<vlm_image_t *> frames;
    for (int number : numbers)
      EXPECT_EQ(take(vlm_image_decode_file(
                    (folder + std::to_string(number) + ".png").c_str(), nullptr,
                    &frames.emplace_back())),
                "");
    vlm_image_t *video = nullptr;
    EXPECT_EQ(
        take(vlm_image_create_video(frames.data(), frames.size(), &video)), "");
    return video;
  }
  int64_t count(const std::string &text,
                const std::vector<size_t> &pictures) const {
    Session session = open();
    EXPECT_EQ(prompt(session, text, pictures), "");
    return vlm_session_tokens(session.get());
  }
  std::string familyName() const override { return "llava-onevision"; }
  std::string checkpointName() const override { return "files-v5"; }
};

class SpanSessionTest : public SessionTest {
  std::string familyName() const override { return "gemma3"; }
  std::string checkpointName() const override { return "files-v4"; }
};
} // namespace

TEST_F(VideoSessionTest, PicturesDependOnHowManyThereAre) {
  const std::string one = "a <image> b", two = "a <image> b <image> c";
  // One tile is 9 features and a newline.
  EXPECT_EQ(count("<image><image>", {0, 1}), 20);
  EXPECT_GT(count("<image>", {0}), 10);
  const std::string alone = fresh(one, {0}), both = fresh(two, {0, 1});
  Session session = open();
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(prompt(session, one, {0}), "");
    EXPECT_EQ(answer(session), alone);
    ASSERT_EQ(prompt(session, two, {0, 1}), "");
    EXPECT_EQ(answer(session), both);
  }
}

TEST_F(VideoSessionTest, VideosAreFrames) {
  // A frame has 2 x 2 features; a newline ends them all.
  EXPECT_EQ(count("<video>", {2}), 5 * 4 + 1);
  EXPECT_EQ(count("<video>", {3}), 2 * 4 + 1);
  EXPECT_NE(fresh("<video> a", {2}), fresh("<video> a", {3}));
  // A video beside a picture leaves that alone.
  EXPECT_EQ(count("<image><video>", {0, 3}), count("<image>", {0}) + 9);
  // They stand at placeholders of their own, whatever the order of the list.
  EXPECT_EQ(fresh("<video> and <image>", {3, 0}),
            fresh("<video> and <image>", {0, 3}));
  EXPECT_NE(fresh("<video> or <video>", {2, 3}),
            fresh("<video> or <video>", {3, 2}));
}

TEST_F(VideoSessionTest, TellsWhatHasNoPlace) {
  Session session = open();
  EXPECT_EQ(prompt(session, "a", {2}),
            "expected a placeholder '<video>' in the prompt for each video, "
            "found 0 placeholders and 1 video; write '<video>' where the video "
            "belongs");
  EXPECT_EQ(prompt(session, "<image><video>", {2}),
            "expected a placeholder '<image>' in the prompt for each picture, "
            "found 1 placeholder and 0 pictures; give the pictures that are "
            "missing");
  // What takes pictures alone.
  int64_t height = 0, width = 0;
  EXPECT_EQ(take(vlm_model_preprocess_size(model, 33, 41, &height, &width)),
            "");
  std::vector<float> pixels(size_t(3 * height * width));
  EXPECT_EQ(take(vlm_model_preprocess(model, images[2], pixels.data())),
            "expected a picture, found a video of 5 frames; give them one by "
            "one");
}

TEST_F(VideoSessionTest, TellsOfRowsThatAreSums) {
  vlm_ids_t rows{};
  EXPECT_EQ(take(vlm_model_picture_rows(model, 1, 1, &rows)), "");
  vlm_ids_destroy(&rows);
  EXPECT_EQ(take(vlm_model_picture_rows(model, 500, 500, &rows)),
            "a picture of 500 x 500 pixels (height x width) has tokens that "
            "are sums of several features; use a session (vlm_session_prompt), "
            "which knows them");
}

TEST_F(SessionTest, TellsThatAModelReadsNoVideos) {
  vlm_image_t *frame = nullptr, *video = nullptr;
  const uint8_t pixels[3] = {};
  ASSERT_EQ(take(vlm_image_create(pixels, 1, 1, 3, &frame)), "");
  ASSERT_EQ(take(vlm_image_create_video(&frame, 1, &video)), "");
  images.push_back(video);
  Session session = open();
  EXPECT_EQ(prompt(session, "<image>", {2}),
            "model m0_files_mistral reads no videos; give pictures");
}

/// Longer than the window of 7, with two pictures.
static const std::string kSpans =
    "what is there <start_of_image> and there <start_of_image> to be seen?";

TEST_F(SpanSessionTest, PicturesAreComputedAtOnceWhateverTheSteps) {
  const std::string whole = fresh(kSpans, {0, 1});
  for (int64_t prefill : {1, 3, 64}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, kSpans, {0, 1}), "");
    EXPECT_EQ(answer(session), whole) << prefill;
  }
}

TEST_F(SpanSessionTest, WhatStandsBeforeIsUsedAgain) {
  const std::string other = kSpans + " And what not?";
  const std::string first = fresh(kSpans, {0, 1}),
                    second = fresh(other, {0, 1});
  const std::string turned = fresh(kSpans, {0, 0});
  Session session = open();
  auto reused = [&] {
    vlm_stats_t stats{};
    stats.struct_bytes = sizeof(stats);
    vlm_session_stats(session.get(), &stats);
    return stats.reused_tokens;
  };
  ASSERT_EQ(prompt(session, kSpans, {0, 1}), "");
  EXPECT_EQ(answer(session), first);
  int64_t before = reused();
  ASSERT_EQ(prompt(session, other, {0, 1}), "");
  EXPECT_GT(reused(), before); // both pictures
  EXPECT_EQ(answer(session), second);
  before = reused();
  ASSERT_EQ(prompt(session, kSpans, {0, 0}), "");
  EXPECT_GT(reused(), before); // the first picture
  EXPECT_EQ(answer(session), turned);
}
