//===- FewShotTest.cpp - Pictures that layers attend to, kept and shared --===//
//
// Prompts of texts and pictures in turn, for a model whose layers attend to
// pictures: keys and values of the shots are computed once, and a question
// behind them is answered as if everything were new.
//
//===----------------------------------------------------------------------===//
#include "test/e2e/SessionFixture.h"

#include <fstream>

using namespace vlmc::e2e;

namespace {
class FewShotTest : public SessionTest {
protected:
  std::string familyName() const override { return "idefics"; }
  std::string checkpointName() const override { return "resampler"; }

  struct Asked {
    std::string text;
    std::vector<size_t> pictures;
  };
  /// `shots` pictures with a text each, then a question about one more.
  static Asked ask(size_t shots, const std::string &question,
                   size_t picture = 0) {
    Asked asked{"Animals.", {}};
    for (size_t i = 0; i < shots; ++i) {
      asked.text += "<image>" + std::to_string(i) + " cats. ";
      asked.pictures.push_back(i % 2);
    }
    asked.text += "<image>" + question;
    asked.pictures.push_back(picture);
    return asked;
  }
  std::string prompt(const Session &session, const Asked &asked) const {
    return SessionTest::prompt(session, asked.text, asked.pictures);
  }
  std::string fresh(const Asked &asked) const {
    return SessionTest::fresh(asked.text, asked.pictures);
  }
  static vlm_stats_t statsOf(const Session &session) {
    vlm_stats_t stats{};
    stats.struct_bytes = sizeof(stats);
    vlm_session_stats(session.get(), &stats);
    return stats;
  }
};

class TowerFewShotTest : public FewShotTest {
  std::string checkpointName() const override { return "tower"; }
};

/// The same weights, each token of which sees all pictures before it.
class AllPicturesTest : public FewShotTest {
protected:
  std::string makePackage(const Checkpoint &checkpoint) const override {
    Ended imported = runVlmc({"import", checkpoint.model()});
    EXPECT_EQ(imported.code, 0) << imported;
    std::string latest = "attended: LATEST", spec = imported.out;
    size_t at = spec.find(latest);
    EXPECT_NE(at, std::string::npos);
    if (at == std::string::npos)
      return "";
    spec.replace(at, latest.size(), "attended: ALL");
    std::string file = freshPath("all.textproto"), made = freshPath("all.vlm");
    std::ofstream(file) << spec;
    Ended ended = runVlmc(
        {"compile", file, "--checkpoint", checkpoint.model(), "-o", made});
    EXPECT_EQ(ended.code, 0) << ended;
    return ended.code == 0 ? made : "";
  }
};
} // namespace

TEST_F(FewShotTest, AsksAgainBehindTheSameShots) {
  for (size_t shots : {4, 32}) {
    SCOPED_TRACE(shots);
    Asked first = ask(shots, " What's this?"), second = ask(shots, "How many?");
    Session session = open();
    ASSERT_EQ(prompt(session, first), "");
    std::string answered = answer(session);
    EXPECT_EQ(answered, fresh(first));
    vlm_stats_t before = statsOf(session);
    ASSERT_EQ(prompt(session, second), "");
    EXPECT_EQ(answer(session), fresh(second));
    vlm_stats_t after = statsOf(session);
    // The shots and the question's picture are there.
    EXPECT_EQ(after.pictures, before.pictures);
    EXPECT_GT(after.reused_tokens - before.reused_tokens, int64_t(5 * shots));
    // Another picture is looked at, and it alone.
    Asked other = ask(shots, " What's this?", 1);
    ASSERT_EQ(prompt(session, other), "");
    std::string changed = answer(session);
    EXPECT_EQ(changed, fresh(other));
    EXPECT_NE(changed, answered);
    EXPECT_EQ(statsOf(session).pictures, after.pictures + 1);
  }
}

TEST_F(FewShotTest, PiecesOfThePromptChangeNothing) {
  Asked asked = ask(4, " What's this?");
  std::string whole = fresh(asked);
  EXPECT_FALSE(whole.empty());
  for (int64_t prefill : {1, 3, 8, 64}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, asked), "");
    EXPECT_EQ(answer(session), whole) << prefill;
  }
}

TEST_F(FewShotTest, GoesBackToFewerPictures) {
  Session session = open();
  Asked many = ask(6, "?"), few = ask(2, " and this?", 1);
  ASSERT_EQ(prompt(session, many), "");
  std::string first = answer(session);
  ASSERT_EQ(prompt(session, few), "");
  EXPECT_EQ(answer(session), fresh(few));
  ASSERT_EQ(SessionTest::prompt(session, "No picture", {}), "");
  EXPECT_EQ(answer(session), SessionTest::fresh("No picture", {}));
  ASSERT_EQ(prompt(session, many), "");
  EXPECT_EQ(answer(session), first);
}

TEST_F(TowerFewShotTest, PagesOfATowersTokens) {
  Session session = open(0, 5);
  for (const Asked &asked :
       {ask(3, "?"), ask(3, "? or not"), ask(1, "?", 1), ask(3, "?")}) {
    ASSERT_EQ(prompt(session, asked), "");
    EXPECT_EQ(answer(session), fresh(asked));
  }
}

TEST_F(AllPicturesTest, SessionsSeeWhatRunSees) {
  Asked asked{"Animals.<image>1 cats.<image>What's this?", {0, 1}};
  std::string pictures = goldensFolder() + "/clip/pictures/";
  std::string requests = freshPath("requests.json");
  std::ofstream(requests) << R"({"mode": "files", "cases": [{"name": "all",
      "interleaved": ["Animals.", {"image": ")"
                          << pictures << R"(rgb-200x150.png"}, "1 cats.",
      {"image": ")" << pictures
                          << R"(jpeg-420-q85-97x131.jpg"}, "What's this?"],
      "max_new_tokens": 10}]})";
  Tensors out = runRequests(package, requests);
  std::vector<char> bytes = out.values<char>("all.text");
  std::string text(bytes.begin(), bytes.end());
  for (int64_t prefill : {0, 1, 7}) {
    Session session = open(0, prefill);
    ASSERT_EQ(prompt(session, asked), "");
    EXPECT_EQ(answer(session), text) << prefill;
  }
  Session session = open();
  ASSERT_EQ(prompt(session, ask(3, "?")), "");
  std::string first = answer(session);
  ASSERT_EQ(prompt(session, ask(3, "? or not", 1)), "");
  EXPECT_EQ(answer(session), fresh(ask(3, "? or not", 1)));
  ASSERT_EQ(prompt(session, ask(3, "?")), "");
  EXPECT_EQ(answer(session), first);
}

TEST_F(FewShotTest, AnswersOfABatchShareTheShots) {
  std::vector<Wish> wishes;
  for (const Asked &asked : {ask(4, " What's this?"), ask(4, "How many?"),
                             ask(2, "?", 1), ask(4, " What's this?")}) {
    Wish &wish = wishes.emplace_back();
    wish.text = asked.text;
    wish.pictures = asked.pictures;
    wish.options.struct_bytes = sizeof(wish.options);
    wish.options.max_new_tokens = 6;
  }
  wishes[1].options.answers = 3;
  wishes[1].options.temperature = 1;
  std::vector<Heard> heard = together(wishes, 6, 24);
  for (size_t i = 0; i < wishes.size(); ++i)
    EXPECT_EQ(heard[i], alone(wishes[i])) << i;
}

//===----------------------------------------------------------------------===//
// The entry point itself
//===----------------------------------------------------------------------===//

namespace {
/// A run of three tokens that see rows of one picture.
class SeenRowsTest : public FewShotTest {
protected:
  void SetUp() override {
    FewShotTest::SetUp();
    ASSERT_EQ(take(vlm_model_entry(model, "decode", &entry)), "");
    ASSERT_EQ(take(vlm_cache_create(model, 2, 100, &cache)), "");
    ASSERT_EQ(take(vlm_cache_create_for(model, "feature_cache", 2, 100,
                                        &featureCache)),
              "");
    ASSERT_EQ(take(vlm_cache_resize(cache, 0, 3)), "");
    for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
      vlm_tensor_t input;
      ASSERT_EQ(take(vlm_entry_input(entry, i, &input)), "");
      if (std::string(input.name) == "features")
        width = input.dims[2];
      if (std::string(input.name) == "feature_cache")
        layers = input;
      if (std::string(input.name) == "cache")
        own = input;
    }
    vlm_tensor_t output;
    ASSERT_EQ(take(vlm_entry_output(entry, 0, &output)), "");
    words = output.dims[2];
  }
  void TearDown() override {
    vlm_cache_destroy(cache);
    vlm_cache_destroy(featureCache);
    FewShotTest::TearDown();
  }

  template <typename T>
  vlm_tensor_t column(const char *name, vlm_dtype_t dtype,
                      std::vector<T> &values) {
    vlm_tensor_t tensor{};
    tensor.name = name;
    tensor.dtype = dtype;
    tensor.rank = 2;
    tensor.dims[0] = 1;
    tensor.dims[1] = int64_t(values.size());
    tensor.data = values.data();
    tensor.bytes = values.size() * sizeof(T);
    return tensor;
  }
  /// A message without the model's name, which is the folder's.
  static std::string withoutName(std::string message) {
    size_t begin = message.find('\'') + 1;
    return message.erase(begin, message.find('\'', begin) - begin);
  }
  /// Rows [0, fresh) are written, then each token sees [first, last).
  std::string run(int64_t fresh, int32_t first, int32_t last,
                  std::vector<float> &logits) {
    std::vector<int64_t> ids = {1, 5, 7};
    std::vector<int32_t> sequence(3, 0), position = {0, 1, 2}, rows = {2};
    std::vector<int32_t> firsts(3, first), lasts(3, last);
    std::vector<int32_t> zeros(size_t(fresh), 0), places;
    for (int32_t i = 0; i < fresh; ++i)
      places.push_back(i);
    std::vector<float> features(size_t(fresh * width));
    for (size_t i = 0; i < features.size(); ++i)
      features[i] = float(i % 7) - 3;
    std::vector<vlm_tensor_t> in = {column("input_ids", VLM_I64, ids),
                                    column("sequence", VLM_I32, sequence),
                                    column("position", VLM_I32, position),
                                    column("rows", VLM_I32, rows),
                                    column("feature_sequence", VLM_I32, zeros),
                                    column("feature_position", VLM_I32, places),
                                    column("first_feature", VLM_I32, firsts),
                                    column("last_feature", VLM_I32, lasts),
                                    column("features", VLM_F32, features)};
    in.back().rank = 3;
    in.back().dims[1] = fresh;
    in.back().dims[2] = width;
    in.push_back(own);
    in.back().data = cache;
    in.push_back(layers);
    in.back().data = featureCache;
    logits.assign(size_t(words), 0);
    vlm_tensor_t out = column("logits", VLM_F32, logits);
    out.rank = 3;
    out.dims[1] = 1;
    out.dims[2] = words;
    return withoutName(
        take(vlm_entry_run(entry, in.data(), in.size(), &out, 1)));
  }

  const vlm_entry_t *entry = nullptr;
  vlm_cache_t *cache = nullptr, *featureCache = nullptr;
  vlm_tensor_t own{}, layers{};
  int64_t width = 0, words = 0;
};
} // namespace

TEST_F(SeenRowsTest, AreReadFromTheCache) {
  ASSERT_EQ(take(vlm_cache_resize(featureCache, 0, 90)), "");
  std::vector<float> atOnce, later, none, fewer;
  ASSERT_EQ(run(90, 3, 80, atOnce), "");
  // The same rows, which an earlier run wrote.
  ASSERT_EQ(run(0, 3, 80, later), "");
  EXPECT_EQ(atOnce, later);
  ASSERT_EQ(run(0, 3, 79, fewer), "");
  EXPECT_NE(atOnce, fewer);
  // No row, however it is told.
  ASSERT_EQ(run(0, 0, 0, none), "");
  ASSERT_EQ(run(0, 70, 20, later), "");
  EXPECT_EQ(none, later);
  EXPECT_NE(none, fewer);
}

TEST_F(SeenRowsTest, AreRefusedWhereNoRoomWasMade) {
  std::vector<float> logits;
  EXPECT_EQ(run(2, 0, 2, logits),
            "model '', entry point 'decode': input 'feature_cache': token 0 is "
            "at place 0 of "
            "sequence 0, for which no room was made; call vlm_cache_resize "
            "before");
  ASSERT_EQ(take(vlm_cache_resize(featureCache, 0, 2)), "");
  EXPECT_EQ(run(2, 0, 2, logits), "");
  EXPECT_EQ(run(0, 1, 65, logits),
            "model '', entry point 'decode': input 'feature_cache': token 0 "
            "reads place 64 of "
            "sequence 0, for which no room was made; call vlm_cache_resize "
            "before");
}

TEST_F(SeenRowsTest, AreOfACacheOfThatName) {
  vlm_cache_t *made = nullptr;
  EXPECT_EQ(
      withoutName(take(vlm_cache_create_for(model, "pictures", 1, 10, &made))),
      "model '' has no entry point that takes a cache as input "
      "'pictures'");
}
