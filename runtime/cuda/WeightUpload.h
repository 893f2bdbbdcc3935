//===- WeightUpload.h - Weights on their way to a GPU ---------------------===//
//
// A thread copies the weights into one of two pinned buffers, from which the
// device fetches them on a stream of its own, while the next part goes into the
// other: in the order of the layers, so that the first run begins with the
// first layers' weights while the last ones are still under way. Without pinned
// memory the driver copies them from where they are.
//
//   WeightUpload upload(device);
//   status = upload.start(block, std::move(pieces));
//   status = upload.awaitOn(stream, end); // what lies before `end` is there
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CUDA_WEIGHTUPLOAD_H
#define VLMC_RUNTIME_CUDA_WEIGHTUPLOAD_H

#include "runtime/cuda/Driver.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace vlmc::rt::cuda {

/// Bytes of the host, and where in the block they go.
struct WeightPiece {
  size_t offset;
  const unsigned char *from;
  size_t bytes;
};

class WeightUpload {
public:
  static constexpr size_t stagingBytes = size_t(32) << 20;

  explicit WeightUpload(const Device &device) : device(device) {}
  ~WeightUpload() { finish(); }
  WeightUpload(const WeightUpload &) = delete;
  WeightUpload &operator=(const WeightUpload &) = delete;

  /// Begins to fill the block; pieces by their offsets, which grow. Their bytes
  /// must stay until the upload is over. `part`: what is fetched at once.
  vlm_status_t *start(Pointer block, std::vector<WeightPiece> pieces,
                      size_t part = stagingBytes);
  /// Work that the stream gets from now on finds what lies before `end` bytes
  /// of the block. Blocks until that is known to the device; of one stream.
  vlm_status_t *awaitOn(Stream *stream, size_t end);
  /// Breaks off what is under way; nothing reads the weights any more.
  void finish();
  /// Whether all of it is there.
  bool isOver();
  /// Pinned buffers that are in use: 2, or 0 where there are none.
  int buffers();

private:
  void run();
  vlm_status_t *uploadAll();
  vlm_status_t *uploadPart(size_t number);
  vlm_status_t *copyPiece(size_t number, const WeightPiece &piece, size_t begin,
                          size_t end);
  void takeBuffers();
  void giveBuffers();

  const Device &device;
  Pointer block = 0;
  std::vector<WeightPiece> pieces;
  size_t part = 0, next = 0; ///< `next`: the piece that the next part begins in
  Stream *stream = nullptr;
  std::vector<Event *> events; ///< for each part, when it is there
  void *staging[2] = {nullptr, nullptr};

  std::thread thread;
  std::mutex mutex;
  std::condition_variable changed;
  size_t known = 0; ///< parts whose events are recorded
  bool over = false, isCancelled = false;
  vlm_status_t *failed = nullptr;
  size_t awaited = 0; ///< parts that the stream of `awaitOn` waits for
};

} // namespace vlmc::rt::cuda

#endif // VLMC_RUNTIME_CUDA_WEIGHTUPLOAD_H
