//===- ImageInternal.h - What the parts of libvlm_image share -------------===//
//
// The picture object, the decoders behind vlm_image_decode and preprocessing
// without a model. Not installed.
//
//   std::unique_ptr<vlm_image_t> image;
//   if (vlm_status_t *status = decodePng(input, image))
//     return status;
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_IMAGE_IMAGEINTERNAL_H
#define VLMC_RUNTIME_IMAGE_IMAGEINTERNAL_H

#include "runtime/abi/vlm_abi.h"
#include "runtime/vlm.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

struct vlm_image_t {
  /// A colour that stands for nothing: processors of transformers make its
  /// pixels white. Of files alone, as Pillow keeps it beside RGB pixels.
  struct Key {
    bool isThere = false;
    uint8_t rgb[3] = {};
  };
  struct Free {
    void operator()(uint8_t *bytes) const { std::free(bytes); }
  };

  int64_t height = 0;
  int64_t width = 0;
  Key key;
  /// Of size, pixels and key; made when it is first asked for.
  std::once_flag isHashed;
  uint8_t digest[32];
  /// Rows without padding, then `readableTail` zeros.
  std::unique_ptr<uint8_t, Free> rgb;
  /// Of a video, which has no pixels itself: pictures of its size.
  std::vector<std::unique_ptr<vlm_image_t>> frames;

  uint8_t *row(int64_t y) { return rgb.get() + y * 3 * width; }
  const uint8_t *row(int64_t y) const { return rgb.get() + y * 3 * width; }
};

namespace vlmc::rt {

/// How a picture is shown to a model, beside what its processing says.
struct View {
  bool isGrouped = false; ///< it is one of several pictures of a prompt
  size_t frames = 0;      ///< of a video; 0: it is a picture
  /// Whether in crops too, and of what kind, where somebody says so.
  std::optional<bool> pans = {};
  std::optional<int64_t> panSide = {}, panCrops = {};
  std::optional<double> panRatio = {};
};

/// Which of the features that a tower makes of a picture's tiles stand for its
/// tokens: one for each token, or the sum of `taps` with weights.
struct FeatureRows {
  int64_t taps = 1;
  std::vector<int32_t> rows;
  std::vector<float> weights; ///< none where taps is 1

  int64_t size() const { return int64_t(rows.size()) / taps; }
  /// Writes [size, width] of features of that width.
  void gather(const float *features, int64_t width, float *out) const {
    for (int64_t token = 0; token < size(); ++token, out += width)
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t at = token * taps + tap;
        const float *row = features + rows[size_t(at)] * width;
        const float weight = taps > 1 ? weights[size_t(at)] : 1;
// Vectors of floats are for compiled models alone (test/e2e/consumers).
#pragma clang loop vectorize(disable) unroll(disable)
        for (int64_t i = 0; i < width; ++i)
          out[i] = tap ? out[i] + weight * row[i] : weight * row[i];
      }
  }
};

/// A file in memory that is to be decoded.
struct EncodedImage {
  const uint8_t *data;
  size_t bytes;
  const char *name; ///< stands in messages
  int64_t maxPixels;
};

/// Makes a picture with undefined pixels. Errors: VLM_INVALID_ARGUMENT if a
/// side is not positive, or if there are more pixels than `maxPixels`;
/// VLM_OUT_OF_MEMORY.
vlm_status_t *makeImage(const char *name, int64_t height, int64_t width,
                        int64_t maxPixels,
                        std::unique_ptr<vlm_image_t> &outImage);

/// Decode to RGB, upright. Errors: as vlm_image_decode.
vlm_status_t *decodePng(const EncodedImage &input,
                        std::unique_ptr<vlm_image_t> &outImage);
vlm_status_t *decodeJpeg(const EncodedImage &input,
                         std::unique_ptr<vlm_image_t> &outImage);
vlm_status_t *decodeWebp(const EncodedImage &input,
                         std::unique_ptr<vlm_image_t> &outImage);
vlm_status_t *decodeGif(const EncodedImage &input,
                        std::unique_ptr<vlm_image_t> &outImage);

} // namespace vlmc::rt

extern "C" {
/// vlm_model_preprocess_size and vlm_model_preprocess without a model; `pool`
/// may be NULL (this thread alone), `backend` is not the default. Exported for
/// tests and the runtime's own libraries.
VLM_API vlm_status_t *vlm_image_processed_size(const vlm_abi_image *processing,
                                               int64_t height, int64_t width,
                                               int64_t *outHeight,
                                               int64_t *outWidth);
VLM_API vlm_status_t *
vlm_image_process(const vlm_abi_image *processing, vlm_image_backend_t backend,
                  vlm_pool_t *pool, const vlm_image_t *image, float *pixels);
/// Cuts lines x columns patches from the top left of planes [3, height, width]:
/// rows [lines * columns][patch][patch][3], a patch each.
VLM_API void vlm_image_cut_patches(const float *planes, int64_t height,
                                   int64_t width, int64_t patch, int64_t lines,
                                   int64_t columns, float *rows);
/// Of processing that fits pictures into an arrangement of tiles, the number of
/// the one that a picture gets, from 1 on; 0: there are none.
VLM_API int64_t vlm_image_arrangement(const vlm_abi_image *processing,
                                      int64_t height, int64_t width);
/// The size of piece `number` of a picture that becomes several; of others the
/// size of the resized picture. The picture has been measured before.
VLM_API void vlm_image_piece_size(const vlm_abi_image *processing,
                                  int64_t height, int64_t width, int64_t number,
                                  int64_t *outHeight, int64_t *outWidth);
/// vlm_model_tile_count, vlm_model_picture_rows and vlm_model_preprocess of a
/// picture that is shown in such a way. Errors: theirs; VLM_UNSUPPORTED if the
/// model reads no videos.
VLM_API vlm_status_t *vlm_model_view_tiles(const vlm_model_t *model,
                                           int64_t height, int64_t width,
                                           const vlmc::rt::View &view,
                                           int64_t *outTiles);
VLM_API vlm_status_t *vlm_model_view_rows(const vlm_model_t *model,
                                          int64_t height, int64_t width,
                                          const vlmc::rt::View &view,
                                          vlmc::rt::FeatureRows &outRows);
VLM_API vlm_status_t *vlm_model_view_preprocess(const vlm_model_t *model,
                                                const vlm_image_t *image,
                                                const vlmc::rt::View &view,
                                                float *pixels);
/// 32 bytes that tell pictures apart: what is equal in them is preprocessed to
/// the same values. Thread-safe.
VLM_API const uint8_t *vlm_image_digest(const vlm_image_t *image);
}

#endif // VLMC_RUNTIME_IMAGE_IMAGEINTERNAL_H
