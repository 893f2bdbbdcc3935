//===-- CombinationsTest.cpp - any tower, any connector, any decoder ------===//
//
// Specs written by hand that join each of five towers by each of six connectors
// to each of four decoders. All are compiled with random weights, once as usual
// and once by the reference lowering, and run: a picture is encoded, its
// features stand among words or are attended to. Sizes are small and awkward.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/BuildGraph.h"
#include "frontend/spec/Spec.h"
#include "runtime/vlm.h"
#include "test/codegen/package/Support.h"
#include "tools/driver/Compile.h"

#include <cmath>
#include <fstream>
#include <map>
#include <memory>

using namespace vlmc;
using namespace vlmc::test;

//===----------------------------------------------------------------------===//
// The parts
//===----------------------------------------------------------------------===//

namespace {
/// A part of a spec: its name in messages, and what the others must know of it.
struct Tower {
  const char *name;
  int64_t features;
  const char *text; ///< of the component "vision"
};
struct LanguageModel {
  const char *name;
  int64_t width;    ///< of a token's embedding
  const char *text; ///< of the decoder
};
enum class Connector {
  Linear,
  Mlp,
  QFormer,
  Perceiver,
  CrossAttention,
  Unshuffle
};
} // namespace

static const Tower towers[] = {
    {"clip", 16, R"(vision_transformer {
       blocks { hidden_size: 16 intermediate_size: 24 layers: 2 heads: 2
                activation: QUICK_GELU norm_epsilon: 1e-05 }
       image_size: 32 patch_size: 8 channels: 3 class_token: true pre_norm: true
       pool: TOKENS drop_class_token: true feature_layers: 1 })"},
    {"siglip", 24, R"(vision_transformer {
       blocks { hidden_size: 24 intermediate_size: 40 layers: 1 heads: 3
                activation: GELU_TANH norm_epsilon: 1e-06 }
       image_size: 30 patch_size: 5 channels: 3 patch_bias: true post_norm: true
       pool: TOKENS })"},
    {"resnet", 64, R"(residual_network {
       width: 2 layers: [1, 2, 1, 1] image_size: 64 channels: 3
       norm_epsilon: 1e-05 tokens: true })"},
    {"internvit", 20, R"(vision_transformer {
       blocks { hidden_size: 20 intermediate_size: 28 layers: 2 heads: 5
                activation: GELU norm_epsilon: 1e-06 layer_scale: true
                query_norm: true rms_norm: true }
       image_size: 28 patch_size: 7 channels: 3 class_token: true
       patch_bias: true pool: TOKENS drop_class_token: true })"},
    {"patches", 18, R"(patch_projector {
       patch_size: 6 channels: 3 output_size: 18 image_size: 24 })"},
};

static const LanguageModel languageModels[] = {
    {"llama", 24, R"(hidden_size: 24 intermediate_size: 40 layers: 2 heads: 3
       kv_heads: 1 head_size: 8 vocabulary_size: 50 max_tokens: 128
       activation: SILU norm_epsilon: 1e-05 rotary { theta: 10000 size: 8 })"},
    {"qwen2", 32, R"(hidden_size: 32 intermediate_size: 48 layers: 2 heads: 4
       kv_heads: 2 head_size: 8 vocabulary_size: 61 max_tokens: 128
       activation: SILU norm_epsilon: 1e-06 rotary { theta: 1e6 size: 8 }
       query_bias: true tied_head: true window: 9 window_layers: 1)"},
    {"gemma", 20, R"(hidden_size: 20 intermediate_size: 36 layers: 2 heads: 2
       kv_heads: 1 head_size: 12 vocabulary_size: 55 max_tokens: 128
       activation: GELU_TANH norm_epsilon: 1e-06 norm_offset: 1
       rotary { theta: 10000 size: 12 } tied_head: true
       embedding_scale: 4.472135955 branch_norm: true
       attention_softcap: 50 logit_softcap: 30)"},
    {"opt", 16, R"(hidden_size: 24 intermediate_size: 32 layers: 2 heads: 4
       kv_heads: 4 head_size: 6 vocabulary_size: 53 max_tokens: 128
       activation: RELU norm_epsilon: 1e-05 position_offset: 2 layer_norm: true
       plain_mlp: true query_bias: true output_bias: true mlp_bias: true
       embedding_size: 16 tied_head: true)"},
};

static const std::pair<const char *, Connector> connectors[] = {
    {"linear", Connector::Linear},
    {"mlp", Connector::Mlp},
    {"qformer", Connector::QFormer},
    {"perceiver", Connector::Perceiver},
    {"cross-attention", Connector::CrossAttention},
    {"unshuffle", Connector::Unshuffle},
};

static std::string field(const char *name, int64_t value) {
  return std::string(" ") + name + ": " + std::to_string(value);
}

/// The component "connector", or what the decoder says of attention to the
/// tower itself.
static std::string connectorText(Connector kind, const Tower &tower,
                                 const LanguageModel &model) {
  switch (kind) {
  case Connector::Linear:
    return "projector { tower: 'vision' layers: 1" +
           field("input_size", tower.features) +
           field("output_size", model.width) + " }";
  case Connector::Mlp:
    return "projector { tower: 'vision' layers: 2 activation: GELU bias: true "
           "hidden_size: 22 norm_epsilon: 1e-05" +
           field("input_size", tower.features) +
           field("output_size", model.width) + " }";
  case Connector::Unshuffle:
    return "projector { tower: 'vision' layers: 2 activation: GELU bias: true "
           "hidden_size: 26 unshuffle: 2" +
           field("input_size", 4 * tower.features) +
           field("output_size", model.width) + " }";
  case Connector::QFormer:
    return "q_former { tower: 'vision' queries: 5 cross_attention_step: 2 "
           "blocks { hidden_size: 12 intermediate_size: 20 layers: 3 heads: 3 "
           "activation: GELU norm_epsilon: 1e-12 }" +
           field("tower_size", tower.features) +
           field("output_size", model.width) + " }";
  case Connector::Perceiver:
    return "perceiver_resampler { tower: 'vision' latents: 4 layers: 2 "
           "heads: 2 kv_heads: 1 head_size: 7 intermediate_size: 30 "
           "activation: SILU norm_epsilon: 1e-06 rms_norm: true "
           "gated_mlp: true" +
           field("hidden_size", tower.features) +
           field("output_size", model.width) + " }";
  case Connector::CrossAttention:
    return "cross_attention { layers: 1 heads: 2 kv_heads: 2 head_size: 9 "
           "intermediate_size: 21 activation: GELU norm_epsilon: 1e-05 "
           "layer_norm: true plain_mlp: true" +
           field("feature_size", tower.features) + " }";
  }
  return "";
}

static std::string specText(const Tower &tower, Connector connector,
                            const LanguageModel &model) {
  const std::string joined = connectorText(connector, tower, model);
  const bool isSeen = connector == Connector::CrossAttention;
  std::string text = "name: 'combined'\ncomponents { name: 'vision' " +
                     std::string(tower.text) + " }\n";
  if (!isSeen)
    text += "components { name: 'connector' " + joined + " }\n";
  return text + "components { name: 'language' decoder { " + model.text +
         " features: '" + (isSeen ? "vision" : "connector") + "' " +
         (isSeen ? joined : "") + " } }\n";
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

static bool check(vlm_status_t *status) {
  EXPECT_FALSE(status) << vlm_status_message(status);
  bool isGood = !status;
  vlm_status_destroy(status);
  return isGood;
}

namespace {
/// A compiled model, and the inputs of a run by name.
class Runner {
public:
  explicit Runner(const std::string &package) {
    check(vlm_model_load(package.c_str(), nullptr, &model));
  }
  ~Runner() {
    for (auto &[name, cache] : caches)
      vlm_cache_destroy(cache);
    vlm_model_destroy(model);
  }
  /// The features of a picture, [T, D].
  std::vector<float> encode();
  /// The logits of all tokens of a prompt with these features.
  std::vector<float> decode(const std::vector<float> &features);
  int64_t featureRows() const { return rows; }

private:
  std::vector<float> run(const char *entry, const char *output);
  template <class T>
  void give(const char *name, vlm_dtype_t type, std::vector<int64_t> dims,
            const std::vector<T> &values);
  void giveNumbers(const char *name, int64_t count,
                   llvm::function_ref<int64_t(int64_t)> value);
  void giveCache(const char *name, int64_t tokens);

  struct Input {
    vlm_dtype_t type;
    std::vector<int64_t> dims;
    std::vector<uint8_t> bytes;
  };
  vlm_model_t *model = nullptr;
  std::map<std::string, Input> inputs;
  std::map<std::string, vlm_cache_t *> caches;
  int64_t rows = 0;
};
} // namespace

template <class T>
void Runner::give(const char *name, vlm_dtype_t type, std::vector<int64_t> dims,
                  const std::vector<T> &values) {
  Input &input = inputs[name];
  input.type = type;
  input.dims = std::move(dims);
  input.bytes.resize(values.size() * sizeof(T));
  std::memcpy(input.bytes.data(), values.data(), input.bytes.size());
}

void Runner::giveNumbers(const char *name, int64_t count,
                         llvm::function_ref<int64_t(int64_t)> value) {
  std::vector<int32_t> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<int32_t>(value(i)));
  give(name, VLM_I32, {1, count}, values);
}

void Runner::giveCache(const char *name, int64_t tokens) {
  vlm_cache_t *&cache = caches[name];
  if (check(vlm_cache_create_for(model, name, 1, tokens, &cache)))
    check(vlm_cache_resize(cache, 0, tokens));
}

/// Runs an entry with those of the inputs that it takes.
std::vector<float> Runner::run(const char *name, const char *output) {
  const vlm_entry_t *entry = nullptr;
  if (!model || !check(vlm_model_entry(model, name, &entry)))
    return {};
  std::vector<vlm_tensor_t> given(vlm_entry_input_count(entry));
  for (size_t i = 0; i < given.size(); ++i) {
    check(vlm_entry_input(entry, i, &given[i]));
    if (auto cache = caches.find(given[i].name); cache != caches.end()) {
      given[i].data = cache->second;
      continue;
    }
    auto found = inputs.find(given[i].name);
    if (found == inputs.end()) {
      ADD_FAILURE() << "no values for input " << given[i].name;
      return {};
    }
    std::copy(found->second.dims.begin(), found->second.dims.end(),
              given[i].dims);
    given[i].dtype = found->second.type;
    given[i].data = found->second.bytes.data();
    given[i].bytes = found->second.bytes.size();
  }
  std::vector<vlm_tensor_t> outputs(vlm_entry_output_count(entry));
  if (!check(vlm_entry_output_shapes(entry, given.data(), given.size(),
                                     outputs.data())))
    return {};
  auto wanted =
      std::find_if(outputs.begin(), outputs.end(), [&](const auto &tensor) {
        return std::string_view(tensor.name) == output;
      });
  if (wanted == outputs.end()) {
    ADD_FAILURE() << "no output " << output;
    return {};
  }
  std::vector<float> values(wanted->bytes / sizeof(float));
  wanted->data = values.data();
  check(vlm_entry_run(entry, given.data(), given.size(), &*wanted, 1));
  rows = wanted->dims[1];
  return values;
}

std::vector<float> Runner::encode() {
  const vlm_entry_t *entry = nullptr;
  vlm_tensor_t pixels{};
  if (!model || !check(vlm_model_entry(model, "encode_image", &entry)) ||
      !check(vlm_entry_input(entry, 0, &pixels)))
    return {};
  std::vector<int64_t> dims(pixels.dims, pixels.dims + pixels.rank);
  dims[0] = 1;
  std::vector<float> values(size_t(dims[1] * dims[2] * dims[3]));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i)));
  give("pixel_values", VLM_F32, dims, values);
  return run("encode_image", "image_features");
}

/// A word, the picture's features or what stands for them, five more words.
std::vector<float> Runner::decode(const std::vector<float> &features) {
  const int64_t pictureRows = rows;
  const int64_t width = static_cast<int64_t>(features.size()) / rows;
  const vlm_entry_t *entry = nullptr;
  if (!model || !check(vlm_model_entry(model, "decode", &entry)))
    return {};
  bool isSeen = false;
  for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
    vlm_tensor_t input{};
    check(vlm_entry_input(entry, i, &input));
    isSeen = isSeen || std::string_view(input.name) == "feature_cache";
  }
  const int64_t tokens = 6 + (isSeen ? 1 : pictureRows);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < tokens; ++i)
    ids.push_back((7 * i + 3) % 50);
  give("input_ids", VLM_I64, {1, tokens}, ids);
  giveNumbers("sequence", tokens, [](int64_t) { return 0; });
  giveNumbers("position", tokens, [](int64_t i) { return i; });
  giveNumbers("rows", tokens, [](int64_t i) { return i; });
  giveCache("cache", tokens);
  if (isSeen) {
    give("features", VLM_F32, {1, pictureRows, width}, features);
    giveNumbers("feature_sequence", pictureRows, [](int64_t) { return 0; });
    giveNumbers("feature_position", pictureRows, [](int64_t i) { return i; });
    // The first word stands before the picture and sees nothing of it.
    giveNumbers("first_feature", tokens, [](int64_t) { return 0; });
    giveNumbers("last_feature", tokens,
                [&](int64_t i) { return i ? pictureRows : 0; });
    giveCache("feature_cache", pictureRows);
  } else {
    give("features", VLM_F32, {pictureRows, width}, features);
    giveNumbers("feature_row", tokens, [&](int64_t i) {
      return i >= 1 && i <= pictureRows ? i - 1 : -1;
    });
  }
  return run("decode", "logits");
}

/// max|d| / std(reference), both of which must be there.
static double errorOf(const std::vector<float> &got,
                      const std::vector<float> &wanted) {
  EXPECT_FALSE(wanted.empty());
  EXPECT_EQ(got.size(), wanted.size());
  if (wanted.empty() || got.size() != wanted.size())
    return INFINITY;
  double mean = 0, squares = 0, most = 0;
  const auto count = static_cast<double>(wanted.size());
  for (float value : wanted)
    mean += value / count;
  for (size_t i = 0; i < wanted.size(); ++i) {
    squares += std::pow(wanted[i] - mean, 2) / count;
    const double difference = std::abs(double(got[i]) - wanted[i]);
    most = difference <= most ? most : difference; // NaN counts
  }
  EXPECT_GT(squares, 0);
  return most / std::sqrt(squares);
}

namespace {
class Combinations : public testing::TestWithParam<Tower> {
protected:
  /// Compiles a spec into a package, or adds a failure.
  std::string compile(const std::string &spec, bool reference) {
    CompileRequest request;
    request.model = folder.file("combined.textproto");
    std::ofstream(request.model) << spec;
    request.output = folder.file(reference ? "reference.vlm" : "usual.vlm");
    request.randomSeed = 7;
    request.targets = {"x86-64-v3"};
    request.reference = reference;
    request.vlmcHalide = std::string(VLMC_BINARY_DIR) + "/bin/vlmc-halide";
    EXPECT_EQ(messageOf(compileModel(request)), "") << spec;
    return request.output;
  }
  TemporaryFolder folder;
};
} // namespace

/// The tolerance is that of the goldens for logits, which features keep too.
TEST_P(Combinations, EqualReference) {
  for (const auto &[name, connector] : connectors)
    for (const LanguageModel &model : languageModels) {
      const std::string spec = specText(GetParam(), connector, model);
      SCOPED_TRACE(std::string(name) + " to " + model.name + "\n" + spec);
      Runner usual(compile(spec, false)), reference(compile(spec, true));
      if (HasFailure())
        return;
      std::vector<float> features = reference.encode();
      EXPECT_LE(errorOf(usual.encode(), features), 1e-4);
      std::vector<float> logits = reference.decode(features);
      EXPECT_LE(errorOf(usual.decode(features), logits), 2e-4);
    }
}

INSTANTIATE_TEST_SUITE_P(All, Combinations, testing::ValuesIn(towers),
                         [](const auto &info) {
                           return std::string(info.param.name);
                         });

/// Every join is told by both components and both widths where it does not fit.
TEST(CombinationFaults, NameBothComponentsAndWidths) {
  for (const Tower &tower : towers)
    for (const auto &[name, connector] : connectors)
      for (const LanguageModel &model : languageModels) {
        SCOPED_TRACE(std::string(tower.name) + " by " + name + " to " +
                     model.name);
        const bool isSeen = connector == Connector::CrossAttention;
        const std::string found = std::to_string(tower.features);
        // The tower's side.
        Tower wider = tower;
        ++wider.features;
        auto spec = parseSpec(specText(wider, connector, model), "spec");
        ASSERT_TRUE(spec) << spec.message();
        std::string message = checkSpec(*spec).value_or(Failure{}).message;
        int64_t factor = connector == Connector::Unshuffle ? 4 : 1;
        std::string widths = "expected " +
                             std::to_string(factor * tower.features) +
                             ", the features of 'vision', found " +
                             std::to_string(factor * wider.features);
        EXPECT_NE(message.find(widths), std::string::npos) << message;
        EXPECT_NE(message.find(isSeen ? "component 'language': "
                                      : "component 'connector': "),
                  std::string::npos)
            << message;
        if (isSeen)
          continue;
        // The decoder's side.
        LanguageModel narrower = model;
        --narrower.width;
        spec = parseSpec(specText(tower, connector, narrower), "spec");
        ASSERT_TRUE(spec) << spec.message();
        message = checkSpec(*spec).value_or(Failure{}).message;
        widths = "expected " + std::to_string(narrower.width) +
                 ", the features of 'connector', found " +
                 std::to_string(model.width);
        EXPECT_NE(message.find("component 'language': "), std::string::npos)
            << message;
        EXPECT_NE(message.find(widths), std::string::npos) << message;
      }
}
