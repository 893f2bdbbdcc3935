//===- Tasks.cpp - The tasks of `vlmc run` --------------------------------===//
#include "tools/vlmc/Tasks.h"

#include "frontend/text/TokenizerTables.h"
#include "tools/vlmc/Conversation.h"
#include "tools/vlmc/MatchTask.h"

#include <cstdlib>
#include <filesystem>
#include <set>

namespace vlmc::tool {

namespace fs = std::filesystem;

std::optional<Fault> CaseRunner::openModelOnce() {
  if (model || modelFault)
    return modelFault;
  std::vector<std::string> taps = embedTaps();
  taps.insert(taps.end(), generateTaps().begin(), generateTaps().end());
  Outcome<OpenModel> opened = openModel(options, taps);
  if (opened)
    model = std::move(*opened);
  else
    modelFault = opened.takeFault();
  return modelFault;
}

std::optional<Fault> CaseRunner::run(const RequestCase &request,
                                     TensorMap &values) {
  if (request.fault)
    return request.fault;
  if (request.task == "embed")
    return embed(request, values);
  if (request.task == "tokenize" && !isTensors)
    return tokenize(request, values);
  if (request.task == "decode" && !isTensors)
    return decode(request, values);
  if (request.task == "tokenize" || request.task == "decode")
    return Fault("task '" + request.task +
                 "' reads texts and pictures; give it in mode \"files\"");
  if (std::optional<Fault> fault = openModelOnce())
    return fault;
  if (request.task == "generate" && canGenerate(model->get()))
    return generate(request, values);
  if (request.task == "match" && canMatch(model->get()))
    return match(request, values);
  return Fault("task '" + request.task +
               "' is not supported by this model, which has the tasks embed, "
               "tokenize and decode");
}

//===----------------------------------------------------------------------===//
// embed
//===----------------------------------------------------------------------===//

/// The ready-made inputs of a case, for any task that takes them.
template <class Task>
static std::optional<Fault> readInputs(const RequestCase &request, Task &task) {
  Result<SafetensorsFile> file = SafetensorsFile::open(request.tensors);
  if (!file)
    return Fault(file.takeFailure());
  bool isAny = false;
  for (const SafetensorsEntry &entry : file->entries()) {
    if (!entry.name.starts_with(request.prefix))
      continue;
    std::string name = entry.name.substr(request.prefix.size());
    bool isPixels = name == "pixel_values" || name == "pixel_values_videos";
    static const std::set<std::string> integers = {
        "aspect_ratio_ids",       "aspect_ratio_mask",
        "batch_num_images",
        "cross_attention_mask",   "attention_mask",
        "image_attention_mask",   "image_sizes",
        "pixel_attention_mask",
        "decoder_input_ids",      "input_ids",
        "qformer_attention_mask", "qformer_input_ids",
        "spatial_shapes",         "token_type_ids"};
    if (!isPixels && !integers.count(name)) {
      // Without a prefix, the tensors of other cases are in the same file.
      if (name.find('.') == name.npos)
        warn(request.tensors + ": tensor '" + entry.name +
             "' is no input of this task and is ignored");
      continue;
    }
    Outcome<HostTensor> tensor =
        readTensor(*file, entry, isPixels ? VLM_F32 : VLM_I64);
    if (!tensor)
      return tensor.takeFault();
    task.addInput(name, std::move(*tensor));
    isAny = isAny || isPixels || name == "input_ids";
  }
  if (!isAny)
    return Fault(request.tensors + ": expected tensor '" + request.prefix +
                 "pixel_values' or '" + request.prefix +
                 "input_ids', found neither; mend the file or the prefix");
  return std::nullopt;
}

std::optional<Fault> CaseRunner::embed(const RequestCase &request,
                                       TensorMap &values) {
  if (!isTensors && request.images.empty() && request.texts.empty())
    return Fault("task 'embed': expected images or texts, found neither; add "
                 "a picture or a text");
  if (std::optional<Fault> fault = openModelOnce())
    return fault;
  EmbedTask task(model->get());
  std::optional<Fault> fault;
  if (isTensors)
    fault = readInputs(request, task);
  else if (!(fault = task.addImages(request.images)))
    fault = task.addTexts(request.texts);
  if (!fault)
    fault = task.run();
  if (fault)
    return fault;
  for (const std::string &tap : task.missingTaps())
    missingValues.insert(request.name + "." + tap);
  values = task.writtenValues();
  return std::nullopt;
}

std::optional<Fault> CaseRunner::match(const RequestCase &request,
                                       TensorMap &values) {
  MatchTask task(model->get());
  std::optional<Fault> fault;
  if (isTensors)
    fault = readInputs(request, task);
  else if (!(fault = task.inputs().addImages(request.images)))
    fault = task.inputs().addTexts(request.texts);
  if (!fault)
    fault = task.run();
  if (!fault)
    values = task.writtenValues();
  return fault;
}

/// The prompts of a case as one text each.
static std::optional<Fault> makePrompt(const vlm_model_t *model,
                                       const RequestCase &request,
                                       PromptRequest &out) {
  const PromptFields &fields = request.prompt;
  out.images = request.images;
  out.videos = request.videos;
  out.view = fields.view;
  out.addsSpecial = fields.addsSpecial;
  out.padsLeft = fields.padsLeft;
  Tokenizer tokenizer(nullptr, vlm_tokenizer_destroy);
  if (std::optional<Fault> fault = openTokenizer(model, tokenizer))
    return fault;
  if (!fields.messages.is_null()) {
    Outcome<std::string> chosen =
        openChatTemplate(tokenizer.get(), fields.chatTemplate);
    if (!chosen)
      return chosen.takeFault();
    Outcome<RenderedPrompt> rendered =
        renderMessages(tokenizer.get(), fields.messages, *chosen);
    if (!rendered)
      return rendered.takeFault();
    out.prompts = {rendered->text};
    out.addsSpecial = fields.addsSpecial && rendered->addsSpecial;
    return std::nullopt;
  }
  if (!fields.isInterleaved) {
    out.prompts = fields.prompts;
    return std::nullopt;
  }
  std::vector<const char *> parts;
  const std::string video = videoToken(tokenizer.get());
  for (size_t i = 0; i < fields.prompts.size(); ++i)
    parts.push_back(!fields.isPicture[i] ? fields.prompts[i].c_str()
                    : fields.isVideo[i] && !video.empty() ? video.c_str()
                                                          : nullptr);
  char *text = nullptr;
  size_t bytes = 0;
  if (std::optional<Fault> fault =
          check(vlm_tokenizer_join(tokenizer.get(), parts.data(), parts.size(),
                                   fields.endsParts ? 1 : 0, &text, &bytes)))
    return fault;
  out.prompts = {std::string(text, bytes)};
  vlm_string_destroy(text);
  for (size_t i = 0; i < fields.prompts.size(); ++i)
    if (fields.isPicture[i])
      out.areVideos.push_back(fields.isVideo[i]);
  return std::nullopt;
}

std::optional<Fault> CaseRunner::generate(const RequestCase &request,
                                          TensorMap &values) {
  GenerateTask task(model->get());
  std::optional<Fault> fault;
  if (isTensors) {
    fault = readInputs(request, task);
  } else {
    PromptRequest prompt;
    fault = makePrompt(model->get(), request, prompt);
    if (!fault)
      fault = task.addPrompts(prompt);
  }
  task.setBeams(request.beams);
  if (!fault)
    fault = task.run(request.maxNewTokens);
  if (!fault)
    values = task.writtenValues();
  return fault;
}

//===----------------------------------------------------------------------===//
// tokenize
//===----------------------------------------------------------------------===//

namespace {
/// A tokenizer and the memory of its tables.
struct OpenTokenizer {
  std::unique_ptr<void, decltype(&std::free)> tables{nullptr, std::free};
  Tokenizer tokenizer{nullptr, vlm_tokenizer_destroy};
};
} // namespace

static std::optional<Fault> openTokenizer(const std::string &folder,
                                          OpenTokenizer &out) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    return Fault(folder + ": no such folder; 'tokenizer' is a folder with "
                          "tokenizer.json, relative to the model's");
  Result<TokenizerTables> tables = readTokenizer(folder);
  if (!tables)
    return Fault(tables.takeFailure());
  for (const std::string &warning : tables->warnings)
    warn(warning);
  // Tables are used in place, at a multiple of 64 bytes.
  size_t bytes = tables->blob.size();
  out.tables.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  if (!out.tables)
    return Fault(folder + ": out of memory");
  std::memcpy(out.tables.get(), tables->blob.data(), bytes);
  vlm_tokenizer_t *opened = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_tokenizer_create(out.tables.get(), bytes, &opened)))
    return Fault(folder + ": " + fault->message, fault->code);
  out.tokenizer.reset(opened);
  return std::nullopt;
}

/// Ids of one text as an i64 tensor; padded where they are fewer than `padTo`.
static std::optional<Fault> encode(const vlm_tokenizer_t *tokenizer,
                                   const std::string &text, int special,
                                   size_t limit, size_t padTo,
                                   std::vector<int32_t> &out) {
  vlm_ids_t ids{};
  if (std::optional<Fault> fault = check(vlm_tokenizer_encode(
          tokenizer, text.data(), text.size(), special, limit, &ids)))
    return fault;
  out.assign(ids.ids, ids.ids + ids.count);
  vlm_ids_destroy(&ids);
  if (out.size() >= padTo)
    return std::nullopt;
  int32_t pad = vlm_tokenizer_pad_id(tokenizer);
  if (pad < 0)
    return Fault("the tokenizer names no token to pad with; set pad_token in "
                 "its tokenizer_config.json");
  out.insert(vlm_tokenizer_pads_left(tokenizer) ? out.begin() : out.end(),
             padTo - out.size(), pad);
  return std::nullopt;
}

static HostTensor toTensor(const std::vector<int32_t> &ids) {
  std::vector<int64_t> wide(ids.begin(), ids.end());
  return HostTensor::of(VLM_I64, {int64_t(wide.size())}, wide.data());
}

/// All values of one text.
static std::optional<Fault> tokenizeText(const vlm_tokenizer_t *tokenizer,
                                         const std::string &text,
                                         const std::string &number,
                                         TensorMap &values) {
  constexpr size_t cutAt = 9;
  std::vector<int32_t> plain, cut, ids;
  std::optional<Fault> fault = encode(tokenizer, text, 0, 0, 0, plain);
  if (!fault)
    fault = encode(tokenizer, text, 1, cutAt, cutAt, cut);
  if (!fault)
    fault = encode(tokenizer, text, 1, 0, 0, ids);
  if (fault)
    return fault;
  char *decoded = nullptr;
  size_t bytes = 0;
  fault = check(vlm_tokenizer_decode(tokenizer, ids.data(), ids.size(),
                                     /*skip_special=*/1, &decoded, &bytes));
  if (fault)
    return fault;
  values["ids." + number] = toTensor(ids);
  values["ids_plain." + number] = toTensor(plain);
  values["ids_trunc9." + number] = toTensor(cut);
  values["text." + number] = HostTensor::of(VLM_U8, {int64_t(bytes)}, decoded);
  vlm_string_destroy(decoded);
  return std::nullopt;
}

std::optional<Fault> CaseRunner::tokenize(const RequestCase &request,
                                          TensorMap &values) {
  if (request.texts.empty())
    return Fault("task 'tokenize': expected a list of texts, found none; add "
                 "'texts'");
  OpenTokenizer open;
  std::optional<Fault> fault;
  if (request.tokenizer.empty() && isPackage(options.path)) {
    if ((fault = openModelOnce()))
      return fault;
    vlm_tokenizer_t *opened = nullptr;
    fault = check(vlm_tokenizer_of_model(model->get(), &opened));
    open.tokenizer.reset(opened);
  } else {
    fault = openTokenizer((fs::path(options.path) / request.tokenizer).string(),
                          open);
  }
  for (size_t i = 0; !fault && i < request.texts.size(); ++i)
    fault = tokenizeText(open.tokenizer.get(), request.texts[i],
                         std::to_string(i), values);
  return fault;
}

//===----------------------------------------------------------------------===//
// decode
//===----------------------------------------------------------------------===//

std::optional<Fault> CaseRunner::decode(const RequestCase &request,
                                        TensorMap &values) {
  if (request.images.empty())
    return Fault("task 'decode': expected a list of pictures, found none; add "
                 "'images'");
  for (size_t i = 0; i < request.images.size(); ++i) {
    Outcome<Image> image = decodeImage(request.images[i]);
    if (!image)
      return image.takeFault();
    std::string name =
        request.images.size() == 1 ? "rgb" : "rgb." + std::to_string(i);
    values[name] = HostTensor::of(
        VLM_U8,
        {vlm_image_height(image->get()), vlm_image_width(image->get()), 3},
        vlm_image_rgb(image->get()));
  }
  return std::nullopt;
}

} // namespace vlmc::tool
