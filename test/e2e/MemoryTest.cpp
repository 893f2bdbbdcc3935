//===- MemoryTest.cpp - What a request takes, predicted -------------------===//
//
// The memory that vlm_session_predict tells for a request beside the anonymous
// memory by which a process grows at most while the request runs, for requests
// of ten shapes, each in a process of its own.
//
//===----------------------------------------------------------------------===//
#include "frontend/support/Json.h"
#include "test/e2e/SessionFixture.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vlmc;
using namespace vlmc::e2e;

namespace {

namespace fs = std::filesystem;

/// Growth from what the process has when this is made to the most it has had.
class Growth {
public:
  Growth() : before(anonymous()), most(before), watcher([this] { watch(); }) {}
  Growth(const Growth &) = delete;
  Growth &operator=(const Growth &) = delete;
  ~Growth() {
    if (watcher.joinable())
      end();
  }
  /// In bytes.
  int64_t end() {
    isOver = true;
    watcher.join();
    return std::max(most.load(), anonymous()) - before;
  }

private:
  /// RssAnon: resident pages that are no file's.
  static int64_t anonymous() {
    int64_t size = 0, resident = 0, shared = 0;
    std::ifstream("/proc/self/statm") >> size >> resident >> shared;
    return (resident - shared) * sysconf(_SC_PAGESIZE);
  }
  void watch() {
    while (!isOver) {
      most = std::max(most.load(), anonymous());
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  }

  int64_t before;
  std::atomic<int64_t> most;
  std::atomic<bool> isOver{false};
  std::thread watcher;
};

struct Shape {
  const char *name;
  Wish wish;
};

/// A model that is large enough for its pages and runs to count, and small
/// enough to be quick: the tiled one of the goldens with other sizes and random
/// weights.
class MemoryTest : public SessionTest {
protected:
  void SetUp() override {
    std::string folder = freshPath("large");
    fs::copy(goldensFolder() + "/llava/next-files/model", folder);
    fs::remove(folder + "/model.safetensors");
    Json config = read(folder + "/config.json");
    for (auto [key, value] : {std::pair("hidden_size", 512),
                              {"intermediate_size", 1024},
                              {"num_hidden_layers", 8},
                              {"num_attention_heads", 8},
                              {"num_key_value_heads", 8},
                              {"max_position_embeddings", 4096}})
      config["text_config"][key] = value;
    for (auto [key, value] : {std::pair("hidden_size", 192),
                              {"intermediate_size", 512},
                              {"num_hidden_layers", 3},
                              {"num_attention_heads", 3},
                              {"image_size", 140}})
      config["vision_config"][key] = value;
    scaleGrid(config["image_grid_pinpoints"]);
    write(folder + "/config.json", config);
    Json processor = read(folder + "/preprocessor_config.json");
    processor["size"]["shortest_edge"] = 140;
    processor["crop_size"] = {{"height", 140}, {"width", 140}};
    scaleGrid(processor["image_grid_pinpoints"]);
    write(folder + "/preprocessor_config.json", processor);
    package = freshPath("large.vlm");
    Ended ended = runVlmc(
        {"compile", folder, "-o", package, "--target",
         __builtin_cpu_supports("x86-64-v4") ? "x86-64-v4" : "x86-64-v3",
         "--random-weights", "1"});
    ASSERT_EQ(ended.code, 0) << ended;
    for (auto [height, width] : {std::pair(130, 120), {500, 260}, {300, 310}}) {
      std::vector<uint8_t> rgb(size_t(height * width * 3), 90);
      ASSERT_EQ(take(vlm_image_create(rgb.data(), height, width, 3 * width,
                                      &images.emplace_back())),
                "");
    }
  }

  /// What was predicted and by how much a process of its own grew.
  std::pair<int64_t, int64_t> measure(const Wish &wish) const {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
      int64_t numbers[2] = {0, 0};
      run(wish, numbers);
      bool isWritten = ::write(ends[1], numbers, sizeof numbers) > 0;
      _exit(isWritten && !HasFailure() ? 0 : 1);
    }
    close(ends[1]);
    int64_t numbers[2] = {0, 0};
    EXPECT_EQ(::read(ends[0], numbers, sizeof numbers),
              ssize_t(sizeof numbers));
    close(ends[0]);
    int state = 0;
    waitpid(child, &state, 0);
    EXPECT_EQ(state, 0);
    return {numbers[0], numbers[1]};
  }

private:
  static Json read(const std::string &path) {
    return Json::parse(readFile(path));
  }
  static void write(const std::string &path, const Json &json) {
    std::ofstream(path) << json.dump(1);
  }
  static void scaleGrid(Json &grid) {
    for (Json &size : grid)
      for (Json &side : size)
        side = side.get<int>() * 5;
  }

  /// Answers the wish with a model and a session that are new.
  void answerNew(vlm_pool_t *pool, const Wish &wish, int64_t *numbers) const {
    vlm_load_options_t load{};
    load.struct_bytes = sizeof(load);
    load.pool = pool;
    vlm_model_t *own = nullptr;
    ASSERT_EQ(take(vlm_model_load(package.c_str(), &load, &own)), "");
    vlm_session_t *session = nullptr;
    ASSERT_EQ(take(vlm_session_create(own, nullptr, &session)), "");
    {
      Heard heard;
      std::vector<const vlm_image_t *> list;
      vlm_request_t asked = request(wish, heard, list);
      vlm_prediction_t told{sizeof(told), 0, 0, 0, 0, 0, 0, 0};
      ASSERT_EQ(take(vlm_session_predict(session, &asked, &told)), "");
      malloc_trim(0);
      Growth growth;
      ASSERT_EQ(take(vlm_session_answer(session, &asked)), "");
      numbers[0] = int64_t(told.bytes);
      numbers[1] = growth.end();
    }
    vlm_session_destroy(session);
    vlm_model_destroy(own);
  }

  void run(const Wish &wish, int64_t *numbers) const {
    vlm_pool_t *pool = nullptr;
    ASSERT_EQ(take(vlm_pool_create(2, &pool)), "");
    // What only the first request of a process takes is not the request's.
    Wish small{"a <image> b", {0}, {}};
    small.options.struct_bytes = sizeof(small.options);
    small.options.temperature = 1;
    answerNew(pool, small, numbers);
    answerNew(pool, wish, numbers);
    vlm_pool_destroy(pool);
  }
};

std::string words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += " word";
  return text;
}

std::vector<Shape> shapes() {
  auto make = [](std::string text, std::vector<size_t> pictures, int64_t tokens,
                 int32_t answers) {
    Wish wish{std::move(text), std::move(pictures), {}};
    wish.options.struct_bytes = sizeof(wish.options);
    wish.options.max_new_tokens = tokens;
    wish.options.answers = answers;
    // Nothing ends it before.
    wish.options.repetition_penalty = 1;
    return wish;
  };
  std::vector<Shape> made = {
      {"short text", make("Hello" + words(10), {}, 8, 1)},
      {"long text", make(words(300), {}, 8, 1)},
      {"very long text", make(words(900), {}, 4, 1)},
      {"long answer", make("Hello" + words(20), {}, 300, 1)},
      {"small picture", make("<image> what?", {0}, 10, 1)},
      {"tall picture of tiles", make("<image> what?", {1}, 10, 1)},
      {"three pictures", make("<image> <image> <image>?", {1, 2, 0}, 10, 1)},
      {"long prompt, four answers", make(words(250), {}, 70, 4)},
      {"picture, eight answers", make("<image> what?", {2}, 20, 8)},
      {"by chance, with logprobs", make(words(200), {}, 30, 2)},
  };
  made.back().wish.options.temperature = 1;
  made.back().wish.options.top_logprobs = 5;
  made.back().wish.options.prompt_logprobs = 1;
  return made;
}

} // namespace

TEST_F(MemoryTest, PredictedWithinFivePercent) {
  for (const Shape &shape : shapes()) {
    auto [predicted, grown] = measure(shape.wish);
    double error = std::abs(double(predicted) / double(grown) - 1);
    EXPECT_LE(error, 0.05) << shape.name << ": predicted " << predicted
                           << " bytes, grew by " << grown;
    std::printf("%-28s predicted %9lld, grew by %9lld: %+.1f %%\n", shape.name,
                static_cast<long long>(predicted),
                static_cast<long long>(grown),
                100 * (double(predicted) / double(grown) - 1));
  }
}

TEST_F(MemoryTest, ALimitRefusesBeforeAnythingRuns) {
  ASSERT_EQ(take(vlm_model_load(package.c_str(), nullptr, &model)), "");
  Session session = open();
  Wish wish{"<image> what?", {1}, {}};
  wish.options.struct_bytes = sizeof(wish.options);
  Heard heard;
  std::vector<const vlm_image_t *> list;
  vlm_request_t asked = request(wish, heard, list);
  vlm_prediction_t told{sizeof(told), 0, 0, 0, 0, 0, 0, 0};
  ASSERT_EQ(take(vlm_session_predict(session.get(), &asked, &told)), "");
  EXPECT_EQ(told.pixels, 500 * 260);
  EXPECT_EQ(told.tiles, 5);
  asked.max_bytes = told.bytes - 1;
  std::string refused = take(vlm_session_answer(session.get(), &asked));
  EXPECT_EQ(refused.find("request: needs " + std::to_string(told.bytes) +
                         " bytes of memory (keys and values " +
                         std::to_string(told.cache_bytes) + ", pictures " +
                         std::to_string(told.picture_bytes) + ", runs " +
                         std::to_string(told.work_bytes) +
                         "), expected at most " +
                         std::to_string(told.bytes - 1) + " (max_bytes)"),
            0U)
      << refused;
  EXPECT_EQ(vlm_session_tokens(session.get()), 0);
  EXPECT_EQ(vlm_session_memory(session.get()), 0U);
  asked.max_bytes = told.bytes;
  asked.max_tiles = 4;
  EXPECT_EQ(take(vlm_session_answer(session.get(), &asked)),
            "images: have 5 tiles, expected at most 4 (max_tiles); give fewer "
            "pictures or smaller ones");
  asked.max_tiles = 5;
  EXPECT_EQ(take(vlm_session_answer(session.get(), &asked)), "");
}
