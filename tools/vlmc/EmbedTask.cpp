//===- EmbedTask.cpp - Dual encoders: pictures and texts ------------------===//
#include "tools/vlmc/EmbedTask.h"

#include "tools/vlmc/Entries.h"

#include <algorithm>
#include <cmath>

namespace vlmc::tool {

const std::vector<std::string> &embedTaps() {
  static const std::vector<std::string> taps = {"vision_features",
                                                "text_features"};
  return taps;
}

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

Outcome<Image> decodeImage(const std::string &path) {
  vlm_image_t *image = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_image_decode_file(path.c_str(), nullptr, &image)))
    return *fault;
  return Image(image, vlm_image_destroy);
}

bool becomesPatchRows(const vlm_model_t *model) {
  const vlm_abi_image *image = vlm_model_abi(model)->image;
  return image && image->do_crop == VLM_ABI_CROP_PATCH_ROWS;
}

namespace {
/// Preprocessed pictures, and where they become rows of patches the lines and
/// columns of each.
struct Pictures {
  HostTensor pixels;
  std::vector<int64_t> grids;
};
} // namespace

/// Notes lines and columns of a picture of that size after preprocessing, and
/// gives the shape of its rows; behind those that it has there are zeros.
static std::vector<int64_t> addGrid(const vlm_abi_image &processing,
                                    int64_t height, int64_t width,
                                    Pictures &out) {
  const int64_t side = processing.crop_height;
  out.grids.insert(out.grids.end(), {height / side, width / side});
  return {0, processing.longest_edge, 3 * side * side};
}

/// Appends one preprocessed picture.
static std::optional<Fault> appendPicture(const vlm_model_t *model,
                                          const std::string &path,
                                          Pictures &pictures) {
  HostTensor &pixels = pictures.pixels;
  Outcome<Image> image = decodeImage(path);
  if (!image)
    return image.takeFault();
  int64_t height = vlm_image_height(image->get());
  int64_t width = vlm_image_width(image->get()), tiles = 0;
  std::optional<Fault> fault =
      check(vlm_model_tile_count(model, height, width, &tiles));
  if (!fault)
    fault =
        check(vlm_model_preprocess_size(model, height, width, &height, &width));
  if (!fault && tiles != 1)
    fault = Fault("the model cuts it into " + std::to_string(tiles) +
                  " tiles, which have no embedding of their own; ask about the "
                  "picture (vlmc generate), or take a model that embeds");
  if (fault)
    return Fault(path + ": " + fault->message, fault->code);
  std::vector<int64_t> shape = {0, 3, height, width};
  const bool isRows = becomesPatchRows(model);
  if (isRows)
    shape = addGrid(*vlm_model_abi(model)->image, height, width, pictures);
  if (pixels.shape.empty())
    pixels = HostTensor::zeros(VLM_F32, shape);
  if (!isRows && (pixels.shape[2] != height || pixels.shape[3] != width))
    return Fault(path + ": is " + std::to_string(height) + " x " +
                 std::to_string(width) +
                 " pixels after preprocessing, the pictures before it " +
                 std::to_string(pixels.shape[2]) + " x " +
                 std::to_string(pixels.shape[3]) +
                 "; give pictures of different sizes one by one");
  size_t begin = pixels.bytes.size();
  size_t values = 1;
  for (size_t axis = 1; axis < pixels.shape.size(); ++axis)
    values *= size_t(pixels.shape[axis]);
  pixels.bytes.resize(begin + values * sizeof(float));
  fault = check(vlm_model_preprocess(
      model, image->get(),
      reinterpret_cast<float *>(pixels.bytes.data() + begin)));
  if (fault)
    return Fault(path + ": " + fault->message, fault->code);
  ++pixels.shape[0];
  return std::nullopt;
}

static Outcome<Pictures>
preprocessAll(const vlm_model_t *model, const std::vector<std::string> &paths,
              const std::function<void(size_t)> &progress) {
  Pictures pictures;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (std::optional<Fault> fault = appendPicture(model, paths[i], pictures))
      return *fault;
    if (progress)
      progress(i + 1);
  }
  return pictures;
}

Outcome<HostTensor>
preprocessPictures(const vlm_model_t *model,
                   const std::vector<std::string> &paths,
                   const std::function<void(size_t)> &progress) {
  Outcome<Pictures> pictures = preprocessAll(model, paths, progress);
  if (!pictures)
    return pictures.takeFault();
  return std::move(pictures->pixels);
}

std::optional<Fault>
EmbedTask::addImages(const std::vector<std::string> &paths,
                     const std::function<void(size_t)> &progress) {
  Outcome<Pictures> pictures = preprocessAll(model, paths, progress);
  if (!pictures)
    return pictures.takeFault();
  if (paths.empty())
    return std::nullopt;
  addInput("pixel_values", std::move(pictures->pixels));
  if (becomesPatchRows(model))
    addGrids(pictures->grids);
  return std::nullopt;
}

/// Which rows are patches, and how these stand: `sides` are lines and columns
/// of each picture.
void EmbedTask::addGrids(const std::vector<int64_t> &sides) {
  const auto count = int64_t(sides.size() / 2);
  HostTensor mask = HostTensor::zeros(
      VLM_I64, {count, tensors.at("pixel_values").shape[1]});
  for (int64_t i = 0; i < count; ++i)
    std::fill_n(mask.data<int64_t>() + i * mask.shape[1],
                sides[size_t(2 * i)] * sides[size_t(2 * i + 1)], 1);
  addInput("pixel_attention_mask", std::move(mask));
  addInput("spatial_shapes", HostTensor::of(VLM_I64, {count, 2}, sides.data()));
}

/// Ready-made grids are of no more patches than there are rows.
std::optional<Fault> EmbedTask::checkGrids() const {
  auto grids = tensors.find("spatial_shapes");
  auto pixels = tensors.find("pixel_values");
  if (grids == tensors.end() || grids->second.shape.size() != 2 ||
      grids->second.shape[1] != 2 || pixels->second.shape.size() != 3)
    return std::nullopt; // the entry point tells what is wrong
  const int64_t *sides = grids->second.data<int64_t>();
  const int64_t most = pixels->second.shape[1];
  for (int64_t i = 0; i < grids->second.shape[0]; ++i, sides += 2)
    if (sides[0] > 0 && sides[1] > most / sides[0])
      return Fault("spatial_shapes: row " + std::to_string(i) +
                   ": expected at most " + std::to_string(most) +
                   " patches, the rows of a picture in pixel_values, found " +
                   std::to_string(sides[0]) + " x " + std::to_string(sides[1]) +
                   "; mend the file");
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Texts
//===----------------------------------------------------------------------===//

/// The beginning of a text, on one line.
static std::string excerpt(const std::string &text) {
  constexpr size_t most = 40;
  size_t end = std::min(text.size(), most);
  while (end < text.size() && (text[end] & 0xC0) == 0x80)
    --end;
  std::string result = text.substr(0, end);
  std::ranges::replace_if(
      result, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return "\"" + result + (end < text.size() ? "..." : "") + "\"";
}

static std::optional<Fault> encodeText(const vlm_tokenizer_t *tokenizer,
                                       const std::string &text,
                                       size_t maxTokens,
                                       std::vector<int64_t> &out) {
  vlm_ids_t ids{};
  if (std::optional<Fault> fault =
          check(vlm_tokenizer_encode(tokenizer, text.data(), text.size(),
                                     /*special=*/1, maxTokens, &ids)))
    return fault;
  out.assign(ids.ids, ids.ids + ids.count);
  if (ids.truncated)
    warn("text " + excerpt(text) +
         " is longer than the model takes and is cut to " +
         std::to_string(maxTokens) + " tokens, as transformers does");
  vlm_ids_destroy(&ids);
  return std::nullopt;
}

std::optional<Fault>
EmbedTask::addTexts(const std::vector<std::string> &texts) {
  if (texts.empty())
    return std::nullopt;
  vlm_tokenizer_t *opened = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_tokenizer_of_model(model, &opened)))
    return fault;
  Tokenizer tokenizer(opened, vlm_tokenizer_destroy);
  const vlm_abi_model &abi = *vlm_model_abi(model);
  std::vector<std::vector<int64_t>> rows(texts.size());
  size_t longest = 1;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (std::optional<Fault> fault =
            encodeText(tokenizer.get(), texts[i], abi.text_max_tokens, rows[i]))
      return fault;
    longest = std::max(longest, rows[i].size());
  }
  if (abi.text_flags & VLM_ABI_TEXT_PAD_TO_MAX)
    longest = std::max<size_t>(longest, abi.text_max_tokens);
  longest = std::max<size_t>(
      longest, std::min(abi.text_padded_tokens, abi.text_max_tokens));
  int32_t pad = abi.text_flags & VLM_ABI_TEXT_OWN_PAD
                    ? -1
                    : vlm_tokenizer_pad_id(tokenizer.get());
  bool padsLeft = vlm_tokenizer_pads_left(tokenizer.get());
  bool unmasked = abi.text_flags & VLM_ABI_TEXT_UNMASKED;
  std::vector<int64_t> ids(rows.size() * longest,
                           pad < 0 ? abi.pad_token_id : pad);
  std::vector<int64_t> mask(ids.size(), unmasked);
  for (size_t i = 0; i < rows.size(); ++i) {
    size_t begin = i * longest + (padsLeft ? longest - rows[i].size() : 0);
    std::ranges::copy(rows[i], ids.begin() + ptrdiff_t(begin));
    std::fill_n(mask.begin() + ptrdiff_t(begin), rows[i].size(), 1);
  }
  std::vector<int64_t> shape{int64_t(rows.size()), int64_t(longest)};
  addInput("input_ids", HostTensor::of(VLM_I64, shape, ids.data()));
  addInput("attention_mask", HostTensor::of(VLM_I64, shape, mask.data()));
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

void EmbedTask::addInput(const std::string &name, HostTensor tensor) {
  tensors[name] = std::move(tensor);
}

std::optional<Fault> EmbedTask::encode(const std::string &entry,
                                       const std::string &doing,
                                       const std::vector<std::string> &inputs) {
  if (!hasEntry(model, entry))
    return Fault("model '" + std::string(vlm_model_abi(model)->name) +
                 "' cannot " + doing + ": it has no entry point '" + entry +
                 "'");
  const vlm_entry_t *found = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, entry.c_str(), &found)))
    return fault;
  TensorMap given;
  for (const std::string &name : inputs)
    if (tensors.count(name) && hasInput(found, name))
      given[name] = tensors[name];
  return runRows(model, entry, given, tensors);
}

std::optional<Fault> EmbedTask::run() {
  if (tensors.count("pixel_values")) {
    if (std::optional<Fault> fault = checkGrids())
      return fault;
    if (std::optional<Fault> fault =
            encode("encode_image", "embed pictures",
                   {"pixel_values", "pixel_attention_mask", "spatial_shapes"}))
      return fault;
  }
  if (tensors.count("input_ids"))
    if (std::optional<Fault> fault =
            encode("encode_text", "embed texts",
                   {"input_ids", "attention_mask", "token_type_ids"}))
      return fault;
  auto image = tensors.find("image_embeds"), text = tensors.find("text_embeds");
  if (image == tensors.end() || text == tensors.end())
    return std::nullopt;
  TensorMap inputs{*image, *text};
  return runOnce(model, "similarity", inputs, tensors);
}

TensorMap EmbedTask::writtenValues() const {
  TensorMap written = tensors;
  for (const char *name : {"attention_mask", "pixel_attention_mask"}) {
    auto mask = written.find(name);
    if (mask == written.end())
      continue;
    HostTensor bytes = HostTensor::zeros(VLM_U8, mask->second.shape);
    const int64_t *values = mask->second.data<int64_t>();
    for (size_t i = 0; i < bytes.bytes.size(); ++i)
      bytes.bytes[i] = values[i] != 0;
    mask->second = std::move(bytes);
  }
  return written;
}

std::vector<std::string> EmbedTask::missingTaps() const {
  std::vector<std::string> missing;
  if (tensors.count("image_embeds") && !tensors.count("vision_features"))
    missing.emplace_back("vision_features");
  if (tensors.count("text_embeds") && !tensors.count("text_features"))
    missing.emplace_back("text_features");
  return missing;
}

std::optional<Fault> dumpValues(OutputFile &file, const std::string &caseName,
                                const EmbedTask &task) {
  TensorMap named;
  for (auto &[name, tensor] : task.writtenValues())
    named[caseName + "." + name] = tensor;
  for (const std::string &tap : task.missingTaps())
    note("the model was compiled without the value '" + tap +
         "'; 'vlmc compile --taps " + tap + "' makes it an output");
  return writeTensors(file, named);
}

void toProbabilities(const vlm_model_t *model, HostTensor &logits) {
  bool isSigmoid = vlm_model_abi(model)->head == VLM_ABI_HEAD_SIGMOID;
  size_t count = logits.rowBytes() / sizeof(float);
  for (int64_t row = 0; row < logits.rows(); ++row) {
    float *values = logits.data<float>() + size_t(row) * count;
    double largest = *std::max_element(values, values + count), sum = 0;
    for (size_t i = 0; i < count; ++i)
      sum += std::exp(values[i] - largest);
    for (size_t i = 0; i < count; ++i)
      values[i] = isSigmoid ? float(1 / (1 + std::exp(-double(values[i]))))
                            : float(std::exp(values[i] - largest) / sum);
  }
}

} // namespace vlmc::tool
