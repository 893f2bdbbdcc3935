//===- Prediction.cpp - What a request will take --------------------------===//
//
// The most memory that is in use at one time: while pictures are preprocessed,
// while the tower looks at them, while the prompt runs and while the answers
// do. The working memory of a run stays with the model, so that of the largest
// run before counts in all that follow.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/Engine.h"
#include "runtime/tasks/PictureStore.h"

#include <algorithm>

namespace vlmc::rt {

namespace {
/// What one picture takes.
struct PictureMemory {
  size_t pixels = 0, preprocessing = 0;
  size_t allFeatures = 0, features = 0;
  size_t work = 0; ///< of the tower
};
} // namespace

/// Pieces run one by one; the largest takes most.
static vlm_status_t *measurePieces(const Encoder &tower, const GridTower &grid,
                                   int64_t width, const Picture &picture,
                                   PictureMemory &out) {
  out.allFeatures = out.features =
      size_t(picture.rows.size() * width) * sizeof(float);
  for (auto [height, own] : picture.pieces) {
    GridInputs in = grid.inputs(nullptr, height, own, height, own);
    size_t work = 0;
    if (vlm_status_t *status =
            vlm_entry_memory(tower.entry, in.tensors.data(), in.tensors.size(),
                             /*threads=*/0, &work))
      return status;
    out.work = std::max(out.work, work);
  }
  return nullptr;
}

static vlm_status_t *measurePicture(const PromptReader &reader, int64_t width,
                                    const Picture &picture,
                                    PictureMemory &out) {
  int64_t tile = 3 * picture.height * picture.width;
  out.pixels = size_t(picture.tiles * tile) * sizeof(float);
  // Pictures that are cut lie there as a whole before.
  out.preprocessing = size_t((picture.tiles - 1) * tile) * sizeof(float);
  out.features = size_t(picture.rows.size() * width) * sizeof(float);
  if (reader.frames.isThere())
    return reader.frames.memory(picture.tiles, picture.height, picture.width,
                                out.work, out.allFeatures);
  Encoder tower;
  if (vlm_status_t *status =
          tower.find(reader.model, "encode_image", "look at pictures"))
    return status;
  SizeRange perTile;
  if (vlm_status_t *status = tower.outputSize("image_features", 1, perTile))
    return status;
  if (reader.grid.isThere())
    return measurePieces(tower, reader.grid, width, picture, out);
  TowerInputs in(tower, picture, perTile.max);
  out.allFeatures = size_t(in.batch * perTile.max * width) * sizeof(float);
  return vlm_entry_memory(tower.entry, in.tensors.data(), in.tensors.size(),
                          /*threads=*/0, &out.work);
}

/// Pages that prompt and answers take: the last token of an answer is not run,
/// and full pages of the prompt are shared.
size_t Engine::pagesOf(int64_t tokens, const GenerateOptions &wanted) const {
  constexpr int64_t page = VLM_ABI_PAGE_TOKENS;
  int64_t end =
      std::max(tokens, std::min(tokens + wanted.most(*reader.facts, tokens) - 1,
                                maxTokens));
  int64_t own = (end + page - 1) / page;
  return size_t(own + (wanted.sequences(*reader.facts) - 1) *
                          (own - tokens / page));
}

vlm_status_t *Engine::predictFor(const Prompt &prompt,
                                 const GenerateOptions &wanted,
                                 vlm_prediction_t &out) const {
  out.tokens = prompt.tokens();
  out.tiles = prompt.tiles();
  out.pixels = prompt.pixels();
  size_t pixels = 0, features = 0, work = 0, before = 0;
  size_t preprocessing = 0;
  std::vector<PictureMemory> pictures(prompt.pictures.size());
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (vlm_status_t *status = measurePicture(reader, decoder.featureWidth,
                                              prompt.pictures[i], pictures[i]))
      return status;
    pixels += pictures[i].pixels;
    preprocessing = std::max(preprocessing, pictures[i].preprocessing);
  }
  size_t peak = pixels + preprocessing;
  for (const PictureMemory &picture : pictures) {
    work = std::max(work, picture.work);
    peak = std::max(peak, pixels - before + features + work +
                              picture.allFeatures + picture.features);
    before += picture.pixels;
    features += picture.features;
  }
  out.picture_bytes = std::max(pixels + preprocessing, features);

  int64_t count = wanted.sequences(*reader.facts);
  int64_t tokens = std::clamp<int64_t>(prompt.size(), 1, options.stepTokens);
  int64_t rows = 1;
  if (wanted.values.prompt_logprobs)
    rows = tokens = std::min(tokens, mostPromptRows());
  tokens = std::max(tokens, prompt.mutual); // which run at once
  rows = rows > 1 ? tokens : 1;
  struct Run {
    int64_t tokens, rows;
  };
  size_t tensors = 0;
  for (const Run &run :
       {Run{tokens, rows}, Run{std::min(count, options.stepTokens),
                               std::min(count, options.stepTokens)}}) {
    size_t runWork = 0, runTensors = 0;
    if (vlm_status_t *status =
            decoder.memory(run.tokens, run.rows, int64_t(prompt.encoded.size()),
                           runWork, runTensors))
      return status;
    work = std::max(work, runWork);
    tensors = std::max(tensors, runTensors);
  }
  if (encoder.isThere()) {
    int64_t rows = 0;
    for (const Picture &picture : prompt.pictures)
      rows += picture.tokens;
    size_t runWork = 0, runTensors = 0;
    if (vlm_status_t *status =
            encoder.memory(prompt.tokens(), rows, runWork, runTensors))
      return status;
    work = std::max(work, runWork);
    tensors = std::max(tensors, runTensors);
  }
  out.work_bytes = work;
  size_t page = vlm_cache_page_bytes(cache.get());
  out.cache_bytes = pagesOf(prompt.size(), wanted) * page +
                    decoder.pictureBytes(prompt.pictures.size()) +
                    decoder.encodedBytes(int64_t(prompt.encoded.size()));
  // Scores of the answers; drawing sorts ids by them, and so do likeliest ones.
  size_t words = size_t(decoder.words);
  size_t sampling = size_t(count) * words * sizeof(float);
  if (wanted.values.temperature > 0)
    sampling += words * 2 * sizeof(int64_t);
  else if (wanted.wantsLogprobs())
    sampling += words * sizeof(int32_t);
  peak = std::max(peak, out.cache_bytes + features + work + tensors + sampling);
  out.bytes = peak;
  return nullptr;
}

vlm_status_t *Engine::predict(const vlm_request_t &request,
                              vlm_prediction_t &out) const {
  Prompt prompt;
  if (vlm_status_t *status = read(request, prompt))
    return status;
  return predictFor(prompt, GenerateOptions(request.options), out);
}

} // namespace vlmc::rt
