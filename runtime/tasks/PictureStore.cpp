//===- PictureStore.cpp - Features of pictures, kept by content -----------===//
#include "runtime/tasks/PictureStore.h"

#include "runtime/core/LayerInternal.h"
#include "runtime/tasks/GridTower.h"
#include "runtime/tasks/Requests.h"

#include <algorithm>

namespace vlmc::rt {

static constexpr size_t kUsualLimit = size_t(256) << 20;

static void *makeStore(int64_t limit) {
  size_t bytes = limit < 0 ? 0 : limit ? size_t(limit) : kUsualLimit;
  return new PictureStore(bytes);
}

static void destroyStore(void *store) {
  delete static_cast<PictureStore *>(store);
}

PictureStore &PictureStore::of(const vlm_model_t *model) {
  return *static_cast<PictureStore *>(
      vlm_model_layer(model, makeStore, destroyStore));
}

PictureFeatures PictureStore::find(const PictureKey &key) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = byKey.find(key);
  if (found == byKey.end())
    return nullptr;
  entries.splice(entries.begin(), entries, found->second);
  return found->second->features;
}

void PictureStore::drop(std::list<Entry>::iterator entry) {
  used -= entry->features->size() * sizeof(float);
  byKey.erase(entry->key);
  entries.erase(entry);
}

void PictureStore::keep(const PictureKey &key,
                        const PictureFeatures &features) {
  size_t bytes = features->size() * sizeof(float);
  std::lock_guard<std::mutex> lock(mutex);
  if (bytes > limit || byKey.contains(key))
    return;
  while (used + bytes > limit)
    drop(std::prev(entries.end()));
  entries.push_front({key, features});
  byKey.emplace(key, entries.begin());
  used += bytes;
}

void PictureStore::measure(int64_t &pictures, size_t &bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  pictures = int64_t(entries.size());
  bytes = used;
}

TowerInputs::TowerInputs(const Encoder &tower, const Picture &picture,
                         int64_t queries)
    : batch(picture.tiles) {
  TiledTower whole;
  // What it lacks was told when the prompt was read.
  vlm_status_destroy(whole.open(tower.entry));
  if (whole.isThere()) {
    tiled =
        whole.inputs(picture.arrangement, picture.tiles,
                     picture.pixels.empty() ? nullptr : picture.pixels.data(),
                     picture.height);
    tensors = tiled.tensors;
    batch = 1;
    return;
  }
  int64_t pixels[] = {picture.tiles, 3, picture.height, picture.width};
  tensors.push_back(denseTensor("pixel_values", VLM_F32,
                                const_cast<float *>(picture.pixels.data()), 4,
                                pixels));
  if (!tower.hasInput("qformer_input_ids"))
    return;
  for (int64_t i = 0; i < picture.tiles; ++i) {
    ids.insert(ids.end(), size_t(queries), 0);
    ids.insert(ids.end(), picture.words.begin(), picture.words.end());
  }
  int64_t words[] = {picture.tiles, queries + int64_t(picture.words.size())};
  tensors.push_back(
      denseTensor("qformer_input_ids", VLM_I64, ids.data(), 2, words));
}

/// Each piece of the picture by itself, its features one behind the other.
static vlm_status_t *runPieces(const Encoder &tower, const GridTower &grid,
                               int64_t width, const Picture &picture,
                               Floats &all) {
  for (size_t i = 0; i < picture.pieces.size(); ++i) {
    auto [height, own] = picture.pieces[i];
    const float *planes = picture.pixels.data() +
                          int64_t(i) * 3 * picture.height * picture.width;
    GridInputs in =
        grid.inputs(planes, picture.height, picture.width, height, own);
    int64_t dims[] = {1, in.rows, width};
    size_t begin = all.size();
    all.resize(begin + size_t(in.rows * width));
    vlm_tensor_t out =
        denseTensor("image_features", VLM_F32, all.data() + begin, 3, dims);
    if (vlm_status_t *status = vlm_entry_run(tower.entry, in.tensors.data(),
                                             in.tensors.size(), &out, 1))
      return status;
  }
  return nullptr;
}

/// All tiles of the picture, in one run.
static vlm_status_t *runTiles(const Encoder &tower, int64_t width,
                              const Picture &picture, Floats &all) {
  SizeRange perTile;
  if (vlm_status_t *status = tower.outputSize("image_features", 1, perTile))
    return status;
  TowerInputs in(tower, picture, perTile.max);
  int64_t dims[] = {in.batch, perTile.max, width};
  all.resize(size_t(in.batch * perTile.max * width));
  vlm_tensor_t out =
      denseTensor("image_features", VLM_F32, all.data(), 3, dims);
  return vlm_entry_run(tower.entry, in.tensors.data(), in.tensors.size(), &out,
                       1);
}

vlm_status_t *encodePicture(const vlm_model_t *model, int64_t width,
                            Picture &picture) {
  Encoder tower;
  if (vlm_status_t *status =
          tower.find(model, "encode_image", "look at pictures"))
    return status;
  GridTower grid;
  if (vlm_status_t *status = grid.open(tower.entry))
    return status;
  FrameTower frames;
  if (vlm_status_t *status = frames.open(model))
    return status;
  Floats all;
  if (vlm_status_t *status =
          frames.isThere()
              ? frames.run(picture.pixels.data(), picture.tiles, picture.height,
                           picture.width, picture.number, all)
          : grid.isThere() ? runPieces(tower, grid, width, picture, all)
                           : runTiles(tower, width, picture, all))
    return status;
  giveUp(picture.pixels);
  auto rows = std::make_shared<Floats>(size_t(picture.rows.size() * width));
  picture.rows.gather(all.data(), width, rows->data());
  picture.features = std::move(rows);
  PictureStore::of(model).keep(picture.key, picture.features);
  return nullptr;
}

} // namespace vlmc::rt

void vlm_model_picture_cache(const vlm_model_t *model, int64_t *out_pictures,
                             size_t *out_bytes) {
  int64_t pictures = 0;
  size_t bytes = 0;
  vlmc::rt::PictureStore::of(model).measure(pictures, bytes);
  if (out_pictures)
    *out_pictures = pictures;
  if (out_bytes)
    *out_bytes = bytes;
}
