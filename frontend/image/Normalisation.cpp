//===- Normalisation.cpp - Rescaling and normalising as a table -----------===//
#include "frontend/image/ImageProcessing.h"

namespace vlmc {

// Each step is rounded where NumPy rounds it: the product is a double and then
// a float; mean and deviation become floats before they are used.
static float pilValue(int value, int channel, const ImageProcessing &image) {
  float result = static_cast<float>(value);
  if (image.doRescale)
    result =
        static_cast<float>(static_cast<double>(value) * image.rescaleFactor);
  if (image.doRescale && image.offsetsRescaled)
    result -= 1.0F;
  if (image.doNormalize) {
    float mean = static_cast<float>(image.mean[channel]);
    float deviation = static_cast<float>(image.std[channel]);
    float centred = result - mean;
    result = centred / deviation;
  }
  return result;
}

// As PyTorch rounds: numbers become floats first, and so does their product.
static float torchvisionValue(int value, int channel,
                              const ImageProcessing &image) {
  auto result = static_cast<float>(value);
  // What is shifted as well is rescaled by itself.
  const bool isFused =
      image.doRescale && image.doNormalize && !image.offsetsRescaled;
  if (image.doRescale && !isFused) {
    result *= static_cast<float>(image.rescaleFactor);
    if (image.offsetsRescaled)
      result -= 1.0F;
  }
  if (!image.doNormalize)
    return result;
  auto mean = static_cast<float>(image.mean[channel]);
  auto deviation = static_cast<float>(image.std[channel]);
  if (isFused) {
    auto inverse = static_cast<float>(1.0 / image.rescaleFactor);
    mean *= inverse;
    deviation *= inverse;
  }
  float centred = result - mean;
  return centred / deviation;
}

NormalisationTable makeNormalisationTable(const ImageProcessing &processing,
                                          ImageBackend backend) {
  auto valueOf = backend == ImageBackend::Pil ? pilValue : torchvisionValue;
  NormalisationTable table;
  for (int channel = 0; channel < 3; ++channel)
    for (int value = 0; value < 256; ++value) {
      float &number = table[channel * 256 + value];
      number = valueOf(value, channel, processing);
      if (processing.dividesAgain)
        number /= static_cast<float>(processing.std[channel]);
    }
  return table;
}

} // namespace vlmc
