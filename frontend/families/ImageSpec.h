//===- ImageSpec.h - Image processing in and out of specs -------*- C++ -*-===//
//
// A spec holds the image processing as a message, frontend/image as a struct
// that its readers and generators work with; these turn one into the other.
//
//   *model.mutable_image() = toSpec(processing);
//   Result<ImageProcessing> processing = fromSpec(model.image());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_FAMILIES_IMAGESPEC_H
#define VLMC_FRONTEND_FAMILIES_IMAGESPEC_H

#include "frontend/image/ImageProcessing.h"
#include "frontend/spec/model_spec.pb.h"

namespace vlmc {

/// Whether the folder says how pictures are processed.
bool hasImageProcessor(const std::string &folder);

spec::ImageProcessing toSpec(const ImageProcessing &image);

/// Errors: values that no picture can be processed with, as a person may write
/// them: a side below 1, an unknown filter, other than three means.
Result<ImageProcessing> fromSpec(const spec::ImageProcessing &image);

} // namespace vlmc

#endif // VLMC_FRONTEND_FAMILIES_IMAGESPEC_H
