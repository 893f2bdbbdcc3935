//===-- PeerCase.cpp - the work of a benchmark case on a compiled model ---===//
#include "tools/bench/PeerCase.h"

#include "frontend/checkpoint/Safetensors.h"
#include "runtime/vlm.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

namespace vlmc::bench {

void fail(const std::string &message) {
  std::fprintf(stderr, "vlmc-peer: %s\n", message.c_str());
  std::exit(1);
}

static void check(vlm_status_t *status) {
  if (status)
    fail(vlm_status_message(status));
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

namespace {
struct Tensor {
  vlm_dtype_t dtype = VLM_F32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;

  template <class T> T *data() { return reinterpret_cast<T *>(bytes.data()); }
  template <class T> const T *data() const {
    return reinterpret_cast<const T *>(bytes.data());
  }
  int64_t count() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t(1),
                           std::multiplies<>());
  }
};
using Tensors = std::map<std::string, Tensor>;
} // namespace

static Tensor integers(std::vector<int64_t> values, vlm_dtype_t dtype) {
  Tensor tensor{dtype, {1, int64_t(values.size())}, {}};
  size_t size = dtype == VLM_I64 ? 8 : 4;
  tensor.bytes.resize(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i)
    std::memcpy(tensor.bytes.data() + i * size, &values[i], size);
  return tensor;
}

static Tensors readTensors(const std::string &path) {
  Result<SafetensorsFile> file = SafetensorsFile::open(path);
  if (!file)
    fail(file.message());
  Tensors tensors;
  for (const SafetensorsEntry &entry : file->entries()) {
    if (entry.dtype != "F32" && entry.dtype != "I64")
      fail(path + ": expected F32 or I64, found " + entry.dtype + " for '" +
           entry.name + "'");
    std::span<const uint8_t> bytes = file->bytesOf(entry);
    tensors[entry.name] = {entry.dtype == "F32" ? VLM_F32 : VLM_I64,
                           entry.shape,
                           {bytes.begin(), bytes.end()}};
  }
  return tensors;
}

/// Writes values of f32.
static void writeTensors(const std::string &path, const Tensors &tensors) {
  nlohmann::ordered_json header;
  uint64_t at = 0;
  for (const auto &[name, tensor] : tensors) {
    header[name] = {{"dtype", "F32"},
                    {"shape", tensor.shape},
                    {"data_offsets", {at, at + tensor.bytes.size()}}};
    at += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char *>(&length), sizeof length);
  file << text;
  for (const auto &[name, tensor] : tensors)
    file.write(tensor.data<char>(), std::streamsize(tensor.bytes.size()));
  if (!file.flush())
    fail(path + ": cannot be written");
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

namespace {
/// A loaded model, with what its entry points gave.
class Model {
public:
  Model(const std::string &package, int threads) {
    check(vlm_pool_create(threads, &pool));
    vlm_load_options_t options{};
    options.struct_bytes = sizeof options;
    options.pool = pool;
    check(vlm_model_load(package.c_str(), &options, &model));
  }
  ~Model() {
    vlm_model_destroy(model);
    vlm_pool_destroy(pool);
  }
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;

  const vlm_model_t *get() const { return model; }

  /// Runs an entry point; `wanted` are kept in `results`, memory is reused.
  void run(const char *name, Tensors &inputs,
           const std::vector<std::string> &wanted, Tensors &results,
           vlm_cache_t *cache = nullptr);

private:
  static vlm_tensor_t view(const std::string &name, Tensor &tensor);

  vlm_pool_t *pool = nullptr;
  vlm_model_t *model = nullptr;
};
} // namespace

vlm_tensor_t Model::view(const std::string &name, Tensor &tensor) {
  vlm_tensor_t result{};
  result.name = name.c_str();
  result.dtype = tensor.dtype;
  result.rank = int(tensor.shape.size());
  std::ranges::copy(tensor.shape, result.dims);
  result.data = tensor.bytes.data();
  result.bytes = tensor.bytes.size();
  return result;
}

void Model::run(const char *name, Tensors &inputs,
                const std::vector<std::string> &wanted, Tensors &results,
                vlm_cache_t *cache) {
  const vlm_entry_t *entry = nullptr;
  check(vlm_model_entry(model, name, &entry));
  std::vector<vlm_tensor_t> in, shapes(vlm_entry_output_count(entry)), out;
  for (auto &[input, tensor] : inputs)
    in.push_back(view(input, tensor));
  for (size_t i = 0; cache && i < vlm_entry_input_count(entry); ++i) {
    vlm_tensor_t input;
    check(vlm_entry_input(entry, i, &input));
    if (input.dtype == VLM_CACHE) {
      input.data = cache;
      in.push_back(input);
    }
  }
  check(vlm_entry_output_shapes(entry, in.data(), in.size(), shapes.data()));
  for (const vlm_tensor_t &shape : shapes) {
    if (std::ranges::find(wanted, shape.name) == wanted.end())
      continue;
    Tensor &tensor = results[shape.name];
    tensor.dtype = shape.dtype;
    tensor.shape.assign(shape.dims, shape.dims + shape.rank);
    tensor.bytes.resize(shape.bytes);
    out.push_back(view(results.find(shape.name)->first, tensor));
  }
  check(vlm_entry_run(entry, in.data(), in.size(), out.data(), out.size()));
}

//===----------------------------------------------------------------------===//
// Encoders
//===----------------------------------------------------------------------===//

std::string tapOf(const std::string &name) {
  return name.find("-image") != std::string::npos  ? "vision.projection"
         : name.find("-text") != std::string::npos ? "text.projection"
                                                   : "";
}

namespace {
class EncoderCase : public PeerCase {
public:
  EncoderCase(const std::string &name, const std::string &package,
              const std::string &inputs, int threads)
      : model(package, threads), tap(tapOf(name)), given(readTensors(inputs)) {
    entry = given.contains("pixel_values") ? "encode_image" : "encode_text";
  }
  Metrics run() override {
    model.run(entry, given, {tap}, results);
    return {};
  }
  void writeOutputs(const std::string &path) const override {
    writeTensors(path, {{"embedding", results.at(tap)}});
  }

private:
  Model model;
  std::string tap;
  Tensors given, results;
  const char *entry;
};

//===----------------------------------------------------------------------===//
// Language models
//===----------------------------------------------------------------------===//

/// A prompt with a picture, then tokens that are told: all systems do the same
/// work at any precision.
class LanguageCase : public PeerCase {
public:
  LanguageCase(const std::string &package, const std::string &inputs,
               int threads);
  ~LanguageCase() override { vlm_cache_destroy(cache); }
  Metrics run() override;
  void writeOutputs(const std::string &path) const override {
    writeTensors(path, {{"first_logits", first}, {"last_logits", last}});
  }

private:
  /// Runs tokens from `position` on; the logits are those of the last one.
  void decode(const std::vector<int64_t> &ids, int64_t position);

  Model model;
  vlm_cache_t *cache = nullptr;
  std::vector<int64_t> prompt, forced;
  Tensors pixels, results;
  Tensor first, last;
};
} // namespace

static std::vector<int64_t> idsOf(const Tensor &tensor) {
  return {tensor.data<int64_t>(), tensor.data<int64_t>() + tensor.count()};
}

LanguageCase::LanguageCase(const std::string &package,
                           const std::string &inputs, int threads)
    : model(package, threads) {
  Tensors given = readTensors(inputs);
  prompt = idsOf(given["input_ids"]);
  forced = idsOf(given["forced_ids"]);
  pixels["pixel_values"] = given["pixel_values"];
  check(vlm_cache_create(model.get(), 1, int64_t(prompt.size() + forced.size()),
                         &cache));
}

void LanguageCase::decode(const std::vector<int64_t> &ids, int64_t position) {
  constexpr int64_t imageToken = 32000; // of the benchmark's model
  std::vector<int64_t> places(ids.size()), features;
  std::iota(places.begin(), places.end(), position);
  int64_t next = 0;
  for (int64_t id : ids)
    features.push_back(id == imageToken ? next++ : -1);
  check(vlm_cache_resize(cache, 0, position + int64_t(ids.size())));
  Tensors inputs{
      {"input_ids", integers(ids, VLM_I64)},
      {"sequence", integers(std::vector<int64_t>(ids.size()), VLM_I32)},
      {"position", integers(places, VLM_I32)},
      {"rows", integers({int64_t(ids.size()) - 1}, VLM_I32)},
      {"feature_row", integers(features, VLM_I32)}};
  Tensor &image = inputs["features"] = results["image_features"];
  image.shape = {image.count() / image.shape.back(), image.shape.back()};
  model.run("decode", inputs, {"logits"}, results, cache);
}

Metrics LanguageCase::run() {
  using Clock = std::chrono::steady_clock;
  auto since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start)
        .count();
  };
  Clock::time_point start = Clock::now();
  model.run("encode_image", pixels, {"image_features"}, results);
  double picture = since(start);
  decode(prompt, 0);
  first = results["logits"];
  double firstToken = since(start);
  start = Clock::now();
  auto position = int64_t(prompt.size());
  for (int64_t id : forced)
    decode({id}, position++);
  last = results["logits"];
  double rest = since(start);
  check(vlm_cache_resize(cache, 0, 0));
  return {{"ttft_ms", firstToken},
          {"pp" + std::to_string(prompt.size()) + "_ms", firstToken - picture},
          {"decode" + std::to_string(forced.size()) + "_ms", rest}};
}

std::unique_ptr<PeerCase> openCase(const std::string &name,
                                   const std::string &package,
                                   const std::string &inputs, int threads) {
  if (tapOf(name).empty())
    return std::make_unique<LanguageCase>(package, inputs, threads);
  return std::make_unique<EncoderCase>(name, package, inputs, threads);
}

} // namespace vlmc::bench
