// Whole requests: batches, padding, probabilities, refusals.
#include "test/runtime/core/CoreFixture.h"
#include "test/runtime/tasks/FakeDualEncoder.h"

#include "runtime/core/StatusInternal.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace fake;

// Stand-ins for libvlm_image and libvlm_text: a picture is one value that fills
// its pixels, a text's ids are its bytes minus '`'. A picture of height 1 has
// no size, one of value -1 fails.
struct vlm_image_t {
  float value;
  int64_t height = 2;
};
struct vlm_tokenizer_t {};
static int32_t padId = -1;
static int padsLeft = 0;

int64_t vlm_image_height(const vlm_image_t *image) { return image->height; }
int64_t vlm_image_width(const vlm_image_t *) { return 2; }
extern "C" const uint8_t *vlm_image_digest(const vlm_image_t *) {
  static const uint8_t digest[32] = {};
  return digest;
}
vlm_status_t *vlm_model_preprocess_size(const vlm_model_t *, int64_t height,
                                        int64_t width, int64_t *outHeight,
                                        int64_t *outWidth) {
  if (height == 1)
    return vlmc::rt::makeStatus(VLM_INVALID_ARGUMENT, "too flat");
  *outHeight = height;
  *outWidth = width;
  return nullptr;
}
vlm_status_t *vlm_model_preprocess(const vlm_model_t *,
                                   const vlm_image_t *image, float *pixels) {
  if (image->value < 0)
    return vlmc::rt::makeStatus(VLM_CORRUPT,
                                "value " + std::to_string(image->value));
  std::fill_n(pixels, 12, image->value);
  return nullptr;
}
vlm_status_t *vlm_model_tile_count(const vlm_model_t *, int64_t height, int64_t,
                                   int64_t *tiles) {
  *tiles = height == 5 ? 2 : 1;
  return nullptr;
}
// Of sessions, which are tested with real models (test/e2e).
extern "C" int64_t vlm_image_arrangement(const vlm_abi_image *, int64_t,
                                         int64_t) {
  return 0;
}
extern "C" vlm_status_t *vlm_model_picture_lines(const vlm_model_t *, int64_t,
                                                 int64_t, int64_t *lines,
                                                 int64_t *columns) {
  *lines = *columns = 0;
  return nullptr;
}
vlm_status_t *vlm_model_picture_rows(const vlm_model_t *, int64_t, int64_t,
                                     vlm_ids_t *) {
  return vlmc::rt::makeStatus(VLM_UNSUPPORTED, "no rows");
}
vlm_status_t *vlm_tokenizer_of_model(const vlm_model_t *,
                                     vlm_tokenizer_t **out) {
  *out = new vlm_tokenizer_t;
  return nullptr;
}
void vlm_tokenizer_destroy(vlm_tokenizer_t *tokenizer) { delete tokenizer; }
vlm_status_t *vlm_tokenizer_encode(const vlm_tokenizer_t *, const char *text,
                                   size_t bytes, int special, size_t maxTokens,
                                   vlm_ids_t *out) {
  if (std::strcmp(text, "bad") == 0)
    return vlmc::rt::makeStatus(VLM_CORRUPT, "a bad text");
  EXPECT_EQ(special, 1);
  out->count = std::min(bytes, maxTokens);
  out->truncated = bytes > maxTokens;
  out->ids = static_cast<int32_t *>(std::calloc(out->count + 1, 4));
  for (size_t i = 0; i < out->count; ++i)
    out->ids[i] = text[i] - '`';
  return nullptr;
}
void vlm_ids_destroy(vlm_ids_t *ids) { std::free(ids->ids); }
int32_t vlm_tokenizer_pad_id(const vlm_tokenizer_t *) { return padId; }
int vlm_tokenizer_pads_left(const vlm_tokenizer_t *) { return padsLeft; }

// What sessions use beside; those have their tests on real models.
static vlm_status_t *unused() {
  return vlmc::rt::makeStatus(VLM_INTERNAL, "no session is tested here");
}
vlm_status_t *vlm_tokenizer_decode(const vlm_tokenizer_t *, const int32_t *,
                                   size_t, int, char **, size_t *) {
  return unused();
}
vlm_status_t *vlm_tokenizer_decode_begun(const vlm_tokenizer_t *,
                                         const int32_t *, size_t, int, char **,
                                         size_t *) {
  return unused();
}
vlm_status_t *vlm_tokenizer_encode_prompt(const vlm_tokenizer_t *, const char *,
                                          size_t, const int64_t *, size_t, int,
                                          vlm_ids_t *) {
  return unused();
}
vlm_status_t *vlm_tokenizer_of_picture_words(const vlm_model_t *,
                                             vlm_tokenizer_t **) {
  return unused();
}
void vlm_string_destroy(char *text) { std::free(text); }
size_t vlm_tokenizer_id_count(const vlm_tokenizer_t *) { return 0; }
int64_t vlm_tokenizer_picture_tokens(const vlm_tokenizer_t *, int64_t,
                                     int64_t) {
  return 0;
}

namespace {

class TasksTest : public ::testing::Test {
protected:
  TasksTest() { writeFile(weights, emptyWeights()); }

  vlm_model_t *load(uint32_t entries = 3,
                    uint32_t head = VLM_ABI_HEAD_SOFTMAX) {
    abi = dualEncoder(entries, head);
    vlm_load_options_t options{sizeof(vlm_load_options_t), pool.get()};
    vlm_model_t *loaded = nullptr;
    EXPECT_OK(vlm_model_load_linked(&abi, weights.c_str(), &options, &loaded));
    model.reset(loaded);
    return loaded;
  }

  TemporaryFolder folder;
  std::string weights = folder.path / "duo.weights";
  Pool pool = makePool(3);
  vlm_abi_model abi{};
  Model model{nullptr, vlm_model_destroy};
};

} // namespace

TEST_F(TasksTest, TellsTheWidth) {
  int64_t width = 0;
  EXPECT_OK(vlm_embedding_width(load(), &width));
  EXPECT_EQ(width, 3);
  EXPECT_FAILS(vlm_embedding_width(load(0), &width), VLM_UNSUPPORTED,
               "model 'duo' cannot embed pictures or texts: it has no entry "
               "point 'encode_text'");
}

TEST_F(TasksTest, EmbedsPicturesInPieces) {
  std::vector<vlm_image_t> images(70);
  std::vector<const vlm_image_t *> list;
  for (size_t i = 0; i < images.size(); ++i) {
    images[i].value = float(i);
    list.push_back(&images[i]);
  }
  std::vector<float> embeds(70 * 3);
  ASSERT_OK(vlm_embed_images(load(), list.data(), 70, embeds.data()));
  for (size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(embeds[3 * i], 12 * float(i));
    EXPECT_EQ(embeds[3 * i + 1], 1);
  }
}

TEST_F(TasksTest, RefusesBadPictures) {
  vlm_image_t good{1}, flat{1, 1}, high{1, 4}, cut{1, 5}, worse{-2}, bad{-1};
  std::vector<float> embeds(9);
  const vlm_image_t *list[] = {&good, &flat, nullptr};
  load();
  EXPECT_FAILS(vlm_embed_images(model.get(), list, 2, embeds.data()),
               VLM_INVALID_ARGUMENT, "too flat");
  EXPECT_FAILS(vlm_embed_images(model.get(), list, 3, embeds.data()),
               VLM_INVALID_ARGUMENT,
               "vlm_embed_images: element 2 of 'images' must not be NULL");
  EXPECT_FAILS(vlm_embed_images(model.get(), list, 0, embeds.data()),
               VLM_INVALID_ARGUMENT,
               "vlm_embed_images: 'images' must hold at least one element, "
               "found 0");
  EXPECT_FAILS(vlm_embed_images(model.get(), list, 1, nullptr),
               VLM_INVALID_ARGUMENT,
               "vlm_embed_images: 'embeddings' must not be NULL");
  list[1] = &high;
  EXPECT_FAILS(vlm_embed_images(model.get(), list, 2, embeds.data()),
               VLM_INVALID_ARGUMENT,
               "picture 1 is 4 x 2 pixels after preprocessing, the ones before "
               "2 x 2; embed pictures of different sizes one by one");
  list[1] = &cut;
  EXPECT_FAILS(vlm_embed_images(model.get(), list, 2, embeds.data()),
               VLM_INVALID_ARGUMENT,
               "the model cuts picture 1 into 2 tiles, which have no embedding "
               "of their own; take a model that embeds");
  list[1] = &bad;
  list[2] = &worse; // the first failure in the list's order is told
  EXPECT_FAILS(vlm_embed_images(model.get(), list, 3, embeds.data()),
               VLM_CORRUPT, "value -1.000000");
}

TEST_F(TasksTest, EmbedsAndPadsTexts) {
  const char *texts[] = {"a", "abc", "", "abcdefgh"};
  std::vector<float> embeds(12);
  size_t truncated = 9;
  ASSERT_OK(vlm_embed_texts(load(), texts, 4, embeds.data(), &truncated));
  // Cut at 5 tokens; the shorter ones are padded to 5 with id 100, masked.
  EXPECT_EQ(embeds,
            (std::vector<float>{1, 1, 400, 6, 3, 200, 0, 0, 500, 15, 5, 0}));
  EXPECT_EQ(truncated, 1u);
  ASSERT_OK(vlm_embed_texts(model.get(), texts, 1, embeds.data(), nullptr));
  EXPECT_EQ(embeds[2], 0); // alone it needs no padding
}

TEST_F(TasksTest, EmbedsTextsInPieces) {
  std::vector<std::string> words;
  std::vector<const char *> texts;
  for (int i = 0; i < 70; ++i)
    words.push_back(std::string(1, char('a' + i % 26)));
  for (const std::string &word : words)
    texts.push_back(word.c_str());
  std::vector<float> embeds(70 * 3);
  ASSERT_OK(vlm_embed_texts(load(), texts.data(), 70, embeds.data(), nullptr));
  for (int i = 0; i < 70; ++i)
    EXPECT_EQ(embeds[3 * i], float(1 + i % 26));
}

TEST_F(TasksTest, PadsAsTheModelSays) {
  const char *texts[] = {"abc", "a"};
  std::vector<float> embeds(6);
  using Values = std::vector<float>;
  // What is attended to, how much of it, and what is not.
  auto embed = [&](uint32_t flags, int32_t pad, int left) {
    padId = pad;
    padsLeft = left;
    load();
    abi.text_flags = flags;
    EXPECT_OK(vlm_embed_texts(model.get(), texts, 2, embeds.data(), nullptr));
    padId = -1;
    padsLeft = 0;
    return embeds;
  };
  EXPECT_EQ(embed(0, -1, 0), (Values{6, 3, 0, 1, 1, 200}));
  EXPECT_EQ(embed(0, 7, 0), (Values{6, 3, 0, 1, 1, 14}));
  EXPECT_EQ(embed(0, 7, 1), (Values{6, 3, 0, 1, 1, 14.5F}));
  EXPECT_EQ(embed(VLM_ABI_TEXT_PAD_TO_MAX, 7, 0), (Values{6, 3, 14, 1, 1, 28}));
  EXPECT_EQ(embed(VLM_ABI_TEXT_PAD_TO_MAX | VLM_ABI_TEXT_UNMASKED, 7, 0),
            (Values{20, 5, 0, 29, 5, 0}));
}

TEST_F(TasksTest, RefusesBadTexts) {
  const char *texts[] = {"a", "bad"};
  std::vector<float> embeds(6);
  load();
  EXPECT_FAILS(vlm_embed_texts(model.get(), texts, 2, embeds.data(), nullptr),
               VLM_CORRUPT, "a bad text");
  EXPECT_FAILS(
      vlm_embed_texts(model.get(), texts, 0, embeds.data(), nullptr),
      VLM_INVALID_ARGUMENT,
      "vlm_embed_texts: 'texts' must hold at least one element, found 0");
  EXPECT_FAILS(vlm_embed_texts(load(1), texts, 1, embeds.data(), nullptr),
               VLM_UNSUPPORTED,
               "model 'duo' cannot embed texts: it has no entry point "
               "'encode_text'");
}

TEST_F(TasksTest, ClassifiesBySoftmax) {
  vlm_image_t image{1.0f / 12};
  // More labels than `similarity` takes at once.
  std::vector<std::string> words;
  std::vector<const char *> labels;
  for (int i = 0; i < 20; ++i)
    words.push_back(std::string(1, char('a' + i)));
  for (const std::string &word : words)
    labels.push_back(word.c_str());
  std::vector<float> logits(20), probabilities(20);
  ASSERT_OK(vlm_classify(load(), &image, labels.data(), 20, logits.data(),
                         probabilities.data()));
  double sum = 0;
  for (int i = 0; i < 20; ++i)
    sum += std::exp(double((i + 2) / 64.0f));
  for (int i = 0; i < 20; ++i) {
    EXPECT_FLOAT_EQ(logits[i], (i + 2) / 64.0f);
    EXPECT_FLOAT_EQ(probabilities[i],
                    float(std::exp(double((i + 2) / 64.0f)) / sum));
  }
  // Logits that would overflow without the largest taken off.
  image.value = 1e6f;
  ASSERT_OK(vlm_classify(model.get(), &image, labels.data(), 20, nullptr,
                         probabilities.data()));
  EXPECT_EQ(probabilities[19], 1);
  EXPECT_EQ(probabilities[0], 0);
}

TEST_F(TasksTest, ClassifiesBySigmoid) {
  vlm_image_t image{0};
  const char *labels[] = {"ab", ""};
  float probabilities[2];
  ASSERT_OK(vlm_classify(load(3, VLM_ABI_HEAD_SIGMOID), &image, labels, 2,
                         nullptr, probabilities));
  EXPECT_FLOAT_EQ(probabilities[0], float(1 / (1 + std::exp(-2 / 64.0))));
  EXPECT_FLOAT_EQ(probabilities[1], 0.5f);
}

TEST_F(TasksTest, RefusesWhatItCannotClassify) {
  vlm_image_t image{1};
  const char *labels[] = {"a"};
  float probability = 7;
  EXPECT_FAILS(
      vlm_classify(load(), &image, labels, 0, nullptr, &probability),
      VLM_INVALID_ARGUMENT,
      "vlm_classify: 'labels' must hold at least one element, found 0");
  EXPECT_FAILS(
      vlm_classify(model.get(), nullptr, labels, 1, nullptr, &probability),
      VLM_INVALID_ARGUMENT, "vlm_classify: 'image' must not be NULL");
  EXPECT_FAILS(vlm_classify(load(2), &image, labels, 1, nullptr, &probability),
               VLM_UNSUPPORTED,
               "model 'duo' cannot classify pictures: it has no entry point "
               "'similarity'");
  EXPECT_EQ(probability, 7);
}
