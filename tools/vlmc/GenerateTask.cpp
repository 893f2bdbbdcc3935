//===- GenerateTask.cpp - Language models: prompts to text ----------------===//
#include "tools/vlmc/GenerateTask.h"

#include "runtime/tasks/LogitsProcessors.h"
#include "runtime/tasks/LongRotary.h"
#include "tools/vlmc/Entries.h"
#include "tools/vlmc/MatchTask.h"
#include "tools/vlmc/Pieces.h"
#include "tools/vlmc/Tiles.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace vlmc::tool {

static constexpr const char *entryName = "decode";
static constexpr const char *encoderName = "encode_prompt";

const std::vector<std::string> &generateTaps() {
  static const std::vector<std::string> taps = {
      "vision_features", "qformer_features", "image_token_ids", "inputs_embeds",
      "hidden_states"};
  return taps;
}

bool canGenerate(const vlm_model_t *model) {
  return vlm_model_abi(model)->generation && hasEntry(model, entryName);
}

GenerateTask::GenerateTask(const vlm_model_t *model)
    : model(model), facts(*vlm_model_abi(model)->generation),
      encodes(hasEntry(model, encoderName)), beams(rt::beamOptions(facts)) {}

void GenerateTask::addInput(const std::string &name, HostTensor tensor) {
  tensors[name] = std::move(tensor);
}

bool GenerateTask::isEnd(int64_t id) const {
  const int64_t *end = facts.end_tokens + facts.n_end_tokens;
  return std::find(facts.end_tokens, end, id) != end;
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

std::optional<Fault> GenerateTask::addPrompts(const PromptRequest &request) {
  if (std::optional<Fault> fault = openTokenizer(model, tokenizer))
    return fault;
  Outcome<TensorMap> inputs = makePromptInputs(model, tokenizer.get(), request);
  if (!inputs)
    return inputs.takeFault();
  tensors.merge(*inputs);
  return std::nullopt;
}

/// Runs the tower and adds what it gives to `features`, with its rows in the
/// order of the placeholders. Where these are not all features in their order,
/// they are written as the model reads them.
std::optional<Fault> GenerateTask::encodePlaced(PlacedPictures placed,
                                                const std::string &name) {
  const bool isVideo = name != "image_features";
  TensorMap given{{"pixel_values", std::move(placed.pixels)}}, made;
  if (std::optional<Fault> fault = addQFormerWords(model, tensors, given))
    return fault;
  if (std::optional<Fault> fault = runRows(model, "encode_image", given, made))
    return fault;
  HostTensor own = std::move(made["image_features"]);
  made.erase("image_features");
  const int64_t width = own.shape.back();
  const bool isPlaced = (cutsPictures(model) && !stretchesPictures(model)) ||
                        readsPatches(model) || isVideo;
  if (isPlaced) {
    HostTensor rows = HostTensor::zeros(VLM_F32, {placed.rows.size(), width});
    placed.rows.gather(own.data<float>(), width, rows.data<float>());
    own = rows;
    placed.rows = {1, std::vector<int32_t>(size_t(own.shape[0])), {}};
    std::iota(placed.rows.rows.begin(), placed.rows.rows.end(), 0);
  }
  tensors[name] = own;
  tensors.merge(made); // taps of pictures stay where there are videos too
  widenTokenIds();
  own.shape = {int64_t(own.bytes.size() / sizeof(float)) / width, width};
  const auto before =
      int32_t(features.shape.empty() ? 0 : features.shape.front());
  for (int32_t row : placed.rows.rows)
    featureRows.push_back(before + row);
  if (!before) {
    features = std::move(own);
    return std::nullopt;
  }
  features.shape[0] += own.shape[0];
  features.bytes.insert(features.bytes.end(), own.bytes.begin(),
                        own.bytes.end());
  return std::nullopt;
}

/// All features of the pieces are read, in their order.
std::optional<Fault> GenerateTask::keepPieces() {
  Outcome<TensorMap> made = encodePieces(model, tensors);
  if (!made)
    return made.takeFault();
  features = (*made)["image_features"];
  const int64_t width = features.shape.back();
  features.shape = {features.shape[0] * features.shape[1], width};
  featureRows.resize(size_t(features.shape[0]));
  std::iota(featureRows.begin(), featureRows.end(), 0);
  tensors.merge(*made);
  return std::nullopt;
}

/// The tower's features, as rows one behind the other. Without pictures there
/// is one row that nobody reads.
std::optional<Fault> GenerateTask::encodePictures() {
  if (facts.attended)
    return tensors.count("pixel_values") ? encodeSeen() : std::nullopt;
  if (tensors.count("pixel_values")) {
    if (readsPieces(model))
      return keepPieces();
    Outcome<PlacedPictures> pictures = placePictures(model, tensors);
    if (!pictures)
      return pictures.takeFault();
    if (std::optional<Fault> fault =
            encodePlaced(std::move(*pictures), "image_features"))
      return fault;
  }
  if (tensors.count("pixel_values_videos")) {
    Outcome<PlacedPictures> videos = placeVideos(model, tensors);
    if (!videos)
      return videos.takeFault();
    std::swap(featureRows, videoRows);
    if (std::optional<Fault> fault =
            encodePlaced(std::move(*videos), "video_features"))
      return fault;
    std::swap(featureRows, videoRows);
  }
  if (!features.shape.empty())
    return std::nullopt;
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault = check(
          vlm_model_entry(model, encodes ? encoderName : entryName, &entry)))
    return fault;
  for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
    vlm_tensor_t input;
    if (!check(vlm_entry_input(entry, i, &input)) &&
        std::string(input.name) == "features")
      features = HostTensor::zeros(VLM_F32, {1, input.dims[1]});
  }
  return std::nullopt;
}

/// Ids are written as integers of 64 bits.
void GenerateTask::widenTokenIds() {
  auto found = tensors.find("image_token_ids");
  if (found == tensors.end() || found->second.dtype != VLM_I32)
    return;
  const HostTensor narrow = std::move(found->second);
  found->second = HostTensor::zeros(VLM_I64, narrow.shape);
  std::copy_n(narrow.data<int32_t>(), narrow.bytes.size() / sizeof(int32_t),
              found->second.data<int64_t>());
}

/// Pictures that are attended to are [batch, pictures, 3, height, width].
std::optional<Fault> GenerateTask::encodeSeen() {
  if (facts.attended & VLM_ABI_ATTEND_GROUP) {
    Outcome<TensorMap> made = encodeTiles(model, tensors, tower);
    if (!made)
      return made.takeFault();
    features = (*made)["image_features"];
    int64_t width = features.shape.back();
    (*made)["image_features"].shape = {features.shape[0] * features.shape[1] *
                                           tower.tiles,
                                       tower.tokens, width};
    tensors.merge(*made);
    return std::nullopt;
  }
  if (hasEntry(model, "encode_frame")) {
    Outcome<HostTensor> made = encodeFrames(model, tensors);
    if (!made)
      return made.takeFault();
    features = std::move(*made);
    rowsPerPicture = features.shape[2];
    tensors["image_features"] = features;
    return std::nullopt;
  }
  HostTensor pixels = tensors["pixel_values"];
  std::vector<int64_t> shape = pixels.shape;
  if (shape.size() != 5)
    return Fault("pixel_values: expected the shape [batch, pictures, 3, "
                 "height, width], found " +
                 describeShape(shape) + "; mend the file of tensors");
  pixels.shape = {shape[0] * shape[1], shape[2], shape[3], shape[4]};
  TensorMap given{{"pixel_values", std::move(pixels)}};
  if (std::optional<Fault> fault =
          runRows(model, "encode_image", given, tensors))
    return fault;
  HostTensor &rows = tensors["image_features"];
  rowsPerPicture = rows.shape[1];
  rows.shape = {shape[0], shape[1], rows.shape[1], rows.shape[2]};
  features = rows;
  return std::nullopt;
}

/// The features of a prompt's pictures, as [1, M, D].
HostTensor GenerateTask::featuresOf(size_t number) const {
  if (!facts.attended || features.shape.empty())
    return {};
  if (tower.isThere())
    return gatherTiles(tensors, features, number, tower);
  const std::vector<int64_t> &shape = features.shape;
  HostTensor own =
      HostTensor::zeros(VLM_F32, {1, shape[1] * shape[2], shape[3]});
  std::memcpy(own.bytes.data(),
              features.bytes.data() + number * own.bytes.size(),
              own.bytes.size());
  return own;
}

std::optional<Fault> GenerateTask::readPrompts() {
  auto ids = tensors.find("input_ids");
  if (ids == tensors.end() || ids->second.shape.size() != 2 ||
      ids->second.shape[0] < 1)
    return Fault(
        "input_ids: expected a tensor [batch, tokens], found " +
        (ids == tensors.end() ? "none" : describeShape(ids->second.shape)) +
        "; mend the file of tensors");
  if (facts.attended)
    if (std::optional<Fault> fault = checkSeenPictures(tensors))
      return fault;
  auto mask = tensors.find("attention_mask");
  if (mask != tensors.end() && mask->second.shape != ids->second.shape)
    return Fault("attention_mask: expected the shape of input_ids, found "
                 "another; mend the file of tensors");
  int64_t columns = ids->second.shape[1];
  prompts.resize(size_t(ids->second.shape[0]));
  for (size_t row = 0; row < prompts.size(); ++row) {
    Prompt &prompt = prompts[row];
    for (int64_t column = 0; column < columns; ++column) {
      int64_t at = int64_t(row) * columns + column;
      if (mask != tensors.end() && !mask->second.data<int64_t>()[at])
        continue;
      prompt.ids.push_back(ids->second.data<int64_t>()[at]);
      prompt.columns.push_back(column);
    }
    if (prompt.ids.empty())
      return Fault("input_ids: row " + std::to_string(row) +
                   " has no token; expected at least one");
  }
  if (std::optional<Fault> fault = readMutual())
    return fault;
  if (encodes)
    if (std::optional<Fault> fault = readBeginnings())
      return fault;
  if (!facts.attended)
    return placeFeatures();
  for (size_t row = 0; row < prompts.size(); ++row) {
    const std::vector<int64_t> &columns = prompts[row].columns;
    Outcome<SeenRows> seen =
        facts.attended & VLM_ABI_ATTEND_GROUP
            ? readSeenTiles(tensors, row, columns, tower)
            : readSeenRows(facts, tensors, row, columns, rowsPerPicture);
    if (!seen)
      return seen.takeFault();
    prompts[row].seen = std::move(*seen);
  }
  return std::nullopt;
}

/// Tokens of type 1 that stand side by side are a picture's, which see each
/// other.
void GenerateTask::readPictureEnds(Prompt &prompt, const int64_t *types) const {
  const auto count = int32_t(prompt.ids.size());
  prompt.pictureEnds.assign(prompt.ids.size(), 0);
  for (int32_t i = count - 1; i >= 0; --i) {
    if (types[prompt.columns[size_t(i)]] != 1)
      continue;
    const bool isLast =
        i + 1 == count || types[prompt.columns[size_t(i) + 1]] != 1;
    prompt.pictureEnds[size_t(i)] =
        isLast ? i + 1 : prompt.pictureEnds[size_t(i) + 1];
  }
}

/// The tokens of a prompt see each other, where the model has it so; with
/// token_type_ids those of type 0, which come first.
std::optional<Fault> GenerateTask::readMutual() {
  auto types = tensors.find("token_type_ids");
  if (types != tensors.end() &&
      types->second.shape != tensors["input_ids"].shape)
    return Fault("token_type_ids: expected the shape of input_ids, found "
                 "another; mend the file of tensors");
  int64_t width = tensors["input_ids"].shape[1];
  const bool arePictures = facts.picture_flags & VLM_ABI_SEES_PICTURES;
  for (size_t row = 0; row < prompts.size(); ++row) {
    Prompt &prompt = prompts[row];
    if (arePictures && types != tensors.end())
      readPictureEnds(prompt,
                      types->second.data<int64_t>() + int64_t(row) * width);
    if (arePictures)
      continue;
    prompt.mutual = int64_t(prompt.ids.size());
    if (types == tensors.end())
      continue;
    const int64_t *own = types->second.data<int64_t>() + int64_t(row) * width;
    auto isLast = [&](int64_t column) { return own[column] != 0; };
    auto last = std::ranges::find_if(prompt.columns, isLast);
    prompt.mutual = last - prompt.columns.begin();
    if (!std::all_of(last, prompt.columns.end(), isLast))
      return Fault("token_type_ids: expected zeros before ones in row " +
                   std::to_string(row) +
                   ", found a zero behind a one; mend "
                   "the file of tensors");
  }
  return std::nullopt;
}

/// Gives each placeholder the next row of the features.
std::optional<Fault> GenerateTask::placeFeatures() {
  struct Kind {
    int64_t token;
    const std::vector<int32_t> &rows;
    const char *name;
    size_t next = 0;
  };
  std::vector<Kind> kinds = {{facts.image_token, featureRows, "picture"}};
  if (facts.video_token >= 0 && facts.video_token != facts.image_token)
    kinds.push_back({facts.video_token, videoRows, "video"});
  for (Prompt &prompt : prompts)
    for (int64_t id : prompt.ids) {
      prompt.features.push_back(-1);
      for (Kind &kind : kinds)
        if (id == kind.token && kind.next++ < kind.rows.size())
          prompt.features.back() = kind.rows[kind.next - 1];
    }
  for (const Kind &kind : kinds)
    if (kind.next != kind.rows.size())
      return Fault("input_ids: expected as many " + std::string(kind.name) +
                   " tokens (id " + std::to_string(kind.token) + ") as the " +
                   kind.name + "s have features, " +
                   std::to_string(kind.rows.size()) + ", found " +
                   std::to_string(kind.next) + "; give each " + kind.name +
                   " its tokens");
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// What layers that attend to pictures take: new features and their places,
/// and the range of rows that each token sees.
std::optional<Fault> GenerateTask::addSeen(Run &run, TensorMap &inputs) {
  auto count = int64_t(run.ids.size());
  int64_t rows = run.fresh.shape.empty() ? 0 : run.fresh.shape[1];
  const int32_t sequence = run.sequences.front();
  if (rows)
    if (std::optional<Fault> fault =
            check(vlm_cache_resize(featureCache.get(), sequence, rows)))
      return fault;
  heldRows = std::max(heldRows, rows);
  std::vector<int32_t> sequences(size_t(rows), sequence);
  std::vector<int32_t> places(size_t(rows), 0);
  std::iota(places.begin(), places.end(), 0);
  inputs["features"] = run.fresh;
  if (!rows) {
    const vlm_entry_t *entry = nullptr;
    vlm_tensor_t input;
    if (std::optional<Fault> fault =
            check(vlm_model_entry(model, entryName, &entry)))
      return fault;
    for (size_t i = 0; i < vlm_entry_input_count(entry); ++i)
      if (!check(vlm_entry_input(entry, i, &input)) &&
          std::string(input.name) == "features")
        inputs["features"] = HostTensor::zeros(VLM_F32, {1, 0, input.dims[2]});
  }
  inputs["feature_sequence"] =
      HostTensor::of(VLM_I32, {1, rows}, sequences.data());
  inputs["feature_position"] =
      HostTensor::of(VLM_I32, {1, rows}, places.data());
  inputs["first_feature"] =
      HostTensor::of(VLM_I32, {1, count}, run.seen.first.data());
  inputs["last_feature"] =
      HostTensor::of(VLM_I32, {1, count}, run.seen.last.data());
  if (facts.attended & VLM_ABI_ATTEND_GROUP)
    inputs["shown"] =
        HostTensor::of(VLM_I32, {1, count}, run.seen.shown.data());
  if (facts.attended & VLM_ABI_ATTEND_AHEAD) {
    std::vector<int32_t> alike;
    for (int32_t shown : run.seen.shown)
      alike.push_back(shown ? -1 : 0);
    inputs["alike"] = HostTensor::of(VLM_I32, {1, count}, alike.data());
  }
  return std::nullopt;
}

/// Runs tokens; results are those of all.
std::optional<Fault> GenerateTask::decode(Run &run, TensorMap &results) {
  const vlm_entry_t *entry = nullptr;
  if (std::optional<Fault> fault =
          check(vlm_model_entry(model, entryName, &entry)))
    return fault;
  auto count = int64_t(run.ids.size());
  std::vector<int32_t> rows(run.ids.size());
  std::iota(rows.begin(), rows.end(), 0);
  // The length of a sequence is that with all of its tokens here.
  std::vector<int64_t> lengths(run.ids.size());
  for (size_t i = run.ids.size(); i-- > 0;) {
    const bool isLast =
        i + 1 == run.ids.size() || run.sequences[i + 1] != run.sequences[i];
    lengths[i] = isLast ? run.places[i] + 1 : lengths[i + 1];
    if (isLast)
      if (std::optional<Fault> fault = check(
              vlm_cache_resize(cache.get(), run.sequences[i], lengths[i])))
        return fault;
  }
  TensorMap inputs;
  inputs["input_ids"] = HostTensor::of(VLM_I64, {1, count}, run.ids.data());
  rt::LongRotary rotary(facts.rotary);
  for (size_t i = 0; i < run.ids.size(); ++i)
    rotary.add(run.places[i], lengths[i]);
  if (rotary.isNeeded()) {
    int64_t size = rotary.size();
    std::vector<float> &values = rotary.rows();
    inputs["rotary"] = HostTensor::of(
        VLM_F32, {int64_t(values.size()) / size, size}, values.data());
    inputs["rotary_row"] =
        HostTensor::of(VLM_I32, {1, count}, rotary.row().data());
  }
  inputs["sequence"] =
      HostTensor::of(VLM_I32, {1, count}, run.sequences.data());
  inputs["position"] = HostTensor::of(VLM_I32, {1, count}, run.places.data());
  inputs["rows"] =
      HostTensor::of(VLM_I32, {1, int64_t(rows.size())}, rows.data());
  if (facts.attended || encodes) {
    if (std::optional<Fault> fault = addSeen(run, inputs))
      return fault;
  } else if (hasInput(entry, "features")) {
    inputs["features"] = features;
    inputs["feature_row"] =
        HostTensor::of(VLM_I32, {1, count}, run.features.data());
    // The placeholder of a picture may be no word of the vocabulary.
    for (int64_t i = 0; i < count; ++i)
      if (run.features[size_t(i)] >= 0)
        inputs["input_ids"].data<int64_t>()[i] = 0;
  }
  if (hasInput(entry, "last_seen")) {
    std::vector<int32_t> first(run.ids.size(), 0), last(run.ids.size(), 0);
    for (int64_t i = 0; i < std::min(run.mutual, count); ++i)
      last[size_t(i)] = int32_t(run.mutual);
    // Those before they see anyway, as far as the window goes.
    for (size_t i = 0; i < run.pictureEnds.size(); ++i) {
      first[i] = int32_t(i);
      last[i] = run.pictureEnds[i];
    }
    inputs["first_seen"] = HostTensor::of(VLM_I32, {1, count}, first.data());
    inputs["last_seen"] = HostTensor::of(VLM_I32, {1, count}, last.data());
  }
  std::vector<vlm_tensor_t> in;
  for (auto &[name, tensor] : inputs)
    in.push_back(viewOf(name, tensor));
  for (size_t i = 0; i < vlm_entry_input_count(entry); ++i) {
    vlm_tensor_t input;
    if (!check(vlm_entry_input(entry, i, &input)) && input.dtype == VLM_CACHE) {
      bool isOfFeatures = std::string(input.name) == "feature_cache";
      input.data = isOfFeatures ? featureCache.get() : cache.get();
      in.push_back(input);
    }
  }
  return runEntry(entry, in, results);
}

/// Puts a prompt's rows into the tensor of the batch, at their columns.
void GenerateTask::keepRows(const std::string &name, const HostTensor &rows,
                            const Prompt &prompt, size_t number) {
  const std::vector<int64_t> &shape = tensors["input_ids"].shape;
  auto [it, isNew] = tensors.try_emplace(name);
  if (isNew)
    it->second =
        HostTensor::zeros(rows.dtype, {shape[0], shape[1], rows.shape.back()});
  size_t bytes = size_t(rows.shape.back()) * elementBytes(rows.dtype);
  for (size_t i = 0; i < prompt.columns.size(); ++i)
    std::memcpy(it->second.bytes.data() +
                    (number * size_t(shape[1]) + size_t(prompt.columns[i])) *
                        bytes,
                rows.bytes.data() + i * bytes, bytes);
}

std::optional<Fault> GenerateTask::prefill(size_t number) {
  Prompt &prompt = prompts[number];
  heldRows = 0;
  TensorMap results;
  Run run;
  run.ids = prompt.ids;
  run.features = prompt.features;
  run.seen = prompt.seen;
  run.fresh = featuresOf(number);
  run.mutual = prompt.mutual;
  run.pictureEnds = prompt.pictureEnds;
  if (encodes) {
    run.ids = prompt.beginning;
    if (std::optional<Fault> fault = encode(number, run.fresh))
      return fault;
    prompt.seen.first.assign(run.ids.size(), 0);
    prompt.seen.last.assign(run.ids.size(), int32_t(prompt.ids.size()));
    run.seen = prompt.seen;
  }
  // A search has all sequences for itself.
  run.sequences.assign(run.ids.size(), beams.beams > 1 ? 0 : int32_t(number));
  run.places.resize(run.ids.size());
  std::iota(run.places.begin(), run.places.end(), 0);
  if (std::optional<Fault> fault = decode(run, results))
    return fault;
  for (const auto &[name, rows] : results)
    encodes ? keepBeginning(name, rows, number)
            : keepRows(name, rows, prompt, number);
  const HostTensor &logits = results["logits"];
  auto width = size_t(logits.shape.back());
  const float *end = logits.data<float>() + run.ids.size() * width;
  prompt.logits.assign(end - width, end);
  return std::nullopt;
}

/// What the answer's tokens stand behind, padding included.
std::vector<int64_t> GenerateTask::beforeAnswer(size_t number) const {
  if (encodes)
    return prompts[number].beginning;
  const HostTensor &rows = tensors.at("input_ids");
  int64_t columns = rows.shape[1];
  const int64_t *row = rows.data<int64_t>() + int64_t(number) * columns;
  return {row, row + columns};
}

/// What the last token of a row was chosen from.
void GenerateTask::keepLastLogits(size_t number) {
  const std::vector<float> &logits = prompts[number].logits;
  auto [it, isNew] = tensors.try_emplace("last_step_logits");
  if (isNew)
    it->second = HostTensor::zeros(
        VLM_F32, {int64_t(prompts.size()), int64_t(logits.size())});
  std::ranges::copy(logits, it->second.data<float>() + number * logits.size());
}

/// Rows that ended early are filled with the pad token, or the end token.
void GenerateTask::keepGenerated() {
  size_t longest = 0;
  for (const Prompt &prompt : prompts)
    longest = std::max(longest, prompt.generated.size());
  int64_t fill = facts.pad_token >= 0     ? facts.pad_token
                 : facts.n_end_tokens > 0 ? facts.end_tokens[0]
                                          : 0;
  // A search of transformers takes a pad token 0 for none.
  if (beams.beams > 1 && fill == 0 && facts.n_end_tokens > 0)
    fill = facts.end_tokens[0];
  std::vector<int64_t> ids;
  for (const Prompt &prompt : prompts) {
    ids.insert(ids.end(), prompt.generated.begin(), prompt.generated.end());
    ids.insert(ids.end(), longest - prompt.generated.size(), fill);
  }
  tensors["generated_ids"] = HostTensor::of(
      VLM_I64, {int64_t(prompts.size()), int64_t(longest)}, ids.data());
}

/// Makes the caches, with a sequence for each prompt, or for each beam and a
/// spare one.
std::optional<Fault> GenerateTask::openCaches(int64_t most) {
  int64_t longest = 0, tokens = 0;
  for (const Prompt &prompt : prompts) {
    longest = std::max(longest, int64_t(prompt.ids.size()));
    tokens = std::max(tokens, int64_t(prompt.beginning.size()));
  }
  int64_t sequences =
      beams.beams > 1 ? 2 * beams.beams : int64_t(prompts.size());
  vlm_cache_t *made = nullptr;
  if (std::optional<Fault> fault = check(vlm_cache_create(
          model, sequences, (encodes ? tokens : longest) + most, &made)))
    return fault;
  cache.reset(made);
  if (!facts.attended && !encodes)
    return std::nullopt;
  int64_t rows = encodes ? longest : 1;
  if (!encodes && !features.shape.empty())
    rows = std::max<int64_t>(1, features.shape[1] * features.shape[2]);
  if (std::optional<Fault> fault = check(
          vlm_cache_create_for(model, "feature_cache", sequences, rows, &made)))
    return fault;
  featureCache.reset(made);
  return std::nullopt;
}

std::optional<Fault> GenerateTask::run(int64_t maxNewTokens) {
  if (std::optional<Fault> fault = encodePictures())
    return fault;
  if (std::optional<Fault> fault = readPrompts())
    return fault;
  // Padding counts for the length of a batch.
  int64_t columns = int64_t(beforeAnswer(0).size());
  int64_t most =
      maxNewTokens ? maxNewTokens : rt::usualNewTokens(facts, columns);
  if (std::optional<Fault> fault = openCaches(most))
    return fault;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (std::optional<Fault> fault = prefill(i))
      return fault;
    if (beams.beams == 1)
      continue;
    if (std::optional<Fault> fault = search(i, most))
      return fault;
    for (vlm_cache_t *each : {cache.get(), featureCache.get()})
      for (int64_t beam = 0; each && beam < beams.beams; ++beam)
        if (std::optional<Fault> fault = check(vlm_cache_resize(each, beam, 0)))
          return fault;
  }
  if (beams.beams == 1) {
    if (std::optional<Fault> fault = generate(most))
      return fault;
    for (size_t i = 0; i < prompts.size(); ++i) // a search has no last ones
      keepLastLogits(i);
  }
  keepGenerated();
  return tokenizer ? keepText() : std::nullopt;
}

/// The rows of `generated_ids` as texts, with a zero byte between two.
std::optional<Fault> GenerateTask::keepText() {
  const HostTensor &ids = tensors["generated_ids"];
  auto width = size_t(ids.shape[1]);
  std::string text;
  for (size_t row = 0; row < prompts.size(); ++row) {
    std::string one;
    if (std::optional<Fault> fault = decodeIds(
            tokenizer.get(), ids.data<int64_t>() + row * width, width, one))
      return fault;
    text.append(row ? 1 : 0, '\0').append(one);
  }
  tensors["text"] = HostTensor::of(VLM_U8, {int64_t(text.size())}, text.data());
  return std::nullopt;
}

TensorMap GenerateTask::writtenValues() const {
  TensorMap written = tensors;
  for (const char *name :
       {"attention_mask", "qformer_attention_mask", "aspect_ratio_mask",
        "cross_attention_mask", "pixel_attention_mask"}) {
    auto mask = written.find(name);
    if (mask == written.end() || mask->second.dtype == VLM_U8)
      continue;
    HostTensor bytes = HostTensor::zeros(VLM_U8, mask->second.shape);
    for (size_t i = 0; i < bytes.bytes.size(); ++i)
      bytes.bytes[i] = mask->second.data<int64_t>()[i] != 0;
    mask->second = std::move(bytes);
  }
  return written;
}

} // namespace vlmc::tool
