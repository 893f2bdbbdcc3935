//===- PictureStore.h - Features of pictures, kept by content ---*- C++ -*-===//
//
// What the tower has made of pictures, for all sessions and batches of a model:
// a picture that comes again is neither preprocessed nor looked at again. The
// ones that were not asked for longest go first when the memory is used up.
//
//   PictureStore &store = PictureStore::of(model);
//   if (PictureFeatures known = store.find(key)) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_PICTURESTORE_H
#define VLMC_RUNTIME_TASKS_PICTURESTORE_H

#include "runtime/tasks/Prompt.h"
#include "runtime/tasks/Requests.h"

#include <list>
#include <map>
#include <mutex>

namespace vlmc::rt {

/// Thread-safe.
class PictureStore {
public:
  explicit PictureStore(size_t limit) : limit(limit) {}

  /// The model's own.
  static PictureStore &of(const vlm_model_t *model);

  /// NULL: not known.
  PictureFeatures find(const PictureKey &key);
  /// Nothing is kept of what is larger than the limit.
  void keep(const PictureKey &key, const PictureFeatures &features);
  void measure(int64_t &pictures, size_t &bytes);

private:
  struct Entry {
    PictureKey key;
    PictureFeatures features;
  };
  void drop(std::list<Entry>::iterator entry);

  std::mutex mutex;
  const size_t limit;
  size_t used = 0;
  std::list<Entry> entries; ///< the one asked for last is first
  std::map<PictureKey, std::list<Entry>::iterator> byKey;
};

/// What the tower takes of a picture: its pixels, and where it reads words
/// beside them, those with places for its `queries` in front.
class TowerInputs {
public:
  TowerInputs(const Encoder &tower, const Picture &picture, int64_t queries);
  TowerInputs(const TowerInputs &) = delete;
  std::vector<vlm_tensor_t> tensors;
  int64_t batch = 0; ///< of the results: tiles, or one

private:
  std::vector<int64_t> ids;
  TiledInputs tiled;
};

/// Runs the tower on a picture that has pixels and gives it its features, f32
/// [tokens, width]; the model keeps them. Errors: those of the run.
vlm_status_t *encodePicture(const vlm_model_t *model, int64_t width,
                            Picture &picture);

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_PICTURESTORE_H
