//===- ImageProcessing.h - What a checkpoint does to a picture --*- C++ -*-===//
//
// The image processing of a checkpoint as data: resize, centre crop, rescale,
// normalise, in this order. A family reads it with readImageProcessing() and
// hands it on in its ModelSpec; the package holds it as `vlm_abi_image`, for
// which makeNormalisationTable() computes the floats.
//
//   ImageProcessorClass known{{"FooImageProcessor"}, ImageProcessing()};
//   std::vector<std::string> warnings;
//   Result<ImageProcessing> image =
//       readImageProcessing("/models/foo", known, warnings);
//   if (!image)
//     return image.takeFailure();
//   NormalisationTable table = makeNormalisationTable(*image);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_IMAGE_IMAGEPROCESSING_H
#define VLMC_FRONTEND_IMAGE_IMAGEPROCESSING_H

#include "frontend/support/Result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vlmc {

/// Pillow's numbers of the resampling filters.
enum class Resample : int32_t {
  Nearest = 0,
  Lanczos = 1,
  Bilinear = 2,
  Bicubic = 3,
  Box = 4,
  Hamming = 5,
};

/// Whose arithmetic is used for resizing, cropping, rescaling and normalising.
enum class ImageBackend { Torchvision, Pil };

/// The steps from an 8-bit RGB picture to the floats a model takes. The initial
/// values are those published with arXiv:2103.00020, which several families
/// share.
struct ImageProcessing {
  bool doResize = true;
  /// Either the length of the shorter side (the longer one follows the aspect
  /// ratio), perhaps with the most the longer one may have; or both height and
  /// width; or the most of both.
  std::optional<int64_t> shortestEdge = 224;
  std::optional<int64_t> longestEdge;
  std::optional<int64_t> height;
  std::optional<int64_t> width;
  std::optional<int64_t> maxHeight;
  std::optional<int64_t> maxWidth;
  /// With the most of both: sides are rounded half to even, not down; pictures
  /// that fit stay as they are.
  bool roundsSize = false;
  bool onlyShrinks = false;
  Resample resample = Resample::Bicubic;

  bool doCenterCrop = true;
  int64_t cropHeight = 224;
  int64_t cropWidth = 224;
  /// Half of an odd surplus is rounded half to even.
  bool cropsHalfToEven = false;

  bool doRescale = true;
  double rescaleFactor = 1.0 / 255;

  /// 1 is subtracted behind rescaling.
  bool offsetsRescaled = false;
  /// Last of all values are divided by `std`, once more where they are
  /// normalised.
  bool dividesAgain = false;

  bool doNormalize = true;
  std::array<double, 3> mean = {0.48145466, 0.4578275, 0.40821073};
  std::array<double, 3> std = {0.26862954, 0.26130258, 0.27577711};

  /// Whether pixels of a file's transparent colour become white.
  bool doConvertRgb = true;

  /// Before all else a picture becomes the middle of a square of its longer
  /// side; the rest has the mean's colour.
  bool padsToSquare = false;

  /// If not 0, pictures are cut into patches of this side, with pixels of the
  /// value 1 at the right and the bottom where a patch is not whole.
  int64_t patchSize = 0;

  /// If not 0, with a patch size: pictures are resized to whole patches, as many
  /// as there can be up to this number, which are then rows of pixels.
  int64_t maxPatches = 0;

  /// Pictures are cut into tiles: heights and widths of the resolutions that
  /// the tiles may make up; none where they are not.
  std::vector<std::array<int64_t, 2>> grid;
  /// Pictures are stretched to the resolution of the nearest aspect.
  bool stretchesTiles = false;
  /// Or fitted into the one that enlarges them least, or shrinks them least.
  bool fitsTiles = false;

  /// With both edges: the longer side is shrunk where it is longer, then each
  /// side is at least the shorter edge, whatever becomes of the aspect.
  bool capsEdges = false;
  /// Pictures become their quarters and themselves, before all else.
  bool quarters = false;
  /// If not 0, pictures become squares of this side: one, or, where lines are
  /// cut, as many as they fill when they are enlarged to whole ones, and
  /// themselves once more. The longest edge alone is that of the first resize.
  int64_t tileSize = 0;
  bool cutsLines = false;

  /// Pictures of a prompt with several are not cut, but become the middle of
  /// squares as with `padsToSquare`.
  bool padsGroups = false;

  /// Long pictures are also shown in crops: at most so many, of at least so
  /// many pixels, where the longer side is so many times the shorter one; 0:
  /// never. `pans`: unless a request says otherwise.
  bool pans = false;
  int64_t panCrops = 0;
  int64_t panSide = 0;
  double panRatio = 0;

  /// What the checkpoint's processor class uses.
  ImageBackend backend = ImageBackend::Torchvision;

  bool operator==(const ImageProcessing &) const = default;
};

/// The processor class a family knows: the names it goes by in
/// `image_processor_type` (suffixes `Fast` and `Pil` are taken off before the
/// comparison, `FeatureExtractor` counts as `ImageProcessor`) and what it does
/// where the files say nothing.
struct ImageProcessorClass {
  std::vector<std::string> names;
  ImageProcessing defaults;
  /// What an integer `size` means: both sides, or the shorter one.
  bool defaultToSquare = false;
  /// Whether it cuts pictures into tiles.
  bool cutsTiles = false;
  /// The class of `names` that pads pictures to squares where `do_pad` says so;
  /// "": none does.
  std::string padsAs = {};
  /// Whether it knows `rescale_offset` and `include_top`.
  bool offsetsRescaled = false;
  /// Whether it is a class for videos, by whatever name.
  bool isOfVideos = false;
  /// A key that counts in the place of `size` where it is given.
  std::string sizeAlias = {};
};

/// Reads the image processing of the checkpoint in `folder`: `image_processor`
/// of processor_config.json if it is there, else preprocessor_config.json, else
/// the class's defaults. What has no effect or is not known is told in
/// `warnings`.
/// Errors: a file that is no JSON object; a value of the wrong type or out of
/// range; a key that asks for a step which does not exist here.
/// Source: transformers 5.23, `ImageProcessingMixin.get_image_processor_dict`
/// and `BaseImageProcessor._standardize_kwargs`.
Result<ImageProcessing> readImageProcessing(const std::string &folder,
                                            const ImageProcessorClass &known,
                                            std::vector<std::string> &warnings);

/// The same of a video's frames: `video_processor` of processor_config.json,
/// else video_preprocessor_config.json, else preprocessor_config.json. All
/// frames are taken: that others would be left out is told.
Result<ImageProcessing> readVideoProcessing(const std::string &folder,
                                            const ImageProcessorClass &known,
                                            std::vector<std::string> &warnings);

/// The float of every 8-bit value of every channel, `table[channel * 256 +
/// value]`.
using NormalisationTable = std::array<float, 3 * 256>;

/// Rescales and normalises, the same bits as transformers. Pil: rescales in
/// double, rounds to float, normalises in float (`image_transforms.rescale` and
/// `.normalize`). Torchvision: all in float, and where both steps are on, mean
/// and deviation are divided by the factor instead of multiplying the values
/// (`TorchvisionBackend.rescale_and_normalize`).
NormalisationTable makeNormalisationTable(const ImageProcessing &processing,
                                          ImageBackend backend);

} // namespace vlmc

#endif // VLMC_FRONTEND_IMAGE_IMAGEPROCESSING_H
